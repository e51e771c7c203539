"""Times of sentences on an engine: latency, throughput, and where the time goes. Needs numpy only."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..hw.host.build import EngineBuild
from ..hw.host.engine import Engine
from ..hw.host.packets import run_packet, unpack_outputs
from ..hw.isa.program import to_bytes
from ..text.frontend import Text
from .predict import frontend_of

PARTS = ("tokenize", "pack", "run", "unpack", "decode")
"""What happens to a sentence: text to token ids, ids to a packet, the engine with its transfers, beats to logits, and
logits to names."""


@dataclass(frozen=True)
class Times:
    """Times of sentences, one run after the other.

    Attributes:
        sentences: how many.
        latency: seconds from text to names of each run.
        parts: seconds of each of `PARTS`, in all.
        cycles: of the engine, in all; 0 for an engine without a clock.
    """

    sentences: int
    latency: tuple[float, ...]
    parts: Mapping[str, float]
    cycles: int

    @property
    def seconds(self) -> float:
        """Of all sentences."""
        return sum(self.latency)

    def percentile(self, percent: float) -> float:
        """A percentile of the latency, in seconds."""
        return float(np.percentile(self.latency, percent))


def bench(
    build: EngineBuild,
    engine: Engine,
    texts: Sequence[Text],
    count: int,
    show: Callable[[int, int], None] = lambda done, of: None,
) -> Times:
    """Runs sentences, with as many in each run as the program takes.

    The first run, which includes what happens once, is not counted.

    Args:
        build: what the engine runs; it is loaded.
        engine: it stays open.
        texts: they are repeated.
        count: runs.
        show: called after each run, with the numbers of runs that are done, and of all.

    Raises:
        UserError, ProgramError: see `Engine`.
    """
    frontend = frontend_of(build)
    engine.load_program(to_bytes(build.program))
    engine.init(build.image)
    per_run = build.program.sentences
    latency: list[float] = []
    parts = dict.fromkeys(PARTS, 0.0)
    cycles = 0
    for number in range(count + 1):
        chosen = [texts[(number * per_run + at) % len(texts)] for at in range(per_run)]
        marks = [time.perf_counter()]
        split = frontend.encode(chosen)
        inputs = frontend.inputs(split)
        lengths = [len(tokens) for tokens, _ in inputs]
        marks.append(time.perf_counter())
        packet = run_packet(build.inputs, inputs, build.stream)
        marks.append(time.perf_counter())
        beats = engine.run(packet, lengths)
        marks.append(time.perf_counter())
        logits = unpack_outputs(build.outputs, build.program.parameters.lanes, lengths, beats)
        marks.append(time.perf_counter())
        frontend.predictions(split, {task: [one[task] for one in logits] for task in logits[0]})
        marks.append(time.perf_counter())
        if number:
            latency.append(marks[-1] - marks[0])
            for part, seconds in zip(PARTS, np.diff(marks).tolist(), strict=True):
                parts[part] += seconds
            cycles += engine.counters.get("CYCLES", 0)
            show(number, count)
    return Times(count * per_run, tuple(latency), parts, cycles)


def usual_texts(build: EngineBuild) -> list[Text]:
    """Sentences of 4 to 16 tokens made of the model's own vocabulary."""
    frontend = frontend_of(build)
    rng = np.random.default_rng(0)
    texts: list[Text] = []
    for length in (4, 6, 8, 10, 12, 16):
        first, second = (
            frontend.tokenizer.decode(rng.integers(4, frontend.tokenizer.vocab_size, length)) or "a"
            for _ in range(2)
        )
        texts.append((first, second) if frontend.pairs else first)
    return texts
