// Prefetches the list of one unit from PROGRAM memory and decodes it.
//
// Decodes an instruction when it arrives and holds up to four. Issues the next one with its place, whether its fields are
// in range, and whether it is skipped.
// Limits: the unit waits for the tokens and executes.
module ng_sequencer #(
  parameter ng_isa_pkg::unit_e Unit      = ng_isa_pkg::UnitArray,
  parameter int unsigned       Lanes     = 8,
  parameter int unsigned       ProgDepth = 64,
  localparam int unsigned      ProgBits  = ng_pkg::addr_bits(ProgDepth)
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  // The list; constant from the last cycle of reset on.
  input  logic                              init_i,     // the list is that of INIT: LOAD only, nothing is skipped
  input  logic [ng_pkg::NumberBits-1:0]     base_i,
  input  logic [ng_pkg::NumberBits-1:0]     count_i,
  input  logic [1:0]                        sentences_i,
  input  logic [1:0][ng_pkg::LengthBits-1:0] lengths_i,
  // PROGRAM memory: words arrive with rvalid_i some cycles after their grants, in order.
  output logic                              req_o,
  output logic [ProgBits-1:0]               addr_o,
  input  logic                              gnt_i,
  input  logic                              rvalid_i,
  input  logic [ng_isa_pkg::InstructionBits-1:0] rdata_i,
  // The next instruction.
  output logic                              valid_o,
  input  logic                              ready_i,
  output ng_pkg::issue_t                    issue_o
);
  import ng_isa_pkg::*;
  import ng_pkg::*;
  localparam int unsigned Shift = $clog2(Lanes);
  localparam int unsigned Ahead = 4;

  // Requests: `left_q` are still to be made; up to `Ahead` instructions are requested and not yet taken.
  logic [NumberBits-1:0] left_q, number_q;
  logic [ProgBits-1:0] addr_q;
  logic [2:0] held_q;
  logic req_q, more, full, taken;
  assign req_o   = req_q;
  assign addr_o  = addr_q;
  assign taken   = valid_o && ready_i;
  assign more    = left_q != 0 && !(gnt_i && left_q == NumberBits'(1));
  assign full    = held_q == 3'(Ahead) || (gnt_i && held_q == 3'(Ahead - 1));
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      req_q    <= count_i != 0;
      left_q   <= count_i;
      addr_q   <= ProgBits'(base_i);
      held_q   <= '0;
      number_q <= '0;
    end else begin
      // `taken` comes last in the cycle.
      req_q  <= more && (!full || taken);
      held_q <= held_q + 3'(gnt_i) - 3'(taken);
      if (gnt_i) begin
        left_q <= left_q - 1'b1;
        addr_q <= addr_q + 1'b1;
      end
      if (taken) number_q <= number_q + 1'b1;
    end
  end

  // Fields that are in the same place in all instructions.
  localparam int unsigned FirstBits = LengthBits + 6;
  load_t common;
  logic [LengthBits-1:0] length;
  logic [FirstBits-1:0] first;
  logic [LengthBits-1:0] rest;
  logic ok, skipped;
  place_t place;
  always_comb begin
    common         = load_t'(rdata_i);
    length         = init_i ? '0 : lengths_i[common.sentence];
    first          = init_i ? '0 : FirstBits'(common.block) << Shift;
    rest           = length - LengthBits'(first);
    place.sentence = common.sentence;
    place.first    = LengthBits'(first);
    place.length   = length;
    place.tokens   = rest >= LengthBits'(Lanes) ? 6'(Lanes) : 6'(rest);
    place.blocks   = (length + LengthBits'(Lanes - 1)) >> Shift;
    skipped = !init_i && (2'(common.sentence) >= sentences_i || first >= FirstBits'(length));
  end
  if (Unit == UnitArray) begin : gen_array
    assign ok = contract_ok(contract_t'(rdata_i));
  end else if (Unit == UnitVector) begin : gen_vector
    assign ok = softmax_ok(softmax_t'(rdata_i)) || layernorm_ok(layernorm_t'(rdata_i));
  end else begin : gen_stream
    assign ok = load_ok(load_t'(rdata_i)) || (store_ok(store_t'(rdata_i)) && !init_i);
  end

  ng_fifo #(
    .Width(InstructionBits + 2 + $bits(place_t)),
    .Depth(Ahead)
  ) u_fifo (
    .clk_i,
    .rst_ni,
    .valid_i(rvalid_i),
    .ready_o(),
    .data_i ({rdata_i, ok, skipped, place}),
    .valid_o,
    .ready_i,
    .data_o ({issue_o.instruction, issue_o.ok, issue_o.skipped, issue_o.place})
  );
  assign issue_o.number = number_q;

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) held_q <= 3'(Ahead))
  else $error("ng_sequencer: more words requested than fit");
  assert property (@(posedge clk_i) disable iff (!rst_ni) gnt_i |-> req_q)
  else $error("ng_sequencer: a grant without a request");
  assert property (@(posedge clk_i) disable iff (!rst_ni) rvalid_i || valid_o |-> held_q != 0)
  else $error("ng_sequencer: a word that was not requested");
  assert property (@(posedge clk_i) disable iff (!rst_ni) valid_o |-> number_q < count_i)
  else $error("ng_sequencer: an instruction after the end of the list");
  assert property (@(posedge clk_i) $rose(rst_ni) |-> $stable(count_i) && $stable(base_i))
  else $error("ng_sequencer: the list changed at the end of reset");
`endif
endmodule
