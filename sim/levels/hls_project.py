"""The HLS project of a build: its test vectors are sentences that the program simulator has run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ...graph import Graph
from ...graph.level import Sentence
from ...graph.onnx_io import read_build
from ...hls.export import Run, write_project
from ...hw.host.build import HLS_FOLDER, EngineBuild
from ...hw.host.packets import run_packet
from ...hw.isa.program import to_bytes
from ...hw.synthesis.boards import Board
from ..engine.simulator import ProgramSimulator
from .predict import read_sentences

BUILT_IN = "voice"
"""The corpus that every installation has."""

RUNS = 4
"""Runs in the vectors: C simulation with `ap_int` takes about a second each."""


def write_hls_project(
    build: Path,
    made: EngineBuild,
    data: str | None,
    usual: str | None = None,
    board: Board | None = None,
) -> None:
    """Writes `BUILD/hls/`, into a folder that has none.

    Args:
        build: the folder, with the model.
        made: its program.
        data: where the sentences come from; None for the data that the model was trained on, or random token ids
            if that is not there.
        usual: where that data lies, if it is known. A build does not say, unless it is the built-in corpus.
        board: whose part and clock synthesis aims at; ZCU104's without.

    Raises:
        UserError: `data` can't be read.
    """
    graph = read_build(build)
    engine = ProgramSimulator(made.engine)
    engine.load_program(to_bytes(made.program))
    engine.init(made.image)
    runs = []
    per_run = made.program.sentences
    chosen = _sentences(graph, data, usual, RUNS * per_run, made.program.max_length)
    for start in range(0, len(chosen), per_run):
        part = chosen[start : start + per_run]
        packet = run_packet(made.inputs, [(s.tokens, s.segments) for s in part], made.stream)
        lengths = [len(s.tokens) for s in part]
        runs.append(Run(tuple(lengths), packet, engine.run(packet, lengths)))
    aims: dict[str, Any] = {} if board is None else {"part": board.part, "clock_ns": board.period}
    write_project(build / HLS_FOLDER, to_bytes(made.program), made.image, made.engine, runs, **aims)


def _sentences(graph: Graph, data: str | None, usual: str | None, count: int, longest: int) -> list[Sentence]:
    """The shortest sentence, the longest that fits, and others."""
    if data is None:
        provenance = graph.metadata.provenance.get("data", {})
        if usual is None and isinstance(provenance, dict) and provenance.get("name") == BUILT_IN:
            usual = BUILT_IN
        try:
            found = [] if usual is None else read_sentences(graph, usual, "test", None)
        except UserError:
            found = []
    else:
        found = read_sentences(graph, data, "test", None)
    fitting = sorted((s for s in found if len(s.tokens) <= longest), key=lambda s: len(s.tokens))
    if not fitting:
        return _random(graph, count, longest)
    places = np.linspace(0, len(fitting) - 1, count).round().astype(int)
    return [fitting[i] for i in places]


def _random(graph: Graph, count: int, longest: int) -> list[Sentence]:
    """Random ids of lengths from 1 to the longest."""
    rng = np.random.default_rng(0)
    made = []
    for length in np.linspace(1, longest, count).round().astype(int):
        tokens = rng.integers(0, max(1, graph.metadata.vocab_size), length).astype(np.int32)
        segments = rng.integers(0, 2, length).astype(np.int32) if graph.segments else None
        made.append(Sentence(tokens, segments))
    return made
