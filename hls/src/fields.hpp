// Fields of an instruction word: extraction and range checks, with the positions and ranges in isa.hpp.
//
// The functions of decode.hpp, one per instruction, are generated and call these.
// Limits: does not check conditions between fields; decode.hpp does.
#ifndef NG_FIELDS_HPP
#define NG_FIELDS_HPP

#include "isa.hpp"
#include "memories.hpp"
#include "types.hpp"

namespace ng {

/// Bits Low .. Low + Width - 1 of an instruction.
/// \tparam Low the lowest bit.
/// \tparam Width number of bits, at most 64.
template <unsigned Low, unsigned Width>
inline Unsigned<Width> bits_of(const InstructionWord& word) {
#pragma HLS inline  // wires, comparisons with constants and one wide gate
    constexpr unsigned part = Low / 64, shift = Low % 64;
    if constexpr (shift + Width <= 64) {
        return low<Width>(word.part[part] >> shift);
    } else {
        return low<Width>((word.part[part] >> shift) | ushift_left<64>(word.part[part + 1], 64 - shift));
    }
}

/// A field of an instruction.
/// \tparam F an isa::Field.
template <class F>
inline auto take(const InstructionWord& word) {
#pragma HLS inline
    if constexpr (F::SIGNED) {
        return wrap<F::WIDTH>(bits_of<F::LOW, F::WIDTH>(word));
    } else {
        return bits_of<F::LOW, F::WIDTH>(word);
    }
}

/// Whether every field has a valid value.
/// \tparam F the fields.
template <class... F>
inline bool all_hold(isa::Fields<F...>, const InstructionWord& word) {
#pragma HLS inline
    return (F::holds(to_int(take<F>(word))) && ...);
}

/// Whether all bits from End on are 0.
/// \tparam End the lowest bit that is checked.
template <unsigned End>
inline bool no_bits_from(const InstructionWord& word) {
#pragma HLS inline
    bool none = (word.part[End / 64] >> (End % 64)) == 0;
    for (unsigned part = End / 64 + 1; part < isa::INSTRUCTION_BITS / 64; ++part) {
#pragma HLS unroll  // all parts in parallel
        none = none && word.part[part] == 0;
    }
    return none;
}

inline Unsigned<isa::OPCODE_BITS> opcode_of(const InstructionWord& word) {
#pragma HLS inline
    return bits_of<0, isa::OPCODE_BITS>(word);
}

}  // namespace ng

#endif
