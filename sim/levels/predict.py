"""Predictions and scores of a build's `model.onnx`, by the golden model or onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...graph import Graph
from ...graph.level import Sentence
from ...graph.onnx_io import read_build
from ...hw.compiler.build import checked_frontend
from ...hw.compiler.frontend import frontend_of
from ...text import EncodedSplit
from ...text.frontend import Frontend, Prediction, Text
from ...text.scores import Scores, decode, score_predictions
from ..golden.model import GoldenModel
from .levels import make_predictor


def sentences(frontend: Frontend, split: EncodedSplit) -> list[Sentence]:
    """The inputs of the levels for every example of a split."""
    return [Sentence(tokens, segments) for tokens, segments in frontend.inputs(split)]


def read_sentences(graph: Graph, data: str, split: str, limit: int | None) -> list[Sentence]:
    """The first `limit` sentences of a split of `data`, as a build's inputs."""
    frontend = frontend_of(graph)
    return sentences(frontend, frontend.read(data, split, limit))


def evaluate(build: Path, data: str, split: str = "test", limit: int | None = None) -> Scores:
    """The scores of a build: integers from the token ids to the logits.

    Raises:
        UserError: the build or the data can't be read, or the build's program is that of another model.
    """
    graph = read_build(build)
    frontend = checked_frontend(build, graph)
    encoded = frontend.read(data, split, limit)
    logits = GoldenModel(graph).predict(sentences(frontend, encoded))
    found = decode(logits["label"], logits.get("slots"), encoded, frontend.labels)
    return score_predictions(found.labels, found.slots, encoded.examples, frontend.labels.intents)


def predict(
    build: Path, texts: Sequence[Text], *, level: str = "golden", strict: bool = False
) -> list[Prediction]:
    """Runs sentences through `model.onnx`. For those through the program see `deploy.predict`.

    Args:
        build: folder of an export; it may have no program.
        texts: strings; for a model of pairs, pairs of strings.
        level: golden or onnx.
        strict: refuse a sentence that is too long; otherwise it is cut, with a warning.

    Returns:
        One prediction for each text.

    Raises:
        UserError: see `checked_frontend` and `Frontend.encode`.
    """
    graph = read_build(build)
    frontend = checked_frontend(build, graph)
    encoded = frontend.encode(texts, strict=strict)
    logits = make_predictor(level, build, graph).predict(sentences(frontend, encoded))
    return frontend.predictions(encoded, logits)
