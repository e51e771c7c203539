// floor(sqrt(radicand)) in every lane, one bit a cycle.
//
// What this does: takes 32-bit radicands with start_i; done_o comes 17 cycles later with the roots, which stay. What
// it does not: take another start before that.
module ng_root #(
  parameter int unsigned Lanes = 8
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  logic                   start_i,
  input  logic [Lanes-1:0][31:0] radicand_i,
  output logic                   done_o,
  output logic [Lanes-1:0][15:0] root_o
);
  logic [4:0] left_q;
  logic [Lanes-1:0][31:0] radicand_q;
  logic [Lanes-1:0][17:0] rest_q;
  logic [Lanes-1:0][15:0] root_q;
  assign done_o = left_q == 5'd1;
  assign root_o = root_q;

  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    logic [19:0] rest;
    logic [17:0] trial;
    logic fits;
    assign rest  = {rest_q[lane], radicand_q[lane][31:30]};
    assign trial = {root_q[lane], 2'b01};
    assign fits  = rest >= 20'(trial);
    always_ff @(posedge clk_i) begin
      if (start_i) begin
        radicand_q[lane] <= radicand_i[lane];
        rest_q[lane]     <= '0;
        root_q[lane]     <= '0;
      end else if (left_q > 5'd1) begin
        radicand_q[lane] <= {radicand_q[lane][29:0], 2'b00};
        rest_q[lane]     <= 18'(fits ? rest - 20'(trial) : rest);
        root_q[lane]     <= {root_q[lane][14:0], fits};
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) left_q <= '0;
    else if (start_i) left_q <= 5'd17;
    else if (left_q != 0) left_q <= left_q - 5'd1;
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) start_i |-> left_q <= 5'd1)
  else $error("ng_root: a start before the end");
  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_assert
    assert property (@(posedge clk_i) disable iff (!rst_ni)
                     left_q > 5'd1 |-> rest_q[lane] <= {1'b0, root_q[lane], 1'b0})
    else $error("ng_root: a rest is too large");
  end
`endif
endmodule
