"""Scores and single predictions of a build, in integers, by the golden model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError
from ...files import replace_atomic
from ...fixedpoint import IntArray
from ...graph import Graph
from ...graph.level import Sentence
from ...graph.onnx_io import read_build
from ...hw.host.build import read_engine
from ...text import EncodedSplit, Example, Labels, Tokenizer, encode_split, load_split, tokenizer_from_json
from ...text.scores import Scores, decode, score_predictions
from ..golden.model import GoldenModel
from ..rtl.verilate import waves_in
from ..rtl.waves import write_names
from .levels import make_predictor
from .rtl import RtlLevel


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
    """The way into and out of a graph: text to words to tokens, logits to names. There is no other.

    Attributes:
        tokenizer, labels: of the training that the graph was frozen from.
        max_length: tokens of the longest sentence.
        pairs: whether the model takes two sentences.
    """

    tokenizer: Tokenizer
    labels: Labels
    max_length: int
    pairs: bool

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
        return cls(tokenizer, labels, metadata.max_length, graph.segments)

    def read(self, data: str, split: str, limit: int | None) -> EncodedSplit:
        """The first `limit` examples of a split of `data` as token ids, cut to the model's length with one warning."""
        examples = load_split(data, split, limit, pairs=self.pairs, splitter=self.tokenizer.splitter)
        return encode_split(examples, self.tokenizer, self.labels, self.max_length)

    def sentence(self, text: str, second: str | None = None, *, strict: bool = False) -> EncodedSplit:
        """What a user typed, cut into words and tokens as the sentences of data are: a split of one example.

        Raises:
            UserError: there is no word in it, or it is one sentence for a model of pairs, or a pair for another; with
                `strict`, it is too long.
        """
        if (second is not None) != self.pairs:
            wanted = "a pair of sentences; give both" if self.pairs else "one sentence; leave out the second"
            raise UserError(f"This model takes {wanted}.")
        words = self.tokenizer.split(text)
        pair = None if second is None else self.tokenizer.split(second)
        if not words or pair == ():
            which = "sentence" if pair is None else "first sentence" if not words else "second sentence"
            raise UserError(f"There is no word in the {which}; give at least one.")
        example = Example(words, "", None, pair)
        return encode_split([example], self.tokenizer, self.labels, self.max_length, strict=strict)


def sentences(split: EncodedSplit, segments: bool) -> list[Sentence]:
    """The inputs of the levels for every example of a split."""
    return [
        Sentence(ids, part if segments else None) for ids, part in zip(split.ids, split.segments, strict=True)
    ]


def read_sentences(graph: Graph, data: str, split: str, limit: int | None) -> list[Sentence]:
    """The first `limit` sentences of a split of `data`, as a build's inputs."""
    encoded = Frontend.of(graph).read(data, split, limit)
    return sentences(encoded, graph.segments)


def evaluate(build: Path, data: str, split: str = "test", limit: int | None = None) -> Scores:
    """The scores of a build: integers from the token ids to the logits.

    Raises:
        UserError: the build or the data can't be read.
    """
    graph = read_build(build)
    frontend = Frontend.of(graph)
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
    frontend = Frontend.of(graph)
    encoded = frontend.sentence(text, second, strict=strict)
    logits = _run(build, graph, sentences(encoded, graph.segments), level, waves)
    found = decode(logits["label"], logits.get("slots"), encoded, frontend.labels)
    kept = encoded.examples[0].words[: len(encoded.word_starts[0])]
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
    waves_in(waves)
    logits: Mapping[str, Sequence[IntArray]] = {}

    def record(temporary: Path) -> None:
        nonlocal logits
        engine = RtlLevel(graph, read_engine(build), waves=temporary)
        logits = engine.predict(inputs)
        engine.close()

    replace_atomic(waves, record)
    write_names(waves, read_engine(build))
    return logits
