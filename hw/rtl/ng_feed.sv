// Reads the operands of CONTRACT: one pair of words per cycle, one instruction after the other.
//
// Takes instructions from the sequencer and passes each to the drain. Generates the addresses of A and B ahead of time,
// including the index of a token, and queues the operand pairs. Waits for the tokens of an instruction, for accumulators
// and for memory ports, then reads.
// Limits: ng_array multiplies, ng_drain drains.
//
// Pipeline: counts; loops; index read; column; index times stride; address; range and queue; operand. It runs ahead as
// far as the queue has room and never stalls, so that only the operand stage depends on other units in the same cycle.
module ng_feed #(
  parameter int unsigned Lanes       = 8,
  parameter int unsigned WeightDepth = 64,
  parameter int unsigned KvDepth     = 64,
  parameter int unsigned ActDepth    = 64,
  parameter int unsigned VectorDepth = 64,
  parameter int unsigned StatDepth   = 4,
  parameter int unsigned TableDepth  = 256,
  parameter int unsigned IndexDepth  = 64,
  localparam int unsigned IndexBits = ng_pkg::addr_bits(IndexDepth)
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  input  ng_pkg::retired_t                  retired_i,
  // From the sequencer.
  input  logic                              valid_i,
  output logic                              ready_o,
  input  ng_pkg::issue_t                    issue_i,
  // To the drain: every instruction, in order.
  output logic                              job_valid_o,
  input  logic                              job_ready_i,
  output ng_pkg::job_t                      job_o,
  output logic                              begun_o,      // an instruction reads its first operand
  output logic                              fed_o,        // an instruction reads its last operand
  output logic                              tile_o,       // the last operand of a tile that is drained is read
  input  logic                              room_i,       // a tile may begin in this cycle
  // INDEX memory: words arrive IndexLatency cycles after the read.
  output logic [1:0]                        index_re_o,   // 0: A, 1: B
  output logic [1:0][IndexBits-1:0]         index_addr_o,
  input  logic [1:0][127:0]                 index_rdata_i,
  // Operand reads: op_o goes to the array; port B of WEIGHT and VECTOR may be busy.
  output logic                              op_valid_o,
  output ng_pkg::op_t                       op_o,
  output logic [ng_pkg::OperandBits-1:0]    a_addr_o,
  output logic [ng_pkg::OperandBits-1:0]    b_addr_o,
  input  logic                              weight_b_busy_i,
  input  logic                              vector_busy_i,
  output ng_pkg::fault_t                    fault_o,
  output logic                              waits_o,      // the oldest instruction waits for tokens
  output logic                              busy_o,       // counted: multiplies
  output logic                              wait_o,       // waits for tokens
  output logic                              drain_o,      // waits for accumulators
  output logic                              stall_o       // waits for a port
);
  import ng_isa_pkg::*;
  import ng_pkg::*;
  localparam int unsigned Shift = $clog2(Lanes);
  localparam int unsigned Half = IndexDepth / Sentences;
  // Operand pairs between the loops and their reads. At one pair per cycle there are Last + 2.
  localparam int unsigned Depth = 16;
  localparam int unsigned PtrBits = $clog2(Depth);
  // Stages after the loops: in the first the index is read, in `Column` its word arrives, in the last the addresses are
  // complete.
  localparam int unsigned Column = 1 + IndexLatency;
  localparam int unsigned Last = Column + 3;

  // The counts of the next instruction, one cycle after it arrived.
  typedef struct packed {
    logic [11:0]          n0;
    logic [11:0]          n2;
    logic [12:0]          nk;
    logic [11:0]          drained;      // tiles of loop 2 that are drained
    logic [12:0]          tail;         // words of the last of these tiles
    logic                 nothing;
    logic                 reads;
    logic                 words;
    logic                 outside;      // the statistic, or the last word of the table, is outside its memory
    logic [IndexBits-1:0] index_first;  // address in INDEX of the block's first token
  } counts_t;
  contract_t c;
  counts_t counts, counts_q;
  logic [11:0] rows, n2_rows;
  logic sound, indexed, can_skip, met_next, can_q, index_waits_q;
  always_comb begin
    c         = contract_t'(issue_i.instruction);
    counts.n0 = c.n0_source == CountTokens ? 12'(issue_i.place.tokens) : c.n0;
    counts.n2 = c.n2_source == CountBlocks ? 12'(issue_i.place.blocks) : c.n2;
    unique case (count_e'(c.nk_source))
      CountLength: counts.nk = 13'(issue_i.place.length);
      CountTokens: counts.nk = 13'(issue_i.place.tokens);
      default:     counts.nk = c.nk;
    endcase
    unique case (count_e'(c.rows_source))
      CountLength: rows = 12'(issue_i.place.length);
      CountTokens: rows = 12'(issue_i.place.tokens);
      default:     rows = c.rows;
    endcase
    counts.nothing     = counts.n0 == 0 || c.n1 == 0 || counts.n2 == 0;
    counts.reads       = !counts.nothing && counts.nk != 0;
    counts.words       = !counts.nothing && !c.keep && rows != 0;
    n2_rows            = 12'((13'(rows) + 13'(Lanes - 1)) >> Shift);
    counts.drained     = n2_rows < counts.n2 ? n2_rows : counts.n2;
    counts.tail        = n2_rows <= counts.n2 ? 13'(Shift'(rows - 12'd1)) + 13'd1 : 13'(Lanes);
    counts.outside     = (c.stat != StatNone && 32'(c.stat_slot) >= StatDepth) ||
                         (c.has_table && 32'({c.table_id, 8'hFF}) >= TableDepth);
    counts.index_first = IndexBits'(issue_i.place.first) + (issue_i.place.sentence ? IndexBits'(Half) : '0);
    sound    = valid_i && issue_i.ok;
    indexed  = c.a_indexed != IndexedNone || c.b_indexed != IndexedNone;
    met_next = met({c.wait_stream, c.wait_vector, c.wait_array}, retired_i);
    can_skip = sound && issue_i.skipped;
  end
  always_ff @(posedge clk_i) begin
    counts_q      <= counts;
    // An instruction with an index reads INDEX ahead of its operands, so its loops wait for its tokens.
    can_q         <= rst_ni && sound && !issue_i.skipped && !ready_o && (!indexed || met_next);
    index_waits_q <= rst_ni && sound && !issue_i.skipped && indexed && !met_next;
  end

  // The instruction whose loops run.
  contract_t c_q;
  logic [LengthBits-1:0] first_q;
  logic [IndexBits-1:0] index_first_q;
  logic [NumberBits-1:0] number_q;
  logic [11:0] drained_q;
  logic active_q, begins_q, nothing_q, reads_q, outside_q, resumed_q, resumes_q;
  logic load, can_load, advance, last, last_k, room_q;
  logic [11:0] i0, i2;
  logic [12:0] k, nk;
  logic [3:0] step;
  logic [WalkBits-1:0] a_at, b_at;
  logic skips_any_q;
  logic [NumberBits-1:0] skips_q;

  assign can_load = can_q && (!active_q || (advance && last));
  // Consecutive skipped instructions are one entry for the drain, so that they do not fill its queue.
  assign load        = can_load && job_ready_i && !skips_any_q;
  assign job_valid_o = (can_load || skips_any_q) && !can_skip;
  assign ready_o     = load || can_skip;
  always_comb begin
    job_o.number  = issue_i.number;
    job_o.skipped = skips_any_q;
    job_o.skips   = skips_q;
    job_o.words   = counts_q.words && !skips_any_q;
    job_o.n0      = counts_q.n0;
    job_o.n1      = c.n1;
    job_o.n2      = counts_q.drained;
    job_o.tail    = counts_q.tail;
    job_o.c       = c;
  end

  assign nk = counts_q.reads ? counts_q.nk : 13'd1;
  ng_loops u_loops (
    .clk_i,
    .rst_ni,
    .load_i   (load),
    .advance_i(advance),
    .n0_i     (counts_q.nothing ? 12'd1 : counts_q.n0),
    .n1_i     (counts_q.nothing ? 12'd1 : c.n1),
    .n2_i     (counts_q.nothing ? 12'd1 : counts_q.n2),
    .nk_i     (nk),
    .tail_i   (nk),
    .i0_o     (i0),
    .i1_o     (),
    .i2_o     (i2),
    .k_o      (k),
    .last_k_o (last_k),
    .last_2_o (),
    .last_tile_o(),
    .last_o   (last),
    .left_o   (),
    .step_o   (step)
  );
  ng_walk #(
    .Width(WalkBits)
  ) u_walk_a (
    .clk_i,
    .load_i   (load),
    .advance_i(advance),
    .step_i   (step),
    .base_i   (WalkBits'(c.a_base)),
    .stride0_i(c_q.a_stride0),
    .stride1_i(c_q.a_stride1),
    .stride2_i(c_q.a_stride2),
    .stridek_i(c_q.a_stridek),
    .addr_o   (a_at)
  );
  ng_walk #(
    .Width(WalkBits)
  ) u_walk_b (
    .clk_i,
    .load_i   (load),
    .advance_i(advance),
    .step_i   (step),
    .base_i   (WalkBits'(c.b_base)),
    .stride0_i(c_q.b_stride0),
    .stride1_i(c_q.b_stride1),
    .stride2_i(c_q.b_stride2),
    .stridek_i(c_q.b_stridek),
    .addr_o   (b_at)
  );

  // A pair on its way through the stages: what its addresses need.
  typedef struct packed {
    logic                     reads;
    logic                     bad;     // it must not be read
    space_e                   a_space;
    space_e                   b_space;
    logic [1:0]               used;    // 0: A, 1: B: has an index
    logic [1:0][13:0]         token;
    logic [1:0][2:0]          column;
    logic [1:0][15:0]         stride;
    logic [1:0][WalkBits-1:0] at;
  } pair_t;
  op_t op;
  pair_t pair, pair_q[1:Last];
  logic [Last:1] valid_q;
  logic [1:0][12:0] turn;
  always_comb begin
    op.number      = number_q;
    op.waits       = {c_q.wait_stream, c_q.wait_vector, c_q.wait_array};
    op.begins      = begins_q;
    op.ends        = last;
    op.nothing     = nothing_q;
    op.reads       = reads_q;
    op.tile_begins = k == 0;
    op.fresh       = k == 0 && !(resumes_q && begins_q);
    op.tile_ends   = last_k && !nothing_q && !c_q.keep && i2 < drained_q;
    op.a_space     = space_e'(c_q.a_space);
    op.b_space     = space_e'(c_q.b_space);
    op.b_unsigned  = c_q.b_unsigned;
    op.k           = k;
    turn[0]        = c_q.a_indexed == IndexedLoop0 ? 13'(i0) : k;
    turn[1]        = c_q.b_indexed == IndexedLoop0 ? 13'(i0) : k;
    pair.reads     = reads_q;
    pair.bad       = begins_q && outside_q;
    pair.a_space   = op.a_space;
    pair.b_space   = op.b_space;
    pair.used[0]   = reads_q && c_q.a_indexed != IndexedNone && op.a_space != SpaceIdentity;
    pair.used[1]   = reads_q && c_q.b_indexed != IndexedNone;
    pair.token[0]  = 14'(first_q) + 14'(turn[0]);
    pair.token[1]  = 14'(first_q) + 14'(turn[1]);
    pair.column    = {c_q.b_column, c_q.a_column};
    pair.stride    = {c_q.b_index_stride, c_q.a_index_stride};
    pair.at        = {b_at, a_at};
  end
  assign advance = active_q && room_q;

  logic past;  // a token after the last one that a sentence can have
  logic [1:0] index_re_q;
  logic [1:0][IndexBits-1:0] index_addr_q;
  logic [1:0][15:0] index_q;
  logic [1:0][31:0] product_q;
  logic [1:0][OperandBits-1:0] at_q;
  assign past = (pair_q[1].used[0] && 32'(pair_q[1].token[0]) >= Half) ||
                (pair_q[1].used[1] && 32'(pair_q[1].token[1]) >= Half);
  assign index_re_o   = index_re_q;
  assign index_addr_o = index_addr_q;
  always_ff @(posedge clk_i) begin
    valid_q   <= rst_ni ? {valid_q[Last-1:1], advance} : '0;
    pair_q[1] <= pair;
    for (int unsigned stage = 2; stage <= Last; stage++) pair_q[stage] <= pair_q[stage-1];
    pair_q[2].bad <= pair_q[1].bad || past;
    for (int side = 0; side < 2; side++) begin
      index_re_q[side]   <= rst_ni && advance && pair.used[side];
      index_addr_q[side] <= index_first_q + IndexBits'(turn[side]);
      index_q[side]      <= index_rdata_i[side][16*pair_q[Column].column[side]+:16];
      if (!pair_q[Column].used[side]) index_q[side] <= '0;
      // The stride comes from a register of its own, as the index does; both belong to the multiplier.
      product_q[side]    <= 32'(index_q[side]) * 32'(pair_q[Column+1].stride[side]);
      at_q[side]         <= OperandBits'(pair_q[Column+2].at[side]) + OperandBits'(product_q[side]);
    end
  end

  // Whether the pair must not be read.
  logic a_outside, b_outside, bad;
  always_comb begin
    unique case (pair_q[Last].a_space)
      SpaceWeight: a_outside = 64'(at_q[0]) >= 64'(WeightDepth);
      SpaceKv:     a_outside = 64'(at_q[0]) >= 64'(KvDepth);
      default:     a_outside = 1'b0;
    endcase
    unique case (pair_q[Last].b_space)
      SpaceWeight: b_outside = 64'(at_q[1]) >= 64'(WeightDepth);
      SpaceVector: b_outside = 64'(at_q[1]) >= 64'(VectorDepth);
      default:     b_outside = 64'(at_q[1]) >= 64'(ActDepth);
    endcase
    bad = pair_q[Last].bad || (pair_q[Last].reads && (a_outside || b_outside));
  end

  // The queue. What is known of a pair in its turn is written then, its addresses when they are complete.
  typedef struct packed {
    logic                        bad;
    logic [1:0][OperandBits-1:0] at;
  } target_t;
  op_t ops[Depth];
  target_t targets[Depth];
  logic [PtrBits:0] tail_q, done_q, head_q, count_q, count;
  logic some, pop, popped_q;
  assign some  = head_q != done_q;
  assign count = count_q + (PtrBits + 1)'(advance) - (PtrBits + 1)'(popped_q);
  always_ff @(posedge clk_i) begin
    if (advance) ops[tail_q[PtrBits-1:0]] <= op;
    if (valid_q[Last]) targets[done_q[PtrBits-1:0]] <= {bad, at_q};
    if (!rst_ni) begin
      tail_q   <= '0;
      done_q   <= '0;
      head_q   <= '0;
      count_q  <= '0;
      popped_q <= 1'b0;
      room_q   <= 1'b1;
    end else begin
      if (advance) tail_q <= tail_q + 1'b1;
      if (valid_q[Last]) done_q <= done_q + 1'b1;
      if (pop) head_q <= head_q + 1'b1;
      popped_q <= pop;
      count_q  <= count;
      room_q   <= count != (PtrBits + 1)'(Depth);
    end
  end

  // The operand stage. `may_q`: a pair that does not wait for tokens.
  op_t head, op_q;
  target_t target_q;
  logic op_valid_q, may_q, needs_room_q, needs_weight_q, needs_vector_q;
  logic port_free, room_ok, go, free;
  assign head      = ops[head_q[PtrBits-1:0]];
  assign port_free = !(needs_weight_q && weight_b_busy_i) && !(needs_vector_q && vector_busy_i);
  assign room_ok   = !needs_room_q || room_i;
  assign go        = may_q && room_ok && port_free;
  assign free      = !op_valid_q || go;
  assign pop       = some && free;
  always_ff @(posedge clk_i) begin
    if (free) begin
      op_q           <= head;
      target_q       <= targets[head_q[PtrBits-1:0]];
      needs_room_q   <= head.tile_begins && !head.nothing;
      needs_weight_q <= head.reads && head.b_space == SpaceWeight;
      needs_vector_q <= head.reads && head.b_space == SpaceVector;
    end
    op_valid_q <= rst_ni && (some || !free);
    may_q      <= rst_ni && (free ? some && (!head.begins || met(head.waits, retired_i))
                                  : !op_q.begins || met(op_q.waits, retired_i));
  end

  assign op_valid_o = go && !op_q.nothing;
  assign op_o       = op_q;
  assign a_addr_o   = target_q.at[0];
  assign b_addr_o   = target_q.at[1];
  assign begun_o    = go && op_q.begins;
  assign fed_o      = go && op_q.ends;
  assign tile_o     = go && op_q.tile_ends;

  logic waits_q;
  assign busy_o  = go && op_q.reads;
  assign wait_o  = (op_valid_q && !may_q) || (index_waits_q && !op_valid_q && !active_q && count_q == 0);
  assign drain_o = may_q && !room_ok;
  assign stall_o = may_q && room_ok && !port_free;
  assign waits_o = waits_q;

  fault_t fault_q;
  assign fault_o = fault_q;

  always_ff @(posedge clk_i) begin
    waits_q <= wait_o && retired_i[UnitArray] == (op_valid_q ? op_q.number : issue_i.number);
    if (load) begin
      c_q           <= c;
      first_q       <= issue_i.place.first;
      index_first_q <= counts_q.index_first;
      number_q      <= issue_i.number;
      drained_q     <= counts_q.drained;
      nothing_q     <= counts_q.nothing;
      reads_q       <= counts_q.reads;
      outside_q     <= counts_q.outside;
      resumes_q     <= resumed_q;
    end

    fault_q.valid  <= 1'b0;
    fault_q.code   <= ErrorAddress;
    fault_q.number <= op_q.number;
    if (go && target_q.bad) begin
      fault_q.valid <= 1'b1;
    end else if (valid_i && !issue_i.ok && retired_i[UnitArray] == issue_i.number) begin
      fault_q.valid  <= 1'b1;
      fault_q.code   <= ErrorField;
      fault_q.number <= issue_i.number;
    end

    if (!rst_ni) begin
      skips_q       <= '0;
      skips_any_q   <= 1'b0;
      active_q      <= 1'b0;
      begins_q      <= 1'b0;
      resumed_q     <= 1'b0;
      waits_q       <= 1'b0;
      fault_q.valid <= 1'b0;
    end else begin
      if (can_skip) begin
        skips_q     <= skips_q + 1'b1;
        skips_any_q <= 1'b1;
      end else if (skips_any_q && job_ready_i) begin
        skips_q     <= '0;
        skips_any_q <= 1'b0;
      end
      if (load) begin
        active_q  <= 1'b1;
        begins_q  <= 1'b1;
        resumed_q <= c.keep;
      end else if (advance) begin
        begins_q <= 1'b0;
        if (last) active_q <= 1'b0;
      end
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) op_valid_q && !go |=>
                   op_valid_q && $stable(op_q) && $stable(target_q))
  else $error("ng_feed: an operand changed before it was read");
  assert property (@(posedge clk_i) disable iff (!rst_ni) job_valid_o && job_ready_i && !job_o.skipped |-> ready_o)
  else $error("ng_feed: the drain gets an instruction that was not taken");
  assert property (@(posedge clk_i) disable iff (!rst_ni) tile_o |-> op_valid_o)
  else $error("ng_feed: a tile ends without an operand");
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   (tail_q - head_q) <= (PtrBits + 1)'(Depth) && (done_q - head_q) <= (tail_q - head_q))
  else $error("ng_feed: more operand pairs than the queue holds");
  assert property (@(posedge clk_i) disable iff (!rst_ni) can_q |-> sound && !issue_i.skipped)
  else $error("ng_feed: an instruction changed before it was taken");
`endif
endmodule
