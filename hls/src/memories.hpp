// The words of the on-chip memories, and an interface for C simulation to observe writes.
//
// Defines the word types of docs/isa.md, section 1, and groups the memories for their owners (the engine and the
// testbenches).
// Limits: does not check addresses; whoever executes an instruction checks them first.
#ifndef NG_MEMORIES_HPP
#define NG_MEMORIES_HPP

#include "isa.hpp"
#include "types.hpp"

namespace ng {

/// N lanes, one element each. A plain struct, which memories and streams store as one wide word.
/// \tparam T type of a lane.
/// \tparam N lanes.
template <class T, int N>
struct Lanes {
    T lane[N];
};

template <int N>
using Word8 = Lanes<Signed<8>, N>;
template <int N>
using Word16 = Lanes<Signed<16>, N>;

/// The statistics of a CONTRACT: docs/isa.md, section 4.
/// \tparam N lanes.
template <int N>
struct StatWord {
    Unsigned<2> kind;
    Unsigned<isa::STAT_COUNT_BITS> count;
    Signed<isa::STAT_SUM_BITS> sum[N];
    Unsigned<isa::STAT_SQUARE_BITS> square[N];
    Signed<isa::STAT_MAX_BITS> largest[N];
};

struct NormWord {
    Signed<32> beta;
    Signed<12> gamma;
};

struct IndexWord {
    Unsigned<16> column[isa::INDEX_COLUMNS];
};

/// An instruction, in parts of 64 bits, the lowest first.
struct InstructionWord {
    Unsigned<64> part[isa::INSTRUCTION_BITS / 64];
};

/// All memories of an engine except PROGRAM. Each lane reads TABLE and EXP at its own address, so each lane has a
/// copy.
/// \tparam C the configuration: lanes and depths.
template <class C>
struct Memories {
    Word8<C::lanes> weight[C::weight_depth];
    Word8<C::lanes> kv[C::kv_depth];
    Word8<C::lanes> act[C::act_depth];
    Word8<C::lanes> vector[C::vector_depth];
    Word8<C::lanes> score[C::score_depth];
    Word16<C::lanes> wide[C::wide_depth];
    StatWord<C::lanes> stat[C::stat_depth];
    Signed<32> bias[C::bias_depth];
    NormWord norm[C::norm_depth];
    Signed<8> table[C::lanes][C::table_depth];
    Unsigned<15> exp[C::lanes][C::exp_depth];
    IndexWord index[C::index_depth];
};

#ifndef __SYNTHESIS__
namespace csim {

/// Events that a testbench may observe; they do not exist in hardware.
struct Watch {
    virtual ~Watch() = default;
    /// A word was written: its lanes, and their values before the table (null if no table was read).
    virtual void written(int memory, unsigned address, const std::int16_t* words, const std::int16_t* before) = 0;
    /// The next instruction takes this many steps; may throw to stop a simulation that would take too long.
    virtual void takes(std::uint64_t steps) = 0;
    /// The instruction that is about to execute.
    virtual void executes(int unit, unsigned number) = 0;
};

inline Watch* watch = nullptr;

/// Turns of the array's loop (array.hpp) since the start of the simulation: a cycle each, if it is scheduled as written.
inline std::uint64_t turns = 0;

/// Reports a written word to the observer.
/// \tparam N lanes.
/// \tparam T type of a lane.
/// \tparam B type of a lane before the table.
template <int N, class T, class B>
inline void written(int memory, unsigned address, const T (&lanes)[N], const B (&before)[N], bool has_before) {
    if (watch == nullptr) return;
    std::int16_t words[N];
    std::int16_t earlier[N];
    for (int j = 0; j < N; ++j) {
        words[j] = static_cast<std::int16_t>(to_int(lanes[j]));
        earlier[j] = static_cast<std::int16_t>(to_int(before[j]));
    }
    watch->written(memory, address, words, has_before ? earlier : nullptr);
}

}  // namespace csim
#endif

}  // namespace ng

#endif
