// An empty design, which is built to compile Verilator's run-time library.
module ng_none (input logic clk_i);
endmodule
