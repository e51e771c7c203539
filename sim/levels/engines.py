"""The engines of the verification ladder by name.

Nothing but the chosen engine is imported: "program" needs numpy alone, "hls" also g++, "rtl" also Verilator.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...errors import UserError
from ...hw.host.engine import Engine
from ...hw.isa import Memory, Parameters
from . import ENGINES


def open_engine(name: str, needs: Parameters, *, stalls: bool = False, waves: Path | None = None) -> Engine:
    """An engine without a program. Close it after use.

    Args:
        name: one of `ENGINES`.
        needs: the parameters of the program that it is to run. The simulator is built with these; the engines that
            must be compiled are `roomy`, so that most small models share one.
        stalls: let the streams of the RTL stall at random; no other engine has streams that could.
        waves: a file for waveforms, complete when the engine is closed; only the RTL has them.

    Raises:
        UserError: there is no such engine, a tool that it needs is missing, or it has no waveforms.
    """
    if waves is not None and name != "rtl":
        raise UserError("only the RTL has waveforms; leave out --waves or add --on rtl.")
    if name == "program":
        from ..engine.simulator import ProgramSimulator

        return ProgramSimulator(needs)
    if name == "hls":
        from ...hls.runner import HlsEngine

        return HlsEngine(roomy(needs))
    if name == "rtl":
        from ..rtl.engine import RtlEngine

        return RtlEngine(roomy(needs), waves=waves, stalls=stalls)
    raise UserError(f"there is no engine {name!r}; choose from {', '.join(ENGINES)}.")


def roomy(needs: Parameters) -> Parameters:
    """The default engine with the lanes of `needs`, and memories at least as deep."""
    default = Parameters(lanes=needs.lanes)
    depths = {
        f"{memory.name.lower()}_depth": max(needs.depth(memory), default.depth(memory)) for memory in Memory
    }
    return replace(default, **depths)
