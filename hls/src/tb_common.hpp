// Common to the testbenches: files of numbers, memories as rows of numbers. C simulation only.
#ifndef NG_TB_COMMON_HPP
#define NG_TB_COMMON_HPP

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "config.h"
#include "tops.hpp"

namespace tb {

using Number = std::int64_t;
using Row = std::vector<Number>;
using Memories = ng::Memories<ng::Config>;
constexpr int N = ng::Config::lanes;

/// The bytes of a file; ends the process if it cannot be read.
inline std::vector<char> read_bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        std::fprintf(stderr, "%s can't be read\n", path.c_str());
        std::exit(2);
    }
    return std::vector<char>(std::istreambuf_iterator<char>(file), {});
}

/// A file of 64-bit little endian numbers, read from its start to its end.
class Reader {
  public:
    explicit Reader(const std::string& path) : path_(path) {
        const std::vector<char> bytes = read_bytes(path);
        numbers_.resize(bytes.size() / sizeof(Number));
        if (!numbers_.empty()) std::memcpy(numbers_.data(), bytes.data(), numbers_.size() * sizeof(Number));
    }
    Number next() {
        if (at_ == numbers_.size()) {
            std::fprintf(stderr, "%s ends too soon\n", path_.c_str());
            std::exit(2);
        }
        return numbers_[at_++];
    }
    /// A list of numbers, preceded by its length.
    Row list() {
        Row found(static_cast<std::size_t>(next()));
        for (Number& number : found) number = next();
        return found;
    }

  private:
    std::string path_;
    std::vector<Number> numbers_;
    std::size_t at_ = 0;
};

/// Memories initialized to zero; constructors of ap_int do not initialize.
inline std::unique_ptr<Memories> zero_memories() {
    auto memories = std::make_unique<Memories>();
    std::memset(static_cast<void*>(memories.get()), 0, sizeof(Memories));
    return memories;
}

/// Writes a word: its lanes, or its fields in the order of memories.hpp.
inline void put(Memories& m, Number memory, std::size_t at, const Row& row) {
    switch (static_cast<unsigned>(memory)) {
        case ng::isa::MEMORY_STAT:
            m.stat[at].kind = row[0];
            m.stat[at].count = row[1];
            for (int j = 0; j < N; ++j) {
                m.stat[at].sum[j] = row[2 + j];
                m.stat[at].square[j] = row[2 + N + j];
                m.stat[at].largest[j] = row[2 + 2 * N + j];
            }
            return;
        case ng::isa::MEMORY_BIAS: m.bias[at] = row[0]; return;
        case ng::isa::MEMORY_NORM:
            m.norm[at].beta = row[0];
            m.norm[at].gamma = row[1];
            return;
        default: break;
    }
    for (int j = 0; j < N; ++j) {
        switch (static_cast<unsigned>(memory)) {
            case ng::isa::MEMORY_WEIGHT: m.weight[at].lane[j] = row[j]; break;
            case ng::isa::MEMORY_KV: m.kv[at].lane[j] = row[j]; break;
            case ng::isa::MEMORY_ACT: m.act[at].lane[j] = row[j]; break;
            case ng::isa::MEMORY_VECTOR: m.vector[at].lane[j] = row[j]; break;
            case ng::isa::MEMORY_SCORE: m.score[at].lane[j] = row[j]; break;
            case ng::isa::MEMORY_WIDE: m.wide[at].lane[j] = row[j]; break;
            case ng::isa::MEMORY_TABLE: m.table[j][at] = row[0]; break;
            case ng::isa::MEMORY_EXP: m.exp[j][at] = row[0]; break;
            case ng::isa::MEMORY_INDEX:
                if (j < int(ng::isa::INDEX_COLUMNS)) m.index[at].column[j] = row[j];
                break;
            default: break;
        }
    }
}

/// Reads a word written by `put`.
inline Row get(const Memories& m, Number memory, std::size_t at) {
    Row row;
    const auto add = [&row](auto number) { row.push_back(static_cast<Number>(number)); };
    switch (static_cast<unsigned>(memory)) {
        case ng::isa::MEMORY_STAT:
            add(m.stat[at].kind);
            add(m.stat[at].count);
            for (int j = 0; j < N; ++j) add(m.stat[at].sum[j]);
            for (int j = 0; j < N; ++j) add(m.stat[at].square[j]);
            for (int j = 0; j < N; ++j) add(m.stat[at].largest[j]);
            return row;
        case ng::isa::MEMORY_BIAS: add(m.bias[at]); return row;
        case ng::isa::MEMORY_NORM:
            add(m.norm[at].beta);
            add(m.norm[at].gamma);
            return row;
        case ng::isa::MEMORY_TABLE: add(m.table[N - 1][at]); return row;
        case ng::isa::MEMORY_EXP: add(m.exp[N - 1][at]); return row;
        case ng::isa::MEMORY_INDEX:
            for (auto column : m.index[at].column) add(column);
            return row;
        default: break;
    }
    for (int j = 0; j < N; ++j) {
        switch (static_cast<unsigned>(memory)) {
            case ng::isa::MEMORY_WEIGHT: add(m.weight[at].lane[j]); break;
            case ng::isa::MEMORY_KV: add(m.kv[at].lane[j]); break;
            case ng::isa::MEMORY_ACT: add(m.act[at].lane[j]); break;
            case ng::isa::MEMORY_VECTOR: add(m.vector[at].lane[j]); break;
            case ng::isa::MEMORY_SCORE: add(m.score[at].lane[j]); break;
            default: add(m.wide[at].lane[j]); break;
        }
    }
    return row;
}

