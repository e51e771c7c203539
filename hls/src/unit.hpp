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

/// Executes a unit's list.
/// \tparam Unit the unit.
/// \tparam Depth words of the program memory.
/// \tparam F the unit's turn: (word, context, retired, error) to Turn.
/// \return 0 if all instructions have retired; otherwise bit 0 is set, bits 31:16 are the number of the instruction at
/// which the unit stopped, and bits 15:8 its error, or 0 if the error is in another unit.
template <unsigned Unit, int Depth, class F>
std::uint32_t run_unit(const UnitRegisters& registers, const InstructionWord program[Depth],
                       hls::stream<Token>& from_first, hls::stream<Token>& from_second, hls::stream<Token>& to_first,
                       hls::stream<Token>& to_second, F turn_of) {
    // The other units, in the order of isa::Unit.
    constexpr unsigned one = Unit == 0 ? 1 : 0, two = Unit == 2 ? 1 : 2;
    Context context;
    context.init = registers.init != 0;
    context.sentences = registers.sentences;
    for (unsigned s = 0; s < isa::SENTENCES; ++s) {
        context.length[s] = registers.length[s];
    }
    Retired retired;
    for (unsigned unit = 0; unit < isa::UNIT_COUNT; ++unit) {
        retired.count[unit] = 0;
    }
    bool stopped_one = false, stopped_two = false, failed = false;
    std::uint32_t status = 0;
    const unsigned count = registers.count[Unit];
    for (unsigned n = 0; n < count && !failed; ++n) {
#pragma HLS loop_tripcount min=1 max=2048
        const InstructionWord word = program[registers.first + n];
        isa::Error error = isa::ERROR_NONE;
        Turn turn = turn_of(word, context, retired, error);
        if (turn == Turn::kWaits) {
            // The wait fields are at the same position in all instructions.
            const Unsigned<14> waits[isa::UNIT_COUNT] = {take<isa::load::WAIT_ARRAY>(word),
                                                         take<isa::load::WAIT_VECTOR>(word),
                                                         take<isa::load::WAIT_STREAM>(word)};
            failed = !await(from_first, retired.count[one], waits[one], stopped_one) ||
                     !await(from_second, retired.count[two], waits[two], stopped_two);
            if (!failed) turn = turn_of(word, context, retired, error);
            // It still waits: for itself, or for a token that will never be sent.
            if (turn == Turn::kWaits && !stopped_one && !stopped_two) error = isa::ERROR_DEADLOCK;
        }
        if (turn == Turn::kRetires) {
            retired.count[Unit] = uplus<14>(retired.count[Unit], Unsigned<1>(1));
            to_first.write(Token(0));
            to_second.write(Token(0));
        } else {
            failed = true;
            status = (n << 16) | (std::uint32_t(error) << 8) | 1U;
        }
    }
    if (failed) {
        to_first.write(Token(1));
        to_second.write(Token(1));
    }
    // Drain the tokens of this command from the other units.
    await(from_first, retired.count[one], registers.count[one], stopped_one);
    await(from_second, retired.count[two], registers.count[two], stopped_two);
    return status;
}

}  // namespace ng

#endif
