"""The C++ header `config.h`: the parameters of an engine."""

from __future__ import annotations

from ..hw.isa import Memory, Parameters, depth_name


def config_header(parameters: Parameters) -> str:
    """`config.h`: the parameters of an engine as the struct `ng::Config`."""
    depths = "\n".join(
        f"    static constexpr int {depth_name(memory)} = {parameters.depth(memory)};" for memory in Memory
    )
    return f"""\
// The parameters of this engine. Depths are in words; docs/isa.md, section 1.
#ifndef NG_CONFIG_H
#define NG_CONFIG_H

namespace ng {{

struct Config {{
    static constexpr int lanes = {parameters.lanes};
    static constexpr int acc_bits = {parameters.acc_bits};
{depths}
}};

}}  // namespace ng

#endif
"""
