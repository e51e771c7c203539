// A part of a memory with one write port and one read port: a power of two of words, in one style.
//
// The vendor's tools recognize memories by their form, so each style has its own template (UG901, simple dual port),
// with a literal attribute. The word is on rdata_o Latency cycles after its address: registers after the first one
// become the output register of the block, and the pipeline of a column of UltraRAM.
// Limits: those of ng_ram.
module ng_ram_part #(
  parameter int unsigned  Width    = 8,
  parameter int unsigned  AddrBits = 9,
  parameter int unsigned  Latency  = 2,
  parameter ng_pkg::ram_e Style    = ng_pkg::RamBlock
) (
  input  logic                clk_i,
  input  logic                we_i,
  input  logic [AddrBits-1:0] waddr_i,
  input  logic [Width-1:0]    wdata_i,
  input  logic                re_i,
  input  logic [AddrBits-1:0] raddr_i,
  output logic [Width-1:0]    rdata_o
);
  localparam int unsigned Depth = 1 << AddrBits;
  logic [Width-1:0] read_q;

  // rw_addr_collision = "no": a read of a word that is written in the same cycle needs no defined value.
  if (Style == ng_pkg::RamUltra) begin : gen_ultra
    (* ram_style = "ultra" *) logic [Width-1:0] words[Depth];
    always_ff @(posedge clk_i) begin
      if (we_i) words[waddr_i] <= wdata_i;
    end
    always_ff @(posedge clk_i) begin
      if (re_i) read_q <= words[raddr_i];
    end
  end else if (Style == ng_pkg::RamLuts) begin : gen_luts
    (* ram_style = "distributed" *) logic [Width-1:0] words[Depth];
    always_ff @(posedge clk_i) begin
      if (we_i) words[waddr_i] <= wdata_i;
    end
    always_ff @(posedge clk_i) begin
      if (re_i) read_q <= words[raddr_i];
    end
  end else begin : gen_block
    (* ram_style = "block", rw_addr_collision = "no" *) logic [Width-1:0] words[Depth];
    always_ff @(posedge clk_i) begin
      if (we_i) words[waddr_i] <= wdata_i;
    end
    always_ff @(posedge clk_i) begin
      if (re_i) read_q <= words[raddr_i];
    end
  end

  if (Latency == 1) begin : gen_no_output
    assign rdata_o = read_q;
  end else begin : gen_output
    logic [Width-1:0] out_q[Latency-1];
    always_ff @(posedge clk_i) begin
      out_q[0] <= read_q;
      for (int unsigned n = 1; n < Latency - 1; n++) out_q[n] <= out_q[n-1];
    end
    assign rdata_o = out_q[Latency-2];
  end
endmodule
