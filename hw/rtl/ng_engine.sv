// The tensor-contraction engine: three units, their memories and ports, registers and streams.
//
// What this does: what docs/isa.md says. It connects the units to the memories and decides who reads where two want
// the same port: the drain first, as it can't wait. What it does not: any DMA; the probe outputs tell an observer what the
// units write and drive nothing.
//
// The parameters after the depths say what silicon is used (ng_array, ng_ram); they change no integer and no cycle.
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
    32'(ProgramDepth), 32'(IndexDepth), 32'(ExpDepth), 32'(TableDepth), 32'(NormDepth), 32'(BiasDepth), 32'(StatDepth),
    32'(WideDepth), 32'(ScoreDepth), 32'(VectorDepth), 32'(ActDepth), 32'(KvDepth), 32'(WeightDepth)
  };
  localparam logic [15:0] InUltra = 16'(UltraRam);
  localparam logic [15:0] InLuts = 16'(LutRam);
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

  localparam int unsigned IndexBits = addr_bits(IndexDepth);
  localparam int unsigned ProgBits = addr_bits(ProgramDepth);
  localparam int unsigned StatWidth = word_bits(MemoryStat, Lanes);
  localparam int unsigned WordBeats = Lanes / 8 > 2 ? Lanes / 8 : 2;

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

  logic in_valid, in_ready, in_last, ended;
  logic [63:0] in_data;
  // What a command that was stopped has left in the buffers must not meet the next one.
  logic stream_rst_n;
  assign stream_rst_n = rst_ni && !clear;
  ng_skid #(
    .Width(65)
  ) u_in (
    .clk_i,
    .rst_ni (stream_rst_n),
    .valid_i(s_axis_tvalid_i),
    .ready_o(s_axis_tready_o),
    .data_i ({s_axis_tlast_i, s_axis_tdata_i}),
    .valid_o(in_valid),
    .ready_i(in_ready),
    .data_o ({in_last, in_data})
  );
  logic run, out_valid, out_ready, out_last;
  logic [63:0] out_data;
  ng_skid #(
    .Width(65)
  ) u_out (
    .clk_i,
    .rst_ni (stream_rst_n),
    // The unit forgets its last beat a cycle after it was stopped: not a result of the next command.
    .valid_i(out_valid && run),
    .ready_o(out_ready),
    .data_i ({out_last, out_data}),
    .valid_o(m_axis_tvalid_o),
    .ready_i(m_axis_tready_i),
    .data_o ({m_axis_tlast_o, m_axis_tdata_o})
  );

  logic init, flush, flushed, unit_ready, prog_we;
  logic [1:0] run_sentences;
  logic [1:0][LengthBits-1:0] run_lengths;
  logic [31:0] run_timeout;
  logic [2:0][NumberBits-1:0] bases, counts;
  logic [ProgBits-1:0] prog_waddr;
  logic [InstructionBits-1:0] prog_wdata;
  retired_t retired_q;
  logic [2:0] waits;
  logic [2:0][NumberBits-1:0] retires;
  logic vector_retires, stream_retires;
  assign retires[1] = NumberBits'(vector_retires);
  assign retires[2] = NumberBits'(stream_retires);
  fault_t feed_fault, drain_fault, vector_fault, stream_fault;
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
    .ended_o     (ended),
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
    .retired_i   (retired_q),
    .waits_i     (waits),
    .faults_i    ({stream_fault, vector_fault, drain_fault.valid ? drain_fault : feed_fault}),
    .unit_ready_i(unit_ready),
    .flush_o     (flush),
    .flushed_i   (flushed)
  );
  logic unit_rst_n;
  assign unit_rst_n = rst_ni && run;
  always_ff @(posedge clk_i) begin
    for (int n = 0; n < 3; n++) begin
      retired_q[n] <= unit_rst_n ? retired_q[n] + retires[n] : '0;
    end
  end
  assign probe_retired_o = retired_q;

  // Instructions: PROGRAM memory is read by three sequencers in turn; the words come two cycles later.
  logic [2:0] prog_req, prog_gnt, prog_sent1_q, prog_sent2_q;
  logic [2:0][ProgBits-1:0] prog_addr;
  logic [InstructionBits-1:0] prog_rdata;
  logic [2:0] seq_valid, seq_ready, seq_ok, seq_skipped;
  logic [2:0][InstructionBits-1:0] seq_instruction;
  logic [2:0][NumberBits-1:0] seq_number;
  place_t [2:0] seq_place;
  assign prog_gnt = prog_req & (~prog_req + 3'd1);
  always_ff @(posedge clk_i) begin
    prog_sent1_q <= unit_rst_n ? prog_gnt : '0;
    prog_sent2_q <= unit_rst_n ? prog_sent1_q : '0;
  end
  ng_ram #(
    .Width(InstructionBits),
    .Depth(ProgramDepth),
    .Ultra(InUltra[MemoryProgram]),
    .Luts (InLuts[MemoryProgram])
  ) u_program (
    .clk_i,
    .we_i   (prog_we),
    .waddr_i(prog_waddr),
    .wdata_i(prog_wdata),
    .re_i   (prog_req != 0),
    .raddr_i(prog_gnt[0] ? prog_addr[0] : prog_gnt[1] ? prog_addr[1] : prog_addr[2]),
    .rdata_o(prog_rdata)
  );
  for (genvar n = 0; n < 3; n++) begin : gen_sequencer
    ng_sequencer #(
      .Unit     (unit_e'(n)),
      .Lanes    (Lanes),
      .ProgDepth(ProgramDepth)
    ) u_sequencer (
      .clk_i,
      .rst_ni       (unit_rst_n),
      .init_i       (init),
      .base_i       (bases[n]),
      .count_i      (counts[n]),
      .sentences_i  (run_sentences),
      .lengths_i    (run_lengths),
      .req_o        (prog_req[n]),
      .addr_o       (prog_addr[n]),
      .gnt_i        (prog_gnt[n]),
      .rvalid_i     (prog_sent2_q[n]),
      .rdata_i      (prog_rdata),
      .valid_o      (seq_valid[n]),
      .ready_i      (seq_ready[n]),
      .instruction_o(seq_instruction[n]),
      .number_o     (seq_number[n]),
      .ok_o         (seq_ok[n]),
      .skipped_o    (seq_skipped[n]),
      .place_o      (seq_place[n])
    );
