// The array: CONTRACT, docs/isa.md, section 4.
//
// Executes the loop nest of a checked job (job.hpp) as parallel stages connected by streams: two operand readers,
// N * N multipliers, readers of bias and residual, and the drain.
// Limits: does not overlap one CONTRACT with the next, and does not wait for tokens (engine.hpp, array_top.cpp do).
#ifndef NG_ARRAY_HPP
#define NG_ARRAY_HPP

#include "job.hpp"
#include "rounding.hpp"

namespace ng {

/// Lanes of operand B: signed or unsigned 8 bits.
template <int N>
using Word9 = Lanes<Signed<9>, N>;

/// The accumulators, row i of A by column j of B.
/// \tparam N lanes.
template <int N>
struct Tile {
    Signed<32> acc[N][N];
};

/// State kept from one CONTRACT to the next.
/// \tparam N lanes.
template <int N>
struct ArrayState {
    Tile<N> tile;
    bool resumed;  ///< the previous CONTRACT had `keep`
};

/// The address of an operand: that of the walk, plus the index if it has one.
/// \tparam C the configuration.
template <class C>
inline int operand_address(const Job& job, const Walk& walk, Unsigned<2> indexed, Unsigned<3> column,
                           Unsigned<16> index_stride, const IndexWord index[C::index_depth]) {
#pragma HLS inline  // part of the reader's pipeline
    if (indexed == isa::INDEXED_NONE) return to_int(walk.at);
    const Unsigned<13> token = indexed == isa::INDEXED_LOOP0 ? Unsigned<13>(walk.i0) : walk.inner;
    const int place = C::index_depth / int(isa::SENTENCES) * to_int(job.c.sentence) + to_int(job.first);
    const Unsigned<16> number = index[place + to_int(token)].column[to_int(column)];
    return to_int(uplus<36>(walk.at, utimes<36>(number, index_stride)));
}

/// Stage: words of A, one per step.
/// \tparam C the configuration.
template <class C>
void read_a(const Job& job, const Word8<C::lanes> weight[C::weight_depth], const Word8<C::lanes> kv[C::kv_depth],
            const IndexWord index[C::index_depth], hls::stream<Word8<C::lanes>>& out) {
    const Contract& c = job.c;
    Walk walk(c.a_base);
    for (Unsigned<49> step = 0; step < job.steps; ++step) {
#pragma HLS pipeline II=1  // one word per cycle
#pragma HLS loop_tripcount min=1 max=65536  // typical of a layer
        Word8<C::lanes> word;
        if (c.a_space == isa::SPACE_IDENTITY || !job.reads) {
            for (int i = 0; i < C::lanes; ++i) {
#pragma HLS unroll  // all lanes of a word in parallel
                word.lane[i] = job.reads && walk.inner == unsigned(i) ? 1 : 0;
            }
        } else {
            const int at = operand_address<C>(job, walk, c.a_indexed, c.a_column, c.a_index_stride, index);
            word = c.a_space == isa::SPACE_WEIGHT ? weight[at] : kv[at];
        }
        out.write(word);
        walk.advance(job.nk, job, job.n2, strides_a(c));
    }
}

/// Stage: words of B, one per step, widened so that signed and unsigned lanes need one multiplier.
/// \tparam C the configuration.
template <class C>
void read_b(const Job& job, const Word8<C::lanes> act[C::act_depth],
            const Word8<C::lanes> vector[C::vector_depth], const Word8<C::lanes> weight[C::weight_depth],
            const IndexWord index[C::index_depth], hls::stream<Word9<C::lanes>>& out) {
    const Contract& c = job.c;
    Walk walk(c.b_base);
    for (Unsigned<49> step = 0; step < job.steps; ++step) {
#pragma HLS pipeline II=1
#pragma HLS loop_tripcount min=1 max=65536
        Word9<C::lanes> word;
        if (job.reads) {
            const int at = operand_address<C>(job, walk, c.b_indexed, c.b_column, c.b_index_stride, index);
            const Word8<C::lanes> read = c.b_space == isa::SPACE_ACT      ? act[at]
                                         : c.b_space == isa::SPACE_VECTOR ? vector[at]
                                                                          : weight[at];
            for (int j = 0; j < C::lanes; ++j) {
#pragma HLS unroll
                word.lane[j] =
                    c.b_unsigned != 0 ? wrap<9>(low<8>(read.lane[j])) : Signed<9>(read.lane[j]);
            }
        } else {
            for (int j = 0; j < C::lanes; ++j) {
#pragma HLS unroll
                word.lane[j] = 0;
            }
        }
        out.write(word);
        walk.advance(job.nk, job, job.n2, strides_b(c));
    }
}

/// Stage: the multipliers. A tile goes on to the drain if it has words to drain.
/// \tparam C the configuration.
template <class C>
void multiply(const Job& job, Tile<C::lanes>& tile, hls::stream<Word8<C::lanes>>& as,
              hls::stream<Word9<C::lanes>>& bs, hls::stream<Tile<C::lanes>>& out) {
    constexpr int N = C::lanes;
    Unsigned<13> k = 0;
    Unsigned<12> i2 = 0;
    bool fresh = !job.resumed;
    for (Unsigned<49> step = 0; step < job.steps; ++step) {
#pragma HLS pipeline II=1  // N * N products per cycle
#pragma HLS loop_tripcount min=1 max=65536
        const Word8<N> a = as.read();
        const Word9<N> b = bs.read();
        for (int i = 0; i < N; ++i) {
#pragma HLS unroll  // one multiplier for every row
            for (int j = 0; j < N; ++j) {
#pragma HLS unroll  // and every column
                const Signed<32> before = fresh ? Signed<32>(0) : tile.acc[i][j];
                tile.acc[i][j] = plus<32>(before, times<32>(a.lane[i], b.lane[j]));
            }
        }
        fresh = false;
        k = uplus<13>(k, Unsigned<1>(1));
        if (k >= job.nk) {
            k = 0;
            if (i2 < job.drained) out.write(tile);
            // `keep` applies to a single tile, the last one.
            fresh = true;
            i2 = uplus<12>(i2, Unsigned<1>(1));
            if (i2 >= job.n2) i2 = 0;
        }
    }
}

/// Stage: biases. By rows one per word, in every lane; by columns N per tile, one per lane.
/// \tparam C the configuration.
template <class C>
void read_bias(const Job& job, const Signed<32> bias[C::bias_depth],
               hls::stream<Lanes<Signed<32>, C::lanes>>& out) {
    const Contract& c = job.c;
    if (c.bias == 0) return;
    const bool columns = c.columns != 0;
    // By columns every tile that drains a word reads N biases, one per cycle: no longer than draining N words takes.
    const Unsigned<36> tiles = utimes<36>(utimes<24>(job.n0, job.n1), job.drained);
    const Unsigned<42> reads = columns ? utimes<42>(tiles, Unsigned<6>(C::lanes)) : Unsigned<42>(job.words);
    Walk walk(c.bias_base);
    Lanes<Signed<32>, C::lanes> word;
    for (Unsigned<42> n = 0; n < reads; ++n) {
#pragma HLS pipeline II=1  // one bias per cycle
#pragma HLS loop_tripcount min=0 max=65536
        const Address column = uplus<36>(utimes<36>(walk.i1, Unsigned<6>(C::lanes)), walk.inner);
        const int at = columns ? to_int(uplus<36>(c.bias_base, column)) : to_int(walk.at);
        const Signed<32> number = bias[at];
        const bool last = !columns || walk.inner == unsigned(C::lanes - 1);
        for (int j = 0; j < C::lanes; ++j) {
#pragma HLS unroll
            if (!columns || walk.inner == unsigned(j)) word.lane[j] = number;
        }
        if (last) out.write(word);
        walk.advance(columns ? Unsigned<13>(C::lanes) : words_of<C>(job, walk.i2), job, job.drained, strides_c(c));
    }
}

/// Stage: words of the residual, one per drained word.
/// \tparam C the configuration.
template <class C>
void read_residual(const Job& job, const Word8<C::lanes> vector[C::vector_depth],
                   const Word8<C::lanes> weight[C::weight_depth], const Word16<C::lanes> wide[C::wide_depth],
                   hls::stream<Word16<C::lanes>>& out) {
    const Contract& c = job.c;
    if (c.residual_space == isa::SPACE_NONE) return;
    Walk walk(c.residual_base);
    for (Unsigned<36> n = 0; n < job.words; ++n) {
#pragma HLS pipeline II=1
#pragma HLS loop_tripcount min=0 max=65536
        const int at = to_int(walk.at);
        Word16<C::lanes> word;
        if (c.residual_space == isa::SPACE_WIDE) {
            word = wide[at];
        } else {
            const Word8<C::lanes> narrow = c.residual_space == isa::SPACE_VECTOR ? vector[at] : weight[at];
            for (int j = 0; j < C::lanes; ++j) {
#pragma HLS unroll
                word.lane[j] = narrow.lane[j];
            }
        }
        out.write(word);
        walk.advance(words_of<C>(job, walk.i2), job, job.drained, strides_c(c));
    }
}

/// Stage: the drain. Selects words of the tiles, adds bias and residual, requantizes, looks up, writes, and
/// accumulates statistics.
/// \tparam C the configuration.
template <class C>
void drain(const Job& job, hls::stream<Tile<C::lanes>>& tiles, hls::stream<Lanes<Signed<32>, C::lanes>>& biases,
           hls::stream<Word16<C::lanes>>& residuals, const Signed<8> table[C::lanes][C::table_depth],
           Word8<C::lanes> act[C::act_depth], Word8<C::lanes> kv[C::kv_depth],
           Word8<C::lanes> score[C::score_depth], Word16<C::lanes> wide[C::wide_depth],
           StatWord<C::lanes> stat[C::stat_depth]) {
    constexpr int N = C::lanes;
    const Contract& c = job.c;
    const bool to_wide = c.c_space == isa::SPACE_WIDE;
    const int table_base = 256 * to_int(c.table_id);
    StatWord<N> gathered;
#pragma HLS array_partition variable=gathered.sum complete      // one per lane
#pragma HLS array_partition variable=gathered.square complete
#pragma HLS array_partition variable=gathered.largest complete
    gathered.kind = c.stat;
    for (int j = 0; j < N; ++j) {
#pragma HLS unroll  // all lanes in parallel
        gathered.sum[j] = 0;
        gathered.square[j] = 0;
        gathered.largest[j] = -128;
    }
    Tile<N> tile;
#pragma HLS array_partition variable=tile.acc complete dim=0  // any word of the tile can be selected in a cycle
    Lanes<Signed<32>, N> bias;
    Walk walk(c.c_base);
    for (Unsigned<36> n = 0; n < job.words; ++n) {
#pragma HLS pipeline II=1
#pragma HLS loop_tripcount min=0 max=65536
        const int w = to_int(walk.inner);
        if (w == 0) tile = tiles.read();
        if (c.bias != 0 && (c.columns == 0 || w == 0)) bias = biases.read();
        Word16<N> residual;
        if (c.residual_space != isa::SPACE_NONE) residual = residuals.read();
        Signed<18> before[N];
        Word16<N> word;
        for (int j = 0; j < N; ++j) {
#pragma HLS unroll
            Signed<32> v = c.columns != 0 ? tile.acc[j][w] : tile.acc[w][j];
            if (c.bias != 0) v = plus<32>(v, bias.lane[j]);
            v = shift_left<32>(v, to_int(c.acc_shift));
            if (c.residual_space != isa::SPACE_NONE)
                v = plus<32>(v, shift_left<32>(Signed<32>(residual.lane[j]), to_int(c.residual_shift)));
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
        const int at = to_int(walk.at);
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
        walk.advance(words_of<C>(job, walk.i2), job, job.drained, strides_c(c));
    }
    if (c.stat != isa::STAT_NONE && c.keep == 0) {
        constexpr unsigned most = (1U << isa::STAT_COUNT_BITS) - 1;
        gathered.count = job.words < most ? low<isa::STAT_COUNT_BITS>(job.words) : Unsigned<isa::STAT_COUNT_BITS>(most);
        stat[to_int(c.stat_slot)] = gathered;
    }
}

/// The stages of one CONTRACT in parallel. A memory that several stages use is several arguments, one port
/// each.
/// \tparam C the configuration.
template <class C>
void contract(const Job& job, Tile<C::lanes>& tile, const Word8<C::lanes> weight_a[C::weight_depth],
              const Word8<C::lanes> weight_b[C::weight_depth],
              const Word8<C::lanes> weight_residual[C::weight_depth], const Word8<C::lanes> kv[C::kv_depth],
              const Word8<C::lanes> act[C::act_depth], const Word8<C::lanes> vector_b[C::vector_depth],
              const Word8<C::lanes> vector_residual[C::vector_depth], const Word16<C::lanes> wide[C::wide_depth],
              const Signed<32> bias[C::bias_depth], const Signed<8> table[C::lanes][C::table_depth],
              const IndexWord index_a[C::index_depth], const IndexWord index_b[C::index_depth],
              Word8<C::lanes> kv_out[C::kv_depth], Word8<C::lanes> act_out[C::act_depth],
              Word8<C::lanes> score_out[C::score_depth], Word16<C::lanes> wide_out[C::wide_depth],
              StatWord<C::lanes> stat_out[C::stat_depth]) {
#pragma HLS dataflow  // a tile is drained while the next one is multiplied and the one after is read
    hls::stream<Word8<C::lanes>> as("a");
#pragma HLS stream variable=as depth=8  // absorbs the readers' latencies
    hls::stream<Word9<C::lanes>> bs("b");
#pragma HLS stream variable=bs depth=8
    hls::stream<Tile<C::lanes>> tiles("tiles");
#pragma HLS stream variable=tiles depth=2  // the second set of accumulators
    hls::stream<Lanes<Signed<32>, C::lanes>> biases("biases");
#pragma HLS stream variable=biases depth=8  // read ahead of the drain
    hls::stream<Word16<C::lanes>> residuals("residuals");
#pragma HLS stream variable=residuals depth=8
    read_a<C>(job, weight_a, kv, index_a, as);
    read_b<C>(job, act, vector_b, weight_b, index_b, bs);
    read_bias<C>(job, bias, biases);
    read_residual<C>(job, vector_residual, weight_residual, wide, residuals);
    multiply<C>(job, tile, as, bs, tiles);
    drain<C>(job, tiles, biases, residuals, table, act_out, kv_out, score_out, wide_out, stat_out);
}

/// Executes one CONTRACT that is decoded, not skipped and ready.
/// \tparam C the configuration.
/// \return ERROR_NONE or ERROR_ADDRESS; nothing was written in case of an error.
template <class C>
isa::Error execute(ArrayState<C::lanes>& state, const Contract& c, const Context& context,
                   const Word8<C::lanes> weight_a[C::weight_depth],
                   const Word8<C::lanes> weight_b[C::weight_depth],
                   const Word8<C::lanes> weight_residual[C::weight_depth],
                   const Word8<C::lanes> kv[C::kv_depth], const Word8<C::lanes> act[C::act_depth],
                   const Word8<C::lanes> vector_b[C::vector_depth],
                   const Word8<C::lanes> vector_residual[C::vector_depth],
                   const Word16<C::lanes> wide[C::wide_depth], const Signed<32> bias[C::bias_depth],
                   const Signed<8> table[C::lanes][C::table_depth], const IndexWord index_a[C::index_depth],
                   const IndexWord index_b[C::index_depth], Word8<C::lanes> kv_out[C::kv_depth],
                   Word8<C::lanes> act_out[C::act_depth], Word8<C::lanes> score_out[C::score_depth],
                   Word16<C::lanes> wide_out[C::wide_depth], StatWord<C::lanes> stat_out[C::stat_depth]) {
    const Job job = resolve<C>(c, context, state.resumed);
    const isa::Error error = check<C>(job, index_a);
    if (error != isa::ERROR_NONE) return error;
#ifndef __SYNTHESIS__
    if (csim::watch != nullptr)
        csim::watch->takes(static_cast<std::uint64_t>(job.steps) + static_cast<std::uint64_t>(job.words));
#endif
    contract<C>(job, state.tile, weight_a, weight_b, weight_residual, kv, act, vector_b, vector_residual, wide, bias,
                table, index_a, index_b, kv_out, act_out, score_out, wide_out, stat_out);
    state.resumed = c.keep != 0;
    return isa::ERROR_NONE;
}

/// The array's turn with its next instruction.
/// \tparam C the configuration.
/// \tparam Ports the memories that `execute` takes, in its order.
template <class C, class... Ports>
Turn array_turn(const InstructionWord& word, const Context& context, const Retired& retired, isa::Error& error,
                ArrayState<C::lanes>& state, Ports... ports) {
    Contract c;
    error = isa::ERROR_FIELD;
    if (!decode(word, c)) return Turn::kFails;
    return take_turn<C>(c, context, retired, error, [&] { return execute<C>(state, c, context, ports...); });
}

}  // namespace ng

#endif
