"""The C++ engine as a level of the verification ladder."""

from __future__ import annotations

from dataclasses import replace

from ...graph import Graph
from ...hls.runner import HlsEngine
from ...hw.host.build import EngineBuild
from ...hw.isa import Memory, Parameters
from .engine import ProgramLevel


class HlsLevel(ProgramLevel):
    """The compiled program, executed by the C++ sources under g++. Implements `graph.level.Level`.

    Args:
        graph: the model.
        compiled: its program.
        engine: what the engine is built with. If it is None, the default engine with the program's lanes, with
            deeper memories where the program needs them: so most small models share one compiled engine.
        native: native types of the same range instead of `ap_int`: the same integers, many times faster.

    Raises:
        ProgramError: program or image are not sound.
        UserError: there is no g++, or the `ap_int` headers are missing.
    """

    name = "hls"

    def __init__(
        self, graph: Graph, compiled: EngineBuild, engine: Parameters | None = None, native: bool = True
    ) -> None:
        self._start(graph, compiled, HlsEngine(engine or roomy(compiled.program.parameters), native))


def roomy(needs: Parameters) -> Parameters:
    """The default engine with the lanes of `needs`, and memories at least as deep."""
    default = Parameters(lanes=needs.lanes)
    depths = {
        f"{memory.name.lower()}_depth": max(needs.depth(memory), default.depth(memory)) for memory in Memory
    }
    return replace(default, **depths)
