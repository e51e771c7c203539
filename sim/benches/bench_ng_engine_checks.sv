// Checks of the wrapper's AXI ports and of the cycle counters; bound to `narrowgauge`.
//
// A valid beat is stable until it is taken (unless a reset stops the engine), no response comes without its request, and
// each counter holds the number of cycles of the command in which its unit asserted its output.
// Limits: drives nothing; the benches of the units check when a unit must count.
module bench_ng_engine_checks (
  input logic        aclk,
  input logic        aresetn,
  input logic        s_axi_awvalid,
  input logic        s_axi_awready,
  input logic [7:0]  s_axi_awaddr,
  input logic        s_axi_wvalid,
  input logic        s_axi_wready,
  input logic [31:0] s_axi_wdata,
  input logic [3:0]  s_axi_wstrb,
  input logic        s_axi_bvalid,
  input logic        s_axi_bready,
  input logic [1:0]  s_axi_bresp,
  input logic        s_axi_arvalid,
  input logic        s_axi_arready,
  input logic        s_axi_rvalid,
  input logic        s_axi_rready,
  input logic [31:0] s_axi_rdata,
  input logic [1:0]  s_axi_rresp,
  input logic        m_axis_tvalid,
  input logic        m_axis_tready,
  input logic [63:0] m_axis_tdata,
  input logic        m_axis_tlast,
  // Inside the engine: a command begins, is executed; what counts, in the order of the registers; the counters.
  input logic        starts,
  input logic        works,
  input logic [ng_isa_pkg::Counters-1:0] counts,
  input logic [ng_isa_pkg::Counters-1:0][31:0] counters
);
  // Requests without a response yet, and beats that were valid and not taken in the previous cycle.
  logic written, asked_q;
  int writes_q = 0, reads_q = 0;
  logic [2:0] offered_q = '0;
  logic [64:0] beat_q;
  logic [31:0] rdata_q;
  logic [ng_isa_pkg::Counters-1:0][31:0] counted_q;
  assign written = s_axi_awvalid && s_axi_awready && s_axi_wvalid && s_axi_wready;
  logic [ng_isa_pkg::Counters-1:0] counts_q;
  always_ff @(posedge aclk) begin
    beat_q    <= {m_axis_tlast, m_axis_tdata};
    rdata_q   <= s_axi_rdata;
    offered_q <= {m_axis_tvalid && !m_axis_tready, s_axi_rvalid && !s_axi_rready,
                  s_axi_bvalid && !s_axi_bready};
    writes_q  <= writes_q + 32'(written) - 32'(s_axi_bvalid && s_axi_bready);
    // Read data come two cycles after the read.
    asked_q   <= s_axi_arvalid && s_axi_arready;
    reads_q   <= reads_q + 32'(asked_q) - 32'(s_axi_rvalid && s_axi_rready);
    for (int unsigned n = 0; n < ng_isa_pkg::Counters; n++) begin
      counted_q[n] <= starts ? '0 : counted_q[n] + 32'(counts_q[n]);
    end
    counts_q <= works ? counts : '0;
    if (!aresetn) begin
      offered_q <= '0;
      writes_q  <= 0;
      reads_q   <= 0;
      asked_q   <= 1'b0;
      counts_q  <= '0;
      counted_q <= '0;
    end else begin
      assert ((s_axi_awvalid && s_axi_awready) == (s_axi_wvalid && s_axi_wready))
        else $error("an address without its data");
      assert (s_axi_bvalid == (writes_q > 0)) else $error("a write response without a write, or none");
      assert (s_axi_rvalid == (reads_q > 0)) else $error("read data without a read, or none");
      assert (!s_axi_bvalid || s_axi_bresp == 2'b00) else $error("a write response that is not OKAY");
      assert (!s_axi_rvalid || s_axi_rresp == 2'b00) else $error("a read response that is not OKAY");
      if (offered_q[0]) assert (s_axi_bvalid) else $error("a write response went away");
      if (offered_q[1]) assert (s_axi_rvalid && s_axi_rdata == rdata_q) else $error("read data changed");
      if (offered_q[2]) assert (m_axis_tvalid && {m_axis_tlast, m_axis_tdata} == beat_q)
        else $error("a result beat changed before it was taken");
      assert (counters == counted_q) else $error("a counter counts what is not its own");
    end
  end
endmodule

bind narrowgauge bench_ng_engine_checks u_checks (
  .*,
  .starts  (u_engine.starts),
  .works   (u_engine.works),
  .counts  ({u_engine.u_core.u_stream.stall_o, u_engine.u_core.u_stream.wait_o, u_engine.u_core.u_stream.busy_o,
             u_engine.u_core.u_vector.wait_o, u_engine.u_core.u_vector.busy_o,
             u_engine.u_core.u_feed.stall_o, u_engine.u_core.u_feed.drain_o, u_engine.u_core.u_feed.wait_o,
             u_engine.u_core.u_feed.busy_o, 1'b1}),
  .counters(u_engine.u_regs.counters_q)
);
