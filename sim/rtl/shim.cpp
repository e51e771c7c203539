// A C interface to one Verilated engine, for sim/rtl/bus.py: the host's side of its ports, and a record of every word that
// the units write.
//
// On the AXI4-Lite port, one access at a time. On the streams, a DMA with two channels, as Xilinx's AXI DMA has them: one
// sends a packet, the other receives one up to its TLAST, and either may be reset in the middle. Every cycle checks that an
// output beat stays until it is taken.
#include <cstdint>
#include <cstring>
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

constexpr std::uint64_t NEVER = ~std::uint64_t{0};

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
    bool watches = false;
    std::uint64_t cycles = 0;
    std::uint32_t random = 1;
    // Probabilities, in 256, that a cycle offers no new input beat and accepts no output beat.
    std::uint32_t stall_in = 0, stall_out = 0;
    // AXI4-Lite: address and data of a write, address and data of a read, each until its handshake.
    bool aw = false, w = false, ar = false, r = false;
    std::uint32_t read = 0;
    // The send channel.
    std::vector<std::uint64_t> packet;
    std::size_t sent = 0;
    bool closes = true, offered = false;
    // The receive channel.
    std::vector<std::uint64_t> received;
    bool receiving = false;
    // Beats that it accepts before it is started, and those that it has accepted, with their TLAST.
    std::size_t early_depth = 0;
    std::vector<std::pair<std::uint64_t, bool>> early;
    // Beats of the packets after which the channels stop.
    std::uint64_t hold_send = NEVER, hold_receive = NEVER;
    // What was seen: packets taken, the cycles in which the last one ended and in which the interrupt was last raised, and
    // an output beat that waits.
    std::uint64_t packets = 0, ended = 0, raised = 0;
    bool interrupt = false, waiting = false, last = false;
    std::uint64_t data = 0;
    const char* broken = nullptr;

    // A beat of the packet that is received.
    void take(std::uint64_t beat, bool ends) {
        received.push_back(beat);
        receiving = !ends;
    }
    std::uint32_t next() {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        return random;
    }
    bool sending() const { return sent < packet.size(); }
    bool offers() const { return sending() && sent < hold_send; }
    bool accepts() const { return receiving ? received.size() < hold_receive : early.size() < early_depth; }
    // What a host may be waiting for.
    int seen() const { return interrupt | sending() << 1 | receiving << 2 | offers() << 3 | accepts() << 4; }
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
        waiting = false;
    }
    void fails(const char* rule) {
        if (broken == nullptr) broken = rule;
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

// One cycle of all ports.
void tick(Model& m) {
    auto& t = m.top;
    t.s_axi_awvalid_i = m.aw;
    t.s_axi_wvalid_i = m.w;
    t.s_axi_arvalid_i = m.ar;
    if (!m.offered && m.offers() && (m.next() & 255) >= m.stall_in) m.offered = true;
    t.s_axis_tvalid_i = m.offered;
    if (m.offered) {
        t.s_axis_tdata_i = m.packet[m.sent];
        t.s_axis_tlast_i = m.closes && m.sent + 1 == m.packet.size();
    }
    t.m_axis_tready_i = m.accepts() && (m.next() & 255) >= m.stall_out;
    m.settle();
    const bool in = m.offered && t.s_axis_tready_o;
    m.aw = m.aw && !t.s_axi_awready_o;
    m.w = m.w && !t.s_axi_wready_o;
    m.ar = m.ar && !t.s_axi_arready_o;
    if (t.s_axi_rvalid_o) {
        m.read = t.s_axi_rdata_o;
        m.r = false;
    }
    if (m.waiting && !t.m_axis_tvalid_o) m.fails("TVALID fell before the beat was taken");
    if (m.waiting && t.m_axis_tvalid_o && (t.m_axis_tdata_o != m.data || bool(t.m_axis_tlast_o) != m.last))
        m.fails("a beat changed before it was taken");
    m.waiting = t.m_axis_tvalid_o && !t.m_axis_tready_i;
    m.data = t.m_axis_tdata_o;
    m.last = t.m_axis_tlast_o;
    if (t.m_axis_tvalid_o && t.m_axis_tready_i) {
        if (m.receiving)
            m.take(m.data, m.last);
        else
            m.early.emplace_back(m.data, m.last);
        if (m.last) {
            ++m.packets;
            m.ended = m.cycles;
        }
    }
    if (t.interrupt_o && !m.interrupt) m.raised = m.cycles;
    m.interrupt = t.interrupt_o;
    if (m.watches) watch(m);
    m.edge();
    if (in) {
        ++m.sent;
        m.offered = false;
    }
}

void put(Model& m, std::uint32_t address, std::uint32_t value) {
    m.aw = m.w = true;
    m.top.s_axi_awaddr_i = address;
    m.top.s_axi_wdata_i = value;
}

// Cycles that an access to a register may take.
constexpr int ACCESS = 1000;

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

// Resets the engine and both channels.
void ng_reset(void* handle) {
    auto& m = *static_cast<Model*>(handle);
    m.packet.clear();
    m.sent = 0;
    m.offered = m.receiving = m.aw = m.w = m.ar = m.r = false;
    m.hold_send = m.hold_receive = NEVER;
    m.early.clear();
    m.top.s_axis_tvalid_i = m.top.m_axis_tready_i = 0;
    m.top.s_axi_awvalid_i = m.top.s_axi_wvalid_i = m.top.s_axi_arvalid_i = 0;
    m.reset();
}

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
    put(m, address, value);
    for (int n = 0; n < ACCESS && (m.aw || m.w); ++n) tick(m);
    if (m.aw || m.w) m.fails("a register write was not accepted");
}

