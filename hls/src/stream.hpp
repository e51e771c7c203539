// The stream unit: LOAD and STORE, docs/isa.md, section 6, and the beats of all commands.
//
// Reads beats with a time limit and a CRC, packs them into words, and sends words as beats.
// Limits: does not overlap one instruction with the next, and does not wait for tokens (engine.hpp, stream_top.cpp do).
#ifndef NG_STREAM_HPP
#define NG_STREAM_HPP

#include "instructions.hpp"

namespace ng {

/// State kept from one beat to the next within a command.
struct StreamState {
    bool ended;               ///< the packet's TLAST has been read
    bool holding;             ///< `held` is to be sent
    Unsigned<64> held;        ///< the last beat of results, held until its TLAST is known
    std::uint32_t crc;        ///< CRC of the beats read, as in zip, before the final inversion
    Unsigned<32> timeout;     ///< register TIMEOUT
};

/// The state at the start of a command.
inline StreamState start_stream(Unsigned<32> timeout) {
    StreamState state;
    state.ended = false;
    state.holding = false;
    state.held = 0;
    state.crc = 0xFFFFFFFFU;
    state.timeout = timeout;
    return state;
}

/// CRC-32 of one more beat, its lowest byte first: reflected polynomial 0xEDB88320.
inline std::uint32_t crc_step(std::uint32_t crc, Unsigned<64> beat) {
#pragma HLS inline  // 64 exclusive-or stages, merged into one layer of gates
    std::uint64_t rest = static_cast<std::uint64_t>(beat) ^ crc;
    for (int bit = 0; bit < 64; ++bit) {
#pragma HLS unroll  // one beat per cycle
        rest = (rest >> 1) ^ ((rest & 1U) != 0 ? std::uint64_t(0xEDB88320U) : std::uint64_t(0));
    }
    return static_cast<std::uint32_t>(rest);
}

/// Tries once to read a beat, or waits if there is no time limit. False if no beat was available.
inline bool try_read(StreamState& state, hls::stream<Beat>& in, Beat& beat) {
#pragma HLS inline  // part of its caller's pipeline
    bool got = true;
#ifndef __SYNTHESIS__
    if (in.empty()) return false;
#endif
    if (state.timeout == 0) {
        beat = in.read();
    } else {
        got = in.read_nb(beat);
    }
    if (got) {
        state.ended = beat.last != 0;
        state.crc = crc_step(state.crc, beat.data);
    }
    return got;
}

/// Beats of the packet that a loop reads, one per turn. The last may have TLAST.
struct Beats {
    Unsigned<26> count;
    Unsigned<26> done;
    Unsigned<32> idle;   ///< turns without a beat since the last one
    Unsigned<60> turns;  ///< bound of the loop: a turn reads a beat or is one of at most TIMEOUT idle turns
    isa::Error error;    ///< ERROR_NONE, ERROR_TRUNCATED or ERROR_TIMEOUT
};

/// The state before the first of `count` beats. An error if the packet has ended.
inline Beats expect_beats(const StreamState& state, Unsigned<26> count) {
    Beats beats;
    beats.count = count;
    beats.done = 0;
    beats.idle = 0;
    beats.turns = utimes<60>(count, uplus<33>(state.timeout, Unsigned<1>(1)));
    beats.error = state.ended ? isa::ERROR_TRUNCATED : isa::ERROR_NONE;
    return beats;
}

/// Whether the loop has another turn.
inline bool are_wanted(const Beats& beats) {
#pragma HLS inline  // a comparison
    return beats.done < beats.count && beats.error == isa::ERROR_NONE;
}

/// A turn of the loop. False if no beat was read.
inline bool next_beat(StreamState& state, Beats& beats, hls::stream<Beat>& in, Beat& beat) {
#pragma HLS inline
    if (try_read(state, in, beat)) {
        beats.done = uplus<26>(beats.done, Unsigned<1>(1));
        beats.idle = 0;
        if (state.ended && beats.done < beats.count) beats.error = isa::ERROR_TRUNCATED;
        return true;
    }
    beats.idle = uplus<32>(beats.idle, Unsigned<1>(1));
    if (beats.idle >= state.timeout) beats.error = isa::ERROR_TIMEOUT;
#ifndef __SYNTHESIS__
    // In simulation nothing else can fill the stream, so the time limit would expire.
    beats.error = state.timeout == 0 ? isa::ERROR_TRUNCATED : isa::ERROR_TIMEOUT;
#endif
    return false;
}

/// Reads and discards the rest of the packet. With a time limit, gives up after TIMEOUT turns without a beat.
inline void drop_packet(StreamState& state, hls::stream<Beat>& in) {
    Unsigned<32> idle = 0;
    for (std::uint32_t turn = 0; turn < 0xFFFFFFFFU && !state.ended; ++turn) {
#pragma HLS pipeline II=1  // one beat per cycle
#pragma HLS loop_tripcount min=0 max=65536  // what an error leaves of the weights
        Beat dropped;
#ifndef __SYNTHESIS__
        if (in.empty()) return;
#endif
        if (try_read(state, in, dropped)) {
            idle = 0;
        } else {
            idle = uplus<32>(idle, Unsigned<1>(1));
            if (idle >= state.timeout) return;
        }
    }
}

/// Discards a packet that has begun, that is, of which a beat is available. Waits at most TIMEOUT turns for each further
/// beat; with TIMEOUT 0, discards the beats that are available.
inline void drop_begun(Unsigned<32> timeout, hls::stream<Beat>& in) {
    bool begun = false, ended = false;
    Unsigned<32> idle = 0;
    for (std::uint32_t turn = 0; turn < 0xFFFFFFFFU && !ended; ++turn) {
#pragma HLS pipeline II=1
#pragma HLS loop_tripcount min=1 max=65536
        Beat dropped;
        if (in.read_nb(dropped)) {
            ended = dropped.last != 0;
            begun = true;
            idle = 0;
        } else {
            ended = !begun || idle >= timeout;
            idle = uplus<32>(idle, Unsigned<1>(1));
        }
    }
}

/// Sends a result beat or a closing beat.
inline void send(Unsigned<64> data, bool last, hls::stream<Beat>& out) {
#pragma HLS inline
    Beat beat;
    beat.data = data;
    beat.keep = 0xFF;
    beat.strb = 0xFF;
    beat.last = last ? 1 : 0;
    out.write(beat);
}

/// Ends the packet of a RUN: with the result that is held, or after an error with a closing beat.
inline void end_packet(StreamState& state, hls::stream<Beat>& out, isa::Error error) {
    const Unsigned<64> closing = (std::uint64_t(isa::CLOSING_MAGIC) << 32) | std::uint64_t(error);
    send(state.holding && error == isa::ERROR_NONE ? state.held : closing, true, out);
    state.holding = false;
}

/// Executes one LOAD that is decoded, not skipped and ready.
/// \tparam C the configuration.
/// \return ERROR_NONE, ERROR_ADDRESS, ERROR_TRUNCATED or ERROR_TIMEOUT.
template <class C>
isa::Error execute(StreamState& state, const Load& i, const Context& context, hls::stream<Beat>& in,
                   Word8<C::lanes> weight[C::weight_depth], Signed<32> bias[C::bias_depth],
                   NormWord norm[C::norm_depth], Signed<8> table[C::lanes][C::table_depth],
                   Unsigned<15> exp[C::lanes][C::exp_depth], IndexWord index[C::index_depth]) {
    constexpr int N = C::lanes;
    constexpr int half = C::index_depth / int(isa::SENTENCES);
    const bool to_index = i.memory == isa::MEMORY_INDEX, to_weight = i.memory == isa::MEMORY_WEIGHT;
    const Unsigned<22> count = i.count_source == isa::COUNT_LENGTH ? Unsigned<22>(length_of(i, context)) : i.count;
    const unsigned depth = to_weight                        ? C::weight_depth
                           : i.memory == isa::MEMORY_BIAS   ? C::bias_depth
                           : i.memory == isa::MEMORY_NORM   ? C::norm_depth
                           : i.memory == isa::MEMORY_TABLE  ? C::table_depth
                           : i.memory == isa::MEMORY_EXP    ? C::exp_depth
                                                            : half;
    if (!inside(i.base, count, depth)) return isa::ERROR_ADDRESS;
    const Unsigned<3> parts = to_weight ? Unsigned<3>(N / 8) : to_index ? Unsigned<3>(2) : Unsigned<3>(1);
    int at = to_int(i.base) + (to_index ? half * to_int(i.sentence) : 0);
    Unsigned<3> part = 0;
    Word8<N> lanes;
    IndexWord columns;
    Beats beats = expect_beats(state, utimes<26>(count, parts));
    for (Unsigned<60> turn = 0; turn < beats.turns && are_wanted(beats); ++turn) {
#pragma HLS pipeline II=1
#pragma HLS loop_tripcount min=1 max=65536  // weights of a small model
        Beat beat;
        if (!next_beat(state, beats, in, beat)) continue;
        for (int byte = 0; byte < 8; ++byte) {
#pragma HLS unroll  // all bytes of a beat in parallel
            lanes.lane[(8 * to_int(part) + byte) % N] = wrap<8>(low<8>(beat.data >> (8 * byte)));
        }
        for (int column = 0; column < 4; ++column) {
#pragma HLS unroll
            columns.column[(4 * to_int(part) + column) % int(isa::INDEX_COLUMNS)] = low<16>(beat.data >> (16 * column));
        }
        part = uplus<3>(part, Unsigned<1>(1));
        if (part < parts) continue;
        part = 0;
        if (to_weight) weight[at] = lanes;
        if (to_index) index[at] = columns;
        if (i.memory == isa::MEMORY_BIAS) bias[at] = wrap<32>(beat.data);
        if (i.memory == isa::MEMORY_NORM) {
            norm[at].beta = wrap<32>(beat.data);
            norm[at].gamma = wrap<12>(beat.data >> 32);
        }
        for (int j = 0; j < N; ++j) {
#pragma HLS unroll  // every lane's copy
            if (i.memory == isa::MEMORY_TABLE) table[j][at] = wrap<8>(beat.data);
            if (i.memory == isa::MEMORY_EXP) exp[j][at] = low<15>(beat.data);
        }
        ++at;
    }
    return beats.error;
}

/// Executes one STORE that is decoded, not skipped and ready.
/// \tparam C the configuration.
/// \return ERROR_NONE or ERROR_ADDRESS; nothing was sent in case of an error.
template <class C>
isa::Error execute(StreamState& state, const Store& i, const Word16<C::lanes> wide[C::wide_depth],
                   hls::stream<Beat>& out) {
    constexpr int parts = C::lanes / 4;
    if (!inside(i.base, i.count, C::wide_depth)) return isa::ERROR_ADDRESS;
    const Unsigned<24> beats = utimes<24>(i.count, Unsigned<4>(parts));
    for (Unsigned<24> n = 0; n < beats; ++n) {
#pragma HLS pipeline II=1
#pragma HLS loop_tripcount min=0 max=8192  // logits of a sentence
        const Word16<C::lanes> word = wide[to_int(i.base) + to_int(n) / parts];
        const int first = 4 * (to_int(n) % parts);
        if (state.holding) send(state.held, false, out);
        Unsigned<64> data = 0;
        for (int j = 0; j < 4; ++j) {
#pragma HLS unroll
            data = data | ushift_left<64>(low<16>(word.lane[first + j]), 16 * j);
        }
        state.held = data;
        state.holding = true;
    }
    return isa::ERROR_NONE;
}

/// The stream unit's turn with its next instruction. In INIT only LOAD is allowed.
/// \tparam C the configuration.
template <class C>
Turn stream_turn(const InstructionWord& word, const Context& context, const Retired& retired, isa::Error& error,
                 StreamState& packet, hls::stream<Beat>& in, hls::stream<Beat>& out,
                 const Word16<C::lanes> wide[C::wide_depth], Word8<C::lanes> weight[C::weight_depth],
                 Signed<32> bias[C::bias_depth], NormWord norm[C::norm_depth],
                 Signed<8> table[C::lanes][C::table_depth], Unsigned<15> exp[C::lanes][C::exp_depth],
                 IndexWord index[C::index_depth]) {
    Load load;
    Store store;
    Turn turn = Turn::kFails;
    error = isa::ERROR_NONE;
    if (decode(word, load)) {
        turn = begin_turn<C>(load, context, retired);
        if (turn == Turn::kStarts) error = execute<C>(packet, load, context, in, weight, bias, norm, table, exp, index);
    } else if (decode(word, store) && !context.init) {
        turn = begin_turn<C>(store, context, retired);
        if (turn == Turn::kStarts) error = execute<C>(packet, store, wide, out);
    } else {
        error = isa::ERROR_FIELD;
    }
    return turn == Turn::kStarts ? end_turn(error) : turn;
}

}  // namespace ng

#endif
