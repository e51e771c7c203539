// The reciprocal in every lane, one bit per cycle: the factor of both instructions of the vector unit.
//
// Without norm_i it computes floor(2^30 / sum) in 17 bits, saturated at 2^17 - 1; with norm_i it computes
// floor((2^31 - 1) / root) in 16 bits, for roots of at least 2^15. done_o is 1 when the quotient is valid; the quotient
// then stays.
// Limits: the divisors must be stable from start_i to done_o.
//
// The division is non-restoring: a negative remainder gets the divisor added in the next step, and its sign is the
// quotient bit in either case. A divisor that is not above the first remainder is never above a later one, so every bit
// is 1 and the quotient saturates. This includes a root of 2^15, the only one that divides 2^31, which stands for
// 2^31 - 1.
module ng_reciprocal #(
  parameter int unsigned Lanes = 8
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  logic                   start_i,
  input  logic                   norm_i,
  input  logic [Lanes-1:0][23:0] sum_i,
  input  logic [Lanes-1:0][15:0] root_i,
  output logic                   done_o,
  output logic [Lanes-1:0][16:0] quotient_o
);
  logic [4:0] left_q;
  logic [Lanes-1:0][16:0] quotient_q;
  assign done_o     = left_q == 5'd1;
  assign quotient_o = quotient_q;

  // One step of quotient and remainder: twice the remainder, minus or plus the divisor. The 1 of the two's complement
  // is in the bit that doubling leaves free.
  function automatic logic [48:0] step(logic [15:0] quotient, logic [31:0] rest, logic [23:0] divisor);
    logic less;
    logic [31:0] twice;
    less  = !rest[31];
    twice = {rest[30:0], less} + ({32{less}} ^ 32'(divisor));
    return {quotient, !twice[31], twice};
  endfunction

  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    // From -2^24 to 2^30.
    logic signed [31:0] rest_q;
    logic [23:0] divisor;
    assign divisor = norm_i ? 24'(root_i[lane]) : sum_i[lane];
    always_ff @(posedge clk_i) begin
      if (start_i) begin
        rest_q           <= norm_i ? 32'h8000 : 32'h2000;
        quotient_q[lane] <= '0;
      end else if (left_q > 5'd1) begin
        {quotient_q[lane], rest_q} <= step(quotient_q[lane][15:0], rest_q, divisor);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) left_q <= '0;
    else if (start_i) left_q <= norm_i ? 5'd17 : 5'd18;
    else if (left_q != 0) left_q <= left_q - 5'd1;
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) start_i |-> left_q <= 5'd1)
  else $error("ng_reciprocal: start_i before done_o");
  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_assert
    assert property (@(posedge clk_i) disable iff (!rst_ni) left_q > 5'd1 |=>
                     left_q <= 5'd1 || ($stable(norm_i) && $stable(gen_lane[lane].divisor)))
    else $error("ng_reciprocal: a divisor changed");
    // A lane without variance has a root of 0; its quotient is not used.
    assert property (@(posedge clk_i) disable iff (!rst_ni)
                     left_q > 5'd1 && gen_lane[lane].divisor > (norm_i ? 24'h8000 : 24'h2000) |->
                     gen_lane[lane].rest_q < $signed(32'(gen_lane[lane].divisor)) &&
                     gen_lane[lane].rest_q >= -$signed(32'(gen_lane[lane].divisor)))
    else $error("ng_reciprocal: a remainder is too large");
  end
`endif
endmodule