`ifndef SYNTHESIS
    // For waveforms: the instruction that the unit has taken last.
    opcode_e taken;
    logic [NumberBits-1:0] taken_number;
    always_ff @(posedge clk_i) begin
      if (seq_valid[n] && seq_ready[n]) begin
        taken        <= opcode_e'(seq_instruction[n][OpcodeBits-1:0]);
        taken_number <= seq_number[n];
      end
    end
`endif
  end

  // The array: feed, multipliers, drain.
  logic job_valid, job_ready, begun, fed, tile, room, op_valid, full, take, columns, weight_b_busy, vector_busy;
  job_t job;
  op_t op;
  logic [OperandBits-1:0] a_addr, b_addr;
  logic [1:0] index_re;
  logic [1:0][IndexBits-1:0] index_addr;
  logic [1:0][127:0] index_rdata;
  logic [$clog2(Lanes)-1:0] select;
  logic [Lanes-1:0][31:0] tile_word;
  logic [Lanes-1:0][7:0] weight_a_rdata, weight_b_rdata, kv_rdata, act_rdata, vector_rdata, score_rdata;
  logic [Lanes-1:0][15:0] wide_rdata;
  logic [31:0] bias_rdata;
  logic residual_valid, bias_re, table_re, write_valid, stat_we, residual_weight, residual_vector, residual_wide;
  space_e residual_space, write_space;
  logic [WalkBits-1:0] residual_addr;
  logic [addr_bits(BiasDepth)-1:0] bias_addr;
  logic [Lanes-1:0][addr_bits(TableDepth)-1:0] table_addr;
  logic [Lanes-1:0][7:0] table_rdata;
  logic [AddressBits-1:0] write_addr;
  logic [Lanes-1:0][15:0] write_word;
  logic [SlotBits-1:0] stat_waddr, stat_raddr;
  logic [StatWidth-1:0] stat_wdata, stat_rdata;
  logic array_busy, array_wait, array_drain, array_stall;
  ng_feed #(
    .Lanes      (Lanes),
    .WeightDepth(WeightDepth),
    .KvDepth    (KvDepth),
    .ActDepth   (ActDepth),
    .VectorDepth(VectorDepth),
    .StatDepth  (StatDepth),
    .TableDepth (TableDepth),
    .IndexDepth (IndexDepth)
  ) u_feed (
    .clk_i,
    .rst_ni         (unit_rst_n),
    .retired_i      (retired_q),
    .valid_i        (seq_valid[0]),
    .ready_o        (seq_ready[0]),
    .instruction_i  (seq_instruction[0]),
    .number_i       (seq_number[0]),
    .ok_i           (seq_ok[0]),
    .skipped_i      (seq_skipped[0]),
    .place_i        (seq_place[0]),
    .job_valid_o    (job_valid),
    .job_ready_i    (job_ready),
    .job_o          (job),
    .begun_o        (begun),
    .fed_o          (fed),
    .tile_o         (tile),
    .room_i         (room),
    .index_re_o     (index_re),
    .index_addr_o   (index_addr),
    .index_rdata_i  (index_rdata),
    .op_valid_o     (op_valid),
    .op_o           (op),
    .a_addr_o       (a_addr),
    .b_addr_o       (b_addr),
    .weight_b_busy_i(weight_b_busy),
    .vector_busy_i  (vector_busy),
    .fault_o        (feed_fault),
    .waits_o        (waits[0]),
    .busy_o         (array_busy),
    .wait_o         (array_wait),
    .drain_o        (array_drain),
    .stall_o        (array_stall)
  );
  ng_array #(
    .Lanes     (Lanes),
    .PackDsp   (PackDsp != 0),
    .LutColumns(LutColumns)
  ) u_array (
    .clk_i,
    .rst_ni    (unit_rst_n),
    .op_valid_i(op_valid),
    .op_i      (op),
    .weight_a_i(weight_a_rdata),
    .weight_b_i(weight_b_rdata),
    .kv_i      (kv_rdata),
    .act_i     (act_rdata),
    .vector_i  (vector_rdata),
    .full_o    (full),
    .take_i    (take),
    .columns_i (columns),
    .select_i  (select),
    .word_o    (tile_word)
  );
  ng_drain #(
    .Lanes      (Lanes),
    .WeightDepth(WeightDepth),
    .KvDepth    (KvDepth),
    .ActDepth   (ActDepth),
    .VectorDepth(VectorDepth),
    .ScoreDepth (ScoreDepth),
    .WideDepth  (WideDepth),
    .StatDepth  (StatDepth),
    .BiasDepth  (BiasDepth),
    .TableDepth (TableDepth)
  ) u_drain (
    .clk_i,
    .rst_ni          (unit_rst_n),
    .job_valid_i     (job_valid),
    .job_ready_o     (job_ready),
    .job_i           (job),
    .begun_i         (begun),
    .fed_i           (fed),
    .tile_i          (tile),
    .room_o          (room),
    .full_i          (full),
    .take_o          (take),
    .columns_o       (columns),
    .select_o        (select),
    .word_i          (tile_word),
    .residual_valid_o(residual_valid),
    .residual_space_o(residual_space),
    .residual_addr_o (residual_addr),
    .weight_i        (weight_b_rdata),
    .vector_i        (vector_rdata),
    .wide_i          (wide_rdata),
    .bias_re_o       (bias_re),
    .bias_addr_o     (bias_addr),
    .bias_i          (bias_rdata),
    .table_re_o      (table_re),
    .table_addr_o    (table_addr),
    .table_i         (table_rdata),
    .write_valid_o   (write_valid),
    .write_space_o   (write_space),
    .write_addr_o    (write_addr),
    .write_o         (write_word),
    .stat_we_o       (stat_we),
    .stat_addr_o     (stat_waddr),
    .stat_o          (stat_wdata),
    .retire_o        (retires[0]),
    .fault_o         (drain_fault),
    .probe_number_o  (probe_array_number_o),
    .probe_table_o   (probe_array_table_o),
    .probe_before_o  (probe_array_before_o)
  );
  assign probe_array_valid_o = write_valid && unit_rst_n;
  assign probe_array_space_o = write_space;
  assign probe_array_addr_o  = write_addr;
  assign probe_array_word_o  = write_word;

  // The vector unit.
  logic stat_re, score_re, norm_wide_re, norm_wide_gnt, exp_re, vector_we;
  logic [AddressBits-1:0] score_addr, norm_wide_addr, norm_addr, vector_waddr;
  logic [43:0] norm_rdata;
  logic [Lanes-1:0][addr_bits(ExpDepth)-1:0] exp_addr;
  logic [Lanes-1:0][14:0] exp_rdata;
  logic [Lanes-1:0][7:0] vector_wdata;
  logic vector_unit_busy, vector_unit_wait;
  ng_vector #(
    .Lanes      (Lanes),
    .VectorDepth(VectorDepth),
    .ScoreDepth (ScoreDepth),
    .WideDepth  (WideDepth),
    .StatDepth  (StatDepth),
    .NormDepth  (NormDepth),
    .ExpDepth   (ExpDepth)
  ) u_vector (
    .clk_i,
    .rst_ni        (unit_rst_n),
    .retired_i     (retired_q),
    .valid_i       (seq_valid[1]),
    .ready_o       (seq_ready[1]),
    .instruction_i (seq_instruction[1]),
    .number_i      (seq_number[1]),
    .ok_i          (seq_ok[1]),
    .skipped_i     (seq_skipped[1]),
    .place_i       (seq_place[1]),
    .stat_re_o     (stat_re),
    .stat_addr_o   (stat_raddr),
    .stat_i        (stat_rdata),
    .stat_we_i     (stat_we),
    .stat_waddr_i  (stat_waddr),
    .score_re_o    (score_re),
    .score_addr_o  (score_addr),
    .score_i       (score_rdata),
    .wide_re_o     (norm_wide_re),
    .wide_addr_o   (norm_wide_addr),
    .wide_gnt_i    (norm_wide_gnt),
    .wide_i        (wide_rdata),
    .norm_addr_o   (norm_addr),
    .norm_i        (norm_rdata),
    .exp_re_o      (exp_re),
    .exp_addr_o    (exp_addr),
    .exp_i         (exp_rdata),
    .write_valid_o (vector_we),
    .write_addr_o  (vector_waddr),
    .write_o       (vector_wdata),
    .probe_number_o(probe_vector_number_o),
    .retire_o      (vector_retires),
    .fault_o       (vector_fault),
    .waits_o       (waits[1]),
    .busy_o        (vector_unit_busy),
    .wait_o        (vector_unit_wait)
  );
  assign probe_vector_valid_o = vector_we && unit_rst_n;
  assign probe_vector_addr_o  = vector_waddr;
  assign probe_vector_word_o  = vector_wdata;

  // The stream unit.
  logic load_valid, load_gnt, store_re, store_gnt;
  memory_e load_memory;
  logic [WeightAddressBits-1:0] load_addr;
  logic [WordBeats-1:0][63:0] load_word;
  logic [64*WordBeats-1:0] load_bits;
  logic [AddressBits-1:0] store_addr;
  logic stream_busy, stream_wait, stream_stall;
  ng_stream #(
    .Lanes      (Lanes),
    .WeightDepth(WeightDepth),
    .WideDepth  (WideDepth),
    .BiasDepth  (BiasDepth),
    .NormDepth  (NormDepth),
    .TableDepth (TableDepth),
    .ExpDepth   (ExpDepth),
    .IndexDepth (IndexDepth)
  ) u_stream (
    .clk_i,
    .rst_ni        (unit_rst_n),
    .retired_i     (retired_q),
    .valid_i       (seq_valid[2]),
    .ready_o       (seq_ready[2]),
    .instruction_i (seq_instruction[2]),
    .number_i      (seq_number[2]),
    .ok_i          (seq_ok[2]),
    .skipped_i     (seq_skipped[2]),
    .place_i       (seq_place[2]),
    .in_valid_i    (in_valid),
    .in_ready_o    (unit_ready),
    .in_data_i     (in_data),
    .in_last_i     (in_last),
    .ended_i       (ended),
    .timeout_i     (run_timeout),
    .out_valid_o   (out_valid),
    .out_ready_i   (out_ready),
    .out_data_o    (out_data),
    .out_last_o    (out_last),
    .flush_i       (flush),
    .flushed_o     (flushed),
    .write_valid_o (load_valid),
    .write_gnt_i   (load_gnt),
    .write_memory_o(load_memory),
    .write_addr_o  (load_addr),
    .write_o       (load_word),
    .wide_re_o     (store_re),
    .wide_gnt_i    (store_gnt),
    .wide_addr_o   (store_addr),
    .wide_i        (wide_rdata),
    .retire_o      (stream_retires),
    .fault_o       (stream_fault),
    .waits_o       (waits[2]),
    .busy_o        (stream_busy),
    .wait_o        (stream_wait),
    .stall_o       (stream_stall)
  );
  assign load_bits = load_word;

  assign counting = {stream_stall, stream_wait, stream_busy, vector_unit_wait, vector_unit_busy, array_stall,
                     array_drain, array_wait, array_busy, 1'b1} & {Counters{works}};

  // Ports that several use.
  assign residual_weight = residual_valid && residual_space == SpaceWeight;
  assign residual_vector = residual_valid && residual_space == SpaceVector;
  assign residual_wide   = residual_valid && residual_space == SpaceWide;
  assign weight_b_busy   = residual_weight || (load_valid && load_memory == MemoryWeight);
  assign vector_busy     = residual_vector;
  assign norm_wide_gnt   = norm_wide_re && !residual_wide;
  assign store_gnt       = store_re && !residual_wide && !norm_wide_re;
  always_comb begin
    unique case (load_memory)
      MemoryWeight: load_gnt = !residual_weight;
      MemoryTable:  load_gnt = !table_re;
      MemoryExp:    load_gnt = !exp_re;
      default:      load_gnt = 1'b1;
    endcase
  end

  // Memories.
  logic load_weight;
  assign load_weight = load_valid && load_memory == MemoryWeight && load_gnt;
  ng_ram_shared #(
    .Width(8 * Lanes),
    .Depth(WeightDepth),
    .Ultra(InUltra[MemoryWeight]),
    .Luts (InLuts[MemoryWeight])
  ) u_weight (
    .clk_i,
    .a_re_i   (op_valid && op.a_space == SpaceWeight),
    .a_addr_i (addr_bits(WeightDepth)'(a_addr)),
    .a_rdata_o(weight_a_rdata),
    .b_we_i   (load_weight),
    .b_re_i   (residual_weight || (op_valid && op.b_space == SpaceWeight)),
    .b_addr_i (residual_weight ? addr_bits(WeightDepth)'(residual_addr)
               : load_weight ? addr_bits(WeightDepth)'(load_addr) : addr_bits(WeightDepth)'(b_addr)),
    .b_wdata_i(load_bits[8*Lanes-1:0]),
    .b_rdata_o(weight_b_rdata)
  );

  logic [Lanes-1:0][7:0] write_narrow;
  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_narrow
    assign write_narrow[lane] = write_word[lane][7:0];
  end
  ng_ram #(
    .Width(8 * Lanes),
    .Depth(KvDepth),
    .Ultra(InUltra[MemoryKv]),
    .Luts (InLuts[MemoryKv])
  ) u_kv (
    .clk_i,
    .we_i   (write_valid && write_space == SpaceKv),
    .waddr_i(addr_bits(KvDepth)'(write_addr)),
    .wdata_i(write_narrow),
    .re_i   (op_valid && op.a_space == SpaceKv),
    .raddr_i(addr_bits(KvDepth)'(a_addr)),
    .rdata_o(kv_rdata)
  );
  ng_ram #(
    .Width(8 * Lanes),
    .Depth(ActDepth),
    .Ultra(InUltra[MemoryAct]),
    .Luts (InLuts[MemoryAct])
  ) u_act (
    .clk_i,
    .we_i   (write_valid && write_space == SpaceAct),
    .waddr_i(addr_bits(ActDepth)'(write_addr)),
    .wdata_i(write_narrow),
    .re_i   (op_valid && op.b_space == SpaceAct),
    .raddr_i(addr_bits(ActDepth)'(b_addr)),
    .rdata_o(act_rdata)
  );
  ng_ram #(
    .Width(8 * Lanes),
    .Depth(VectorDepth),
    .Ultra(InUltra[MemoryVector]),
    .Luts (InLuts[MemoryVector])
  ) u_vector_words (
    .clk_i,
    .we_i   (vector_we),
    .waddr_i(addr_bits(VectorDepth)'(vector_waddr)),
    .wdata_i(vector_wdata),
    .re_i   (residual_vector || (op_valid && op.b_space == SpaceVector)),
    .raddr_i(residual_vector ? addr_bits(VectorDepth)'(residual_addr) : addr_bits(VectorDepth)'(b_addr)),
    .rdata_o(vector_rdata)
  );
  ng_ram #(
    .Width(8 * Lanes),
    .Depth(ScoreDepth),
    .Ultra(InUltra[MemoryScore]),
    .Luts (InLuts[MemoryScore])
  ) u_score (
    .clk_i,
    .we_i   (write_valid && write_space == SpaceScore),
    .waddr_i(addr_bits(ScoreDepth)'(write_addr)),
    .wdata_i(write_narrow),
    .re_i   (score_re),
    .raddr_i(addr_bits(ScoreDepth)'(score_addr)),
    .rdata_o(score_rdata)
  );
  ng_ram #(
    .Width(16 * Lanes),
    .Depth(WideDepth),
    .Ultra(InUltra[MemoryWide]),
    .Luts (InLuts[MemoryWide])
  ) u_wide (
    .clk_i,
    .we_i   (write_valid && write_space == SpaceWide),
    .waddr_i(addr_bits(WideDepth)'(write_addr)),
    .wdata_i(write_word),
    .re_i   (residual_wide || norm_wide_re || store_re),
    .raddr_i(residual_wide ? addr_bits(WideDepth)'(residual_addr)
             : norm_wide_re ? addr_bits(WideDepth)'(norm_wide_addr) : addr_bits(WideDepth)'(store_addr)),
    .rdata_o(wide_rdata)
  );
  ng_ram #(
    .Width  (StatWidth),
    .Depth  (StatDepth),
    .Latency(1),
    .Ultra  (InUltra[MemoryStat]),
    .Luts   (InLuts[MemoryStat])
  ) u_stat (
    .clk_i,
    .we_i   (stat_we),
    .waddr_i(addr_bits(StatDepth)'(stat_waddr)),
    .wdata_i(stat_wdata),
    .re_i   (stat_re),
    .raddr_i(addr_bits(StatDepth)'(stat_raddr)),
    .rdata_o(stat_rdata)
  );
  ng_ram #(
    .Width(32),
    .Depth(BiasDepth),
    .Ultra(InUltra[MemoryBias]),
    .Luts (InLuts[MemoryBias])
  ) u_bias (
    .clk_i,
    .we_i   (load_valid && load_memory == MemoryBias),
    .waddr_i(addr_bits(BiasDepth)'(load_addr)),
    .wdata_i(load_bits[31:0]),
    .re_i   (bias_re),
    .raddr_i(bias_addr),
    .rdata_o(bias_rdata)
  );
  ng_ram #(
    .Width(44),
    .Depth(NormDepth),
    .Ultra(InUltra[MemoryNorm]),
    .Luts (InLuts[MemoryNorm])
  ) u_norm (
    .clk_i,
    .we_i   (load_valid && load_memory == MemoryNorm),
    .waddr_i(addr_bits(NormDepth)'(load_addr)),
    .wdata_i(load_bits[43:0]),
    .re_i   (norm_wide_gnt),
    .raddr_i(addr_bits(NormDepth)'(norm_addr)),
    .rdata_o(norm_rdata)
  );
  ng_lookup #(
    .Lanes(Lanes),
    .Width(8),
    .Depth(TableDepth),
    .Ultra(InUltra[MemoryTable]),
    .Luts (InLuts[MemoryTable])
  ) u_table (
    .clk_i,
    .we_i   (load_valid && load_memory == MemoryTable && load_gnt),
    .waddr_i(addr_bits(TableDepth)'(load_addr)),
    .wdata_i(load_bits[7:0]),
    .re_i   (table_re),
    .addr_i (table_addr),
    .data_o (table_rdata)
  );
  ng_lookup #(
    .Lanes(Lanes),
    .Width(15),
    .Depth(ExpDepth),
    .Ultra(InUltra[MemoryExp]),
    .Luts (InLuts[MemoryExp])
  ) u_exp (
    .clk_i,
    .we_i   (load_valid && load_memory == MemoryExp && load_gnt),
    .waddr_i(addr_bits(ExpDepth)'(load_addr)),
    .wdata_i(load_bits[14:0]),
    .re_i   (exp_re),
    .addr_i (exp_addr),
    .data_o (exp_rdata)
  );
  for (genvar side = 0; side < 2; side++) begin : gen_index
    ng_ram #(
      .Width  (128),
      .Depth  (IndexDepth),
      .Latency(1),
      .Ultra  (InUltra[MemoryIndex]),
      .Luts   (InLuts[MemoryIndex])
    ) u_index (
      .clk_i,
      .we_i   (load_valid && load_memory == MemoryIndex),
      .waddr_i(IndexBits'(load_addr)),
      .wdata_i(load_bits[127:0]),
      .re_i   (index_re[side]),
      .raddr_i(index_addr[side]),
      .rdata_o(index_rdata[side])
    );
  end

`ifndef SYNTHESIS
  logic [4:1] tile_begins_q;
  always_ff @(posedge clk_i) tile_begins_q <= unit_rst_n ? {tile_begins_q[3:1], op_valid && op.tile_begins} : '0;
  assert property (@(posedge clk_i) disable iff (!unit_rst_n) tile_begins_q[4] |-> !full || take)
  else $error("ng_engine: a tile is summed over one that was not taken");
  assert property (@(posedge clk_i) disable iff (!stream_rst_n) m_axis_tvalid_o && !m_axis_tready_i |=>
                   m_axis_tvalid_o && $stable(m_axis_tdata_o) && $stable(m_axis_tlast_o))
  else $error("ng_engine: a result changed before it was taken");
  assert property (@(posedge clk_i) disable iff (!unit_rst_n) residual_valid |->
                   !(residual_weight && op_valid && op.reads && op.b_space == SpaceWeight) &&
                   !(residual_vector && op_valid && op.reads && op.b_space == SpaceVector) &&
                   !(residual_wide && (norm_wide_gnt || store_gnt)))
  else $error("ng_engine: two readers of a port");
  assert property (@(posedge clk_i) disable iff (!unit_rst_n) !(load_weight && op_valid && op.reads &&
                                                               op.b_space == SpaceWeight))
  else $error("ng_engine: a word is loaded where another is read");
`endif
endmodule
