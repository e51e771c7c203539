  // Properties of ng_frame, for a user that opens a packet only when the previous one was taken, ends each packet that he
  // opens, and sends no result after the last. Inputs are otherwise free.
  logic begun_q = 1'b0;   // a reset has occurred
  logic open_q;           // a RUN was begun, and the last beat of its packet was not taken
  logic stopped_q;        // it was stopped,
  logic [7:0] stop_q;     // with this code
  logic finished_q;       // no more results follow
  logic kept_q;           // a beat was valid and not taken in the previous cycle:
  logic [64:0] offered_q;
  logic some_q;           // a result was accepted
  logic last_taken;
  assign last_taken = valid_o && ready_i && last_o;

  always @(posedge clk_i) begin
    begun_q   <= 1'b1;
    kept_q    <= rst_ni && valid_o && !ready_i;
    offered_q <= {last_o, data_o};
    if (open_i) begin
      open_q     <= 1'b1;
      stopped_q  <= 1'b0;
      finished_q <= 1'b0;
      some_q     <= 1'b0;
    end else if (open_q) begin
      finished_q <= finished_q || finish_i;
      if (valid_i && ready_o && !abort_i) some_q <= 1'b1;
      if (abort_i && !stopped_q) begin
        stopped_q <= 1'b1;
        stop_q    <= code_i;
      end
      if (last_taken) open_q <= 1'b0;
    end
    if (!rst_ni) open_q <= 1'b0;
  end

  always @* begin
    if (!begun_q) assume (!rst_ni);
    if (begun_q) begin
      if (open_q) assume (!open_i);
      if (!open_q) assume (!finish_i && !abort_i);
      if (open_q && (stopped_q || finished_q)) assume (finish_i || abort_i);
      if (open_q && stopped_q) assume (abort_i);
      if (finish_i) assume (!abort_i && !valid_i);
      // Properties at the ports.
      assert (busy_o == open_q);                     // one packet per RUN; busy until its last beat is taken
      if (valid_o) assert (open_q);
      if (kept_q) assert (valid_o && {last_o, data_o} == offered_q);
      if (valid_o && last_o) assert (stopped_q || finished_q);
      if (valid_o && last_o && !some_q) assert (data_o[63:32] == ng_isa_pkg::ClosingMagic);
      if (valid_o && last_o && stopped_q && !finished_q) assert (data_o == {ng_isa_pkg::ClosingMagic, 24'd0, stop_q});
      // Invariants that make them inductive.
      if (state_q == Open) assert (hold_valid_q == some_q && !stopped_q);
      if (state_q == Closing || state_q == Sent) assert (stopped_q || finished_q);
      if (u_out.spare_valid_q) assert (u_out.valid_q);
      assert ((u_out.valid_q && u_out.data_q[64]) + (u_out.spare_valid_q && u_out.spare_q[64]) <= 1);
      if (state_q != Sent) assert (!(u_out.valid_q && u_out.data_q[64]) && !(u_out.spare_valid_q && u_out.spare_q[64]));
      if (state_q == Sent) assert (u_out.spare_valid_q ? u_out.spare_q[64] : u_out.valid_q && u_out.data_q[64]);
      if (state_q == Closed) assert (!u_out.valid_q);
      // Covers: the properties are not vacuous.
      cover (last_taken && some_q && !stopped_q);
      cover (last_taken && stopped_q && some_q);
      cover (last_taken && stopped_q && finished_q);
      cover (last_taken && !some_q && !stopped_q);
      cover (kept_q && last_o && stopped_q);
    end
  end
