// The part of the engine that executes instructions: the lists, the three units and their memories.
//
// Executes the lists of a command while rst_ni is 1. A unit starts an instruction when the units that it waits for have
// retired the required number of instructions.
// Limits: ng_command detects the end of a command and deadlocks. The probe outputs show an observer what the units
// write; they drive nothing.
module ng_core #(
  parameter int unsigned     Lanes      = 8,
  parameter ng_pkg::depths_t Depths     = {13{32'd256}},
  parameter bit              PackDsp    = 1'b0,  // one DSP for two products
  parameter int unsigned     LutColumns = 0,
  parameter logic [15:0]     Ultra      = '0,    // bit n: memory n of memory_e is UltraRAM
  parameter logic [15:0]     Luts       = '0,    // bit n: memory n of memory_e is distributed RAM
  localparam int unsigned ProgBits = ng_pkg::addr_bits(Depths[ng_isa_pkg::MemoryProgram])
) (
  input  logic                                   clk_i,
  input  logic                                   rst_ni,  // 0: no list is executed; the memories keep their words
  // Writes of PROGRAM.
  input  logic                                   prog_we_i,
  input  logic [ProgBits-1:0]                    prog_addr_i,
  input  logic [ng_isa_pkg::InstructionBits-1:0] prog_i,
  // The command; constant while rst_ni is 1.
  input  logic                                   init_i,
  input  logic [1:0]                             sentences_i,
  input  logic [1:0][ng_pkg::LengthBits-1:0]     lengths_i,
  input  logic [31:0]                            timeout_i,
  input  logic [2:0][ng_pkg::NumberBits-1:0]     bases_i,
  input  logic [2:0][ng_pkg::NumberBits-1:0]     counts_i,
  // Progress.
  output ng_pkg::retired_t                       retired_o,
  output logic [2:0]                             waits_o,
  output ng_pkg::fault_t [2:0]                   faults_o,
  output logic [ng_isa_pkg::Counters-1:1]        counting_o,  // what counts in this cycle, except the cycle itself
  // Input beats; ended_i: the last beat of the packet was read.
  input  logic                                   in_valid_i,
  output logic                                   in_ready_o,
  input  logic [63:0]                            in_data_i,
  input  logic                                   in_last_i,
  input  logic                                   ended_i,
  // Result beats.
  output logic                                   out_valid_o,
  input  logic                                   out_ready_i,
  output logic [63:0]                            out_data_o,
  // Observers.
  output logic                                   probe_array_valid_o,
  output logic [2:0]                             probe_array_space_o,
  output logic [ng_isa_pkg::AddressBits-1:0]     probe_array_addr_o,
  output logic [ng_pkg::NumberBits-1:0]          probe_array_number_o,
  output logic                                   probe_array_table_o,
  output logic [Lanes-1:0][15:0]                 probe_array_word_o,
  output logic [Lanes-1:0][15:0]                 probe_array_before_o,
  output logic                                   probe_vector_valid_o,
  output logic [ng_isa_pkg::AddressBits-1:0]     probe_vector_addr_o,
  output logic [ng_pkg::NumberBits-1:0]          probe_vector_number_o,
  output logic [Lanes-1:0][7:0]                  probe_vector_word_o
);
  import ng_isa_pkg::*;
  import ng_pkg::*;
  localparam int unsigned IndexBits = addr_bits(Depths[MemoryIndex]);
  localparam int unsigned StatWidth = word_bits(MemoryStat, Lanes);
  localparam int unsigned WordBeats = Lanes / 8 > 2 ? Lanes / 8 : 2;

  retired_t retired_q;
  logic [2:0][NumberBits-1:0] retires;
  logic vector_retires, stream_retires;
  fault_t feed_fault, drain_fault, vector_fault, stream_fault;
  assign retires[1] = NumberBits'(vector_retires);
  assign retires[2] = NumberBits'(stream_retires);
  always_ff @(posedge clk_i) begin
    for (int n = 0; n < 3; n++) begin
      retired_q[n] <= rst_ni ? retired_q[n] + retires[n] : '0;
    end
  end
  assign retired_o = retired_q;
  assign faults_o  = {stream_fault, vector_fault, drain_fault.valid ? drain_fault : feed_fault};

  // Instructions.
  logic [2:0] issue_valid, issue_ready;
  issue_t [2:0] issue;
  ng_program #(
    .Lanes(Lanes),
    .Depth(Depths[MemoryProgram]),
    .Ultra(Ultra[MemoryProgram]),
    .Luts (Luts[MemoryProgram])
  ) u_program (
    .clk_i,
    .rst_ni,
    .we_i       (prog_we_i),
    .waddr_i    (prog_addr_i),
    .wdata_i    (prog_i),
    .init_i,
    .bases_i,
    .counts_i,
    .sentences_i,
    .lengths_i,
    .valid_o    (issue_valid),
    .ready_i    (issue_ready),
    .issue_o    (issue)
  );

  // The array unit: feed, multipliers, drain.
  logic job_valid, job_ready, begun, fed, tile, room, op_valid, take, columns, weight_b_busy, vector_busy;
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
  logic residual_valid, bias_re, table_re, write_valid, stat_we;
  space_e residual_space, write_space;
  logic [WalkBits-1:0] residual_addr;
  logic [addr_bits(Depths[MemoryBias])-1:0] bias_addr;
  logic [Lanes-1:0][addr_bits(Depths[MemoryTable])-1:0] table_addr;
  logic [Lanes-1:0][7:0] table_rdata;
  logic [AddressBits-1:0] write_addr;
  logic [Lanes-1:0][15:0] write_word;
  logic [SlotBits-1:0] stat_waddr, stat_raddr;
  logic [StatWidth-1:0] stat_wdata, stat_rdata;
  logic array_busy, array_wait, array_drain, array_stall;
  ng_feed #(
    .Lanes(Lanes),
    .WeightDepth(Depths[MemoryWeight]),
    .KvDepth    (Depths[MemoryKv]),
    .ActDepth   (Depths[MemoryAct]),
    .VectorDepth(Depths[MemoryVector]),
    .StatDepth  (Depths[MemoryStat]),
    .TableDepth (Depths[MemoryTable]),
    .IndexDepth (Depths[MemoryIndex])
  ) u_feed (
    .clk_i,
    .rst_ni,
    .retired_i      (retired_q),
    .valid_i        (issue_valid[0]),
    .ready_o        (issue_ready[0]),
    .issue_i        (issue[0]),
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
    .waits_o        (waits_o[0]),
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
    .rst_ni,
    .op_valid_i(op_valid),
    .op_i      (op),
    .weight_a_i(weight_a_rdata),
    .weight_b_i(weight_b_rdata),
    .kv_i      (kv_rdata),
    .act_i     (act_rdata),
    .vector_i  (vector_rdata),
    .take_i    (take),
    .columns_i (columns),
    .select_i  (select),
    .word_o    (tile_word)
  );
  ng_drain #(
    .Lanes(Lanes),
    .WeightDepth(Depths[MemoryWeight]),
    .KvDepth    (Depths[MemoryKv]),
    .ActDepth   (Depths[MemoryAct]),
    .VectorDepth(Depths[MemoryVector]),
    .ScoreDepth (Depths[MemoryScore]),
    .WideDepth  (Depths[MemoryWide]),
    .StatDepth  (Depths[MemoryStat]),
    .BiasDepth  (Depths[MemoryBias]),
    .TableDepth (Depths[MemoryTable])
  ) u_drain (
    .clk_i,
    .rst_ni,
    .job_valid_i     (job_valid),
    .job_ready_o     (job_ready),
    .job_i           (job),
    .begun_i         (begun),
    .fed_i           (fed),
    .tile_i          (tile),
    .room_o          (room),
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
  assign probe_array_valid_o = write_valid && rst_ni;
  assign probe_array_space_o = write_space;
  assign probe_array_addr_o  = write_addr;
  assign probe_array_word_o  = write_word;

  // The vector unit.
  logic stat_re, score_re, vector_wide_re, vector_wide_gnt, exp_re, vector_we;
  logic [AddressBits-1:0] score_addr, vector_wide_addr, norm_addr, vector_waddr;
  logic [43:0] norm_rdata;
  logic [Lanes-1:0][addr_bits(Depths[MemoryExp])-1:0] exp_addr;
  logic [Lanes-1:0][14:0] exp_rdata;
  logic [Lanes-1:0][7:0] vector_wdata;
  logic vector_unit_busy, vector_unit_wait;
  ng_vector #(
    .Lanes(Lanes),
    .VectorDepth(Depths[MemoryVector]),
    .ScoreDepth (Depths[MemoryScore]),
    .WideDepth  (Depths[MemoryWide]),
    .StatDepth  (Depths[MemoryStat]),
    .NormDepth  (Depths[MemoryNorm]),
    .ExpDepth   (Depths[MemoryExp])
  ) u_vector (
    .clk_i,
    .rst_ni,
    .retired_i     (retired_q),
    .valid_i       (issue_valid[1]),
    .ready_o       (issue_ready[1]),
    .issue_i       (issue[1]),
    .stat_re_o     (stat_re),
    .stat_addr_o   (stat_raddr),
    .stat_i        (stat_rdata),
    .stat_we_i     (stat_we),
    .stat_waddr_i  (stat_waddr),
    .score_re_o    (score_re),
    .score_addr_o  (score_addr),
    .score_i       (score_rdata),
    .wide_re_o     (vector_wide_re),
    .wide_addr_o   (vector_wide_addr),
    .wide_gnt_i    (vector_wide_gnt),
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
    .waits_o       (waits_o[1]),
    .busy_o        (vector_unit_busy),
    .wait_o        (vector_unit_wait)
  );
  assign probe_vector_valid_o = vector_we && rst_ni;
  assign probe_vector_addr_o  = vector_waddr;
  assign probe_vector_word_o  = vector_wdata;

  // The stream unit.
  logic load_valid, load_gnt, store_re, store_gnt;
  memory_e load_memory;
  logic [WeightAddressBits-1:0] load_addr;
  logic [WordBeats-1:0][63:0] load_word;
  logic [AddressBits-1:0] store_addr;
  logic stream_busy, stream_wait, stream_stall;
  ng_stream #(
    .Lanes(Lanes),
    .WeightDepth(Depths[MemoryWeight]),
    .WideDepth  (Depths[MemoryWide]),
    .BiasDepth  (Depths[MemoryBias]),
    .NormDepth  (Depths[MemoryNorm]),
    .TableDepth (Depths[MemoryTable]),
    .ExpDepth   (Depths[MemoryExp]),
    .IndexDepth (Depths[MemoryIndex])
  ) u_stream (
    .clk_i,
    .rst_ni,
    .retired_i     (retired_q),
    .valid_i       (issue_valid[2]),
    .ready_o       (issue_ready[2]),
    .issue_i       (issue[2]),
    .in_valid_i,
    .in_ready_o,
    .in_data_i,
    .in_last_i,
    .ended_i,
    .timeout_i,
    .out_valid_o,
    .out_ready_i,
    .out_data_o,
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
    .waits_o       (waits_o[2]),
    .busy_o        (stream_busy),
    .wait_o        (stream_wait),
    .stall_o       (stream_stall)
  );

  assign counting_o = {stream_stall, stream_wait, stream_busy, vector_unit_wait, vector_unit_busy, array_stall,
                       array_drain, array_wait, array_busy};

  ng_memories #(
    .Lanes (Lanes),
    .Depths(Depths),
    .Ultra (Ultra),
    .Luts  (Luts)
  ) u_memories (
    .clk_i,
    .rst_ni,
    .op_valid_i        (op_valid),
    .op_i              (op),
    .a_addr_i          (a_addr),
    .b_addr_i          (b_addr),
    .weight_b_busy_o   (weight_b_busy),
    .vector_busy_o     (vector_busy),
    .index_re_i        (index_re),
    .index_addr_i      (index_addr),
    .index_o           (index_rdata),
    .weight_a_o        (weight_a_rdata),
    .weight_b_o        (weight_b_rdata),
    .kv_o              (kv_rdata),
    .act_o             (act_rdata),
    .vector_o          (vector_rdata),
    .wide_o            (wide_rdata),
    .residual_valid_i  (residual_valid),
    .residual_space_i  (residual_space),
    .residual_addr_i   (residual_addr),
    .bias_re_i         (bias_re),
    .bias_addr_i       (bias_addr),
    .bias_o            (bias_rdata),
    .table_re_i        (table_re),
    .table_addr_i      (table_addr),
    .table_o           (table_rdata),
    .write_valid_i     (write_valid),
    .write_space_i     (write_space),
    .write_addr_i      (write_addr),
    .write_i           (write_word),
    .stat_we_i         (stat_we),
    .stat_waddr_i      (stat_waddr),
    .stat_i            (stat_wdata),
    .stat_re_i         (stat_re),
    .stat_raddr_i      (stat_raddr),
    .stat_o            (stat_rdata),
    .score_re_i        (score_re),
    .score_addr_i      (score_addr),
    .score_o           (score_rdata),
    .vector_wide_re_i  (vector_wide_re),
    .vector_wide_addr_i(vector_wide_addr),
    .vector_wide_gnt_o (vector_wide_gnt),
    .norm_addr_i       (norm_addr),
    .norm_o            (norm_rdata),
    .exp_re_i          (exp_re),
    .exp_addr_i        (exp_addr),
    .exp_o             (exp_rdata),
    .vector_we_i       (vector_we),
    .vector_waddr_i    (vector_waddr),
    .vector_i          (vector_wdata),
    .load_valid_i      (load_valid),
    .load_gnt_o        (load_gnt),
    .load_memory_i     (load_memory),
    .load_addr_i       (load_addr),
    .load_i            (load_word),
    .store_re_i        (store_re),
    .store_gnt_o       (store_gnt),
    .store_addr_i      (store_addr)
  );
endmodule
