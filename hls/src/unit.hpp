// A unit as a separate kernel: its list of instructions, and the tokens that synchronize it with the two other units.
//
// Executes a list, waits for tokens, and sends one to each of the other units for every retired instruction. At an
// error, its last token stops the others. A token stream holds as many tokens as a list has instructions, so sending
// never blocks.
// Limits: does not detect a deadlock among units (the host's time limit does), and does not load programs (the host or
// engine.cpp writes the program memory).
#ifndef NG_UNIT_HPP
#define NG_UNIT_HPP

#include "instructions.hpp"

namespace ng {

/// 0: one more instruction has retired. 1: the unit has stopped at an error and sends no more.
using Token = Unsigned<1>;

/// Registers of a unit for one command.
struct UnitRegisters {
    std::uint32_t init;                    ///< 1 in INIT
    std::uint32_t sentences;               ///< register SENTENCES
    std::uint32_t length[isa::SENTENCES];  ///< registers LENGTH0 ..
    std::uint32_t first;                   ///< start of the list in the program memory
    std::uint32_t count[isa::UNIT_COUNT];  ///< instructions of each unit's list
};

/// Reads tokens of another unit until it has retired `count` instructions. False if it has stopped or will never send.
inline bool await(hls::stream<Token>& from, Unsigned<14>& retired, Unsigned<14> wanted, bool& stopped) {
    for (Unsigned<14> n = retired; n < wanted && !stopped; ++n) {
#pragma HLS pipeline II=1  // one token per cycle
#pragma HLS loop_tripcount min=0 max=2048  // instructions of a small model
#ifndef __SYNTHESIS__
        if (from.empty()) return false;
#endif
        const Token token = from.read();
        stopped = token != 0;
        if (!stopped) retired = uplus<14>(retired, Unsigned<1>(1));
    }
    return !stopped;
}

/// How far a unit has come in its list.
/// \tparam Unit the unit.
template <unsigned Unit>
struct Progress {
    // The other units, in the order of isa::Unit.
    static constexpr unsigned one = Unit == 0 ? 1 : 0, two = Unit == 2 ? 1 : 2;
    Context context;
    Retired retired;
    Unsigned<14> first;              ///< start of the list in the program memory
    Unsigned<14> count;              ///< of the unit's instructions
    bool stopped_one, stopped_two;  ///< another unit has stopped at an error
    bool failed;
    std::uint32_t status;  ///< of the unit, see `finish`
};

/// The state before the first instruction.
/// \tparam Unit the unit.
template <unsigned Unit>
Progress<Unit> start_list(const UnitRegisters& registers) {
    Progress<Unit> at;
    at.context.init = registers.init != 0;
    at.context.sentences = registers.sentences;
    for (unsigned s = 0; s < isa::SENTENCES; ++s) {
        at.context.length[s] = registers.length[s];
    }
    for (unsigned unit = 0; unit < isa::UNIT_COUNT; ++unit) {
        at.retired.count[unit] = 0;
    }
    at.first = registers.first;
    at.count = registers.count[Unit];
    at.stopped_one = false;
    at.stopped_two = false;
    at.failed = false;
    at.status = 0;
    return at;
}

/// Whether the list has another turn.
/// \tparam Unit the unit.
template <unsigned Unit>
bool has_turn(const Progress<Unit>& at) {
#pragma HLS inline  // a comparison
    return at.retired.count[Unit] < at.count && !at.failed;
}

/// The address of the instruction whose turn it is.
/// \tparam Unit the unit.
template <unsigned Unit>
int address_of_turn(const Progress<Unit>& at) {
#pragma HLS inline  // an adder
    return to_int(at.first) + to_int(at.retired.count[Unit]);
}

/// Ends a turn: sends tokens if the instruction has retired; waits for tokens if it waits, so that it can start in the
/// next turn; otherwise the unit has failed.
/// \tparam Unit the unit.
template <unsigned Unit>
void settle(Progress<Unit>& at, Turn turn, isa::Error error, const InstructionWord& word,
            hls::stream<Token>& from_first, hls::stream<Token>& from_second, hls::stream<Token>& to_first,
            hls::stream<Token>& to_second) {
    const Unsigned<14> number = at.retired.count[Unit];
    if (turn == Turn::kRetires) {
        at.retired.count[Unit] = uplus<14>(number, Unsigned<1>(1));
        to_first.write(Token(0));
        to_second.write(Token(0));
        return;
    }
    at.failed = true;
    if (turn == Turn::kWaits) {
        // The wait fields are at the same position in all instructions.
        const Unsigned<14> waits[isa::UNIT_COUNT] = {take<isa::load::WAIT_ARRAY>(word),
                                                     take<isa::load::WAIT_VECTOR>(word),
                                                     take<isa::load::WAIT_STREAM>(word)};
        at.failed = !await(from_first, at.retired.count[at.one], waits[at.one], at.stopped_one) ||
                    !await(from_second, at.retired.count[at.two], waits[at.two], at.stopped_two) ||
                    waits[Unit] > number;
        // It waits for itself, or for a token that will never be sent.
        if (at.failed && !at.stopped_one && !at.stopped_two) error = isa::ERROR_DEADLOCK;
    }
    if (at.failed) at.status = (std::uint32_t(number) << 16) | (std::uint32_t(error) << 8) | 1U;
}

/// Ends the list: stops the other units after an error, and drains the tokens of this command from them.
/// \tparam Unit the unit.
/// \return 0 if all instructions have retired; otherwise bit 0 is set, bits 31:16 are the number of the instruction at
/// which the unit stopped, and bits 15:8 its error, or 0 if the error is in another unit.
template <unsigned Unit>
std::uint32_t finish(Progress<Unit>& at, const UnitRegisters& registers, hls::stream<Token>& from_first,
                     hls::stream<Token>& from_second, hls::stream<Token>& to_first, hls::stream<Token>& to_second) {
    if (at.failed) {
        to_first.write(Token(1));
        to_second.write(Token(1));
    }
    await(from_first, at.retired.count[at.one], registers.count[at.one], at.stopped_one);
    await(from_second, at.retired.count[at.two], registers.count[at.two], at.stopped_two);
    return at.status;
}

}  // namespace ng

#endif
