// The vector unit: SOFTMAX in two passes over its words, LAYERNORM in one pass after its sums are turned into factors.
//
// Executes one instruction at a time, one word per cycle in each pass, all lanes in parallel. Root and division are
// skipped where a LAYERNORM uses the same statistic as the one before it, as the factors are kept.
// Limits: two instructions never overlap.
//
// The lane registers use busy_o as clock enable: this costs no LUT, and an idle unit neither switches nor is simulated.
module ng_vector #(
  parameter int unsigned Lanes       = 8,
  parameter int unsigned VectorDepth = 64,
  parameter int unsigned ScoreDepth  = 64,
  parameter int unsigned WideDepth   = 64,
  parameter int unsigned StatDepth   = 4,
  parameter int unsigned NormDepth   = 64,
  parameter int unsigned ExpDepth    = 256,
  localparam int unsigned ExpBits   = ng_pkg::addr_bits(ExpDepth),
  localparam int unsigned StatWidth = ng_isa_pkg::word_bits(ng_isa_pkg::MemoryStat, Lanes)
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  input  ng_pkg::retired_t                  retired_i,
  input  logic                              valid_i,
  output logic                              ready_o,
  input  ng_pkg::issue_t                    issue_i,
  // STAT: latency 1. `stat_we_i`, `stat_waddr_i`: the drain writes a statistic.
  output logic                              stat_re_o,
  output logic [ng_isa_pkg::SlotBits-1:0]   stat_addr_o,
  input  logic [StatWidth-1:0]              stat_i,
  input  logic                              stat_we_i,
  input  logic [ng_isa_pkg::SlotBits-1:0]   stat_waddr_i,
  // SCORE, WIDE and NORM: latency 2. WIDE may be refused; NORM is read with it.
  output logic                              score_re_o,
  output logic [ng_isa_pkg::AddressBits-1:0] score_addr_o,
  input  logic [Lanes-1:0][7:0]             score_i,
  output logic                              wide_re_o,
  output logic [ng_isa_pkg::AddressBits-1:0] wide_addr_o,
  input  logic                              wide_gnt_i,
  input  logic [Lanes-1:0][15:0]            wide_i,
  output logic [ng_isa_pkg::AddressBits-1:0] norm_addr_o,
  input  logic [43:0]                       norm_i,
  // EXP: latency 1.
  output logic                              exp_re_o,
  output logic [Lanes-1:0][ExpBits-1:0]     exp_addr_o,
  input  logic [Lanes-1:0][14:0]            exp_i,
  output logic                              write_valid_o,
  output logic [ng_isa_pkg::AddressBits-1:0] write_addr_o,
  output logic [Lanes-1:0][7:0]             write_o,
  output logic [ng_pkg::NumberBits-1:0]     probe_number_o,
  output logic                              retire_o,
  output ng_pkg::fault_t                    fault_o,
  output logic                              waits_o,
  output logic                              busy_o,
  output logic                              wait_o
);
  import ng_isa_pkg::*;
  import ng_pkg::*;
  localparam int unsigned LaneBits = $clog2(Lanes);

  typedef enum logic [3:0] {
    Idle, Fetch, Check, Sum, SumEnd, Divide, Scale, Setup, SetupEnd, Root, RootDivide, Normalize, End
  } state_e;
  state_e state_q;

  softmax_t s;
  layernorm_t l;
  logic is_norm, met_q, can_start;
  assign s       = softmax_t'(issue_i.instruction);
  assign l       = layernorm_t'(issue_i.instruction);
  assign is_norm = s.opcode == OpcodeLayernorm;

  // The current instruction.
  logic is_norm_q, signed_fault;
  logic [NumberBits-1:0] number_q;
  logic [10:0] count_q, size_q, at_q, stat_count;
  logic [AddressBits-1:0] source_q, target_q, norm_base_q;
  logic [4:0] exp_id_q;
  logic signed [5:0] shift_q;
  logic [3:0] bits_q;
  logic [SlotBits-1:0] slot_q;
  logic slot_outside_q, range_outside_q;
  stat_e stat_kind;

  // The statistic from which the kept factors were computed.
  logic kept_q, kept_sentence_q, shares_q;
  logic [5:0] kept_block_q, block_q;
  logic [SlotBits-1:0] kept_slot_q;
  logic [10:0] kept_size_q;
  logic sentence_q;

  assign can_start = valid_i && issue_i.ok && !issue_i.skipped && met_q;
  assign ready_o   = state_q == Idle && valid_i && issue_i.ok && (issue_i.skipped || met_q);
  assign busy_o    = state_q != Idle;
  assign wait_o    = state_q == Idle && valid_i && issue_i.ok && !issue_i.skipped && !met_q;
  assign waits_o   = wait_o;

  assign stat_re_o   = state_q == Fetch;
  assign stat_addr_o = slot_q;

  logic [Lanes-1:0][StatSumBits-1:0] stat_sum;
  logic [Lanes-1:0][StatSquareBits-1:0] stat_square;
  logic [Lanes-1:0][StatMaxBits-1:0] stat_max;
  logic [1:0] stat_kind_bits;
  assign {stat_kind_bits, stat_count, stat_max, stat_square, stat_sum} = stat_i;
  assign stat_kind = stat_e'(stat_kind_bits);

  logic issue, last, root_start, root_done, divide_start, divide_done;
  logic [5:0] end_q;
  assign issue = state_q == Sum || state_q == Scale || (state_q == Normalize && wide_gnt_i);
  assign last  = at_q == count_q - 11'd1;

  assign score_re_o   = state_q == Sum || state_q == Scale;
  assign score_addr_o = source_q + AddressBits'(at_q);
  assign wide_re_o    = state_q == Normalize;
  assign wide_addr_o  = source_q + AddressBits'(at_q);
  assign norm_addr_o  = norm_base_q + AddressBits'(at_q);

  // A word in the pipeline; stage 0 is the read.
  typedef struct packed {
    logic valid;
    logic norm;   // word of a LAYERNORM
    logic sums;   // word of the first pass of SOFTMAX
    logic [AddressBits-1:0] address;
  } slot_t;
  slot_t w_q[1:11];
  slot_t w0;
  always_comb begin
    w0.valid   = issue;
    w0.norm    = is_norm_q;
    w0.sums    = state_q == Sum;
    w0.address = target_q + AddressBits'(at_q);
  end
  always_ff @(posedge clk_i) begin
    w_q[1] <= w0;
    for (int n = 2; n <= 11; n++) w_q[n] <= w_q[n-1];
    if (!rst_ni) for (int n = 1; n <= 11; n++) w_q[n].valid <= 1'b0;
  end

  // SOFTMAX. Stage 2: difference; 3: exponential; 4: product; 5: write.
  logic [Lanes-1:0][23:0] sum_q;
  logic [Lanes-1:0][16:0] quotient;
  // One multiplier per lane for both instructions: exponential or difference, times the quotient. The adder of the DSP
  // adds the rounding constant.
  logic [Lanes-1:0][38:0] product_q, scaled;
  logic [21:0] half;
  assign half = is_norm_q ? 22'h04_0000 : 22'h20_0000;
  // The difference; 0 in SOFTMAX and in a lane without variance.
  logic [Lanes-1:0][21:0] c5_q;
  logic [Lanes-1:0] zero_q;
  logic [Lanes-1:0][7:0] result_q;
  logic [Lanes-1:0][15:0] root;
  logic [Lanes-1:0][31:0] radicand_q;
  assign exp_re_o = w_q[2].valid && !is_norm_q;
  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_softmax
    logic [7:0] x;
    logic signed [21:0] factor;
    assign x = stat_max[lane] - score_i[lane];
    assign exp_addr_o[lane] = ExpBits'({exp_id_q, x});
    assign factor = c5_q[lane] | 22'(exp_i[lane] & {15{!is_norm_q}});
    assign scaled[lane] = product_q[lane] + 39'(half);
    always_ff @(posedge clk_i) if (busy_o) begin
      if (state_q == Check) sum_q[lane] <= '0;
      else if (w_q[3].valid && w_q[3].sums && !is_norm_q) sum_q[lane] <= sum_q[lane] + 24'(exp_i[lane]);
      product_q[lane] <= 39'(factor) * $signed({22'd0, quotient[lane]});
    end
  end

  ng_reciprocal #(
    .Lanes(Lanes)
  ) u_reciprocal (
    .clk_i,
    .rst_ni,
    .start_i   (divide_start),
    .norm_i    (is_norm_q),
    .sum_i     (sum_q),
    .root_i    (root),
    .done_o    (divide_done),
    .quotient_o(quotient)
  );
  ng_root #(
    .Lanes(Lanes)
  ) u_root (
    .clk_i,
    .rst_ni,
    .start_i   (root_start),
    .radicand_i(radicand_q),
    .done_o    (root_done),
    .root_o    (root)
  );

  // LAYERNORM, factors: one lane after the other through one pair of wide multipliers.
  // Stage 1: sums of the lane; 2, 3: products; 4: difference; 5: its leading zeros; 6: radicand.
  logic [LaneBits-1:0] lane_q;
  logic [5:1] f_valid_q;
  logic [5:1][LaneBits-1:0] f_lane_q;
  logic signed [StatSumBits-1:0] f_sum_q;
  logic [StatSquareBits-1:0] f_square_q;
  logic [51:0] f_scaled2_q, f_scaled3_q, f_squared2_q, f_squared3_q;
  logic [49:0] f_v4_q, f_v5_q;
  // Pairs of leading zeros: t + 9.
  logic [4:0] f_zeros5_q, f_zeros;
  logic [31:0] f_radicand;
  logic signed [StatSumBits:0] f_less_q[2:5];
  // The differences of a lane are shifted left by t + 9. D and the sum are shifted by the low 3 bits of that in
  // advance; whole bytes remain. A difference has at most 27 bits, as D is at most 1024; of the shifted difference, 31
  // bits count.
  logic [17:0] times_q[Lanes];
  logic signed [30:0] less_q[Lanes];
  logic [1:0] bytes_q[Lanes];
  assign f_radicand = 32'((f_v5_q << {f_zeros5_q, 1'b0}) >> 18);
  always_comb begin
    f_zeros = 5'd25;
    for (int unsigned n = 0; n < 25; n++) if (f_v4_q[2*n+:2] != 0) f_zeros = 5'(24 - n);
  end
  always_ff @(posedge clk_i) if (busy_o) begin
    f_lane_q     <= {f_lane_q[4:1], lane_q};
    f_sum_q      <= $signed(stat_sum[lane_q]);
    f_square_q   <= stat_square[lane_q];
    f_scaled2_q  <= 52'(size_q) * 52'(f_square_q);
    f_squared2_q <= 52'(f_sum_q) * 52'(f_sum_q);
    f_scaled3_q  <= f_scaled2_q;
    f_squared3_q <= f_squared2_q;
    f_v4_q       <= 50'(f_scaled3_q - f_squared3_q);
    f_v5_q       <= f_v4_q;
    f_zeros5_q   <= f_zeros;
    f_less_q[2]  <= -(StatSumBits + 1)'(f_sum_q);
    for (int n = 3; n <= 5; n++) f_less_q[n] <= f_less_q[n-1];
    if (f_valid_q[5]) begin
      times_q[f_lane_q[5]]    <= 18'(size_q) << f_zeros5_q[2:0];
      less_q[f_lane_q[5]]     <= 31'(f_less_q[5]) << f_zeros5_q[2:0];
      bytes_q[f_lane_q[5]]    <= f_zeros5_q[4:3];
      zero_q[f_lane_q[5]]     <= f_zeros5_q == 5'd25;
      radicand_q[f_lane_q[5]] <= f_radicand;
    end
  end
  always_ff @(posedge clk_i) begin
    lane_q <= state_q == Setup ? lane_q + 1'b1 : '0;
    if (!rst_ni) f_valid_q <= '0;
    else f_valid_q <= {f_valid_q[4:1], state_q == Setup};
  end

  // LAYERNORM, words. Stage 2: times D; 3: minus the sum; 4: aligned; 5: times 1/s; 6: normalized; 7: times gamma;
  // 8: plus beta and rounding constant; 9: shift; 10: saturate; 11: write.
  logic signed [31:0] beta_q[3:8];
  logic signed [11:0] gamma_q[3:7];
  always_ff @(posedge clk_i) if (busy_o) begin
    beta_q[3]  <= norm_i[31:0];
    gamma_q[3] <= norm_i[43:32];
    for (int n = 4; n <= 7; n++) beta_q[n] <= beta_q[n-1];
    for (int n = 4; n <= 7; n++) gamma_q[n] <= gamma_q[n-1];
    beta_q[8] <= beta_q[7] + rounding_half(shift_q);
  end
  // Every shift is a rotation to the right by up to 31, also a left shift.
  //   inside:   low bits of the result that come from the word. Others are 0, or the sign after a right shift.
  //   straight: bits of the word that equal the bit to their right (bit 0: equal 0) if the number fits. Bits that are
  //             shifted out to the left do not count.
  //   smallest: low bits of the smallest number; the largest number has the inverse.
  logic left;
  logic signed [6:0] lowest;
  logic [7:0] inside_q, smallest_q;
  logic [31:0] straight_q;
  assign left   = shift_q < 0;
  assign lowest = 7'(shift_q) + $signed({3'd0, bits_q});
  always_ff @(posedge clk_i) if (busy_o) begin
    inside_q   <= 8'(left ? 32'hFF << 5'(-shift_q) : '1 >> shift_q[4:0]);
    straight_q <= (lowest < 0 ? '1 : '1 << lowest[5:0]) & ~(left ? '1 << shift_q[4:0] : 32'd0);
    smallest_q <= 8'hFF << (bits_q - 4'd1);
  end
  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_norm
    logic signed [30:0] d3_q, d4_q;
    logic [30:0] aligned;
    logic [22:0] rounded;
    logic signed [19:0] n6;
    logic signed [17:0] n7_q;
    logic signed [31:0] y8_q, y9_q;
    logic [31:0] bends;
    logic [39:0] ring;
    logic [15:0] eights;
    logic [9:0] pairs;
    logic [8:0] turned;
    logic [7:0] low10_q;
    logic [2:0] bends10_q;
    logic sign10_q;
    // Times 2^t, -9 <= t <= 15, with one fraction bit, plus the rounding constant.
    assign aligned = d4_q << {bytes_q[lane], 3'd0};
    assign rounded = aligned[30:8] + 23'd1;
    assign n6 = scaled[lane][38:19];
    assign bends = (y9_q ^ {y9_q[30:0], 1'b0}) & straight_q;
    // The low bits, and below them the highest one. Whole bytes first, so that fewer bits remain for the later shifts.
    assign ring = {y9_q[6:0], y9_q, y9_q[31]};
    assign eights = 16'(ring >> {shift_q[4:3], 3'd0});
    assign pairs  = 10'(eights >> {shift_q[2:1], 1'd0});
    assign turned = 9'(pairs >> shift_q[0]);
    // Without the enable, so that yosys maps multiplier, adder and both registers to one DSP.
    always_ff @(posedge clk_i) begin
      y8_q <= 32'(n7_q) * 32'(gamma_q[7]);
      y9_q <= y8_q + beta_q[8];
    end
    always_ff @(posedge clk_i) if (busy_o) begin
      d3_q <= $signed({13'd0, times_q[lane]}) * 31'(signed'(wide_i[lane]));
      d4_q <= d3_q + less_q[lane];
      c5_q[lane] <= rounded[22:1];
      if (!is_norm_q || zero_q[lane]) c5_q[lane] <= '0;
      n7_q <= n6 > 20'sd131071 ? 18'sd131071 : n6 < -20'sd131072 ? -18'sd131072 : 18'(n6);
      for (int n = 0; n < 8; n++) low10_q[n] <= inside_q[n] ? turned[n+1] : !left && y9_q[31];
      bends10_q <= {|bends[31:22], |bends[21:12], |bends[11:0]};
      sign10_q  <= left ? turned[0] : y9_q[31];
      // The result of either instruction; that of SOFTMAX saturates at 255.
      if (!is_norm_q) result_q[lane] <= scaled[lane][29:22];
      else result_q[lane] <= bends10_q == 0 ? low10_q : smallest_q ^ {8{!sign10_q}};
      if (!is_norm_q && scaled[lane][32:30] != 0) result_q[lane] <= '1;
    end
  end

  assign write_valid_o  = is_norm_q ? w_q[11].valid && w_q[11].norm : w_q[5].valid && !w_q[5].norm && !w_q[5].sums;
  assign write_addr_o   = is_norm_q ? w_q[11].address : w_q[5].address;
  assign write_o        = result_q;
  assign probe_number_o = number_q;

  assign root_start   = state_q == SetupEnd && end_q == 0;
  assign divide_start = (state_q == SumEnd && end_q == 0) || root_done;
  assign retire_o     = (state_q == End && end_q == 0) || (state_q == Idle && ready_o && issue_i.skipped);

  fault_t fault_q;
  logic stat_wrong;
  assign stat_wrong = is_norm_q ? stat_kind != StatSums || stat_count != size_q
                                : stat_kind != StatMax || stat_count != count_q;
  assign fault_o = fault_q;
  assign signed_fault = state_q == Check && (slot_outside_q || stat_wrong || range_outside_q);

  function automatic logic outside(logic [AddressBits-1:0] base, logic [10:0] count, int unsigned depth);
    return 32'(base) + 32'(count) > depth;
  endfunction

  always_ff @(posedge clk_i) begin
    met_q <= valid_i && !ready_o && met({s.wait_stream, s.wait_vector, s.wait_array}, retired_i);

    fault_q.valid  <= 1'b0;
    fault_q.code   <= slot_outside_q ? ErrorAddress : stat_wrong ? ErrorStat : ErrorAddress;
    fault_q.number <= number_q;
    if (state_q == Idle && valid_i && !issue_i.ok) begin
      fault_q.valid  <= 1'b1;
      fault_q.code   <= ErrorField;
      fault_q.number <= issue_i.number;
    end else if (signed_fault) begin
      fault_q.valid <= 1'b1;
    end

    if (state_q == Idle) begin
      is_norm_q   <= is_norm;
      number_q    <= issue_i.number;
      count_q     <= is_norm ? l.count : 11'(issue_i.place.length);
      size_q      <= l.size;
      source_q    <= is_norm ? l.source : s.source;
      target_q    <= is_norm ? l.target : s.target;
      norm_base_q <= l.norm_base;
      exp_id_q    <= s.exp_id;
      shift_q     <= l.shift;
      bits_q      <= l.bits;
      slot_q      <= is_norm ? l.stat_slot : s.stat_slot;
      sentence_q  <= s.sentence;
      block_q     <= s.block;
      slot_outside_q <= is_norm ? 32'(l.stat_slot) >= StatDepth
                                : 32'(s.stat_slot) >= StatDepth || 32'({s.exp_id, 8'hFF}) >= ExpDepth;
    end
    range_outside_q <= is_norm_q ? outside(source_q, count_q, WideDepth) || outside(target_q, count_q, VectorDepth) ||
                                   outside(norm_base_q, count_q, NormDepth)
                                 : outside(source_q, count_q, ScoreDepth) || outside(target_q, count_q, VectorDepth);
    shares_q <= kept_q && is_norm_q && kept_slot_q == slot_q && kept_size_q == size_q &&
                kept_sentence_q == sentence_q && kept_block_q == block_q;

    end_q <= end_q - 6'd1;
    if (issue) at_q <= at_q + 11'd1;
    unique case (state_q)
      Idle: if (can_start) state_q <= Fetch;
      Fetch: begin
        at_q    <= '0;
        state_q <= Check;
      end
      Check: begin
        state_q <= !is_norm_q ? Sum : shares_q ? Normalize : Setup;
        if (is_norm_q) begin
          kept_q          <= 1'b1;
          kept_slot_q     <= slot_q;
          kept_size_q     <= size_q;
          kept_sentence_q <= sentence_q;
          kept_block_q    <= block_q;
        end else begin
          kept_q <= 1'b0;
        end
      end
      Sum: if (last) begin
        state_q <= SumEnd;
        end_q   <= 6'd3;
      end
      SumEnd: if (end_q == 0) state_q <= Divide;
      Divide: begin
        at_q <= '0;
        if (divide_done) state_q <= Scale;
      end
      Scale: if (last) begin
        state_q <= End;
        end_q   <= 6'd4;
      end
      Setup: if (32'(lane_q) == Lanes - 1) begin
        state_q <= SetupEnd;
        end_q   <= 6'd5;
      end
      SetupEnd: if (end_q == 0) state_q <= Root;
      Root: if (root_done) state_q <= RootDivide;
      RootDivide: if (divide_done) state_q <= Normalize;
      Normalize: if (last && wide_gnt_i) begin
        state_q <= End;
        end_q   <= 6'd10;
      end
      End: if (end_q == 0) state_q <= Idle;
      default: state_q <= Idle;  // uncovered: all values of the state are listed
    endcase
    if (stat_we_i && stat_waddr_i == kept_slot_q) kept_q <= 1'b0;
    if (!rst_ni) begin
      state_q       <= Idle;
      kept_q        <= 1'b0;
      met_q         <= 1'b0;
      fault_q.valid <= 1'b0;
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) write_valid_o |-> 32'(write_addr_o) < VectorDepth)
  else $error("ng_vector: a write outside VECTOR");
  assert property (@(posedge clk_i) disable iff (!rst_ni) state_q == Idle |->
                   !w_q[1].valid && !w_q[2].valid && !w_q[3].valid && !w_q[4].valid &&
                   !(w_q[5].valid && !w_q[5].norm) && !(w_q[11].valid && w_q[11].norm))
  else $error("ng_vector: an instruction ended before its last word");
  assert property (@(posedge clk_i) disable iff (!rst_ni) stat_we_i && stat_waddr_i == slot_q |->
                   state_q != Fetch && state_q != Check)
  else $error("ng_vector: a statistic is written in the cycle of its read");
`endif
endmodule
