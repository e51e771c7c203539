// The stream unit: LOAD and STORE.
//
// LOAD packs beats of the input stream into words and writes them. STORE reads words of WIDE and sends them as beats.
// The last result beat is held back until it is known whether it is the last one of the command.
// Limits: ng_command computes the packet's CRC, detects its end and drops the rest of a packet.
module ng_stream #(
  parameter int unsigned Lanes       = 8,
  parameter int unsigned WeightDepth = 64,
  parameter int unsigned WideDepth   = 64,
  parameter int unsigned BiasDepth   = 64,
  parameter int unsigned NormDepth   = 64,
  parameter int unsigned TableDepth  = 256,
  parameter int unsigned ExpDepth    = 256,
  parameter int unsigned IndexDepth  = 64,
  localparam int unsigned WordBeats = Lanes / 8 > 2 ? Lanes / 8 : 2
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  input  ng_pkg::retired_t                  retired_i,
  input  logic                              valid_i,
  output logic                              ready_o,
  input  ng_pkg::issue_t                    issue_i,
  // Input beats; ended_i: the last beat of the packet was read.
  input  logic                              in_valid_i,
  output logic                              in_ready_o,
  input  logic [63:0]                       in_data_i,
  input  logic                              in_last_i,
  input  logic                              ended_i,
  input  logic [31:0]                       timeout_i,
  // Result beats.
  output logic                              out_valid_o,
  input  logic                              out_ready_i,
  output logic [63:0]                       out_data_o,
  output logic                              out_last_o,
  input  logic                              flush_i,     // no more results follow
  output logic                              flushed_o,
  // Writes; may be refused.
  output logic                              write_valid_o,
  input  logic                              write_gnt_i,
  output ng_isa_pkg::memory_e               write_memory_o,
  output logic [ng_isa_pkg::WeightAddressBits-1:0] write_addr_o,
  output logic [WordBeats-1:0][63:0]        write_o,
  // WIDE: latency 2; may be refused.
  output logic                              wide_re_o,
  input  logic                              wide_gnt_i,
  output logic [ng_isa_pkg::AddressBits-1:0] wide_addr_o,
  input  logic [Lanes-1:0][15:0]            wide_i,
  output logic                              retire_o,
  output ng_pkg::fault_t                    fault_o,
  output logic                              waits_o,
  output logic                              busy_o,
  output logic                              wait_o,
  output logic                              stall_o
);
  import ng_isa_pkg::*;
  import ng_pkg::*;
  localparam int unsigned Parts = Lanes / 4;
  localparam int unsigned Half = IndexDepth / Sentences;

  typedef enum logic [2:0] {Idle, Setup, Load, LoadEnd, Store, StoreEnd} state_e;
  state_e state_q;

  load_t l;
  store_t s;
  logic is_load, met_q;
  assign l       = load_t'(issue_i.instruction);
  assign s       = store_t'(issue_i.instruction);
  assign is_load = l.opcode == OpcodeLoad;

  logic is_load_q, sentence_q;
  logic [NumberBits-1:0] number_q;
  memory_e memory_q;
  logic [WeightAddressBits-1:0] base_q, count_q;
  logic [WeightAddressBits-1:0] asked_q, words_q;
  logic [2:0] word_beats, part_q;

  assign ready_o = state_q == Idle && valid_i && issue_i.ok && (issue_i.skipped || met_q);
  assign busy_o  = state_q != Idle;
  assign wait_o  = state_q == Idle && valid_i && issue_i.ok && !issue_i.skipped && !met_q;
  assign waits_o = wait_o;

  logic [31:0] depth;
  logic outside;
  always_comb begin
    unique case (memory_q)
      MemoryWeight: begin
        depth = WeightDepth;
        word_beats = 3'(Lanes / 8);
      end
      MemoryBias: begin
        depth = BiasDepth;
        word_beats = 3'd1;
      end
      MemoryNorm: begin
        depth = NormDepth;
        word_beats = 3'd1;
      end
      MemoryTable: begin
        depth = TableDepth;
        word_beats = 3'd1;
      end
      MemoryExp: begin
        depth = ExpDepth;
        word_beats = 3'd1;
      end
      default: begin
        depth = Half;
        word_beats = 3'd2;
      end
    endcase
    if (!is_load_q) depth = WideDepth;
    outside = count_q != 0 && 32'(base_q) + 32'(count_q) > depth;
  end

  // LOAD.
  logic [WordBeats-1:0][63:0] word_q;
  logic full_q, take, last_part, last_word;
  logic [31:0] idle_q;
  logic timeout;
  assign in_ready_o     = state_q == Load && (!full_q || write_gnt_i);
  assign take           = in_valid_i && in_ready_o;
  assign last_part      = part_q == word_beats - 3'd1;
  assign last_word      = words_q == count_q - 1'b1;
  assign write_valid_o  = full_q;
  assign write_memory_o = memory_q;
  assign write_o        = word_q;
  assign timeout        = timeout_i != 0 && idle_q >= timeout_i;

  // STORE: words that arrive from WIDE, then their beats, of which the last is held back.
  logic [2:0] held_q;
  logic [2:1] came_q;
  logic word_valid, word_take, beat_valid, beat_ready;
  logic [16*Lanes-1:0] word;
  logic hold_valid_q;
  logic [63:0] hold_q;
  logic [$clog2(Parts)-1:0] beat_q;
  assign wide_re_o   = state_q == Store && asked_q != count_q && held_q != 3'd4;
  assign wide_addr_o = AddressBits'(base_q + asked_q);
  ng_fifo #(
    .Width(16 * Lanes),
    .Depth(4)
  ) u_words (
    .clk_i,
    .rst_ni,
    .valid_i(came_q[2]),
    .ready_o(),
    .data_i (wide_i),
    .valid_o(word_valid),
    .ready_i(word_take),
    .data_o (word)
  );
  assign beat_valid  = word_valid;
  assign beat_ready  = !hold_valid_q || out_ready_i;
  assign word_take   = beat_valid && beat_ready && 32'(beat_q) == Parts - 1;
  assign out_valid_o = hold_valid_q && (beat_valid || flush_i);
  assign out_last_o  = flush_i;
  assign out_data_o  = hold_q;
  assign flushed_o   = !hold_valid_q;

  assign stall_o = (in_ready_o && !in_valid_i) ||
                   ((state_q == Store || state_q == StoreEnd) && out_valid_o && !out_ready_i);

  fault_t fault_q;
  assign fault_o  = fault_q;
  assign retire_o = (state_q == Idle && ready_o && issue_i.skipped) || (state_q == LoadEnd && !full_q) ||
                    (state_q == StoreEnd && held_q == 0);

  always_ff @(posedge clk_i) begin
    met_q <= valid_i && !ready_o && met({l.wait_stream, l.wait_vector, l.wait_array}, retired_i);
    if (state_q == Idle) begin
      is_load_q  <= is_load;
      number_q   <= issue_i.number;
      sentence_q <= l.sentence;
      memory_q   <= memory_e'(l.memory);
      base_q     <= is_load ? l.base : WeightAddressBits'(s.base);
      count_q    <= !is_load ? WeightAddressBits'(s.count)
                             : l.count_source == CountLength ? WeightAddressBits'(issue_i.place.length) : l.count;
    end

    fault_q.valid  <= 1'b0;
    fault_q.number <= number_q;
    idle_q <= in_ready_o && !in_valid_i ? idle_q + 32'd1 : '0;
    if (take) begin
      word_q[32'(part_q) % WordBeats] <= in_data_i;
      part_q <= last_part ? '0 : part_q + 3'd1;
      if (last_part) begin
        words_q <= words_q + 1'b1;
        write_addr_o <= base_q + words_q + (memory_q == MemoryIndex && sentence_q ? WeightAddressBits'(Half) : '0);
      end
    end
    if (take && last_part) full_q <= 1'b1;
    else if (write_gnt_i) full_q <= 1'b0;

    came_q <= {came_q[1], wide_re_o && wide_gnt_i};
    held_q <= held_q + 3'(wide_re_o && wide_gnt_i) - 3'(word_take);
    if (wide_re_o && wide_gnt_i) asked_q <= asked_q + 1'b1;
    if (beat_valid && beat_ready) begin
      hold_q       <= word[64*beat_q+:64];
      hold_valid_q <= 1'b1;
      beat_q       <= 32'(beat_q) == Parts - 1 ? '0 : beat_q + 1'b1;
    end else if (flush_i && out_ready_i) begin
      hold_valid_q <= 1'b0;
    end

    unique case (state_q)
      Idle: begin
        if (valid_i && !issue_i.ok) begin
          fault_q.valid  <= 1'b1;
          fault_q.code   <= ErrorField;
          fault_q.number <= issue_i.number;
        end
        if (ready_o && !issue_i.skipped) state_q <= Setup;
        words_q <= '0;
        asked_q <= '0;
        part_q  <= '0;
      end
      Setup: begin
        state_q <= !is_load_q ? (count_q == 0 ? StoreEnd : Store) : count_q == 0 ? LoadEnd : Load;
        if (outside || (is_load_q && ended_i)) begin
          fault_q.valid <= 1'b1;
          fault_q.code  <= outside ? ErrorAddress : ErrorTruncated;
          state_q       <= Idle;
        end
      end
      Load: begin
        if (take && last_part && last_word) state_q <= LoadEnd;
        if (take && in_last_i && !(last_part && last_word)) begin
          fault_q.valid <= 1'b1;
          fault_q.code  <= ErrorTruncated;
        end else if (timeout) begin
          fault_q.valid <= 1'b1;
          fault_q.code  <= ErrorTimeout;
        end
      end
      LoadEnd: if (!full_q) state_q <= Idle;
      Store: if (asked_q == count_q) state_q <= StoreEnd;
      StoreEnd: if (held_q == 0) state_q <= Idle;
      default: state_q <= Idle;  // uncovered: all values of the state are listed
    endcase
    if (!rst_ni) begin
      state_q       <= Idle;
      met_q         <= 1'b0;
      full_q        <= 1'b0;
      came_q        <= '0;
      held_q        <= '0;
      beat_q        <= '0;
      hold_valid_q  <= 1'b0;
      fault_q.valid <= 1'b0;
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) held_q <= 3'd4)
  else $error("ng_stream: more words requested from WIDE than fit");
  assert property (@(posedge clk_i) disable iff (!rst_ni) came_q != 0 || word_valid |-> held_q != 0)
  else $error("ng_stream: a word that was not requested");
  assert property (@(posedge clk_i) disable iff (!rst_ni) write_valid_o && !write_gnt_i |=>
                   write_valid_o && $stable(write_o) && $stable(write_addr_o) && $stable(write_memory_o))
  else $error("ng_stream: a word changed before it was written");
  assert property (@(posedge clk_i) disable iff (!rst_ni) out_valid_o && !out_ready_i |=>
                   out_valid_o && $stable(out_data_o) && $stable(out_last_o))
  else $error("ng_stream: a result changed before it was taken");
  assert property (@(posedge clk_i) disable iff (!rst_ni) write_valid_o |->
                   32'(write_addr_o) < (memory_q == MemoryIndex ? IndexDepth : depth))
  else $error("ng_stream: a write outside its memory");
  assert property (@(posedge clk_i) disable iff (!rst_ni) wide_re_o |-> 32'(wide_addr_o) < WideDepth)
  else $error("ng_stream: a read outside WIDE");
`endif
endmodule
