// Types that the modules of the engine share and that do not depend on the number of lanes.
//
// Structs that travel along the pipelines, widths of addresses and counters, and the CRC of a beat.
// Limits: ng_isa_pkg defines the instruction set.

// Not every module uses every field and parameter.
// verilator lint_off UNUSEDPARAM
// verilator lint_off UNUSEDSIGNAL
package ng_pkg;

  // Bits of any sum of a base and the strides of all loops (WalkBits), and of that plus an index (OperandBits).
  parameter int unsigned WalkBits = 31;
  parameter int unsigned OperandBits = 33;
  // Bits of an instruction's number and of a count of instructions.
  parameter int unsigned NumberBits = 14;
  // Cycles from a read to its word: of WEIGHT, KV, ACT, VECTOR, SCORE, WIDE, BIAS and NORM; of TABLE and EXP; of INDEX.
  parameter int unsigned WordLatency = 3;
  parameter int unsigned LookupLatency = 2;
  parameter int unsigned IndexLatency = 2;
  // Cycles from the read of an operand pair to the sums with its products: operands, products and sums are registered.
  parameter int unsigned SumLatency = WordLatency + 3;
  // Bits of a length.
  parameter int unsigned LengthBits = 10;

  // What a memory is made of; shallow ones and those of a LutRam bit are in LUTs.
  typedef enum logic [1:0] {RamBlock, RamUltra, RamLuts} ram_e;

  // Instructions that each unit has retired; element 0 is the array.
  typedef logic [2:0][NumberBits-1:0] retired_t;

  // Depths of all memories, by memory_e.
  typedef logic [12:0][31:0] depths_t;

  // Waits of an instruction; element 0 counts instructions of the array.
  typedef logic [2:0][ng_isa_pkg::WaitBits-1:0] waits_t;

  // The sentence and block of an instruction.
  typedef struct packed {
    logic                  sentence;
    logic [LengthBits-1:0] first;   // number of the block's first token
    logic [LengthBits-1:0] length;
    logic [5:0]            tokens;
    logic [LengthBits-1:0] blocks;
  } place_t;

  // An instruction as a sequencer hands it to its unit.
  typedef struct packed {
    logic [ng_isa_pkg::InstructionBits-1:0] instruction;
    logic [NumberBits-1:0]                  number;   // position in the unit's list
    logic                                   ok;       // all fields are in range
    logic                                   skipped;  // its sentence or block does not exist; it only retires
    place_t                                 place;
  } issue_t;

  // A fault of a unit.
  typedef struct packed {
    logic                  valid;
    ng_isa_pkg::error_e    code;
    logic [NumberBits-1:0] number;
  } fault_t;

  // One operand pair on its way to the array.
  typedef struct packed {
    logic [NumberBits-1:0] number;
    waits_t                waits;
    logic                  begins;      // first of its instruction
    logic                  ends;        // last of its instruction
    logic                  nothing;     // the instruction has no operand and no tile
    logic                  reads;       // the operands are read from memories; otherwise both are 0
    logic                  tile_begins; // first of its tile
    logic                  fresh;       // the sum starts here
    logic                  tile_ends;   // last of a tile that is drained
    ng_isa_pkg::space_e    a_space;
    ng_isa_pkg::space_e    b_space;
    logic                  b_unsigned;
    logic [12:0]           k;           // IDENTITY: the lane that is 1
  } op_t;

  // An instruction as the feed passes it to the drain.
  typedef struct packed {
    logic [NumberBits-1:0] number;
    logic                  skipped;     // not an instruction but a number of skipped ones
    logic [NumberBits-1:0] skips;
    logic                  words;       // at least one word is drained
    logic [11:0]           n0;
    logic [11:0]           n1;
    logic [11:0]           n2;          // tiles of loop 2 that drain a word
    logic [12:0]           tail;        // words of the last of these tiles
    ng_isa_pkg::contract_t c;
  } job_t;

  // The factors of a LAYERNORM in a lane, with t of docs/numerics.md, section 8: V * 4^t, and the difference's factor and
  // summand, both shifted left by the remainder of t + 9 by 8.
  typedef struct packed {
    logic [31:0]        radicand;
    logic signed [17:0] times;      // negative
    logic signed [30:0] less;
    logic [1:0]         bytes;      // (t + 9) / 8
    logic               zero;       // no variance
  } factors_t;

  // A word in the stages of the drain.
  typedef struct packed {
    logic                  valid;       // the slot has a word
    logic                  retires;     // the instruction ends with this slot
    logic [NumberBits-1:0] amount;      // number of instructions that end
    logic [NumberBits-1:0] number;
    logic [ng_isa_pkg::AddressBits-1:0] address;
    ng_isa_pkg::space_e    space;
    logic                  columns;
    logic                  bias;
    logic [5:0]            acc_shift;       // left, including that of the result; 32 and more give 0
    ng_isa_pkg::space_e    residual_space;  // none if its shift gives 0
    logic [5:0]            residual_shift;  // left, likewise
    logic [4:0]            shift;           // of the result, right
    logic [4:0]            bits;
    logic                  is_unsigned;
    logic                  has_table;
    logic [4:0]            table_id;
    ng_isa_pkg::stat_e     stat;
    logic [ng_isa_pkg::SlotBits-1:0] slot;
  } word_t;

  // Bits of an address of a memory with `depth` words. Evaluated during elaboration, so there is nothing to cover.
  // verilator coverage_off
  function automatic int unsigned addr_bits(int unsigned depth);
    return depth > 1 ? $clog2(depth) : 1;
  endfunction

  // What a memory is made of: up to 64 words, the depth of a distributed RAM in one LUT per bit, are in LUTs.
  function automatic ram_e ram_style(int unsigned depth, bit ultra, bit luts);
    if (ultra) return RamUltra;
    return luts || depth <= 64 ? RamLuts : RamBlock;
  endfunction

  // The words of a memory's parts together. Each part has a power of two of words, the largest first, and at least as
  // many as the smallest block has at this width (UG473, UG573): 12,288 are 8,192 and 4,096.
  function automatic int unsigned ram_words(int unsigned depth, int unsigned width, ram_e style);
    int unsigned least;
    if (style == RamUltra) least = 4096;
    else if (style == RamLuts) least = 32;
    else least = width > 18 ? 512 : width > 9 ? 1024 : 2048;
    return depth > least ? (depth + least - 1) / least * least : 1 << addr_bits(depth);
  endfunction

  // Cycles from a read to the words of the parts; with several parts, the last register is behind their multiplexer.
  function automatic int unsigned ram_part_latency(int unsigned parts, int unsigned latency);
    return parts > 1 && latency > 2 ? latency - 1 : latency;
  endfunction

  // Address bits of part `number`, from the words of all parts: the position of their bit `number`, from the top.
  function automatic int unsigned ram_part_bits(int unsigned words, int unsigned number);
    int unsigned left;
    left = number;
    for (int unsigned b = 31; b > 0; b--) begin
      if (words[b]) begin
        if (left == 0) return b;
        left--;
      end
    end
    return 0;
  endfunction
  // verilator coverage_on

  // Whether all waits of an instruction are met.
  function automatic logic met(waits_t waits, retired_t retired);
    return retired[0] >= NumberBits'(waits[0]) && retired[1] >= NumberBits'(waits[1]) &&
           retired[2] >= NumberBits'(waits[2]);
  endfunction

  // The CRC-32 (reflected, 0xEDB88320) after one more beat, lowest byte first.
  function automatic logic [31:0] crc_step(logic [31:0] crc, logic [63:0] beat);
    logic [63:0] rest;
    rest = beat ^ {32'd0, crc};
    for (int bit_number = 0; bit_number < 64; bit_number++) begin
      rest = (rest >> 1) ^ (rest[0] ? 64'h00000000EDB88320 : 64'd0);
    end
    return rest[31:0];
  endfunction

  // The constant that is added before a right shift that rounds half up; 0 for a left shift.
  function automatic logic [31:0] rounding_half(logic signed [5:0] shift);
    return shift > 0 ? 32'd1 << 5'(shift - 6'sd1) : 32'd0;
  endfunction

  // The low 16 bits that equal the sign in every number of `bits` bits (2 to 16), signed or unsigned; so do all above.
  function automatic logic [15:0] saturation_mask(logic [4:0] bits, logic is_unsigned);
    return 16'hFFFF << (is_unsigned ? bits : bits - 5'd1);
  endfunction

  // Saturates to the width whose mask is `above`; returns the low 16 bits.
  function automatic logic [15:0] saturated(logic signed [31:0] v, logic [15:0] above, logic is_unsigned);
    logic [31:0] differs;
    differs = v ^ {32{v[31] && !is_unsigned}};
    if (differs[31:16] == 0 && (differs[15:0] & above) == 0) return v[15:0];  // uncovered: a return is not counted
    return !v[31] ? ~above : is_unsigned ? '0 : above;
  endfunction

endpackage
// verilator lint_on UNUSEDPARAM
// verilator lint_on UNUSEDSIGNAL
