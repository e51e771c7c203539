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
  input  logic [31:0]        width_i,
  input  logic               ultra_i,
  input  logic               luts_i,
  input  logic [31:0]        number_i,
  input  ng_pkg::waits_t     waits_i,
  input  ng_pkg::retired_t   retired_i,
  output logic [31:0]        crc_o,
  output logic [15:0]        saturated_o,
  output logic [31:0]        half_o,
  output logic [31:0]        addr_bits_o,
  output ng_pkg::ram_e       style_o,
  output logic [31:0]        words_o,
  output logic [31:0]        part_bits_o,
  output logic               met_o
);
  ng_pkg::ram_e style;
  logic [31:0] words;
  assign style = ng_pkg::ram_style(depth_i, ultra_i, luts_i);
  assign words = ng_pkg::ram_words(depth_i, width_i, style);
  always_ff @(posedge clk_i) begin
    crc_o       <= ng_pkg::crc_step(crc_i, beat_i);
    saturated_o <= ng_pkg::saturated(v_i, ng_pkg::saturation_mask(bits_i, unsigned_i), unsigned_i);
    half_o      <= ng_pkg::rounding_half(shift_i);
    addr_bits_o <= ng_pkg::addr_bits(depth_i);
    style_o     <= style;
    words_o     <= words;
    part_bits_o <= ng_pkg::ram_part_bits(words, number_i);
    met_o       <= ng_pkg::met(waits_i, retired_i);
  end
endmodule
