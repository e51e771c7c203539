// All memories of the engine except PROGRAM, and the arbitration of the ports that several units share.
//
// Priority, highest first:
//   WEIGHT  port A: the feed. Port B: the drain (residual), LOAD, the feed.
//   VECTOR  the drain (residual), the feed.
//   WIDE    the drain (residual), the vector unit, STORE.
//   TABLE   the drain, LOAD.
//   EXP     the vector unit, LOAD.
// All other ports have one user. The drain is never refused, as its pipeline cannot stall. Words arrive after the
// latencies in ng_pkg, those of STAT one cycle after the read. Grants and busy flags are two LUTs from the requests,
// which come from registers.
// Limits: addresses must be in range (the units check them); reset does not clear the memories.
module ng_memories #(
  parameter int unsigned     Lanes  = 8,
  parameter ng_pkg::depths_t Depths = {13{32'd256}},
  parameter logic [15:0]     Ultra  = '0,  // bit n: memory n of memory_e is UltraRAM
  parameter logic [15:0]     Luts   = '0,  // bit n: memory n of memory_e is distributed RAM
  localparam int unsigned BiasBits  = ng_pkg::addr_bits(Depths[ng_isa_pkg::MemoryBias]),
  localparam int unsigned TableBits = ng_pkg::addr_bits(Depths[ng_isa_pkg::MemoryTable]),
  localparam int unsigned ExpBits   = ng_pkg::addr_bits(Depths[ng_isa_pkg::MemoryExp]),
  localparam int unsigned IndexBits = ng_pkg::addr_bits(Depths[ng_isa_pkg::MemoryIndex]),
  localparam int unsigned StatWidth = ng_isa_pkg::word_bits(ng_isa_pkg::MemoryStat, Lanes),
  localparam int unsigned LoadWidth = Lanes > 16 ? 8 * Lanes : 128
) (
  input  logic                                clk_i,
  input  logic                                rst_ni,  // used by the assertions only
  // The feed: operands; it must not read a busy port.
  input  logic                                op_valid_i,
  input  ng_pkg::op_t                         op_i,
  input  logic [ng_pkg::OperandBits-1:0]      a_addr_i,
  input  logic [ng_pkg::OperandBits-1:0]      b_addr_i,
  output logic                                weight_b_busy_o,
  output logic                                vector_busy_o,
  input  logic [1:0]                          index_re_i,  // 0: A, 1: B
  input  logic [1:0][IndexBits-1:0]           index_addr_i,
  output logic [1:0][127:0]                   index_o,
  // Words read, for the array, the drain, the vector unit and STORE.
  output logic [Lanes-1:0][7:0]               weight_a_o,
  output logic [Lanes-1:0][7:0]               weight_b_o,
  output logic [Lanes-1:0][7:0]               kv_o,
  output logic [Lanes-1:0][7:0]               act_o,
  output logic [Lanes-1:0][7:0]               vector_o,
  output logic [Lanes-1:0][15:0]              wide_o,
  // The drain.
  input  logic                                residual_valid_i,
  input  ng_isa_pkg::space_e                  residual_space_i,
  input  logic [ng_pkg::WalkBits-1:0]         residual_addr_i,
  input  logic                                bias_re_i,
  input  logic [BiasBits-1:0]                 bias_addr_i,
  output logic [31:0]                         bias_o,
  input  logic                                table_re_i,
  input  logic [Lanes-1:0][TableBits-1:0]     table_addr_i,
  output logic [Lanes-1:0][7:0]               table_o,
  input  logic                                write_valid_i,
  input  ng_isa_pkg::space_e                  write_space_i,
  input  logic [ng_isa_pkg::AddressBits-1:0]  write_addr_i,
  input  logic [Lanes-1:0][15:0]              write_i,
  input  logic                                stat_we_i,
  input  logic [ng_isa_pkg::SlotBits-1:0]     stat_waddr_i,
  input  logic [StatWidth-1:0]                stat_i,
  // The vector unit.
  input  logic                                stat_re_i,
  input  logic [ng_isa_pkg::SlotBits-1:0]     stat_raddr_i,
  output logic [StatWidth-1:0]                stat_o,
  input  logic                                score_re_i,
  input  logic [ng_isa_pkg::AddressBits-1:0]  score_addr_i,
  output logic [Lanes-1:0][7:0]               score_o,
  input  logic                                vector_wide_re_i,  // WIDE and NORM together
  input  logic [ng_isa_pkg::AddressBits-1:0]  vector_wide_addr_i,
  output logic                                vector_wide_gnt_o,
  input  logic [ng_isa_pkg::AddressBits-1:0]  norm_addr_i,
  output logic [43:0]                         norm_o,
  input  logic                                exp_re_i,
  input  logic [Lanes-1:0][ExpBits-1:0]       exp_addr_i,
  output logic [Lanes-1:0][14:0]              exp_o,
  input  logic                                vector_we_i,
  input  logic [ng_isa_pkg::AddressBits-1:0]  vector_waddr_i,
  input  logic [Lanes-1:0][7:0]               vector_i,
  // The stream unit.
  input  logic                                load_valid_i,
  output logic                                load_gnt_o,
  input  ng_isa_pkg::memory_e                 load_memory_i,
  input  logic [ng_isa_pkg::WeightAddressBits-1:0] load_addr_i,
  input  logic [LoadWidth-1:0]                load_i,
  input  logic                                store_re_i,
  output logic                                store_gnt_o,
  input  logic [ng_isa_pkg::AddressBits-1:0]  store_addr_i
);
  import ng_isa_pkg::*;
  import ng_pkg::*;
  localparam int unsigned WeightBits = addr_bits(Depths[MemoryWeight]);
  localparam int unsigned KvBits     = addr_bits(Depths[MemoryKv]);
  localparam int unsigned ActBits    = addr_bits(Depths[MemoryAct]);
  localparam int unsigned VectorBits = addr_bits(Depths[MemoryVector]);
  localparam int unsigned ScoreBits  = addr_bits(Depths[MemoryScore]);
  localparam int unsigned WideBits   = addr_bits(Depths[MemoryWide]);
  localparam int unsigned StatBits   = addr_bits(Depths[MemoryStat]);
  localparam int unsigned NormBits   = addr_bits(Depths[MemoryNorm]);

  // Arbitration.
  logic residual_weight, residual_vector, residual_wide;
  assign residual_weight    = residual_valid_i && residual_space_i == SpaceWeight;
  assign residual_vector    = residual_valid_i && residual_space_i == SpaceVector;
  assign residual_wide      = residual_valid_i && residual_space_i == SpaceWide;
  assign weight_b_busy_o    = residual_weight || (load_valid_i && load_memory_i == MemoryWeight);
  assign vector_busy_o      = residual_vector;
  assign vector_wide_gnt_o  = vector_wide_re_i && !residual_wide;
  assign store_gnt_o        = store_re_i && !residual_wide && !vector_wide_re_i;
  always_comb begin
    unique case (load_memory_i)
      MemoryWeight: load_gnt_o = !residual_weight;
      MemoryTable:  load_gnt_o = !table_re_i;
      MemoryExp:    load_gnt_o = !exp_re_i;
      default:      load_gnt_o = 1'b1;
    endcase
  end

  logic load_weight;
  assign load_weight = load_valid_i && load_memory_i == MemoryWeight && load_gnt_o;
  ng_ram_shared #(
    .Width(8 * Lanes),
    .Depth(Depths[MemoryWeight]),
    .Latency(WordLatency),
    .Ultra(Ultra[MemoryWeight]),
    .Luts (Luts[MemoryWeight])
  ) u_weight (
    .clk_i,
    .a_re_i   (op_valid_i && op_i.a_space == SpaceWeight),
    .a_addr_i (WeightBits'(a_addr_i)),
    .a_rdata_o(weight_a_o),
    .b_we_i   (load_weight),
    .b_re_i   (residual_weight || (op_valid_i && op_i.b_space == SpaceWeight)),
    .b_addr_i (residual_weight ? WeightBits'(residual_addr_i)
               : load_weight ? WeightBits'(load_addr_i) : WeightBits'(b_addr_i)),
    .b_wdata_i(load_i[8*Lanes-1:0]),
    .b_rdata_o(weight_b_o)
  );

  logic [Lanes-1:0][7:0] write_narrow;
  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_narrow
    assign write_narrow[lane] = write_i[lane][7:0];
  end
  ng_ram #(
    .Width(8 * Lanes),
    .Depth(Depths[MemoryKv]),
    .Latency(WordLatency),
    .Ultra(Ultra[MemoryKv]),
    .Luts (Luts[MemoryKv])
  ) u_kv (
    .clk_i,
    .we_i   (write_valid_i && write_space_i == SpaceKv),
    .waddr_i(KvBits'(write_addr_i)),
    .wdata_i(write_narrow),
    .re_i   (op_valid_i && op_i.a_space == SpaceKv),
    .raddr_i(KvBits'(a_addr_i)),
    .rdata_o(kv_o)
  );
  ng_ram #(
    .Width(8 * Lanes),
    .Depth(Depths[MemoryAct]),
    .Latency(WordLatency),
    .Ultra(Ultra[MemoryAct]),
    .Luts (Luts[MemoryAct])
  ) u_act (
    .clk_i,
    .we_i   (write_valid_i && write_space_i == SpaceAct),
    .waddr_i(ActBits'(write_addr_i)),
    .wdata_i(write_narrow),
    .re_i   (op_valid_i && op_i.b_space == SpaceAct),
    .raddr_i(ActBits'(b_addr_i)),
    .rdata_o(act_o)
  );
  ng_ram #(
    .Width(8 * Lanes),
    .Depth(Depths[MemoryVector]),
    .Latency(WordLatency),
    .Ultra(Ultra[MemoryVector]),
    .Luts (Luts[MemoryVector])
  ) u_vector_words (
    .clk_i,
    .we_i   (vector_we_i),
    .waddr_i(VectorBits'(vector_waddr_i)),
    .wdata_i(vector_i),
    .re_i   (residual_vector || (op_valid_i && op_i.b_space == SpaceVector)),
    .raddr_i(residual_vector ? VectorBits'(residual_addr_i) : VectorBits'(b_addr_i)),
    .rdata_o(vector_o)
  );
  ng_ram #(
    .Width(8 * Lanes),
    .Depth(Depths[MemoryScore]),
    .Latency(WordLatency),
    .Ultra(Ultra[MemoryScore]),
    .Luts (Luts[MemoryScore])
  ) u_score (
    .clk_i,
    .we_i   (write_valid_i && write_space_i == SpaceScore),
    .waddr_i(ScoreBits'(write_addr_i)),
    .wdata_i(write_narrow),
    .re_i   (score_re_i),
    .raddr_i(ScoreBits'(score_addr_i)),
    .rdata_o(score_o)
  );
  ng_ram #(
    .Width(16 * Lanes),
    .Depth(Depths[MemoryWide]),
    .Latency(WordLatency),
    .Ultra(Ultra[MemoryWide]),
    .Luts (Luts[MemoryWide])
  ) u_wide (
    .clk_i,
    .we_i   (write_valid_i && write_space_i == SpaceWide),
    .waddr_i(WideBits'(write_addr_i)),
    .wdata_i(write_i),
    .re_i   (residual_wide || vector_wide_re_i || store_re_i),
    .raddr_i(residual_wide ? WideBits'(residual_addr_i)
             : vector_wide_re_i ? WideBits'(vector_wide_addr_i) : WideBits'(store_addr_i)),
    .rdata_o(wide_o)
  );
  ng_ram #(
    .Width  (StatWidth),
    .Depth  (Depths[MemoryStat]),
    .Latency(1),
    .Ultra  (Ultra[MemoryStat]),
    .Luts   (Luts[MemoryStat])
  ) u_stat (
    .clk_i,
    .we_i   (stat_we_i),
    .waddr_i(StatBits'(stat_waddr_i)),
    .wdata_i(stat_i),
    // Read in every cycle: an enable would have as many loads as the word has bits, and the vector unit keeps the address.
    .re_i   (1'b1),
    .raddr_i(StatBits'(stat_raddr_i)),
    .rdata_o(stat_o)
  );
  ng_ram #(
    .Width(32),
    .Depth(Depths[MemoryBias]),
    .Latency(WordLatency),
    .Ultra(Ultra[MemoryBias]),
    .Luts (Luts[MemoryBias])
  ) u_bias (
    .clk_i,
    .we_i   (load_valid_i && load_memory_i == MemoryBias),
    .waddr_i(BiasBits'(load_addr_i)),
    .wdata_i(load_i[31:0]),
    .re_i   (bias_re_i),
    .raddr_i(bias_addr_i),
    .rdata_o(bias_o)
  );
  ng_ram #(
    .Width(44),
    .Depth(Depths[MemoryNorm]),
    .Latency(WordLatency),
    .Ultra(Ultra[MemoryNorm]),
    .Luts (Luts[MemoryNorm])
  ) u_norm (
    .clk_i,
    .we_i   (load_valid_i && load_memory_i == MemoryNorm),
    .waddr_i(NormBits'(load_addr_i)),
    .wdata_i(load_i[43:0]),
    .re_i   (vector_wide_gnt_o),
    .raddr_i(NormBits'(norm_addr_i)),
    .rdata_o(norm_o)
  );
  ng_lookup #(
    .Lanes(Lanes),
    .Width(8),
    .Depth(Depths[MemoryTable]),
    .Latency(LookupLatency),
    .Ultra(Ultra[MemoryTable]),
    .Luts (Luts[MemoryTable])
  ) u_table (
    .clk_i,
    .we_i   (load_valid_i && load_memory_i == MemoryTable && load_gnt_o),
    .waddr_i(TableBits'(load_addr_i)),
    .wdata_i(load_i[7:0]),
    .re_i   (table_re_i),
    .addr_i (table_addr_i),
    .data_o (table_o)
  );
  ng_lookup #(
    .Lanes(Lanes),
    .Width(15),
    .Depth(Depths[MemoryExp]),
    .Latency(LookupLatency),
    .Ultra(Ultra[MemoryExp]),
    .Luts (Luts[MemoryExp])
  ) u_exp (
    .clk_i,
    .we_i   (load_valid_i && load_memory_i == MemoryExp && load_gnt_o),
    .waddr_i(ExpBits'(load_addr_i)),
    .wdata_i(load_i[14:0]),
    .re_i   (exp_re_i),
    .addr_i (exp_addr_i),
    .data_o (exp_o)
  );
  for (genvar side = 0; side < 2; side++) begin : gen_index
    ng_ram #(
      .Width  (128),
      .Depth  (Depths[MemoryIndex]),
      .Latency(IndexLatency),
      .Ultra  (Ultra[MemoryIndex]),
      .Luts   (Luts[MemoryIndex])
    ) u_index (
      .clk_i,
      .we_i   (load_valid_i && load_memory_i == MemoryIndex),
      .waddr_i(IndexBits'(load_addr_i)),
      .wdata_i(load_i[127:0]),
      .re_i   (index_re_i[side]),
      .raddr_i(index_addr_i[side]),
      .rdata_o(index_o[side])
    );
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) residual_valid_i |->
                   !(residual_weight && op_valid_i && op_i.reads && op_i.b_space == SpaceWeight) &&
                   !(residual_vector && op_valid_i && op_i.reads && op_i.b_space == SpaceVector) &&
                   !(residual_wide && (vector_wide_gnt_o || store_gnt_o)))
  else $error("ng_memories: two readers at one port");
  assert property (@(posedge clk_i) disable iff (!rst_ni) !(load_weight && op_valid_i && op_i.reads &&
                                                            op_i.b_space == SpaceWeight))
  else $error("ng_memories: LOAD writes while the feed reads at the same port");
  assert property (@(posedge clk_i) disable iff (!rst_ni) $changed(stat_raddr_i) |-> stat_re_i)
  else $error("ng_memories: the address of STAT changes without a read");
`endif
endmodule