// Writes a register during the next call of ng_step, `cycle` cycles after its start. Calls must be in ascending order of
// cycles.
void ng_write_later(void* handle, std::uint64_t cycle, std::uint32_t address, std::uint32_t value) {
    static_cast<Model*>(handle)->writes.push_back({cycle, address, value});
}

std::uint32_t ng_read(void* handle, std::uint32_t address) {
    auto& m = *static_cast<Model*>(handle);
    m.ar = m.r = true;
    m.top.s_axi_araddr_i = address;
    for (int n = 0; n < ACCESS && m.r; ++n) tick(m);
    if (m.r) m.fails("a register read was not answered");
    return m.read;
}

void ng_stalls(void* handle, std::uint32_t in, std::uint32_t out, std::uint32_t seed) {
    auto& m = *static_cast<Model*>(handle);
    m.stall_in = in;
    m.stall_out = out;
    m.random = seed * 2654435761u | 1u;
}

// Starts the send channel; `last`: the last beat has TLAST.
void ng_send(void* handle, const std::uint64_t* beats, std::uint64_t count, int last) {
    auto& m = *static_cast<Model*>(handle);
    m.packet.assign(beats, beats + count);
    m.sent = 0;
    m.offered = false;
    m.closes = last != 0;
}

void ng_stop_send(void* handle) {
    auto& m = *static_cast<Model*>(handle);
    m.sent = m.packet.size();
    m.offered = false;
}

// Starts the receive channel.
void ng_receive(void* handle) {
    auto& m = *static_cast<Model*>(handle);
    m.received.clear();
    m.receiving = true;
    std::size_t taken = 0;
    while (m.receiving && taken < m.early.size()) {
        m.take(m.early[taken].first, m.early[taken].second);
        ++taken;
    }
    m.early.erase(m.early.begin(), m.early.begin() + static_cast<std::ptrdiff_t>(taken));
}

// Lets the receive channel accept this number of beats before it is started.
void ng_early(void* handle, std::uint64_t beats) { static_cast<Model*>(handle)->early_depth = beats; }

// Stops the channels after these numbers of beats of their packets; the largest number does not stop them.
void ng_hold(void* handle, std::uint64_t send, std::uint64_t receive) {
    auto& m = *static_cast<Model*>(handle);
    m.hold_send = send;
    m.hold_receive = receive;
}

void ng_stop_receive(void* handle) {
    auto& m = *static_cast<Model*>(handle);
    m.receiving = false;
    m.early.clear();
}

int ng_sending(void* handle) { return static_cast<Model*>(handle)->sending(); }
std::uint64_t ng_sent(void* handle) { return static_cast<Model*>(handle)->sent; }
int ng_receiving(void* handle) { return static_cast<Model*>(handle)->receiving; }
int ng_interrupt(void* handle) { return static_cast<Model*>(handle)->top.interrupt_o; }

// The beats of the packet that the receive channel receives, or received last.
const std::uint64_t* ng_received(void* handle, std::uint64_t* count) {
    const auto& m = *static_cast<Model*>(handle);
    *count = m.received.size();
    return m.received.data();
}

std::uint64_t ng_packets(void* handle) { return static_cast<Model*>(handle)->packets; }
std::uint64_t ng_ended(void* handle) { return static_cast<Model*>(handle)->ended; }
std::uint64_t ng_raised(void* handle) { return static_cast<Model*>(handle)->raised; }
// The first rule of the ports that was broken, or null.
const char* ng_broken(void* handle) { return static_cast<Model*>(handle)->broken; }

// Records the words that are written, from now on or no more.
void ng_watch(void* handle, int watches) {
    auto& m = *static_cast<Model*>(handle);
    m.watches = watches != 0;
    m.records.clear();
}

// Simulates until every condition in `until` holds, at most `limit` cycles. Bit 0: the interrupt has been raised in this
// call; bit 1: the send channel has sent its packet; bit 2: the receive channel has received one. Returns whether they
// hold. With no condition: `limit` cycles, and returns 0.
int ng_step(void* handle, std::uint64_t limit, int until) {
    auto& m = *static_cast<Model*>(handle);
    const std::vector<Write> writes = std::move(m.writes);
    m.writes.clear();
    std::size_t written = 0;
    bool raised = false;
    for (std::uint64_t cycle = 0; cycle < limit; ++cycle) {
        if (written < writes.size() && writes[written].cycle <= cycle && !m.aw && !m.w) {
            put(m, writes[written].address, writes[written].value);
            ++written;
        }
        tick(m);
        raised = raised || m.interrupt;
        const bool holds = ((until & 1) == 0 || raised) && ((until & 2) == 0 || !m.sending()) &&
                           ((until & 4) == 0 || !m.receiving);
        if (until != 0 && holds) return 1;
    }
    return 0;
}

// Simulates `limit` cycles, fewer if what a host may be waiting for changes: the interrupt, or the state of a channel.
// Returns whether it does.
int ng_pass(void* handle, std::uint64_t limit) {
    auto& m = *static_cast<Model*>(handle);
    const int before = m.seen();
    for (std::uint64_t cycle = 0; cycle < limit && m.seen() == before; ++cycle) tick(m);
    return m.seen() != before;
}

std::uint64_t ng_cycles(void* handle) { return static_cast<Model*>(handle)->cycles; }
std::uint64_t ng_records(void* handle) { return static_cast<Model*>(handle)->records.size(); }
const void* ng_record(void* handle) { return static_cast<Model*>(handle)->records.data(); }
}
