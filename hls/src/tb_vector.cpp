// Testbench of the vector unit: vector.bin, see UnitTest in tb_common.hpp. Exit code 1 on any difference.
#include "tb_common.hpp"

int main(int argc, char** argv) {
    return tb::run_tests(argc, argv, "vector", ng::isa::UNIT_VECTOR, [](tb::UnitTest& test, const char* name) {
        tb::Memories& m = *test.memories;
        hls::stream<ng::Token> from_array, from_stream, to_array, to_stream;
        hls::stream<ng::Beat> none;
        std::uint32_t status = 0;
        vector_top(test.registers, status, test.program.get(), from_array, from_stream, to_array, to_stream, m.score,
                       m.wide, m.stat, m.norm, m.exp, m.vector);
        return test.passes(status, none, name);
    });
}
