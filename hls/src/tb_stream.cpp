// Testbench of the stream unit: stream.bin, see UnitTest in tb_common.hpp. Exit code 1 on any difference.
#include "tb_common.hpp"

int main(int argc, char** argv) {
    return tb::run_tests(argc, argv, "stream", ng::isa::UNIT_STREAM, [](tb::UnitTest& test, const char* name) {
        tb::Memories& m = *test.memories;
        hls::stream<ng::Token> from_array, from_vector, to_array, to_vector;
        hls::stream<ng::Beat> in, out;
        tb::send(in, test.packet);
        std::uint32_t status = 0, crc = 0;
        stream_top(test.registers, 0, status, crc, test.program.get(), from_array, from_vector, to_array, to_vector, in,
                       out, m.wide, m.weight, m.bias, m.norm, m.table, m.exp, m.index);
        return test.passes(status, out, name);
    });
}
