// floor(sqrt(radicand)) in every lane, one bit per cycle.
//
// Takes 32-bit radicands with start_i; done_o is 1 after 17 cycles, when the roots are valid. The roots then stay.
// Limits: the radicands must be stable and start_i must be 0 until then.
//
// The method is non-restoring: a negative remainder is corrected in the next step, and its sign is the root bit in
// either case. With the root r so far, 4r + 1 is subtracted from 4 * remainder + the next two bits, or 4r + 3 is added.
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
  logic busy_q, done_q;
  logic [3:0] pair_q;
  logic [Lanes-1:0][15:0] root_q;
  assign done_o = done_q;
  assign root_o = root_q;

  // One step of root and remainder. Subtracting the complement of r followed by 01 adds 4r + 3.
  function automatic logic [33:0] step(logic [14:0] root, logic negative, logic [15:0] rest, logic [1:0] pair);
    logic [17:0] less;
    less = {rest, pair} - {{1'b0, root} ^ {16{negative}}, 2'b01};
    return {root, !less[17], less};
  endfunction

  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    // From -(2r + 1) to 2r.
    logic signed [17:0] rest_q;
    always_ff @(posedge clk_i) begin
      if (start_i) begin
        rest_q       <= '0;
        root_q[lane] <= '0;
      end else if (busy_q) begin
        {root_q[lane], rest_q} <= step(root_q[lane][14:0], rest_q[17], rest_q[15:0],
                                       radicand_i[lane][{pair_q, 1'b0}+:2]);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    done_q <= busy_q && pair_q == 0;
    pair_q <= start_i ? 4'd15 : pair_q - 4'd1;
    if (start_i) busy_q <= 1'b1;
    else if (pair_q == 0) busy_q <= 1'b0;
    if (!rst_ni) begin
      busy_q <= 1'b0;
      done_q <= 1'b0;
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) start_i |-> !busy_q)
  else $error("ng_root: start_i before done_o");
  assert property (@(posedge clk_i) disable iff (!rst_ni) busy_q |=> !busy_q || $stable(radicand_i))
  else $error("ng_root: a radicand changed");
  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_assert
    assert property (@(posedge clk_i) disable iff (!rst_ni) busy_q |->
                     gen_lane[lane].rest_q <= $signed({1'b0, root_q[lane], 1'b0}) &&
                     gen_lane[lane].rest_q >= -$signed({1'b0, root_q[lane], 1'b1}))
    else $error("ng_root: a remainder is too large");
  end
`endif
endmodule
