// Common to the instructions of all units: skipping and waiting, docs/isa.md, section 3.
//
// Limits: does not decode; decode.hpp is generated from the instruction set.
#ifndef NG_INSTRUCTIONS_HPP
#define NG_INSTRUCTIONS_HPP

#include "decode.hpp"
#include "isa.hpp"
#include "memories.hpp"
#include "types.hpp"

namespace ng {

/// Settings of a command, valid for all its instructions.
struct Context {
    bool init;                          ///< the command is INIT: nothing is skipped, a length is 0
    Unsigned<2> sentences;              ///< register SENTENCES
    Unsigned<10> length[isa::SENTENCES];  ///< registers LENGTH0 ..
};

/// Retired instructions of each unit, in the order of isa::Unit.
struct Retired {
    Unsigned<14> count[isa::UNIT_COUNT];
};

/// Tokens of an instruction's sentence.
template <class I>
inline Unsigned<10> length_of(const I& i, const Context& context) {
#pragma HLS inline  // a multiplexer is too small for a module
    return context.init ? Unsigned<10>(0) : context.length[to_int(i.sentence)];
}

/// The token in lane 0 of an instruction's block.
/// \tparam C the configuration.
template <class C, class I>
inline Unsigned<12> first_token(const I& i) {
#pragma HLS inline  // a shift by a constant
    return utimes<12>(i.block, Unsigned<6>(C::lanes));
}

/// Whether an instruction is skipped: its sentence or block does not exist.
/// \tparam C the configuration.
template <class C, class I>
inline bool is_skipped(const I& i, const Context& context) {
#pragma HLS inline  // a comparison is too small for a module
    return !context.init &&
           (i.sentence >= context.sentences || first_token<C>(i) >= length_of(i, context));
}

/// Whether the units have retired the instructions that this one waits for.
template <class I>
inline bool may_start(const I& i, const Retired& retired) {
#pragma HLS inline  // three comparisons are too small for a module
    return retired.count[isa::UNIT_ARRAY] >= i.wait_array && retired.count[isa::UNIT_VECTOR] >= i.wait_vector &&
           retired.count[isa::UNIT_STREAM] >= i.wait_stream;
}

/// The result of a unit's turn; kStarts is only between the parts of a turn.
enum class Turn : unsigned { kWaits, kStarts, kRetires, kFails };

/// What the turn of a decoded and valid instruction begins with: it is skipped, it waits, or it starts.
/// \tparam C the configuration.
template <class C, class I>
inline Turn begin_turn(const I& i, const Context& context, const Retired& retired) {
#pragma HLS inline  // a few comparisons
    if (is_skipped<C>(i, context)) return Turn::kRetires;
    return may_start(i, retired) ? Turn::kStarts : Turn::kWaits;
}

/// What the turn of an instruction that has been executed ends with.
inline Turn end_turn(isa::Error error) {
#pragma HLS inline  // a comparison
    return error == isa::ERROR_NONE ? Turn::kRetires : Turn::kFails;
}

/// Whether `count` words starting at `base` are below `depth`; true if `count` is 0.
template <class B, class N>
inline bool inside(B base, N count, unsigned depth) {
#pragma HLS inline  // an adder and a comparison are too small for a module
    return count == 0 || uplus<36>(base, count) <= depth;
}

}  // namespace ng

#endif
