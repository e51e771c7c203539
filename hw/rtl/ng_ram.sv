// A memory with one write port and one read port: block RAM, or distributed RAM where it is small; UltraRAM with
// Ultra, distributed RAM with Luts.
//
// The word is on rdata_o Latency cycles after its address (1 or 2; the second is the output register of a block RAM).
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
  if (Latency < 1 || Latency > 2) begin : gen_check
    $error("ng_ram: Latency must be 1 or 2");
  end
  if (Ultra && Luts) begin : gen_check_style
    $error("ng_ram: Ultra and Luts exclude each other");
  end

  // no_rw_check: no logic is needed for a read of a word that is written in the same cycle.
  localparam Style = Ultra ? "ultra" : Luts ? "distributed" : "auto";
  (* ram_style = Style, no_rw_check *) logic [Width-1:0] words[Depth];
  logic [Width-1:0] read_q;

  always_ff @(posedge clk_i) begin
    if (we_i) words[waddr_i] <= wdata_i;
    if (re_i) read_q <= words[raddr_i];
  end

  if (Latency == 2) begin : gen_output
    logic [Width-1:0] out_q;
    always_ff @(posedge clk_i) out_q <= read_q;
    assign rdata_o = out_q;
  end else begin : gen_no_output
    assign rdata_o = read_q;
  end
endmodule
