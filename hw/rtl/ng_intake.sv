// The input stream of the engine: registers its beats and knows where its packets end.
//
// A clear drops the beats in the buffer. If that leaves the stream inside a packet, the beats up to the packet's last
// are discarded as well; a second clear ends this, and the next beat is then the first of a packet.
// Limits: the user of the beats must not read beyond the last beat of a packet that belongs to him.
module ng_intake (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        clear_i,     // for one cycle
  output logic        discards_o,  // beats were dropped by the clear, or are discarded
  // The input stream.
  input  logic        valid_i,
  output logic        ready_o,
  input  logic [63:0] data_i,
  input  logic        last_i,
  // Its beats.
  output logic        valid_o,
  input  logic        ready_i,
  output logic [63:0] data_o,
  output logic        last_o
);
  logic partial_q, discards_q, dropped_q;  // partial: a packet has begun and not ended at the input
  logic taken, partial;
  assign discards_o = discards_q || dropped_q;
  assign taken      = valid_i && ready_o;
  assign partial    = taken ? !last_i : partial_q;
  ng_skid #(
    .Width(65)
  ) u_in (
    .clk_i,
    .rst_ni (rst_ni && !clear_i),
    .valid_i(valid_i && !discards_q),
    .ready_o,
    .data_i ({last_i, data_i}),
    .valid_o,
    .ready_i,
    .data_o ({last_o, data_o})
  );

  always_ff @(posedge clk_i) begin
    partial_q <= partial;
    dropped_q <= clear_i && (valid_o || taken);
    if (clear_i) begin
      discards_q <= partial && !discards_q;
      partial_q  <= partial && !discards_q;
    end else if (taken && last_i) begin
      discards_q <= 1'b0;
    end
    if (!rst_ni) begin
      partial_q  <= 1'b0;
      discards_q <= 1'b0;
      dropped_q  <= 1'b0;
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) discards_q |-> partial_q && ready_o && !valid_o)
  else $error("ng_intake: discards outside a packet, or slowly");
`endif
endmodule
