// floor(sqrt(radicand)) of 32 bits, one bit per cycle.
//
// Takes the radicand with start_i. done_o is 1 in the last step, 16 cycles later; the root is valid from the cycle after
// it until the next start.
// Limits: start_i must be 0 until the root is valid.
//
// The method is non-restoring: a negative remainder is corrected in the next step, and its sign is the root bit in
// either case. With the root r so far, 4r + 1 is subtracted from 4 * remainder + the next two bits, or 4r + 3 is added.
module ng_root (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        start_i,
  input  logic [31:0] radicand_i,
  output logic        done_o,
  output logic [15:0] root_o
);
  logic run_q, done_q;
  logic [3:0] pair_q;
  logic [31:0] radicand_q;
  logic [15:0] root_q;
  // From -(2r + 1) to 2r.
  logic signed [17:0] rest_q;
  assign done_o = done_q;
  assign root_o = root_q;

  // One step. Subtracting the complement of r followed by 01 adds 4r + 3.
  logic [17:0] less;
  assign less = {rest_q[15:0], radicand_q[{pair_q, 1'b0}+:2]} - {{1'b0, root_q[14:0]} ^ {16{rest_q[17]}}, 2'b01};

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      radicand_q <= radicand_i;
      rest_q     <= '0;
      root_q     <= '0;
    end else if (run_q) begin
      rest_q <= $signed(less);
      root_q <= {root_q[14:0], !less[17]};
    end
  end

  always_ff @(posedge clk_i) begin
    pair_q <= start_i ? 4'd15 : pair_q - 4'd1;
    done_q <= run_q && pair_q == 4'd1;
    if (start_i) run_q <= 1'b1;
    else if (pair_q == 0) run_q <= 1'b0;
    if (!rst_ni) begin
      run_q  <= 1'b0;
      done_q <= 1'b0;
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) start_i |-> !run_q)
  else $error("ng_root: start_i before the end");
  assert property (@(posedge clk_i) disable iff (!rst_ni) run_q |->
                   rest_q <= $signed({1'b0, root_q, 1'b0}) && rest_q >= -$signed({1'b0, root_q, 1'b1}))
  else $error("ng_root: a remainder is too large");
`endif
endmodule
