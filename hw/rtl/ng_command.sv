// Executes the commands PROGRAM, INIT and RUN.
//
// Reads and checks a program, releases the units from reset, detects deadlocks, collects faults, checks both CRCs, and
// drops the rest of a packet after an error. Keeps SENTENCES, LENGTH and TIMEOUT as they were when the command started.
// Limits: instructions are executed by the units; the registers that the host writes are in ng_regs.
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
  // Input beats.
  input  logic                              in_valid_i,
  output logic                              in_ready_o,
  input  logic [63:0]                       in_data_i,
  input  logic                              in_last_i,
  output logic                              ended_o,
  // PROGRAM memory.
  output logic                              prog_we_o,
  output logic [ProgBits-1:0]               prog_addr_o,
  output logic [ng_isa_pkg::InstructionBits-1:0] prog_o,
  // Units.
  output logic                              run_o,      // the units run; 0 resets them
  output logic                              init_o,
  output logic [1:0]                        sentences_o,
  output logic [1:0][ng_pkg::LengthBits-1:0] lengths_o,
  output logic [31:0]                       timeout_o,
  output logic [2:0][ng_pkg::NumberBits-1:0] bases_o,
  output logic [2:0][ng_pkg::NumberBits-1:0] counts_o,
  input  ng_pkg::retired_t                  retired_i,
  input  logic [2:0]                        waits_i,
  input  ng_pkg::fault_t [2:0]              faults_i,
  input  logic                              unit_ready_i, // the stream unit accepts a beat
  output logic                              flush_o,
  input  logic                              flushed_i
);
  import ng_isa_pkg::*;
  import ng_pkg::*;

  typedef enum logic [3:0] {Idle, Header, Judge, Body, Tail, Exec, Flush, Drop, Failed} state_e;
  state_e state_q;

  logic has_program_q, has_image_q, is_init_q, done_q, error_q, ended_q, run_q;
  logic [7:0] code_q;
  logic [31:0] where_q, crc_q, image_crc_q, idle_q;
  // The host may write its registers at any time; a command uses the values from its start.
  logic [31:0] run_timeout_q;
  logic [1:0] run_sentences_q;
  logic [1:0][LengthBits-1:0] run_lengths_q;
  logic [LengthBits-1:0] max_length_q;
  logic [1:0] sentences_q;
  logic [3:0][NumberBits-1:0] counts_q;
  logic bad_magic_q, bad_version_q, bad_parameter_q;
  logic [3:0] beat_q;
  logic [6:0][63:0] body_q;
  logic [NumberBits+1:0] total;
  logic [NumberBits-1:0] written_q;
  logic accepted, timeout;

  assign in_ready_o = state_q == Header || state_q == Body || state_q == Tail || state_q == Drop ||
                      (state_q == Exec && run_q && unit_ready_i);
  assign accepted   = in_valid_i && in_ready_o;
  assign total      = (NumberBits + 2)'(counts_q[0]) + (NumberBits + 2)'(counts_q[1]) +
                      (NumberBits + 2)'(counts_q[2]) + (NumberBits + 2)'(counts_q[3]);
  assign timeout    = run_timeout_q != 0 && idle_q >= run_timeout_q;

  assign idle_o    = state_q == Idle;
  assign done_o    = done_q;
  assign error_o   = error_q;
  assign code_o    = code_q;
  assign where_o   = where_q;
  assign ended_o   = ended_q;
  assign starts_o  = state_q == Idle && start_i;
  assign works_o   = state_q != Idle && state_q != Drop && state_q != Failed;
  assign run_o     = run_q;
  assign init_o    = is_init_q;
  assign sentences_o = run_sentences_q;
  assign lengths_o = run_lengths_q;
  assign timeout_o = run_timeout_q;
  assign flush_o   = state_q == Flush;

  // Order of the lists in PROGRAM: init, array, vector, stream.
  always_comb begin
    bases_o[0]  = counts_q[0];
    bases_o[1]  = counts_q[0] + counts_q[1];
    bases_o[2]  = is_init_q ? '0 : counts_q[0] + counts_q[1] + counts_q[2];
    counts_o[0] = is_init_q ? '0 : counts_q[1];
    counts_o[1] = is_init_q ? '0 : counts_q[2];
    counts_o[2] = is_init_q ? counts_q[0] : counts_q[3];
  end

  logic [2:0] finished;
  logic all_finished, stuck;
  logic [3:0] stuck_q;
  for (genvar n = 0; n < 3; n++) begin : gen_finished
    assign finished[n] = retired_i[n] == counts_o[n];
  end
  assign all_finished = finished == '1;
  assign stuck = !all_finished && (finished | waits_i) == '1;

  assign prog_we_o   = state_q == Body && accepted && beat_q[2:0] == 3'd7;
  assign prog_addr_o = ProgBits'(written_q);
  assign prog_o      = {in_data_i, body_q};

  // Whether a word of the header has a valid value.
  function automatic logic parameter_ok(int unsigned word, logic [31:0] value);
    if (word == HeaderLanes) return value == Lanes;  // uncovered: Verilator does not count a branch that returns
    if (word == HeaderAccBits) return value == AccBits;  // uncovered: Verilator does not count a branch that returns
    if (word >= HeaderWeightDepth && word <= HeaderProgramDepth) begin  // uncovered: Verilator does not count a branch that returns
      return value != 0 && value <= Depths[4'(word - HeaderWeightDepth)] &&
             (word != HeaderIndexDepth || !value[0]);
    end
    if (word == HeaderMaxLength) return value != 0 && value <= MaxLength;  // uncovered: Verilator does not count a branch that returns
    if (word == HeaderSentences) return value != 0 && value <= Sentences;  // uncovered: Verilator does not count a branch that returns
    if (word >= HeaderInitCount && word <= HeaderStreamCount) return value <= ProgDepth;  // uncovered: Verilator does not count a branch that returns
    return 1'b1;
  endfunction

  logic length_ok;
  always_comb begin
    length_ok = sentences_i != 0 && sentences_i <= 32'(sentences_q);
    for (int unsigned n = 0; n < Sentences; n++) begin
      if (n < sentences_i && (lengths_i[n] == 0 || lengths_i[n] > 32'(max_length_q))) length_ok = 1'b0;
    end
  end

  // The error of this cycle, if any.
  error_e found;
  logic [31:0] found_where;
  always_comb begin
    found       = ErrorNone;
    found_where = '0;
    unique case (state_q)
      Idle: if (start_i) begin
        if (command_i == 0 || command_i > 3'd3 || (command_i == 3'(CommandInit) && !has_program_q) ||
            (command_i == 3'(CommandRun) && !has_image_q)) found = ErrorCommand;
        else if (command_i == 3'(CommandRun) && !length_ok) found = ErrorLength;
      end
      Header: begin
        if (accepted && in_last_i && beat_q != 4'd15) found = ErrorTruncated;
        else if (timeout) found = ErrorTimeout;
      end
      Judge: begin
        if (bad_magic_q) found = ErrorMagic;
        else if (bad_version_q) found = ErrorVersion;
        else if (bad_parameter_q || 32'(total) > ProgDepth) found = ErrorParameter;
        else if (ended_q) found = ErrorTruncated;
      end
      Body: begin
        if (accepted && in_last_i) found = ErrorTruncated;
        else if (timeout) found = ErrorTimeout;
      end
      Tail: begin
        if (accepted && !in_last_i) found = ErrorOverrun;
        else if (accepted && in_data_i != {32'd0, ~crc_q}) found = ErrorProgramCrc;
        else if (timeout) found = ErrorTimeout;
      end
      Exec: if (run_q) begin
        for (int n = 2; n >= 0; n--) begin
          if (faults_i[n].valid) begin
            found       = faults_i[n].code;
            found_where = {1'b1, 13'd0, 2'(n), 16'(faults_i[n].number)};
          end
        end
        if (found == ErrorNone && stuck_q == '1) begin
          found = ErrorDeadlock;
          for (int n = 2; n >= 0; n--) begin
            if (!finished[n]) found_where = {1'b1, 13'd0, 2'(n), 16'(retired_i[n])};
          end
        end
        if (found == ErrorNone && all_finished) begin
          if (!ended_q) found = ErrorOverrun;
          else if (is_init_q && ~crc_q != image_crc_q) found = ErrorImageCrc;
        end
      end
      default: ;
    endcase
  end

  assign ends_o = found != ErrorNone || (state_q == Tail && accepted) || (state_q == Flush && flushed_i);

  always_ff @(posedge clk_i) begin
    if (accepted) begin
      crc_q <= crc_step(crc_q, in_data_i);
      if (in_last_i) ended_q <= 1'b1;
    end
    idle_q  <= in_ready_o && !in_valid_i ? idle_q + 32'd1 : '0;
    stuck_q <= state_q == Exec && run_q && stuck ? stuck_q + 4'(stuck_q != '1) : '0;

    unique case (state_q)
      Idle: if (start_i) begin
        done_q          <= 1'b0;
        ended_q         <= 1'b0;
        crc_q           <= '1;
        beat_q          <= '0;
        written_q       <= '0;
        bad_magic_q     <= 1'b0;
        bad_version_q   <= 1'b0;
        bad_parameter_q <= 1'b0;
        is_init_q       <= command_i == 3'(CommandInit);
        run_timeout_q   <= timeout_i;
        run_sentences_q <= 2'(sentences_i);
        for (int unsigned n = 0; n < Sentences; n++) run_lengths_q[n] <= LengthBits'(lengths_i[n]);
        if (command_i == 3'(CommandProgram)) begin
          state_q       <= Header;
          has_program_q <= 1'b0;
          has_image_q   <= 1'b0;
        end else begin
          state_q <= Exec;
        end
      end
      Header: if (accepted) begin
        beat_q <= beat_q + 4'd1;
        for (int unsigned half = 0; half < 2; half++) begin
          automatic int unsigned word = 2 * 32'(beat_q) + half;
          automatic logic [31:0] value = in_data_i[32*half+:32];
          if (word == HeaderMagic && value != ProgramMagic) bad_magic_q <= 1'b1;
          if (word == HeaderVersion && value != IsaVersion) bad_version_q <= 1'b1;
          if (!parameter_ok(word, value)) bad_parameter_q <= 1'b1;
          if (word == HeaderMaxLength) max_length_q <= LengthBits'(value);
          if (word == HeaderSentences) sentences_q <= 2'(value);
          if (word >= HeaderInitCount && word <= HeaderStreamCount) begin
            counts_q[2'(word - HeaderInitCount)] <= NumberBits'(value);
          end
          if (word == HeaderImageCrc) image_crc_q <= value;
        end
        if (beat_q == 4'd15) state_q <= Judge;
      end
      Judge: begin
        beat_q  <= '0;
        state_q <= total == 0 ? Tail : Body;
      end
      Body: if (accepted) begin
        beat_q <= {1'b0, beat_q[2:0] + 3'd1};
        if (beat_q[2:0] != 3'd7) body_q[beat_q[2:0]] <= in_data_i;
        else begin
          written_q <= written_q + 1'b1;
          if ((NumberBits + 2)'(written_q) + 1'b1 == total) state_q <= Tail;
        end
      end
      Tail: if (accepted) begin
        state_q       <= Idle;
        done_q        <= 1'b1;
        has_program_q <= 1'b1;
      end
      Exec: begin
        run_q <= 1'b1;
        if (run_q && is_init_q) has_image_q <= 1'b0;
        if (run_q && all_finished) state_q <= Flush;
      end
      Flush: if (flushed_i) begin
        state_q <= Idle;
        done_q  <= 1'b1;
        run_q   <= 1'b0;
        if (is_init_q) has_image_q <= 1'b1;
      end
      Drop: if (accepted && in_last_i) state_q <= Failed;
      default: ;
    endcase

    if (found != ErrorNone) begin
      state_q <= (ended_q && state_q != Idle) || (accepted && in_last_i) ? Failed : Drop;
      done_q  <= 1'b0;
      error_q <= 1'b1;
      code_q  <= 8'(found);
      where_q <= found_where;
      run_q   <= 1'b0;
      has_program_q <= has_program_q && !(state_q == Idle && command_i == 3'(CommandProgram));
    end
    if (clear_i && state_q != Idle) begin
      state_q <= Idle;
      error_q <= 1'b0;
      code_q  <= '0;
      where_q <= '0;
      run_q   <= 1'b0;
    end
    if (!rst_ni) begin
      state_q       <= Idle;
      has_program_q <= 1'b0;
      has_image_q   <= 1'b0;
      done_q        <= 1'b0;
      error_q       <= 1'b0;
      code_q        <= '0;
      where_q       <= '0;
      run_q         <= 1'b0;
      ended_q       <= 1'b0;
    end
  end

`ifndef SYNTHESIS
  assert property (@(posedge clk_i) disable iff (!rst_ni) run_q |-> state_q == Exec || state_q == Flush)
  else $error("ng_command: the units run outside a command");
  assert property (@(posedge clk_i) disable iff (!rst_ni) error_q == (state_q == Drop || state_q == Failed))
  else $error("ng_command: error state and error code disagree");
  assert property (@(posedge clk_i) disable iff (!rst_ni) !(error_q && done_q))
  else $error("ng_command: done despite an error");
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
