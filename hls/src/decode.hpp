// Generated from hw/isa by `python -m narrowgauge.hw.isa.generate`. Do not edit.
//
// Decodes instructions and checks them: opcode, reserved bits, the range of every field (isa.hpp), and the
// conditions between fields:
// - CONTRACT: `bits` must be 2 to 8 unless `c_space` is WIDE.
// - CONTRACT: `bits` must be 8 unless `has_table` is 0.
// - CONTRACT: unless `keep` is 0, `n0`, `n1` and `n2` must be 1 and `n0_source` and `n2_source` must be CONST.
#ifndef NG_DECODE_HPP
#define NG_DECODE_HPP

#include "fields.hpp"

namespace ng {

struct Contract {
    Unsigned<1> sentence;  ///< the sentence that gives the length and the indices
    Unsigned<6> block;  ///< token block; the instruction is skipped if block * N >= length or the run lacks the sentence
    Unsigned<13> wait_array;  ///< number of instructions that the array must have retired before this one starts
    Unsigned<13> wait_vector;  ///< number of instructions that the vector unit must have retired before this one starts
    Unsigned<13> wait_stream;  ///< number of instructions that the stream unit must have retired before this one starts
    Unsigned<1> keep;  ///< leave the tile in the accumulators; the next CONTRACT continues from it
    Unsigned<12> n0;  ///< count of loop 0 if `n0_source` is CONST
    Unsigned<2> n0_source;  ///< source of the count of loop 0: CONST, TOKENS
    Unsigned<12> n1;  ///< count of loop 1
    Unsigned<12> n2;  ///< count of loop 2 if `n2_source` is CONST
    Unsigned<2> n2_source;  ///< source of the count of loop 2: CONST, BLOCKS
    Unsigned<13> nk;  ///< count of the reduction if `nk_source` is CONST
    Unsigned<2> nk_source;  ///< source of the count of the reduction: CONST, LENGTH, TOKENS
    Unsigned<3> a_space;  ///< location of operand A: WEIGHT, KV, IDENTITY
    Unsigned<22> a_base;  ///< address of A
    Unsigned<16> a_stride0;  ///< stride of A for loop 0
    Unsigned<16> a_stride1;  ///< stride of A for loop 1
    Unsigned<16> a_stride2;  ///< stride of A for loop 2
    Unsigned<16> a_stridek;  ///< stride of A for the reduction
    Unsigned<2> a_indexed;  ///< loop over the tokens of A's index: NONE, LOOP0, LOOPK
    Unsigned<3> a_column;  ///< index column of A
    Unsigned<16> a_index_stride;  ///< stride of A for the index
    Unsigned<3> b_space;  ///< location of operand B: ACT, VECTOR, WEIGHT
    Unsigned<22> b_base;  ///< address of B
    Unsigned<16> b_stride0;  ///< stride of B for loop 0
    Unsigned<16> b_stride1;  ///< stride of B for loop 1
    Unsigned<16> b_stride2;  ///< stride of B for loop 2
    Unsigned<16> b_stridek;  ///< stride of B for the reduction
    Unsigned<2> b_indexed;  ///< loop over the tokens of B's index: NONE, LOOP0, LOOPK
    Unsigned<3> b_column;  ///< index column of B
    Unsigned<16> b_index_stride;  ///< stride of B for the index
    Unsigned<1> b_unsigned;  ///< lanes of B are unsigned
    Unsigned<1> columns;  ///< drain the tile by columns (a word has the lanes of A), not by rows (lanes of B)
    Unsigned<12> rows;  ///< words to drain over all of loop 2 if `rows_source` is CONST
    Unsigned<2> rows_source;  ///< source of the number of words: CONST, LENGTH, TOKENS
    Unsigned<3> c_space;  ///< location of the target: ACT, KV, SCORE, WIDE
    Unsigned<20> c_base;  ///< address of the target
    Unsigned<16> c_stride0;  ///< stride of the target for loop 0
    Unsigned<16> c_stride1;  ///< stride of the target for loop 1
    Unsigned<16> c_stride2;  ///< stride of the target for loop 2
    Unsigned<16> c_stridew;  ///< stride of the target for the words of a tile
    Unsigned<1> bias;  ///< add a bias
    Unsigned<20> bias_base;  ///< address of the bias
    Unsigned<5> acc_shift;  ///< left shift of the accumulator and bias, before the residual is added
    Unsigned<3> residual_space;  ///< location of the residual: NONE, VECTOR, WEIGHT, WIDE
    Unsigned<22> residual_base;  ///< address of the residual; its strides are the target's
    Unsigned<5> residual_shift;  ///< left shift of the residual
    Signed<6> shift;  ///< right shift with rounding; a left shift if negative: -31 to 31
    Unsigned<5> bits;  ///< bits of the result: 2 to 16
    Unsigned<1> is_unsigned;  ///< saturate to the unsigned range
    Unsigned<1> has_table;  ///< replace the result by an entry of a table
    Unsigned<5> table_id;  ///< number of the table
    Unsigned<2> stat;  ///< statistic of the drained words: NONE, SUMS, MAX
    Unsigned<6> stat_slot;  ///< word of STAT that is written
};

/// Decodes CONTRACT; false if the word is another instruction, or one with the error FIELD.
inline bool decode(const InstructionWord& word, Contract& i) {
#pragma HLS inline  // wires and comparisons with constants
    i.sentence = take<isa::contract::SENTENCE>(word);
    i.block = take<isa::contract::BLOCK>(word);
    i.wait_array = take<isa::contract::WAIT_ARRAY>(word);
    i.wait_vector = take<isa::contract::WAIT_VECTOR>(word);
    i.wait_stream = take<isa::contract::WAIT_STREAM>(word);
    i.keep = take<isa::contract::KEEP>(word);
    i.n0 = take<isa::contract::N0>(word);
    i.n0_source = take<isa::contract::N0_SOURCE>(word);
    i.n1 = take<isa::contract::N1>(word);
    i.n2 = take<isa::contract::N2>(word);
    i.n2_source = take<isa::contract::N2_SOURCE>(word);
    i.nk = take<isa::contract::NK>(word);
    i.nk_source = take<isa::contract::NK_SOURCE>(word);
    i.a_space = take<isa::contract::A_SPACE>(word);
    i.a_base = take<isa::contract::A_BASE>(word);
    i.a_stride0 = take<isa::contract::A_STRIDE0>(word);
    i.a_stride1 = take<isa::contract::A_STRIDE1>(word);
    i.a_stride2 = take<isa::contract::A_STRIDE2>(word);
    i.a_stridek = take<isa::contract::A_STRIDEK>(word);
    i.a_indexed = take<isa::contract::A_INDEXED>(word);
    i.a_column = take<isa::contract::A_COLUMN>(word);
    i.a_index_stride = take<isa::contract::A_INDEX_STRIDE>(word);
    i.b_space = take<isa::contract::B_SPACE>(word);
    i.b_base = take<isa::contract::B_BASE>(word);
    i.b_stride0 = take<isa::contract::B_STRIDE0>(word);
    i.b_stride1 = take<isa::contract::B_STRIDE1>(word);
    i.b_stride2 = take<isa::contract::B_STRIDE2>(word);
    i.b_stridek = take<isa::contract::B_STRIDEK>(word);
    i.b_indexed = take<isa::contract::B_INDEXED>(word);
    i.b_column = take<isa::contract::B_COLUMN>(word);
    i.b_index_stride = take<isa::contract::B_INDEX_STRIDE>(word);
    i.b_unsigned = take<isa::contract::B_UNSIGNED>(word);
    i.columns = take<isa::contract::COLUMNS>(word);
    i.rows = take<isa::contract::ROWS>(word);
    i.rows_source = take<isa::contract::ROWS_SOURCE>(word);
    i.c_space = take<isa::contract::C_SPACE>(word);
    i.c_base = take<isa::contract::C_BASE>(word);
    i.c_stride0 = take<isa::contract::C_STRIDE0>(word);
    i.c_stride1 = take<isa::contract::C_STRIDE1>(word);
    i.c_stride2 = take<isa::contract::C_STRIDE2>(word);
    i.c_stridew = take<isa::contract::C_STRIDEW>(word);
    i.bias = take<isa::contract::BIAS>(word);
    i.bias_base = take<isa::contract::BIAS_BASE>(word);
    i.acc_shift = take<isa::contract::ACC_SHIFT>(word);
    i.residual_space = take<isa::contract::RESIDUAL_SPACE>(word);
    i.residual_base = take<isa::contract::RESIDUAL_BASE>(word);
    i.residual_shift = take<isa::contract::RESIDUAL_SHIFT>(word);
    i.shift = take<isa::contract::SHIFT>(word);
    i.bits = take<isa::contract::BITS>(word);
    i.is_unsigned = take<isa::contract::IS_UNSIGNED>(word);
    i.has_table = take<isa::contract::HAS_TABLE>(word);
    i.table_id = take<isa::contract::TABLE_ID>(word);
    i.stat = take<isa::contract::STAT>(word);
    i.stat_slot = take<isa::contract::STAT_SLOT>(word);
    return opcode_of(word) == isa::OPCODE_CONTRACT &&
           no_bits_from<isa::contract::END>(word) &&
           all_hold(isa::contract::All(), word) &&
           (i.c_space == isa::SPACE_WIDE || i.bits <= 8) &&
           (i.has_table == 0 || i.bits == 8) &&
           (i.keep == 0 || (i.n0 == 1 &&
             i.n1 == 1 &&
             i.n2 == 1 &&
             i.n0_source == isa::COUNT_CONST &&
             i.n2_source == isa::COUNT_CONST));
}

struct Softmax {
    Unsigned<1> sentence;  ///< the sentence that gives the length and the indices
    Unsigned<6> block;  ///< token block; the instruction is skipped if block * N >= length or the run lacks the sentence
    Unsigned<13> wait_array;  ///< number of instructions that the array must have retired before this one starts
    Unsigned<13> wait_vector;  ///< number of instructions that the vector unit must have retired before this one starts
    Unsigned<13> wait_stream;  ///< number of instructions that the stream unit must have retired before this one starts
    Unsigned<20> source;  ///< address in SCORE; one word per key
    Unsigned<20> target;  ///< address in VECTOR; one word per key
    Unsigned<5> exp_id;  ///< number of the exponential table
    Unsigned<6> stat_slot;  ///< word of STAT with the maxima
};

/// Decodes SOFTMAX; false if the word is another instruction, or one with the error FIELD.
inline bool decode(const InstructionWord& word, Softmax& i) {
#pragma HLS inline  // wires and comparisons with constants
    i.sentence = take<isa::softmax::SENTENCE>(word);
    i.block = take<isa::softmax::BLOCK>(word);
    i.wait_array = take<isa::softmax::WAIT_ARRAY>(word);
    i.wait_vector = take<isa::softmax::WAIT_VECTOR>(word);
    i.wait_stream = take<isa::softmax::WAIT_STREAM>(word);
    i.source = take<isa::softmax::SOURCE>(word);
    i.target = take<isa::softmax::TARGET>(word);
    i.exp_id = take<isa::softmax::EXP_ID>(word);
    i.stat_slot = take<isa::softmax::STAT_SLOT>(word);
    return opcode_of(word) == isa::OPCODE_SOFTMAX &&
           no_bits_from<isa::softmax::END>(word) &&
           all_hold(isa::softmax::All(), word);
}

struct LayerNorm {
    Unsigned<1> sentence;  ///< the sentence that gives the length and the indices
    Unsigned<6> block;  ///< token block; the instruction is skipped if block * N >= length or the run lacks the sentence
    Unsigned<13> wait_array;  ///< number of instructions that the array must have retired before this one starts
    Unsigned<13> wait_vector;  ///< number of instructions that the vector unit must have retired before this one starts
    Unsigned<13> wait_stream;  ///< number of instructions that the stream unit must have retired before this one starts
    Unsigned<11> size;  ///< features that the statistic covers: 1 to 1024
    Unsigned<11> count;  ///< features to normalize: 1 to 1024
    Unsigned<20> source;  ///< address in WIDE; one word per feature
    Unsigned<20> target;  ///< address in VECTOR; one word per feature
    Unsigned<20> norm_base;  ///< address of gamma and beta in NORM
    Signed<6> shift;  ///< right shift with rounding; a left shift if negative: -31 to 31
    Unsigned<4> bits;  ///< bits of the result, signed: 2 to 8
    Unsigned<6> stat_slot;  ///< word of STAT with the sums
};

/// Decodes LAYERNORM; false if the word is another instruction, or one with the error FIELD.
inline bool decode(const InstructionWord& word, LayerNorm& i) {
#pragma HLS inline  // wires and comparisons with constants
    i.sentence = take<isa::layernorm::SENTENCE>(word);
    i.block = take<isa::layernorm::BLOCK>(word);
    i.wait_array = take<isa::layernorm::WAIT_ARRAY>(word);
    i.wait_vector = take<isa::layernorm::WAIT_VECTOR>(word);
    i.wait_stream = take<isa::layernorm::WAIT_STREAM>(word);
    i.size = take<isa::layernorm::SIZE>(word);
    i.count = take<isa::layernorm::COUNT>(word);
    i.source = take<isa::layernorm::SOURCE>(word);
    i.target = take<isa::layernorm::TARGET>(word);
    i.norm_base = take<isa::layernorm::NORM_BASE>(word);
    i.shift = take<isa::layernorm::SHIFT>(word);
    i.bits = take<isa::layernorm::BITS>(word);
    i.stat_slot = take<isa::layernorm::STAT_SLOT>(word);
    return opcode_of(word) == isa::OPCODE_LAYERNORM &&
           no_bits_from<isa::layernorm::END>(word) &&
           all_hold(isa::layernorm::All(), word);
}

struct Load {
    Unsigned<1> sentence;  ///< the sentence that gives the length and the indices
    Unsigned<6> block;  ///< token block; the instruction is skipped if block * N >= length or the run lacks the sentence
    Unsigned<13> wait_array;  ///< number of instructions that the array must have retired before this one starts
    Unsigned<13> wait_vector;  ///< number of instructions that the vector unit must have retired before this one starts
    Unsigned<13> wait_stream;  ///< number of instructions that the stream unit must have retired before this one starts
    Unsigned<4> memory;  ///< target: WEIGHT, BIAS, NORM, TABLE, EXP, INDEX
    Unsigned<22> base;  ///< address; in INDEX, relative to the sentence's half
    Unsigned<22> count;  ///< words if `count_source` is CONST
    Unsigned<2> count_source;  ///< source of the number of words: CONST, LENGTH
};

/// Decodes LOAD; false if the word is another instruction, or one with the error FIELD.
inline bool decode(const InstructionWord& word, Load& i) {
#pragma HLS inline  // wires and comparisons with constants
    i.sentence = take<isa::load::SENTENCE>(word);
    i.block = take<isa::load::BLOCK>(word);
    i.wait_array = take<isa::load::WAIT_ARRAY>(word);
    i.wait_vector = take<isa::load::WAIT_VECTOR>(word);
    i.wait_stream = take<isa::load::WAIT_STREAM>(word);
    i.memory = take<isa::load::MEMORY>(word);
    i.base = take<isa::load::BASE>(word);
    i.count = take<isa::load::COUNT>(word);
    i.count_source = take<isa::load::COUNT_SOURCE>(word);
    return opcode_of(word) == isa::OPCODE_LOAD &&
           no_bits_from<isa::load::END>(word) &&
           all_hold(isa::load::All(), word);
}

struct Store {
    Unsigned<1> sentence;  ///< the sentence that gives the length and the indices
    Unsigned<6> block;  ///< token block; the instruction is skipped if block * N >= length or the run lacks the sentence
    Unsigned<13> wait_array;  ///< number of instructions that the array must have retired before this one starts
    Unsigned<13> wait_vector;  ///< number of instructions that the vector unit must have retired before this one starts
    Unsigned<13> wait_stream;  ///< number of instructions that the stream unit must have retired before this one starts
    Unsigned<20> base;  ///< address in WIDE
    Unsigned<20> count;  ///< words
};

/// Decodes STORE; false if the word is another instruction, or one with the error FIELD.
inline bool decode(const InstructionWord& word, Store& i) {
#pragma HLS inline  // wires and comparisons with constants
    i.sentence = take<isa::store::SENTENCE>(word);
    i.block = take<isa::store::BLOCK>(word);
    i.wait_array = take<isa::store::WAIT_ARRAY>(word);
    i.wait_vector = take<isa::store::WAIT_VECTOR>(word);
    i.wait_stream = take<isa::store::WAIT_STREAM>(word);
    i.base = take<isa::store::BASE>(word);
    i.count = take<isa::store::COUNT>(word);
    return opcode_of(word) == isa::OPCODE_STORE &&
           no_bits_from<isa::store::END>(word) &&
           all_hold(isa::store::All(), word);
}

}  // namespace ng

#endif
