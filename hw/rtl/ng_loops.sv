// The counters of the loop nest of CONTRACT: loops 0, 1, 2 and the innermost loop.
//
// load_i starts the first turn, advance_i moves to the next one; step_o tells which loop advances. Whether a turn is the
// last of its loop is computed one turn ahead, so that all outputs come from registers or one LUT behind them.
// Limits: all counts must be at least 1; ng_walk computes the addresses; the user must stop after the last turn.
module ng_loops (
  input  logic        clk_i,
  input  logic        rst_ni,   // used by the assertions only
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
  // Per loop: the turn before the last one, whether there is one turn only, and whether this turn is the last.
  logic [11:0] before0_q, before1_q, before2_q, i0_q, i1_q, i2_q;
  logic [12:0] topk_q, tail_q, k_q, left_q;
  logic single1_q, single2_q, singlek_q, singlet_q, last0_q, last1_q, last2_q, lastk_q, next_last2;

  assign i0_o        = i0_q;
  assign i1_o        = i1_q;
  assign i2_o        = i2_q;
  assign k_o         = k_q;
  assign last_k_o    = lastk_q;
  assign last_2_o    = last2_q;
  assign last_tile_o = last2_q && last1_q && last0_q;
  assign last_o      = lastk_q && last2_q && last1_q && last0_q;
  assign left_o      = left_q;
  assign step_o      = {lastk_q && last2_q && last1_q, lastk_q && last2_q && !last1_q, lastk_q && !last2_q, !lastk_q};
  assign next_last2  = last2_q ? single2_q : i2_q == before2_q;

  always_ff @(posedge clk_i) begin
    if (load_i) begin
      before0_q <= n0_i - 12'd2;
      before1_q <= n1_i - 12'd2;
      before2_q <= n2_i - 12'd2;
      topk_q    <= nk_i - 13'd1;
      tail_q    <= tail_i - 13'd1;
      single1_q <= n1_i == 12'd1;
      single2_q <= n2_i == 12'd1;
      singlek_q <= nk_i == 13'd1;
      singlet_q <= tail_i == 13'd1;
      last0_q   <= n0_i == 12'd1;
      last1_q   <= n1_i == 12'd1;
      last2_q   <= n2_i == 12'd1;
      lastk_q   <= n2_i == 12'd1 ? tail_i == 13'd1 : nk_i == 13'd1;
      left_q    <= (n2_i == 12'd1 ? tail_i : nk_i) - 13'd1;
      i0_q      <= '0;
      i1_q      <= '0;
      i2_q      <= '0;
      k_q       <= '0;
    end else if (advance_i) begin
      if (!lastk_q) begin
        k_q     <= k_q + 13'd1;
        left_q  <= left_q - 13'd1;
        lastk_q <= left_q == 13'd1;
      end else begin
        k_q     <= '0;
        left_q  <= next_last2 ? tail_q : topk_q;
        lastk_q <= next_last2 ? singlet_q : singlek_q;
        i2_q    <= last2_q ? '0 : i2_q + 12'd1;
        last2_q <= next_last2;
      end
      if (lastk_q && last2_q) begin
        i1_q    <= last1_q ? '0 : i1_q + 12'd1;
        last1_q <= last1_q ? single1_q : i1_q == before1_q;
      end
      if (lastk_q && last2_q && last1_q) begin
        i0_q    <= i0_q + 12'd1;
        last0_q <= i0_q == before0_q;
      end
    end
  end

`ifndef SYNTHESIS
  // A count of 0 may be loaded if it is not used.
  logic zero_q, over_q;
  always_ff @(posedge clk_i) begin
    if (load_i) begin
      zero_q <= n0_i == 0 || n1_i == 0 || n2_i == 0 || nk_i == 0 || tail_i == 0;
      over_q <= 1'b0;
    end else if (advance_i) begin
      over_q <= last_o;
    end
  end
  assert property (@(posedge clk_i) disable iff (!rst_ni) advance_i && !load_i |-> !zero_q)
  else $error("ng_loops: a count is 0");
  assert property (@(posedge clk_i) disable iff (!rst_ni) advance_i && !load_i |-> !over_q)
  else $error("ng_loops: an advance after the last turn");
`endif
endmodule
