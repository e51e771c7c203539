// A part of a memory with a port A that reads and a port B that reads or writes: a power of two of words, in one style.
//
// Each style has its own template (UG901, true dual port, port B in no-change mode), with a literal attribute. See
// ng_ram_part for Latency.
// Limits: those of ng_ram_shared.
module ng_ram_shared_part #(
  parameter int unsigned  Width    = 8,
  parameter int unsigned  AddrBits = 9,
  parameter int unsigned  Latency  = 2,
  parameter ng_pkg::ram_e Style    = ng_pkg::RamBlock
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
  localparam int unsigned Depth = 1 << AddrBits;
  logic [Width-1:0] a_q, b_q;

  // For yosys, no_rw_check: no logic for a read at port A of a word that is written in the same cycle. Vivado adds none,
  // and its rw_addr_collision is for simple dual port only.
  if (Style == ng_pkg::RamUltra) begin : gen_ultra
    (* ram_style = "ultra" *) logic [Width-1:0] words[Depth];
    always_ff @(posedge clk_i) begin
      if (a_re_i) a_q <= words[a_addr_i];
    end
    always_ff @(posedge clk_i) begin
      if (b_we_i || b_re_i) begin
        if (b_we_i) words[b_addr_i] <= b_wdata_i;
        else b_q <= words[b_addr_i];
      end
    end
  end else if (Style == ng_pkg::RamLuts) begin : gen_luts
    (* ram_style = "distributed" *) logic [Width-1:0] words[Depth];
    always_ff @(posedge clk_i) begin
      if (a_re_i) a_q <= words[a_addr_i];
    end
    always_ff @(posedge clk_i) begin
      if (b_we_i || b_re_i) begin
        if (b_we_i) words[b_addr_i] <= b_wdata_i;
        else b_q <= words[b_addr_i];
      end
    end
  end else begin : gen_block
    (* ram_style = "block", no_rw_check *) logic [Width-1:0] words[Depth];
    always_ff @(posedge clk_i) begin
      if (a_re_i) a_q <= words[a_addr_i];
    end
    always_ff @(posedge clk_i) begin
      if (b_we_i || b_re_i) begin
        if (b_we_i) words[b_addr_i] <= b_wdata_i;
        else b_q <= words[b_addr_i];
      end
    end
  end

  if (Latency == 1) begin : gen_no_output
    assign a_rdata_o = a_q;
    assign b_rdata_o = b_q;
  end else begin : gen_output
    logic [Width-1:0] a_out_q[Latency-1];
    logic [Width-1:0] b_out_q[Latency-1];
    always_ff @(posedge clk_i) begin
      a_out_q[0] <= a_q;
      b_out_q[0] <= b_q;
      for (int unsigned n = 1; n < Latency - 1; n++) begin
        a_out_q[n] <= a_out_q[n-1];
        b_out_q[n] <= b_out_q[n-1];
      end
    end
    assign a_rdata_o = a_out_q[Latency-2];
    assign b_rdata_o = b_out_q[Latency-2];
  end
endmodule
