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
  logic             spare_valid_q, valid_q;
  logic [Width-1:0] spare_q, data_q;

  assign ready_o = !spare_valid_q;
  assign valid_o = valid_q;
  assign data_o  = data_q;

  always_ff @(posedge clk_i) begin
    if (!valid_q || ready_i) data_q <= spare_valid_q ? spare_q : data_i;
    if (!spare_valid_q) spare_q <= data_i;
    if (!rst_ni) begin
      valid_q       <= 1'b0;
      spare_valid_q <= 1'b0;
    end else begin
      if (!valid_q || ready_i) begin
        valid_q       <= spare_valid_q || valid_i;
        spare_valid_q <= 1'b0;
      end else if (valid_i && ready_o) begin
        spare_valid_q <= 1'b1;
      end
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) spare_valid_q |-> valid_q)
  else $error("ng_skid: the spare word is valid without the first");
  assert property (@(posedge clk_i) disable iff (!rst_ni) valid_o && !ready_i |=> valid_o && $stable(data_o))
  else $error("ng_skid: a word changed before it was taken");
`endif
endmodule
