"""Scores and single predictions of a build, in integers, by the golden model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..files import replace_atomic
from ..fixedpoint import IntArray
from ..graph import Graph
from ..graph.level import Sentence
from ..graph.onnx_io import read_build
from ..hw.build import read_engine
from ..model.data import (
    EncodedSplit,
    Example,
    Labels,
    Tokenizer,
    encode_split,
    load_split,
    tokenizer_from_json,
)
from ..model.data import split_words as split_text
from ..model.metrics import Scores, decode, score_predictions
from .golden import GoldenModel
from .levels import make_predictor
from .rtl_level import RtlLevel
from .waves import write_names


@dataclass(frozen=True)
class Prediction:
    """What a model says of one sentence.

    Attributes:
        words: the words that were read.
        label: the class.
        slots: a tag a word; None without a slot head.
        logits: the integers of the label head.
    """

    words: tuple[str, ...]
    label: str
    slots: tuple[str, ...] | None
    logits: tuple[int, ...]


@dataclass(frozen=True)
class Frontend:
    """The way into and out of a graph: words to tokens, logits to names."""

    tokenizer: Tokenizer
    labels: Labels
    max_length: int

    @classmethod
    def of(cls, graph: Graph) -> Frontend:
        """The front end that travels with a graph.

        Raises:
            UserError: the graph was frozen without tokenizer or labels, or with those of another model.
        """
        metadata = graph.metadata
        if not metadata.tokenizer or not metadata.labels:
            raise UserError("this model carries no vocabulary or labels; export it from a training run.")
        tokenizer = tokenizer_from_json(dict(metadata.tokenizer))
        labels = Labels.from_json(dict(metadata.labels))
        sizes = {task: graph.values[value].dims[-1] for task, value in graph.outputs.items()}
        names = {"label": len(labels.intents)} | ({"slots": len(labels.slots)} if labels.slots else {})
        if sizes != names or metadata.vocab_size != tokenizer.vocab_size:
            raise UserError("this model's vocabulary or labels do not fit its integers; export it again.")
        return cls(tokenizer, labels, metadata.max_length)

    def encode(self, examples: Sequence[Example]) -> EncodedSplit:
        """Examples as token ids, cut to the model's length with one warning that counts."""
        return encode_split(examples, self.tokenizer, self.labels, self.max_length)


def sentences(split: EncodedSplit, segments: bool) -> list[Sentence]:
    """The inputs of the levels for every example of a split."""
    return [
        Sentence(ids, part if segments else None) for ids, part in zip(split.ids, split.segments, strict=True)
    ]


def read_sentences(graph: Graph, data: str, split: str, limit: int | None) -> list[Sentence]:
    """The first `limit` sentences of a split of `data`, as a build's inputs."""
    encoded = Frontend.of(graph).encode(load_split(data, split, limit, pairs=graph.segments))
    return sentences(encoded, graph.segments)


def evaluate(build: Path, data: str, split: str = "test", limit: int | None = None) -> Scores:
    """The scores of a build: integers from the token ids to the logits.

    Raises:
        UserError: the build or the data can't be read.
    """
    graph = read_build(build)
    frontend = Frontend.of(graph)
    encoded = frontend.encode(load_split(data, split, limit, pairs=graph.segments))
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
    frontend = Frontend.of(graph)
    if (second is not None) != graph.segments:
        wanted = "two sentences" if graph.segments else "one sentence"
        raise UserError(f"this model reads {wanted}; give as many.")
    words = split_text(text)
    pair = None if second is None else split_text(second)
    if not words or pair == ():
        raise UserError("there is no word in the sentence; give at least one.")
    example = Example(words, "", None, pair)
    with warnings.catch_warnings():
        if strict:
            warnings.simplefilter("ignore")
        encoded = frontend.encode([example])
    if strict and encoded.truncated:
        raise UserError(
            f"the sentence is longer than the {frontend.max_length} tokens that the model reads; shorten it."
        )
    logits = _run(build, graph, sentences(encoded, graph.segments), level, waves)
    found = decode(logits["label"], logits.get("slots"), encoded, frontend.labels)
    kept = words[: len(encoded.word_starts[0])]
    slots = None if found.slots is None else found.slots[0]
    return Prediction(kept, found.labels[0], slots, tuple(int(q) for q in logits["label"][0]))


def _run(
    build: Path, graph: Graph, inputs: Sequence[Sentence], level: str, waves: Path | None
) -> Mapping[str, Sequence[IntArray]]:
    """The logits of a level."""
    if waves is None:
        return make_predictor(level, build, graph).predict(inputs)
    if level != "rtl":
        raise UserError("only the RTL has waveforms; leave out --waves or add --on rtl.")
    logits: Mapping[str, Sequence[IntArray]] = {}

    def record(temporary: Path) -> None:
        nonlocal logits
        engine = RtlLevel(graph, read_engine(build), waves=temporary)
        logits = engine.predict(inputs)
        engine.close()

    replace_atomic(waves, record)
    write_names(waves, read_engine(build))
    return logits
