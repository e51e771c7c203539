// A design without anything: its build compiles Verilator's run-time library.
module ng_none (input logic clk_i);
endmodule
