// The array as a separate kernel, for a block design in which the units run in parallel.
//
// One call executes the array's list. Memories are block RAMs of the block design, with one port per use.
// Limits: owns no memories and loads no programs. Not yet run with Vitis HLS.
#include "array.hpp"
#include "config.h"
#include "tops.hpp"

namespace ng {

void array_top(UnitRegisters registers, std::uint32_t& status, const InstructionWord program[Config::program_depth],
               hls::stream<Token>& from_vector, hls::stream<Token>& from_stream, hls::stream<Token>& to_vector,
               hls::stream<Token>& to_stream, const Word8<Config::lanes> weight_a[Config::weight_depth],
               const Word8<Config::lanes> weight_b[Config::weight_depth],
               const Word8<Config::lanes> weight_residual[Config::weight_depth],
               const Word8<Config::lanes> kv[Config::kv_depth], const Word8<Config::lanes> act[Config::act_depth],
               const Word8<Config::lanes> vector_b[Config::vector_depth],
               const Word8<Config::lanes> vector_residual[Config::vector_depth],
               const Word16<Config::lanes> wide[Config::wide_depth], const Signed<32> bias[Config::bias_depth],
               const Signed<8> table[Config::lanes][Config::table_depth],
               const IndexWord index_a[Config::index_depth], const IndexWord index_b[Config::index_depth],
               Word8<Config::lanes> kv_out[Config::kv_depth], Word8<Config::lanes> act_out[Config::act_depth],
               Word8<Config::lanes> score_out[Config::score_depth],
               Word16<Config::lanes> wide_out[Config::wide_depth],
               StatWord<Config::lanes> stat_out[Config::stat_depth]) {
#pragma HLS interface mode=s_axilite port=registers    // set by the host before a command
#pragma HLS interface mode=s_axilite port=status       // read by the host after it
#pragma HLS interface mode=s_axilite port=return       // start, done, interrupt
#pragma HLS interface mode=axis port=from_vector       // tokens
#pragma HLS interface mode=axis port=from_stream
#pragma HLS interface mode=axis port=to_vector
#pragma HLS interface mode=axis port=to_stream
#pragma HLS interface mode=bram port=program           // shared with the other units
#pragma HLS aggregate variable=program compact=bit    // one instruction per row
#pragma HLS interface mode=bram port=weight_a          // one word read per cycle
#pragma HLS interface mode=bram port=weight_b
#pragma HLS interface mode=bram port=weight_residual
#pragma HLS interface mode=bram port=kv
#pragma HLS interface mode=bram port=act
#pragma HLS interface mode=bram port=vector_b
#pragma HLS interface mode=bram port=vector_residual
#pragma HLS interface mode=bram port=wide
#pragma HLS interface mode=bram port=bias              // one bias read per cycle
#pragma HLS interface mode=bram port=index_a           // one index read per cycle
#pragma HLS interface mode=bram port=index_b
#pragma HLS interface mode=bram port=kv_out            // one word written per cycle
#pragma HLS interface mode=bram port=act_out
#pragma HLS interface mode=bram port=score_out
#pragma HLS interface mode=bram port=wide_out
#pragma HLS interface mode=bram port=stat_out          // written once per instruction
#pragma HLS array_partition variable=table dim=1 complete  // one copy and one port per lane
    static ArrayState<Config::lanes> state;
#pragma HLS array_partition variable=state.tile.acc complete dim=0  // N * N accumulators, each a register
    state.resumed = false;
    status = run_unit<isa::UNIT_ARRAY, Config::program_depth>(
        registers, program, from_vector, from_stream, to_vector, to_stream,
        [&](const InstructionWord& word, const Context& context, const Retired& retired, isa::Error& error) {
            return array_turn<Config>(word, context, retired, error, state, weight_a, weight_b, weight_residual, kv,
                                      act, vector_b, vector_residual, wide, bias, table, index_a, index_b, kv_out,
                                      act_out, score_out, wide_out, stat_out);
        });
}

}  // namespace ng
