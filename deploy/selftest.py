"""The self-test of a board: the vectors of its build on its engine, every word compared. Needs numpy only."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..hw.host.build import EngineBuild
from ..hw.host.engine import Engine
from ..hw.isa import BEAT_BYTES, Error, closing_beat
from ..hw.isa.program import ProgramError, to_bytes
from .vectors import Vector


@dataclass(frozen=True)
class Report:
    """What a self-test found.

    Attributes:
        runs, words: that were compared; a word has 64 bits.
        different: for each run that differs, what differs first.
        recovers: whether the engine reported an error that was caused on purpose, and was right after it.
        cycles: of all runs; None for an engine without a clock.
        seconds: of all runs.
    """

    runs: int
    words: int
    different: tuple[str, ...]
    recovers: bool
    cycles: int | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all words are equal and the engine recovers."""
        return not self.different and self.recovers


def selftest(
    build: EngineBuild,
    engine: Engine,
    vectors: Sequence[Vector],
    show: Callable[[int, int], None] = lambda done, of: None,
) -> Report:
    """Loads a build, runs its vectors, causes an error, and runs the first vector again.

    The engine checks the CRC of program and image when they are loaded.

    Args:
        build: what the engine runs.
        engine: it stays open.
        vectors: see `read_vectors`.
        show: called after each run, with the numbers of runs that are done, and of all.

    Raises:
        ProgramError: the engine refuses the program, the image or a run.
        UserError: the board does not react.
    """
    engine.load_program(to_bytes(build.program))
    engine.init(build.image)
    different: list[str] = []
    words = cycles = 0
    seconds = 0.0
    for number, vector in enumerate(vectors):
        start = time.perf_counter()
        engine.run(vector.indices + build.stream, vector.lengths)
        seconds += time.perf_counter() - start
        cycles += engine.counters.get("CYCLES", 0)
        words += len(vector.results) // BEAT_BYTES
        if engine.packet != vector.results:
            different.append(f"run {number}, {_first(engine.packet, vector.results)}")
        show(number + 1, len(vectors) + 1)
    recovers = _recovers(build, engine, vectors[0])
    show(len(vectors) + 1, len(vectors) + 1)
    return Report(len(vectors), words, tuple(different), recovers, cycles or None, seconds)


def _first(found: bytes, wanted: bytes) -> str:
    """Where two packets differ first."""
    if len(found) != len(wanted):
        return f"{len(wanted) // BEAT_BYTES} words expected, got {len(found) // BEAT_BYTES}"
    a, b = (np.frombuffer(packet, "<u8") for packet in (found, wanted))
    at = int(np.flatnonzero(a != b)[0])
    return f"word {at}: {int(b[at]):#018x} expected, got {int(a[at]):#018x}"


def _recovers(build: EngineBuild, engine: Engine, vector: Vector) -> bool:
    """Whether a RUN without tokens ends with LENGTH and a closing beat, and the next run is right."""
    try:
        engine.run(vector.indices + build.stream, [0])
    except ProgramError as error:
        reported = error.error is Error.LENGTH and engine.packet == closing_beat(Error.LENGTH)
    else:
        reported = False
    engine.clear()
    engine.run(vector.indices + build.stream, vector.lengths)
    return reported and engine.packet == vector.results
