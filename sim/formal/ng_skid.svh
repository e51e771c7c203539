  // Properties of ng_skid. One word is followed through the module; `follow` selects the push at which this begins.
  // Inputs and `follow` are free, so the properties hold for every word.
  (* anyseq *) logic follow;
  logic begun_q = 1'b0;      // a reset has occurred
  logic following_q;         // a followed word is inside
  logic [Width-1:0] word_q;  // its value when it was pushed
  logic [1:0] count_q;       // words inside: pushes minus pops
  logic [1:0] ahead_q;       // words that are popped before it
  logic kept_q;              // a word was valid and not taken in the previous cycle
  logic [Width-1:0] offered_q;
  logic push, pop, arrives;
  assign push    = valid_i && ready_o;
  assign pop     = valid_o && ready_i;
  assign arrives = pop && following_q && ahead_q == 0;

  always @(posedge clk_i) begin
    begun_q   <= 1'b1;
    kept_q    <= rst_ni && valid_o && !ready_i;
    offered_q <= data_o;
    if (!rst_ni) begin
      count_q     <= '0;
      following_q <= 1'b0;
    end else begin
      count_q <= count_q + 2'(push) - 2'(pop);
      if (push && follow && !following_q) begin
        following_q <= 1'b1;
        word_q      <= data_i;
        ahead_q     <= count_q - 2'(pop);
      end else if (arrives) begin
        following_q <= 1'b0;
      end else if (pop) begin
        ahead_q <= ahead_q - 2'd1;
      end
    end
  end

  always @* begin
    if (!begun_q) assume (!rst_ni);
    if (begun_q) begin
      // Properties at the ports.
      assert (count_q <= 2'd2);
      assert (valid_o == (count_q != 0));
      assert (ready_o == (count_q != 2'd2));
      if (arrives) assert (data_o == word_q);
      if (kept_q) assert (valid_o && data_o == offered_q);
      // Invariants that make them inductive.
      assert (count_q == 2'(valid_q) + 2'(!ready_q));
      if (following_q) assert (ahead_q < count_q);
      if (following_q) assert ((ahead_q == 0 ? data_q : spare_q) == word_q);
      // Covers: the properties are not vacuous.
      cover (count_q == 2'd2 && kept_q);
      cover (following_q && ahead_q == 2'd1);
      cover (arrives && count_q == 2'd2 && word_q != '0);
      cover (push && pop && count_q == 2'd1);
    end
  end
