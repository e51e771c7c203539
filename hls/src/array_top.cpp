// The array as a separate kernel, for a block design in which the units run in parallel.
//
// One call executes the array's list. Memories are block RAMs of the block design, with one port per use. The array has
// both ports of KV and ACT. Of the others it has one reading or one writing port, with these exceptions: WEIGHT and
// INDEX have two reading ports, and WIDE has one for reading and one for writing. A memory with more users than ports
// is copied in the block design: all copies are written, and each is read by one port. WEIGHT needs no copy if no
// program loads weights in a RUN: then LOAD, which writes in INIT only, and the array's second port share a port of the
// memory through a multiplexer.
// Limits: owns no memories and loads no programs. Not yet run with Vitis HLS.
#include "array.hpp"
#include "config.h"
#include "tops.hpp"

void array_top(ng::UnitRegisters registers, std::uint32_t& status,
               const ng::InstructionWord program[ng::Config::program_depth], hls::stream<ng::Token>& from_vector,
               hls::stream<ng::Token>& from_stream, hls::stream<ng::Token>& to_vector,
               hls::stream<ng::Token>& to_stream, const ng::Word8<ng::Config::lanes> weight[ng::Config::weight_depth],
               ng::Word8<ng::Config::lanes> kv[ng::Config::kv_depth],
               ng::Word8<ng::Config::lanes> act[ng::Config::act_depth],
               const ng::Word8<ng::Config::lanes> vector[ng::Config::vector_depth],
               ng::Word8<ng::Config::lanes> score[ng::Config::score_depth],
               ng::Word16<ng::Config::lanes> wide[ng::Config::wide_depth],
               ng::StatWord<ng::Config::lanes> stat[ng::Config::stat_depth],
               const ng::Signed<32> bias[ng::Config::bias_depth],
               const ng::Signed<8> table[ng::Config::lanes][ng::Config::table_depth],
               const ng::IndexWord index[ng::Config::index_depth]) {
#pragma HLS interface mode=s_axilite port=registers              // set by the host before a command
#pragma HLS interface mode=s_axilite port=status                 // read by the host after it
#pragma HLS interface mode=s_axilite port=return                 // start, done, interrupt
#pragma HLS interface mode=axis port=from_vector                 // tokens
#pragma HLS interface mode=axis port=from_stream
#pragma HLS interface mode=axis port=to_vector
#pragma HLS interface mode=axis port=to_stream
#pragma HLS interface mode=bram port=program storage_type=ram_1p  // a copy of the program memory
#pragma HLS interface mode=bram port=weight storage_type=ram_t2p  // A, and B or the residual
#pragma HLS interface mode=bram port=kv storage_type=ram_s2p      // A is read while words are drained
#pragma HLS interface mode=bram port=act storage_type=ram_s2p     // B is read while words are drained
#pragma HLS interface mode=bram port=vector storage_type=ram_1p   // B or the residual
#pragma HLS interface mode=bram port=score storage_type=ram_1p    // written
#pragma HLS interface mode=bram port=wide storage_type=ram_s2p    // the residual is read while words are drained
#pragma HLS interface mode=bram port=stat storage_type=ram_1p     // written once per instruction
#pragma HLS interface mode=bram port=bias storage_type=ram_1p     // one bias read per cycle
#pragma HLS interface mode=bram port=table storage_type=ram_1p    // one port per lane
#pragma HLS interface mode=bram port=index storage_type=ram_t2p   // those of A and of B
#pragma HLS array_partition variable=table dim=1 complete         // one copy per lane
#pragma HLS aggregate variable=program compact=bit                // one instruction per row
#pragma HLS aggregate variable=weight compact=bit                 // one word per row
#pragma HLS aggregate variable=kv compact=bit
#pragma HLS aggregate variable=act compact=bit
#pragma HLS aggregate variable=vector compact=bit
#pragma HLS aggregate variable=score compact=bit
#pragma HLS aggregate variable=wide compact=bit
#pragma HLS aggregate variable=stat compact=bit
#pragma HLS aggregate variable=index compact=bit                  // all columns of a token at once
    constexpr unsigned unit = ng::isa::UNIT_ARRAY;
    bool resumed = false;
    ng::Progress<unit> at = ng::start_list<unit>(registers);
    // An instruction takes one turn, or two if it waits.
    for (unsigned n = 0; n < 2 * registers.count[unit] && ng::has_turn(at); ++n) {
#pragma HLS loop_tripcount min=1 max=4096  // of a small model
        const ng::InstructionWord word = program[ng::address_of_turn(at)];
        ng::isa::Error error = ng::isa::ERROR_NONE;
        const ng::Turn turn = ng::array_turn<ng::Config>(word, at.context, at.retired, error, resumed, weight, kv, act,
                                                         vector, score, wide, stat, bias, table, index);
        ng::settle(at, turn, error, word, from_vector, from_stream, to_vector, to_stream);
    }
    status = ng::finish(at, registers, from_vector, from_stream, to_vector, to_stream);
}
