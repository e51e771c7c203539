// The stream unit as a kernel of its own, for a block design in which units run beside each other; not yet run with
// Vitis HLS.
//
// What this does: one call executes the stream unit's list on the packet of a command, and then drops what is left of
// the packet. Memories are block RAMs of the block design. What it does not: own memories or load programs; compare
// the CRC with the program's, the host does.
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
#pragma HLS interface mode=axis port=from_vector     // tokens
#pragma HLS interface mode=axis port=to_array        // tokens
#pragma HLS interface mode=axis port=to_vector       // tokens
#pragma HLS interface mode=axis port=in              // the packet of a command
#pragma HLS interface mode=axis port=out             // results of STORE
#pragma HLS aggregate variable=program compact=bit   // an instruction a row
#pragma HLS interface mode=bram port=program         // shared with the other units
#pragma HLS interface mode=bram port=wide            // read a word a cycle
#pragma HLS interface mode=bram port=weight_out      // written as beats come
#pragma HLS interface mode=bram port=bias_out        // written as beats come
#pragma HLS interface mode=bram port=norm_out        // written as beats come
#pragma HLS interface mode=bram port=index_out       // written as beats come
#pragma HLS array_partition variable=table_out dim=1 complete  // every lane's copy is written at once
#pragma HLS array_partition variable=exp_out dim=1 complete    // every lane's copy is written at once
    StreamState packet = start_stream(Unsigned<32>(timeout));
    status = run_unit<isa::UNIT_STREAM, Config::program_depth>(
        registers, program, from_array, from_vector, to_array, to_vector,
        [&](const InstructionWord& word, const Context& context, const Retired& retired, isa::Error& error) {
            return stream_turn<Config>(word, context, retired, error, packet, in, out, wide, weight_out, bias_out,
                                       norm_out, table_out, exp_out, index_out);
        });
    if (status == 0 && !packet.ended) status = (std::uint32_t(isa::ERROR_OVERRUN) << 8) | 1U;
    if (status == 0) flush(packet, out, true);
    drop_packet(packet, in);
    crc = ~packet.crc;
}

}  // namespace ng
