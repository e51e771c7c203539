// The stream unit: LOAD and STORE.
//
// LOAD packs beats of the input stream into words and writes them. STORE reads words of WIDE and sends them as beats.
// Limits: ng_command computes the packet's CRC, detects its end and drops the rest of a packet; ng_frame ends the packet
// of results.
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
  // Writes; may be refused.
  output logic                              write_valid_o,
  input  logic                              write_gnt_i,
  output ng_isa_pkg::memory_e               write_memory_o,
  output logic [ng_isa_pkg::WeightAddressBits-1:0] write_addr_o,
  output logic [WordBeats-1:0][63:0]        write_o,
  // WIDE: latency WordLatency; may be refused.
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
  localparam int unsigned EndBits = WeightAddressBits + 1;
  localparam int unsigned Parts = Lanes / 4;
  localparam int unsigned Half = IndexDepth / Sentences;

  // The unit accepts beats in the states with bit 3.
  typedef enum logic [3:0] {Idle = 4'b0000, Setup = 4'b0001, LoadEnd = 4'b0010, Store = 4'b0011, Load = 4'b1000} state_e;
  state_e state_q;

  load_t l;
  store_t s;
  logic is_load, met_q;
  assign l       = load_t'(issue_i.instruction);
  assign s       = store_t'(issue_i.instruction);
  assign is_load = l.opcode == OpcodeLoad;

  // The first word's address relative to its memory, its number of words, and what follows from them.
  logic [WeightAddressBits-1:0] base, count;
  logic [31:0] depth;
  logic [2:0] word_beats;
  assign base  = is_load ? l.base : WeightAddressBits'(s.base);
  assign count = !is_load ? WeightAddressBits'(s.count)
                 : l.count_source == CountLength ? WeightAddressBits'(issue_i.place.length) : l.count;
  always_comb begin
    word_beats = 3'd1;
    unique case (memory_e'(l.memory))
      MemoryWeight: begin
        depth = WeightDepth;
        word_beats = 3'(Lanes / 8);
      end
      MemoryBias:  depth = BiasDepth;
      MemoryNorm:  depth = NormDepth;
      MemoryTable: depth = TableDepth;
      MemoryExp:   depth = ExpDepth;
      default: begin
        depth = Half;
        word_beats = 3'd2;
      end
    endcase
    if (!is_load) depth = WideDepth;
  end

  logic is_load_q;
  logic [NumberBits-1:0] number_q;
  memory_e memory_q;
  logic [WeightAddressBits-1:0] addr_q, left_q;  // of the next word; words to be taken or requested
  logic [EndBits-1:0] end_q;
  logic [31:0] depth_q;
  logic [2:0] word_beats_q, part_q;
  logic empty, outside;
  assign empty   = left_q == 0;
  assign outside = !empty && 32'(end_q) > depth_q;

  logic starts;
  ng_start u_start (
    .idle_i   (state_q == Idle),
    .valid_i,
    .ok_i     (issue_i.ok),
    .skipped_i(issue_i.skipped),
    .met_i    (met_q),
    .ready_o,
    .starts_o (starts),
    .waits_o  (wait_o)
  );
  assign busy_o  = state_q != Idle;
  assign waits_o = wait_o;

  // LOAD: the parts of a word before its last one, and complete words that wait to be written.
  logic [WordBeats-1:0][63:0] parts_q, word;
  logic take, last_part, last_word, word_ready;
  logic [31:0] idle_q;
  logic timeout_q;
  assign in_ready_o     = state_q[3] && word_ready;
  assign take           = in_valid_i && in_ready_o;
  assign last_part      = part_q == word_beats_q - 3'd1;
  assign last_word      = left_q == WeightAddressBits'(1);
  assign write_memory_o = memory_q;
  assign write_addr_o   = addr_q;
  for (genvar n = 0; n < WordBeats; n++) begin : gen_parts
    assign word[n] = part_q == 3'(n) ? in_data_i : parts_q[n];
  end
  ng_skid #(
    .Width(64 * WordBeats)
  ) u_writes (
    .clk_i,
    .rst_ni,
    .valid_i(take && last_part),
    .ready_o(word_ready),
    .data_i (word),
    .valid_o(write_valid_o),
    .ready_i(write_gnt_i),
    .data_o (write_o)
  );

  // STORE: a request for a word of WIDE, words that arrive, and their beats.
  logic [2:0] held_q;  // words that were requested and not sent
  logic [WordLatency:1] came_q;
  logic request_q, asks, word_take;
  logic [16*Lanes-1:0] wide_word;
  logic [$clog2(Parts)-1:0] beat_q;
  assign asks = ((state_q == Setup && !is_load_q && !outside) || state_q == Store) && !empty && held_q != 3'd4 &&
                (!request_q || wide_gnt_i);
  assign wide_re_o   = request_q;
  assign wide_addr_o = AddressBits'(addr_q);
  ng_fifo #(
    .Width(16 * Lanes),
    .Depth(4)
  ) u_words (
    .clk_i,
    .rst_ni,
    .valid_i(came_q[WordLatency]),
    .ready_o(),
    .data_i (wide_i),
    .valid_o(out_valid_o),
    .ready_i(word_take),
    .data_o (wide_word)
  );
  assign word_take  = out_valid_o && out_ready_i && 32'(beat_q) == Parts - 1;
  assign out_data_o = wide_word[64*beat_q+:64];

  assign stall_o = (in_ready_o && !in_valid_i) || (out_valid_o && !out_ready_i);

  fault_t fault_q;
  assign fault_o  = fault_q;
  assign retire_o = (state_q == Idle && ready_o && issue_i.skipped) || (state_q == LoadEnd && !write_valid_o) ||
                    (state_q == Store && empty && held_q == 0);

  always_ff @(posedge clk_i) begin
    met_q <= valid_i && !ready_o && met({l.wait_stream, l.wait_vector, l.wait_array}, retired_i);

    fault_q.valid  <= 1'b0;
    fault_q.number <= number_q;
    idle_q    <= in_ready_o && !in_valid_i ? idle_q + 32'd1 : '0;
    timeout_q <= timeout_i != 0 && idle_q >= timeout_i;
    if (take) begin
      parts_q[32'(part_q) % WordBeats] <= in_data_i;
      part_q <= last_part ? '0 : part_q + 3'd1;
    end

    // A granted word is followed by the next one.
    if ((write_valid_o && write_gnt_i) || (request_q && wide_gnt_i)) addr_q <= addr_q + 1'b1;
    if ((take && last_part) || asks) left_q <= left_q - 1'b1;

    came_q <= (came_q << 1) | WordLatency'(request_q && wide_gnt_i);
    held_q <= held_q + 3'(asks) - 3'(word_take);
    if (asks) request_q <= 1'b1;
    else if (wide_gnt_i) request_q <= 1'b0;
    if (out_valid_o && out_ready_i) beat_q <= 32'(beat_q) == Parts - 1 ? '0 : beat_q + 1'b1;

    unique case (state_q)
      Idle: begin
        if (valid_i && !issue_i.ok) begin
          fault_q.valid  <= 1'b1;
          fault_q.code   <= ErrorField;
          fault_q.number <= issue_i.number;
        end
        if (starts) state_q <= Setup;
        is_load_q    <= is_load;
        number_q     <= issue_i.number;
        memory_q     <= memory_e'(l.memory);
        addr_q       <= base + (is_load && l.memory == MemoryIndex && l.sentence ? WeightAddressBits'(Half) : '0);
        left_q       <= count;
        end_q        <= EndBits'(base) + EndBits'(count);
        depth_q      <= depth;
        word_beats_q <= word_beats;
        part_q       <= '0;
      end
      Setup: begin
        state_q <= !is_load_q ? Store : empty ? LoadEnd : Load;
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
        end else if (timeout_q) begin
          fault_q.valid <= 1'b1;
          fault_q.code  <= ErrorTimeout;
        end
      end
      LoadEnd: if (!write_valid_o) state_q <= Idle;
      Store: if (empty && held_q == 0) state_q <= Idle;
      default: state_q <= Idle;  // uncovered: all values of the state are listed
    endcase
    if (!rst_ni) begin
      state_q       <= Idle;
      met_q         <= 1'b0;
      request_q     <= 1'b0;
      came_q        <= '0;
      held_q        <= '0;
      beat_q        <= '0;
      fault_q.valid <= 1'b0;
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) held_q <= 3'd4)
  else $error("ng_stream: more words requested from WIDE than fit");
  assert property (@(posedge clk_i) disable iff (!rst_ni) request_q || came_q != 0 || out_valid_o |-> held_q != 0)
  else $error("ng_stream: a word that was not requested");
  assert property (@(posedge clk_i) disable iff (!rst_ni) write_valid_o && !write_gnt_i |=>
                   write_valid_o && $stable(write_o) && $stable(write_addr_o) && $stable(write_memory_o))
  else $error("ng_stream: a word changed before it was written");
  assert property (@(posedge clk_i) disable iff (!rst_ni) wide_re_o && !wide_gnt_i |=>
                   wide_re_o && $stable(wide_addr_o))
  else $error("ng_stream: a read changed before it was granted");
  assert property (@(posedge clk_i) disable iff (!rst_ni) out_valid_o && !out_ready_i |=>
                   out_valid_o && $stable(out_data_o))
  else $error("ng_stream: a result changed before it was taken");
  assert property (@(posedge clk_i) disable iff (!rst_ni) write_valid_o |->
                   32'(write_addr_o) < (memory_q == MemoryIndex ? IndexDepth : depth_q))
  else $error("ng_stream: a write outside its memory");
  assert property (@(posedge clk_i) disable iff (!rst_ni) wide_re_o |-> 32'(wide_addr_o) < WideDepth)
  else $error("ng_stream: a read outside WIDE");
`endif
endmodule
