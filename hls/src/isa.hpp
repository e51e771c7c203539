// Generated from hw/isa by `python -m narrowgauge.hw.isa.generate`. Do not edit.
#ifndef NG_ISA_HPP
#define NG_ISA_HPP

#include <cstdint>

namespace ng {
namespace isa {

constexpr std::uint32_t ISA_VERSION = 1u;  // version of the instruction set
constexpr std::uint32_t ENGINE_ID = 0x4347544Eu;  // value of the register ID
constexpr std::uint32_t CLOSING_MAGIC = 0x4E474552u;  // bits 63:32 of a closing beat
constexpr std::uint32_t PROGRAM_MAGIC = 0x5047474Eu;  // first word of a program
constexpr std::uint32_t INSTRUCTION_BITS = 512u;  // bits of an instruction
constexpr std::uint32_t OPCODE_BITS = 3u;  // bits of an opcode, the lowest bits of an instruction
constexpr std::uint32_t BEAT_BITS = 64u;  // bits of a beat of the streams
constexpr std::uint32_t ACC_BITS = 32u;  // bits of an accumulator
constexpr std::uint32_t SENTENCES = 2u;  // maximum number of sentences in a run
constexpr std::uint32_t MAX_LENGTH = 512u;  // maximum number of tokens in a sentence
constexpr std::uint32_t INDEX_COLUMNS = 8u;  // columns of a word of INDEX, 16 bits each
constexpr std::uint32_t STAT_SUM_BITS = 26u;  // bits of a lane's sum in STAT
constexpr std::uint32_t STAT_SQUARE_BITS = 41u;  // bits of a lane's sum of squares in STAT
constexpr std::uint32_t STAT_MAX_BITS = 8u;  // bits of a lane's maximum in STAT
constexpr std::uint32_t STAT_COUNT_BITS = 11u;  // bits of the count in STAT
constexpr std::uint32_t WEIGHT_ADDRESS_BITS = 22u;  // bits of an address in WEIGHT
constexpr std::uint32_t ADDRESS_BITS = 20u;  // bits of an address in the other memories
constexpr std::uint32_t STRIDE_BITS = 16u;  // bits of a stride
constexpr std::uint32_t WAIT_BITS = 13u;  // bits of a wait
constexpr std::uint32_t SLOT_BITS = 6u;  // bits of the address of a word of STAT
constexpr std::uint32_t HEADER_WORDS = 32u;  // words of 32 bits in the header of a program
constexpr std::uint32_t LISTS = 4u;  // lists of a program
constexpr std::uint32_t COUNTERS = 10u;  // cycle counters

enum Unit : unsigned {
    UNIT_ARRAY = 0,
    UNIT_VECTOR = 1,
    UNIT_STREAM = 2,
};
constexpr unsigned UNIT_COUNT = 3u;

enum Memory : unsigned {
    MEMORY_WEIGHT = 0,
    MEMORY_KV = 1,
    MEMORY_ACT = 2,
    MEMORY_VECTOR = 3,
    MEMORY_SCORE = 4,
    MEMORY_WIDE = 5,
    MEMORY_STAT = 6,
    MEMORY_BIAS = 7,
    MEMORY_NORM = 8,
    MEMORY_TABLE = 9,
    MEMORY_EXP = 10,
    MEMORY_INDEX = 11,
    MEMORY_PROGRAM = 12,
};
constexpr unsigned MEMORY_COUNT = 13u;

enum Opcode : unsigned {
    OPCODE_CONTRACT = 1,
    OPCODE_SOFTMAX = 2,
    OPCODE_LAYERNORM = 3,
    OPCODE_LOAD = 4,
    OPCODE_STORE = 5,
};
constexpr unsigned OPCODE_COUNT = 5u;

enum Space : unsigned {
    SPACE_WEIGHT = 0,
    SPACE_KV = 1,
    SPACE_ACT = 2,
    SPACE_VECTOR = 3,
    SPACE_SCORE = 4,
    SPACE_WIDE = 5,
    SPACE_IDENTITY = 6,
    SPACE_NONE = 7,
};
constexpr unsigned SPACE_COUNT = 8u;

enum Count : unsigned {
    COUNT_CONST = 0,
    COUNT_LENGTH = 1,
    COUNT_TOKENS = 2,
    COUNT_BLOCKS = 3,
};
constexpr unsigned COUNT_COUNT = 4u;

enum Indexed : unsigned {
    INDEXED_NONE = 0,
    INDEXED_LOOP0 = 1,
    INDEXED_LOOPK = 2,
};
constexpr unsigned INDEXED_COUNT = 3u;

enum Stat : unsigned {
    STAT_NONE = 0,
    STAT_SUMS = 1,
    STAT_MAX = 2,
};
constexpr unsigned STAT_COUNT = 3u;

enum Error : unsigned {
    ERROR_NONE = 0,  // no error
    ERROR_MAGIC = 1,  // PROGRAM: the packet does not start with the magic number
    ERROR_VERSION = 2,  // PROGRAM: the program is for another ISA version
    ERROR_PARAMETER = 3,  // PROGRAM: the program needs other lanes or accumulators, or a larger memory
    ERROR_PROGRAM_CRC = 4,  // PROGRAM: the CRC-32 at the end of the program is wrong
    ERROR_COMMAND = 5,  // unknown command, INIT without a program, or RUN without an image
    ERROR_LENGTH = 6,  // RUN: SENTENCES or a LENGTH is 0 or exceeds the program's maximum
    ERROR_FIELD = 7,  // an instruction has the opcode of another unit, a reserved bit set or a field out of range
    ERROR_ADDRESS = 8,  // an instruction addresses a word outside a memory
    ERROR_STAT = 9,  // SOFTMAX or LAYERNORM reads a statistic of another kind or over another number of words
    ERROR_DEADLOCK = 10,  // every unfinished unit is waiting
    ERROR_TRUNCATED = 11,  // the input stream ended before the command was complete
    ERROR_OVERRUN = 12,  // the command was complete before the input stream ended
    ERROR_IMAGE_CRC = 13,  // INIT: the CRC-32 of the image differs from the program's
    ERROR_TIMEOUT = 14,  // no beat came within the number of cycles in the register TIMEOUT
};
constexpr unsigned ERROR_COUNT = 15u;

enum Command : unsigned {
    COMMAND_PROGRAM = 1,
    COMMAND_INIT = 2,
    COMMAND_RUN = 3,
};
constexpr unsigned COMMAND_COUNT = 3u;

// By Memory: bits of each lane of a word, and bits of a word that belong to no lane.
constexpr unsigned LANE_BITS[MEMORY_COUNT] = {8, 8, 8, 8, 8, 16, 75, 0, 0, 0, 0, 0, 0};
constexpr unsigned WORD_BITS[MEMORY_COUNT] = {0, 0, 0, 0, 0, 0, 13, 32, 44, 8, 15, 128, 512};

// By Memory: maximum number of words.
constexpr unsigned MAX_DEPTH[MEMORY_COUNT] = {4194304, 1048576, 1048576, 1048576, 1048576, 1048576, 64, 1048576, 1048576, 8192, 8192, 1024, 8192};

// Bits of a word of a memory in an engine with `lanes` lanes.
constexpr unsigned word_bits(unsigned memory, unsigned lanes) {
    return LANE_BITS[memory] * lanes + WORD_BITS[memory];
}

// Beats of a word on a stream: lane 0 in the low bits of the first beat, the last beat zero-padded.
constexpr unsigned beats(unsigned memory, unsigned lanes) {
    return (word_bits(memory, lanes) + BEAT_BITS - 1) / BEAT_BITS;
}

// Words of the header of a program.
enum Header : unsigned {
    HEADER_MAGIC = 0,  // 0x5047474E
    HEADER_VERSION = 1,  // ISA version
    HEADER_LANES = 2,  // N
    HEADER_ACC_BITS = 3,  // bits of an accumulator
    HEADER_WEIGHT_DEPTH = 4,  // words of WEIGHT that the program needs
    HEADER_KV_DEPTH = 5,  // words of KV that the program needs
    HEADER_ACT_DEPTH = 6,  // words of ACT that the program needs
    HEADER_VECTOR_DEPTH = 7,  // words of VECTOR that the program needs
    HEADER_SCORE_DEPTH = 8,  // words of SCORE that the program needs
    HEADER_WIDE_DEPTH = 9,  // words of WIDE that the program needs
    HEADER_STAT_DEPTH = 10,  // words of STAT that the program needs
    HEADER_BIAS_DEPTH = 11,  // words of BIAS that the program needs
    HEADER_NORM_DEPTH = 12,  // words of NORM that the program needs
    HEADER_TABLE_DEPTH = 13,  // words of TABLE that the program needs
    HEADER_EXP_DEPTH = 14,  // words of EXP that the program needs
    HEADER_INDEX_DEPTH = 15,  // words of INDEX that the program needs
    HEADER_PROGRAM_DEPTH = 16,  // words of PROGRAM that the program needs
    HEADER_MAX_LENGTH = 17,  // maximum number of tokens in a sentence
    HEADER_SENTENCES = 18,  // maximum number of sentences in one RUN
    HEADER_INIT_COUNT = 19,  // number of instructions in the list init
    HEADER_ARRAY_COUNT = 20,  // number of instructions in the list array
    HEADER_VECTOR_COUNT = 21,  // number of instructions in the list vector
    HEADER_STREAM_COUNT = 22,  // number of instructions in the list stream
    HEADER_IMAGE_CRC = 23,  // CRC-32 of all beats that INIT loads
    HEADER_RESERVED0 = 24,  // 0
    HEADER_RESERVED1 = 25,  // 0
    HEADER_RESERVED2 = 26,  // 0
    HEADER_RESERVED3 = 27,  // 0
    HEADER_RESERVED4 = 28,  // 0
    HEADER_RESERVED5 = 29,  // 0
    HEADER_RESERVED6 = 30,  // 0
    HEADER_RESERVED7 = 31,  // 0
};

// Byte addresses of the registers.
enum Register : unsigned {
    REGISTER_ID = 0x00,  // ro: 0x4347544E
    REGISTER_VERSION = 0x04,  // ro: ISA version: 1
    REGISTER_CONTROL = 0x08,  // wo: bits 2:0 command to start (1 PROGRAM, 2 INIT, 3 RUN), accepted when idle; bit 31 clear: ends the error state or a command
    REGISTER_STATUS = 0x0C,  // ro: bit 0 idle, bit 1 done, bit 2 error, bits 15:8 error code
    REGISTER_ERROR_WHERE = 0x10,  // ro: bits 15:0 number of the instruction in its list, bits 17:16 unit, bit 31 valid: the error belongs to an instruction
    REGISTER_INTERRUPT_ENABLE = 0x14,  // rw: bit 0: raise the interrupt on done or error
    REGISTER_INTERRUPT = 0x18,  // rw: bit 0: pending; a command that starts clears it; write 1 to clear
    REGISTER_TIMEOUT = 0x1C,  // rw: maximum number of cycles without a beat in the next command; 0: no limit
    REGISTER_SENTENCES = 0x20,  // rw: number of sentences of the next RUN, 1 to 2
    REGISTER_LENGTH0 = 0x24,  // rw: tokens of sentence 0 of the next RUN
    REGISTER_LENGTH1 = 0x28,  // rw: tokens of sentence 1 of the next RUN
    REGISTER_LANES = 0x40,  // ro: N
    REGISTER_ACC_BITS = 0x44,  // ro: bits of an accumulator
    REGISTER_WEIGHT_DEPTH = 0x48,  // ro: words of WEIGHT
    REGISTER_KV_DEPTH = 0x4C,  // ro: words of KV
    REGISTER_ACT_DEPTH = 0x50,  // ro: words of ACT
    REGISTER_VECTOR_DEPTH = 0x54,  // ro: words of VECTOR
    REGISTER_SCORE_DEPTH = 0x58,  // ro: words of SCORE
    REGISTER_WIDE_DEPTH = 0x5C,  // ro: words of WIDE
    REGISTER_STAT_DEPTH = 0x60,  // ro: words of STAT
    REGISTER_BIAS_DEPTH = 0x64,  // ro: words of BIAS
    REGISTER_NORM_DEPTH = 0x68,  // ro: words of NORM
    REGISTER_TABLE_DEPTH = 0x6C,  // ro: words of TABLE
    REGISTER_EXP_DEPTH = 0x70,  // ro: words of EXP
    REGISTER_INDEX_DEPTH = 0x74,  // ro: words of INDEX
    REGISTER_PROGRAM_DEPTH = 0x78,  // ro: words of PROGRAM
    REGISTER_CYCLES = 0x80,  // ro: cycles from start to done or error
    REGISTER_ARRAY_BUSY = 0x84,  // ro: cycles in which the array multiplied
    REGISTER_ARRAY_WAIT = 0x88,  // ro: cycles in which the array waited for other units
    REGISTER_ARRAY_DRAIN = 0x8C,  // ro: cycles in which no tile could start, as the accumulators and the copy of a tile were in use
    REGISTER_ARRAY_STALL = 0x90,  // ro: cycles in which the array waited for a memory port
    REGISTER_VECTOR_BUSY = 0x94,  // ro: cycles in which the vector unit executed an instruction
    REGISTER_VECTOR_WAIT = 0x98,  // ro: cycles in which the vector unit waited for other units
    REGISTER_STREAM_BUSY = 0x9C,  // ro: cycles in which the stream unit executed an instruction
    REGISTER_STREAM_WAIT = 0xA0,  // ro: cycles in which the stream unit waited for other units
    REGISTER_STREAM_STALL = 0xA4,  // ro: cycles in which the stream unit waited for the input or the output stream
};

// Position and range of a field of an instruction. The valid values are those whose bits are set in MASK;
// if MASK is 0, those from LO to HI.
template <unsigned Low, unsigned Width, bool Signed, std::int32_t Lo, std::int32_t Hi, std::uint32_t Mask>
struct Field {
    static constexpr unsigned LOW = Low;
    static constexpr unsigned WIDTH = Width;
    static constexpr bool SIGNED = Signed;
    static constexpr std::int32_t LO = Lo;
    static constexpr std::int32_t HI = Hi;
    static constexpr std::uint32_t MASK = Mask;
    static constexpr bool holds(std::int32_t value) {
        return Mask != 0 ? value >= 0 && value < 32 && ((Mask >> value) & 1u) != 0
                         : value >= Lo && value <= Hi;
    }
};

// All fields of an instruction, from the lowest bit up. The bits from END on are reserved: they must be 0.
template <typename... F>
struct Fields {};

namespace contract {
// the sentence that gives the length and the indices
using SENTENCE = Field<3, 1, false, 0, 1, 0>;
// token block; the instruction is skipped if block * N >= length or the run lacks the sentence
using BLOCK = Field<4, 6, false, 0, 63, 0>;
// number of instructions that the array must have retired before this one starts
using WAIT_ARRAY = Field<10, 13, false, 0, 8191, 0>;
// number of instructions that the vector unit must have retired before this one starts
using WAIT_VECTOR = Field<23, 13, false, 0, 8191, 0>;
// number of instructions that the stream unit must have retired before this one starts
using WAIT_STREAM = Field<36, 13, false, 0, 8191, 0>;
// leave the tile in the accumulators; the next CONTRACT continues from it
using KEEP = Field<49, 1, false, 0, 1, 0>;
// count of loop 0 if `n0_source` is CONST
using N0 = Field<50, 12, false, 0, 4095, 0>;
// source of the count of loop 0: CONST, TOKENS
using N0_SOURCE = Field<62, 2, false, 0, 3, 5>;
// count of loop 1
using N1 = Field<64, 12, false, 0, 4095, 0>;
// count of loop 2 if `n2_source` is CONST
using N2 = Field<76, 12, false, 0, 4095, 0>;
// source of the count of loop 2: CONST, BLOCKS
using N2_SOURCE = Field<88, 2, false, 0, 3, 9>;
// count of the reduction if `nk_source` is CONST
using NK = Field<90, 13, false, 0, 8191, 0>;
// source of the count of the reduction: CONST, LENGTH, TOKENS
using NK_SOURCE = Field<103, 2, false, 0, 3, 7>;
// location of operand A: WEIGHT, KV, IDENTITY
using A_SPACE = Field<105, 3, false, 0, 7, 67>;
// address of A
using A_BASE = Field<108, 22, false, 0, 4194303, 0>;
// stride of A for loop 0
using A_STRIDE0 = Field<130, 16, false, 0, 65535, 0>;
// stride of A for loop 1
using A_STRIDE1 = Field<146, 16, false, 0, 65535, 0>;
// stride of A for loop 2
using A_STRIDE2 = Field<162, 16, false, 0, 65535, 0>;
// stride of A for the reduction
using A_STRIDEK = Field<178, 16, false, 0, 65535, 0>;
// loop over the tokens of A's index: NONE, LOOP0, LOOPK
using A_INDEXED = Field<194, 2, false, 0, 3, 7>;
// index column of A
using A_COLUMN = Field<196, 3, false, 0, 7, 0>;
// stride of A for the index
using A_INDEX_STRIDE = Field<199, 16, false, 0, 65535, 0>;
// location of operand B: ACT, VECTOR, WEIGHT
using B_SPACE = Field<215, 3, false, 0, 7, 13>;
// address of B
using B_BASE = Field<218, 22, false, 0, 4194303, 0>;
// stride of B for loop 0
using B_STRIDE0 = Field<240, 16, false, 0, 65535, 0>;
// stride of B for loop 1
using B_STRIDE1 = Field<256, 16, false, 0, 65535, 0>;
// stride of B for loop 2
using B_STRIDE2 = Field<272, 16, false, 0, 65535, 0>;
// stride of B for the reduction
using B_STRIDEK = Field<288, 16, false, 0, 65535, 0>;
// loop over the tokens of B's index: NONE, LOOP0, LOOPK
using B_INDEXED = Field<304, 2, false, 0, 3, 7>;
// index column of B
using B_COLUMN = Field<306, 3, false, 0, 7, 0>;
// stride of B for the index
using B_INDEX_STRIDE = Field<309, 16, false, 0, 65535, 0>;
// lanes of B are unsigned
using B_UNSIGNED = Field<325, 1, false, 0, 1, 0>;
// drain the tile by columns (a word has the lanes of A), not by rows (lanes of B)
using COLUMNS = Field<326, 1, false, 0, 1, 0>;
// words to drain over all of loop 2 if `rows_source` is CONST
using ROWS = Field<327, 12, false, 0, 4095, 0>;
// source of the number of words: CONST, LENGTH, TOKENS
using ROWS_SOURCE = Field<339, 2, false, 0, 3, 7>;
// location of the target: ACT, KV, SCORE, WIDE
using C_SPACE = Field<341, 3, false, 0, 7, 54>;
// address of the target
using C_BASE = Field<344, 20, false, 0, 1048575, 0>;
// stride of the target for loop 0
using C_STRIDE0 = Field<364, 16, false, 0, 65535, 0>;
// stride of the target for loop 1
using C_STRIDE1 = Field<380, 16, false, 0, 65535, 0>;
// stride of the target for loop 2
using C_STRIDE2 = Field<396, 16, false, 0, 65535, 0>;
// stride of the target for the words of a tile
using C_STRIDEW = Field<412, 16, false, 0, 65535, 0>;
// add a bias
using BIAS = Field<428, 1, false, 0, 1, 0>;
// address of the bias
using BIAS_BASE = Field<429, 20, false, 0, 1048575, 0>;
// left shift of the accumulator and bias, before the residual is added
using ACC_SHIFT = Field<449, 5, false, 0, 31, 0>;
// location of the residual: NONE, VECTOR, WEIGHT, WIDE
using RESIDUAL_SPACE = Field<454, 3, false, 0, 7, 169>;
// address of the residual; its strides are the target's
using RESIDUAL_BASE = Field<457, 22, false, 0, 4194303, 0>;
// left shift of the residual
using RESIDUAL_SHIFT = Field<479, 5, false, 0, 31, 0>;
// right shift with rounding; a left shift if negative: -31 to 31
using SHIFT = Field<484, 6, true, -31, 31, 0>;
// bits of the result: 2 to 16
using BITS = Field<490, 5, false, 2, 16, 0>;
// saturate to the unsigned range
using IS_UNSIGNED = Field<495, 1, false, 0, 1, 0>;
// replace the result by an entry of a table
using HAS_TABLE = Field<496, 1, false, 0, 1, 0>;
// number of the table
using TABLE_ID = Field<497, 5, false, 0, 31, 0>;
// statistic of the drained words: NONE, SUMS, MAX
using STAT = Field<502, 2, false, 0, 3, 7>;
// word of STAT that is written
using STAT_SLOT = Field<504, 6, false, 0, 63, 0>;
using All = Fields<SENTENCE, BLOCK, WAIT_ARRAY, WAIT_VECTOR, WAIT_STREAM, KEEP, N0, N0_SOURCE, N1, N2, N2_SOURCE, NK,
                   NK_SOURCE, A_SPACE, A_BASE, A_STRIDE0, A_STRIDE1, A_STRIDE2, A_STRIDEK, A_INDEXED, A_COLUMN,
                   A_INDEX_STRIDE, B_SPACE, B_BASE, B_STRIDE0, B_STRIDE1, B_STRIDE2, B_STRIDEK, B_INDEXED, B_COLUMN,
                   B_INDEX_STRIDE, B_UNSIGNED, COLUMNS, ROWS, ROWS_SOURCE, C_SPACE, C_BASE, C_STRIDE0, C_STRIDE1,
                   C_STRIDE2, C_STRIDEW, BIAS, BIAS_BASE, ACC_SHIFT, RESIDUAL_SPACE, RESIDUAL_BASE, RESIDUAL_SHIFT,
                   SHIFT, BITS, IS_UNSIGNED, HAS_TABLE, TABLE_ID, STAT, STAT_SLOT>;
constexpr unsigned END = 510u;
}  // namespace contract

namespace softmax {
// the sentence that gives the length and the indices
using SENTENCE = Field<3, 1, false, 0, 1, 0>;
// token block; the instruction is skipped if block * N >= length or the run lacks the sentence
using BLOCK = Field<4, 6, false, 0, 63, 0>;
// number of instructions that the array must have retired before this one starts
using WAIT_ARRAY = Field<10, 13, false, 0, 8191, 0>;
// number of instructions that the vector unit must have retired before this one starts
using WAIT_VECTOR = Field<23, 13, false, 0, 8191, 0>;
// number of instructions that the stream unit must have retired before this one starts
using WAIT_STREAM = Field<36, 13, false, 0, 8191, 0>;
// address in SCORE; one word per key
using SOURCE = Field<49, 20, false, 0, 1048575, 0>;
// address in VECTOR; one word per key
using TARGET = Field<69, 20, false, 0, 1048575, 0>;
// number of the exponential table
using EXP_ID = Field<89, 5, false, 0, 31, 0>;
// word of STAT with the maxima
using STAT_SLOT = Field<94, 6, false, 0, 63, 0>;
using All = Fields<SENTENCE, BLOCK, WAIT_ARRAY, WAIT_VECTOR, WAIT_STREAM, SOURCE, TARGET, EXP_ID, STAT_SLOT>;
constexpr unsigned END = 100u;
}  // namespace softmax

namespace layernorm {
// the sentence that gives the length and the indices
using SENTENCE = Field<3, 1, false, 0, 1, 0>;
// token block; the instruction is skipped if block * N >= length or the run lacks the sentence
using BLOCK = Field<4, 6, false, 0, 63, 0>;
// number of instructions that the array must have retired before this one starts
using WAIT_ARRAY = Field<10, 13, false, 0, 8191, 0>;
// number of instructions that the vector unit must have retired before this one starts
using WAIT_VECTOR = Field<23, 13, false, 0, 8191, 0>;
// number of instructions that the stream unit must have retired before this one starts
using WAIT_STREAM = Field<36, 13, false, 0, 8191, 0>;
// features that the statistic covers: 1 to 1024
using SIZE = Field<49, 11, false, 1, 1024, 0>;
// features to normalize: 1 to 1024
using COUNT = Field<60, 11, false, 1, 1024, 0>;
// address in WIDE; one word per feature
using SOURCE = Field<71, 20, false, 0, 1048575, 0>;
// address in VECTOR; one word per feature
using TARGET = Field<91, 20, false, 0, 1048575, 0>;
// address of gamma and beta in NORM
using NORM_BASE = Field<111, 20, false, 0, 1048575, 0>;
// right shift with rounding; a left shift if negative: -31 to 31
using SHIFT = Field<131, 6, true, -31, 31, 0>;
// bits of the result, signed: 2 to 8
using BITS = Field<137, 4, false, 2, 8, 0>;
// word of STAT with the sums
using STAT_SLOT = Field<141, 6, false, 0, 63, 0>;
using All = Fields<SENTENCE, BLOCK, WAIT_ARRAY, WAIT_VECTOR, WAIT_STREAM, SIZE, COUNT, SOURCE, TARGET, NORM_BASE,
                   SHIFT, BITS, STAT_SLOT>;
constexpr unsigned END = 147u;
}  // namespace layernorm

namespace load {
// the sentence that gives the length and the indices
using SENTENCE = Field<3, 1, false, 0, 1, 0>;
// token block; the instruction is skipped if block * N >= length or the run lacks the sentence
using BLOCK = Field<4, 6, false, 0, 63, 0>;
// number of instructions that the array must have retired before this one starts
using WAIT_ARRAY = Field<10, 13, false, 0, 8191, 0>;
// number of instructions that the vector unit must have retired before this one starts
using WAIT_VECTOR = Field<23, 13, false, 0, 8191, 0>;
// number of instructions that the stream unit must have retired before this one starts
using WAIT_STREAM = Field<36, 13, false, 0, 8191, 0>;
// target: WEIGHT, BIAS, NORM, TABLE, EXP, INDEX
using MEMORY = Field<49, 4, false, 0, 15, 3969>;
// address; in INDEX, relative to the sentence's half
using BASE = Field<53, 22, false, 0, 4194303, 0>;
// words if `count_source` is CONST
using COUNT = Field<75, 22, false, 0, 4194303, 0>;
// source of the number of words: CONST, LENGTH
using COUNT_SOURCE = Field<97, 2, false, 0, 3, 3>;
using All = Fields<SENTENCE, BLOCK, WAIT_ARRAY, WAIT_VECTOR, WAIT_STREAM, MEMORY, BASE, COUNT, COUNT_SOURCE>;
constexpr unsigned END = 99u;
}  // namespace load

namespace store {
// the sentence that gives the length and the indices
using SENTENCE = Field<3, 1, false, 0, 1, 0>;
// token block; the instruction is skipped if block * N >= length or the run lacks the sentence
using BLOCK = Field<4, 6, false, 0, 63, 0>;
// number of instructions that the array must have retired before this one starts
using WAIT_ARRAY = Field<10, 13, false, 0, 8191, 0>;
// number of instructions that the vector unit must have retired before this one starts
using WAIT_VECTOR = Field<23, 13, false, 0, 8191, 0>;
// number of instructions that the stream unit must have retired before this one starts
using WAIT_STREAM = Field<36, 13, false, 0, 8191, 0>;
// address in WIDE
using BASE = Field<49, 20, false, 0, 1048575, 0>;
// words
using COUNT = Field<69, 20, false, 0, 1048575, 0>;
using All = Fields<SENTENCE, BLOCK, WAIT_ARRAY, WAIT_VECTOR, WAIT_STREAM, BASE, COUNT>;
constexpr unsigned END = 89u;
}  // namespace store

}  // namespace isa
}  // namespace ng

#endif
