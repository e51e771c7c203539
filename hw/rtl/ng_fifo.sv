// A first-in, first-out queue.
//
// Holds up to Depth words; the oldest is on data_o whenever valid_o is 1. A word may be pushed and another popped in
// the same cycle, except when the queue is full: ready_o depends on registers alone.
// Limits: a word passes from input to output in one cycle at the earliest.
module ng_fifo #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 4
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             valid_i,
  output logic             ready_o,
  input  logic [Width-1:0] data_i,
  output logic             valid_o,
  input  logic             ready_i,
  output logic [Width-1:0] data_o
);
  localparam int unsigned PtrBits = $clog2(Depth);
  localparam int unsigned CountBits = PtrBits + 1;
  if (Depth < 2 || (Depth & (Depth - 1)) != 0) begin : gen_check
    $error("ng_fifo: Depth must be a power of two, at least 2");
  end

  logic [Width-1:0] words[Depth];
  logic [PtrBits:0] head_q, tail_q;
  logic push, pop;

  assign valid_o = head_q != tail_q;
  assign ready_o = (tail_q - head_q) != CountBits'(Depth);
  assign push    = valid_i && ready_o;
  assign pop     = valid_o && ready_i;
  assign data_o  = words[head_q[PtrBits-1:0]];

  always_ff @(posedge clk_i) begin
    if (push) words[tail_q[PtrBits-1:0]] <= data_i;
    if (!rst_ni) begin
      head_q <= '0;
      tail_q <= '0;
    end else begin
      if (push) tail_q <= tail_q + 1'b1;
      if (pop) head_q <= head_q + 1'b1;
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) (tail_q - head_q) <= CountBits'(Depth))
  else $error("ng_fifo: more than Depth words");
  assert property (@(posedge clk_i) disable iff (!rst_ni) valid_o && !ready_i |=> valid_o && $stable(data_o))
  else $error("ng_fifo: a word changed before it was taken");
`endif
endmodule
