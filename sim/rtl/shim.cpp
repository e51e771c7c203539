// A C interface to one Verilated engine, for sim/rtl/engine.py: each call simulates a whole command with its packet, its
// results and a record of every word that the units write.
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "Vng_engine.h"
#include "trace.hpp"
#include "verilated.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
using Waves = VerilatedFstC;
#elif VM_TRACE
#include "verilated_vcd_c.h"
using Waves = VerilatedVcdC;
#endif
#if VM_COVERAGE
#include "verilated_cov.h"
#endif

namespace {

constexpr int N = NG_LANES;

using Record = ng::WriteRecord<N>;

// Codes of units and memories, from docs/isa.md.
constexpr std::int32_t UNIT_ARRAY = 0;
constexpr std::int32_t UNIT_VECTOR = 1;
constexpr std::int32_t MEMORY_VECTOR = 3;

// Tracing must be enabled before the design is constructed.
VerilatedContext* traced(VerilatedContext& context) {
#if VM_TRACE
    context.traceEverOn(true);
#endif
    return &context;
}

// A register write during a command.
struct Write {
    std::uint64_t cycle;
    std::uint32_t address, value;
};

struct Model {
    VerilatedContext context;
    Vng_engine top{traced(context)};
#if VM_TRACE
    Waves waves;
#endif
    std::vector<Record> records;
    std::vector<Write> writes;
    std::uint64_t cycles = 0;
    std::uint32_t random = 1;

    std::uint32_t next() {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        return random;
    }
    // A cycle takes ten units of time in a waveform.
    void dump([[maybe_unused]] int phase) {
#if VM_TRACE
        if (waves.isOpen()) waves.dump(10 * cycles + phase);
#endif
    }
    void settle() {
        top.clk_i = 0;
        top.eval();
        dump(5);
    }
    void edge() {
        top.clk_i = 1;
        top.eval();
        ++cycles;
        dump(0);
    }
    void reset() {
        top.rst_ni = 0;
        for (int n = 0; n < 4; ++n) {
            settle();
            edge();
        }
        top.rst_ni = 1;
    }
};

template <class Word>
std::int16_t half(const Word& word, int lane) {
    return static_cast<std::int16_t>(word[lane / 2] >> (16 * (lane % 2)));
}

std::int8_t byte_of(const QData& word, int lane) { return static_cast<std::int8_t>(word >> (8 * lane)); }
template <std::size_t W>
std::int8_t byte_of(const VlWide<W>& word, int lane) {
    return static_cast<std::int8_t>(word[lane / 4] >> (8 * (lane % 4)));
}

void watch(Model& m) {
    auto& t = m.top;
    if (t.probe_array_valid_o) {
        Record r{UNIT_ARRAY, t.probe_array_number_o, t.probe_array_space_o, t.probe_array_table_o,
                 t.probe_array_addr_o, {}, {}};
        for (int j = 0; j < N; ++j) {
            r.words[j] = half(t.probe_array_word_o, j);
            r.before[j] = half(t.probe_array_before_o, j);
        }
        m.records.push_back(r);
    }
    if (t.probe_vector_valid_o) {
        Record r{UNIT_VECTOR, t.probe_vector_number_o, MEMORY_VECTOR, 0, t.probe_vector_addr_o, {}, {}};
        for (int j = 0; j < N; ++j) r.words[j] = byte_of(t.probe_vector_word_o, j);
        m.records.push_back(r);
    }
}

}  // namespace

