// A CONTRACT before it executes: its loop counts, its address walk, and the check of all its addresses.
//
// Makes the checks of docs/isa.md, section 4, so that the stages of array.hpp only access existing words.
// Limits: accesses no words except those of INDEX.
#ifndef NG_JOB_HPP
#define NG_JOB_HPP

#include "instructions.hpp"

namespace ng {

/// A word address that may be out of range, wide enough that no sum of a base, strides and an index wraps.
using Address = Unsigned<36>;

/// A CONTRACT with its loop counts.
struct Job {
    Contract c;
    Unsigned<12> n0, n1, n2;
    Unsigned<13> nk;
    Unsigned<12> rows;     ///< words to drain over all of loop 2
    Unsigned<12> drained;  ///< tiles of loop 2 that drain a word
    Unsigned<12> first;    ///< token in lane 0
    Unsigned<36> tiles;
    Unsigned<49> steps;  ///< pairs of words; a tile without any still takes one step
    Unsigned<36> words;  ///< total words to drain
    bool reads;          ///< an operand is read
    bool resumed;        ///< the first tile starts from the accumulators of the previous CONTRACT
};

/// Strides of an operand or of the target, the innermost last.
struct Strides {
    Unsigned<16> loop0, loop1, loop2, inner;
};

/// Four nested loops and their address, advanced by additions only.
struct Walk {
    Unsigned<12> i0, i1, i2;
    Unsigned<13> inner;
    Address at0, at1, at2, at;

    explicit Walk(Address base) : i0(0), i1(0), i2(0), inner(0), at0(base), at1(base), at2(base), at(base) {}