/// Writes beats to a stream, with TLAST on the last.
inline void send(hls::stream<ng::Beat>& out, const Row& beats) {
    for (std::size_t n = 0; n < beats.size(); ++n) {
        ng::Beat beat;
        beat.data = static_cast<std::uint64_t>(beats[n]);
        beat.keep = 0xFF;
        beat.strb = 0xFF;
        beat.last = n + 1 == beats.size() ? 1 : 0;
        out.write(beat);
    }
}

/// Reads all beats from a stream; true if they are the expected ones, with TLAST on the last only.
inline bool receive(hls::stream<ng::Beat>& in, const Row& expected, const char* name) {
    std::size_t n = 0;
    bool good = true;
    while (!in.empty()) {
        const ng::Beat beat = in.read();
        const auto data = static_cast<std::uint64_t>(beat.data);
        if (n >= expected.size() || data != static_cast<std::uint64_t>(expected[n]) || (beat.last != 0) != in.empty()) {
            if (good) std::fprintf(stderr, "%s: beat %zu of the results differs\n", name, n);
            good = false;
        }
        ++n;
    }
    if (n == expected.size()) return good;
    std::fprintf(stderr, "%s: %zu beats of results instead of %zu\n", name, n, expected.size());
    return false;
}

/// A test of one unit, from a file of numbers: sentences, the lengths, instructions, the packet, words before, the
/// status expected, words and beats expected.
struct UnitTest {
    ng::UnitRegisters registers{};
    std::unique_ptr<ng::InstructionWord[]> program{new ng::InstructionWord[ng::Config::program_depth]()};
    std::unique_ptr<Memories> memories = zero_memories();
    Row packet;

    UnitTest(Reader& reader, unsigned unit) : reader_(reader) {
        registers.init = static_cast<std::uint32_t>(reader.next());
        registers.sentences = static_cast<std::uint32_t>(reader.next());
        for (auto& length : registers.length) length = static_cast<std::uint32_t>(reader.next());
        const Row parts = reader.list();
        const std::size_t size = ng::isa::INSTRUCTION_BITS / 64;
        for (std::size_t n = 0; n < parts.size(); ++n) {
            program[n / size].part[n % size] = static_cast<std::uint64_t>(parts[n]);
        }
        registers.count[unit] = static_cast<std::uint32_t>(parts.size() / size);
        packet = reader.list();
        for (Number words = reader.next(); words > 0; --words) {
            const Number memory = reader.next();
            const auto at = static_cast<std::size_t>(reader.next());
            put(*memories, memory, at, reader.list());
        }
    }

    /// Whether status, memories and results are those expected.
    bool passes(std::uint32_t status, hls::stream<ng::Beat>& results, const char* name) {
        bool good = true;
        const auto expected = static_cast<std::uint32_t>(reader_.next());
        if (status != expected) {
            std::fprintf(stderr, "%s: status 0x%x instead of 0x%x\n", name, status, expected);
            good = false;
        }
        for (Number words = reader_.next(); words > 0; --words) {
            const Number memory = reader_.next();
            const auto at = static_cast<std::size_t>(reader_.next());
            if (get(*memories, memory, at) != reader_.list()) {
                if (good) std::fprintf(stderr, "%s: word %zu of memory %d differs\n", name, at, static_cast<int>(memory));
                good = false;
            }
        }
        return receive(results, reader_.list(), name) && good;
    }

  private:
    Reader& reader_;
};

/// The path of a file in the folder given by the first argument, or in the current folder.
inline std::string file(int argc, char** argv, const char* name) {
    return argc > 1 ? std::string(argv[1]) + "/" + name : name;
}

/// Runs all tests of a unit's file with `test`, and prints the result.
/// \return the exit code: 0 if all pass.
template <class F>
int run_tests(int argc, char** argv, const char* name, unsigned unit, F test) {
    Reader reader(file(argc, argv, (std::string(name) + ".bin").c_str()));
    int failed = 0;
    const Number count = reader.next();
    for (Number n = 0; n < count; ++n) {
        UnitTest one(reader, unit);
        const std::string title = std::string(name) + " test " + std::to_string(n);
        failed += test(one, title.c_str()) ? 0 : 1;
    }
    std::printf("%s: %d of %d tests pass\n", name, static_cast<int>(count) - failed, static_cast<int>(count));
    return failed != 0 ? 1 : 0;
}

}  // namespace tb

#endif
