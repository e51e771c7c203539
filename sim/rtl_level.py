"""The RTL as a level of the verification ladder."""

from __future__ import annotations

from ..graph import Graph
from ..hw.isa import Parameters
from .hls_level import roomy
from .program_level import CompiledModel, ProgramLevel
from .rtl_engine import RtlEngine


class RtlLevel(ProgramLevel):
    """The compiled program, executed by the Verilated RTL. Implements `graph.level.Level`.

    Args:
        graph: the model.
        compiled: its program.
        engine: what the engine is built with; see `HlsLevel` for what it is if None.

    Raises:
        ProgramError: program or image are not sound.
        UserError: Verilator is missing.
    """

    name = "rtl"

    def __init__(self, graph: Graph, compiled: CompiledModel, engine: Parameters | None = None) -> None:
        self._start(graph, compiled, RtlEngine(engine or roomy(compiled.program.parameters)))
