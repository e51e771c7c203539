// The address of each turn of ng_loops: base plus strides, by additions only.
//
// Keeps, for each loop, the address at which its current turn began.
// Limits: Width must hold the largest sum: addresses do not wrap, so that an address outside a memory is detected.
module ng_walk #(
  parameter int unsigned Width = 31
) (
  input  logic             clk_i,
  input  logic             load_i,
  input  logic             advance_i,
  input  logic [3:0]       step_i,    // of ng_loops
  input  logic [Width-1:0] base_i,    // taken with load_i; the strides must then be constant
  input  logic [15:0]      stride0_i,
  input  logic [15:0]      stride1_i,
  input  logic [15:0]      stride2_i,
  input  logic [15:0]      stridek_i,
  output logic [Width-1:0] addr_o
);
  logic [Width-1:0] at0_q, at1_q, at2_q, at_q;
  logic [Width-1:0] next0, next1, next2, nextk;

  assign next0  = at0_q + Width'(stride0_i);
  assign next1  = at1_q + Width'(stride1_i);
  assign next2  = at2_q + Width'(stride2_i);
  assign nextk  = at_q + Width'(stridek_i);
  assign addr_o = at_q;

  always_ff @(posedge clk_i) begin
    if (load_i) begin
      at0_q <= base_i;
      at1_q <= base_i;
      at2_q <= base_i;
      at_q  <= base_i;
    end else if (advance_i) begin
      if (step_i[0]) at_q <= nextk;
      if (step_i[1]) at_q <= next2;
      if (step_i[2]) at_q <= next1;
      if (step_i[3]) at_q <= next0;
      if (step_i[1]) at2_q <= next2;
      if (step_i[2]) at2_q <= next1;
      if (step_i[3]) at2_q <= next0;
      if (step_i[2]) at1_q <= next1;
      if (step_i[3]) at1_q <= next0;
      if (step_i[3]) at0_q <= next0;
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) advance_i && !load_i |-> $onehot(step_i))
  else $error("ng_walk: more than one loop advances");
  assert property (@(posedge clk_i) advance_i && !load_i |->
                   !(step_i[0] && nextk < at_q) && !(step_i[1] && next2 < at2_q) &&
                   !(step_i[2] && next1 < at1_q) && !(step_i[3] && next0 < at0_q))
  else $error("ng_walk: an address overflowed");
`endif
endmodule
