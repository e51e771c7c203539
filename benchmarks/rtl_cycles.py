"""Cycles of the RTL, from its own counters, compared with the cost model; and the speed of its simulation.

`python benchmarks/rtl_cycles.py` needs Verilator; the models are those of `bench_engine.py`, N = 16. Encoder layers run
separately, on arbitrary memory content, because cycles do not depend on it. Results of whole programs are compared
with those of the simulator.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from bench_engine import LANES, LENGTHS, VOCABULARY, frozen, sized
from rich.console import Console
from rich.progress import track
from rich.table import Table

from narrowgauge.graph import Graph
from narrowgauge.hw.compiler.compile import compile_graph, emit_program
from narrowgauge.hw.compiler.image import Image
from narrowgauge.hw.compiler.lower import lower
from narrowgauge.hw.compiler.timing import simulate
from narrowgauge.hw.host.packets import IndexColumn, run_packet
from narrowgauge.hw.isa import Load
from narrowgauge.hw.isa.program import Program, to_bytes
from narrowgauge.model.presets import preset
from narrowgauge.sim.engine.simulator import ProgramSimulator
from narrowgauge.sim.levels.engines import roomy
from narrowgauge.sim.rtl.engine import RtlEngine

CROWDED = 12288
"""Words of WEIGHT memory that hold less than half of `paper-2enc-hw`: the rest is streamed in with every sentence."""


@dataclass(frozen=True)
class Case:
    """A program to measure.

    Attributes:
        name: name in the table.
        program, image, stream, inputs: from the compiler.
        whole: whether its results are meaningful.
    """

    name: str
    program: Program
    image: bytes
    stream: bytes
    inputs: tuple[IndexColumn, ...]
    whole: bool = True


def whole(name: str, graph: Graph, sentences: int = 1, weight_words: int | None = None) -> Case:
    """A whole model."""
    build = compile_graph(graph, lanes=LANES, sentences=sentences, weight_words=weight_words)
    return Case(name, build.program, build.image, build.stream, build.inputs)


def encoder(name: str, graph: Graph, sentences: int = 1) -> Case:
    """The encoder layers, and the LOADs of index words, which every RUN needs."""
    image = Image(LANES)
    longest = graph.metadata.max_length
    low = lower(graph, image, longest, sentences)
    tasks = [t for t in low.tasks if t.layer.startswith("encoder.") or isinstance(t.instruction, Load)]
    program = emit_program(tasks, image, longest, sentences).program
    return Case(name, program, image.packet(), b"", tuple(low.columns), whole=False)


def main() -> None:
    """Prints one row per program and length."""
    paper = frozen(sized(preset("paper-2enc-hw").model))
    bert = frozen(sized(replace(preset("bert-base").model, layers=1)))
    cases = [
        make(f"{name}, {part}{', two sentences per run' if sentences == 2 else ''}", graph, sentences)
        for name, graph in (("paper-2enc-hw", paper), ("bert-base, 1 layer", bert))
        for part, make in (("encoder", encoder), ("whole", whole))
        for sentences in (1, 2)
    ]
    cases.append(whole("paper-2enc-hw, whole, weights streamed", paper, 1, CROWDED))
    table = Table(title=f"N = {LANES}", title_justify="left")
    for heading in ("program", "tokens", "cycles", "of the cost model", "array busy", "cycles/s simulated"):
        table.add_column(heading, justify="right" if table.columns else "left")
    for case in track(cases, "simulating", console=Console(stderr=True), transient=True):
        for row in measure(case):
            table.add_row(case.name, *row)
    Console(width=120).print(table)


def measure(case: Case) -> list[tuple[str, ...]]:
    """The cells of a program's rows, one row per length."""
    parameters = roomy(case.program.parameters)
    rtl, simulator = RtlEngine(parameters), ProgramSimulator(parameters)
    for engine in (rtl, simulator):
        engine.load_program(to_bytes(case.program))
        engine.init(case.image)
    rows: list[tuple[str, ...]] = []
    for length in LENGTHS:
        ids = np.random.default_rng(length).integers(0, VOCABULARY, length).astype(np.int32)
        lengths = [length] * case.program.sentences
        packet = run_packet(case.inputs, [(ids, None)] * len(lengths), case.stream)
        started = time.perf_counter()
        results = rtl.run(packet, lengths)
        seconds = time.perf_counter() - started
        if case.whole and results != simulator.run(packet, lengths):
            raise SystemExit("the results of the RTL and of the simulator differ")
        cycles = rtl.counters["CYCLES"]
        rows.append(
            (
                str(length),
                f"{cycles:,}",
                f"{cycles / simulate(case.program, lengths).cycles:.4f}",
                f"{rtl.counters['ARRAY_BUSY'] / cycles:.1%}",
                f"{cycles / seconds:,.0f}",
            )
        )
    return rows


if __name__ == "__main__":
    main()
