// The vector unit as a kernel of its own, for a block design in which units run beside each other; not yet run with
// Vitis HLS.
//
// What this does: one call executes the vector unit's list. Memories are block RAMs of the block design. What it does
// not: own memories or load programs.
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
#pragma HLS interface mode=axis port=from_stream     // tokens
#pragma HLS interface mode=axis port=to_array        // tokens
#pragma HLS interface mode=axis port=to_stream       // tokens
#pragma HLS aggregate variable=program compact=bit   // an instruction a row
#pragma HLS interface mode=bram port=program         // shared with the other units
#pragma HLS interface mode=bram port=score           // read a word a cycle
#pragma HLS interface mode=bram port=wide            // read a word a cycle
#pragma HLS interface mode=bram port=stat            // read once an instruction
#pragma HLS interface mode=bram port=norm            // read a word a cycle
#pragma HLS interface mode=bram port=vector_out      // written a word a cycle
#pragma HLS array_partition variable=exp dim=1 complete  // a copy, and a port, for each lane
    status = run_unit<isa::UNIT_VECTOR, Config::program_depth>(
        registers, program, from_array, from_stream, to_array, to_stream,
        [&](const InstructionWord& word, const Context& context, const Retired& retired, isa::Error& error) {
            return vector_turn<Config>(word, context, retired, error, score, wide, stat, norm, exp, vector_out);
        });
}

}  // namespace ng
