// Testbench of the engine: PROGRAM with program.bin, INIT with weights.bin, then the runs of runs.bin. Exit code 1 if
// results, status or the place of an error differ.
//
// runs.bin, 64-bit little endian numbers: the number of runs; for each: sentences, the lengths, the packet, the status and the
// ERROR_WHERE expected, the results expected. Lists of beats are preceded by their number. After an error the state is
// cleared.
#include "tb_common.hpp"

namespace {

struct Answer {
    std::uint32_t status = 0;
    std::uint32_t where = 0;
};

Answer command(std::uint32_t control, std::uint32_t sentences, std::uint32_t length0, std::uint32_t length1,
               hls::stream<ng::Beat>& in, hls::stream<ng::Beat>& out) {
    Answer answer;
    std::uint32_t id = 0, version = 0, parameters[2 + ng::isa::MEMORY_COUNT];
    engine(control, 0, sentences, length0, length1, answer.status, answer.where, id, version, parameters, in, out);
    if (id != ng::isa::ENGINE_ID || version != ng::isa::ISA_VERSION || parameters[0] != unsigned(tb::N)) {
        std::fprintf(stderr, "the engine does not identify itself\n");
        std::exit(1);
    }
    return answer;
}

tb::Row beats_of(const std::string& path) {
    const std::vector<char> bytes = tb::read_bytes(path);
    tb::Row beats((bytes.size() + 7) / 8);
    if (!bytes.empty()) std::memcpy(beats.data(), bytes.data(), bytes.size());
    return beats;
}

}  // namespace

int main(int argc, char** argv) {
    constexpr std::uint32_t done = 3;
    hls::stream<ng::Beat> in, out;
    tb::send(in, beats_of(tb::file(argc, argv, "program.bin")));
    Answer answer = command(ng::isa::COMMAND_PROGRAM, 0, 0, 0, in, out);
    if (answer.status == done) {
        tb::send(in, beats_of(tb::file(argc, argv, "weights.bin")));
        answer = command(ng::isa::COMMAND_INIT, 0, 0, 0, in, out);
    }
    if (answer.status != done) {
        std::fprintf(stderr, "program.bin or weights.bin is refused: status 0x%x, where 0x%x\n", answer.status, answer.where);
        return 1;
    }
    tb::Reader reader(tb::file(argc, argv, "runs.bin"));
    const tb::Number runs = reader.next();
    int failed = 0;
    for (tb::Number n = 0; n < runs; ++n) {
        const auto sentences = static_cast<std::uint32_t>(reader.next());
        const auto length0 = static_cast<std::uint32_t>(reader.next());
        const auto length1 = static_cast<std::uint32_t>(reader.next());
        tb::send(in, reader.list());
        answer = command(ng::isa::COMMAND_RUN, sentences, length0, length1, in, out);
        const std::string name = "run " + std::to_string(n);
        bool good = answer.status == static_cast<std::uint32_t>(reader.next());
        good = answer.where == static_cast<std::uint32_t>(reader.next()) && good;
        if (!good) std::fprintf(stderr, "%s: status 0x%x, where 0x%x\n", name.c_str(), answer.status, answer.where);
        good = tb::receive(out, reader.list(), name.c_str()) && good;
        failed += good ? 0 : 1;
        if (answer.status != done) command(1U << 31, 0, 0, 0, in, out);
    }
    std::printf("engine: %d of %d runs pass\n", static_cast<int>(runs) - failed, static_cast<int>(runs));
    return failed != 0 ? 1 : 0;
}
