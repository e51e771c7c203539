// The engine as an RTL module of a Vivado block design: ng_engine with AXI port names.
//
// Names clock, reset, registers, streams and interrupt so that IP Integrator recognizes the interfaces (UG994, UG1118).
// Plain Verilog, as a module reference requires.
// Limits: no logic of its own.
//
// Reset: aresetn is active low and sampled by aclk. Assert it for at least one rising edge of aclk (Processor System
// Reset, PG164, asserts it longer) and release it synchronously to aclk. All VALID outputs are low from the first edge
// in reset on.
// Interrupt: a level, high until the host clears it.
module narrowgauge #(
  parameter integer Lanes        = 16,
  parameter integer WeightDepth  = 32768,
  parameter integer KvDepth      = 8192,
  parameter integer ActDepth     = 8192,
  parameter integer VectorDepth  = 8192,
  parameter integer ScoreDepth   = 2048,
  parameter integer WideDepth    = 4096,
  parameter integer StatDepth    = 32,
  parameter integer BiasDepth    = 16384,
  parameter integer NormDepth    = 16384,
  parameter integer TableDepth   = 4096,
  parameter integer ExpDepth     = 4096,
  parameter integer IndexDepth   = 256,
  parameter integer ProgramDepth = 2048,
  parameter integer PackDsp      = 0,
  parameter integer LutColumns   = 0,
  parameter integer UltraRam     = 0,
  parameter integer LutRam       = 0
) (
  (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 aclk CLK" *)
  (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF s_axi:s_axis:m_axis, ASSOCIATED_RESET aresetn" *)
  input  wire        aclk,
  (* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 aresetn RST" *)
  (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)
  input  wire        aresetn,

  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi AWADDR" *)
  (* X_INTERFACE_PARAMETER = "PROTOCOL AXI4LITE, DATA_WIDTH 32, ADDR_WIDTH 8" *)
  input  wire [7:0]  s_axi_awaddr,
  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi AWVALID" *)
  input  wire        s_axi_awvalid,
  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi AWREADY" *)
  output wire        s_axi_awready,
  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi WDATA" *)
  input  wire [31:0] s_axi_wdata,
  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi WSTRB" *)
  input  wire [3:0]  s_axi_wstrb,
  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi WVALID" *)
  input  wire        s_axi_wvalid,
  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi WREADY" *)
  output wire        s_axi_wready,
  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi BRESP" *)
  output wire [1:0]  s_axi_bresp,
  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi BVALID" *)
  output wire        s_axi_bvalid,
  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi BREADY" *)
  input  wire        s_axi_bready,
  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi ARADDR" *)
  input  wire [7:0]  s_axi_araddr,
  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi ARVALID" *)
  input  wire        s_axi_arvalid,
  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi ARREADY" *)
  output wire        s_axi_arready,
  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi RDATA" *)
  output wire [31:0] s_axi_rdata,
  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi RRESP" *)
  output wire [1:0]  s_axi_rresp,
  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi RVALID" *)
  output wire        s_axi_rvalid,
  (* X_INTERFACE_INFO = "xilinx.com:interface:aximm:1.0 s_axi RREADY" *)
  input  wire        s_axi_rready,

  (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 s_axis TDATA" *)
  (* X_INTERFACE_PARAMETER = "TDATA_NUM_BYTES 8, HAS_TLAST 1, HAS_TREADY 1" *)
  input  wire [63:0] s_axis_tdata,
  (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 s_axis TLAST" *)
  input  wire        s_axis_tlast,
  (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 s_axis TVALID" *)
  input  wire        s_axis_tvalid,
  (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 s_axis TREADY" *)
  output wire        s_axis_tready,

  (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 m_axis TDATA" *)
  (* X_INTERFACE_PARAMETER = "TDATA_NUM_BYTES 8, HAS_TLAST 1, HAS_TREADY 1" *)
  output wire [63:0] m_axis_tdata,
  (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 m_axis TLAST" *)
  output wire        m_axis_tlast,
  (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 m_axis TVALID" *)
  output wire        m_axis_tvalid,
  (* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 m_axis TREADY" *)
  input  wire        m_axis_tready,

  (* X_INTERFACE_INFO = "xilinx.com:signal:interrupt:1.0 interrupt INTERRUPT" *)
  (* X_INTERFACE_PARAMETER = "SENSITIVITY LEVEL_HIGH" *)
  output wire        interrupt
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
    .ProgramDepth(ProgramDepth),
    .PackDsp     (PackDsp),
    .LutColumns  (LutColumns),
    .UltraRam    (UltraRam),
    .LutRam      (LutRam)
  ) u_engine (
    .clk_i               (aclk),
    .rst_ni              (aresetn),
    .s_axi_awvalid_i     (s_axi_awvalid),
    .s_axi_awready_o     (s_axi_awready),
    .s_axi_awaddr_i      (s_axi_awaddr),
    .s_axi_wvalid_i      (s_axi_wvalid),
    .s_axi_wready_o      (s_axi_wready),
    .s_axi_wdata_i       (s_axi_wdata),
    .s_axi_wstrb_i       (s_axi_wstrb),
    .s_axi_bvalid_o      (s_axi_bvalid),
    .s_axi_bready_i      (s_axi_bready),
    .s_axi_bresp_o       (s_axi_bresp),
    .s_axi_arvalid_i     (s_axi_arvalid),
    .s_axi_arready_o     (s_axi_arready),
    .s_axi_araddr_i      (s_axi_araddr),
    .s_axi_rvalid_o      (s_axi_rvalid),
    .s_axi_rready_i      (s_axi_rready),
    .s_axi_rdata_o       (s_axi_rdata),
    .s_axi_rresp_o       (s_axi_rresp),
    .s_axis_tvalid_i     (s_axis_tvalid),
    .s_axis_tready_o     (s_axis_tready),
    .s_axis_tdata_i      (s_axis_tdata),
    .s_axis_tlast_i      (s_axis_tlast),
    .m_axis_tvalid_o     (m_axis_tvalid),
    .m_axis_tready_i     (m_axis_tready),
    .m_axis_tdata_o      (m_axis_tdata),
    .m_axis_tlast_o      (m_axis_tlast),
    .interrupt_o         (interrupt),
    .probe_array_valid_o (),
    .probe_array_space_o (),
    .probe_array_addr_o  (),
    .probe_array_number_o(),
    .probe_array_table_o (),
    .probe_array_word_o  (),
    .probe_array_before_o(),
    .probe_vector_valid_o(),
    .probe_vector_addr_o (),
    .probe_vector_number_o(),
    .probe_vector_word_o (),
    .probe_retired_o     ()
  );
endmodule
