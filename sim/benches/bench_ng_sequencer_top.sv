// The sequencers of the three units on one PROGRAM memory, as in ng_program; the bench plays the memory.
module bench_ng_sequencer_top #(
  parameter int unsigned  Lanes     = 8,
  parameter int unsigned  ProgDepth = 64,
  localparam int unsigned ProgBits  = ng_pkg::addr_bits(ProgDepth)
) (
  input  logic                                   clk_i,
  input  logic                                   rst_ni,
  input  logic                                   init_i,
  input  logic [2:0][ng_pkg::NumberBits-1:0]     bases_i,
  input  logic [2:0][ng_pkg::NumberBits-1:0]     counts_i,
  input  logic [1:0]                             sentences_i,
  input  logic [1:0][ng_pkg::LengthBits-1:0]     lengths_i,
  output logic [2:0][ProgBits-1:0]               addr_o,
  input  logic [2:0]                             allow_i,  // which requests may be granted
  output logic [2:0]                             gnt_o,
  input  logic [2:0]                             rvalid_i,
  input  logic [2:0][ng_isa_pkg::InstructionBits-1:0] rdata_i,
  output logic [2:0]                             valid_o,
  input  logic [2:0]                             ready_i,
  output ng_pkg::issue_t [2:0]                   issue_o
);
  logic [2:0] req, allowed;
  assign allowed = req & allow_i;
  assign gnt_o   = allowed & (~allowed + 3'd1);
  for (genvar n = 0; n < 3; n++) begin : gen_unit
    ng_sequencer #(
      .Unit     (ng_isa_pkg::unit_e'(n)),
      .Lanes    (Lanes),
      .ProgDepth(ProgDepth)
    ) u_sequencer (
      .clk_i,
      .rst_ni,
      .init_i,
      .base_i  (bases_i[n]),
      .count_i (counts_i[n]),
      .sentences_i,
      .lengths_i,
      .req_o   (req[n]),
      .addr_o  (addr_o[n]),
      .gnt_i   (gnt_o[n]),
      .rvalid_i(rvalid_i[n]),
      .rdata_i (rdata_i[n]),
      .valid_o (valid_o[n]),
      .ready_i (ready_i[n]),
      .issue_o (issue_o[n])
    );
  end
endmodule
