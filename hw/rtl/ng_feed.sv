// Reads the operands of CONTRACT: one pair of words per cycle, one instruction after the other.
//
// Takes instructions from the sequencer and passes each to the drain. Generates the addresses of A and B ahead of time,
// including the index of a token. Waits for the tokens of an instruction, for accumulators and for memory ports, then
// reads.
// Limits: ng_array multiplies, ng_drain drains.
//
// Pipeline: loops, index read, index times stride, address; the last stage holds until its read is granted.
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
  input  logic                              room_i,       // a tile may begin
  // INDEX memory: latency 1.
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

  // The counts of the next instruction.
  contract_t c;
  logic [11:0] n0, n2, rows, n2_rows, n2_drained;
  logic [12:0] nk, nk_fed;
  logic nothing, indexed, has_words, met_next;
  always_comb begin
    c  = contract_t'(issue_i.instruction);
    n0 = c.n0_source == CountTokens ? 12'(issue_i.place.tokens) : c.n0;
    n2 = c.n2_source == CountBlocks ? 12'(issue_i.place.blocks) : c.n2;
    unique case (c.nk_source)
      CountLength: nk = 13'(issue_i.place.length);
      CountTokens: nk = 13'(issue_i.place.tokens);
      default:     nk = c.nk;
    endcase
    unique case (c.rows_source)
      CountLength: rows = 12'(issue_i.place.length);
      CountTokens: rows = 12'(issue_i.place.tokens);
      default:     rows = c.rows;
    endcase
    nothing    = n0 == 0 || c.n1 == 0 || n2 == 0;
    nk_fed     = nk == 0 ? 13'd1 : nk;
    n2_rows    = 12'((13'(rows) + 13'(Lanes - 1)) >> Shift);
    n2_drained = n2_rows < n2 ? n2_rows : n2;
    has_words  = !nothing && !c.keep && rows != 0;
    indexed    = c.a_indexed != IndexedNone || c.b_indexed != IndexedNone;
    met_next   = met({c.wait_stream, c.wait_vector, c.wait_array}, retired_i);
  end

  // Stage 0: the instruction whose loops run.
  contract_t c_q;
  place_t place_q;
  logic [NumberBits-1:0] number_q;
  logic [11:0] drained_q;
  logic active_q, begins_q, nothing_q, reads_q, resumed_q, resumes_q;
  logic load, advance, last, last_k, g1_ready, g2_ready, g3_ready;
  logic [11:0] i0, i2;
  logic [12:0] k;
  logic [3:0] step;
  logic [WalkBits-1:0] a_at, b_at;
  logic sound, can_load, can_skip, push_skips;
  logic [NumberBits-1:0] skips_q;

  assign sound    = valid_i && issue_i.ok;
  assign can_load = sound && !issue_i.skipped && (!active_q || (advance && last)) && (!indexed || met_next);
  assign can_skip = sound && issue_i.skipped;
  // Consecutive skipped instructions are one entry for the drain, so that they do not fill its queue.
  assign push_skips  = skips_q != 0 && !can_skip;
  assign load        = can_load && job_ready_i && !push_skips;
  assign job_valid_o = can_load || push_skips;
  assign ready_o     = load || can_skip;
  always_comb begin
    job_o.number  = issue_i.number;
    job_o.skipped = push_skips;
    job_o.skips   = skips_q;
    job_o.words   = has_words && !push_skips;
    job_o.n0      = n0;
    job_o.n1      = c.n1;
    job_o.n2      = n2_drained;
    job_o.tail    = n2_rows <= n2 ? 13'(Shift'(rows - 12'd1)) + 13'd1 : 13'(Lanes);
    job_o.c       = c;
  end

  ng_loops u_loops (
    .clk_i,
    .load_i   (load),
    .advance_i(advance),
    .n0_i     (nothing ? 12'd1 : n0),
    .n1_i     (nothing ? 12'd1 : c.n1),
    .n2_i     (nothing ? 12'd1 : n2),
    .nk_i     (nothing ? 13'd1 : nk_fed),
    .tail_i   (nothing ? 13'd1 : nk_fed),
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

  // Whether the statistic, or the last word of the table, is outside its memory.
  logic outside;
  assign outside = (c_q.stat != StatNone && 32'(c_q.stat_slot) >= StatDepth) ||
                   (c_q.has_table && 32'({c_q.table_id, 8'hFF}) >= TableDepth);

  op_t op;
  logic [1:0] index_used;
  logic [1:0][13:0] index_at;
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
    op.outside     = outside;
    op.a_space     = space_e'(c_q.a_space);
    op.b_space     = space_e'(c_q.b_space);
    op.b_unsigned  = c_q.b_unsigned;
    op.k           = k;
    index_used[0]  = reads_q && c_q.a_indexed != IndexedNone && c_q.a_space != SpaceIdentity;
    index_used[1]  = reads_q && c_q.b_indexed != IndexedNone;
    index_at[0]    = 14'(place_q.first) + (c_q.a_indexed == IndexedLoop0 ? 14'(i0) : 14'(k));
    index_at[1]    = 14'(place_q.first) + (c_q.b_indexed == IndexedLoop0 ? 14'(i0) : 14'(k));
  end
  assign advance = active_q && g1_ready;
  for (genvar side = 0; side < 2; side++) begin : gen_index
    assign index_re_o[side]   = advance && index_used[side];
    assign index_addr_o[side] = IndexBits'(index_at[side]) + (place_q.sentence ? IndexBits'(Half) : '0);
  end

  // Stage 1: read index words. Stage 2: multiply by their strides. Stage 3: read operands.
  op_t g1_q, g2_q, g3_q;
  logic g1_valid_q, g2_valid_q, g3_valid_q, g1_past_q, g2_past_q, g3_past_q, met_q;
  logic [1:0] g1_used_q;
  logic [1:0][2:0] g1_column_q;
  logic [1:0][15:0] g1_stride_q;
  logic [1:0][WalkBits-1:0] g1_at_q, g2_at_q;
  logic [1:0][31:0] g2_index_q;
  logic [1:0][OperandBits-1:0] g3_at_q;
  logic [1:0][15:0] column;
  for (genvar side = 0; side < 2; side++) begin : gen_column
    assign column[side] = index_rdata_i[side][16*g1_column_q[side]+:16];
  end

  logic port_free, room_ok, go;
  assign port_free = !(g3_q.reads && ((g3_q.b_space == SpaceWeight && weight_b_busy_i) ||
                                      (g3_q.b_space == SpaceVector && vector_busy_i)));
  assign room_ok   = !g3_q.tile_begins || g3_q.nothing || room_i;
  assign go        = g3_valid_q && (met_q || !g3_q.begins) && room_ok && port_free;
  assign g3_ready  = !g3_valid_q || go;
  assign g2_ready  = !g2_valid_q || g3_ready;
  assign g1_ready  = !g1_valid_q || g2_ready;

  assign op_valid_o = go && !g3_q.nothing;
  assign op_o       = g3_q;
  assign a_addr_o   = g3_at_q[0];
  assign b_addr_o   = g3_at_q[1];
  assign begun_o    = go && g3_q.begins;
  assign fed_o      = go && g3_q.ends;
  assign tile_o     = go && g3_q.tile_ends;

  assign busy_o  = op_valid_o && g3_q.reads;
  assign wait_o  = (g3_valid_q && g3_q.begins && !met_q) ||
                   (!g3_valid_q && !g2_valid_q && !g1_valid_q && !active_q && sound && !issue_i.skipped && indexed &&
                    !met_next);
  assign drain_o = g3_valid_q && (met_q || !g3_q.begins) && !room_ok;
  assign stall_o = g3_valid_q && (met_q || !g3_q.begins) && room_ok && !port_free;
  assign waits_o = wait_o && retired_i[UnitArray] == (g3_valid_q ? g3_q.number : issue_i.number);

  // Whether the address is outside its memory.
  logic a_outside, b_outside;
  always_comb begin
    unique case (g3_q.a_space)
      SpaceWeight: a_outside = 64'(g3_at_q[0]) >= 64'(WeightDepth);
      SpaceKv:     a_outside = 64'(g3_at_q[0]) >= 64'(KvDepth);
      default:     a_outside = 1'b0;
    endcase
    unique case (g3_q.b_space)
      SpaceWeight: b_outside = 64'(g3_at_q[1]) >= 64'(WeightDepth);
      SpaceVector: b_outside = 64'(g3_at_q[1]) >= 64'(VectorDepth);
      default:     b_outside = 64'(g3_at_q[1]) >= 64'(ActDepth);
    endcase
  end

  fault_t fault_q;
  assign fault_o = fault_q;

  always_ff @(posedge clk_i) begin
    if (load) begin
      c_q       <= c;
      place_q   <= issue_i.place;
      number_q  <= issue_i.number;
      drained_q <= n2_drained;
      nothing_q <= nothing;
      reads_q   <= !nothing && nk != 0;
      resumes_q <= resumed_q;
    end
    if (g1_ready) begin
      g1_q        <= op;
      g1_at_q     <= {b_at, a_at};
      g1_used_q   <= index_used;
      g1_past_q   <= (index_used[0] && 32'(index_at[0]) >= Half) || (index_used[1] && 32'(index_at[1]) >= Half);
      g1_column_q <= {c_q.b_column, c_q.a_column};
      g1_stride_q <= {c_q.b_index_stride, c_q.a_index_stride};
    end
    if (g2_ready) begin
      g2_q      <= g1_q;
      g2_at_q   <= g1_at_q;
      g2_past_q <= g1_past_q;
      for (int side = 0; side < 2; side++) begin
        g2_index_q[side] <= g1_used_q[side] ? 32'(column[side]) * 32'(g1_stride_q[side]) : '0;
      end
    end
    if (g3_ready) begin
      g3_q      <= g2_q;
      g3_past_q <= g2_past_q;
      for (int side = 0; side < 2; side++) begin
        g3_at_q[side] <= OperandBits'(g2_at_q[side]) + OperandBits'(g2_index_q[side]);
      end
    end
    met_q <= met(g3_ready ? g2_q.waits : g3_q.waits, retired_i);

    fault_q.valid  <= 1'b0;
    fault_q.code   <= ErrorAddress;
    fault_q.number <= g3_q.number;
    if (go && ((g3_q.begins && g3_q.outside) || (g3_q.reads && (g3_past_q || a_outside || b_outside)))) begin
      fault_q.valid <= 1'b1;
    end else if (valid_i && !issue_i.ok && retired_i[UnitArray] == issue_i.number) begin
      fault_q.valid  <= 1'b1;
      fault_q.code   <= ErrorField;
      fault_q.number <= issue_i.number;
    end

    if (!rst_ni) begin
      skips_q       <= '0;
      active_q      <= 1'b0;
      begins_q      <= 1'b0;
      resumed_q     <= 1'b0;
      g1_valid_q    <= 1'b0;
      g2_valid_q    <= 1'b0;
      g3_valid_q    <= 1'b0;
      fault_q.valid <= 1'b0;
    end else begin
      if (can_skip) skips_q <= skips_q + 1'b1;
      else if (push_skips && job_ready_i) skips_q <= '0;
      if (load) begin
        active_q  <= 1'b1;
        begins_q  <= 1'b1;
        resumed_q <= c.keep;
      end else if (advance) begin
        begins_q <= 1'b0;
        if (last) active_q <= 1'b0;
      end
      if (g1_ready) g1_valid_q <= active_q;
      if (g2_ready) g2_valid_q <= g1_valid_q;
      if (g3_ready) g3_valid_q <= g2_valid_q;
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) g3_valid_q && !go |=>
                   g3_valid_q && $stable(g3_q) && $stable(g3_at_q))
  else $error("ng_feed: an operand changed before it was read");
  assert property (@(posedge clk_i) disable iff (!rst_ni) job_valid_o && job_ready_i && !job_o.skipped |-> ready_o)
  else $error("ng_feed: the drain gets an instruction that was not taken");
  assert property (@(posedge clk_i) disable iff (!rst_ni) tile_o |-> op_valid_o)
  else $error("ng_feed: a tile ends without an operand");
`endif
endmodule
