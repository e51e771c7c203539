// The array: CONTRACT, docs/isa.md, section 4.
//
// Executes the loop nest of a checked job (job.hpp) in one pipelined loop. A turn of the loop multiplies one pair of
// words into a tile of accumulators and, in parallel, drains one word of the tile before, which is in a second set of
// accumulators. So a tile takes the larger of its operand pairs and its words, as in hw/rtl.
//
// It is one loop and not a dataflow region of stages for two reasons. In a dataflow region each array may be an argument
// of one process only (UG1399, canonical forms), but KV, ACT and WIDE are read for one stage and written by another, and
// WEIGHT and VECTOR are read for three. And a stream of tiles would be N * N * 32 bits wide, where Vitis HLS takes at
// most 4,096. In one loop the memories have one owner, and the tile stays in registers.
//
// Ports: WEIGHT has two for reading, one for A, one for B and the residual. VECTOR has one, for B and the residual. A
// residual comes first, and the pair that needs the port waits for a turn. INDEX has one for A and one for B. BIAS is
// read once per turn: by columns the N biases of a tile are read while it is multiplied.
// Limits: does not overlap one CONTRACT with the next, and does not wait for tokens (engine.hpp, array_top.cpp do).
#ifndef NG_ARRAY_HPP
#define NG_ARRAY_HPP

#include "job.hpp"
#include "rounding.hpp"

