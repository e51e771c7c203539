// The functions of ng_pkg as a module, for their bench. Latency 1.
module ng_functions (
  input  logic               clk_i,
  input  logic [31:0]        crc_i,
  input  logic [63:0]        beat_i,
  input  logic signed [31:0] v_i,
  input  logic signed [5:0]  shift_i,
  input  logic [4:0]         bits_i,
  input  logic               unsigned_i,
  input  logic [31:0]        depth_i,
  input  ng_pkg::waits_t     waits_i,
  input  ng_pkg::retired_t   retired_i,
  output logic [31:0]        crc_o,
  output logic [15:0]        saturated_o,
  output logic [31:0]        half_o,
  output logic [31:0]        addr_bits_o,
  output logic               met_o
);
  always_ff @(posedge clk_i) begin
    crc_o       <= ng_pkg::crc_step(crc_i, beat_i);
    saturated_o <= ng_pkg::saturated(v_i, bits_i, unsigned_i);
    half_o      <= ng_pkg::rounding_half(shift_i);
    addr_bits_o <= ng_pkg::addr_bits(depth_i);
    met_o       <= ng_pkg::met(waits_i, retired_i);
  end
endmodule
