// The AXI4-Lite registers and the cycle counters.
//
// Every output is a register. A write is accepted in the cycle after its address and data are valid, a read likewise;
// its data follow two cycles later. docs/isa.md, section 9, defines addresses and meaning. The response is OKAY at every
// address.
// Limits: ng_command executes the commands.
module ng_regs #(
  parameter int unsigned     Lanes  = 8,
  parameter ng_pkg::depths_t Depths = '0
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             awvalid_i,
  output logic             awready_o,
  input  logic [7:0]       awaddr_i,
  input  logic             wvalid_i,
  output logic             wready_o,
  input  logic [31:0]      wdata_i,
  input  logic [3:0]       wstrb_i,
  output logic             bvalid_o,
  input  logic             bready_i,
  input  logic             arvalid_i,
  output logic             arready_o,
  input  logic [7:0]       araddr_i,
  output logic             rvalid_o,
  input  logic             rready_i,
  output logic [31:0]      rdata_o,
  output logic             start_o,
  output logic [2:0]       command_o,
  output logic             clear_o,
  output logic [31:0]      sentences_o,
  output logic [1:0][31:0] lengths_o,
  output logic [31:0]      timeout_o,
  input  logic             idle_i,
  input  logic             done_i,
  input  logic             error_i,
  input  logic [7:0]       code_i,
  input  logic [31:0]      where_i,
  input  logic             ends_i,
  input  logic             starts_i,
  input  logic [ng_isa_pkg::Counters-1:0] count_i, // counters that advance in this cycle
  output logic             interrupt_o
);
  import ng_isa_pkg::*;

  logic [31:0] sentences_q, timeout_q, rdata_q, rdata;
  logic [1:0][31:0] lengths_q;
  logic enable_q, pending_q, interrupt_q, bvalid_q, rvalid_q, start_q, clear_q;
  logic [2:0] command_q;
  logic [Counters-1:0][31:0] counters_q;
  logic [Counters-1:0] count_q;
  // An access that was valid is accepted (write_q, read_q); what a read found is registered (reads_q).
  logic write_q, read_q, reads_q;
  logic [7:2] araddr_q;

  assign awready_o = write_q;
  assign wready_o  = write_q;
  assign arready_o = read_q;
  assign bvalid_o  = bvalid_q;
  assign rvalid_o  = rvalid_q;
  assign rdata_o   = rdata_q;

  assign start_o     = start_q;
  assign command_o   = command_q;
  assign clear_o     = clear_q;
  assign sentences_o = sentences_q;
  assign lengths_o   = lengths_q;
  assign timeout_o   = timeout_q;
  assign interrupt_o = interrupt_q;

  always_comb begin
    rdata = '0;
    unique case ({araddr_q, 2'b00})
      RegId:              rdata = EngineId;
      RegVersion:         rdata = IsaVersion;
      RegStatus:          rdata = {16'd0, code_i, 5'd0, error_i, done_i, idle_i};
      RegErrorWhere:      rdata = where_i;
      RegInterruptEnable: rdata = {31'd0, enable_q};
      RegInterrupt:       rdata = {31'd0, pending_q};
      RegTimeout:         rdata = timeout_q;
      RegSentences:       rdata = sentences_q;
      RegLength0:         rdata = lengths_q[0];
      RegLength1:         rdata = lengths_q[1];
      RegLanes:           rdata = Lanes;
      RegAccBits:         rdata = AccBits;
      default: begin
        for (int unsigned n = 0; n < 13; n++) begin
          if ({araddr_q, 2'b00} == RegWeightDepth + 8'(4 * n)) rdata = Depths[n];
        end
        for (int unsigned n = 0; n < Counters; n++) begin
          if ({araddr_q, 2'b00} == RegCycles + 8'(4 * n)) rdata = counters_q[n];
        end
      end
    endcase
  end

  function automatic logic [31:0] merged(logic [31:0] old, logic [31:0] data, logic [3:0] strobes);
    for (int unsigned n = 0; n < 4; n++) merged[8*n+:8] = strobes[n] ? data[8*n+:8] : old[8*n+:8];
  endfunction

  always_ff @(posedge clk_i) begin
    start_q     <= 1'b0;
    clear_q     <= 1'b0;
    interrupt_q <= enable_q && pending_q;
    count_q     <= count_i;
    araddr_q    <= araddr_i[7:2];
    if (reads_q) rdata_q <= rdata;
    // Only the end of a command for which the interrupt was enabled is pending, until the next command.
    if (starts_i) pending_q <= 1'b0;
    if (ends_i && enable_q && !starts_i) pending_q <= 1'b1;
    if (write_q) begin
      unique case ({awaddr_i[7:2], 2'b00})
        RegControl: begin
          start_q   <= wstrb_i[0] && !(wdata_i[31] && wstrb_i[3]);
          clear_q   <= wdata_i[31] && wstrb_i[3];
          command_q <= wdata_i[2:0];
        end
        RegInterruptEnable: if (wstrb_i[0]) enable_q <= wdata_i[0];
        RegInterrupt: if (wstrb_i[0] && wdata_i[0]) pending_q <= ends_i && enable_q && !starts_i;
        RegTimeout: timeout_q <= merged(timeout_q, wdata_i, wstrb_i);
        RegSentences: sentences_q <= merged(sentences_q, wdata_i, wstrb_i);
        RegLength0: lengths_q[0] <= merged(lengths_q[0], wdata_i, wstrb_i);
        RegLength1: lengths_q[1] <= merged(lengths_q[1], wdata_i, wstrb_i);
        default: ;
      endcase
    end
    for (int unsigned n = 0; n < Counters; n++) begin
      if (starts_i) counters_q[n] <= '0;
      else if (count_q[n] && counters_q[n] != '1) counters_q[n] <= counters_q[n] + 32'd1;
    end
    write_q <= awvalid_i && wvalid_i && !write_q && (!bvalid_q || bready_i);
    if (write_q) bvalid_q <= 1'b1;
    else if (bready_i) bvalid_q <= 1'b0;
    read_q  <= arvalid_i && !read_q && !reads_q && (!rvalid_q || rready_i);
    reads_q <= read_q;
    if (reads_q) rvalid_q <= 1'b1;
    else if (rready_i) rvalid_q <= 1'b0;
    if (!rst_ni) begin
      write_q     <= 1'b0;
      bvalid_q    <= 1'b0;
      read_q      <= 1'b0;
      reads_q     <= 1'b0;
      rvalid_q    <= 1'b0;
      enable_q    <= 1'b0;
      pending_q   <= 1'b0;
      interrupt_q <= 1'b0;
      start_q     <= 1'b0;
      clear_q     <= 1'b0;
      timeout_q   <= '0;
      sentences_q <= '0;
      lengths_q   <= '0;
      counters_q  <= '0;
      count_q     <= '0;
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) !(start_q && clear_q))
  else $error("ng_regs: a command starts and is cleared in the same cycle");
  assert property (@(posedge clk_i) disable iff (!rst_ni) write_q |-> awvalid_i && wvalid_i)
  else $error("ng_regs: the host withdrew a write");
  assert property (@(posedge clk_i) disable iff (!rst_ni) bvalid_q && !bready_i |=> bvalid_q)
  else $error("ng_regs: a write response was withdrawn");
  assert property (@(posedge clk_i) disable iff (!rst_ni) rvalid_q && !rready_i |=> rvalid_q && $stable(rdata_q))
  else $error("ng_regs: read data changed before it was taken");
`endif
endmodule
