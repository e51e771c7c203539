"""Cycles and bytes on the engine, by the cost model: tensor trains against low rank and dense on the same engine.

The models are untrained, because cycles do not depend on weights. For the first tables only the encoder layers are
compiled, and the array's share is relative to their cycles. `python benchmarks/bench_engine.py`
"""

from __future__ import annotations

import resource
import time
from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from narrowgauge.graph import Graph
from narrowgauge.graph.level import Sentence
from narrowgauge.hw.compiler.compile import compile_graph, emit_program
from narrowgauge.hw.compiler.image import Image
from narrowgauge.hw.compiler.lower import lower
from narrowgauge.hw.compiler.timing import simulate
from narrowgauge.hw.isa import MEMORIES, Memory
from narrowgauge.hw.isa.program import Program
from narrowgauge.model.config import ModelConfig
from narrowgauge.model.freeze import freeze
from narrowgauge.model.presets import preset
from narrowgauge.model.untrained import quantized

LANES = 16
LENGTHS = (8, 16, 32, 48)
VOCABULARY, LABELS, TAGS = 4394, 7, 72
"""Sizes of the SNIPS model."""

FORMATS: dict[str, dict[str, Any]] = {
    "tensor train, merged": {"kind": "tt", "plan": "merged"},
    "tensor train, core by core": {"kind": "tt", "plan": "cores"},
    "low rank": {"kind": "lowrank"},
    "dense": {"kind": "dense"},
}
"""Formats of the linear layers of the encoder; modes, ranks and widths are those of the preset."""


def main() -> None:
    """Prints the tables."""
    console = Console(width=150)
    for name, config in (
        ("paper-2enc-hw, its 2 encoder layers", preset("paper-2enc-hw").model),
        ("bert-base, 1 encoder layer at rank 16", replace(preset("bert-base").model, layers=1)),
    ):
        console.print(formats_table(name, sized(config)))
    config = sized(preset("paper-2enc-hw").model)
    bert = sized(replace(preset("bert-base").model, layers=2))
    console.print(
        modes_table({"paper-2enc-hw": frozen(config), "bert-base, 2 of its 12 layers": frozen(bert)})
    )
    graph = frozen(sized(preset("paper-6enc-hw").model))
    started = time.perf_counter()
    compile_graph(graph, lanes=LANES)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    console.print(f"paper-6enc-hw compiles in {seconds:.1f} s; this process has used at most {peak:.2f} GiB.")


def sized(config: ModelConfig) -> ModelConfig:
    """A preset with the sizes of the SNIPS data and the largest measured length."""
    return replace(config, vocab_size=VOCABULARY, labels=LABELS, tags=TAGS, max_length=max(LENGTHS))


def frozen(config: ModelConfig) -> Graph:
    """An untrained model, calibrated and frozen."""
    rng = np.random.default_rng(0)
    sentences = [Sentence(rng.integers(0, VOCABULARY, n).astype(np.int32)) for n in (4, 12, 24)]
    return freeze(quantized(config, sentences))


def encoder_program(graph: Graph, sentences: int = 1) -> Program:
    """Only the encoder layers, with their input assumed to be in memory."""
    low = lower(graph, Image(LANES), graph.metadata.max_length, sentences)
    tasks = [task for task in low.tasks if task.layer.startswith("encoder.")]
    return emit_program(tasks, low.image, graph.metadata.max_length, sentences).program


def weight_bytes(program: Program) -> int:
    """Bytes of all constants in the engine's memories."""
    held = (Memory.WEIGHT, Memory.BIAS, Memory.NORM, Memory.TABLE, Memory.EXP)
    return sum(program.parameters.depth(memory) * MEMORIES[memory].bits(LANES) for memory in held) // 8


def formats_table(name: str, config: ModelConfig) -> Table:
    """Cycles of the encoder layers by format and length, and the speed-up over dense."""
    table = Table(
        title=f"{name}, N = {LANES}: cycles (array busy), times fewer than dense", title_justify="left"
    )
    for heading in (
        "linear layers",
        *(f"{length} tokens" for length in LENGTHS),
        "bytes of weights",
        "ratio",
    ):
        table.add_column(heading, justify="right" if table.columns else "left")
    programs = {}
    for label, changes in FORMATS.items():
        attention, feedforward = (replace(part, **changes) for part in (config.attention, config.feedforward))
        programs[label] = encoder_only(replace(config, attention=attention, feedforward=feedforward))
    dense = programs["dense"]
    for label, program in programs.items():
        cells = []
        for length in LENGTHS:
            line, base = simulate(program, [length]), simulate(dense, [length])
            cells.append(f"{line.cycles:,} ({line.utilization:.1%}) {base.cycles / line.cycles:.1f}x")
        size = weight_bytes(program)
        table.add_row(label, *cells, f"{size:,}", f"{weight_bytes(dense) / size:.1f}x")
    return table


def encoder_only(config: ModelConfig) -> Program:
    """The program of the encoder of an untrained model. Embedding and heads are small: their weights count."""
    small = replace(config, vocab_size=8, labels=2, tags=0, pooler=config.attention)
    rng = np.random.default_rng(0)
    return encoder_program(freeze(quantized(small, [Sentence(rng.integers(0, 8, 12).astype(np.int32))])))


def modes_table(graphs: dict[str, Graph]) -> Table:
    """The array's share with one and two sentences per run, and with embedding and heads."""
    table = Table(title=f"N = {LANES}: array busy, of all cycles", title_justify="left")
    for heading in ("model", "program", *(f"{length} tokens" for length in LENGTHS)):
        table.add_column(heading, justify="right" if len(table.columns) > 1 else "left")
    for name, graph in graphs.items():
        programs = {
            "encoder layers": encoder_program(graph),
            "encoder layers, two sentences per run": encoder_program(graph, 2),
            "whole model": compile_graph(graph, lanes=LANES).program,
            "whole model, two sentences per run": compile_graph(graph, lanes=LANES, sentences=2).program,
        }
        for label, program in programs.items():
            shares = [simulate(program, [length] * program.sentences).utilization for length in LENGTHS]
            table.add_row(name, label, *(f"{share:.1%}" for share in shares))
    return table


if __name__ == "__main__":
    main()
