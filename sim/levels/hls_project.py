"""Writes the HLS project of a build; the program simulator computes its test vectors from sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import UserError
from ...graph import Graph
from ...graph.level import Sentence
from ...graph.onnx_io import read_build
from ...hls.export import Run, write_project
from ...hw.host.build import HLS_FOLDER, EngineBuild
from ...hw.host.packets import run_packet
from ...hw.isa.program import to_bytes
from ...hw.synthesis.boards import Board, find_board
from ..engine.simulator import ProgramSimulator
from .predict import read_sentences

BUILT_IN = "voice"
"""The corpus that is part of the package."""

BOARD = "zcu104"
"""The board of a project for which none is given."""

RUNS = 4
"""Runs in the test vectors; C simulation with `ap_int` takes about a second per run."""


def write_hls_project(
    folder: Path,
    build: EngineBuild,
    data: str | None,
    usual: str | None = None,
    board: Board | None = None,
) -> None:
    """Writes `hls/` in the folder of a build, which must not have one.

    Args:
        folder: of the build, with its model.
        build: its program.
        data: the source of the sentences. None: the data that the model was trained on, or random token ids if that
            data is not available.
        usual: the location of the data that the model was trained on, if it is known. A build does not store it,
            unless it is the built-in corpus.
        board: the part and clock period for synthesis; None for those of `BOARD`.

    Raises:
        UserError: `data` can't be read.
    """
    graph = read_build(folder)
    simulator = ProgramSimulator(build.engine)
    simulator.load_program(to_bytes(build.program))
    simulator.init(build.image)
    runs = []
    per_run = build.program.sentences
    chosen = _sentences(graph, data, usual, RUNS * per_run, build.program.max_length)
    for start in range(0, len(chosen), per_run):
        part = chosen[start : start + per_run]
        packet = run_packet(build.inputs, [(s.tokens, s.segments) for s in part], build.stream)
        lengths = [len(s.tokens) for s in part]
        runs.append(Run(tuple(lengths), packet, simulator.run(packet, lengths)))
    board = board or find_board(BOARD)
    write_project(
        folder / HLS_FOLDER,
        to_bytes(build.program),
        build.image,
        build.engine,
        runs,
        part=board.part,
        clock_ns=board.period,
    )


def _sentences(graph: Graph, data: str | None, usual: str | None, count: int, longest: int) -> list[Sentence]:
    """`count` sentences of at most `longest` tokens, of evenly spread lengths; random ids if there is no data."""
    if data is None:
        provenance = graph.metadata.provenance.get("data", {})
        if usual is None and isinstance(provenance, dict) and provenance.get("name") == BUILT_IN:
            usual = BUILT_IN
        try:
            sentences = [] if usual is None else read_sentences(graph, usual, "test", None)
        except UserError:
            sentences = []
    else:
        sentences = read_sentences(graph, data, "test", None)
    fitting = sorted((s for s in sentences if len(s.tokens) <= longest), key=lambda s: len(s.tokens))
    if not fitting:
        return _random(graph, count, longest)
    places = np.linspace(0, len(fitting) - 1, count).round().astype(int)
    return [fitting[i] for i in places]


def _random(graph: Graph, count: int, longest: int) -> list[Sentence]:
    """Sentences of random ids, with lengths from 1 to `longest`."""
    rng = np.random.default_rng(0)
    sentences = []
    for length in np.linspace(1, longest, count).round().astype(int):
        tokens = rng.integers(0, max(1, graph.metadata.vocab_size), length).astype(np.int32)
        segments = rng.integers(0, 2, length).astype(np.int32) if graph.segments else None
        sentences.append(Sentence(tokens, segments))
    return sentences
