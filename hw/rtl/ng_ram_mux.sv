// The word of a memory from the words of its parts, at one read port of ng_ram or ng_ram_shared.
//
// hit_i tells at the read which part has the word. The words of the parts arrive PartLatency cycles later, and the word
// Latency cycles after the read. With several parts, from a Latency of 3 on, a register follows the multiplexer.
module ng_ram_mux #(
  parameter int unsigned Width   = 8,
  parameter int unsigned Parts   = 1,
  parameter int unsigned Latency = 2,
  localparam int unsigned PartLatency = ng_pkg::ram_part_latency(Parts, Latency)
) (
  input  logic                        clk_i,
  input  logic                        re_i,
  input  logic [Parts-1:0]            hit_i,
  input  logic [Parts-1:0][Width-1:0] words_i,
  output logic [Width-1:0]            rdata_o
);
  if (Parts == 1) begin : gen_one
    assign rdata_o = words_i;
  end else begin : gen_several
    logic [Parts-1:0] hit_q[PartLatency];
    always_ff @(posedge clk_i) begin
      if (re_i) hit_q[0] <= hit_i;
      for (int unsigned n = 1; n < PartLatency; n++) hit_q[n] <= hit_q[n-1];
    end

    logic [Width-1:0] word;
    always_comb begin
      word = '0;
      for (int unsigned part = 0; part < Parts; part++) begin
        word |= words_i[part] & {Width{hit_q[PartLatency-1][part]}};
      end
    end
    if (Latency > PartLatency) begin : gen_output
      logic [Width-1:0] out_q;
      always_ff @(posedge clk_i) out_q <= word;
      assign rdata_o = out_q;
    end else begin : gen_no_output
      assign rdata_o = word;
    end
  end
endmodule
