// The layout of a trace, which hls/csim/shim.cpp and sim/rtl/shim.cpp record and hw/host/engine.py reads.
#pragma once

#include <cstdint>

namespace ng {

/// One word of N lanes that an instruction wrote: `record_type` of hw/host/engine.py.
template <int N>
struct WriteRecord {
    std::int32_t unit;
    std::int32_t number;      // of the instruction, in the list of its unit
    std::int32_t memory;
    std::int32_t has_before;  // whether the instruction applies a table
    std::uint32_t address;
    std::int16_t words[N];
    std::int16_t before[N];   // the word before the table
};

}  // namespace ng
