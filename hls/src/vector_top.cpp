// The vector unit as a separate kernel, for a block design in which the units run in parallel.
//
// One call executes the vector unit's list. Memories are block RAMs of the block design.
// Limits: owns no memories and loads no programs. Not yet run with Vitis HLS.
#include "config.h"
#include "tops.hpp"
#include "vector.hpp"

namespace ng {

void vector_top(UnitRegisters registers, std::uint32_t& status, const InstructionWord program[Config::program_depth],
                hls::stream<Token>& from_array, hls::stream<Token>& from_stream, hls::stream<Token>& to_array,
                hls::stream<Token>& to_stream, const Word8<Config::lanes> score[Config::score_depth],
                const Word16<Config::lanes> wide[Config::wide_depth],
                const StatWord<Config::lanes> stat[Config::stat_depth], const NormWord norm[Config::norm_depth],
                const Unsigned<15> exp[Config::lanes][Config::exp_depth],
                Word8<Config::lanes> vector_out[Config::vector_depth]) {
#pragma HLS interface mode=s_axilite port=registers  // set by the host before a command
#pragma HLS interface mode=s_axilite port=status     // read by the host after it
#pragma HLS interface mode=s_axilite port=return     // start, done, interrupt
#pragma HLS interface mode=axis port=from_array      // tokens
#pragma HLS interface mode=axis port=from_stream
#pragma HLS interface mode=axis port=to_array
#pragma HLS interface mode=axis port=to_stream
#pragma HLS aggregate variable=program compact=bit   // one instruction per row
#pragma HLS interface mode=bram port=program         // shared with the other units
#pragma HLS interface mode=bram port=score           // one word read per cycle
#pragma HLS interface mode=bram port=wide
#pragma HLS interface mode=bram port=stat            // read once per instruction
#pragma HLS interface mode=bram port=norm
#pragma HLS interface mode=bram port=vector_out      // one word written per cycle
#pragma HLS array_partition variable=exp dim=1 complete  // one copy and one port per lane
    status = run_unit<isa::UNIT_VECTOR, Config::program_depth>(
        registers, program, from_array, from_stream, to_array, to_stream,
        [&](const InstructionWord& word, const Context& context, const Retired& retired, isa::Error& error) {
            return vector_turn<Config>(word, context, retired, error, score, wide, stat, norm, exp, vector_out);
        });
}

}  // namespace ng
