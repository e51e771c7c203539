// The stream unit as a separate kernel, for a block design in which the units run in parallel.
//
// One call executes the stream unit's list on the packet of a command, and then discards the rest of the packet.
// Memories are block RAMs of the block design, with one port each, see array_top.cpp.
// Limits: owns no memories and loads no programs; the host compares the CRC with the program's. Does not know the error
// of another unit, so the closing beat then has code 0. Not yet run with Vitis HLS.
#include "config.h"
#include "stream.hpp"
#include "tops.hpp"

void stream_top(ng::UnitRegisters registers, std::uint32_t timeout, std::uint32_t& status, std::uint32_t& crc,
                const ng::InstructionWord program[ng::Config::program_depth], hls::stream<ng::Token>& from_array,
                hls::stream<ng::Token>& from_vector, hls::stream<ng::Token>& to_array,
                hls::stream<ng::Token>& to_vector, hls::stream<ng::Beat>& in, hls::stream<ng::Beat>& out,
                const ng::Word16<ng::Config::lanes> wide[ng::Config::wide_depth],
                ng::Word8<ng::Config::lanes> weight[ng::Config::weight_depth],
                ng::Signed<32> bias[ng::Config::bias_depth], ng::NormWord norm[ng::Config::norm_depth],
                ng::Signed<8> table[ng::Config::lanes][ng::Config::table_depth],
                ng::Unsigned<15> exp[ng::Config::lanes][ng::Config::exp_depth],
                ng::IndexWord index[ng::Config::index_depth]) {
#pragma HLS interface mode=s_axilite port=registers               // set by the host before a command
#pragma HLS interface mode=s_axilite port=timeout                 // register TIMEOUT
#pragma HLS interface mode=s_axilite port=status                  // read by the host after the command
#pragma HLS interface mode=s_axilite port=crc                     // of the packet
#pragma HLS interface mode=s_axilite port=return                  // start, done, interrupt
#pragma HLS interface mode=axis port=from_array                   // tokens
#pragma HLS interface mode=axis port=from_vector
#pragma HLS interface mode=axis port=to_array
#pragma HLS interface mode=axis port=to_vector
#pragma HLS interface mode=axis port=in                           // the packet of a command
#pragma HLS interface mode=axis port=out                          // results of STORE
#pragma HLS interface mode=bram port=program storage_type=ram_1p  // a copy of the program memory
#pragma HLS interface mode=bram port=wide storage_type=ram_1p     // one word read per cycle
#pragma HLS interface mode=bram port=weight storage_type=ram_1p   // written as beats come
#pragma HLS interface mode=bram port=bias storage_type=ram_1p
#pragma HLS interface mode=bram port=norm storage_type=ram_1p
#pragma HLS interface mode=bram port=table storage_type=ram_1p    // one port per lane
#pragma HLS interface mode=bram port=exp storage_type=ram_1p
#pragma HLS interface mode=bram port=index storage_type=ram_1p
#pragma HLS array_partition variable=table dim=1 complete         // all copies are written in parallel
#pragma HLS array_partition variable=exp dim=1 complete
#pragma HLS aggregate variable=program compact=bit                // one instruction per row
#pragma HLS aggregate variable=wide compact=bit                   // one word per row
#pragma HLS aggregate variable=weight compact=bit
#pragma HLS aggregate variable=norm compact=bit
#pragma HLS aggregate variable=index compact=bit
    constexpr unsigned unit = ng::isa::UNIT_STREAM;
    ng::StreamState packet = ng::start_stream(ng::Unsigned<32>(timeout));
    ng::Progress<unit> at = ng::start_list<unit>(registers);
    // An instruction takes one turn, or two if it waits.
    for (unsigned n = 0; n < 2 * registers.count[unit] && ng::has_turn(at); ++n) {
#pragma HLS loop_tripcount min=1 max=4096  // of a small model
        const ng::InstructionWord word = program[ng::address_of_turn(at)];
        ng::isa::Error error = ng::isa::ERROR_NONE;
        const ng::Turn turn = ng::stream_turn<ng::Config>(word, at.context, at.retired, error, packet, in, out, wide,
                                                          weight, bias, norm, table, exp, index);
        ng::settle(at, turn, error, word, from_array, from_vector, to_array, to_vector);
    }
    status = ng::finish(at, registers, from_array, from_vector, to_array, to_vector);
    // Another unit has failed: its error is the command's, and the results are not complete.
    const bool stopped = at.stopped_one || at.stopped_two;
    if (status == 0 && !stopped && !packet.ended) status = (std::uint32_t(ng::isa::ERROR_OVERRUN) << 8) | 1U;
    const auto error = ng::isa::Error(status >> 8 & 0xFFU);
    if (status != 0 || stopped) packet.holding = false;
    if (registers.init == 0) ng::end_packet(packet, out, error);
    ng::drop_packet(packet, in);
    crc = ~packet.crc;
}
