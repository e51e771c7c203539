// A memory with two ports: port A reads, port B reads or writes. Distributed RAM up to 64 words or with Luts, UltraRAM
// with Ultra, otherwise block RAM (true dual port).
//
// The word is on the port's output Latency cycles after its address. Parts and Latency: see ng_ram.
// Limits: port B cannot read and write in one cycle; a read at port A of a word that is written in the same cycle is
// undefined.
module ng_ram_shared #(
  parameter int unsigned Width   = 8,
  parameter int unsigned Depth   = 512,
  parameter int unsigned Latency = 2,
  parameter bit          Ultra   = 1'b0,
  parameter bit          Luts    = 1'b0,
  localparam int unsigned AddrBits = ng_pkg::addr_bits(Depth)
) (
  input  logic                clk_i,
  input  logic                a_re_i,
  input  logic [AddrBits-1:0] a_addr_i,
  output logic [Width-1:0]    a_rdata_o,
  input  logic                b_we_i,
  input  logic                b_re_i,
  input  logic [AddrBits-1:0] b_addr_i,
  input  logic [Width-1:0]    b_wdata_i,
  output logic [Width-1:0]    b_rdata_o
);
  if (Latency < 1) begin : gen_check
    $error("ng_ram_shared: Latency must be at least 1");
  end
  if (Ultra && Luts) begin : gen_check_style
    $error("ng_ram_shared: Ultra and Luts exclude each other");
  end

  localparam ng_pkg::ram_e Style = ng_pkg::ram_style(Depth, Ultra, Luts);
  localparam int unsigned Words = ng_pkg::ram_words(Depth, Width, Style);
  localparam int unsigned Parts = $countones(Words);

  logic [Parts-1:0] a_hit, b_hit;
  logic [Parts-1:0][Width-1:0] a_words, b_words;
  for (genvar part = 0; part < Parts; part++) begin : gen_part
    localparam int unsigned Bits = ng_pkg::ram_part_bits(Words, part);
    assign a_hit[part] = 32'(a_addr_i) >> Bits == (Words >> Bits) - 1;
    assign b_hit[part] = 32'(b_addr_i) >> Bits == (Words >> Bits) - 1;
    ng_ram_shared_part #(
      .Width   (Width),
      .AddrBits(Bits),
      .Latency (ng_pkg::ram_part_latency(Parts, Latency)),
      .Style   (Style)
    ) u_part (
      .clk_i,
      .a_re_i,
      .a_addr_i (a_addr_i[Bits-1:0]),
      .a_rdata_o(a_words[part]),
      .b_we_i   (b_we_i && b_hit[part]),
      .b_re_i,
      .b_addr_i (b_addr_i[Bits-1:0]),
      .b_wdata_i,
      .b_rdata_o(b_words[part])
    );
  end
  ng_ram_mux #(
    .Width  (Width),
    .Parts  (Parts),
    .Latency(Latency)
  ) u_mux_a (
    .clk_i,
    .re_i   (a_re_i),
    .hit_i  (a_hit),
    .words_i(a_words),
    .rdata_o(a_rdata_o)
  );
  ng_ram_mux #(
    .Width  (Width),
    .Parts  (Parts),
    .Latency(Latency)
  ) u_mux_b (
    .clk_i,
    .re_i   (b_re_i),
    .hit_i  (b_hit),
    .words_i(b_words),
    .rdata_o(b_rdata_o)
  );
endmodule
