// Testbench of the array: array.bin, see UnitTest in tb_common.hpp. Exit code 1 on any difference.
#include "tb_common.hpp"

int main(int argc, char** argv) {
    return tb::run_tests(argc, argv, "array", ng::isa::UNIT_ARRAY, [](tb::UnitTest& test, const char* name) {
        tb::Memories& m = *test.memories;
        hls::stream<ng::Token> from_vector, from_stream, to_vector, to_stream;
        hls::stream<ng::Beat> none;
        std::uint32_t status = 0;
        array_top(test.registers, status, test.program.get(), from_vector, from_stream, to_vector, to_stream, m.weight, m.kv,
                  m.act, m.vector, m.score, m.wide, m.stat, m.bias, m.table, m.index);
        return test.passes(status, none, name);
    });
}
