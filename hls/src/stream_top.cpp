// The stream unit as a separate kernel, for a block design in which the units run in parallel.
//
// One call executes the stream unit's list on the packet of a command, and then discards the rest of the packet.
// Memories are block RAMs of the block design.
// Limits: owns no memories and loads no programs; the host compares the CRC with the program's. Not yet run with
// Vitis HLS.
#include "config.h"
#include "stream.hpp"
#include "tops.hpp"

namespace ng {

void stream_top(UnitRegisters registers, std::uint32_t timeout, std::uint32_t& status, std::uint32_t& crc,
                const InstructionWord program[Config::program_depth], hls::stream<Token>& from_array,
                hls::stream<Token>& from_vector, hls::stream<Token>& to_array, hls::stream<Token>& to_vector,
                hls::stream<Beat>& in, hls::stream<Beat>& out, const Word16<Config::lanes> wide[Config::wide_depth],
                Word8<Config::lanes> weight_out[Config::weight_depth], Signed<32> bias_out[Config::bias_depth],
                NormWord norm_out[Config::norm_depth], Signed<8> table_out[Config::lanes][Config::table_depth],
                Unsigned<15> exp_out[Config::lanes][Config::exp_depth], IndexWord index_out[Config::index_depth]) {
#pragma HLS interface mode=s_axilite port=registers  // set by the host before a command
#pragma HLS interface mode=s_axilite port=timeout    // register TIMEOUT
#pragma HLS interface mode=s_axilite port=status     // read by the host after the command
#pragma HLS interface mode=s_axilite port=crc        // of the packet
#pragma HLS interface mode=s_axilite port=return     // start, done, interrupt
#pragma HLS interface mode=axis port=from_array      // tokens
#pragma HLS interface mode=axis port=from_vector
#pragma HLS interface mode=axis port=to_array
#pragma HLS interface mode=axis port=to_vector
#pragma HLS interface mode=axis port=in              // the packet of a command
#pragma HLS interface mode=axis port=out             // results of STORE
#pragma HLS aggregate variable=program compact=bit   // one instruction per row
#pragma HLS interface mode=bram port=program         // shared with the other units
#pragma HLS interface mode=bram port=wide            // one word read per cycle
#pragma HLS interface mode=bram port=weight_out      // written as beats come
#pragma HLS interface mode=bram port=bias_out
#pragma HLS interface mode=bram port=norm_out
#pragma HLS interface mode=bram port=index_out
#pragma HLS array_partition variable=table_out dim=1 complete  // all copies are written in parallel
#pragma HLS array_partition variable=exp_out dim=1 complete
    StreamState packet = start_stream(Unsigned<32>(timeout));
    status = run_unit<isa::UNIT_STREAM, Config::program_depth>(
        registers, program, from_array, from_vector, to_array, to_vector,
        [&](const InstructionWord& word, const Context& context, const Retired& retired, isa::Error& error) {
            return stream_turn<Config>(word, context, retired, error, packet, in, out, wide, weight_out, bias_out,
                                       norm_out, table_out, exp_out, index_out);
        });
    if (status == 0 && !packet.ended) status = (std::uint32_t(isa::ERROR_OVERRUN) << 8) | 1U;
    if (registers.init == 0) end_packet(packet, out, status == 0 ? isa::ERROR_NONE : isa::Error(status >> 8 & 0xFFU));
    drop_packet(packet, in);
    crc = ~packet.crc;
}

}  // namespace ng
