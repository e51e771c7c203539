// One lane of the vector unit: sum and products of a SOFTMAX, normalization of a LAYERNORM, root and reciprocal.
//
// Words pass in a fixed pipeline; the unit knows their stages. One multiplier serves both instructions: it multiplies an
// exponential or a difference by the quotient. All operands of multipliers are registers, and so are the products.
// Limits: an instruction begins only after the last word of the one before.
//
// The clock enable and what selects between the instructions are registers of the lane. They are kept, so that no tool
// merges those of all lanes into one with thousands of loads. An idle lane neither switches nor is simulated.
module ng_vector_lane (
  input  logic                clk_i,
  input  logic                rst_ni,
  // Control. The first four are used one cycle later.
  input  logic                busy_i,
  input  logic                norm_i,     // LAYERNORM
  input  logic                clear_i,    // clears the sum
  input  logic                add_i,      // adds the exponential that arrives
  input  logic                divide_i,   // starts the reciprocal; the last exponential is being added
  input  logic                set_i,      // takes the factors, and starts the root
  input  ng_pkg::factors_t    factors_i,
  // Words of SCORE, EXP, WIDE and NORM, gamma and beta at their stages.
  input  logic [7:0]          max_i,
  input  logic [7:0]          score_i,
  output logic [7:0]          exp_addr_o,
  input  logic [14:0]         exp_i,
  input  logic [15:0]         wide_i,
  input  logic signed [11:0]  gamma_i,
  input  logic signed [31:0]  beta_i,
  // The shift of LAYERNORM; constant while words pass. See ng_vector.
  input  logic [4:0]          shift_i,
  input  logic                left_i,
  input  logic [7:0]          inside_i,
  input  logic [31:0]         straight_i,
  input  logic [7:0]          smallest_i,
  output logic [7:0]          result_o
);
  (* keep = "true" *) logic enable_q, norm_q, clear_q, add_q, left_q;
  (* keep = "true" *) logic [4:0] shift_q;
  always_ff @(posedge clk_i) begin
    enable_q <= busy_i;
    norm_q   <= norm_i;
    clear_q  <= clear_i;
    add_q    <= add_i;
    shift_q  <= shift_i;
    left_q   <= left_i;
  end

  // Factors. The quotient is copied, as the multiplier's operand.
  logic signed [17:0] times_q;
  logic signed [30:0] less_q;
  logic [1:0] bytes_q;
  logic zero_q, root_done, dividing;
  logic [15:0] root;
  logic [16:0] quotient, quotient_q;
  logic [23:0] sum_q;
  always_ff @(posedge clk_i) if (set_i) begin
    times_q <= factors_i.times;
    less_q  <= factors_i.less;
    bytes_q <= factors_i.bytes;
    zero_q  <= factors_i.zero;
  end
  always_ff @(posedge clk_i) if (enable_q) quotient_q <= quotient;
  ng_root u_root (
    .clk_i,
    .rst_ni,
    .start_i   (set_i),
    .radicand_i(factors_i.radicand),
    .done_o    (root_done),
    .root_o    (root)
  );
  ng_reciprocal u_reciprocal (
    .clk_i,
    .rst_ni,
    .start_i   (divide_i || root_done),
    .norm_i    (norm_q),
    .sum_i     (sum_q),
    .root_i    (root),
    .busy_o    (dividing),
    .quotient_o(quotient)
  );

  // SOFTMAX. After SCORE: address of EXP. After EXP: the exponential, which is added and multiplied.
  logic [7:0] exp_addr_q;
  logic [14:0] exp_q;
  assign exp_addr_o = exp_addr_q;
  always_ff @(posedge clk_i) if (enable_q) begin
    exp_addr_q <= max_i - score_i;
    exp_q      <= exp_i;
    if (clear_q) sum_q <= '0;
    else if (add_q) sum_q <= sum_q + 24'(exp_q);
  end

  // LAYERNORM. Stages after WIDE: 1: the number; 2: times -D; 3: the negative sum minus it; 4: aligned times 2^t,
  // -9 <= t <= 15, with one fraction bit plus the rounding constant.
  logic signed [15:0] wide_q;
  logic signed [30:0] d2_q, d3_q;
  logic [30:0] aligned;
  logic [22:0] rounded;
  assign aligned = d3_q << {bytes_q, 3'd0};
  assign rounded = aligned[30:8] + 23'd1;
  always_ff @(posedge clk_i) if (enable_q) begin
    wide_q <= $signed(wide_i);
    d2_q   <= 31'(times_q) * 31'(wide_q);
    d3_q   <= less_q - d2_q;
  end

  // The factor of both instructions; 0 in a lane without variance. Then times the quotient, plus the rounding constant,
  // which the adder of the DSP adds.
  logic signed [21:0] factor_q;
  logic signed [38:0] product_q, scaled_q, half;
  assign half = norm_q ? 39'sh4_0000 : 39'sh20_0000;
  always_ff @(posedge clk_i) if (enable_q) begin
    factor_q  <= !norm_q ? $signed(22'(exp_i)) : zero_q ? 22'sd0 : $signed(rounded[22:1]);
    product_q <= 39'(factor_q) * $signed({22'd0, quotient_q});
    scaled_q  <= product_q + half;
  end

  // LAYERNORM. 7: normalized; 8: times gamma; 9: plus beta and rounding constant; 10: shift; 11: saturate.
  logic signed [19:0] n6;
  logic signed [17:0] n7_q;
  logic signed [31:0] y8_q, y9_q;
  logic [31:0] bends;
  logic [39:0] ring;
  logic [15:0] eights;
  logic [9:0] pairs;
  logic [8:0] turned;
  logic [7:0] low10_q, result_q;
  logic [2:0] bends10_q;
  logic sign10_q;
  assign n6    = scaled_q[38:19];
  assign bends = (y9_q ^ {y9_q[30:0], 1'b0}) & straight_i;
  // The low bits, and below them the highest one. Whole bytes first, so that fewer bits remain for the later shifts.
  assign ring   = {y9_q[6:0], y9_q, y9_q[31]};
  assign eights = 16'(ring >> {shift_q[4:3], 3'd0});
  assign pairs  = 10'(eights >> {shift_q[2:1], 1'd0});
  assign turned = 9'(pairs >> shift_q[0]);
  assign result_o = result_q;
  always_ff @(posedge clk_i) if (enable_q) begin
    n7_q <= n6 > 20'sd131071 ? 18'sd131071 : n6 < -20'sd131072 ? -18'sd131072 : 18'(n6);
    y8_q <= 32'(n7_q) * 32'(gamma_i);
    y9_q <= y8_q + beta_i;
    for (int n = 0; n < 8; n++) low10_q[n] <= inside_i[n] ? turned[n+1] : !left_q && y9_q[31];
    bends10_q <= {|bends[31:22], |bends[21:12], |bends[11:0]};
    sign10_q  <= left_q ? turned[0] : y9_q[31];
    // The result of either instruction; that of SOFTMAX saturates at 255.
    if (norm_q) result_q <= bends10_q == 0 ? low10_q : smallest_i ^ {8{!sign10_q}};
    else result_q <= scaled_q[32:30] == 0 ? scaled_q[29:22] : '1;
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) set_i || divide_i |-> enable_q && !dividing)
  else $error("ng_vector_lane: factors for a lane that is idle or still divides");
`endif
endmodule