extern "C" {

void* ng_new() {
    auto* m = new Model;
    auto& t = m->top;
    t.s_axi_bready_i = 1;
    t.s_axi_rready_i = 1;
    t.s_axi_wstrb_i = 15;
    m->reset();
    return m;
}

void ng_delete(void* handle) {
    auto* m = static_cast<Model*>(handle);
    m->top.final();
#if VM_TRACE
    m->waves.close();
#endif
    delete m;
}

void ng_reset(void* handle) { static_cast<Model*>(handle)->reset(); }

// Starts to record waveforms, if the library was compiled for them.
void ng_waves([[maybe_unused]] void* handle, [[maybe_unused]] const char* path) {
#if VM_TRACE
    auto& m = *static_cast<Model*>(handle);
    m.top.trace(&m.waves, 99);
    m.waves.open(path);
#endif
}

// Writes the coverage counts, if the library was compiled for them.
void ng_coverage([[maybe_unused]] void* handle, [[maybe_unused]] const char* path) {
#if VM_COVERAGE
    static_cast<Model*>(handle)->context.coveragep()->write(path);
#endif
}

void ng_write(void* handle, std::uint32_t address, std::uint32_t value) {
    auto& m = *static_cast<Model*>(handle);
    m.top.s_axi_awvalid_i = m.top.s_axi_wvalid_i = 1;
    m.top.s_axi_awaddr_i = address;
    m.top.s_axi_wdata_i = value;
    for (bool done = false; !done;) {
        m.settle();
        done = m.top.s_axi_awready_o && m.top.s_axi_wready_o;
        m.edge();
    }
    m.top.s_axi_awvalid_i = m.top.s_axi_wvalid_i = 0;
}

// Writes a register during the next command, `cycle` cycles after its start. Calls must be in ascending order of cycles.
void ng_write_later(void* handle, std::uint64_t cycle, std::uint32_t address, std::uint32_t value) {
    static_cast<Model*>(handle)->writes.push_back({cycle, address, value});
}

std::uint32_t ng_read(void* handle, std::uint32_t address) {
    auto& m = *static_cast<Model*>(handle);
    m.top.s_axi_arvalid_i = 1;
    m.top.s_axi_araddr_i = address;
    for (bool done = false; !done;) {
        m.settle();
        done = m.top.s_axi_arready_o;
        m.edge();
    }
    m.top.s_axi_arvalid_i = 0;
    for (;;) {
        m.settle();
        const bool valid = m.top.s_axi_rvalid_o;
        const std::uint32_t data = m.top.s_axi_rdata_o;
        m.edge();
        if (valid) return data;
    }
}

// Starts a command, sends its packet and receives its results until the interrupt. In each cycle, the input offers no
// new beat with a probability of stall_in / 256, and the output accepts none with a probability of stall_out / 256.
// Returns 0; 1 if the results do not fit; 2 after `limit` cycles; 3 if TLAST is not on the last result.
int ng_execute(void* handle, std::uint32_t command, const std::uint64_t* beats, std::uint64_t count, int last,
               std::uint64_t* results, std::uint64_t room, std::uint64_t* got, std::uint32_t stall_in,
               std::uint32_t stall_out, std::uint32_t seed, std::uint64_t limit, int watches) {
    auto& m = *static_cast<Model*>(handle);
    auto& t = m.top;
    m.random = seed * 2654435761u | 1u;
    m.records.clear();
    *got = 0;
    ng_write(handle, 0x14, 1);
    ng_write(handle, 0x18, 1);
    ng_write(handle, 0x08, command);
    std::uint64_t sent = 0;
    bool offered = false, ended = false, result_last = true;
    const std::vector<Write> writes = std::move(m.writes);
    m.writes.clear();
    std::size_t written = 0;
    for (std::uint64_t cycle = 0; cycle < limit; ++cycle) {
        const bool writing = written < writes.size() && writes[written].cycle <= cycle;
        t.s_axi_awvalid_i = t.s_axi_wvalid_i = writing;
        if (writing) {
            t.s_axi_awaddr_i = writes[written].address;
            t.s_axi_wdata_i = writes[written].value;
        }
        if (!offered && sent < count && (m.next() & 255) >= stall_in) offered = true;
        t.s_axis_tvalid_i = offered;
        if (offered) {
            t.s_axis_tdata_i = beats[sent];
            t.s_axis_tlast_i = last && sent + 1 == count;
        }
        t.m_axis_tready_i = (m.next() & 255) >= stall_out;
        m.settle();
        const bool in = offered && t.s_axis_tready_o;
        if (writing && t.s_axi_awready_o && t.s_axi_wready_o) ++written;
        if (t.m_axis_tvalid_o && t.m_axis_tready_i) {
            if (*got == room) {
                t.s_axi_awvalid_i = t.s_axi_wvalid_i = 0;
                return 1;
            }
            results[(*got)++] = t.m_axis_tdata_o;
            result_last = t.m_axis_tlast_o;
        }
        if (watches) watch(m);
        ended = ended || t.interrupt_o;
        const bool quiet = !t.m_axis_tvalid_o;
        m.edge();
        if (in) {
            ++sent;
            offered = false;
        }
        if (ended && sent == count && quiet) {
            t.s_axi_awvalid_i = t.s_axi_wvalid_i = 0;
            t.s_axis_tvalid_i = 0;
            t.m_axis_tready_i = 0;
            for (int n = 0; n < 4; ++n) {
                m.settle();
                m.edge();
            }
            return result_last ? 0 : 3;
        }
    }
    t.s_axi_awvalid_i = t.s_axi_wvalid_i = 0;
    t.s_axis_tvalid_i = 0;
    t.m_axis_tready_i = 0;
    return 2;
}

std::uint64_t ng_cycles(void* handle) { return static_cast<Model*>(handle)->cycles; }
std::uint64_t ng_records(void* handle) { return static_cast<Model*>(handle)->records.size(); }
const void* ng_record(void* handle) { return static_cast<Model*>(handle)->records.data(); }
}
