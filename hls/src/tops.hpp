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

/// The array's list of one command; see array_top.cpp.
void array_top(ng::UnitRegisters registers, std::uint32_t& status,
               const ng::InstructionWord program[ng::Config::program_depth], hls::stream<ng::Token>& from_vector,
               hls::stream<ng::Token>& from_stream, hls::stream<ng::Token>& to_vector,
               hls::stream<ng::Token>& to_stream, const ng::Word8<ng::Config::lanes> weight[ng::Config::weight_depth],
               ng::Word8<ng::Config::lanes> kv[ng::Config::kv_depth],
               ng::Word8<ng::Config::lanes> act[ng::Config::act_depth],
               const ng::Word8<ng::Config::lanes> vector[ng::Config::vector_depth],
               ng::Word8<ng::Config::lanes> score[ng::Config::score_depth],
               ng::Word16<ng::Config::lanes> wide[ng::Config::wide_depth],
               ng::StatWord<ng::Config::lanes> stat[ng::Config::stat_depth],
               const ng::Signed<32> bias[ng::Config::bias_depth],
               const ng::Signed<8> table[ng::Config::lanes][ng::Config::table_depth],
               const ng::IndexWord index[ng::Config::index_depth]);

/// The vector unit's list of one command; see vector_top.cpp.
void vector_top(ng::UnitRegisters registers, std::uint32_t& status,
                const ng::InstructionWord program[ng::Config::program_depth], hls::stream<ng::Token>& from_array,
                hls::stream<ng::Token>& from_stream, hls::stream<ng::Token>& to_array,
                hls::stream<ng::Token>& to_stream, const ng::Word8<ng::Config::lanes> score[ng::Config::score_depth],
                const ng::Word16<ng::Config::lanes> wide[ng::Config::wide_depth],
                const ng::StatWord<ng::Config::lanes> stat[ng::Config::stat_depth],
                const ng::NormWord norm[ng::Config::norm_depth],
                const ng::Unsigned<15> exp[ng::Config::lanes][ng::Config::exp_depth],
                ng::Word8<ng::Config::lanes> vector[ng::Config::vector_depth]);

/// The stream unit's list of one command; see stream_top.cpp.
void stream_top(ng::UnitRegisters registers, std::uint32_t timeout, std::uint32_t& status, std::uint32_t& crc,
                const ng::InstructionWord program[ng::Config::program_depth], hls::stream<ng::Token>& from_array,
                hls::stream<ng::Token>& from_vector, hls::stream<ng::Token>& to_array,
                hls::stream<ng::Token>& to_vector, hls::stream<ng::Beat>& in, hls::stream<ng::Beat>& out,
                const ng::Word16<ng::Config::lanes> wide[ng::Config::wide_depth],
                ng::Word8<ng::Config::lanes> weight[ng::Config::weight_depth],
                ng::Signed<32> bias[ng::Config::bias_depth], ng::NormWord norm[ng::Config::norm_depth],
                ng::Signed<8> table[ng::Config::lanes][ng::Config::table_depth],
                ng::Unsigned<15> exp[ng::Config::lanes][ng::Config::exp_depth],
                ng::IndexWord index[ng::Config::index_depth]);

#endif
