// The tensor-contraction engine of docs/isa.md: registers, streams and commands (the host side) around ng_core.
//
// Limits: no DMA. The probe outputs show an observer what the units write; they drive nothing.
//
// The parameters after the depths select the silicon (ng_array, ng_ram); they change no integer and no cycle.
module ng_engine #(
  parameter int unsigned Lanes       = 16,
  parameter int unsigned WeightDepth = 32768,
  parameter int unsigned KvDepth     = 8192,
  parameter int unsigned ActDepth    = 8192,
  parameter int unsigned VectorDepth = 8192,
  parameter int unsigned ScoreDepth  = 2048,
  parameter int unsigned WideDepth   = 4096,
  parameter int unsigned StatDepth   = 32,
  parameter int unsigned BiasDepth   = 16384,
  parameter int unsigned NormDepth   = 16384,
  parameter int unsigned TableDepth  = 4096,
  parameter int unsigned ExpDepth    = 4096,
  parameter int unsigned IndexDepth  = 256,
  parameter int unsigned ProgramDepth = 2048,
  parameter int unsigned PackDsp     = 0,  // 1: one DSP for two products
  parameter int unsigned LutColumns  = 0,
  parameter int unsigned UltraRam    = 0,  // bit n: memory n of memory_e is UltraRAM
  parameter int unsigned LutRam      = 0   // bit n: memory n of memory_e is distributed RAM
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  // AXI4-Lite
  input  logic        s_axi_awvalid_i,
  output logic        s_axi_awready_o,
  input  logic [7:0]  s_axi_awaddr_i,
  input  logic        s_axi_wvalid_i,
  output logic        s_axi_wready_o,
  input  logic [31:0] s_axi_wdata_i,
  input  logic [3:0]  s_axi_wstrb_i,
  output logic        s_axi_bvalid_o,
  input  logic        s_axi_bready_i,
  output logic [1:0]  s_axi_bresp_o,
  input  logic        s_axi_arvalid_i,
  output logic        s_axi_arready_o,
  input  logic [7:0]  s_axi_araddr_i,
  output logic        s_axi_rvalid_o,
  input  logic        s_axi_rready_i,
  output logic [31:0] s_axi_rdata_o,
  output logic [1:0]  s_axi_rresp_o,
  // AXI4-Stream, in and out
  input  logic        s_axis_tvalid_i,
  output logic        s_axis_tready_o,
  input  logic [63:0] s_axis_tdata_i,
  input  logic        s_axis_tlast_i,
  output logic        m_axis_tvalid_o,
  input  logic        m_axis_tready_i,
  output logic [63:0] m_axis_tdata_o,
  output logic        m_axis_tlast_o,
  output logic        interrupt_o,
  // Observers
  output logic                              probe_array_valid_o,
  output logic [2:0]                        probe_array_space_o,
  output logic [ng_isa_pkg::AddressBits-1:0] probe_array_addr_o,
  output logic [ng_pkg::NumberBits-1:0]     probe_array_number_o,
  output logic                              probe_array_table_o,
  output logic [Lanes-1:0][15:0]            probe_array_word_o,
  output logic [Lanes-1:0][15:0]            probe_array_before_o,
  output logic                              probe_vector_valid_o,
  output logic [ng_isa_pkg::AddressBits-1:0] probe_vector_addr_o,
  output logic [ng_pkg::NumberBits-1:0]     probe_vector_number_o,
  output logic [Lanes-1:0][7:0]             probe_vector_word_o,
  output ng_pkg::retired_t                  probe_retired_o
);
  import ng_isa_pkg::*;
  import ng_pkg::*;

  localparam depths_t Depths = {
    ProgramDepth, IndexDepth, ExpDepth, TableDepth, NormDepth, BiasDepth, StatDepth,
    WideDepth, ScoreDepth, VectorDepth, ActDepth, KvDepth, WeightDepth
  };
  if (Lanes != 8 && Lanes != 16 && Lanes != 32) begin : gen_check_lanes
    $error("ng_engine: Lanes must be 8, 16 or 32");
  end
  if (IndexDepth % Sentences != 0) begin : gen_check_index
    $error("ng_engine: IndexDepth must be even");
  end
  for (genvar n = 0; n < 13; n++) begin : gen_check_depths
    if (Depths[n] == 0 || Depths[n] > max_depth(memory_e'(n))) begin : gen_check
      $error("ng_engine: every depth must be 1 to max_depth");
    end
  end

  localparam int unsigned ProgBits = addr_bits(ProgramDepth);

  // Registers and commands.
  logic start, clear, idle, done, error, ends, starts, works;
  logic [2:0] command;
  logic [31:0] sentences, timeout, where;
  logic [1:0][31:0] lengths;
  logic [7:0] code;
  logic [Counters-1:0] counting;
  assign s_axi_bresp_o = 2'b00;
  assign s_axi_rresp_o = 2'b00;
  ng_regs #(
    .Lanes (Lanes),
    .Depths(Depths)
  ) u_regs (
    .clk_i,
    .rst_ni,
    .awvalid_i  (s_axi_awvalid_i),
    .awready_o  (s_axi_awready_o),
    .awaddr_i   (s_axi_awaddr_i),
    .wvalid_i   (s_axi_wvalid_i),
    .wready_o   (s_axi_wready_o),
    .wdata_i    (s_axi_wdata_i),
    .wstrb_i    (s_axi_wstrb_i),
    .bvalid_o   (s_axi_bvalid_o),
    .bready_i   (s_axi_bready_i),
    .arvalid_i  (s_axi_arvalid_i),
    .arready_o  (s_axi_arready_o),
    .araddr_i   (s_axi_araddr_i),
    .rvalid_o   (s_axi_rvalid_o),
    .rready_i   (s_axi_rready_i),
    .rdata_o    (s_axi_rdata_o),
    .start_o    (start),
    .command_o  (command),
    .clear_o    (clear),
    .sentences_o(sentences),
    .lengths_o  (lengths),
    .timeout_o  (timeout),
    .idle_i     (idle),
    .done_i     (done),
    .error_i    (error),
    .code_i     (code),
    .where_i    (where),
    .ends_i     (ends),
    .starts_i   (starts),
    .count_i    (counting),
    .interrupt_o
  );

  // The streams.
  logic in_valid, in_ready, in_last, discards, ended;
  logic [63:0] in_data;
  ng_intake u_intake (
    .clk_i,
    .rst_ni,
    .clear_i   (clear),
    .discards_o(discards),
    .valid_i   (s_axis_tvalid_i),
    .ready_o   (s_axis_tready_o),
    .data_i    (s_axis_tdata_i),
    .last_i    (s_axis_tlast_i),
    .valid_o   (in_valid),
    .ready_i   (in_ready),
    .data_o    (in_data),
    .last_o    (in_last)
  );
  logic open, finish, abort, sending, out_valid, out_ready;
  logic [63:0] out_data;
  ng_frame u_frame (
    .clk_i,
    .rst_ni,
    .open_i  (open),
    .finish_i(finish),
    .abort_i (abort),
    .code_i  (code),
    .busy_o  (sending),
    .valid_i (out_valid),
    .ready_o (out_ready),
    .data_i  (out_data),
    .valid_o (m_axis_tvalid_o),
    .ready_i (m_axis_tready_i),
    .data_o  (m_axis_tdata_o),
    .last_o  (m_axis_tlast_o)
  );

  logic run, init, unit_valid, unit_ready, prog_we;
  logic [1:0] run_sentences;
  logic [1:0][LengthBits-1:0] run_lengths;
  logic [31:0] run_timeout;
  logic [2:0][NumberBits-1:0] bases, counts;
  logic [ProgBits-1:0] prog_waddr;
  logic [InstructionBits-1:0] prog_wdata;
  logic [2:0] waits;
  fault_t [2:0] faults;
  logic [Counters-1:1] core_counting;
  ng_command #(
    .Lanes    (Lanes),
    .ProgDepth(ProgramDepth),
    .Depths   (Depths)
  ) u_command (
    .clk_i,
    .rst_ni,
    .start_i     (start),
    .command_i   (command),
    .clear_i     (clear),
    .sentences_i (sentences),
    .lengths_i   (lengths),
    .timeout_i   (timeout),
    .idle_o      (idle),
    .done_o      (done),
    .error_o     (error),
    .code_o      (code),
    .where_o     (where),
    .ends_o      (ends),
    .starts_o    (starts),
    .works_o     (works),
    .in_valid_i  (in_valid),
    .in_ready_o  (in_ready),
    .in_data_i   (in_data),
    .in_last_i   (in_last),
    .discards_i  (discards),
    .ended_o     (ended),
    .open_o      (open),
    .finish_o    (finish),
    .abort_o     (abort),
    .sending_i   (sending),
    .prog_we_o   (prog_we),
    .prog_addr_o (prog_waddr),
    .prog_o      (prog_wdata),
    .run_o       (run),
    .init_o      (init),
    .sentences_o (run_sentences),
    .lengths_o   (run_lengths),
    .timeout_o   (run_timeout),
    .bases_o     (bases),
    .counts_o    (counts),
    .retired_i   (probe_retired_o),
    .waits_i     (waits),
    .faults_i    (faults),
    .unit_valid_o(unit_valid),
    .unit_ready_i(unit_ready)
  );
  ng_core #(
    .Lanes     (Lanes),
    .Depths    (Depths),
    .PackDsp   (PackDsp != 0),
    .LutColumns(LutColumns),
    .Ultra     (16'(UltraRam)),
    .Luts      (16'(LutRam))
  ) u_core (
    .clk_i,
    .rst_ni     (run),
    .prog_we_i  (prog_we),
    .prog_addr_i(prog_waddr),
    .prog_i     (prog_wdata),
    .init_i     (init),
    .sentences_i(run_sentences),
    .lengths_i  (run_lengths),
    .timeout_i  (run_timeout),
    .bases_i    (bases),
    .counts_i   (counts),
    .retired_o  (probe_retired_o),
    .waits_o    (waits),
    .faults_o   (faults),
    .counting_o (core_counting),
    .in_valid_i (unit_valid),
    .in_ready_o (unit_ready),
    .in_data_i  (in_data),
    .in_last_i  (in_last),
    .ended_i    (ended),
    .out_valid_o(out_valid),
    .out_ready_i(out_ready),
    .out_data_o (out_data),
    .probe_array_valid_o,
    .probe_array_space_o,
    .probe_array_addr_o,
    .probe_array_number_o,
    .probe_array_table_o,
    .probe_array_word_o,
    .probe_array_before_o,
    .probe_vector_valid_o,
    .probe_vector_addr_o,
    .probe_vector_number_o,
    .probe_vector_word_o
  );
  assign counting = {core_counting, 1'b1} & {Counters{works}};

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) m_axis_tvalid_o && !m_axis_tready_i |=>
                   m_axis_tvalid_o && $stable(m_axis_tdata_o) && $stable(m_axis_tlast_o))
  else $error("ng_engine: a result changed before it was taken");
`endif
endmodule