    /// Advances the innermost loop that has not ended. After the last step the walk must not be used.
    void advance(Unsigned<13> inner_count, const Job& job, Unsigned<12> count2, const Strides& stride) {
#pragma HLS inline  // part of the loop that walks
        inner = uplus<13>(inner, Unsigned<1>(1));
        at = uplus<36>(at, stride.inner);
        if (inner < inner_count) return;
        inner = 0;
        i2 = uplus<12>(i2, Unsigned<1>(1));
        at2 = uplus<36>(at2, stride.loop2);
        if (i2 >= count2) {
            i2 = 0;
            i1 = uplus<12>(i1, Unsigned<1>(1));
            at1 = uplus<36>(at1, stride.loop1);
            if (i1 >= job.n1) {
                i1 = 0;
                i0 = uplus<12>(i0, Unsigned<1>(1));
                at0 = uplus<36>(at0, stride.loop0);
                at1 = at0;
            }
            at2 = at1;
        }
        at = at2;
    }
};

inline Strides strides_a(const Contract& c) {
    return Strides{c.a_stride0, c.a_stride1, c.a_stride2, c.a_stridek};
}
inline Strides strides_b(const Contract& c) {
    return Strides{c.b_stride0, c.b_stride1, c.b_stride2, c.b_stridek};
}
inline Strides strides_c(const Contract& c) {
    return Strides{c.c_stride0, c.c_stride1, c.c_stride2, c.c_stridew};
}

/// The counts of a CONTRACT that is not skipped.
/// \tparam C the configuration.
template <class C>
Job resolve(const Contract& c, const Context& context, bool resumed) {
    const Unsigned<10> length = length_of(c, context);
    Job job;
    job.c = c;
    job.first = first_token<C>(c);
    const Unsigned<12> left = uminus<12>(length, job.first);
    const Unsigned<6> tokens = left < C::lanes ? low<6>(left) : Unsigned<6>(C::lanes);
    const Unsigned<12> blocks = low<12>(uplus<12>(length, Unsigned<5>(C::lanes - 1)) / Unsigned<6>(C::lanes));
    job.n0 = c.n0_source == isa::COUNT_TOKENS ? Unsigned<12>(tokens) : c.n0;
    job.n1 = c.n1;
    job.n2 = c.n2_source == isa::COUNT_BLOCKS ? blocks : c.n2;
    job.nk = c.nk_source == isa::COUNT_LENGTH   ? Unsigned<13>(length)
             : c.nk_source == isa::COUNT_TOKENS ? Unsigned<13>(tokens)
                                                : c.nk;
    const Unsigned<12> rows = c.rows_source == isa::COUNT_LENGTH   ? Unsigned<12>(length)
                              : c.rows_source == isa::COUNT_TOKENS ? Unsigned<12>(tokens)
                                                                   : c.rows;
    const Unsigned<18> most = utimes<18>(job.n2, Unsigned<6>(C::lanes));
    job.rows = c.keep != 0 ? Unsigned<12>(0) : rows < most ? rows : low<12>(most);
    job.drained = low<12>(uplus<13>(job.rows, Unsigned<5>(C::lanes - 1)) / Unsigned<6>(C::lanes));
    const Unsigned<24> outer = utimes<24>(job.n0, job.n1);
    job.tiles = utimes<36>(outer, job.n2);
    job.steps = utimes<49>(job.tiles, job.nk == 0 ? Unsigned<13>(1) : job.nk);
    job.words = utimes<36>(outer, job.rows);
    job.reads = job.tiles != 0 && job.nk != 0;
    job.resumed = resumed;
    return job;
}

/// (count - 1) * stride, the distance between the first and the last iteration of a loop; 0 if there is none.
inline Address reach(Unsigned<13> count, Unsigned<16> stride) {
    return count == 0 ? Address(0) : Address(utimes<36>(uminus<13>(count, Unsigned<1>(1)), stride));
}

/// Checks the words of an operand with an index; returns the error of the first word out of range.
/// \tparam C the configuration.
template <class C>
isa::Error check_operand(const Job& job, Unsigned<3> space, Unsigned<22> base, const Strides& stride,
                         Unsigned<2> indexed, Unsigned<3> column, Unsigned<16> index_stride,
                         const IndexWord index[C::index_depth]) {
    if (space == isa::SPACE_IDENTITY || !job.reads) return isa::ERROR_NONE;
    const bool by0 = indexed == isa::INDEXED_LOOP0, byk = indexed == isa::INDEXED_LOOPK;
    constexpr int half = C::index_depth / int(isa::SENTENCES);
    const Address fixed = uplus<36>(uplus<36>(base, by0 ? Address(0) : reach(job.n0, stride.loop0)),
                                    uplus<36>(uplus<36>(reach(job.n1, stride.loop1), reach(job.n2, stride.loop2)),
                                              byk ? Address(0) : reach(job.nk, stride.inner)));
    Address top = fixed;
    if (by0 || byk) {
        const Unsigned<13> count = by0 ? Unsigned<13>(job.n0) : job.nk;
        const Unsigned<16> step = by0 ? stride.loop0 : stride.inner;
        if (uplus<14>(job.first, count) > Unsigned<14>(half)) return isa::ERROR_ADDRESS;
        const int from = half * to_int(job.c.sentence) + to_int(job.first);
        Address way = 0;
        for (int i = 0; i < to_int(count); ++i) {
#pragma HLS pipeline II=1  // one index per cycle
#pragma HLS loop_tripcount min=1 max=512  // one per token
            const Address found =
                uplus<36>(uplus<36>(fixed, way), utimes<36>(index[from + i].column[to_int(column)], index_stride));
            if (found > top) top = found;
            way = uplus<36>(way, step);
        }
    }
    const unsigned depth = space == isa::SPACE_WEIGHT ? C::weight_depth
                           : space == isa::SPACE_KV   ? C::kv_depth
                           : space == isa::SPACE_ACT  ? C::act_depth
                                                      : C::vector_depth;
    return top < depth ? isa::ERROR_NONE : isa::ERROR_ADDRESS;
}

/// Checks every address of a CONTRACT before the stages run.
/// \tparam C the configuration.
template <class C>
isa::Error check(const Job& job, const IndexWord index[C::index_depth]) {
    const Contract& c = job.c;
    if (c.stat != isa::STAT_NONE && c.stat_slot >= unsigned(C::stat_depth)) return isa::ERROR_ADDRESS;
    const Unsigned<14> table = uplus<14>(utimes<14>(c.table_id, Unsigned<9>(256)), Unsigned<8>(255));
    if (c.has_table != 0 && table >= unsigned(C::table_depth)) return isa::ERROR_ADDRESS;
    const isa::Error a = check_operand<C>(job, c.a_space, c.a_base, strides_a(c), c.a_indexed, c.a_column,
                                          c.a_index_stride, index);
    if (a != isa::ERROR_NONE) return a;
    const isa::Error b = check_operand<C>(job, c.b_space, c.b_base, strides_b(c), c.b_indexed, c.b_column,
                                          c.b_index_stride, index);
    if (b != isa::ERROR_NONE || job.words == 0) return b;
    // The last word of the last tile, or of the previous tile, which is complete.
    const Unsigned<12> before = uminus<12>(job.drained, Unsigned<1>(1));
    const Unsigned<13> last = uminus<13>(job.rows, utimes<13>(before, Unsigned<6>(C::lanes)));
    const Address outer = uplus<36>(reach(job.n0, c.c_stride0), reach(job.n1, c.c_stride1));
    Address inner = uplus<36>(reach(job.drained, c.c_stride2), reach(last, c.c_stridew));
    const Address earlier = uplus<36>(reach(before, c.c_stride2), reach(Unsigned<13>(C::lanes), c.c_stridew));
    if (before != 0 && earlier > inner) inner = earlier;
    const Address offset = uplus<36>(outer, inner);
    if (c.bias != 0) {
        const Address columns = uminus<36>(utimes<36>(job.n1, Unsigned<6>(C::lanes)), Unsigned<1>(1));
        if (uplus<36>(c.bias_base, c.columns != 0 ? columns : offset) >= unsigned(C::bias_depth))
            return isa::ERROR_ADDRESS;
    }
    const Address residual = uplus<36>(c.residual_base, offset);
    const unsigned residual_depth = c.residual_space == isa::SPACE_VECTOR   ? C::vector_depth
                                    : c.residual_space == isa::SPACE_WEIGHT ? C::weight_depth
                                                                            : C::wide_depth;
    if (c.residual_space != isa::SPACE_NONE && residual >= residual_depth) return isa::ERROR_ADDRESS;
    const unsigned depth = c.c_space == isa::SPACE_ACT     ? C::act_depth
                           : c.c_space == isa::SPACE_KV    ? C::kv_depth
                           : c.c_space == isa::SPACE_SCORE ? C::score_depth
                                                           : C::wide_depth;
    return uplus<36>(c.c_base, offset) < depth ? isa::ERROR_NONE : isa::ERROR_ADDRESS;
}

/// Words that tile i2 of loop 2 drains.
/// \tparam C the configuration.
template <class C>
inline Unsigned<13> words_of(const Job& job, Unsigned<12> i2) {
#pragma HLS inline  // a subtraction and a comparison
    const Unsigned<12> left = uminus<12>(job.rows, utimes<12>(i2, Unsigned<6>(C::lanes)));
    return left < unsigned(C::lanes) ? Unsigned<13>(left) : Unsigned<13>(C::lanes);
}

}  // namespace ng

#endif
