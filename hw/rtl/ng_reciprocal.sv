// floor(dividend / divisor) in every lane, one bit a cycle, for the two dividends of the vector unit.
//
// What this does: after start_i, with `norm_i` floor((2^31 - 1) / divisor) in 16 bits for divisors from 2^15 up,
// without it floor(2^30 / divisor) in 17 bits, 2^17 - 1 where that is more. done_o comes with the quotient, which stays. What
// it does not: keep the divisors, which must stand still.
module ng_reciprocal #(
  parameter int unsigned Lanes = 8
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  logic                   start_i,
  input  logic                   norm_i,
  input  logic [Lanes-1:0][23:0] divisor_i,
  output logic                   done_o,
  output logic [Lanes-1:0][16:0] quotient_o
);
  logic [4:0] left_q;
  logic [Lanes-1:0][25:0] rest_q;
  logic [Lanes-1:0][16:0] quotient_q;
  assign done_o     = left_q == 5'd1;
  assign quotient_o = quotient_q;

  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    logic [25:0] shifted, divisor;
    logic fits, huge;
    assign divisor = 26'(divisor_i[lane]);
    assign shifted = {rest_q[lane][24:0], norm_i};
    assign fits    = shifted >= divisor;
    // The quotient would have more than 17 bits.
    assign huge   = !norm_i && divisor_i[lane] <= 24'h002000;
    always_ff @(posedge clk_i) begin
      if (start_i) begin
        rest_q[lane]     <= norm_i ? 26'h7FFF : 26'h2000;
        quotient_q[lane] <= huge ? '1 : '0;
      end else if (left_q > 5'd1) begin
        rest_q[lane]     <= fits ? shifted - divisor : shifted;
        quotient_q[lane] <= huge ? '1 : {quotient_q[lane][15:0], fits};
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
  else $error("ng_reciprocal: a start before the end");
  assert property (@(posedge clk_i) disable iff (!rst_ni)
                   left_q > 5'd1 |=> left_q <= 5'd1 || ($stable(norm_i) && $stable(divisor_i)))
  else $error("ng_reciprocal: a divisor moved");
  // A lane without variance has a root of 0, whose quotient nobody uses.
  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_assert
    assert property (@(posedge clk_i) disable iff (!rst_ni)
                     left_q > 5'd1 && !gen_lane[lane].huge && !(norm_i && divisor_i[lane] < 24'h008000) |->
                     rest_q[lane] < 26'(divisor_i[lane]))
    else $error("ng_reciprocal: a rest is too large");
  end
`endif
endmodule
