"""A small run and a small build with words and labels, made without training: random weights, the words of the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from narrowgauge.graph import Graph
from narrowgauge.graph.onnx_io import read_build, write_build
from narrowgauge.hw.compiler.build import compile_build
from narrowgauge.model.checkpoint import DATA, weights_file, write_description, write_record, write_tensors
from narrowgauge.model.config import EmbeddingConfig, LinearConfig, ModelConfig, RunConfig
from narrowgauge.model.freeze import freeze
from narrowgauge.model.transformer import Transformer
from narrowgauge.text import Labels, Tokenizer, WordTokenizer, load
from narrowgauge.text.train_wordpiece import train_word_piece

from .corpora import write_rooms
from .models import random_model

LANES = 8


@dataclass(frozen=True)
class SmallBuild:
    """What a test needs of a build.

    Attributes:
        folder: the build, compiled.
        data: the folder that `--data` takes.
        model: what the graph was frozen from.
        graph: as it is read from the build.
    """

    folder: Path
    data: Path
    model: Transformer
    graph: Graph


def small_build(
    root: Path, seed: int = 0, *, pieces: bool = False, pairs: bool = False, **compiling: int
) -> SmallBuild:
    """Makes `root/build` and `root/data`: every kind of layer, sentences of one and two token blocks.

    Args:
        root: an empty folder.
        seed: of weights and sentences.
        pieces: a WordPiece vocabulary instead of one of words.
        pairs: a model that takes two sentences and has no slots; the data still has one sentence per example.
        compiling: further options of `compile_build`.
    """
    tokenizer, labels, config = _parts(root / "data", seed, pieces, pairs)
    model = random_model(np.random.default_rng(seed), config)
    write_build(freeze(model, "small", tokenizer.to_json(), labels.to_json()), root / "build")
    compile_build(root / "build", lanes=LANES, **compiling)  # type: ignore[arg-type]
    return SmallBuild(root / "build", root / "data", model, read_build(root / "build"))


def small_run(root: Path, seed: int = 0) -> Path:
    """Makes `root/run`, what training on `root/data` would leave, with random weights; see `small_build`."""
    tokenizer, labels, config = _parts(root / "data", seed)
    run = root / "run"
    run.mkdir()
    write_description(run, RunConfig(name="small", model=config), tokenizer, labels)
    write_record(run / DATA, {"name": "data", "source": str(root / "data")})
    model = random_model(np.random.default_rng(seed), config)
    write_tensors(weights_file(run, "quantized"), model.state_dict(), {"stage": "quantized"})
    return run


def _parts(
    data: Path, seed: int, pieces: bool = False, pairs: bool = False
) -> tuple[Tokenizer, Labels, ModelConfig]:
    """Writes sentences; their words and labels, and a configuration with all kinds of layers for them."""
    for split, count in (("train", 40), ("dev", 4), ("test", 6)):
        write_rooms(data / split, seed + count, count)
    corpus = load(str(data))
    tokenizer: Tokenizer
    if pieces:
        tokenizer = train_word_piece(corpus.train, splitter=corpus.splitter, vocab_size=60)
    else:
        tokenizer = WordTokenizer.train(corpus.train, splitter=corpus.splitter)
    labels = Labels.from_examples(corpus.train)
    if pairs:
        labels = Labels(labels.intents, ())
    linear = LinearConfig(rank=3, modes=2)
    config = ModelConfig(
        dim=16,
        layers=1,
        heads=2,
        ffn=12,
        max_length=12,
        vocab_size=tokenizer.vocab_size,
        labels=len(labels.intents),
        tags=len(labels.slots),
        segments=pairs,
        embedding=EmbeddingConfig(rank=3, modes=2),
        attention=linear,
        feedforward=LinearConfig(rank=3, modes=2, plan="cores"),
        pooler=LinearConfig(kind="lowrank", rank=3),
    )
    return tokenizer, labels, config
