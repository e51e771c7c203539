// The vector unit: SOFTMAX and LAYERNORM, docs/isa.md, section 5. All lanes work in parallel.
//
// Checks statistics and addresses and executes one instruction. Divisions and roots compute one bit per cycle. Each
// instruction has one of each per lane, taking about as many cycles as the loop that follows.
// Limits: does not overlap one instruction with the next, and does not wait for tokens (engine.hpp, vector_top.cpp do).
#ifndef NG_VECTOR_HPP
#define NG_VECTOR_HPP

#include "instructions.hpp"
#include "rounding.hpp"

namespace ng {

/// floor(Dividend / divisor) of every lane, at most Bits bits, by restoring division. The result is
/// meaningless if the divisor is at most Dividend >> Bits.
/// \tparam Dividend a constant below 2^31.
/// \tparam Bits of the quotient, one per turn.
/// \tparam N lanes.
template <unsigned Dividend, int Bits, int N>
inline void divide(const Unsigned<24> (&divisor)[N], Unsigned<Bits> (&quotient)[N]) {
    Unsigned<26> rest[N];
#pragma HLS array_partition variable=rest complete  // one per lane
    for (int j = 0; j < N; ++j) {
#pragma HLS unroll  // all lanes in parallel
        rest[j] = Dividend >> Bits;
        quotient[j] = 0;
    }
    for (int bit = Bits - 1; bit >= 0; --bit) {
#pragma HLS pipeline II=1  // one subtraction per lane and cycle
        for (int j = 0; j < N; ++j) {
#pragma HLS unroll
            const Unsigned<26> next = uplus<26>(ushift_left<26>(rest[j], 1), Unsigned<1>((Dividend >> bit) & 1U));
            const bool fits = next >= divisor[j];
            rest[j] = fits ? uminus<26>(next, divisor[j]) : next;
            quotient[j] = uplus<Bits>(ushift_left<Bits>(quotient[j], 1), Unsigned<1>(fits ? 1 : 0));
        }
    }
}

/// floor(sqrt(v)) of every lane, one bit of the root per turn.
/// \tparam N lanes.
template <int N>
inline void square_root(const Unsigned<32> (&v)[N], Unsigned<16> (&root)[N]) {
    Unsigned<20> rest[N];
#pragma HLS array_partition variable=rest complete
    for (int j = 0; j < N; ++j) {
#pragma HLS unroll
        rest[j] = 0;
        root[j] = 0;
    }
    for (int pair = 15; pair >= 0; --pair) {
#pragma HLS pipeline II=1
        for (int j = 0; j < N; ++j) {
#pragma HLS unroll
            const Unsigned<20> next = uplus<20>(ushift_left<20>(rest[j], 2), low<2>(v[j] >> (2 * pair)));
            const Unsigned<20> trial = uplus<20>(ushift_left<20>(root[j], 2), Unsigned<1>(1));
            const bool fits = next >= trial;
            rest[j] = fits ? uminus<20>(next, trial) : next;
            root[j] = uplus<16>(ushift_left<16>(root[j], 1), Unsigned<1>(fits ? 1 : 0));
        }
    }
}

/// Bits of v: 0 for 0, 1 for 1, 3 for 4.
inline int bit_length(Unsigned<50> v) {
#pragma HLS inline  // a priority encoder
    int length = 0;
    for (int bit = 0; bit < 50; ++bit) {
#pragma HLS unroll  // all bits in parallel
        if (((v >> bit) & 1U) != 0) length = bit + 1;
    }
    return length;
}

/// Executes one SOFTMAX that is decoded, not skipped and ready.
/// \tparam C the configuration.
/// \return ERROR_NONE, ERROR_ADDRESS or ERROR_STAT; nothing was written in case of an error.
template <class C>
isa::Error execute(const Softmax& i, const Context& context, const Word8<C::lanes> score[C::score_depth],
                   const StatWord<C::lanes> stat[C::stat_depth], const Unsigned<15> exp[C::lanes][C::exp_depth],
                   Word8<C::lanes> vector[C::vector_depth]) {
    constexpr int N = C::lanes;
    const Unsigned<10> count = length_of(i, context);
    const int table = 256 * to_int(i.exp_id);
    if (i.stat_slot >= unsigned(C::stat_depth) || table + 256 > C::exp_depth) return isa::ERROR_ADDRESS;
    const StatWord<N> gathered = stat[to_int(i.stat_slot)];
    if (gathered.kind != isa::STAT_MAX || gathered.count != count) return isa::ERROR_STAT;
    if (!inside(i.source, count, C::score_depth) || !inside(i.target, count, C::vector_depth))
        return isa::ERROR_ADDRESS;
    Unsigned<24> sum[N];
#pragma HLS array_partition variable=sum complete
    Unsigned<17> reciprocal[N];
#pragma HLS array_partition variable=reciprocal complete
    for (int j = 0; j < N; ++j) {
#pragma HLS unroll
        sum[j] = 0;
    }
    for (Unsigned<10> k = 0; k < count; ++k) {
#pragma HLS pipeline II=1  // one key per cycle
#pragma HLS loop_tripcount min=1 max=512  // keys of a sentence
        const Word8<N> word = score[to_int(i.source) + to_int(k)];
        for (int j = 0; j < N; ++j) {
#pragma HLS unroll  // all lanes of a word in parallel
            const Unsigned<8> x = uminus<8>(gathered.largest[j], word.lane[j]);
            sum[j] = uplus<24>(sum[j], exp[j][table + to_int(x)]);
        }
    }
    divide<(1U << 30), 17>(sum, reciprocal);
    for (int j = 0; j < N; ++j) {
#pragma HLS unroll
        // For sums up to 2^13, including 0, the quotient has more than 17 bits.
        if (sum[j] <= (1U << 13)) reciprocal[j] = (1U << 17) - 1;
    }
    for (Unsigned<10> k = 0; k < count; ++k) {
#pragma HLS pipeline II=1  // one key per cycle; looking up exponentials again is cheaper than storing them
#pragma HLS loop_tripcount min=1 max=512
        const Word8<N> word = score[to_int(i.source) + to_int(k)];
        Word8<N> result;
        for (int j = 0; j < N; ++j) {
#pragma HLS unroll
            const Unsigned<8> x = uminus<8>(gathered.largest[j], word.lane[j]);
            const Unsigned<33> product = utimes<33>(exp[j][table + to_int(x)], reciprocal[j]);
            const Unsigned<12> p = low<12>(uplus<33>(product, Unsigned<22>(1U << 21)) >> 22);
            result.lane[j] = wrap<8>(p > 255U ? Unsigned<8>(255) : low<8>(p));
        }
        const int at = to_int(i.target) + to_int(k);
        vector[at] = result;
#ifndef __SYNTHESIS__
        csim::written<N>(isa::MEMORY_VECTOR, unsigned(at), result.lane, result.lane, false);
#endif
    }
    return isa::ERROR_NONE;
}

/// t of docs/numerics.md, section 8: half the number of bits by which V is shifted. 16 if V is 0.
inline int norm_shift(Unsigned<50> v) {
#pragma HLS inline
    // A right shift rounds towards minus infinity.
    return (32 - bit_length(v)) >> 1;
}

/// Executes one LAYERNORM that is decoded, not skipped and ready.
/// \tparam C the configuration.
/// \return ERROR_NONE, ERROR_ADDRESS or ERROR_STAT; nothing was written in case of an error.
template <class C>
isa::Error execute(const LayerNorm& i, const Word16<C::lanes> wide[C::wide_depth],
                   const StatWord<C::lanes> stat[C::stat_depth], const NormWord norm[C::norm_depth],
                   Word8<C::lanes> vector[C::vector_depth]) {
    constexpr int N = C::lanes;
    if (i.stat_slot >= unsigned(C::stat_depth)) return isa::ERROR_ADDRESS;
    const StatWord<N> gathered = stat[to_int(i.stat_slot)];
    if (gathered.kind != isa::STAT_SUMS || gathered.count != i.size) return isa::ERROR_STAT;
    if (!inside(i.source, i.count, C::wide_depth) || !inside(i.target, i.count, C::vector_depth) ||
        !inside(i.norm_base, i.count, C::norm_depth))
        return isa::ERROR_ADDRESS;
    Signed<6> shift[N];
#pragma HLS array_partition variable=shift complete
    Unsigned<32> radicand[N];
#pragma HLS array_partition variable=radicand complete
    Unsigned<16> root[N];
#pragma HLS array_partition variable=root complete
    Unsigned<24> divisor[N];
#pragma HLS array_partition variable=divisor complete
    Unsigned<16> reciprocal[N];
#pragma HLS array_partition variable=reciprocal complete
    for (int j = 0; j < N; ++j) {
#pragma HLS unroll
        const Unsigned<52> scaled = utimes<52>(i.size, gathered.square[j]);
        const Signed<52> squared = times<52>(gathered.sum[j], gathered.sum[j]);
        const Unsigned<50> v = low<50>(uminus<52>(scaled, squared));
        const int t = norm_shift(v);
        shift[j] = t;
        // 2 t is at most 30, or 32 if V is 0, where any shift is correct.
        radicand[j] = t >= 0 ? ushift_left<32>(low<32>(v), (2 * t) & 31) : low<32>(v >> (-2 * t));
    }
    square_root(radicand, root);
    for (int j = 0; j < N; ++j) {
#pragma HLS unroll
        divisor[j] = root[j];
    }
    // The root is at least 2^15 unless V is 0, so the quotient has 16 bits.
    divide<0x7FFFFFFFU, 16>(divisor, reciprocal);
    for (int j = 0; j < N; ++j) {
#pragma HLS unroll
        if (root[j] == 0) reciprocal[j] = 0;
    }
    for (Unsigned<11> f = 0; f < i.count; ++f) {
#pragma HLS pipeline II=1  // one feature per cycle
#pragma HLS loop_tripcount min=1 max=1024  // features of a token
        const Word16<N> word = wide[to_int(i.source) + to_int(f)];
        const NormWord factors = norm[to_int(i.norm_base) + to_int(f)];
        Word8<N> result;
        for (int j = 0; j < N; ++j) {
#pragma HLS unroll
            const Signed<27> d = minus<27>(times<27>(i.size, word.lane[j]), gathered.sum[j]);
            const int t = to_int(shift[j]);
            const Signed<28> half = t < 0 ? shift_left<28>(Signed<2>(1), -t - 1) : Signed<28>(0);
            // With a reciprocal of 0 every normalized value is 0, for any shift.
            const Signed<22> c =
                t >= 0 ? shift_left<22>(wrap<22>(d), t) : wrap<22>(plus<28>(d, half) >> -t);
            const Signed<39> scaled = plus<39>(times<39>(c, reciprocal[j]), Signed<20>(1 << 18));
            const Signed<32> n = saturate(wrap<32>(scaled >> 19), Unsigned<5>(18), false);
            const Signed<32> y = plus<32>(times<32>(n, factors.gamma), factors.beta);
            result.lane[j] = wrap<8>(saturate(shift_round(y, i.shift), Unsigned<5>(i.bits), false));
        }
        const int at = to_int(i.target) + to_int(f);
        vector[at] = result;
#ifndef __SYNTHESIS__
        csim::written<N>(isa::MEMORY_VECTOR, unsigned(at), result.lane, result.lane, false);
#endif
    }
    return isa::ERROR_NONE;
}

/// The vector unit's turn with its next instruction.
/// \tparam C the configuration.
template <class C>
Turn vector_turn(const InstructionWord& word, const Context& context, const Retired& retired, isa::Error& error,
                 const Word8<C::lanes> score[C::score_depth], const Word16<C::lanes> wide[C::wide_depth],
                 const StatWord<C::lanes> stat[C::stat_depth], const NormWord norm[C::norm_depth],
                 const Unsigned<15> exp[C::lanes][C::exp_depth], Word8<C::lanes> vector[C::vector_depth]) {
    Softmax softmax;
    LayerNorm layer_norm;
    Turn turn = Turn::kFails;
    error = isa::ERROR_NONE;
    if (decode(word, softmax)) {
        turn = begin_turn<C>(softmax, context, retired);
        if (turn == Turn::kStarts) error = execute<C>(softmax, context, score, stat, exp, vector);
    } else if (decode(word, layer_norm)) {
        turn = begin_turn<C>(layer_norm, context, retired);
        if (turn == Turn::kStarts) error = execute<C>(layer_norm, wide, stat, norm, vector);
    } else {
        error = isa::ERROR_FIELD;
    }
    return turn == Turn::kStarts ? end_turn(error) : turn;
}

}  // namespace ng

#endif
