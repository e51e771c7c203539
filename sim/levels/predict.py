"""Scores and single predictions of a build, in integers, by the golden model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import UserError
from ...files import replace_atomic
from ...fixedpoint import IntArray
from ...graph import Graph
from ...graph.level import Sentence
from ...graph.onnx_io import read_build
from ...hw.compiler.build import check_model
from ...hw.compiler.frontend import frontend_of
from ...hw.host.folder import has_engine, read_engine
from ...text import EncodedSplit
from ...text.frontend import Prediction
from ...text.scores import Scores, decode, score_predictions
from ..golden.model import GoldenModel
from ..rtl.verilate import waves_in
from ..rtl.waves import write_names
from .engine import EngineLevel
from .engines import open_engine
from .levels import make_predictor


def sentences(split: EncodedSplit, segments: bool) -> list[Sentence]:
    """The inputs of the levels for every example of a split."""
    return [
        Sentence(ids, part if segments else None) for ids, part in zip(split.ids, split.segments, strict=True)
    ]


def read_sentences(graph: Graph, data: str, split: str, limit: int | None) -> list[Sentence]:
    """The first `limit` sentences of a split of `data`, as a build's inputs."""
    encoded = frontend_of(graph).read(data, split, limit)
    return sentences(encoded, graph.segments)


def evaluate(build: Path, data: str, split: str = "test", limit: int | None = None) -> Scores:
    """The scores of a build: integers from the token ids to the logits.

    Raises:
        UserError: the build or the data can't be read.
    """
    graph = read_build(build)
    if has_engine(build):
        check_model(build, read_engine(build), graph)
    frontend = frontend_of(graph)
    encoded = frontend.read(data, split, limit)
    logits = GoldenModel(graph).predict(sentences(encoded, graph.segments))
    found = decode(logits["label"], logits.get("slots"), encoded, frontend.labels)
    return score_predictions(found.labels, found.slots, encoded.examples, frontend.labels.intents)


def predict(
    build: Path,
    text: str,
    second: str | None = None,
    *,
    strict: bool = False,
    level: str = "golden",
    waves: Path | None = None,
) -> Prediction:
    """Runs one sentence, or one pair.

    Args:
        build: folder of an export.
        text: the sentence.
        second: the other one, for a model of pairs.
        strict: refuse a sentence that is too long; else it is cut, with a warning.
        level: golden, program, hls or rtl.
        waves: a file for waveforms of the level rtl; see `waves`.

    Raises:
        UserError: the level can't be run here, an empty sentence, one too long with `strict`, or a pair for a model of
            single sentences.
    """
    graph = read_build(build)
    frontend = frontend_of(graph)
    encoded = frontend.encode([text if second is None else (text, second)], strict=strict)
    logits = _run(build, graph, sentences(encoded, graph.segments), level, waves)
    return frontend.predictions(encoded, logits)[0]


def _run(
    build: Path, graph: Graph, inputs: Sequence[Sentence], level: str, waves: Path | None
) -> Mapping[str, Sequence[IntArray]]:
    """The logits of a level."""
    if waves is None:
        return make_predictor(level, build, graph).predict(inputs)
    if level != "rtl":
        raise UserError("only the RTL has waveforms; leave out --waves or add --on rtl.")
    waves_in(waves)
    logits: Mapping[str, Sequence[IntArray]] = {}

    def record(temporary: Path) -> None:
        nonlocal logits
        compiled = read_engine(build)
        engine = open_engine(level, compiled.program.parameters, waves=temporary)
        with EngineLevel(graph, compiled, engine, level) as rtl:
            logits = rtl.predict(inputs)

    replace_atomic(waves, record)
    write_names(waves, read_engine(build))
    return logits
