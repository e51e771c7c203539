"""The inputs of a training: the data as token ids, and the configuration with the sizes of the data."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from ..errors import UserError, printable
from ..text import (
    SPECIALS,
    SPLITS,
    Corpus,
    EncodedSplit,
    Labels,
    Tokenizer,
    WordTokenizer,
    encode_split,
    load,
)
from ..text.train_wordpiece import train_word_piece
from .checkpoint import CONFIG, DATA, FILES, LAST, STAGES, read_description, read_record, weights_file
from .config import ModelConfig, RunConfig, TokenizerConfig, to_dict

_EXECUTION = frozenset({"bits", "activation_bits", "plan"})
"""Keys of a model configuration that do not affect the float model."""


class Start(Enum):
    """The state that a training starts from."""

    NEW = "new"
    RESUME = "resume"
    FLOAT = "float"


@dataclass(frozen=True, eq=False)
class Preparation:
    """The inputs of a training.

    Attributes:
        start: new, after the last complete epoch in the folder, or from the float checkpoint there.
        config: with the sizes of the data.
        tokenizer, labels: from the training split for a new training, otherwise from the folder.
        splits: all non-empty splits.
        data: the record of the data for the folder: name, source, counts, digest.
    """

    start: Start
    config: RunConfig
    tokenizer: Tokenizer
    labels: Labels
    splits: dict[str, EncodedSplit]
    data: dict[str, Any]


def prepare(config: RunConfig, source: str, out: Path, resume: bool) -> Preparation:
    """Reads the data and the run in `out`, if any; writes nothing.

    Raises:
        UserError: the data is invalid, or `out` holds a run that does not match the configuration or the data.
    """
    start = _start(config, out, resume)
    if start is Start.NEW:
        words = config.tokenizer.words
        corpus = load(source, None if words == "auto" else words)
        tokenizer = _new_tokenizer(config.tokenizer, corpus)
        labels = Labels.from_examples(corpus.train)
        config = _sized(config, corpus, tokenizer, labels)
    else:
        stored, tokenizer, labels = read_description(out)
        corpus = load(source, tokenizer.splitter)
        config = _sized(config, corpus, tokenizer, labels)
        if start is Start.RESUME:
            _check_same(config, stored, _digest(corpus), out)
        else:
            _check_float_fits(config.model, stored.model, out)
            if config.tokenizer.words != tokenizer.splitter:
                raise UserError(
                    f"the float checkpoint in {out} splits words at {tokenizer.splitter}; omit --words, or give "
                    "another folder."
                )
            config = replace(config, tokenizer=stored.tokenizer)
    corpus.log_held_out_splits()
    splits = {
        name: encode_split(corpus.split(name), tokenizer, labels, config.model.max_length)
        for name in SPLITS
        if getattr(corpus, name)
    }
    data = {
        "name": corpus.name,
        "source": source,
        "sentences": {name: len(split) for name, split in splits.items()},
        "truncated": {name: split.truncated for name, split in splits.items()},
        "held_out": list(corpus.held_out),
        "sha256": _digest(corpus),
    }
    return Preparation(start, config, tokenizer, labels, splits, data)


def _start(config: RunConfig, out: Path, resume: bool) -> Start:
    names = {path.name for path in out.iterdir()} if out.exists() else set()
    if CONFIG not in names:
        # Files of an interrupted start are overwritten. Names with a leading dot are temporary or of other programs.
        foreign = sorted(name for name in names - FILES if not name.startswith("."))
        if foreign:
            raise UserError(
                f"{out} is not a run folder, it holds {printable(foreign[0])}; give a new folder or a run."
            )
        return Start.NEW
    if resume:
        return Start.RESUME
    if config.training.epochs == 0 and weights_file(out, "float").exists():
        return Start.FLOAT
    if names.isdisjoint((LAST, *(weights_file(out, stage).name for stage in STAGES))):
        # Started, but without a checkpoint: nothing is lost.
        return Start.NEW
    raise UserError(f"{out} already holds a run; continue it with --resume, or give another folder.")


def _new_tokenizer(config: TokenizerConfig, corpus: Corpus) -> Tokenizer:
    cut, lower = corpus.splitter, config.lower
    if config.kind == "word":
        return WordTokenizer.train(corpus.train, splitter=cut, min_count=config.min_count, lowercase=lower)
    if config.vocab_size <= len(SPECIALS):
        raise UserError(f"a WordPiece vocabulary of {config.vocab_size} is too small; increase vocab_size.")
    return train_word_piece(corpus.train, splitter=cut, vocab_size=config.vocab_size, lowercase=lower)


def _sized(config: RunConfig, corpus: Corpus, tokenizer: Tokenizer, labels: Labels) -> RunConfig:
    """`config` with the sizes of the data."""
    model = replace(
        config.model,
        vocab_size=tokenizer.vocab_size,
        labels=len(labels.intents),
        tags=len(labels.slots),
        segments=config.model.segments or corpus.has_pairs,
    )
    words = config.tokenizer.words
    if words == "auto":
        words = tokenizer.splitter
    return replace(config, model=model, tokenizer=replace(config.tokenizer, words=words))


def _digest(corpus: Corpus) -> str:
    """SHA-256 of all sentences and their labels."""
    digest = hashlib.sha256()
    for name in SPLITS:
        digest.update(f"{name}\n".encode())
        for example in getattr(corpus, name):
            fields = (example.words, example.label, example.slots, example.pair)
            digest.update(json.dumps(fields).encode() + b"\n")
    return digest.hexdigest()


def _check_same(config: RunConfig, stored: RunConfig, digest: str, out: Path) -> None:
    if config != stored:
        raise UserError(
            f"{out} was started with another configuration ({_difference(to_dict(stored), to_dict(config))}); resume "
            "with that, or give another folder."
        )
    if read_record(out / DATA).get("sha256") != digest:
        raise UserError(
            f"{out} was started with other data; resume with the original data, or give another folder."
        )


def _difference(stored: dict[str, Any], asked: dict[str, Any], path: str = "") -> str:
    """The first key whose values differ, with both values."""
    for key in (*stored, *(key for key in asked if key not in stored)):
        before, now = stored.get(key), asked.get(key)
        if isinstance(before, dict) and isinstance(now, dict):
            if before != now:
                return _difference(before, now, f"{path}{key}.")
        elif before != now:
            return f"{path}{key} = {printable(repr(before), 40)} instead of {printable(repr(now), 40)}"
    raise ValueError("the configurations are equal")


def _check_float_fits(model: ModelConfig, stored: ModelConfig, out: Path) -> None:
    if _float_function(model) != _float_function(stored):
        raise UserError(
            f"the model of the float checkpoint in {out} may differ only in bit widths and plans; "
            "give its configuration, or another folder and --epochs above 0."
        )


def _float_function(model: ModelConfig) -> Any:
    """The part of a configuration that affects the float model."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(entry) for key, entry in value.items() if key not in _EXECUTION}
        return value

    return strip(to_dict(RunConfig(model=model))["model"])
