// The counters of the loop nest of CONTRACT: loops 0, 1, 2 and the innermost loop.
//
// load_i starts the first turn, advance_i moves to the next one; step_o tells which loop advances.
// Limits: all counts must be at least 1; ng_walk computes the addresses; the user must stop after the last turn.
module ng_loops (
  input  logic        clk_i,
  input  logic        load_i,
  input  logic        advance_i,
  // Taken with load_i.
  input  logic [11:0] n0_i,
  input  logic [11:0] n1_i,
  input  logic [11:0] n2_i,
  input  logic [12:0] nk_i,
  input  logic [12:0] tail_i,   // count of the innermost loop in the last turn of loop 2
  output logic [11:0] i0_o,
  output logic [11:0] i1_o,
  output logic [11:0] i2_o,
  output logic [12:0] k_o,
  output logic        last_k_o,
  output logic        last_2_o,    // the last turn of loop 2
  output logic        last_tile_o, // the last turn of the loops 0, 1 and 2
  output logic        last_o,   // the last turn of all loops
  output logic [12:0] left_o,   // turns of the innermost loop after this one
  output logic [3:0]  step_o    // the loop that advances: bit 0 innermost, 1 loop 2, 2 loop 1, 3 loop 0
);
  logic [11:0] top0_q, top1_q, top2_q, i0_q, i1_q, i2_q;
  logic [12:0] topk_q, tail_q, k_q, topk;
  logic last0, last1, last2, lastk;

  assign topk  = last2 ? tail_q : topk_q;
  assign last0 = i0_q == top0_q;
  assign last1 = i1_q == top1_q;
  assign last2 = i2_q == top2_q;
  assign lastk = k_q == topk;

  assign i0_o     = i0_q;
  assign i1_o     = i1_q;
  assign i2_o     = i2_q;
  assign k_o      = k_q;
  assign last_k_o = lastk;
  assign last_2_o = last2;
  assign last_tile_o = last2 && last1 && last0;
  assign last_o   = lastk && last2 && last1 && last0;
  assign left_o   = topk - k_q;
  assign step_o   = {lastk && last2 && last1, lastk && last2 && !last1, lastk && !last2, !lastk};

  always_ff @(posedge clk_i) begin
    if (load_i) begin
      top0_q <= n0_i - 12'd1;
      top1_q <= n1_i - 12'd1;
      top2_q <= n2_i - 12'd1;
      topk_q <= nk_i - 13'd1;
      tail_q <= tail_i - 13'd1;
      i0_q   <= '0;
      i1_q   <= '0;
      i2_q   <= '0;
      k_q    <= '0;
    end else if (advance_i) begin
      k_q <= lastk ? '0 : k_q + 13'd1;
      if (lastk) i2_q <= last2 ? '0 : i2_q + 12'd1;
      if (lastk && last2) i1_q <= last1 ? '0 : i1_q + 12'd1;
      if (lastk && last2 && last1) i0_q <= i0_q + 12'd1;
    end
  end

`ifndef SYNTHESIS
  // Before the first load the registers, and those that drive advance_i, may hold any value.
  logic loaded_q;
  initial loaded_q = 1'b0;
  always_ff @(posedge clk_i) if (load_i) loaded_q <= 1'b1;
  // A count of 0 may be loaded if it is not used; its top is all ones.
  assert property (@(posedge clk_i) loaded_q && advance_i && !load_i |->
                   top0_q != '1 && top1_q != '1 && top2_q != '1 && topk != '1)
  else $error("ng_loops: a count is 0");
  assert property (@(posedge clk_i) loaded_q && advance_i && !load_i |->
                   i0_q <= top0_q && i1_q <= top1_q && i2_q <= top2_q && k_q <= topk)
  else $error("ng_loops: an advance after the last turn");
`endif
endmodule
