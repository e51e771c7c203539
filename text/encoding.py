"""Splits as arrays of token ids, and batches padded to their longest sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import LOG, UserError
from .corpus import Example
from .tokenizer import Int32, Tokenizer

IGNORED = -100
"""Slot target of a token that has none; the default `ignore_index` of PyTorch's cross entropy."""

UNKNOWN = -1
"""Index of a label that training never saw: no prediction is ever equal to it."""

_POOL = 50
"""Batches whose sentences are sorted together: enough for little padding, few enough to stay random."""


@dataclass(frozen=True)
class Labels:
    """The names of the classes, in the order of the model's outputs.

    Attributes:
        intents: Intents or classes.
        slots: BIO tags, "O" first; empty where the task has no slots.
    """

    intents: tuple[str, ...]
    slots: tuple[str, ...]

    @classmethod
    def from_examples(cls, examples: Iterable[Example]) -> Labels:
        """The labels of the training split, in alphabetical order ("O" first)."""
        intents: set[str] = set()
        tags: set[str] = set()
        for example in examples:
            intents.add(example.label)
            tags.update(("O", *example.slots) if example.slots is not None else ())
        return cls(tuple(sorted(intents)), tuple(sorted(tags, key=lambda tag: (tag != "O", tag))))

    @cached_property
    def _intent_index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.intents)}

    @cached_property
    def _slot_index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.slots)}

    def intent_index(self, name: str) -> int:
        """Index of an intent, or `UNKNOWN`."""
        return self._intent_index.get(name, UNKNOWN)

    def slot_index(self, tag: str) -> int:
        """Index of a slot tag, or `UNKNOWN`."""
        return self._slot_index.get(tag, UNKNOWN)

    def to_json(self) -> dict[str, list[str]]:
        """Both lists, for `from_json`."""
        return {"intents": list(self.intents), "slots": list(self.slots)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Labels:
        """The labels whose `to_json` gave `value`.

        Raises:
            UserError: `value` describes no labels.
        """
        lists = []
        for key in ("intents", "slots"):
            names = value.get(key)
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise UserError("The stored labels are damaged: they must be strings; train the model again.")
            if len(set(names)) < len(names):
                raise UserError("The stored labels are damaged: one is there twice; train the model again.")
            lists.append(tuple(names))
        return cls(*lists)


@dataclass(frozen=True, eq=False)
class EncodedSplit:
    """The examples of a split as token ids; every tuple has one entry an example.

    Attributes:
        examples: What was encoded; their slot tags are the gold of the span F1.
        ids: [L] token ids, each of its own length.
        segments: [L] 0 in the first sentence, 1 in the second.
        word_starts: [W] positions of the first token of each word of the first sentence. Words that
            truncation cut off have none: their prediction is "O".
        slots: [L] slot index at the first token of a word, `UNKNOWN` there for a tag that training never saw,
            `IGNORED` at all other tokens.
        labels: [N] intent or class indices, `UNKNOWN` for one that training never saw.
        truncated: Number of examples that lost tokens.
    """

    examples: tuple[Example, ...]
    ids: tuple[Int32, ...]
    segments: tuple[Int32, ...]
    word_starts: tuple[Int32, ...]
    slots: tuple[Int32, ...]
    labels: Int32
    truncated: int

    def __len__(self) -> int:
        return len(self.examples)


@dataclass(frozen=True, eq=False)
class Batch:
    """B examples, padded to the longest of them (L tokens).

    Attributes:
        ids: [B, L] token ids, 0 ([PAD]) after the end.
        lengths: [B] number of tokens that aren't padding.
        segments: [B, L] 0 in the first sentence and the padding, 1 in the second.
        labels: [B] class indices; `UNKNOWN` where training never saw the label.
        slots: [B, L] slot indices, see `EncodedSplit.slots`; `IGNORED` in the padding.
        index: [B] positions of the examples in their split.
    """

    ids: Int32
    lengths: Int32
    segments: Int32
    labels: Int32
    slots: Int32
    index: Int32


def encode_split(
    examples: Sequence[Example], tokenizer: Tokenizer, labels: Labels, max_len: int, *, strict: bool = False
) -> EncodedSplit:
    """All of `examples` as token ids, at most `max_len` each; one warning counts those that were cut.

    Raises:
        UserError: with `strict`, if one would have to be cut; `max_len` leaves no room for a token of each sentence.
    """
    encoded = [tokenizer.encode(example.words, example.pair, max_len) for example in examples]
    slots = []
    for example, tokens in zip(examples, encoded, strict=True):
        targets = np.full(len(tokens.ids), IGNORED, np.int32)
        if example.slots is not None:
            kept = example.slots[: len(tokens.word_starts)]
            targets[tokens.word_starts] = [labels.slot_index(tag) for tag in kept]
        slots.append(targets)
    truncated = sum(tokens.truncated for tokens in encoded)
    if truncated:
        specials = "[CLS]" if all(example.pair is None for example in examples) else "[CLS] and [SEP]"
        longer = f"longer than the {max_len} tokens that the model reads, {specials} included"
        if strict:
            raise UserError(f"The sentence is {longer}; shorten it.")
        LOG.warning(f"{truncated:,} of {len(encoded):,} sentences are {longer}, and were cut there.")
    return EncodedSplit(
        examples=tuple(examples),
        ids=tuple(tokens.ids for tokens in encoded),
        segments=tuple(tokens.segments for tokens in encoded),
        word_starts=tuple(tokens.word_starts for tokens in encoded),
        slots=tuple(slots),
        labels=np.array([labels.intent_index(example.label) for example in examples], np.int32),
        truncated=truncated,
    )


def batches(split: EncodedSplit, batch_size: int, *, seed: int | None) -> Iterator[Batch]:
    """Batches that cover every example of `split` once, each padded to its own longest sentence.

    Args:
        split: What to cut up.
        batch_size: Examples a batch; the last ones of a pool can be fewer.
        seed: None for evaluation: by length, equal lengths in the order of the split. Otherwise the seed of
            one epoch, which alone fixes the order: examples are shuffled and cut into pools of 50 batches,
            each pool is sorted by length and cut into batches, and all batches are shuffled.

    Raises:
        ValueError: `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size {batch_size} is below 1")
    lengths = np.array([len(ids) for ids in split.ids], np.int32)
    if seed is None:
        order = np.argsort(lengths, kind="stable")
        cuts = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
    else:
        generator = np.random.default_rng(seed)
        order = generator.permutation(len(split))
        cuts = []
        for start in range(0, len(order), _POOL * batch_size):
            pool = order[start : start + _POOL * batch_size]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            cuts += [pool[at : at + batch_size] for at in range(0, len(pool), batch_size)]
        cuts = [cuts[at] for at in generator.permutation(len(cuts))]
    for index in cuts:
        yield Batch(
            ids=_padded([split.ids[at] for at in index], 0),
            lengths=lengths[index],
            segments=_padded([split.segments[at] for at in index], 0),
            labels=split.labels[index],
            slots=_padded([split.slots[at] for at in index], IGNORED),
            index=index.astype(np.int32),
        )


def _padded(rows: Sequence[Int32], fill: int) -> Int32:
    """[B, L] of rows of different lengths, filled up behind."""
    out = np.full((len(rows), max(len(row) for row in rows)), fill, np.int32)
    for target, row in zip(out, rows, strict=True):
        target[: len(row)] = row
    return out
