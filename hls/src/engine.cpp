// The engine as one kernel for Vitis HLS.
//
// One call is one write to the register CONTROL: PROGRAM, INIT, RUN or clear. The kernel owns the memories, which keep
// their content. Units take turns. Errors identify the instruction as docs/isa.md specifies.
// Limits: the tool chooses the addresses of the registers, which have the names below, instead of those of
// docs/isa.md, section 9; no cycle counters; no interrupt except that of ap_ctrl_hs; a running command cannot be
// stopped. Not yet run with Vitis HLS.
#include "engine.hpp"

#include "config.h"
#include "tops.hpp"

using namespace ng;

void engine(std::uint32_t control, std::uint32_t timeout, std::uint32_t sentences, std::uint32_t length0,
            std::uint32_t length1, std::uint32_t& status, std::uint32_t& where, std::uint32_t& id,
            std::uint32_t& version, std::uint32_t parameters[2 + isa::MEMORY_COUNT], hls::stream<Beat>& in,
            hls::stream<Beat>& out) {
#pragma HLS interface mode=axis port=in               // the packet of a command
#pragma HLS interface mode=axis port=out              // results of STORE
#pragma HLS interface mode=s_axilite port=control     // register CONTROL
#pragma HLS interface mode=s_axilite port=timeout     // register TIMEOUT
#pragma HLS interface mode=s_axilite port=sentences   // register SENTENCES
#pragma HLS interface mode=s_axilite port=length0     // register LENGTH0
#pragma HLS interface mode=s_axilite port=length1     // register LENGTH1
#pragma HLS interface mode=s_axilite port=status      // register STATUS
#pragma HLS interface mode=s_axilite port=where       // register ERROR_WHERE
#pragma HLS interface mode=s_axilite port=id          // register ID
#pragma HLS interface mode=s_axilite port=version     // register VERSION
#pragma HLS interface mode=s_axilite port=parameters  // registers LANES, ACC_BITS and all depths, in this order
#pragma HLS interface mode=s_axilite port=return      // start, done, interrupt
    static Memories<Config> memories;
#pragma HLS aggregate variable=memories.weight compact=bit                  // one word per row
#pragma HLS aggregate variable=memories.kv compact=bit
#pragma HLS aggregate variable=memories.act compact=bit
#pragma HLS aggregate variable=memories.vector compact=bit
#pragma HLS aggregate variable=memories.score compact=bit
#pragma HLS aggregate variable=memories.wide compact=bit
#pragma HLS aggregate variable=memories.stat compact=bit
#pragma HLS aggregate variable=memories.norm compact=bit                    // beta and gamma side by side
#pragma HLS aggregate variable=memories.index compact=bit                   // all columns of a token at once
#pragma HLS bind_storage variable=memories.weight type=ram_t2p              // A, and B or the residual, each a word per cycle
#pragma HLS bind_storage variable=memories.index type=ram_t2p               // those of A and of B
#pragma HLS bind_storage variable=memories.vector type=ram_s2p              // one word read per cycle, no copy
#pragma HLS bind_storage variable=memories.act type=ram_s2p
#pragma HLS bind_storage variable=memories.kv type=ram_s2p
#pragma HLS bind_storage variable=memories.wide type=ram_s2p
#pragma HLS array_partition variable=memories.table dim=1 complete          // one copy per lane
#pragma HLS array_partition variable=memories.exp dim=1 complete
    static EngineState<Config> state;
#pragma HLS aggregate variable=state.program compact=bit            // one instruction per row
#pragma HLS array_partition variable=state.header complete          // checked all at once
    // Copied at the start, because the host may write the registers during the command.
    const std::uint32_t command = control, run_timeout = timeout, run_sentences = sentences;
    const std::uint32_t lengths[isa::SENTENCES] = {length0, length1};
    const Fault found = ng::control<Config>(state, command, run_timeout, run_sentences, lengths, in, out, memories);
    const bool failed = found.error != isa::ERROR_NONE;
    // Bit 0 idle, bit 1 done, bit 2 error, bits 15:8 the code.
    status = failed ? (1U << 2) | (std::uint32_t(found.error) << 8) : (1U << 0) | (1U << 1);
    where = std::uint32_t(error_where(found));
    id = isa::ENGINE_ID;
    version = isa::ISA_VERSION;
    const std::uint32_t built[2 + isa::MEMORY_COUNT] = {
        Config::lanes,      Config::acc_bits,   Config::weight_depth, Config::kv_depth,   Config::act_depth,
        Config::vector_depth, Config::score_depth, Config::wide_depth,  Config::stat_depth, Config::bias_depth,
        Config::norm_depth, Config::table_depth, Config::exp_depth,   Config::index_depth, Config::program_depth};
    for (unsigned n = 0; n < 2 + isa::MEMORY_COUNT; ++n) {
#pragma HLS pipeline II=1  // one register per cycle
        parameters[n] = built[n];
    }
}
