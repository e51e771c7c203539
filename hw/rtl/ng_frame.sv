// The packets of the output stream: exactly one per RUN.
//
// Passes result beats on and holds the newest one back until it is known whether it is the last. When no more results
// follow, that beat ends the packet. When the command was stopped, it is dropped, and a closing beat with the error code
// ends the packet; it also ends the packet of a RUN without results. A beat that was offered stays until it is taken.
// Limits: result beats that arrive after the end of a packet are lost.
module ng_frame (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        open_i,    // a RUN begins; only while busy_o is 0
  input  logic        finish_i,  // no more results follow; stays 1 until busy_o is 0 or abort_i is 1
  input  logic        abort_i,   // the command was stopped; stays 1 until busy_o is 0
  input  logic [7:0]  code_i,    // the error
  output logic        busy_o,    // the last beat of the packet was not taken
  // Result beats.
  input  logic        valid_i,
  output logic        ready_o,
  input  logic [63:0] data_i,
  // The output stream.
  output logic        valid_o,
  input  logic        ready_i,
  output logic [63:0] data_o,
  output logic        last_o
);
  // Closed: no packet. Open: results. Closing: the closing beat waits. Sent: the last beat was passed on.
  typedef enum logic [1:0] {Closed, Open, Closing, Sent} state_e;
  state_e state_q;

  logic hold_valid_q;
  logic [63:0] hold_q;
  logic [7:0] code_q;
  logic push, push_ready;

  assign busy_o  = state_q != Closed;
  assign ready_o = !hold_valid_q || push_ready;
  assign push    = state_q == Closing ||
                   (state_q == Open && hold_valid_q && (valid_i || finish_i) && !abort_i);
  ng_skid #(
    .Width(65)
  ) u_out (
    .clk_i,
    .rst_ni,
    .valid_i(push),
    .ready_o(push_ready),
    .data_i (state_q == Closing ? {1'b1, ng_isa_pkg::ClosingMagic, 24'd0, code_q} : {finish_i, hold_q}),
    .valid_o,
    .ready_i,
    .data_o ({last_o, data_o})
  );

  always_ff @(posedge clk_i) begin
    if (valid_i && ready_o) hold_q <= data_i;
    unique case (state_q)
      Closed: begin
        hold_valid_q <= 1'b0;
        if (open_i) state_q <= Open;
      end
      Open: begin
        if (valid_i) hold_valid_q <= 1'b1;
        code_q <= abort_i ? code_i : '0;
        if (abort_i || (finish_i && !hold_valid_q)) state_q <= Closing;
        else if (finish_i && push_ready) state_q <= Sent;
      end
      Closing: if (push_ready) state_q <= Sent;
      default: if (valid_o && ready_i && last_o) state_q <= Closed;
    endcase
    if (!rst_ni) state_q <= Closed;
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) open_i |-> !busy_o)
  else $error("ng_frame: a packet is opened before the previous one was taken");
  assert property (@(posedge clk_i) disable iff (!rst_ni) state_q == Open && finish_i && !abort_i |-> !valid_i)
  else $error("ng_frame: a result after the last one");
  assert property (@(posedge clk_i) disable iff (!rst_ni) valid_o && last_o |-> state_q == Sent)
  else $error("ng_frame: the last beat of a packet that was not ended");
`endif
endmodule
