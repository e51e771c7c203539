// PROGRAM memory and the sequencers of the three units.
//
// One sequencer can read per cycle. Priority, highest first: array, vector unit, stream unit. Each sequencer issues the
// instructions of its list to its unit, in order.
// Limits: PROGRAM must not be written while a list is executed.
module ng_program #(
  parameter int unsigned Lanes = 8,
  parameter int unsigned Depth = 64,
  parameter bit          Ultra = 1'b0,
  parameter bit          Luts  = 1'b0,
  localparam int unsigned AddrBits = ng_pkg::addr_bits(Depth)
) (
  input  logic                                   clk_i,
  input  logic                                   rst_ni,  // resets the sequencers, not the memory
  // Writes.
  input  logic                                   we_i,
  input  logic [AddrBits-1:0]                    waddr_i,
  input  logic [ng_isa_pkg::InstructionBits-1:0] wdata_i,
  // The lists, one per unit; constant from the last cycle of reset on.
  input  logic                                   init_i,
  input  logic [2:0][ng_pkg::NumberBits-1:0]     bases_i,
  input  logic [2:0][ng_pkg::NumberBits-1:0]     counts_i,
  input  logic [1:0]                             sentences_i,
  input  logic [1:0][ng_pkg::LengthBits-1:0]     lengths_i,
  // The next instruction of each unit.
  output logic [2:0]                             valid_o,
  input  logic [2:0]                             ready_i,
  output ng_pkg::issue_t [2:0]                   issue_o
);
  import ng_isa_pkg::*;
  import ng_pkg::*;

  // A word arrives two cycles after its grant.
  logic [2:0] req, gnt, sent1_q, sent2_q;
  logic [2:0][AddrBits-1:0] addr;
  logic [InstructionBits-1:0] rdata;
  assign gnt = {req[2] && req[1:0] == 0, req[1] && !req[0], req[0]};
  always_ff @(posedge clk_i) begin
    sent1_q <= rst_ni ? gnt : '0;
    sent2_q <= rst_ni ? sent1_q : '0;
  end
  ng_ram #(
    .Width(InstructionBits),
    .Depth(Depth),
    .Ultra(Ultra),
    .Luts (Luts)
  ) u_words (
    .clk_i,
    .we_i,
    .waddr_i,
    .wdata_i,
    .re_i   (req != 0),
    .raddr_i(gnt[0] ? addr[0] : gnt[1] ? addr[1] : addr[2]),
    .rdata_o(rdata)
  );

  for (genvar n = 0; n < 3; n++) begin : gen_sequencer
    ng_sequencer #(
      .Unit     (unit_e'(n)),
      .Lanes    (Lanes),
      .ProgDepth(Depth)
    ) u_sequencer (
      .clk_i,
      .rst_ni,
      .init_i,
      .base_i  (bases_i[n]),
      .count_i (counts_i[n]),
      .sentences_i,
      .lengths_i,
      .req_o   (req[n]),
      .addr_o  (addr[n]),
      .gnt_i   (gnt[n]),
      .rvalid_i(sent2_q[n]),
      .rdata_i (rdata),
      .valid_o (valid_o[n]),
      .ready_i (ready_i[n]),
      .issue_o (issue_o[n])
    );
`ifndef SYNTHESIS
    // For waveforms: the instruction that the unit took last.
    opcode_e taken;
    logic [NumberBits-1:0] taken_number;
    always_ff @(posedge clk_i) begin
      if (valid_o[n] && ready_i[n]) begin
        taken        <= opcode_e'(issue_o[n].instruction[OpcodeBits-1:0]);
        taken_number <= issue_o[n].number;
      end
    end
`endif
  end
endmodule
