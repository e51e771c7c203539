// A reciprocal, one bit per cycle: the factor of both instructions of the vector unit.
//
// Without norm_i it computes floor(2^30 / sum) in 17 bits, saturated at 2^17 - 1, in 17 steps; with norm_i it computes
// floor((2^31 - 1) / root) in 16 bits, in 16 steps, for roots of at least 2^15. busy_o is 1 in the steps, which begin in
// the cycle after start_i; the quotient is valid from the cycle after the last one until the next start.
// Limits: start_i must be 0, and the divisor and norm_i stable, in all steps; norm_i also with start_i.
//
// The division is non-restoring: a negative remainder gets the divisor added in the next step, and its sign is the
// quotient bit in either case. A divisor that is not above the first remainder is never above a later one, so every bit
// is 1 and the quotient saturates. This includes a root of 2^15, the only one that divides 2^31, which stands for
// 2^31 - 1.
module ng_reciprocal (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        start_i,
  input  logic        norm_i,
  input  logic [23:0] sum_i,
  input  logic [15:0] root_i,
  output logic        busy_o,
  output logic [16:0] quotient_o
);
  logic run_q;
  logic [4:0] left_q;
  logic [16:0] quotient_q;
  // From -2^24 to 2^30.
  logic signed [31:0] rest_q;
  assign busy_o     = run_q;
  assign quotient_o = quotient_q;

  // One step: twice the remainder, minus or plus the divisor. The 1 of the two's complement is in the bit that doubling
  // leaves free.
  logic [23:0] divisor;
  logic less;
  logic [31:0] twice;
  assign divisor = norm_i ? 24'(root_i) : sum_i;
  assign less    = !rest_q[31];
  assign twice   = {rest_q[30:0], less} + ({32{less}} ^ 32'(divisor));

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      rest_q     <= norm_i ? 32'h8000 : 32'h2000;
      quotient_q <= '0;
    end else if (run_q) begin
      rest_q     <= $signed(twice);
      quotient_q <= {quotient_q[15:0], !twice[31]};
    end
  end

  always_ff @(posedge clk_i) begin
    left_q <= start_i ? (norm_i ? 5'd15 : 5'd16) : left_q - 5'd1;
    if (start_i) run_q <= 1'b1;
    else if (left_q == 0) run_q <= 1'b0;
    if (!rst_ni) run_q <= 1'b0;
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) start_i |-> !run_q)
  else $error("ng_reciprocal: start_i before the end");
  assert property (@(posedge clk_i) disable iff (!rst_ni) run_q |=> !run_q || ($stable(norm_i) && $stable(divisor)))
  else $error("ng_reciprocal: a divisor changed");
  // A lane without variance has a root of 0; its quotient is not used.
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   run_q && divisor > (norm_i ? 24'h8000 : 24'h2000) |->
                   rest_q < $signed(32'(divisor)) && rest_q >= -$signed(32'(divisor)))
  else $error("ng_reciprocal: a remainder is too large");
`endif
endmodule
