// A memory with two ports: port A reads, port B reads or writes. Block RAM (true dual port); UltraRAM with Ultra,
// distributed RAM with Luts.
//
// The word is on the port's output Latency cycles after its address (1 or 2).
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
  if (Latency < 1 || Latency > 2) begin : gen_check
    $error("ng_ram_shared: Latency must be 1 or 2");
  end
  if (Ultra && Luts) begin : gen_check_style
    $error("ng_ram_shared: Ultra and Luts exclude each other");
  end

  // no_rw_check: no logic is needed for a read of a word that is written in the same cycle.
  localparam Style = Ultra ? "ultra" : Luts ? "distributed" : "auto";
  (* ram_style = Style, no_rw_check *) logic [Width-1:0] words[Depth];
  logic [Width-1:0] a_q, b_q;

  always_ff @(posedge clk_i) begin
    if (a_re_i) a_q <= words[a_addr_i];
  end
  always_ff @(posedge clk_i) begin
    if (b_we_i) words[b_addr_i] <= b_wdata_i;
    else if (b_re_i) b_q <= words[b_addr_i];
  end

  if (Latency == 2) begin : gen_output
    logic [Width-1:0] a_out_q, b_out_q;
    always_ff @(posedge clk_i) begin
      a_out_q <= a_q;
      b_out_q <= b_q;
    end
    assign a_rdata_o = a_out_q;
    assign b_rdata_o = b_out_q;
  end else begin : gen_no_output
    assign a_rdata_o = a_q;
    assign b_rdata_o = b_q;
  end
endmodule
