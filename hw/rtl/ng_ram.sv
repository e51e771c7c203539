// A memory with one write port and one read port: distributed RAM up to 64 words or with Luts, UltraRAM with Ultra,
// otherwise block RAM.
//
// Vivado may extend a depth that is no power of two to the next one (AR 61995, UG906), so the memory consists of parts
// with a power of two of words each. The word is on rdata_o Latency cycles after its address:
//   1  the register of the block; 2  its output register; 3  a register behind the multiplexer of the parts;
//   4 and more  further registers in the parts, for the pipeline of a column of UltraRAM.
// The output stays as long as neither the address nor the word changes and nothing else is read.
// Limits: a read of a word that is written in the same cycle is undefined; reset does not clear the words.
module ng_ram #(
  parameter int unsigned Width   = 8,
  parameter int unsigned Depth   = 512,
  parameter int unsigned Latency = 2,
  parameter bit          Ultra   = 1'b0,
  parameter bit          Luts    = 1'b0,
  localparam int unsigned AddrBits = ng_pkg::addr_bits(Depth)
) (
  input  logic                clk_i,
  input  logic                we_i,
  input  logic [AddrBits-1:0] waddr_i,
  input  logic [Width-1:0]    wdata_i,
  input  logic                re_i,
  input  logic [AddrBits-1:0] raddr_i,
  output logic [Width-1:0]    rdata_o
);
  if (Latency < 1) begin : gen_check
    $error("ng_ram: Latency must be at least 1");
  end
  if (Ultra && Luts) begin : gen_check_style
    $error("ng_ram: Ultra and Luts exclude each other");
  end

  localparam ng_pkg::ram_e Style = ng_pkg::ram_style(Depth, Ultra, Luts);
  localparam int unsigned Words = ng_pkg::ram_words(Depth, Width, Style);
  localparam int unsigned Parts = $countones(Words);

  logic [Parts-1:0] write_hit, read_hit;
  logic [Parts-1:0][Width-1:0] words;
  for (genvar part = 0; part < Parts; part++) begin : gen_part
    localparam int unsigned Bits = ng_pkg::ram_part_bits(Words, part);
    assign write_hit[part] = 32'(waddr_i) >> Bits == (Words >> Bits) - 1;
    assign read_hit[part]  = 32'(raddr_i) >> Bits == (Words >> Bits) - 1;
    ng_ram_part #(
      .Width   (Width),
      .AddrBits(Bits),
      .Latency (ng_pkg::ram_part_latency(Parts, Latency)),
      .Style   (Style)
    ) u_part (
      .clk_i,
      .we_i   (we_i && write_hit[part]),
      .waddr_i(waddr_i[Bits-1:0]),
      .wdata_i,
      .re_i,
      .raddr_i(raddr_i[Bits-1:0]),
      .rdata_o(words[part])
    );
  end
  ng_ram_mux #(
    .Width  (Width),
    .Parts  (Parts),
    .Latency(Latency)
  ) u_mux (
    .clk_i,
    .re_i,
    .hit_i  (read_hit),
    .words_i(words),
    .rdata_o
  );
endmodule
