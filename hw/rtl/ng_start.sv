// Whether a unit takes its next instruction in this cycle, or waits for others.
//
// A unit that is idle takes a valid instruction whose fields are in range when its waits are met, and a skipped one at
// once. A module of its own, so that this short path, which goes on to the sequencer, is mapped on its own.
// Limits: combinational.
module ng_start (
  input  logic idle_i,
  input  logic valid_i,
  input  logic ok_i,
  input  logic skipped_i,
  input  logic met_i,
  output logic ready_o,   // the instruction is taken
  output logic starts_o,  // it is taken and executed
  output logic waits_o    // it waits for other units
);
  assign ready_o  = idle_i && valid_i && ok_i && (skipped_i || met_i);
  assign starts_o = idle_i && valid_i && ok_i && !skipped_i && met_i;
  assign waits_o  = idle_i && valid_i && ok_i && !skipped_i && !met_i;
endmodule
