// The vector unit: SOFTMAX in two passes over its words, LAYERNORM in one pass after its sums are turned into factors.
//
// Executes one instruction at a time, one word per cycle in each pass, all lanes in parallel (ng_vector_lane). Root and
// division are skipped where a LAYERNORM uses the same statistic as the one before it, as the factors are kept. The
// words of a pass are read while the lanes still divide, so that the first one meets the quotient.
// Limits: two instructions never overlap. WordLatency + LookupLatency is at most 8.
//
// Every request to a memory is a register.
module ng_vector #(
  parameter int unsigned Lanes       = 8,
  parameter int unsigned VectorDepth = 64,
  parameter int unsigned ScoreDepth  = 64,
  parameter int unsigned WideDepth   = 64,
  parameter int unsigned StatDepth   = 4,
  parameter int unsigned NormDepth   = 64,
  parameter int unsigned ExpDepth    = 256,
  parameter int unsigned WordLatency   = ng_pkg::WordLatency,
  parameter int unsigned LookupLatency = ng_pkg::LookupLatency,
  localparam int unsigned ExpBits   = ng_pkg::addr_bits(ExpDepth),
  localparam int unsigned StatWidth = ng_isa_pkg::word_bits(ng_isa_pkg::MemoryStat, Lanes)
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  input  ng_pkg::retired_t                  retired_i,
  input  logic                              valid_i,
  output logic                              ready_o,
  input  ng_pkg::issue_t                    issue_i,
  // STAT: latency 1. `stat_we_i`, `stat_waddr_i`: the drain writes a statistic.
  output logic                              stat_re_o,
  output logic [ng_isa_pkg::SlotBits-1:0]   stat_addr_o,
  input  logic [StatWidth-1:0]              stat_i,
  input  logic                              stat_we_i,
  input  logic [ng_isa_pkg::SlotBits-1:0]   stat_waddr_i,
  // SCORE, WIDE and NORM: WordLatency. WIDE may be refused; NORM is read with it.
  output logic                              score_re_o,
  output logic [ng_isa_pkg::AddressBits-1:0] score_addr_o,
  input  logic [Lanes-1:0][7:0]             score_i,
  output logic                              wide_re_o,
  output logic [ng_isa_pkg::AddressBits-1:0] wide_addr_o,
  input  logic                              wide_gnt_i,
  input  logic [Lanes-1:0][15:0]            wide_i,
  output logic [ng_isa_pkg::AddressBits-1:0] norm_addr_o,
  input  logic [43:0]                       norm_i,
  // EXP: LookupLatency.
  output logic                              exp_re_o,
  output logic [Lanes-1:0][ExpBits-1:0]     exp_addr_o,
  input  logic [Lanes-1:0][14:0]            exp_i,
  output logic                              write_valid_o,
  output logic [ng_isa_pkg::AddressBits-1:0] write_addr_o,
  output logic [Lanes-1:0][7:0]             write_o,
  output logic [ng_pkg::NumberBits-1:0]     probe_number_o,
  output logic                              retire_o,
  output ng_pkg::fault_t                    fault_o,
  output logic                              waits_o,
  output logic                              busy_o,
  output logic                              wait_o
);
  import ng_isa_pkg::*;
  import ng_pkg::*;
  // Stages of a word; stage 0 is the read of SCORE or WIDE. Of SOFTMAX: address of EXP, exponential, write. Of LAYERNORM:
  // aligned difference, write.
  localparam int unsigned ExpStage     = WordLatency + 1;
  localparam int unsigned FactorStage  = ExpStage + LookupLatency + 1;
  localparam int unsigned SoftmaxStage = FactorStage + 3;
  localparam int unsigned AlignedStage = WordLatency + 4;
  localparam int unsigned NormStage    = WordLatency + 11;
  // Cycles between the passes of a SOFTMAX: the reciprocal starts when the last exponential is added, and is the operand
  // of the multiplier 19 cycles later, when the first exponential of the second pass is the other one.
  localparam int unsigned DivideCycles = 18;
  // Cycles before a LAYERNORM reads its first word: 6 stages of factors for each lane, the steps of root and reciprocal;
  // the first word is aligned when the quotient of the last lane is the operand of the multiplier.
  localparam int unsigned FactorCycles = Lanes + 39 - AlignedStage;
  localparam int unsigned TimerBits = 7;
  localparam int unsigned EndBits = AddressBits + 1;

  if (WordLatency < 1 || LookupLatency < 1 || WordLatency + LookupLatency > 8) begin : gen_check
    $error("ng_vector: WordLatency and LookupLatency must be at least 1 and their sum at most 8");
  end

  typedef enum logic [3:0] {
    Idle, Fetch, Check, Sum, Divide, Scale, Factors, Normalize, End
  } state_e;
  state_e state_q;
  logic busy_q;
  logic [TimerBits-1:0] timer_q;

  softmax_t s;
  layernorm_t l;
  logic is_norm, met_q, starts;
  assign s       = softmax_t'(issue_i.instruction);
  assign l       = layernorm_t'(issue_i.instruction);
  assign is_norm = s.opcode == OpcodeLayernorm;

  // The current instruction. The addresses count.
  logic is_norm_q;
  logic [NumberBits-1:0] number_q;
  logic [10:0] count_q, size_q, words_q;
  logic [AddressBits-1:0] base_q, source_q, target_q, norm_addr_q;
  logic [4:0] exp_id_q;
  logic signed [5:0] shift_q;
  logic [3:0] bits_q;
  logic [SlotBits-1:0] slot_q, stat_addr_q;

  // The statistic from which the kept factors were computed.
  logic kept_q, kept_sentence_q, shares_q, sentence_q;
  logic [5:0] kept_block_q, block_q;
  logic [SlotBits-1:0] kept_slot_q;
  logic [10:0] kept_size_q;

  ng_start u_start (
    .idle_i   (!busy_q),
    .valid_i,
    .ok_i     (issue_i.ok),
    .skipped_i(issue_i.skipped),
    .met_i    (met_q),
    .ready_o,
    .starts_o (starts),
    .waits_o  (wait_o)
  );
  assign busy_o  = busy_q;
  assign waits_o = wait_o;

  logic [Lanes-1:0][StatSumBits-1:0] stat_sum;
  logic [Lanes-1:0][StatSquareBits-1:0] stat_square;
  logic [Lanes-1:0][StatMaxBits-1:0] stat_max;
  logic [StatCountBits-1:0] stat_count;
  logic [1:0] stat_kind;
  assign {stat_kind, stat_count, stat_max, stat_square, stat_sum} = stat_i;

  logic stat_re_q, score_re_q, wide_re_q, exp_re_q, write_q, retire_q, asked, last;
  assign stat_re_o      = stat_re_q;
  assign stat_addr_o    = stat_addr_q;
  assign score_re_o     = score_re_q;
  assign score_addr_o   = source_q;
  assign wide_re_o      = wide_re_q;
  assign wide_addr_o    = source_q;
  assign norm_addr_o    = norm_addr_q;
  assign exp_re_o       = exp_re_q;
  assign write_valid_o  = write_q;
  assign write_addr_o   = target_q;
  assign probe_number_o = number_q;
  assign retire_o       = retire_q || (!busy_q && valid_i && issue_i.ok && issue_i.skipped);
  assign asked = score_re_q || (wide_re_q && wide_gnt_i);
  assign last  = words_q == 11'd1;

  // The words in the pipeline, by stage. `first_q`: they are those of the first pass of a SOFTMAX.
  logic [NormStage-1:1] word_q;
  logic first_q;
  always_ff @(posedge clk_i) begin
    word_q   <= {word_q[NormStage-2:1], asked};
    exp_re_q <= word_q[ExpStage-1] && !is_norm_q;
    write_q  <= is_norm_q ? word_q[NormStage-1] : word_q[SoftmaxStage-1] && !first_q;
    if (!rst_ni || !busy_q) word_q <= '0;
    if (!rst_ni) begin
      exp_re_q <= 1'b0;
      write_q  <= 1'b0;
    end
  end

  // Gamma and beta on their way to the lanes: gamma with the normalized number, beta with its product by gamma.
  logic signed [11:0] gamma_q[1:7];
  logic signed [31:0] beta_q[1:8];
  always_ff @(posedge clk_i) begin
    gamma_q[1] <= $signed(norm_i[43:32]);
    beta_q[1]  <= $signed(norm_i[31:0]);
    for (int n = 2; n <= 7; n++) gamma_q[n] <= gamma_q[n-1];
    for (int n = 2; n <= 7; n++) beta_q[n] <= beta_q[n-1];
    beta_q[8] <= beta_q[7] + $signed(rounding_half(shift_q));
  end

  // The shift of LAYERNORM, for the lanes. Every shift is a rotation to the right by up to 31, also a left shift.
  //   inside:   low bits of the result that come from the word. Others are 0, or the sign after a right shift.
  //   straight: bits of the word that equal the bit to their right (bit 0: equal 0) if the number fits. Bits that are
  //             shifted out to the left do not count.
  //   smallest: low bits of the smallest number; the largest number has the inverse.
  logic left_q;
  logic signed [6:0] lowest_q;
  logic [7:0] inside_q, smallest_q;
  logic [31:0] straight_q;
  always_ff @(posedge clk_i) begin
    left_q     <= shift_q < 0;
    lowest_q   <= 7'(shift_q) + $signed({3'd0, bits_q});
    inside_q   <= 8'(shift_q < 0 ? 32'hFF << 5'(-shift_q) : 32'hFFFF_FFFF >> shift_q[4:0]);
    straight_q <= (lowest_q < 0 ? 32'hFFFF_FFFF : 32'hFFFF_FFFF << lowest_q[5:0]) &
                  ~(left_q ? 32'hFFFF_FFFF << shift_q[4:0] : 32'd0);
    smallest_q <= 8'hFF << (bits_q - 4'd1);
  end

  logic setup_q, divide_q;
  logic [Lanes-1:0] set;
  factors_t factors;
  ng_vector_factors #(
    .Lanes(Lanes)
  ) u_factors (
    .clk_i,
    .rst_ni,
    .busy_i   (busy_q),
    .start_i  (setup_q),
    .size_i   (size_q),
    .sum_i    (stat_sum),
    .square_i (stat_square),
    .set_o    (set),
    .factors_o(factors)
  );
  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    logic [7:0] exp_addr;
    assign exp_addr_o[lane] = ExpBits'({exp_id_q, exp_addr});
    ng_vector_lane u_lane (
      .clk_i,
      .rst_ni,
      .busy_i    (busy_q),
      .norm_i    (is_norm_q),
      .clear_i   (stat_re_q),
      .add_i     (word_q[FactorStage-1] && first_q),
      .divide_i  (divide_q),
      .set_i     (set[lane]),
      .factors_i (factors),
      .max_i     (stat_max[lane]),
      .score_i   (score_i[lane]),
      .exp_addr_o(exp_addr),
      .exp_i     (exp_i[lane]),
      .wide_i    (wide_i[lane]),
      .gamma_i   (gamma_q[7]),
      .beta_i    (beta_q[8]),
      .shift_i   (shift_q[4:0]),
      .left_i    (left_q),
      .inside_i  (inside_q),
      .straight_i(straight_q),
      .smallest_i(smallest_q),
      .result_o  (write_o[lane])
    );
  end

  // Checks. Ends of the words one cycle after the instruction was taken, what is outside in the next; the statistic two
  // cycles after its read, and the fault after it.
  logic slot_outside_q, outside_q, stat_wrong;
  logic [2:1] check_q;
  logic [EndBits-1:0] source_end_q, target_end_q, norm_end_q;
  logic [StatCountBits-1:0] stat_count_q;
  logic [1:0] stat_kind_q;
  fault_t fault_q;
  assign fault_o    = fault_q;
  assign stat_wrong = is_norm_q ? stat_kind_q != StatSums || stat_count_q != size_q
                                : stat_kind_q != StatMax || stat_count_q != count_q;
  always_ff @(posedge clk_i) begin
    source_end_q <= EndBits'(source_q) + EndBits'(count_q);
    target_end_q <= EndBits'(target_q) + EndBits'(count_q);
    norm_end_q   <= EndBits'(norm_addr_q) + EndBits'(count_q);
    outside_q    <= 32'(target_end_q) > VectorDepth ||
                    (is_norm_q ? 32'(source_end_q) > WideDepth || 32'(norm_end_q) > NormDepth
                               : 32'(source_end_q) > ScoreDepth);
    stat_count_q <= stat_count;
    stat_kind_q  <= stat_kind;
    check_q      <= {check_q[1], state_q == Check};

    fault_q.valid  <= check_q[2] && (slot_outside_q || stat_wrong || outside_q);
    fault_q.code   <= ErrorAddress;
    fault_q.number <= number_q;
    if (stat_wrong && !slot_outside_q) fault_q.code <= ErrorStat;
    if (!busy_q && valid_i && !issue_i.ok) begin
      fault_q.valid  <= 1'b1;
      fault_q.code   <= ErrorField;
      fault_q.number <= issue_i.number;
    end
    if (!rst_ni) begin
      check_q       <= '0;
      fault_q.valid <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    met_q <= valid_i && !ready_o && met({s.wait_stream, s.wait_vector, s.wait_array}, retired_i);

    if (!busy_q) begin
      is_norm_q   <= is_norm;
      number_q    <= issue_i.number;
      count_q     <= is_norm ? l.count : 11'(issue_i.place.length);
      size_q      <= l.size;
      base_q      <= is_norm ? l.source : s.source;
      source_q    <= is_norm ? l.source : s.source;
      target_q    <= is_norm ? l.target : s.target;
      norm_addr_q <= l.norm_base;
      exp_id_q    <= s.exp_id;
      shift_q     <= l.shift;
      bits_q      <= l.bits;
      slot_q      <= is_norm ? l.stat_slot : s.stat_slot;
      sentence_q  <= s.sentence;
      block_q     <= s.block;
      slot_outside_q <= is_norm ? 32'(l.stat_slot) >= StatDepth
                                : 32'(s.stat_slot) >= StatDepth || 32'({s.exp_id, 8'hFF}) >= ExpDepth;
    end
    shares_q <= kept_q && is_norm_q && kept_slot_q == slot_q && kept_size_q == size_q &&
                kept_sentence_q == sentence_q && kept_block_q == block_q && !(stat_we_i && stat_waddr_i == slot_q);

    if (write_q) target_q <= target_q + 1'b1;
    if (asked) begin
      source_q    <= source_q + 1'b1;
      norm_addr_q <= norm_addr_q + 1'b1;
      words_q     <= words_q - 11'd1;
    end

    stat_re_q <= 1'b0;
    setup_q   <= 1'b0;
    divide_q  <= state_q == Divide && timer_q == TimerBits'(DivideCycles + 1 - FactorStage);
    retire_q  <= state_q == End && timer_q == TimerBits'(1'b1);
    timer_q   <= timer_q - 1'b1;
    unique case (state_q)
      Idle: if (starts) begin
        state_q <= Fetch;
        busy_q  <= 1'b1;
      end
      // The drain writes a statistic up to three cycles after it retired the instruction, so it is read a cycle later
      // than the instruction.
      Fetch: begin
        stat_re_q   <= 1'b1;
        stat_addr_q <= slot_q;  // stays until the next read
        words_q <= count_q;
        first_q <= !is_norm_q;
        state_q <= Check;
      end
      Check: begin
        timer_q <= TimerBits'(FactorCycles - 1);
        kept_q  <= is_norm_q;
        kept_slot_q     <= slot_q;
        kept_size_q     <= size_q;
        kept_sentence_q <= sentence_q;
        kept_block_q    <= block_q;
        if (!is_norm_q) begin
          state_q    <= Sum;
          score_re_q <= 1'b1;
        end else if (shares_q) begin
          state_q   <= Normalize;
          wide_re_q <= 1'b1;
        end else begin
          state_q <= Factors;
          setup_q <= 1'b1;
        end
      end
      Sum: if (last) begin
        state_q    <= Divide;
        score_re_q <= 1'b0;
        timer_q    <= TimerBits'(DivideCycles - 1);
      end
      Divide: begin
        words_q  <= count_q;
        source_q <= base_q;
        if (timer_q == 0) begin
          state_q    <= Scale;
          score_re_q <= 1'b1;
          first_q    <= 1'b0;
        end
      end
      Scale: if (last) begin
        state_q    <= End;
        score_re_q <= 1'b0;
        timer_q    <= TimerBits'(SoftmaxStage - 1);
      end
      Factors: if (timer_q == 0) begin
        state_q   <= Normalize;
        wide_re_q <= 1'b1;
      end
      Normalize: if (last && wide_gnt_i) begin
        state_q   <= End;
        wide_re_q <= 1'b0;
        timer_q   <= TimerBits'(NormStage - 1);
      end
      End: if (timer_q == 0) begin
        state_q <= Idle;
        busy_q  <= 1'b0;
      end
      default: state_q <= Idle;  // uncovered: all values of the state are listed
    endcase
    if (stat_we_i && stat_waddr_i == kept_slot_q) kept_q <= 1'b0;
    if (!rst_ni) begin
      state_q    <= Idle;
      busy_q     <= 1'b0;
      stat_re_q  <= 1'b0;
      score_re_q <= 1'b0;
      wide_re_q  <= 1'b0;
      setup_q    <= 1'b0;
      divide_q   <= 1'b0;
      retire_q   <= 1'b0;
      kept_q     <= 1'b0;
      met_q      <= 1'b0;
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) busy_q == (state_q != Idle))
  else $error("ng_vector: busy without an instruction");
  assert property (@(posedge clk_i) disable iff (!rst_ni) write_valid_o |-> busy_q && 32'(write_addr_o) < VectorDepth)
  else $error("ng_vector: a write outside VECTOR, or after the end");
  assert property (@(posedge clk_i) disable iff (!rst_ni) state_q == Fetch |-> word_q == 0 && !write_q)
  else $error("ng_vector: a word of the instruction before");
  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_assert
    assert property (@(posedge clk_i) disable iff (!rst_ni)
                     is_norm_q ? word_q[AlignedStage-1] : word_q[FactorStage-1] && !first_q |->
                     !gen_lane[lane].u_lane.dividing)
    else $error("ng_vector: a word is multiplied by a quotient that is not known");
  end
  assert property (@(posedge clk_i) disable iff (!rst_ni) stat_we_i && stat_waddr_i == stat_addr_q |-> !stat_re_q)
  else $error("ng_vector: a statistic is written in the cycle of its read");
`endif
endmodule
