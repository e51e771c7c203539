// Checks every product of ng_mac in the run with all products, however it multiplies; bound to it.
//
// A sum that restarts is one product, that of the operands two cycles before.
// Limits: drives nothing.
module bench_ng_mac_checks #(
  parameter int unsigned Lanes = 8
) (
  input logic               clk_i,
  input logic               clear_i,
  input logic signed [7:0]  a_i[Lanes],
  input logic signed [8:0]  b_i,
  input logic signed [31:0] sum_o[Lanes]
);
  logic [2:1] clear_q = '0;
  logic signed [31:0] product1_q[Lanes], product2_q[Lanes];
  int unsigned wrong;
  always_comb begin
    wrong = 0;
    for (int unsigned row = 0; row < Lanes; row++) wrong += 32'(sum_o[row] != product2_q[row]);
  end
  always_ff @(posedge clk_i) begin
    clear_q <= {clear_q[1], clear_i};
    for (int unsigned row = 0; row < Lanes; row++) product1_q[row] <= 32'(a_i[row]) * 32'(b_i);
    product2_q <= product1_q;
    // Fewer lanes: the operands are random until the bench drives them, and the bench itself compares the sums.
    if (Lanes > 32 && clear_q[2]) assert (wrong == 0) else $error("a product is wrong");
  end
endmodule

bind ng_mac bench_ng_mac_checks #(.Lanes(Lanes)) u_checks (.*);
