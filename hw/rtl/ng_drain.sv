// Drains tiles: selects their words, adds bias and residual, requantizes, looks up, writes, accumulates statistics.
//
// Drains one word per cycle, without a stall once a tile has begun. Instructions retire here, in order. The drain has
// the highest priority at every memory port that it uses.
// Limits: the accumulators are in ng_array.
//
// Stages: 0 addresses; 1 select; 2 bias, residual, left shifts; 3 sum, half; 4 right shift; 5 saturate; 6 table;
// 7 write; 8, 9 statistics.
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
  // The array.
  input  logic                             full_i,
  output logic                             take_o,
  output logic                             columns_o,
  output logic [$clog2(Lanes)-1:0]         select_o,
  input  logic [Lanes-1:0][31:0]           word_i,
  // Residuals: words arrive two cycles after the request.
  output logic                             residual_valid_o,
  output ng_isa_pkg::space_e               residual_space_o,
  output logic [ng_pkg::WalkBits-1:0]      residual_addr_o,
  input  logic [Lanes-1:0][7:0]            weight_i,
  input  logic [Lanes-1:0][7:0]            vector_i,
  input  logic [Lanes-1:0][15:0]           wide_i,
  // BIAS: latency 2; TABLE: latency 1.
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
  // Cycles from the read of an operand to its sum, minus one.
  localparam int unsigned Pipe = 4;

  // The instruction that is drained, and the next one.
  job_t next, job_q;
  logic next_valid, next_take, job_valid_q, words_done_q;
  ng_fifo #(
    .Width($bits(job_t)),
    .Depth(4)
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

  // Instructions that have begun or were fed and have not ended; tiles that were fed and not yet taken.
  logic [3:0] begun_q, fed_q;
  logic [1:0] tiles_q;

  // The loop over the words. `inside_q`: in a tile, after its first word.
  logic inside_q, issue, ends, last, last_2, last_tile, last_k, has_tile, biased_columns;
  logic [3:0] step;
  logic [12:0] k, left;
  logic [11:0] i1;
  logic [WalkBits-1:0] c_at, residual_at, bias_at;
  logic vector_ready, needs_vector;

  assign has_tile       = job_valid_q && job_q.words && !words_done_q;
  assign biased_columns = job_q.c.bias && job_q.c.columns;
  assign take_o         = !inside_q && has_tile && full_i && (!needs_vector || vector_ready);
  assign issue          = inside_q || take_o;
  // The instruction ends with this slot: its last word, or a slot without a word.
  assign ends = job_valid_q && (job_q.skipped || fed_q != 0) &&
                (!job_q.words || words_done_q || (issue && last));
  assign next_take = next_valid && (!job_valid_q || ends);

  ng_loops u_loops (
    .clk_i,
    .load_i   (next_take),
    .advance_i(issue),
    .n0_i     (next.n0),
    .n1_i     (next.n1),
    .n2_i     (next.n2),
    .nk_i     (13'(Lanes)),
    .tail_i   (next.tail),
    .i0_o     (),
    .i1_o     (i1),
    .i2_o     (),
    .k_o      (k),
    .last_k_o (last_k),
    .last_2_o (last_2),
    .last_tile_o(last_tile),
    .last_o   (last),
    .left_o   (left),
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

  // A tile may begin if the previous one is taken before its first product is added. How long the current tile takes is
  // known; the next one must not have to wait for anything else.
  logic soon;
  always_comb begin
    if (inside_q) begin
      soon = 32'(left) < Pipe &&
             (last_tile ? next_valid && next.words && !(next.c.bias && next.c.columns)
                        : !biased_columns || vector_ready || !last_2 || job_q.n1 == 12'd1);
    end else begin
      soon = has_tile && (!needs_vector || vector_ready);
    end
  end
  assign room_o = tiles_q == 0 || (tiles_q == 1 && soon);

  // Bias by columns: the N biases of a turn of loop 1, prefetched for at most two turns; `vector_q` is in use. An
  // instruction may arrive long before its tokens are met, so its biases are read only after it has begun. After the
  // last turn the prefetch continues with the first one, so all addresses are valid.
  logic fresh_vector_q, load_q, wants_q, from_q, load_from_q, into_q, vector_re, row_re, filled_now;
  logic [1:0] reserved_q, filled_q;
  logic [11:0] reading_i1_q, vector_i1_q;
  logic [LaneBits-1:0] reading_at_q;
  logic [2:1] came_q;
  logic [2:1][LaneBits-1:0] came_at_q;
  logic [WalkBits-1:0] vector_at_q;
  logic [1:0][Lanes-1:0][31:0] spare_q;
  logic [Lanes-1:0][31:0] vector_q;
  assign needs_vector = biased_columns && (fresh_vector_q || i1 != vector_i1_q);
  assign vector_ready = filled_q != 0;
  assign vector_re    = wants_q && begun_q != 0 && (reading_at_q != 0 || reserved_q != 2'd2);
  assign filled_now   = came_q[2] && came_at_q[2] == LaneBits'(Lanes - 1);
  assign row_re       = issue && job_q.c.bias && !job_q.c.columns;
  assign bias_re_o    = row_re || vector_re;
  assign bias_addr_o  = row_re ? BiasBits'(bias_at) : BiasBits'(vector_at_q);

  always_ff @(posedge clk_i) begin
    came_at_q <= {came_at_q[1], reading_at_q};
    if (came_q[2]) spare_q[into_q][came_at_q[2]] <= bias_i;
    if (load_q) vector_q <= spare_q[load_from_q];
    load_from_q <= from_q;
    if (take_o && needs_vector) vector_i1_q <= i1;
    if (vector_re) begin
      reading_at_q <= reading_at_q + 1'b1;
      vector_at_q  <= vector_at_q + 1'b1;
      if (reading_at_q == LaneBits'(Lanes - 1)) begin
        reading_i1_q <= reading_i1_q == job_q.n1 - 12'd1 ? '0 : reading_i1_q + 12'd1;
        if (reading_i1_q == job_q.n1 - 12'd1) vector_at_q <= WalkBits'(job_q.c.bias_base);
      end
    end
    if (next_take) begin
      reading_at_q   <= '0;
      reading_i1_q   <= '0;
      vector_at_q    <= WalkBits'(next.c.bias_base);
      fresh_vector_q <= 1'b1;
    end else if (take_o && needs_vector) begin
      fresh_vector_q <= 1'b0;
    end
    if (!rst_ni || next_take) begin
      wants_q    <= rst_ni && next.words && next.c.bias && next.c.columns;
      came_q     <= '0;
      reserved_q <= '0;
      filled_q   <= '0;
      into_q     <= 1'b0;
      from_q     <= 1'b0;
    end else begin
      came_q     <= {came_q[1], vector_re};
      reserved_q <= reserved_q + 2'(vector_re && reading_at_q == 0) - 2'(take_o && needs_vector);
      filled_q   <= filled_q + 2'(filled_now) - 2'(take_o && needs_vector);
      if (filled_now) into_q <= !into_q;
      if (take_o && needs_vector) from_q <= !from_q;
    end
    load_q <= rst_ni && take_o && needs_vector;
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
    w0.residual_space = space_e'(job_q.c.residual_space);
    w0.residual_shift = 6'(job_q.c.residual_shift) + 6'(left_shift);
    w0.shift          = job_q.c.shift[5] ? '0 : job_q.c.shift[4:0];
    w0.bits           = job_q.c.bits;
    w0.is_unsigned    = job_q.c.is_unsigned;
    w0.has_table      = job_q.c.has_table;
    w0.table_id       = job_q.c.table_id;
    w0.stat           = job_q.skipped || job_q.c.keep ? StatNone : stat_e'(job_q.c.stat);
    w0.slot           = job_q.c.stat_slot;
  end
  assign residual_valid_o = issue && job_q.c.residual_space != SpaceNone;
  assign residual_space_o = space_e'(job_q.c.residual_space);
  assign residual_addr_o  = residual_at;

  logic c_outside, residual_outside, bias_outside;
  always_comb begin
    unique case (job_q.c.c_space)
      SpaceKv:    c_outside = 32'(c_at) >= KvDepth;
      SpaceScore: c_outside = 32'(c_at) >= ScoreDepth;
      SpaceWide:  c_outside = 32'(c_at) >= WideDepth;
      default:    c_outside = 32'(c_at) >= ActDepth;
    endcase
    unique case (job_q.c.residual_space)
      SpaceWeight: residual_outside = 32'(residual_at) >= WeightDepth;
      SpaceVector: residual_outside = 32'(residual_at) >= VectorDepth;
      SpaceWide:   residual_outside = 32'(residual_at) >= WideDepth;
      default:     residual_outside = 1'b0;
    endcase
    bias_outside = row_re && 32'(bias_at) >= BiasDepth;
  end

  fault_t fault_q;
  assign fault_o = fault_q;
  always_ff @(posedge clk_i) begin
    fault_q.code   <= ErrorAddress;
    fault_q.number <= job_q.number;
    fault_q.valid  <= rst_ni && ((issue && (c_outside || residual_outside || bias_outside)) ||
                                 (vector_re && 32'(vector_at_q) >= BiasDepth));
  end

  always_ff @(posedge clk_i) begin
    if (next_take) job_q <= next;
    if (!rst_ni) begin
      job_valid_q  <= 1'b0;
      words_done_q <= 1'b0;
      inside_q     <= 1'b0;
      begun_q      <= '0;
      fed_q        <= '0;
      tiles_q      <= '0;
    end else begin
      if (next_take) job_valid_q <= 1'b1;
      else if (ends) job_valid_q <= 1'b0;
      if (next_take || ends) words_done_q <= 1'b0;
      else if (issue && last) words_done_q <= 1'b1;
      if (issue) inside_q <= !last_k;
      begun_q <= begun_q + 4'(begun_i) - 4'(ends && !job_q.skipped);
      fed_q   <= fed_q + 4'(fed_i) - 4'(ends && !job_q.skipped);
      tiles_q <= tiles_q + 2'(tile_i) - 2'(take_o);
    end
  end

  // Stages 1 to 9.
  word_t w1_q, w2_q, w3_q, w4_q, w5_q, w6_q, w7_q, w8_q, w9_q;
  logic [LaneBits-1:0] select_q;
  assign columns_o = w1_q.columns;
  assign select_o  = select_q;
  always_ff @(posedge clk_i) begin
    w1_q     <= w0;
    w2_q     <= w1_q;
    w3_q     <= w2_q;
    w4_q     <= w3_q;
    w5_q     <= w4_q;
    w6_q     <= w5_q;
    w7_q     <= w6_q;
    w8_q     <= w7_q;
    w9_q     <= w8_q;
    select_q <= LaneBits'(k);
    if (!rst_ni) begin
      {w1_q.valid, w2_q.valid, w3_q.valid, w4_q.valid, w5_q.valid, w6_q.valid, w7_q.valid, w8_q.valid} <= '0;
      {w1_q.retires, w2_q.retires, w3_q.retires, w4_q.retires, w5_q.retires, w6_q.retires} <= '0;
      {w7_q.retires, w8_q.retires, w9_q.retires} <= '0;
    end
  end

  logic [Lanes-1:0][31:0] v3_q, r3_q, v4_q, v5_q;
  logic [Lanes-1:0][15:0] q6_q, q7_q, q8_q;
  logic [Lanes-1:0][31:0] square8_q;
  logic [Lanes-1:0][15:0] written;
  logic [31:0] half_q;  // rounding constant, the same for all lanes
  assign table_re_o = w6_q.valid && w6_q.has_table;
  always_ff @(posedge clk_i) half_q <= rounding_half({1'b0, w2_q.shift});
  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    logic [31:0] bias, residual;
    logic [15:0] looked_up;
    assign bias = !w2_q.bias ? '0 : w2_q.columns ? vector_q[lane] : bias_i;
    always_comb begin
      unique case (w2_q.residual_space)
        SpaceWeight: residual = 32'(signed'(weight_i[lane]));
        SpaceVector: residual = 32'(signed'(vector_i[lane]));
        SpaceWide:   residual = 32'(signed'(wide_i[lane]));
        default:     residual = '0;
      endcase
    end
    assign looked_up = w7_q.has_table ? 16'(signed'(table_i[lane])) : q7_q[lane];
    assign written[lane] = w7_q.space == SpaceWide ? looked_up : 16'(signed'(looked_up[7:0]));
    assign table_addr_o[lane] = TableBits'({w6_q.table_id, q6_q[lane][7:0]});
    always_ff @(posedge clk_i) begin
      v3_q[lane]      <= (word_i[lane] + bias) << w2_q.acc_shift[4:0];
      r3_q[lane]      <= residual << w2_q.residual_shift[4:0];
      v4_q[lane]      <= v3_q[lane] + r3_q[lane] + half_q;
      v5_q[lane]      <= 32'(signed'(v4_q[lane]) >>> w4_q.shift);
      q6_q[lane]      <= saturated(v5_q[lane], w5_q.bits, w5_q.is_unsigned);
      q7_q[lane]      <= q6_q[lane];
      q8_q[lane]      <= written[lane];
      square8_q[lane] <= 32'(signed'(written[lane])) * 32'(signed'(written[lane]));
      if (w2_q.acc_shift[5]) v3_q[lane] <= '0;
      if (w2_q.residual_shift[5]) r3_q[lane] <= '0;
      if (!rst_ni || !w7_q.valid) begin
        q8_q[lane]      <= '0;
        square8_q[lane] <= '0;
      end
    end
  end
  assign write_valid_o  = w7_q.valid;
  assign write_space_o  = w7_q.space;
  assign write_addr_o   = w7_q.address;
  assign write_o        = written;
  assign retire_o       = w7_q.retires ? w7_q.amount : '0;
  assign probe_number_o = w7_q.number;
  assign probe_table_o  = w7_q.has_table;
  assign probe_before_o = q7_q;

  // Statistics: those of an instruction are complete in stage 9 of its last slot, where those of the next may begin.
  logic [Lanes-1:0][StatSumBits-1:0] sum;
  logic [Lanes-1:0][StatSquareBits-1:0] square;
  logic [Lanes-1:0][StatMaxBits-1:0] largest;
  logic [StatCountBits-1:0] count_q, count_before;
  logic anew;
  assign anew         = w9_q.retires;
  assign count_before = anew ? '0 : count_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) count_q <= '0;
    else count_q <= w8_q.valid && count_before != '1 ? count_before + 1'b1 : count_before;
  end
  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_stat
    logic [StatSumBits-1:0] sum_q;
    logic [StatSquareBits-1:0] square_q;
    logic [StatMaxBits-1:0] max_q;
    always_ff @(posedge clk_i) begin
      sum_q    <= StatSumBits'(signed'(q8_q[lane])) + (anew ? '0 : sum_q);
      square_q <= StatSquareBits'(square8_q[lane]) + (anew ? '0 : square_q);
      if (w8_q.valid && (anew ? 8'sh80 : $signed(max_q)) < $signed(q8_q[lane][7:0])) max_q <= q8_q[lane][7:0];
      else if (anew) max_q <= 8'h80;
      if (!rst_ni) begin
        sum_q    <= '0;
        square_q <= '0;
        max_q    <= 8'h80;
      end
    end
    assign sum[lane]     = sum_q;
    assign square[lane]  = square_q;
    assign largest[lane] = max_q;
  end
  assign stat_we_o   = w9_q.retires && w9_q.stat != StatNone && 32'(w9_q.slot) < StatDepth;
  assign stat_addr_o = w9_q.slot;
  // All numbers are stored for both kinds; the kind tells which are used.
  assign stat_o = {w9_q.stat, count_q, largest, square, sum};

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) take_o |-> full_i && tiles_q != 0)
  else $error("ng_drain: a tile is taken that is not full");
  assert property (@(posedge clk_i) disable iff (!rst_ni) tiles_q == 2'd3 |-> take_o)
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
