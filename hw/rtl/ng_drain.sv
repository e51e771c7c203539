// Drains tiles: selects their words, adds bias and residual, requantizes, looks up, writes, accumulates statistics.
//
// Drains one word per cycle, without a stall once a tile has begun. Instructions retire here, in order. The drain has
// the highest priority at every memory port that it uses.
// Limits: the accumulators are in ng_array; ng_drain_lane computes.
//
// Stages: 0 addresses; 1 requests, and the array is told; 2 copy; 3 select; 4 bias, residual; 5 left shifts; 6 sum, right
// shift; 7 saturate; 8 table; 8 + LookupLatency write; three for statistics. A tile begins in stage 0 before its sums
// are complete, so that they are when it is copied.
module ng_drain #(
  parameter int unsigned Lanes       = 8,
  parameter int unsigned WeightDepth = 64,
  parameter int unsigned KvDepth     = 64,
  parameter int unsigned ActDepth    = 64,
  parameter int unsigned VectorDepth = 64,
  parameter int unsigned ScoreDepth  = 64,
  parameter int unsigned WideDepth   = 64,
  parameter int unsigned StatDepth   = 4,
  parameter int unsigned BiasDepth   = 64,
  parameter int unsigned TableDepth  = 256,
  localparam int unsigned BiasBits  = ng_pkg::addr_bits(BiasDepth),
  localparam int unsigned TableBits = ng_pkg::addr_bits(TableDepth),
  localparam int unsigned StatWidth = ng_isa_pkg::word_bits(ng_isa_pkg::MemoryStat, Lanes)
) (
  input  logic                             clk_i,
  input  logic                             rst_ni,
  // Instructions, and the progress of the feed.
  input  logic                             job_valid_i,
  output logic                             job_ready_o,
  input  ng_pkg::job_t                     job_i,
  input  logic                             begun_i,
  input  logic                             fed_i,
  input  logic                             tile_i,
  output logic                             room_o,
  // The array: it copies a tile one cycle after take_o; word_i is selected two cycles before.
  output logic                             take_o,
  output logic                             columns_o,
  output logic [$clog2(Lanes)-1:0]         select_o,
  input  logic [Lanes-1:0][31:0]           word_i,
  // Residuals: words arrive WordLatency cycles after the request.
  output logic                             residual_valid_o,
  output ng_isa_pkg::space_e               residual_space_o,
  output logic [ng_pkg::WalkBits-1:0]      residual_addr_o,
  input  logic [Lanes-1:0][7:0]            weight_i,
  input  logic [Lanes-1:0][7:0]            vector_i,
  input  logic [Lanes-1:0][15:0]           wide_i,
  // BIAS: WordLatency; TABLE: LookupLatency.
  output logic                             bias_re_o,
  output logic [BiasBits-1:0]              bias_addr_o,
  input  logic [31:0]                      bias_i,
  output logic                             table_re_o,
  output logic [Lanes-1:0][TableBits-1:0]  table_addr_o,
  input  logic [Lanes-1:0][7:0]            table_i,
  // Writes.
  output logic                             write_valid_o,
  output ng_isa_pkg::space_e               write_space_o,
  output logic [ng_isa_pkg::AddressBits-1:0] write_addr_o,
  output logic [Lanes-1:0][15:0]           write_o,
  output logic                             stat_we_o,
  output logic [ng_isa_pkg::SlotBits-1:0]  stat_addr_o,
  output logic [StatWidth-1:0]             stat_o,
  output logic [ng_pkg::NumberBits-1:0]    retire_o,     // number of instructions that end
  output ng_pkg::fault_t                   fault_o,
  // For an observer: what is written, before the table.
  output logic [ng_pkg::NumberBits-1:0]    probe_number_o,
  output logic                             probe_table_o,
  output logic [Lanes-1:0][15:0]           probe_before_o
);
  import ng_isa_pkg::*;
  import ng_pkg::*;
  localparam int unsigned LaneBits = $clog2(Lanes);
  // The stages of memory requests, whose words arrive in stage 4, and of writes.
  localparam int unsigned Ask = 4 - WordLatency;
  localparam int unsigned Write = 8 + LookupLatency;
  if (WordLatency < 2 || WordLatency > 3) begin : gen_check
    $error("ng_drain: WordLatency must be 2 or 3");
  end

  // The instruction that is drained, and the next one.
  job_t next, job_q;
  logic next_valid, next_take, job_valid_q;
  ng_fifo #(
    .Width($bits(job_t)),
    .Depth(8)
  ) u_jobs (
    .clk_i,
    .rst_ni,
    .valid_i(job_valid_i),
    .ready_o(job_ready_o),
    .data_i (job_i),
    .valid_o(next_valid),
    .ready_i(next_take),
    .data_o (next)
  );

  // Instructions that have begun or were fed and have not ended; tiles that were fed and have not begun to be drained,
  // and of these the ones whose sums are complete in time.
  logic [3:0] begun_q, fed_q;
  logic [1:0] tiles_q, tiles, full_q;
  logic [WordLatency:1] ended_q;

  // The loop over the words. `inside_q`: in a tile, after its first word; `words_q`: the instruction has words left.
  logic words_q, inside_q, begin_tile, issue, ends, last, last_2, last_tile, last_k, biased_columns;
  logic [3:0] step;
  logic [12:0] k;
  logic [WalkBits-1:0] c_at, residual_at, bias_at;
  logic needs_vector_q, single_q;
  logic [1:0] filled_q;

  assign biased_columns = job_q.c.bias && job_q.c.columns;
  assign begin_tile     = !inside_q && words_q && full_q != 0 && (!needs_vector_q || filled_q != 0);
  assign issue          = inside_q || begin_tile;
  // The instruction ends with this slot: its last word, or a slot without a word.
  assign ends = job_valid_q && (job_q.skipped || fed_q != 0) && (!words_q || (issue && last));
  assign next_take = next_valid && (!job_valid_q || ends);

  ng_loops u_loops (
    .clk_i,
    .rst_ni,
    .load_i   (next_take),
    .advance_i(issue),
    .n0_i     (next.n0),
    .n1_i     (next.n1),
    .n2_i     (next.n2),
    .nk_i     (13'(Lanes)),
    .tail_i   (next.tail),
    .i0_o     (),
    .i1_o     (),
    .i2_o     (),
    .k_o      (k),
    .last_k_o (last_k),
    .last_2_o (last_2),
    .last_tile_o(last_tile),
    .last_o   (last),
    .left_o   (),
    .step_o   (step)
  );
  ng_walk #(
    .Width(WalkBits)
  ) u_walk_c (
    .clk_i,
    .load_i   (next_take),
    .advance_i(issue),
    .step_i   (step),
    .base_i   (WalkBits'(next.c.c_base)),
    .stride0_i(job_q.c.c_stride0),
    .stride1_i(job_q.c.c_stride1),
    .stride2_i(job_q.c.c_stride2),
    .stridek_i(job_q.c.c_stridew),
    .addr_o   (c_at)
  );
  ng_walk #(
    .Width(WalkBits)
  ) u_walk_residual (
    .clk_i,
    .load_i   (next_take),
    .advance_i(issue),
    .step_i   (step),
    .base_i   (WalkBits'(next.c.residual_base)),
    .stride0_i(job_q.c.c_stride0),
    .stride1_i(job_q.c.c_stride1),
    .stride2_i(job_q.c.c_stride2),
    .stridek_i(job_q.c.c_stridew),
    .addr_o   (residual_at)
  );
  ng_walk #(
    .Width(WalkBits)
  ) u_walk_bias (
    .clk_i,
    .load_i   (next_take),
    .advance_i(issue),
    .step_i   (step),
    .base_i   (WalkBits'(next.c.bias_base)),
    .stride0_i(job_q.c.c_stride0),
    .stride1_i(job_q.c.c_stride1),
    .stride2_i(job_q.c.c_stride2),
    .stridek_i(job_q.c.c_stridew),
    .addr_o   (bias_at)
  );

  // Whether an operand of a new tile may be read in the next cycle: the tile before it must be copied before the first
  // product of the new one is added. That one waits for nothing but its sums, or for the `left` words after this one, so
  // it is copied in time if left <= WordLatency. Only the number of words of the last tile of loop 2 varies.
  logic near, soon, room_q;
  logic [LaneBits-1:0] near_tail_q;
  assign near  = LaneBits'(k) >= (last_2 ? near_tail_q : LaneBits'(Lanes - 1 - WordLatency));
  assign tiles = tiles_q + 2'(tile_i) - 2'(begin_tile);
  always_comb begin
    if (!issue) begin
      soon = words_q && (!needs_vector_q || filled_q != 0);
    end else if (last_tile) begin
      soon = near && next_valid && next.words && !(next.c.bias && next.c.columns);
    end else begin
      soon = near && (!biased_columns || !last_2 || single_q || filled_q[1] || (filled_q[0] && !needs_vector_q));
    end
  end
  assign room_o = room_q;
  always_ff @(posedge clk_i) begin
    room_q <= rst_ni && (tiles == 0 || (tiles == 1 && soon));
    if (next_take) begin
      near_tail_q <= next.tail > 13'(WordLatency + 1) ? LaneBits'(next.tail - 13'(WordLatency + 1)) : '0;
      single_q    <= next.n1 == 12'd1;
    end
  end

  // Bias by columns: the N biases of a turn of loop 1, prefetched for at most two turns; the lanes hold those in use. An
  // instruction may arrive long before its tokens are met, so its biases are read only after it has begun. After the
  // last turn the prefetch continues with the first one, so all addresses are valid.
  // They are copied to the lanes for stage 4 of a turn's first word.
  logic wants_q, from_q, into_q, vector_re, row_re, uses, filled_now;
  logic [1:0] reserved_q;
  logic [11:0] reading_i1_q, top_i1_q;
  logic [LaneBits-1:0] reading_at_q;
  logic [4:1] came_q;
  logic [4:1][LaneBits-1:0] came_at_q;
  logic [2:1] uses_q;
  logic [3:1] uses_from_q;
  logic [WalkBits-1:0] vector_at_q;
  logic [1:0][Lanes-1:0] fill_q;
  logic [1:0][Lanes-1:0][31:0] spare_q;
  assign uses       = begin_tile && needs_vector_q;
  assign vector_re  = wants_q && begun_q != 0 && (reading_at_q != 0 || reserved_q != 2'd2);
  assign filled_now = came_q[4] && came_at_q[4] == LaneBits'(Lanes - 1);
  assign row_re     = issue && job_q.c.bias && !job_q.c.columns;

  always_ff @(posedge clk_i) begin
    came_at_q   <= {came_at_q[3:1], reading_at_q};
    uses_from_q <= {uses_from_q[2:1], from_q};
    for (int unsigned half = 0; half < 2; half++) begin
      for (int unsigned lane = 0; lane < Lanes; lane++) begin
        fill_q[half][lane] <= came_q[3] && came_at_q[3] == LaneBits'(lane) && (into_q ^ filled_now) == 1'(half);
        if (fill_q[half][lane]) spare_q[half][lane] <= bias_i;
      end
    end
    if (next_take) fill_q <= '0;
    if (vector_re) begin
      reading_at_q <= reading_at_q + 1'b1;
      vector_at_q  <= vector_at_q + 1'b1;
      if (reading_at_q == LaneBits'(Lanes - 1)) begin
        reading_i1_q <= reading_i1_q == top_i1_q ? '0 : reading_i1_q + 12'd1;
        if (reading_i1_q == top_i1_q) vector_at_q <= WalkBits'(job_q.c.bias_base);
      end
    end
    if (next_take) begin
      reading_at_q <= '0;
      reading_i1_q <= '0;
      top_i1_q     <= next.n1 - 12'd1;
      vector_at_q  <= WalkBits'(next.c.bias_base);
    end
    // The first tile of an instruction needs biases, and every tile after loop 1 has advanced.
    if (next_take) needs_vector_q <= next.c.bias && next.c.columns;
    else if (issue && (step[2] || step[3])) needs_vector_q <= biased_columns && !single_q;
    else if (uses) needs_vector_q <= 1'b0;
    if (!rst_ni || next_take) begin
      wants_q    <= rst_ni && next.words && next.c.bias && next.c.columns;
      came_q     <= '0;
      reserved_q <= '0;
      filled_q   <= '0;
      into_q     <= 1'b0;
      from_q     <= 1'b0;
    end else begin
      came_q     <= {came_q[3:1], vector_re};
      reserved_q <= reserved_q + 2'(vector_re && reading_at_q == 0) - 2'(uses);
      filled_q   <= filled_q + 2'(filled_now) - 2'(uses);
      if (filled_now) into_q <= !into_q;
      if (uses) from_q <= !from_q;
    end
    uses_q <= rst_ni ? {uses_q[1], uses} : '0;
  end
  // Stage 0. A left shift of the result is applied to both its terms, so later stages shift to the right only.
  word_t w0;
  logic [4:0] left_shift;
  assign left_shift = job_q.c.shift[5] ? 5'(-job_q.c.shift) : '0;
  always_comb begin
    w0.valid          = issue;
    w0.retires        = ends;
    w0.amount         = !ends ? '0 : job_q.skipped ? job_q.skips : NumberBits'(1);
    w0.number         = job_q.number;
    w0.address        = AddressBits'(c_at);
    w0.space          = space_e'(job_q.c.c_space);
    w0.columns        = job_q.c.columns;
    w0.bias           = job_q.c.bias;
    w0.acc_shift      = 6'(job_q.c.acc_shift) + 6'(left_shift);
    w0.residual_shift = 6'(job_q.c.residual_shift) + 6'(left_shift);
    w0.residual_space = w0.residual_shift[5] ? SpaceNone : space_e'(job_q.c.residual_space);
    w0.shift          = job_q.c.shift[5] ? '0 : job_q.c.shift[4:0];
    w0.bits           = job_q.c.bits;
    w0.is_unsigned    = job_q.c.is_unsigned;
    w0.has_table      = job_q.c.has_table;
    w0.table_id       = job_q.c.table_id;
    w0.stat           = job_q.skipped || job_q.c.keep ? StatNone : stat_e'(job_q.c.stat);
    w0.slot           = job_q.c.stat_slot;
  end

  // Requests, from stage 1 on; and the address that is written, with all its bits.
  typedef struct packed {
    logic                residual_valid;
    space_e              residual_space;
    logic [WalkBits-1:0] residual;
    logic                bias_valid;
    logic [WalkBits-1:0] bias;
  } ask_t;
  ask_t ask_q[1:Ask];
  logic take_q;
  logic [WalkBits-1:0] c_q;
  logic [2:1][LaneBits-1:0] select_q;
  word_t w_q[1:Write+3];
  assign take_o           = take_q;
  assign columns_o        = w_q[2].columns;
  assign select_o         = select_q[2];
  assign residual_valid_o = ask_q[Ask].residual_valid;
  assign residual_space_o = ask_q[Ask].residual_space;
  assign residual_addr_o  = ask_q[Ask].residual;
  assign bias_re_o        = ask_q[Ask].bias_valid;
  assign bias_addr_o      = BiasBits'(ask_q[Ask].bias);
  always_ff @(posedge clk_i) begin
    ask_q[1].residual_valid <= issue && job_q.c.residual_space != SpaceNone;
    ask_q[1].residual_space <= space_e'(job_q.c.residual_space);
    ask_q[1].residual       <= residual_at;
    ask_q[1].bias_valid     <= row_re || vector_re;
    ask_q[1].bias           <= row_re ? bias_at : vector_at_q;
    for (int unsigned n = 2; n <= Ask; n++) ask_q[n] <= ask_q[n-1];  // uncovered: empty with WordLatency 3
    take_q   <= rst_ni && begin_tile;
    c_q      <= c_at;
    select_q <= {select_q[1], LaneBits'(k)};
    w_q[1]   <= w0;
    for (int unsigned n = 2; n <= Write + 3; n++) w_q[n] <= w_q[n-1];
    if (!rst_ni) begin
      for (int unsigned n = 1; n <= Ask; n++) {ask_q[n].residual_valid, ask_q[n].bias_valid} <= '0;
      for (int unsigned n = 1; n <= Write + 3; n++) {w_q[n].valid, w_q[n].retires} <= '0;
    end
  end

  logic c_outside, residual_outside, bias_outside;
  always_comb begin
    unique case (w_q[1].space)
      SpaceKv:    c_outside = 32'(c_q) >= KvDepth;
      SpaceScore: c_outside = 32'(c_q) >= ScoreDepth;
      SpaceWide:  c_outside = 32'(c_q) >= WideDepth;
      default:    c_outside = 32'(c_q) >= ActDepth;
    endcase
    unique case (ask_q[1].residual_space)
      SpaceWeight: residual_outside = 32'(ask_q[1].residual) >= WeightDepth;
      SpaceVector: residual_outside = 32'(ask_q[1].residual) >= VectorDepth;
      SpaceWide:   residual_outside = 32'(ask_q[1].residual) >= WideDepth;
      default:     residual_outside = 1'b0;
    endcase
    bias_outside = 32'(ask_q[1].bias) >= BiasDepth;
  end

  // The unit is stopped before such a word is written.
  fault_t fault_q;
  assign fault_o = fault_q;
  always_ff @(posedge clk_i) begin
    fault_q.code   <= ErrorAddress;
    fault_q.number <= w_q[1].number;
    fault_q.valid  <= rst_ni && ((w_q[1].valid && c_outside) || (ask_q[1].residual_valid && residual_outside) ||
                                 (ask_q[1].bias_valid && bias_outside));
  end

  always_ff @(posedge clk_i) begin
    if (next_take) job_q <= next;
    if (!rst_ni) begin
      job_valid_q <= 1'b0;
      words_q     <= 1'b0;
      inside_q    <= 1'b0;
      begun_q     <= '0;
      fed_q       <= '0;
      tiles_q     <= '0;
      full_q      <= '0;
      ended_q     <= '0;
    end else begin
      if (next_take) job_valid_q <= 1'b1;
      else if (ends) job_valid_q <= 1'b0;
      if (next_take) words_q <= next.words;
      else if (issue && last) words_q <= 1'b0;
      if (issue) inside_q <= !last_k;
      begun_q <= begun_q + 4'(begun_i) - 4'(ends && !job_q.skipped);
      fed_q   <= fed_q + 4'(fed_i) - 4'(ends && !job_q.skipped);
      tiles_q <= tiles;
      full_q  <= full_q + 2'(ended_q[WordLatency]) - 2'(begin_tile);
      ended_q <= {ended_q[WordLatency-1:1], tile_i};
    end
  end

  // What is the same for all lanes: the rounding constant and the mask of saturation.
  logic [31:0] half_q;
  logic [15:0] above_q;
  always_ff @(posedge clk_i) begin
    half_q  <= rounding_half({1'b0, w_q[4].shift});
    above_q <= saturation_mask(w_q[6].bits, w_q[6].is_unsigned);
  end

  logic [Lanes-1:0][StatSumBits-1:0] sum;
  logic [Lanes-1:0][StatSquareBits-1:0] square;
  logic [Lanes-1:0][StatMaxBits-1:0] largest;
  logic restarts;
  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    logic [7:0] index;
    ng_drain_lane u_lane (
      .clk_i,
      .rst_ni,
      .load_i          (uses_q[2]),
      .from_i          (uses_from_q[3]),
      .lane_biases_i   ({spare_q[1][lane], spare_q[0][lane]}),
      .word_i          (word_i[lane]),
      .bias_i          (w_q[4].bias),
      .columns_i       (w_q[4].columns),
      .word_bias_i     (bias_i),
      .residual_space_i(w_q[4].residual_space),
      .weight_i        (weight_i[lane]),
      .vector_i        (vector_i[lane]),
      .wide_i          (wide_i[lane]),
      .acc_shift_i     (w_q[5].acc_shift),
      .residual_shift_i(w_q[5].residual_shift[4:0]),
      .half_i          (half_q),
      .shift_i         (w_q[6].shift),
      .above_i         (above_q),
      .is_unsigned_i   (w_q[7].is_unsigned),
      .index_o         (index),
      .table_i         (table_i[lane]),
      .has_table_i     (w_q[Write].has_table),
      .is_wide_i       (w_q[Write].space == SpaceWide),
      .valid_i         (w_q[Write].valid),
      .before_o        (probe_before_o[lane]),
      .written_o       (write_o[lane]),
      .counts_i        (w_q[Write+2].valid),
      .restarts_i      (restarts),
      .sum_o           (sum[lane]),
      .square_o        (square[lane]),
      .max_o           (largest[lane])
    );
    assign table_addr_o[lane] = TableBits'({w_q[8].table_id, index});
  end
  assign table_re_o     = w_q[8].valid && w_q[8].has_table;
  assign write_valid_o  = w_q[Write].valid;
  assign write_space_o  = w_q[Write].space;
  assign write_addr_o   = w_q[Write].address;
  assign retire_o       = w_q[Write].retires ? w_q[Write].amount : '0;
  assign probe_number_o = w_q[Write].number;
  assign probe_table_o  = w_q[Write].has_table;

  // Statistics: those of an instruction are complete in the last stage of its last slot, where those of the next may
  // begin.
  logic [StatCountBits-1:0] count_q, count_before;
  assign restarts     = w_q[Write+3].retires;
  assign count_before = restarts ? '0 : count_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) count_q <= '0;
    else count_q <= w_q[Write+2].valid && count_before != '1 ? count_before + 1'b1 : count_before;
  end
  assign stat_we_o   = restarts && w_q[Write+3].stat != StatNone && 32'(w_q[Write+3].slot) < StatDepth;
  assign stat_addr_o = w_q[Write+3].slot;
  // All numbers are stored for both kinds; the kind tells which are used.
  assign stat_o = {w_q[Write+3].stat, count_q, largest, square, sum};

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) begin_tile |-> tiles_q != 0)
  else $error("ng_drain: a tile is taken that was not fed");
  assert property (@(posedge clk_i) disable iff (!rst_ni) tiles_q != 2'd3)
  else $error("ng_drain: more tiles than the array holds");
  assert property (@(posedge clk_i) disable iff (!rst_ni) row_re |-> !vector_re)
  else $error("ng_drain: two readers of BIAS");
  assert property (@(posedge clk_i) disable iff (!rst_ni) begun_i && !(ends && !job_q.skipped) |-> begun_q != '1)
  else $error("ng_drain: too many instructions have begun");
  assert property (@(posedge clk_i) disable iff (!rst_ni) fed_q <= begun_q)
  else $error("ng_drain: an instruction was fed before it began");
  assert property (@(posedge clk_i) disable iff (!rst_ni) filled_q + 2'(filled_now) <= 2'd2)
  else $error("ng_drain: biases overwrite others that are still needed");
`endif
endmodule
