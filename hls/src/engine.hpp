// The engine: commands, the program memory, and units that take turns. docs/isa.md, sections 2, 3 and 7.
//
// PROGRAM, INIT and RUN with all checks in their order, error codes, ERROR_WHERE, and the rest of the packet after an
// error.
// Limits: does not run units in parallel in hardware (array_top.cpp, vector_top.cpp and stream_top.cpp do), and does
// not count cycles. One call is one write to CONTROL, so a clear has no effect before the command has returned: without
// TIMEOUT a command waits for its input, and it waits for its output to be taken. A RUN returns when its last beat has
// left the kernel, which may be before it is taken. A clear discards a packet that has begun, but cannot wait longer than
// TIMEOUT for the rest: write it when the send channel has finished or was reset.
#ifndef NG_ENGINE_HPP
#define NG_ENGINE_HPP

#include "array.hpp"
#include "stream.hpp"
#include "vector.hpp"

namespace ng {

/// An error, and the instruction that it identifies, if any.
struct Fault {
    isa::Error error;
    bool named;
    Unsigned<2> unit;
    Unsigned<16> number;
};

inline Fault no_fault() { return Fault{isa::ERROR_NONE, false, 0, 0}; }
inline Fault fault(isa::Error error) { return Fault{error, false, 0, 0}; }
inline Fault fault(isa::Error error, unsigned unit, Unsigned<14> number) {
    return Fault{error, true, Unsigned<2>(unit), Unsigned<16>(number)};
}

/// The content of ERROR_WHERE.
inline Unsigned<32> error_where(const Fault& f) {
    return f.named ? Unsigned<32>((1U << 31) | (unsigned(to_int(f.unit)) << 16) | unsigned(to_int(f.number)))
                   : Unsigned<32>(0);
}

/// State kept from one command to the next, except memories.
/// \tparam C the configuration.
template <class C>
struct EngineState {
    InstructionWord program[C::program_depth];
    std::uint32_t header[isa::HEADER_WORDS];
    bool has_program;
    bool has_image;
    Fault fault;  ///< the error, until it is cleared
    bool resumed;  ///< the previous CONTRACT of the command had `keep`
};

/// The lists of a command: start in the program memory and length, for each unit.
struct Lists {
    Unsigned<14> first[isa::UNIT_COUNT];
    Unsigned<14> count[isa::UNIT_COUNT];
};

/// Whether a program's header fits the engine.
/// \tparam C the configuration.
template <class C>
bool fits(const std::uint32_t (&header)[isa::HEADER_WORDS]) {
    constexpr std::uint32_t depths[isa::MEMORY_COUNT] = {
        C::weight_depth, C::kv_depth,   C::act_depth,  C::vector_depth, C::score_depth, C::wide_depth,   C::stat_depth,
        C::bias_depth,   C::norm_depth, C::table_depth, C::exp_depth,   C::index_depth, C::program_depth};
    bool good = header[isa::HEADER_LANES] == unsigned(C::lanes) && header[isa::HEADER_ACC_BITS] == isa::ACC_BITS &&
                header[isa::HEADER_INDEX_DEPTH] % 2 == 0 && header[isa::HEADER_MAX_LENGTH] >= 1 &&
                header[isa::HEADER_MAX_LENGTH] <= isa::MAX_LENGTH && header[isa::HEADER_SENTENCES] >= 1 &&
                header[isa::HEADER_SENTENCES] <= isa::SENTENCES;
    for (unsigned m = 0; m < isa::MEMORY_COUNT; ++m) {
        const std::uint32_t depth = header[isa::HEADER_WEIGHT_DEPTH + m];
        good = good && depth >= 1 && depth <= depths[m];
    }
    std::uint64_t count = 0;
    for (unsigned list = 0; list < isa::LISTS; ++list) {
        count += header[isa::HEADER_INIT_COUNT + list];
    }
    return good && count <= std::uint64_t(C::program_depth);
}

/// The command PROGRAM.
/// \tparam C the configuration.
template <class C>
isa::Error load_program(EngineState<C>& state, StreamState& packet, hls::stream<Beat>& in) {
    state.has_program = false;
    state.has_image = false;
    auto& header = state.header;
    Beats beats = expect_beats(packet, isa::HEADER_WORDS / 2);
    for (Unsigned<60> turn = 0; turn < beats.turns && are_wanted(beats); ++turn) {
#pragma HLS pipeline II=1  // one beat per cycle
#pragma HLS loop_tripcount min=1 max=16  // of the header
        const int number = to_int(beats.done);
        Beat beat;
        if (!next_beat(packet, beats, in, beat)) continue;
        header[2 * number] = static_cast<std::uint32_t>(low<32>(beat.data));
        header[2 * number + 1] = static_cast<std::uint32_t>(low<32>(beat.data >> 32));
    }
    if (beats.error != isa::ERROR_NONE) return beats.error;
    if (header[isa::HEADER_MAGIC] != isa::PROGRAM_MAGIC) return isa::ERROR_MAGIC;
    if (header[isa::HEADER_VERSION] != isa::ISA_VERSION) return isa::ERROR_VERSION;
    if (!fits<C>(header)) return isa::ERROR_PARAMETER;
    constexpr int parts = isa::INSTRUCTION_BITS / isa::BEAT_BITS;
    std::uint32_t count = 0;
    for (unsigned list = 0; list < isa::LISTS; ++list) {
        count += header[isa::HEADER_INIT_COUNT + list];
    }
    const Unsigned<26> last = parts * count;
    InstructionWord word;
    std::uint32_t crc = packet.crc;
    Unsigned<64> check = 0;
    beats = expect_beats(packet, uplus<26>(last, Unsigned<1>(1)));
    for (Unsigned<60> turn = 0; turn < beats.turns && are_wanted(beats); ++turn) {
#pragma HLS pipeline II=1
#pragma HLS loop_tripcount min=1 max=16384  // of a small model
        const Unsigned<26> number = beats.done;
        Beat beat;
        if (!next_beat(packet, beats, in, beat)) continue;
        if (number == last) {
            check = beat.data;
        } else {
            word.part[to_int(number) % parts] = beat.data;
            if (to_int(number) % parts == parts - 1) state.program[to_int(number) / parts] = word;
            crc = packet.crc;
        }
    }
    if (beats.error != isa::ERROR_NONE) return beats.error;
    if (!packet.ended) return isa::ERROR_OVERRUN;
    if (check != std::uint64_t(std::uint32_t(~crc))) return isa::ERROR_PROGRAM_CRC;
    state.has_program = true;
    return isa::ERROR_NONE;
}

/// Executes lists: units take turns in the order of isa::Unit, one instruction each, if it may start.
/// \tparam C the configuration.
template <class C>
Fault execute_lists(EngineState<C>& state, const Lists& lists, const Context& context, StreamState& packet,
                    hls::stream<Beat>& in, hls::stream<Beat>& out, Memories<C>& m) {
    Retired retired;
    unsigned left = 0;
    for (unsigned unit = 0; unit < isa::UNIT_COUNT; ++unit) {
        retired.count[unit] = 0;
        left += unsigned(to_int(lists.count[unit]));
    }
    state.resumed = false;
    // Every round retires an instruction, except the last.
    const unsigned rounds = left;
    for (unsigned round = 0; round < rounds && left > 0; ++round) {
#pragma HLS loop_tripcount min=1 max=2048  // instructions of a small model
        bool progress = false;
        for (unsigned unit = 0; unit < isa::UNIT_COUNT; ++unit) {
            const Unsigned<14> number = retired.count[unit];
            if (number >= lists.count[unit]) continue;
            const InstructionWord word = state.program[to_int(lists.first[unit]) + to_int(number)];
#ifndef __SYNTHESIS__
            if (csim::watch != nullptr) csim::watch->executes(int(unit), unsigned(to_int(number)));
#endif
            isa::Error error = isa::ERROR_NONE;
            Turn turn = Turn::kWaits;
            if (unit == isa::UNIT_ARRAY) {
                turn = array_turn<C>(word, context, retired, error, state.resumed, m.weight, m.kv, m.act, m.vector,
                                     m.score, m.wide, m.stat, m.bias, m.table, m.index);
            } else if (unit == isa::UNIT_VECTOR) {
                turn = vector_turn<C>(word, context, retired, error, m.score, m.wide, m.stat, m.norm, m.exp, m.vector);
            } else {
                turn = stream_turn<C>(word, context, retired, error, packet, in, out, m.wide, m.weight, m.bias, m.norm,
                                      m.table, m.exp, m.index);
            }
            if (turn == Turn::kFails) return fault(error, unit, number);
            if (turn == Turn::kWaits) continue;
            retired.count[unit] = uplus<14>(number, Unsigned<1>(1));
            --left;
            progress = true;
        }
        if (!progress) break;
    }
    for (unsigned unit = 0; unit < isa::UNIT_COUNT; ++unit) {
        if (retired.count[unit] < lists.count[unit]) return fault(isa::ERROR_DEADLOCK, unit, retired.count[unit]);
    }
    return no_fault();
}

/// The command INIT.
/// \tparam C the configuration.
template <class C>
Fault init(EngineState<C>& state, StreamState& packet, hls::stream<Beat>& in, hls::stream<Beat>& out, Memories<C>& m) {
    state.has_image = false;
    Context context;
    context.init = true;
    context.sentences = 0;
    for (unsigned s = 0; s < isa::SENTENCES; ++s) {
        context.length[s] = 0;
    }
    Lists lists;
    for (unsigned unit = 0; unit < isa::UNIT_COUNT; ++unit) {
        lists.first[unit] = 0;
        lists.count[unit] = unit == isa::UNIT_STREAM ? state.header[isa::HEADER_INIT_COUNT] : 0;
    }
    const Fault found = execute_lists<C>(state, lists, context, packet, in, out, m);
    if (found.error != isa::ERROR_NONE) return found;
    if (!packet.ended) return fault(isa::ERROR_OVERRUN);
    if (std::uint32_t(~packet.crc) != state.header[isa::HEADER_IMAGE_CRC]) return fault(isa::ERROR_IMAGE_CRC);
    state.has_image = true;
    return no_fault();
}

/// The command RUN.
/// \tparam C the configuration.
template <class C>
Fault run(EngineState<C>& state, StreamState& packet, std::uint32_t sentences,
          const std::uint32_t (&lengths)[isa::SENTENCES], hls::stream<Beat>& in, hls::stream<Beat>& out,
          Memories<C>& m) {
    if (sentences < 1 || sentences > state.header[isa::HEADER_SENTENCES]) return fault(isa::ERROR_LENGTH);
    Context context;
    context.init = false;
    context.sentences = sentences;
    for (unsigned s = 0; s < isa::SENTENCES; ++s) {
        const bool counts = s < sentences;
        if (counts && (lengths[s] < 1 || lengths[s] > state.header[isa::HEADER_MAX_LENGTH]))
            return fault(isa::ERROR_LENGTH);
        context.length[s] = counts ? lengths[s] : 0;
    }
    Lists lists;
    Unsigned<14> first = state.header[isa::HEADER_INIT_COUNT];
    for (unsigned unit = 0; unit < isa::UNIT_COUNT; ++unit) {
        lists.first[unit] = first;
        lists.count[unit] = state.header[isa::HEADER_ARRAY_COUNT + unit];
        first = uplus<14>(first, lists.count[unit]);
    }
    const Fault found = execute_lists<C>(state, lists, context, packet, in, out, m);
    if (found.error != isa::ERROR_NONE) return found;
    if (!packet.ended) return fault(isa::ERROR_OVERRUN);
    return no_fault();
}

/// A write to the register CONTROL, while idle or in the error state, with the packet of the command.
/// In the error state only bit 31 has an effect: it ends that state. `timeout`, `sentences` and `lengths` are the
/// registers at the time of this write. They are copies, unaffected by later writes.
/// \tparam C the configuration.
/// \return the error state; no error if there is none.
template <class C>
Fault control(EngineState<C>& state, std::uint32_t value, std::uint32_t timeout, std::uint32_t sentences,
              const std::uint32_t (&lengths)[isa::SENTENCES], hls::stream<Beat>& in, hls::stream<Beat>& out,
              Memories<C>& m) {
    if ((value >> 31) != 0) {
        state.fault = no_fault();
        drop_begun(Unsigned<32>(timeout), in);
        return state.fault;
    }
    const unsigned command = value & 7U;
    if (state.fault.error != isa::ERROR_NONE) return state.fault;
    StreamState packet = start_stream(Unsigned<32>(timeout));
    if (command == isa::COMMAND_PROGRAM) {
        state.fault = fault(load_program<C>(state, packet, in));
    } else if (command == isa::COMMAND_INIT && state.has_program) {
        state.fault = init<C>(state, packet, in, out, m);
    } else if (command == isa::COMMAND_RUN && state.has_image) {
        state.fault = run<C>(state, packet, sentences, lengths, in, out, m);
    } else {
        state.fault = fault(isa::ERROR_COMMAND);
    }
    if (command == isa::COMMAND_RUN) end_packet(packet, out, state.fault.error);
    if (state.fault.error != isa::ERROR_NONE) drop_packet(packet, in);
    return state.fault;
}

}  // namespace ng

#endif
