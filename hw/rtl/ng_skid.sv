// A skid buffer: registers valid, data and ready of a stream.
//
// Passes words on in order, one per cycle; every output is a register.
// Limits: holds at most two words.
module ng_skid #(
  parameter int unsigned Width = 8
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             valid_i,
  output logic             ready_o,
  input  logic [Width-1:0] data_i,
  output logic             valid_o,
  input  logic             ready_i,
  output logic [Width-1:0] data_o
);
  // Ready unless the spare word is valid.
  logic             ready_q, valid_q;
  logic [Width-1:0] spare_q, data_q;

  assign ready_o = ready_q;
  assign valid_o = valid_q;
  assign data_o  = data_q;

  always_ff @(posedge clk_i) begin
    if (!valid_q || ready_i) data_q <= ready_q ? data_i : spare_q;
    if (ready_q) spare_q <= data_i;
    if (!rst_ni) begin
      valid_q <= 1'b0;
      ready_q <= 1'b1;
    end else begin
      if (!valid_q || ready_i) begin
        valid_q <= !ready_q || valid_i;
        ready_q <= 1'b1;
      end else if (valid_i) begin
        ready_q <= 1'b0;
      end
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) !ready_q |-> valid_q)
  else $error("ng_skid: the spare word is valid without the first");
  assert property (@(posedge clk_i) disable iff (!rst_ni) valid_o && !ready_i |=> valid_o && $stable(data_o))
  else $error("ng_skid: a word changed before it was taken");
`endif
endmodule