namespace ng {

/// The address of an operand: that of the walk, plus the index if it has one.
/// \tparam C the configuration.
template <class C>
inline int operand_address(const Job& job, const Walk& walk, Unsigned<2> indexed, Unsigned<3> column,
                           Unsigned<16> index_stride, const IndexWord index[C::index_depth]) {
#pragma HLS inline  // part of the loop's pipeline
    if (indexed == isa::INDEXED_NONE) return to_int(walk.at);
    const Unsigned<13> token = indexed == isa::INDEXED_LOOP0 ? Unsigned<13>(walk.i0) : walk.inner;
    const int place = C::index_depth / int(isa::SENTENCES) * to_int(job.c.sentence) + to_int(job.first);
    const Unsigned<16> number = index[place + to_int(token)].column[to_int(column)];
    return to_int(uplus<36>(walk.at, utimes<36>(number, index_stride)));
}

/// Executes a CONTRACT whose addresses have been checked.
/// \tparam C the configuration.
template <class C>
void contract(const Job job, const Word8<C::lanes> weight[C::weight_depth], Word8<C::lanes> kv[C::kv_depth],
              Word8<C::lanes> act[C::act_depth], const Word8<C::lanes> vector[C::vector_depth],
              Word8<C::lanes> score[C::score_depth], Word16<C::lanes> wide[C::wide_depth],
              StatWord<C::lanes> stat[C::stat_depth], const Signed<32> bias[C::bias_depth],
              const Signed<8> table[C::lanes][C::table_depth], const IndexWord index[C::index_depth]) {
    constexpr int N = C::lanes;
    const Contract& c = job.c;
    // Row i of A by column j of B. `keep` leaves sums for the next CONTRACT.
    static Signed<32> acc[N][N];
#pragma HLS array_partition variable=acc complete dim=0  // N * N accumulators, each a register
    static Signed<32> full[N][N];
#pragma HLS array_partition variable=full complete dim=0  // any word of the tile can be selected in a turn
    const bool to_wide = c.c_space == isa::SPACE_WIDE;
    const bool adds = c.residual_space != isa::SPACE_NONE;
    const bool shares = job.reads && c.residual_space == c.b_space;  // WEIGHT or VECTOR
    const bool by_columns = c.bias != 0 && c.columns != 0;
    const int table_base = 256 * to_int(c.table_id);
    Unsigned<49> steps = job.steps;  // pairs to multiply
    Walk a(c.a_base);
    Walk b(c.b_base);
    bool fresh = !job.resumed;  // the next pair is the first of its sums
    Unsigned<13> words = 0;  // words to drain of the tile in `full`
    Walk target(0);          // of bias and residual, too, from their own bases
    Unsigned<6> fetched = 0;  // biases of the tile in `acc`, by columns
    Signed<32> fetching[N];
#pragma HLS array_partition variable=fetching complete  // one per lane
    Signed<32> biases[N];
#pragma HLS array_partition variable=biases complete
    StatWord<N> gathered;
#pragma HLS array_partition variable=gathered.sum complete
#pragma HLS array_partition variable=gathered.square complete
#pragma HLS array_partition variable=gathered.largest complete
    gathered.kind = c.stat;
    for (int j = 0; j < N; ++j) {
#pragma HLS unroll  // all lanes in parallel
        fetching[j] = 0;
        biases[j] = 0;
        gathered.sum[j] = 0;
        gathered.square[j] = 0;
        gathered.largest[j] = -128;
    }
    // Every turn multiplies, drains or reads a bias for a tile.
    const Unsigned<42> fetches = utimes<42>(utimes<36>(utimes<24>(job.n0, job.n1), job.drained), Unsigned<6>(N));
    const Unsigned<50> work = uplus<50>(job.steps, job.words);
    const Unsigned<50> turns = by_columns ? uplus<50>(work, fetches) : work;
    Unsigned<50> done = 0;
    for (Unsigned<50> turn = 0; turn < turns && done < work; ++turn) {
#pragma HLS pipeline II=1  // N * N products and one drained word per cycle
#pragma HLS loop_tripcount min=1 max=65536  // typical of a layer
        // docs/isa.md, section 4: a CONTRACT reads no word as an operand that it drains, and no word as a residual
        // that it drained in an earlier step.
#pragma HLS dependence variable=kv type=inter direction=RAW dependent=false  // so that reads do not wait for the drain
#pragma HLS dependence variable=act type=inter direction=RAW dependent=false
#pragma HLS dependence variable=wide type=inter direction=RAW dependent=false
#ifndef __SYNTHESIS__
        ++csim::turns;
#endif
        // What this turn does depends on counters only.
        const bool drains = words != 0;
        const bool last = uplus<14>(a.inner, Unsigned<1>(1)) >= job.nk;  // pair of its tile
        const bool drained = a.i2 < job.drained;                         // the tile has words to drain
        const bool fetches_bias = by_columns && steps != 0 && drained && fetched < unsigned(N);
        const bool complete = !by_columns || fetched >= unsigned(fetches_bias ? N - 1 : N);
        const bool hands_over = last && drained;
        const bool multiplies = steps != 0 && !(drains && shares) && (!hands_over || (words <= 1U && complete));
        done = uplus<50>(done, Unsigned<2>(int(drains) + int(multiplies)));

        // Read the pair and the residual.
        const int residual_at = to_int(uplus<36>(c.residual_base, target.at));
        const bool residual_weight = drains && c.residual_space == isa::SPACE_WEIGHT;
        const bool residual_vector = drains && c.residual_space == isa::SPACE_VECTOR;
        const bool reads = multiplies && job.reads;
        Word8<N> pair_a;
        int b_at = 0;
        if (reads) b_at = operand_address<C>(job, b, c.b_indexed, c.b_column, c.b_index_stride, index);
        if (reads && c.a_space != isa::SPACE_IDENTITY) {
            const int a_at = operand_address<C>(job, a, c.a_indexed, c.a_column, c.a_index_stride, index);
            pair_a = c.a_space == isa::SPACE_WEIGHT ? weight[a_at] : kv[a_at];
        } else {
            for (int i = 0; i < N; ++i) {
#pragma HLS unroll
                pair_a.lane[i] = reads && a.inner == unsigned(i) ? 1 : 0;
            }
        }
        const bool reads_weight = residual_weight || (reads && c.b_space == isa::SPACE_WEIGHT);
        const bool reads_vector = residual_vector || (reads && c.b_space == isa::SPACE_VECTOR);
        const Word8<N> none = {};
        const Word8<N> from_weight = reads_weight ? weight[residual_weight ? residual_at : b_at] : none;
        const Word8<N> from_vector = reads_vector ? vector[residual_vector ? residual_at : b_at] : none;
        Word8<N> pair_b = reads && c.b_space == isa::SPACE_ACT ? act[b_at] : none;
        if (reads && c.b_space == isa::SPACE_WEIGHT) pair_b = from_weight;
        if (reads && c.b_space == isa::SPACE_VECTOR) pair_b = from_vector;

        // Read a bias.
        const Address column = uplus<36>(utimes<36>(a.i1, Unsigned<6>(N)), fetched);
        const bool reads_bias = fetches_bias || (drains && c.bias != 0 && !by_columns);
        const int bias_at = to_int(uplus<36>(c.bias_base, by_columns ? column : target.at));
        const Signed<32> read_bias = reads_bias ? bias[bias_at] : Signed<32>(0);
        if (fetches_bias) {
            fetching[to_int(fetched)] = read_bias;
            fetched = uplus<6>(fetched, Unsigned<1>(1));
        }

        // Drain a word.
        if (drains) {
            const int w = to_int(target.inner);
            Word16<N> residual = {};
            if (c.residual_space == isa::SPACE_WIDE) residual = wide[residual_at];
            Signed<18> before[N];
            Word16<N> word;
            for (int j = 0; j < N; ++j) {
#pragma HLS unroll
                if (residual_weight) residual.lane[j] = from_weight.lane[j];
                if (residual_vector) residual.lane[j] = from_vector.lane[j];
                Signed<32> v = c.columns != 0 ? full[j][w] : full[w][j];
                if (c.bias != 0) v = plus<32>(v, by_columns ? biases[j] : read_bias);
                v = shift_left<32>(v, to_int(c.acc_shift));
                if (adds) v = plus<32>(v, shift_left<32>(Signed<32>(residual.lane[j]), to_int(c.residual_shift)));
                before[j] = saturate(shift_round(v, c.shift), c.bits, c.is_unsigned != 0);
                Signed<16> q = wrap<16>(before[j]);
                if (c.has_table != 0) q = table[j][table_base + to_int(low<8>(before[j]))];
                // The statistics use the written value of the lane.
                word.lane[j] = to_wide ? q : Signed<16>(wrap<8>(q));
                gathered.sum[j] = plus<isa::STAT_SUM_BITS>(gathered.sum[j], word.lane[j]);
                gathered.square[j] = uplus<isa::STAT_SQUARE_BITS>(
                    gathered.square[j], low<32>(times<32>(word.lane[j], word.lane[j])));
                const Signed<8> narrow = wrap<8>(q);
                if (narrow > gathered.largest[j]) gathered.largest[j] = narrow;
            }
            const int at = to_int(uplus<36>(c.c_base, target.at));
            if (to_wide) {
                wide[at] = word;
            } else {
                Word8<N> narrow;
                for (int j = 0; j < N; ++j) {
#pragma HLS unroll
                    narrow.lane[j] = wrap<8>(word.lane[j]);
                }
                if (c.c_space == isa::SPACE_ACT) act[at] = narrow;
                if (c.c_space == isa::SPACE_KV) kv[at] = narrow;
                if (c.c_space == isa::SPACE_SCORE) score[at] = narrow;
            }
#ifndef __SYNTHESIS__
            csim::written<N>(to_int(c.c_space), unsigned(at), word.lane, before, c.has_table != 0);
#endif
            target.advance(words_of<C>(job, target.i2), job, job.drained, strides_c(c));
            words = uminus<13>(words, Unsigned<1>(1));
        }

        // Multiply the pair. A tile with words to drain is handed over when it is complete.
        if (multiplies) {
            for (int i = 0; i < N; ++i) {
#pragma HLS unroll  // one multiplier for every row
                for (int j = 0; j < N; ++j) {
#pragma HLS unroll  // and every column
                    // Signed and unsigned lanes of B need one multiplier.
                    const Signed<9> factor =
                        c.b_unsigned != 0 ? wrap<9>(low<8>(pair_b.lane[j])) : Signed<9>(pair_b.lane[j]);
                    const Signed<32> sum = fresh ? Signed<32>(0) : acc[i][j];
                    acc[i][j] = plus<32>(sum, times<32>(pair_a.lane[i], factor));
                }
            }
            if (hands_over) {
                for (int i = 0; i < N; ++i) {
#pragma HLS unroll
                    for (int j = 0; j < N; ++j) {
#pragma HLS unroll
                        full[i][j] = acc[i][j];
                    }
                    biases[i] = fetching[i];
                }
                words = words_of<C>(job, a.i2);
                fetched = 0;
            }
            // `keep` applies to a single tile, the last one.
            fresh = last;
            steps = uminus<49>(steps, Unsigned<1>(1));
            a.advance(job.nk, job, job.n2, strides_a(c));
            b.advance(job.nk, job, job.n2, strides_b(c));
        }
    }
    if (c.stat != isa::STAT_NONE && c.keep == 0) {
        constexpr unsigned most = (1U << isa::STAT_COUNT_BITS) - 1;
        gathered.count = job.words < most ? low<isa::STAT_COUNT_BITS>(job.words) : Unsigned<isa::STAT_COUNT_BITS>(most);
        stat[to_int(c.stat_slot)] = gathered;
    }
}

/// Executes one CONTRACT that is decoded, not skipped and ready.
/// \tparam C the configuration.
/// \param resumed the previous CONTRACT had `keep`.
/// \return ERROR_NONE or ERROR_ADDRESS; nothing was written in case of an error.
template <class C>
isa::Error execute(const Contract& c, const Context& context, bool& resumed,
                   const Word8<C::lanes> weight[C::weight_depth], Word8<C::lanes> kv[C::kv_depth],
                   Word8<C::lanes> act[C::act_depth], const Word8<C::lanes> vector[C::vector_depth],
                   Word8<C::lanes> score[C::score_depth], Word16<C::lanes> wide[C::wide_depth],
                   StatWord<C::lanes> stat[C::stat_depth], const Signed<32> bias[C::bias_depth],
                   const Signed<8> table[C::lanes][C::table_depth], const IndexWord index[C::index_depth]) {
    const Job job = resolve<C>(c, context, resumed);
    const isa::Error error = check<C>(job, index);
    if (error != isa::ERROR_NONE) return error;
#ifndef __SYNTHESIS__
    if (csim::watch != nullptr)
        csim::watch->takes(static_cast<std::uint64_t>(job.steps) + static_cast<std::uint64_t>(job.words));
#endif
    contract<C>(job, weight, kv, act, vector, score, wide, stat, bias, table, index);
    resumed = c.keep != 0;
    return isa::ERROR_NONE;
}

/// The array's turn with its next instruction.
/// \tparam C the configuration.
/// \param resumed the previous CONTRACT of the command had `keep`.
template <class C>
Turn array_turn(const InstructionWord& word, const Context& context, const Retired& retired, isa::Error& error,
                bool& resumed, const Word8<C::lanes> weight[C::weight_depth], Word8<C::lanes> kv[C::kv_depth],
                Word8<C::lanes> act[C::act_depth], const Word8<C::lanes> vector[C::vector_depth],
                Word8<C::lanes> score[C::score_depth], Word16<C::lanes> wide[C::wide_depth],
                StatWord<C::lanes> stat[C::stat_depth], const Signed<32> bias[C::bias_depth],
                const Signed<8> table[C::lanes][C::table_depth], const IndexWord index[C::index_depth]) {
    Contract c;
    error = isa::ERROR_FIELD;
    if (!decode(word, c)) return Turn::kFails;
    error = isa::ERROR_NONE;
    const Turn turn = begin_turn<C>(c, context, retired);
    if (turn != Turn::kStarts) return turn;
    error = execute<C>(c, context, resumed, weight, kv, act, vector, score, wide, stat, bias, table, index);
    return end_turn(error);
}

}  // namespace ng

#endif
