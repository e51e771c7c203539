// Prefetches the list of one unit from PROGRAM memory and decodes the next instruction.
//
// Holds up to four instructions. Issues the next one with its place, whether its fields are in range, and whether it is
// skipped.
// Limits: the unit waits for the tokens and executes.
module ng_sequencer #(
  parameter ng_isa_pkg::unit_e Unit      = ng_isa_pkg::UnitArray,
  parameter int unsigned       Lanes     = 8,
  parameter int unsigned       ProgDepth = 64,
  localparam int unsigned      ProgBits  = ng_pkg::addr_bits(ProgDepth)
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  // The list; constant while rst_ni is 1.
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

  logic [NumberBits-1:0] asked_q, number_q;
  logic [2:0] held_q;
  logic take, fifo_valid;
  logic [InstructionBits-1:0] next;

  assign req_o  = asked_q != count_i && held_q != 3'(Ahead);
  assign addr_o = ProgBits'(base_i + asked_q);

  ng_fifo #(
    .Width(InstructionBits),
    .Depth(Ahead)
  ) u_fifo (
    .clk_i,
    .rst_ni,
    .valid_i(rvalid_i),
    .ready_o(),
    .data_i (rdata_i),
    .valid_o(fifo_valid),
    .ready_i(take),
    .data_o (next)
  );

  // Fields that are in the same place in all instructions.
  load_t common;
  logic [LengthBits-1:0] length;
  logic [LengthBits+5:0] first;
  logic [LengthBits-1:0] rest;
  logic ok;
  place_t place;
  always_comb begin
    common         = load_t'(next);
    length         = init_i ? '0 : lengths_i[common.sentence];
    first          = init_i ? '0 : (LengthBits + 6)'(common.block) << Shift;
    rest           = length - LengthBits'(first);
    place.sentence = common.sentence;
    place.first    = LengthBits'(first);
    place.length   = length;
    place.tokens   = rest >= LengthBits'(Lanes) ? 6'(Lanes) : 6'(rest);
    place.blocks   = (length + LengthBits'(Lanes - 1)) >> Shift;
    unique case (Unit)
      UnitArray:  ok = contract_ok(contract_t'(next));
      UnitVector: ok = softmax_ok(softmax_t'(next)) || layernorm_ok(layernorm_t'(next));
      default:    ok = load_ok(load_t'(next)) || (store_ok(store_t'(next)) && !init_i);
    endcase
  end

  logic valid_q, ok_q, skipped_q;
  logic [InstructionBits-1:0] instruction_q;
  place_t place_q;
  assign take    = fifo_valid && (!valid_q || ready_i);
  assign valid_o = valid_q;
  always_comb begin
    issue_o.instruction = instruction_q;
    issue_o.number      = number_q;
    issue_o.ok          = ok_q;
    issue_o.skipped     = skipped_q;
    issue_o.place       = place_q;
  end

  always_ff @(posedge clk_i) begin
    if (take) begin
      instruction_q <= next;
      place_q       <= place;
      ok_q          <= ok;
      skipped_q     <= !init_i && (2'(common.sentence) >= sentences_i || first >= (LengthBits + 6)'(length));
    end
    if (!rst_ni) begin
      asked_q  <= '0;
      number_q <= '0;
      held_q   <= '0;
      valid_q  <= 1'b0;
    end else begin
      if (req_o && gnt_i) asked_q <= asked_q + 1'b1;
      held_q <= held_q + 3'(req_o && gnt_i) - 3'(take);
      if (take) valid_q <= 1'b1;
      else if (ready_i) valid_q <= 1'b0;
      if (valid_q && ready_i) number_q <= number_q + 1'b1;
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) held_q <= 3'(Ahead))
  else $error("ng_sequencer: more words requested than fit");
  assert property (@(posedge clk_i) disable iff (!rst_ni) rvalid_i || fifo_valid |-> held_q != 0)
  else $error("ng_sequencer: a word that was not requested");
  assert property (@(posedge clk_i) disable iff (!rst_ni) valid_q |-> number_q < count_i)
  else $error("ng_sequencer: an instruction after the end of the list");
  assert property (@(posedge clk_i) disable iff (!rst_ni) valid_q && !ready_i |=>
                   valid_q && $stable(instruction_q) && $stable(number_q) && $stable(place_q))
  else $error("ng_sequencer: an instruction changed before it was taken");
`endif
endmodule
