"""Shared by the benchmarks: models, sentences, and comparative timing."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from narrowgauge.graph.level import Sentence
from narrowgauge.model.config import ModelConfig
from narrowgauge.model.presets import preset
from narrowgauge.text import Corpus, Labels, WordTokenizer, encode_split, load

THREADS = 2


def default_data() -> str:
    """The folder of SNIPS if it is available, else the name of the built-in corpus."""
    shared = Path(os.environ.get("NARROWGAUGE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    return str(shared / "snips") if (shared / "snips").is_dir() else "voice"


def sized(name: str, corpus: Corpus) -> tuple[ModelConfig, WordTokenizer, Labels]:
    """The model of a preset with the vocabulary and the classes of a corpus, and these."""
    tokenizer = WordTokenizer.train(corpus.train, splitter=corpus.splitter)
    labels = Labels.from_examples(corpus.train)
    config = replace(
        preset(name).model,
        vocab_size=tokenizer.vocab_size,
        labels=len(labels.intents),
        tags=len(labels.slots),
    )
    return config, tokenizer, labels


def corpus_sentences() -> tuple[str, ModelConfig, list[Sentence]]:
    """(name, paper-2enc with the sizes of the data, test sentences) of `default_data`."""
    source = default_data()
    corpus = load(source)
    config, tokenizer, labels = sized("paper-2enc", corpus)
    encoded = encode_split(corpus.test, tokenizer, labels, config.max_length)
    return Path(source).name, config, [Sentence(ids) for ids in encoded.ids]


def medians(alternatives: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each alternative. They run in turns, under the same conditions, after one warm-up round."""
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for turn in range(rounds + 1):
        for name, run in alternatives.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def report(title: str, seconds: Mapping[str, float], reference: str, items: int | None = None) -> None:
    """Prints a table: milliseconds, items per second, and the speed-up over `reference`."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    table.add_column("ms", justify="right")
    if items is not None:
        table.add_column("per second", justify="right")
    table.add_column(f"times faster than {reference}", justify="right")
    for name, value in seconds.items():
        rate = [] if items is None else [f"{items / value:,.0f}"]
        table.add_row(name, f"{value * 1e3:.1f}", *rate, f"{seconds[reference] / value:.2f}")
    Console(width=100).print(table)
