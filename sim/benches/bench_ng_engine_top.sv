// ng_engine with the port names of the AXI models, and checks of what its AXI outputs promise.
//
// What this does: a valid beat stays as it is until it is taken (unless a clear or a reset stops the command), and no
// response comes without its request. What it does not: drive anything.
module bench_ng_engine_top #(
  parameter int unsigned Lanes       = 8,
  parameter int unsigned WeightDepth = 256,
  parameter int unsigned KvDepth     = 128,
  parameter int unsigned ActDepth    = 128,
  parameter int unsigned VectorDepth = 128,
  parameter int unsigned ScoreDepth  = 128,
  parameter int unsigned WideDepth   = 128,
  parameter int unsigned StatDepth   = 16,
  parameter int unsigned BiasDepth   = 128,
  parameter int unsigned NormDepth   = 64,
  parameter int unsigned TableDepth  = 512,
  parameter int unsigned ExpDepth    = 512,
  parameter int unsigned IndexDepth  = 64,
  parameter int unsigned ProgramDepth = 256
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        s_axi_awvalid,
  output logic        s_axi_awready,
  input  logic [7:0]  s_axi_awaddr,
  input  logic        s_axi_wvalid,
  output logic        s_axi_wready,
  input  logic [31:0] s_axi_wdata,
  input  logic [3:0]  s_axi_wstrb,
  output logic        s_axi_bvalid,
  input  logic        s_axi_bready,
  output logic [1:0]  s_axi_bresp,
  input  logic        s_axi_arvalid,
  output logic        s_axi_arready,
  input  logic [7:0]  s_axi_araddr,
  output logic        s_axi_rvalid,
  input  logic        s_axi_rready,
  output logic [31:0] s_axi_rdata,
  output logic [1:0]  s_axi_rresp,
  input  logic        s_axis_tvalid,
  output logic        s_axis_tready,
  input  logic [63:0] s_axis_tdata,
  input  logic        s_axis_tlast,
  output logic        m_axis_tvalid,
  input  logic        m_axis_tready,
  output logic [63:0] m_axis_tdata,
  output logic        m_axis_tlast,
  output logic        interrupt_o
);
  ng_engine #(
    .Lanes       (Lanes),
    .WeightDepth (WeightDepth),
    .KvDepth     (KvDepth),
    .ActDepth    (ActDepth),
    .VectorDepth (VectorDepth),
    .ScoreDepth  (ScoreDepth),
    .WideDepth   (WideDepth),
    .StatDepth   (StatDepth),
    .BiasDepth   (BiasDepth),
    .NormDepth   (NormDepth),
    .TableDepth  (TableDepth),
    .ExpDepth    (ExpDepth),
    .IndexDepth  (IndexDepth),
    .ProgramDepth(ProgramDepth)
  ) u_engine (
    .clk_i,
    .rst_ni,
    .s_axi_awvalid_i      (s_axi_awvalid),
    .s_axi_awready_o      (s_axi_awready),
    .s_axi_awaddr_i       (s_axi_awaddr),
    .s_axi_wvalid_i       (s_axi_wvalid),
    .s_axi_wready_o       (s_axi_wready),
    .s_axi_wdata_i        (s_axi_wdata),
    .s_axi_wstrb_i        (s_axi_wstrb),
    .s_axi_bvalid_o       (s_axi_bvalid),
    .s_axi_bready_i       (s_axi_bready),
    .s_axi_bresp_o        (s_axi_bresp),
    .s_axi_arvalid_i      (s_axi_arvalid),
    .s_axi_arready_o      (s_axi_arready),
    .s_axi_araddr_i       (s_axi_araddr),
    .s_axi_rvalid_o       (s_axi_rvalid),
    .s_axi_rready_i       (s_axi_rready),
    .s_axi_rdata_o        (s_axi_rdata),
    .s_axi_rresp_o        (s_axi_rresp),
    .s_axis_tvalid_i      (s_axis_tvalid),
    .s_axis_tready_o      (s_axis_tready),
    .s_axis_tdata_i       (s_axis_tdata),
    .s_axis_tlast_i       (s_axis_tlast),
    .m_axis_tvalid_o      (m_axis_tvalid),
    .m_axis_tready_i      (m_axis_tready),
    .m_axis_tdata_o       (m_axis_tdata),
    .m_axis_tlast_o       (m_axis_tlast),
    .interrupt_o,
    .probe_array_valid_o  (),
    .probe_array_space_o  (),
    .probe_array_addr_o   (),
    .probe_array_number_o (),
    .probe_array_table_o  (),
    .probe_array_word_o   (),
    .probe_array_before_o (),
    .probe_vector_valid_o (),
    .probe_vector_addr_o  (),
    .probe_vector_number_o(),
    .probe_vector_word_o  (),
    .probe_retired_o      ()
  );

  // Requests that have no response yet, and what was offered and not taken in the cycle before.
  logic written, cleared;
  int writes_q = 0, reads_q = 0;
  logic [2:0] offered_q = '0;
  logic [64:0] beat_q;
  logic [31:0] rdata_q;
  assign written = s_axi_awvalid && s_axi_awready && s_axi_wvalid && s_axi_wready;
  assign cleared = written && {s_axi_awaddr[7:2], 2'b00} == ng_isa_pkg::RegControl && s_axi_wdata[31] && s_axi_wstrb[3];
  logic cleared_q = 1'b0;
  always_ff @(posedge clk_i) begin
    cleared_q <= cleared;
    beat_q    <= {m_axis_tlast, m_axis_tdata};
    rdata_q   <= s_axi_rdata;
    offered_q <= {m_axis_tvalid && !m_axis_tready && !cleared_q, s_axi_rvalid && !s_axi_rready,
                  s_axi_bvalid && !s_axi_bready};
    writes_q  <= writes_q + 32'(written) - 32'(s_axi_bvalid && s_axi_bready);
    reads_q   <= reads_q + 32'(s_axi_arvalid && s_axi_arready) - 32'(s_axi_rvalid && s_axi_rready);
    if (!rst_ni) begin
      offered_q <= '0;
      writes_q  <= 0;
      reads_q   <= 0;
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
    end
  end
endmodule
