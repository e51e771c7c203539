"""Token ids and label indices of a split, and batches padded to their longest sentence."""

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
"""Index of a label that is not in the training split; no prediction is equal to it."""

_POOL = 50
"""Batches per pool of sentences sorted by length: more reduce padding, fewer keep batches random."""


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
        """A JSON object, for `from_json`."""
        return {"intents": list(self.intents), "slots": list(self.slots)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Labels:
        """The labels whose `to_json` gave `value`.

        Raises:
            UserError: `value` is not a valid record of labels.
        """
        lists = []
        for key in ("intents", "slots"):
            names = value.get(key)
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise UserError("the stored labels are damaged: they must be strings; train the model again.")
            if len(set(names)) < len(names):
                raise UserError(
                    "the stored labels are damaged: each must be there once; train the model again."
                )
            lists.append(tuple(names))
        return cls(*lists)


@dataclass(frozen=True, eq=False)
class EncodedSplit:
    """The N examples of a split as token ids; each tuple has one array per example, of L tokens or W words.

    Attributes:
        examples: The examples; their slot tags are the reference of the span F1.
        ids: [L] token ids.
        segments: [L] 0 in the first sentence, 1 in the second.
        word_starts: [W] position of the first token of each word of the first sentence. A truncated word has no
            position; its prediction is "O".
        slots: [L] slot index at the first token of each word, `UNKNOWN` if the tag is not in the training split;
            `IGNORED` at all other tokens.
        labels: [N] intent or class indices, `UNKNOWN` if not in the training split.
        truncated: Number of truncated examples.
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
        ids: [B, L] token ids, padded with 0 ([PAD]).
        lengths: [B] number of tokens without padding.
        segments: [B, L] 0 in the first sentence and the padding, 1 in the second sentence.
        labels: [B] class indices, as in `EncodedSplit.labels`.
        slots: [B, L] slot indices, as in `EncodedSplit.slots`; `IGNORED` in the padding.
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
    """Encodes `examples` as at most `max_len` token ids each; one warning counts the truncated ones.

    Raises:
        UserError: with `strict`, an example is longer; `max_len` leaves no room for a token of each sentence.
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
        longer = f"longer than the model's {max_len} tokens, {specials} included"
        if strict:
            raise UserError(f"the sentence is {longer}; shorten it.")
        LOG.warning(f"{truncated:,} of {len(encoded):,} sentences are {longer}, and were truncated.")
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
    """Divides a split into batches, each padded to its longest sentence.

    Args:
        split: The split; each example occurs in one batch.
        batch_size: Examples per batch; the last batch of a pool may have fewer.
        seed: None for evaluation: ordered by length, equal lengths in the order of the split. Otherwise the seed of
            one epoch, which determines the order: examples are shuffled and divided into pools of 50 batches, each
            pool is sorted by length and divided into batches, and all batches are shuffled.

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
    """[B, L] from rows of different lengths, each padded at its end with `fill`."""
    out = np.full((len(rows), max(len(row) for row in rows)), fill, np.int32)
    for target, row in zip(out, rows, strict=True):
        target[: len(row)] = row
    return out
