"""Builds a bench for a second simulator: Icarus Verilog, with the front end slang of yosys before it.

Icarus Verilog 11, the newest that Debian 12 has, does not read the RTL: a `parameter` with a packed array type is a
syntax error. So slang reads the RTL, and yosys writes it as plain Verilog. Such a simulation shares neither the front
end nor the scheduler with Verilator, and its values have four states: a register is X until it is written.

Limits: about 100 times slower than Verilator. Assertions and the benches' own checks are left out, and the design has
no parameters, so benches that read them do not run.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from ... import toolchain
from ...compilecache import compiled, execute


def build(top: str, parameters: Mapping[str, int | str], files: Sequence[Path]) -> Path:
    """The folder with `sim.vvp`, the simulation of `top`, compiled when it is not in the cache.

    Args:
        top: the top module.
        parameters: of the top module.
        files: SystemVerilog files, packages first.

    Raises:
        UserError: iverilog or a yosys with slang is missing, or a tool failed.
    """
    yosys = toolchain.find_yosys()
    iverilog = toolchain.find_tool("iverilog", "run a bench in a second simulator")
    generics = " ".join(f"-G {name}={value}" for name, value in parameters.items())
    names = " ".join(file.name for file in files)
    script = f"""
        read_slang --threads 1 --ignore-assertions --keep-hierarchy --top {top} {generics} {names}
        hierarchy -top {top}
        proc
        bwmuxmap
        opt_clean
        write_verilog -noattr plain.v
    """

    options = "+timescale+1ns/1ps\n"

    def make(work: Path) -> None:
        for file in files:
            shutil.copy(file, work)
        Path(work, "script.ys").write_text("\n".join(map(str.strip, script.strip().splitlines())) + "\n")
        execute([*yosys.command, "-q", "-s", "script.ys"], work, tool="yosys")
        Path(work, "options").write_text(options)
        command = [iverilog, "-g2012", "-f", "options", "-s", top, "-o", "sim.vvp", "plain.v"]
        execute(command, work, tool="iverilog")

    key = [script, options, yosys.version, *toolchain.output_of([iverilog, "-V"]).splitlines()[:1]]
    return compiled("icarus", "sim.vvp", key, files, make).parent
