// Declarations of the synthesized functions, for the testbenches.
#ifndef NG_TOPS_HPP
#define NG_TOPS_HPP

#include "config.h"
#include "instructions.hpp"
#include "unit.hpp"

/// The whole engine; see engine.cpp. One call is one write to CONTROL.
void engine(std::uint32_t control, std::uint32_t timeout, std::uint32_t sentences, std::uint32_t length0,
            std::uint32_t length1, std::uint32_t& status, std::uint32_t& where, std::uint32_t& id,
            std::uint32_t& version, std::uint32_t parameters[2 + ng::isa::MEMORY_COUNT], hls::stream<ng::Beat>& in,
            hls::stream<ng::Beat>& out);

namespace ng {

/// The array's list of one command; see array_top.cpp.
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
               StatWord<Config::lanes> stat_out[Config::stat_depth]);

/// The vector unit's list of one command; see vector_top.cpp.
void vector_top(UnitRegisters registers, std::uint32_t& status, const InstructionWord program[Config::program_depth],
                hls::stream<Token>& from_array, hls::stream<Token>& from_stream, hls::stream<Token>& to_array,
                hls::stream<Token>& to_stream, const Word8<Config::lanes> score[Config::score_depth],
                const Word16<Config::lanes> wide[Config::wide_depth],
                const StatWord<Config::lanes> stat[Config::stat_depth], const NormWord norm[Config::norm_depth],
                const Unsigned<15> exp[Config::lanes][Config::exp_depth],
                Word8<Config::lanes> vector_out[Config::vector_depth]);

/// The stream unit's list of one command; see stream_top.cpp.
void stream_top(UnitRegisters registers, std::uint32_t timeout, std::uint32_t& status, std::uint32_t& crc,
                const InstructionWord program[Config::program_depth], hls::stream<Token>& from_array,
                hls::stream<Token>& from_vector, hls::stream<Token>& to_array, hls::stream<Token>& to_vector,
                hls::stream<Beat>& in, hls::stream<Beat>& out, const Word16<Config::lanes> wide[Config::wide_depth],
                Word8<Config::lanes> weight_out[Config::weight_depth], Signed<32> bias_out[Config::bias_depth],
                NormWord norm_out[Config::norm_depth], Signed<8> table_out[Config::lanes][Config::table_depth],
                Unsigned<15> exp_out[Config::lanes][Config::exp_depth], IndexWord index_out[Config::index_depth]);

}  // namespace ng

#endif
