// Executes the commands PROGRAM, INIT and RUN.
//
// Reads and checks a program, releases the units from reset, detects deadlocks, collects faults, checks both CRCs, and
// drops the rest of a packet after an error. Keeps SENTENCES, LENGTH and TIMEOUT as they were when the command started.
// Checks are spread over several cycles: what they compare is registered first, and so is what they find.
// Limits: instructions are executed by the units; the registers that the host writes are in ng_regs, the borders of
// packets in ng_intake and ng_frame.
module ng_command #(
  parameter int unsigned    Lanes     = 8,
  parameter int unsigned    ProgDepth = 64,
  parameter ng_pkg::depths_t Depths   = '0,
  localparam int unsigned   ProgBits  = ng_pkg::addr_bits(ProgDepth)
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  // Registers.
  input  logic                              start_i,
  input  logic [2:0]                        command_i,
  input  logic                              clear_i,
  input  logic [31:0]                       sentences_i,
  input  logic [1:0][31:0]                  lengths_i,
  input  logic [31:0]                       timeout_i,
  output logic                              idle_o,
  output logic                              done_o,
  output logic                              error_o,
  output logic [7:0]                        code_o,
  output logic [31:0]                       where_o,
  output logic                              ends_o,     // done or error, for one cycle
  output logic                              starts_o,   // a command begins, for one cycle
  output logic                              works_o,    // a command is executed: the cycle counters run
  // Input beats. None is accepted after the last of the command's packet.
  input  logic                              in_valid_i,
  output logic                              in_ready_o,
  input  logic [63:0]                       in_data_i,
  input  logic                              in_last_i,
  input  logic                              discards_i, // after a clear: beats were dropped, or are discarded
  output logic                              ended_o,    // the last beat of the packet was read
  // The packet of results.
  output logic                              open_o,     // a RUN begins
  output logic                              finish_o,   // all results were sent
  output logic                              abort_o,    // the packet ends with code_o
  input  logic                              sending_i,  // its last beat was not taken yet
  // PROGRAM memory.
  output logic                              prog_we_o,
  output logic [ProgBits-1:0]               prog_addr_o,
  output logic [ng_isa_pkg::InstructionBits-1:0] prog_o,
  // Units.
  output logic                              run_o,      // a register: the units run; 0 resets them
  output logic                              init_o,
  output logic [1:0]                        sentences_o,
  output logic [1:0][ng_pkg::LengthBits-1:0] lengths_o,
  output logic [31:0]                       timeout_o,
  output logic [2:0][ng_pkg::NumberBits-1:0] bases_o,
  output logic [2:0][ng_pkg::NumberBits-1:0] counts_o,
  input  ng_pkg::retired_t                  retired_i,
  input  logic [2:0]                        waits_i,
  input  ng_pkg::fault_t [2:0]              faults_i,
  output logic                              unit_valid_o, // a beat for the stream unit
  input  logic                              unit_ready_i
);
  import ng_isa_pkg::*;
  import ng_pkg::*;

  // Check, Judge and Seal last two cycles: in the first, what they judge is compared and registered.
  // Beats are accepted in the states with bit 5, and by the stream unit in the one with bit 4.
  typedef enum logic [5:0] {
    Idle   = 6'b000000,
    Check  = 6'b000001,
    Judge  = 6'b000010,
    Seal   = 6'b000011,
    Flush  = 6'b000100,
    Clear  = 6'b000101,
    Exec   = 6'b010000,
    Header = 6'b100000,
    Body   = 6'b100001,
    Tail   = 6'b100010,
    Failed = 6'b100011
  } state_e;
  state_e state_q;
  // A base or count of the header: a sum of four counts, each of which may be wrong.
  localparam int unsigned TotalBits = NumberBits + 2;

  logic has_program_q, has_image_q, is_program_q, is_init_q, done_q, ends_q, ended_q, settled_q;
  logic run_q = 1'b0;
  logic [7:0] code_q;
  logic [31:0] where_q;
  assign idle_o    = state_q == Idle;
  assign done_o    = state_q == Idle && done_q;
  assign error_o   = state_q == Failed;
  assign code_o    = code_q;
  assign where_o   = where_q;
  assign ends_o    = ends_q;
  assign starts_o  = state_q == Idle && start_i;
  assign works_o   = state_q != Idle && state_q != Failed && state_q != Clear;
  assign ended_o   = ended_q;
  assign open_o    = starts_o && command_i == 3'(CommandRun);
  assign finish_o  = state_q == Flush;
  assign abort_o   = state_q == Failed || state_q == Clear;
  assign run_o     = run_q;
  assign init_o    = is_init_q;

  // Input beats, and how long none came.
  logic accepted, timeout_q;
  logic [31:0] idle_q, run_timeout_q;
  assign in_ready_o   = !ended_q && (state_q[5] || (state_q[4] && unit_ready_i));
  assign unit_valid_o = !ended_q && state_q[4] && in_valid_i;
  assign accepted     = in_valid_i && in_ready_o;
  assign timeout_o    = run_timeout_q;
  always_ff @(posedge clk_i) begin
    idle_q    <= in_ready_o && !in_valid_i ? idle_q + 32'd1 : '0;
    timeout_q <= run_timeout_q != 0 && idle_q >= run_timeout_q;
  end

  // The beat of the previous cycle and the CRCs of the beats before it.
  logic took_q, bad_tail_q, bad_image_q;
  logic [63:0] beat_q;
  logic [31:0] crc_q, image_crc_q;
  always_ff @(posedge clk_i) begin
    took_q      <= accepted;
    beat_q      <= in_data_i;
    bad_tail_q  <= beat_q != {32'd0, ~crc_q};
    bad_image_q <= ~crc_q != image_crc_q;
    if (starts_o) crc_q <= '1;
    else if (took_q) crc_q <= crc_step(crc_q, beat_q);
  end

  // The values that a word of the header may have.
  typedef struct packed {
    logic [31:0] least;
    logic [31:0] most;
  } range_t;
  function automatic range_t range_of(int unsigned word);
    unique case (word)
      HeaderMagic:     range_of = '{ProgramMagic, ProgramMagic};
      HeaderVersion:   range_of = '{IsaVersion, IsaVersion};
      HeaderLanes:     range_of = '{Lanes, Lanes};
      HeaderAccBits:   range_of = '{AccBits, AccBits};
      HeaderMaxLength: range_of = '{32'd1, MaxLength};
      HeaderSentences: range_of = '{32'd1, Sentences};
      HeaderInitCount, HeaderArrayCount, HeaderVectorCount, HeaderStreamCount: range_of = '{32'd0, ProgDepth};
      default: begin
        range_of = '{32'd0, '1};
        for (int unsigned n = 0; n < 13; n++) begin
          if (word == HeaderWeightDepth + n) range_of = '{32'd1, Depths[n]};
        end
      end
    endcase
  endfunction

  // The header: each word is registered with its range, then compared.
  logic header_q, bad_magic_q, bad_version_q, bad_parameter_q, too_many_q;
  logic [3:0] count_q, number_q;  // beats so far; the number of the beat in beat_q
  range_t [1:0] range_q;
  logic [1:0] bad;
  logic [LengthBits-1:0] max_length_q;
  logic [1:0] sentences_q;
  logic [3:0][NumberBits-1:0] counts_q;
  logic [1:0][NumberBits-1:0] sums_q;
  logic [TotalBits-1:0] total_q;
  for (genvar half = 0; half < 2; half++) begin : gen_bad
    assign bad[half] = beat_q[32*half+:32] < range_q[half].least || beat_q[32*half+:32] > range_q[half].most;
  end
  always_ff @(posedge clk_i) begin
    header_q <= accepted && state_q == Header;
    number_q <= count_q;
    for (int unsigned half = 0; half < 2; half++) range_q[half] <= range_of(2 * 32'(count_q) + half);
    if (header_q) begin
      for (int unsigned half = 0; half < 2; half++) begin
        automatic int unsigned word = 2 * 32'(number_q) + half;
        automatic logic [31:0] value = beat_q[32*half+:32];
        if (word == HeaderMagic) bad_magic_q <= bad[half];
        else if (word == HeaderVersion) bad_version_q <= bad[half];
        else if (bad[half] || (word == HeaderIndexDepth && value[0])) bad_parameter_q <= 1'b1;
        if (word == HeaderMaxLength) max_length_q <= LengthBits'(value);
        if (word == HeaderSentences) sentences_q <= 2'(value);
        if (word >= HeaderInitCount && word <= HeaderStreamCount) begin
          counts_q[2'(word - HeaderInitCount)] <= NumberBits'(value);
        end
        if (word == HeaderImageCrc) image_crc_q <= value;
      end
    end
    if (starts_o) bad_parameter_q <= 1'b0;
    // The counts are among the words before the last ones, so these sums are ready when the header ends.
    sums_q[0]  <= counts_q[0] + counts_q[1];
    sums_q[1]  <= sums_q[0] + counts_q[2];
    total_q    <= TotalBits'(counts_q[0]) + TotalBits'(counts_q[1]) + TotalBits'(counts_q[2]) + TotalBits'(counts_q[3]);
    too_many_q <= 32'(total_q) > ProgDepth;
  end

  // The instructions: the word is complete one cycle after its last beat.
  logic [6:0][63:0] body_q;
  logic [ProgBits-1:0] written_q;
  logic [TotalBits-1:0] left_q;
  logic word_q, last_q;
  assign prog_we_o   = word_q;
  assign prog_addr_o = written_q;
  assign prog_o      = {beat_q, body_q};
  always_ff @(posedge clk_i) begin
    word_q <= accepted && state_q == Body && count_q[2:0] == 3'd7;
    last_q <= left_q == TotalBits'(1);
    if (accepted && count_q[2:0] != 3'd7) body_q[count_q[2:0]] <= in_data_i;
    if (starts_o) written_q <= '0;
    else if (word_q) written_q <= written_q + 1'b1;
    if (state_q == Judge) left_q <= total_q;
    else if (accepted && count_q[2:0] == 3'd7) left_q <= left_q - 1'b1;
  end

  // The lists. Order in PROGRAM: init, array, vector, stream.
  always_comb begin
    bases_o[0]  = counts_q[0];
    bases_o[1]  = sums_q[0];
    bases_o[2]  = is_init_q ? '0 : sums_q[1];
    counts_o[0] = is_init_q ? '0 : counts_q[1];
    counts_o[1] = is_init_q ? '0 : counts_q[2];
    counts_o[2] = is_init_q ? counts_q[0] : counts_q[3];
  end

  // The registers of the host when the command started, and whether they are valid for a RUN.
  logic bad_command_q, bad_length_q, length_ok;
  logic [2:0] wide_q;  // SENTENCES or a LENGTH has more bits than are kept
  logic [1:0] run_sentences_q;
  logic [1:0][LengthBits-1:0] run_lengths_q;
  assign sentences_o = run_sentences_q;
  assign lengths_o   = run_lengths_q;
  always_comb begin
    length_ok = !wide_q[2] && run_sentences_q != 0 && run_sentences_q <= sentences_q;
    for (int unsigned n = 0; n < Sentences; n++) begin
      if (n < 32'(run_sentences_q) &&
          (wide_q[n] || run_lengths_q[n] == 0 || run_lengths_q[n] > max_length_q)) length_ok = 1'b0;
    end
  end
  always_ff @(posedge clk_i) begin
    bad_length_q <= !length_ok;
    if (starts_o) begin
      is_program_q    <= command_i == 3'(CommandProgram);
      is_init_q       <= command_i == 3'(CommandInit);
      bad_command_q   <= !(command_i == 3'(CommandProgram) || (command_i == 3'(CommandInit) && has_program_q) ||
                           (command_i == 3'(CommandRun) && has_image_q));
      run_timeout_q   <= timeout_i;
      run_sentences_q <= 2'(sentences_i);
      wide_q[2]       <= sentences_i[31:2] != '0;
      for (int unsigned n = 0; n < Sentences; n++) begin
        run_lengths_q[n] <= LengthBits'(lengths_i[n]);
        wide_q[n]        <= lengths_i[n][31:LengthBits] != '0;
      end
    end
  end

  // The units: their first fault, whether they have finished, and what the first one that has not waits for.
  fault_t fault_q;
  logic [1:0] fault_unit_q;
  logic [2:0] finished_q, waits_q;
  logic all_finished, stuck;
  logic [3:0] stuck_q;
  logic [31:0] stuck_where_q;
  function automatic logic [31:0] place_of(logic [1:0] unit, logic [NumberBits-1:0] number);
    return {1'b1, 13'd0, unit, 16'(number)};
  endfunction
  assign all_finished = finished_q == '1;
  assign stuck        = state_q == Exec && !all_finished && (finished_q | waits_q) == '1;
  always_ff @(posedge clk_i) begin
    fault_q <= '{1'b0, ErrorNone, '0};
    for (int n = 2; n >= 0; n--) begin
      finished_q[n] <= retired_i[n] == counts_o[n];
      if (run_q && faults_i[n].valid) begin
        fault_q      <= faults_i[n];
        fault_unit_q <= 2'(n);
      end
      if (!finished_q[n]) stuck_where_q <= place_of(2'(n), retired_i[n]);
    end
    waits_q <= waits_i;
    stuck_q <= stuck ? stuck_q + 4'(stuck_q != '1) : '0;
  end

  // The error of this cycle, if any.
  error_e found;
  logic [31:0] found_where;
  always_comb begin
    found       = ErrorNone;
    found_where = '0;
    unique case (state_q)
      Check: if (settled_q) begin
        if (bad_command_q) found = ErrorCommand;
        else if (!is_program_q && !is_init_q && bad_length_q) found = ErrorLength;
      end
      Judge: if (settled_q) begin
        if (bad_magic_q) found = ErrorMagic;
        else if (bad_version_q) found = ErrorVersion;
        else if (bad_parameter_q || too_many_q) found = ErrorParameter;
      end
      Header, Body, Tail: begin
        if (ended_q) found = ErrorTruncated;
        else if (timeout_q) found = ErrorTimeout;
      end
      Seal: if (settled_q) begin
        if (!ended_q) found = ErrorOverrun;
        else if (bad_tail_q) found = ErrorProgramCrc;
      end
      Exec: begin
        if (fault_q.valid) begin
          found       = fault_q.code;
          found_where = place_of(fault_unit_q, fault_q.number);
        end else if (stuck_q == '1) begin
          found       = ErrorDeadlock;
          found_where = stuck_where_q;
        end else if (all_finished) begin
          if (!ended_q) found = ErrorOverrun;
          else if (is_init_q && bad_image_q) found = ErrorImageCrc;
        end
      end
      default: ;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (accepted && in_last_i) ended_q <= 1'b1;
    if (accepted) count_q <= count_q + 4'd1;
    settled_q <= (state_q == Check || state_q == Judge || state_q == Seal) && !settled_q;
    ends_q    <= found != ErrorNone;

    unique case (state_q)
      Idle: if (start_i) begin
        state_q <= Check;
        done_q  <= 1'b0;
        ended_q <= 1'b0;
        count_q <= '0;
        if (command_i == 3'(CommandProgram)) begin
          has_program_q <= 1'b0;
          has_image_q   <= 1'b0;
        end
      end
      Check: if (settled_q) begin
        state_q <= is_program_q ? Header : Exec;
        run_q   <= !is_program_q;
        if (is_init_q) has_image_q <= 1'b0;
      end
      Header: if (accepted && count_q == 4'd15) state_q <= Judge;
      Judge: if (settled_q) state_q <= total_q == 0 ? Tail : Body;
      Body: if (accepted && count_q[2:0] == 3'd7 && last_q) state_q <= Tail;
      Tail: if (accepted) state_q <= Seal;
      Seal: if (settled_q) begin
        state_q       <= Idle;
        done_q        <= 1'b1;
        ends_q        <= 1'b1;
        has_program_q <= 1'b1;
      end
      Exec: if (all_finished) state_q <= Flush;
      Flush: if (!sending_i) begin
        state_q <= Idle;
        done_q  <= 1'b1;
        ends_q  <= 1'b1;
        run_q   <= 1'b0;
        if (is_init_q) has_image_q <= 1'b1;
      end
      Clear: begin
        // A clear that drops nothing while no command is executed has no effect.
        if (discards_i) done_q <= 1'b0;
        if (!sending_i && !discards_i) state_q <= Idle;
      end
      default: ;
    endcase

    if (found != ErrorNone) begin
      state_q       <= Failed;
      done_q        <= 1'b0;
      code_q        <= 8'(found);
      where_q       <= found_where;
      run_q         <= 1'b0;
      if (is_program_q) has_program_q <= 1'b0;
    end
    if (clear_i) begin
      state_q <= Clear;
      code_q  <= '0;
      where_q <= '0;
      run_q   <= 1'b0;
    end
    if (!rst_ni) begin
      state_q       <= Idle;
      has_program_q <= 1'b0;
      has_image_q   <= 1'b0;
      done_q        <= 1'b0;
      ends_q        <= 1'b0;
      code_q        <= '0;
      where_q       <= '0;
      run_q         <= 1'b0;
      ended_q       <= 1'b0;
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) run_q == (state_q == Exec || state_q == Flush))
  else $error("ng_command: the units run outside a command, or not in one");
  assert property (@(posedge clk_i) disable iff (!rst_ni) (code_q != '0) == (state_q == Failed))
  else $error("ng_command: error state and error code disagree");
  assert property (@(posedge clk_i) disable iff (!rst_ni) prog_we_o |-> 32'(written_q) < ProgDepth)
  else $error("ng_command: an instruction outside PROGRAM memory");
  assert property (@(posedge clk_i) disable iff (!rst_ni) has_image_q |-> has_program_q)
  else $error("ng_command: an image without a program");
  for (genvar n = 0; n < 3; n++) begin : gen_assert
    assert property (@(posedge clk_i) disable iff (!rst_ni || !run_q) retired_i[n] <= counts_o[n])
    else $error("ng_command: a unit retired more instructions than its list has");
  end
`endif
endmodule
