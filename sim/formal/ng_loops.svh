  // Properties of ng_loops, for a user that loads counts of at least 1 and does not advance after the last turn.
  logic loaded_q = 1'b0;
  logic went_q = 1'b0;       // the previous cycle advanced, from these turns:
  logic [11:0] was0_q, was1_q, was2_q;
  logic [12:0] wask_q;
  logic ended_q;
  logic [11:0] n0_q, n1_q, n2_q;  // the counts as loaded
  logic [12:0] nk_q, nt_q;

  always @(posedge clk_i) begin
    if (load_i) begin
      loaded_q <= 1'b1;
      n0_q     <= n0_i;
      n1_q     <= n1_i;
      n2_q     <= n2_i;
      nk_q     <= nk_i;
      nt_q     <= tail_i;
    end
    went_q  <= loaded_q && advance_i && !load_i;
    was0_q  <= i0_q;
    was1_q  <= i1_q;
    was2_q  <= i2_q;
    wask_q  <= k_q;
    ended_q <= lastk_q;
  end

  always @* begin
    if (load_i) assume (n0_i != 0 && n1_i != 0 && n2_i != 0 && nk_i != 0 && tail_i != 0);
    if (loaded_q && last_o && !load_i) assume (!advance_i);
    if (loaded_q) begin
      assert (before0_q == n0_q - 12'd2 && before1_q == n1_q - 12'd2 && before2_q == n2_q - 12'd2);
      assert (topk_q == nk_q - 13'd1 && tail_q == nt_q - 13'd1);
      assert (n0_q != 0 && n1_q != 0 && n2_q != 0 && nk_q != 0 && nt_q != 0);
      assert (single1_q == (n1_q == 1) && single2_q == (n2_q == 1));
      assert (singlek_q == (nk_q == 1) && singlet_q == (nt_q == 1));
      assert (i0_q < n0_q && i1_q < n1_q && i2_q < n2_q && k_q < (last2_q ? nt_q : nk_q));
      assert (last0_q == (i0_q == n0_q - 12'd1) && last1_q == (i1_q == n1_q - 12'd1));
      assert (last_2_o == (i2_q == n2_q - 12'd1) && last_tile_o == (last0_q && last1_q && last2_q));
      assert (left_o == (last2_q ? nt_q : nk_q) - 13'd1 - k_q && last_k_o == (left_o == 0));
      assert ($countones(step_o) == 1);
      assert (last_o == (last_tile_o && left_o == 0));
      // The next turn is the smallest greater one, in the order of the nest.
      if (went_q) assert ({i0_q, i1_q, i2_q, k_q} > {was0_q, was1_q, was2_q, wask_q});
      if (went_q && k_q != 0) assert ({i0_q, i1_q, i2_q} == {was0_q, was1_q, was2_q} && k_q == wask_q + 13'd1);
      if (went_q && k_q == 0) assert (ended_q);
      if (went_q && i2_q != was2_q && i2_q != 0) assert (i2_q == was2_q + 12'd1 && {i0_q, i1_q} == {was0_q, was1_q});
      if (went_q && i1_q != was1_q && i1_q != 0) assert (i1_q == was1_q + 12'd1 && i2_q == 0 && i0_q == was0_q);
      if (went_q && i0_q != was0_q) assert (i0_q == was0_q + 12'd1 && {i1_q, i2_q} == 0);
      cover (last_o && i0_q == 12'd1 && i1_q == 12'd1 && i2_q == 12'd1 && k_q == 0);
      cover (went_q && i0_q != was0_q);
    end
  end
