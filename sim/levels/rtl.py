"""The RTL as a level of the verification ladder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...fixedpoint import IntArray
from ...graph import Graph
from ...graph.level import Sentence
from ...hw.host.build import EngineBuild
from ...hw.isa import Parameters
from ..engine.engine import OnWrite
from ..rtl.engine import RtlEngine
from .engine import ProgramLevel
from .hls import roomy

_STALLS = ((20, 30), (128, 128), (240, 30), (30, 240))
"""Chances in 256 that a cycle brings no beat, and that it takes none."""


class RtlLevel(ProgramLevel):
    """The compiled program, executed by the Verilated RTL. Implements `graph.level.Level`.

    Args:
        graph: the model.
        compiled: its program.
        engine: what the engine is built with; see `HlsLevel` for what it is if None.
        stalls: whether the streams stall at random, in every run in another way.
        waves: a file for waveforms of all signals, .fst or .vcd.

    Raises:
        ProgramError: program or image are not sound.
        UserError: Verilator is missing.
    """

    name = "rtl"

    def __init__(
        self,
        graph: Graph,
        compiled: EngineBuild,
        engine: Parameters | None = None,
        *,
        stalls: bool = False,
        waves: Path | None = None,
    ) -> None:
        self._rtl = RtlEngine(engine or roomy(compiled.program.parameters), waves)
        self._stalls = stalls
        self._start(graph, compiled, self._rtl)

    def _execute(self, sentences: Sequence[Sentence], on_write: OnWrite | None) -> list[dict[str, IntArray]]:
        if self._stalls:
            self._rtl.seed += 1
            # Streams that hardly stall, that stall every other cycle, and that stand still most of the time.
            self._rtl.stalls = _STALLS[self._rtl.seed % len(_STALLS)]
        return super()._execute(sentences, on_write)

    def close(self) -> None:
        """Ends the simulation and completes the waveforms."""
        self._rtl.close()
