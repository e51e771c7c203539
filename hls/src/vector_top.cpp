// The vector unit as a separate kernel, for a block design in which the units run in parallel.
//
// One call executes the vector unit's list. Memories are block RAMs of the block design, with one port each, see
// array_top.cpp.
// Limits: owns no memories and loads no programs. Not yet run with Vitis HLS.
#include "config.h"
#include "tops.hpp"
#include "vector.hpp"

void vector_top(ng::UnitRegisters registers, std::uint32_t& status,
                const ng::InstructionWord program[ng::Config::program_depth], hls::stream<ng::Token>& from_array,
                hls::stream<ng::Token>& from_stream, hls::stream<ng::Token>& to_array,
                hls::stream<ng::Token>& to_stream, const ng::Word8<ng::Config::lanes> score[ng::Config::score_depth],
                const ng::Word16<ng::Config::lanes> wide[ng::Config::wide_depth],
                const ng::StatWord<ng::Config::lanes> stat[ng::Config::stat_depth],
                const ng::NormWord norm[ng::Config::norm_depth],
                const ng::Unsigned<15> exp[ng::Config::lanes][ng::Config::exp_depth],
                ng::Word8<ng::Config::lanes> vector[ng::Config::vector_depth]) {
#pragma HLS interface mode=s_axilite port=registers               // set by the host before a command
#pragma HLS interface mode=s_axilite port=status                  // read by the host after it
#pragma HLS interface mode=s_axilite port=return                  // start, done, interrupt
#pragma HLS interface mode=axis port=from_array                   // tokens
#pragma HLS interface mode=axis port=from_stream
#pragma HLS interface mode=axis port=to_array
#pragma HLS interface mode=axis port=to_stream
#pragma HLS interface mode=bram port=program storage_type=ram_1p  // a copy of the program memory
#pragma HLS interface mode=bram port=score storage_type=ram_1p    // one word read per cycle
#pragma HLS interface mode=bram port=wide storage_type=ram_1p
#pragma HLS interface mode=bram port=stat storage_type=ram_1p     // read once per instruction
#pragma HLS interface mode=bram port=norm storage_type=ram_1p
#pragma HLS interface mode=bram port=exp storage_type=ram_1p      // one port per lane
#pragma HLS interface mode=bram port=vector storage_type=ram_1p   // one word written per cycle
#pragma HLS array_partition variable=exp dim=1 complete           // one copy per lane
#pragma HLS aggregate variable=program compact=bit                // one instruction per row
#pragma HLS aggregate variable=score compact=bit                  // one word per row
#pragma HLS aggregate variable=wide compact=bit
#pragma HLS aggregate variable=stat compact=bit
#pragma HLS aggregate variable=norm compact=bit
#pragma HLS aggregate variable=vector compact=bit
    constexpr unsigned unit = ng::isa::UNIT_VECTOR;
    ng::Progress<unit> at = ng::start_list<unit>(registers);
    // An instruction takes one turn, or two if it waits.
    for (unsigned n = 0; n < 2 * registers.count[unit] && ng::has_turn(at); ++n) {
#pragma HLS loop_tripcount min=1 max=4096  // of a small model
        const ng::InstructionWord word = program[ng::address_of_turn(at)];
        ng::isa::Error error = ng::isa::ERROR_NONE;
        const ng::Turn turn = ng::vector_turn<ng::Config>(word, at.context, at.retired, error, score, wide, stat, norm,
                                                          exp, vector);
        ng::settle(at, turn, error, word, from_array, from_stream, to_array, to_stream);
    }
    status = ng::finish(at, registers, from_array, from_stream, to_array, to_stream);
}
