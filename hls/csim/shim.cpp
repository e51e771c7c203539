// A C interface to one engine in this process, for hls/runner.py. C simulation only.
//
// It owns the memories and the state of any number of engines, passes packets in and results out, and records written
// words. Everything of docs/isa.md is in engine.hpp.
// Limits: one command at a time, whatever its engine. The observer and the accumulators of the array are one for all
// engines of a library; no command uses what another has left in them.
#include <cstring>
#include <exception>
#include <memory>
#include <vector>

#include "config.h"
#include "engine.hpp"
#include "trace.hpp"

namespace {

using namespace ng;
constexpr int N = Config::lanes;

using Record = WriteRecord<N>;

struct TooLong : std::exception {};

struct Instance final : csim::Watch {
    Memories<Config> memories;
    EngineState<Config> state;
    std::vector<Record> records;
    std::vector<std::uint64_t> results;
    bool tracing = false;
    std::uint64_t steps = 0;
    std::uint64_t most_steps = 0;
    std::int32_t unit = 0;
    std::int32_t number = 0;

    // Constructors of ap_int leave its bits uninitialized; the memories of an engine start with zeros.
    Instance() {
        std::memset(static_cast<void*>(&memories), 0, sizeof memories);
        std::memset(static_cast<void*>(&state), 0, sizeof state);
    }

    void written(int memory, unsigned address, const std::int16_t* words, const std::int16_t* before) override {
        if (!tracing) return;
        Record record{unit, number, memory, before != nullptr, address, {}, {}};
        std::memcpy(record.words, words, sizeof record.words);
        std::memcpy(record.before, before != nullptr ? before : words, sizeof record.before);
        records.push_back(record);
    }

    void takes(std::uint64_t more) override {
        steps += more;
        if (steps > most_steps) throw TooLong();
    }

    void executes(int of, unsigned which) override {
        unit = of;
        number = static_cast<std::int32_t>(which);
    }
};

}  // namespace

// All other symbols are hidden (build.py): the static variables of templates would otherwise be one for all libraries
// of a process, whose engines have other parameters.
#pragma GCC visibility push(default)

extern "C" {

void* ng_create() { return new Instance(); }

void ng_destroy(void* engine) { delete static_cast<Instance*>(engine); }

/// One write to CONTROL with its packet. Returns 0; 1 if the command needs more than `most_steps` steps of the array,
/// after which the engine must be cleared and given a program; 2 if the output is not one packet.
int ng_control(void* engine, std::uint32_t control, std::uint32_t timeout, std::uint32_t sentences,
               const std::uint32_t* lengths, const std::uint64_t* beats, std::uint64_t count, int last, int tracing,
               std::uint64_t most_steps, std::uint32_t* error, std::uint32_t* where) {
    Instance& one = *static_cast<Instance*>(engine);
    hls::stream<Beat> in, out;
    for (std::uint64_t n = 0; n < count; ++n) {
        Beat beat;
        beat.data = beats[n];
        beat.keep = 0xFF;
        beat.strb = 0xFF;
        beat.last = last != 0 && n + 1 == count ? 1 : 0;
        in.write(beat);
    }
    one.records.clear();
    one.results.clear();
    one.tracing = tracing != 0;
    one.steps = 0;
    one.most_steps = most_steps;
    std::uint32_t copied[isa::SENTENCES];
    std::memcpy(copied, lengths, sizeof copied);
    csim::watch = &one;
    try {
        const Fault fault = ng::control<Config>(one.state, control, timeout, sentences, copied, in, out, one.memories);
        *error = fault.error;
        *where = std::uint32_t(error_where(fault));
    } catch (const TooLong&) {
        csim::watch = nullptr;
        return 1;
    }
    csim::watch = nullptr;
    while (!out.empty()) {
        const Beat beat = out.read();
        one.results.push_back(static_cast<std::uint64_t>(beat.data));
        // TLAST is on the last beat and on no other.
        if ((beat.last != 0) != out.empty()) return 2;
    }
    return 0;
}

/// The beats that the last command sent; valid until the next command.
const std::uint64_t* ng_results(void* engine, std::uint64_t* count) {
    const Instance& one = *static_cast<Instance*>(engine);
    *count = one.results.size();
    return one.results.data();
}

/// The words that the last command wrote, as WriteRecord<N>, if it was traced; valid until the next command.
const void* ng_records(void* engine, std::uint64_t* count) {
    const Instance& one = *static_cast<Instance*>(engine);
    *count = one.records.size();
    return one.records.data();
}

}  // extern "C"

#pragma GCC visibility pop
