// Generated from hw/isa by `python -m narrowgauge.hw.isa.generate`. Do not edit.

// A design does not use every constant, and a check does not read every field.
// verilator lint_off UNUSEDPARAM
// verilator lint_off UNUSEDSIGNAL
package ng_isa_pkg;

  // Version of the instruction set.
  parameter int unsigned IsaVersion = 1;
  // Value of the register ID.
  parameter int unsigned EngineId = 32'h4347544E;
  // Bits 63:32 of a closing beat.
  parameter int unsigned ClosingMagic = 32'h4E474552;
  // First word of a program.
  parameter int unsigned ProgramMagic = 32'h5047474E;
  // Bits of an instruction.
  parameter int unsigned InstructionBits = 512;
  // Bits of an opcode, the lowest bits of an instruction.
  parameter int unsigned OpcodeBits = 3;
  // Bits of a beat of the streams.
  parameter int unsigned BeatBits = 64;
  // Bits of an accumulator.
  parameter int unsigned AccBits = 32;
  // Maximum number of sentences in a run.
  parameter int unsigned Sentences = 2;
  // Maximum number of tokens in a sentence.
  parameter int unsigned MaxLength = 512;
  // Columns of a word of INDEX, 16 bits each.
  parameter int unsigned IndexColumns = 8;
  // Bits of a lane's sum in STAT.
  parameter int unsigned StatSumBits = 26;
  // Bits of a lane's sum of squares in STAT.
  parameter int unsigned StatSquareBits = 41;
  // Bits of a lane's maximum in STAT.
  parameter int unsigned StatMaxBits = 8;
  // Bits of the count in STAT.
  parameter int unsigned StatCountBits = 11;
  // Bits of an address in WEIGHT.
  parameter int unsigned WeightAddressBits = 22;
  // Bits of an address in the other memories.
  parameter int unsigned AddressBits = 20;
  // Bits of a stride.
  parameter int unsigned StrideBits = 16;
  // Bits of a wait.
  parameter int unsigned WaitBits = 13;
  // Bits of the address of a word of STAT.
  parameter int unsigned SlotBits = 6;
  // Words of 32 bits in the header of a program.
  parameter int unsigned HeaderWords = 32;
  // Lists of a program.
  parameter int unsigned Lists = 4;
  // Cycle counters.
  parameter int unsigned Counters = 10;

  typedef enum logic [1:0] {
    UnitArray = 2'd0,
    UnitVector = 2'd1,
    UnitStream = 2'd2
  } unit_e;

  typedef enum logic [3:0] {
    MemoryWeight = 4'd0,
    MemoryKv = 4'd1,
    MemoryAct = 4'd2,
    MemoryVector = 4'd3,
    MemoryScore = 4'd4,
    MemoryWide = 4'd5,
    MemoryStat = 4'd6,
    MemoryBias = 4'd7,
    MemoryNorm = 4'd8,
    MemoryTable = 4'd9,
    MemoryExp = 4'd10,
    MemoryIndex = 4'd11,
    MemoryProgram = 4'd12
  } memory_e;

  typedef enum logic [2:0] {
    OpcodeContract = 3'd1,
    OpcodeSoftmax = 3'd2,
    OpcodeLayernorm = 3'd3,
    OpcodeLoad = 3'd4,
    OpcodeStore = 3'd5
  } opcode_e;

  typedef enum logic [2:0] {
    SpaceWeight = 3'd0,
    SpaceKv = 3'd1,
    SpaceAct = 3'd2,
    SpaceVector = 3'd3,
    SpaceScore = 3'd4,
    SpaceWide = 3'd5,
    SpaceIdentity = 3'd6,
    SpaceNone = 3'd7
  } space_e;

  typedef enum logic [1:0] {
    CountConst = 2'd0,
    CountLength = 2'd1,
    CountTokens = 2'd2,
    CountBlocks = 2'd3
  } count_e;

  typedef enum logic [1:0] {
    IndexedNone = 2'd0,
    IndexedLoop0 = 2'd1,
    IndexedLoopk = 2'd2
  } indexed_e;

  typedef enum logic [1:0] {
    StatNone = 2'd0,
    StatSums = 2'd1,
    StatMax = 2'd2
  } stat_e;

  typedef enum logic [3:0] {
    ErrorNone = 4'd0,
    ErrorMagic = 4'd1,
    ErrorVersion = 4'd2,
    ErrorParameter = 4'd3,
    ErrorProgramCrc = 4'd4,
    ErrorCommand = 4'd5,
    ErrorLength = 4'd6,
    ErrorField = 4'd7,
    ErrorAddress = 4'd8,
    ErrorStat = 4'd9,
    ErrorDeadlock = 4'd10,
    ErrorTruncated = 4'd11,
    ErrorOverrun = 4'd12,
    ErrorImageCrc = 4'd13,
    ErrorTimeout = 4'd14
  } error_e;

  typedef enum logic [1:0] {
    CommandProgram = 2'd1,
    CommandInit = 2'd2,
    CommandRun = 2'd3
  } command_e;

  // The next three functions are evaluated at elaboration, so they have no coverage.
  // verilator coverage_off
  // Bits of a word of a memory in an engine with `lanes` lanes.
  function automatic int unsigned word_bits(memory_e memory, int unsigned lanes);
    unique case (memory)
      MemoryWeight: return 8 * lanes + 0;
      MemoryKv: return 8 * lanes + 0;
      MemoryAct: return 8 * lanes + 0;
      MemoryVector: return 8 * lanes + 0;
      MemoryScore: return 8 * lanes + 0;
      MemoryWide: return 16 * lanes + 0;
      MemoryStat: return 75 * lanes + 13;
      MemoryBias: return 0 * lanes + 32;
      MemoryNorm: return 0 * lanes + 44;
      MemoryTable: return 0 * lanes + 8;
      MemoryExp: return 0 * lanes + 15;
      MemoryIndex: return 0 * lanes + 128;
      MemoryProgram: return 0 * lanes + 512;
      default: return 0;
    endcase
  endfunction

  // Beats of a word on a stream: lane 0 in the low bits of the first beat, the last beat zero-padded.
  function automatic int unsigned beats(memory_e memory, int unsigned lanes);
    return (word_bits(memory, lanes) + BeatBits - 1) / BeatBits;
  endfunction

  // Maximum number of words of a memory.
  function automatic int unsigned max_depth(memory_e memory);
    unique case (memory)
      MemoryWeight: return 4194304;
      MemoryKv: return 1048576;
      MemoryAct: return 1048576;
      MemoryVector: return 1048576;
      MemoryScore: return 1048576;
      MemoryWide: return 1048576;
      MemoryStat: return 64;
      MemoryBias: return 1048576;
      MemoryNorm: return 1048576;
      MemoryTable: return 8192;
      MemoryExp: return 8192;
      MemoryIndex: return 1024;
      MemoryProgram: return 8192;
      default: return 0;
    endcase
  endfunction
  // verilator coverage_on

  // Words of the header of a program.
  parameter int unsigned HeaderMagic = 0;
  parameter int unsigned HeaderVersion = 1;
  parameter int unsigned HeaderLanes = 2;
  parameter int unsigned HeaderAccBits = 3;
  parameter int unsigned HeaderWeightDepth = 4;
  parameter int unsigned HeaderKvDepth = 5;
  parameter int unsigned HeaderActDepth = 6;
  parameter int unsigned HeaderVectorDepth = 7;
  parameter int unsigned HeaderScoreDepth = 8;
  parameter int unsigned HeaderWideDepth = 9;
  parameter int unsigned HeaderStatDepth = 10;
  parameter int unsigned HeaderBiasDepth = 11;
  parameter int unsigned HeaderNormDepth = 12;
  parameter int unsigned HeaderTableDepth = 13;
  parameter int unsigned HeaderExpDepth = 14;
  parameter int unsigned HeaderIndexDepth = 15;
  parameter int unsigned HeaderProgramDepth = 16;
  parameter int unsigned HeaderMaxLength = 17;
  parameter int unsigned HeaderSentences = 18;
  parameter int unsigned HeaderInitCount = 19;
  parameter int unsigned HeaderArrayCount = 20;
  parameter int unsigned HeaderVectorCount = 21;
  parameter int unsigned HeaderStreamCount = 22;
  parameter int unsigned HeaderImageCrc = 23;
  parameter int unsigned HeaderReserved0 = 24;
  parameter int unsigned HeaderReserved1 = 25;
  parameter int unsigned HeaderReserved2 = 26;
  parameter int unsigned HeaderReserved3 = 27;
  parameter int unsigned HeaderReserved4 = 28;
  parameter int unsigned HeaderReserved5 = 29;
  parameter int unsigned HeaderReserved6 = 30;
  parameter int unsigned HeaderReserved7 = 31;

  // Byte addresses of the registers.
  parameter logic [7:0] RegId = 8'h00;  // ro
  parameter logic [7:0] RegVersion = 8'h04;  // ro
  parameter logic [7:0] RegControl = 8'h08;  // wo
  parameter logic [7:0] RegStatus = 8'h0C;  // ro
  parameter logic [7:0] RegErrorWhere = 8'h10;  // ro
  parameter logic [7:0] RegInterruptEnable = 8'h14;  // rw
  parameter logic [7:0] RegInterrupt = 8'h18;  // rw
  parameter logic [7:0] RegTimeout = 8'h1C;  // rw
  parameter logic [7:0] RegSentences = 8'h20;  // rw
  parameter logic [7:0] RegLength0 = 8'h24;  // rw
  parameter logic [7:0] RegLength1 = 8'h28;  // rw
  parameter logic [7:0] RegLanes = 8'h40;  // ro
  parameter logic [7:0] RegAccBits = 8'h44;  // ro
  parameter logic [7:0] RegWeightDepth = 8'h48;  // ro
  parameter logic [7:0] RegKvDepth = 8'h4C;  // ro
  parameter logic [7:0] RegActDepth = 8'h50;  // ro
  parameter logic [7:0] RegVectorDepth = 8'h54;  // ro
  parameter logic [7:0] RegScoreDepth = 8'h58;  // ro
  parameter logic [7:0] RegWideDepth = 8'h5C;  // ro
  parameter logic [7:0] RegStatDepth = 8'h60;  // ro
  parameter logic [7:0] RegBiasDepth = 8'h64;  // ro
  parameter logic [7:0] RegNormDepth = 8'h68;  // ro
  parameter logic [7:0] RegTableDepth = 8'h6C;  // ro
  parameter logic [7:0] RegExpDepth = 8'h70;  // ro
  parameter logic [7:0] RegIndexDepth = 8'h74;  // ro
  parameter logic [7:0] RegProgramDepth = 8'h78;  // ro
  parameter logic [7:0] RegCycles = 8'h80;  // ro
  parameter logic [7:0] RegArrayBusy = 8'h84;  // ro
  parameter logic [7:0] RegArrayWait = 8'h88;  // ro
  parameter logic [7:0] RegArrayDrain = 8'h8C;  // ro
  parameter logic [7:0] RegArrayStall = 8'h90;  // ro
  parameter logic [7:0] RegVectorBusy = 8'h94;  // ro
  parameter logic [7:0] RegVectorWait = 8'h98;  // ro
  parameter logic [7:0] RegStreamBusy = 8'h9C;  // ro
  parameter logic [7:0] RegStreamWait = 8'hA0;  // ro
  parameter logic [7:0] RegStreamStall = 8'hA4;  // ro

  typedef struct packed {
    logic [511:510] reserved;
    // 509:504: word of STAT that is written
    logic [5:0] stat_slot;
    // 503:502: statistic of the drained words: NONE, SUMS, MAX
    logic [1:0] stat;
    // 501:497: number of the table
    logic [4:0] table_id;
    // 496: replace the result by an entry of a table
    logic has_table;
    // 495: saturate to the unsigned range
    logic is_unsigned;
    // 494:490: bits of the result: 2 to 16
    logic [4:0] bits;
    // 489:484: right shift with rounding; a left shift if negative: -31 to 31
    logic signed [5:0] shift;
    // 483:479: left shift of the residual
    logic [4:0] residual_shift;
    // 478:457: address of the residual; its strides are the target's
    logic [21:0] residual_base;
    // 456:454: location of the residual: NONE, VECTOR, WEIGHT, WIDE
    logic [2:0] residual_space;
    // 453:449: left shift of the accumulator and bias, before the residual is added
    logic [4:0] acc_shift;
    // 448:429: address of the bias
    logic [19:0] bias_base;
    // 428: add a bias
    logic bias;
    // 427:412: stride of the target for the words of a tile
    logic [15:0] c_stridew;
    // 411:396: stride of the target for loop 2
    logic [15:0] c_stride2;
    // 395:380: stride of the target for loop 1
    logic [15:0] c_stride1;
    // 379:364: stride of the target for loop 0
    logic [15:0] c_stride0;
    // 363:344: address of the target
    logic [19:0] c_base;
    // 343:341: location of the target: ACT, KV, SCORE, WIDE
    logic [2:0] c_space;
    // 340:339: source of the number of words: CONST, LENGTH, TOKENS
    logic [1:0] rows_source;
    // 338:327: words to drain over all of loop 2 if `rows_source` is CONST
    logic [11:0] rows;
    // 326: drain the tile by columns (a word has the lanes of A), not by rows (lanes of B)
    logic columns;
    // 325: lanes of B are unsigned
    logic b_unsigned;
    // 324:309: stride of B for the index
    logic [15:0] b_index_stride;
    // 308:306: index column of B
    logic [2:0] b_column;
    // 305:304: loop over the tokens of B's index: NONE, LOOP0, LOOPK
    logic [1:0] b_indexed;
    // 303:288: stride of B for the reduction
    logic [15:0] b_stridek;
    // 287:272: stride of B for loop 2
    logic [15:0] b_stride2;
    // 271:256: stride of B for loop 1
    logic [15:0] b_stride1;
    // 255:240: stride of B for loop 0
    logic [15:0] b_stride0;
    // 239:218: address of B
    logic [21:0] b_base;
    // 217:215: location of operand B: ACT, VECTOR, WEIGHT
    logic [2:0] b_space;
    // 214:199: stride of A for the index
    logic [15:0] a_index_stride;
    // 198:196: index column of A
    logic [2:0] a_column;
    // 195:194: loop over the tokens of A's index: NONE, LOOP0, LOOPK
    logic [1:0] a_indexed;
    // 193:178: stride of A for the reduction
    logic [15:0] a_stridek;
    // 177:162: stride of A for loop 2
    logic [15:0] a_stride2;
    // 161:146: stride of A for loop 1
    logic [15:0] a_stride1;
    // 145:130: stride of A for loop 0
    logic [15:0] a_stride0;
    // 129:108: address of A
    logic [21:0] a_base;
    // 107:105: location of operand A: WEIGHT, KV, IDENTITY
    logic [2:0] a_space;
    // 104:103: source of the count of the reduction: CONST, LENGTH, TOKENS
    logic [1:0] nk_source;
    // 102:90: count of the reduction if `nk_source` is CONST
    logic [12:0] nk;
    // 89:88: source of the count of loop 2: CONST, BLOCKS
    logic [1:0] n2_source;
    // 87:76: count of loop 2 if `n2_source` is CONST
    logic [11:0] n2;
    // 75:64: count of loop 1
    logic [11:0] n1;
    // 63:62: source of the count of loop 0: CONST, TOKENS
    logic [1:0] n0_source;
    // 61:50: count of loop 0 if `n0_source` is CONST
    logic [11:0] n0;
    // 49: leave the tile in the accumulators; the next CONTRACT continues from it
    logic keep;
    // 48:36: number of instructions that the stream unit must have retired before this one
    // starts
    logic [12:0] wait_stream;
    // 35:23: number of instructions that the vector unit must have retired before this one
    // starts
    logic [12:0] wait_vector;
    // 22:10: number of instructions that the array must have retired before this one starts
    logic [12:0] wait_array;
    // 9:4: token block; the instruction is skipped if block * N >= length or the run lacks
    // the sentence
    logic [5:0] block;
    // 3: the sentence that gives the length and the indices
    logic sentence;
    logic [2:0] opcode;
  } contract_t;

  // Whether the instruction is valid; if it is not, the error is FIELD.
  function automatic logic contract_ok(contract_t i);
    return (i.opcode == OpcodeContract) &&
           (i.reserved == '0) &&
           (i.n0_source == CountConst ||
            i.n0_source == CountTokens) &&
           (i.n2_source == CountConst ||
            i.n2_source == CountBlocks) &&
           (i.nk_source == CountConst ||
            i.nk_source == CountLength ||
            i.nk_source == CountTokens) &&
           (i.a_space == SpaceWeight ||
            i.a_space == SpaceKv ||
            i.a_space == SpaceIdentity) &&
           (i.a_indexed == IndexedNone ||
            i.a_indexed == IndexedLoop0 ||
            i.a_indexed == IndexedLoopk) &&
           (i.b_space == SpaceAct ||
            i.b_space == SpaceVector ||
            i.b_space == SpaceWeight) &&
           (i.b_indexed == IndexedNone ||
            i.b_indexed == IndexedLoop0 ||
            i.b_indexed == IndexedLoopk) &&
           (i.rows_source == CountConst ||
            i.rows_source == CountLength ||
            i.rows_source == CountTokens) &&
           (i.c_space == SpaceAct ||
            i.c_space == SpaceKv ||
            i.c_space == SpaceScore ||
            i.c_space == SpaceWide) &&
           (i.residual_space == SpaceNone ||
            i.residual_space == SpaceVector ||
            i.residual_space == SpaceWeight ||
            i.residual_space == SpaceWide) &&
           (i.shift >= -31) &&
           (i.bits >= 2) &&
           (i.bits <= 16) &&
           (i.stat == StatNone ||
            i.stat == StatSums ||
            i.stat == StatMax) &&
           (i.c_space == SpaceWide || i.bits <= 8) &&
           (i.has_table == 0 || i.bits == 8) &&
           (i.keep == 0 || (i.n0 == 1 &&
             i.n1 == 1 &&
             i.n2 == 1 &&
             i.n0_source == CountConst &&
             i.n2_source == CountConst));
  endfunction

  typedef struct packed {
    logic [511:100] reserved;
    // 99:94: word of STAT with the maxima
    logic [5:0] stat_slot;
    // 93:89: number of the exponential table
    logic [4:0] exp_id;
    // 88:69: address in VECTOR; one word per key
    logic [19:0] target;
    // 68:49: address in SCORE; one word per key
    logic [19:0] source;
    // 48:36: number of instructions that the stream unit must have retired before this one
    // starts
    logic [12:0] wait_stream;
    // 35:23: number of instructions that the vector unit must have retired before this one
    // starts
    logic [12:0] wait_vector;
    // 22:10: number of instructions that the array must have retired before this one starts
    logic [12:0] wait_array;
    // 9:4: token block; the instruction is skipped if block * N >= length or the run lacks
    // the sentence
    logic [5:0] block;
    // 3: the sentence that gives the length and the indices
    logic sentence;
    logic [2:0] opcode;
  } softmax_t;

  // Whether the instruction is valid; if it is not, the error is FIELD.
  function automatic logic softmax_ok(softmax_t i);
    return (i.opcode == OpcodeSoftmax) &&
           (i.reserved == '0);
  endfunction

  typedef struct packed {
    logic [511:147] reserved;
    // 146:141: word of STAT with the sums
    logic [5:0] stat_slot;
    // 140:137: bits of the result, signed: 2 to 8
    logic [3:0] bits;
    // 136:131: right shift with rounding; a left shift if negative: -31 to 31
    logic signed [5:0] shift;
    // 130:111: address of gamma and beta in NORM
    logic [19:0] norm_base;
    // 110:91: address in VECTOR; one word per feature
    logic [19:0] target;
    // 90:71: address in WIDE; one word per feature
    logic [19:0] source;
    // 70:60: features to normalize: 1 to 1024
    logic [10:0] count;
    // 59:49: features that the statistic covers: 1 to 1024
    logic [10:0] size;
    // 48:36: number of instructions that the stream unit must have retired before this one
    // starts
    logic [12:0] wait_stream;
    // 35:23: number of instructions that the vector unit must have retired before this one
    // starts
    logic [12:0] wait_vector;
    // 22:10: number of instructions that the array must have retired before this one starts
    logic [12:0] wait_array;
    // 9:4: token block; the instruction is skipped if block * N >= length or the run lacks
    // the sentence
    logic [5:0] block;
    // 3: the sentence that gives the length and the indices
    logic sentence;
    logic [2:0] opcode;
  } layernorm_t;

  // Whether the instruction is valid; if it is not, the error is FIELD.
  function automatic logic layernorm_ok(layernorm_t i);
    return (i.opcode == OpcodeLayernorm) &&
           (i.reserved == '0) &&
           (i.size >= 1) &&
           (i.size <= 1024) &&
           (i.count >= 1) &&
           (i.count <= 1024) &&
           (i.shift >= -31) &&
           (i.bits >= 2) &&
           (i.bits <= 8);
  endfunction

  typedef struct packed {
    logic [511:99] reserved;
    // 98:97: source of the number of words: CONST, LENGTH
    logic [1:0] count_source;
    // 96:75: words if `count_source` is CONST
    logic [21:0] count;
    // 74:53: address; in INDEX, relative to the sentence's half
    logic [21:0] base;
    // 52:49: target: WEIGHT, BIAS, NORM, TABLE, EXP, INDEX
    logic [3:0] memory;
    // 48:36: number of instructions that the stream unit must have retired before this one
    // starts
    logic [12:0] wait_stream;
    // 35:23: number of instructions that the vector unit must have retired before this one
    // starts
    logic [12:0] wait_vector;
    // 22:10: number of instructions that the array must have retired before this one starts
    logic [12:0] wait_array;
    // 9:4: token block; the instruction is skipped if block * N >= length or the run lacks
    // the sentence
    logic [5:0] block;
    // 3: the sentence that gives the length and the indices
    logic sentence;
    logic [2:0] opcode;
  } load_t;

  // Whether the instruction is valid; if it is not, the error is FIELD.
  function automatic logic load_ok(load_t i);
    return (i.opcode == OpcodeLoad) &&
           (i.reserved == '0) &&
           (i.memory == MemoryWeight ||
            i.memory == MemoryBias ||
            i.memory == MemoryNorm ||
            i.memory == MemoryTable ||
            i.memory == MemoryExp ||
            i.memory == MemoryIndex) &&
           (i.count_source == CountConst ||
            i.count_source == CountLength);
  endfunction

  typedef struct packed {
    logic [511:89] reserved;
    // 88:69: words
    logic [19:0] count;
    // 68:49: address in WIDE
    logic [19:0] base;
    // 48:36: number of instructions that the stream unit must have retired before this one
    // starts
    logic [12:0] wait_stream;
    // 35:23: number of instructions that the vector unit must have retired before this one
    // starts
    logic [12:0] wait_vector;
    // 22:10: number of instructions that the array must have retired before this one starts
    logic [12:0] wait_array;
    // 9:4: token block; the instruction is skipped if block * N >= length or the run lacks
    // the sentence
    logic [5:0] block;
    // 3: the sentence that gives the length and the indices
    logic sentence;
    logic [2:0] opcode;
  } store_t;

  // Whether the instruction is valid; if it is not, the error is FIELD.
  function automatic logic store_ok(store_t i);
    return (i.opcode == OpcodeStore) &&
           (i.reserved == '0);
  endfunction

endpackage
// verilator lint_on UNUSEDPARAM
// verilator lint_on UNUSEDSIGNAL
