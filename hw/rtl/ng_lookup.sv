// A table that every lane looks up independently: one copy of the memory per two lanes, one lane per port.
//
// The word of lane j is on data_o[j] Latency cycles after its address.
// Limits: no lookup in a cycle with a write (the odd lanes would lose it).
module ng_lookup #(
  parameter int unsigned Lanes = 8,
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 512,
  parameter int unsigned Latency = 1,
  parameter bit          Ultra = 1'b0,
  parameter bit          Luts  = 1'b0,
  localparam int unsigned AddrBits = ng_pkg::addr_bits(Depth)
) (
  input  logic                           clk_i,
  input  logic                           we_i,
  input  logic [AddrBits-1:0]            waddr_i,
  input  logic [Width-1:0]               wdata_i,
  input  logic                           re_i,
  input  logic [Lanes-1:0][AddrBits-1:0] addr_i,
  output logic [Lanes-1:0][Width-1:0]    data_o
);
  for (genvar lane = 0; lane < Lanes; lane += 2) begin : gen_pair
    ng_ram_shared #(
      .Width  (Width),
      .Depth  (Depth),
      .Latency(Latency),
      .Ultra  (Ultra),
      .Luts   (Luts)
    ) u_ram (
      .clk_i,
      .a_re_i   (re_i),
      .a_addr_i (addr_i[lane]),
      .a_rdata_o(data_o[lane]),
      .b_we_i   (we_i),
      .b_re_i   (re_i),
      .b_addr_i (we_i ? waddr_i : addr_i[lane+1]),
      .b_wdata_i(wdata_i),
      .b_rdata_o(data_o[lane+1])
    );
  end
endmodule
