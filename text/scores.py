"""From logits to names, accuracy and span-level slot F1. Needs no torch: every level is scored by it.

Spans and their F1 are those of conlleval (the CoNLL-2000 shared task), which is also what seqeval's default
mode computes: a span begins at every B, at every change of type, and at an I that follows no span; it counts
as found when its type, its first and its last word are all right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import EncodedSplit, Example, Labels

Array = npt.NDArray[Any]

OUTSIDE = "O"

Span = tuple[str, int, int]
"""Type, first word, last word."""


@dataclass(frozen=True)
class Predictions:
    """What a model says of sentences, in names.

    Attributes:
        labels: the class of every sentence.
        slots: the tag of every word that was not cut off; None without a slot head.
    """

    labels: tuple[str, ...]
    slots: tuple[tuple[str, ...], ...] | None


def decode(
    label_logits: Sequence[Array], slot_logits: Sequence[Array] | None, split: EncodedSplit, labels: Labels
) -> Predictions:
    """The names of the largest logits; of equal ones the first.

    Args:
        label_logits: (labels,) for every example of `split`; float or integer.
        slot_logits: (at least L, tags) for every example; None without a slot head.
        split: where the words begin.
        labels: the names.
    """
    intents = tuple(labels.intents[int(np.argmax(row))] for row in label_logits)
    if slot_logits is None:
        return Predictions(intents, None)
    tags = tuple(
        tuple(labels.slots[int(at)] for at in np.argmax(logits[starts], axis=-1))
        for logits, starts in zip(slot_logits, split.word_starts, strict=True)
    )
    return Predictions(intents, tags)


@dataclass(frozen=True)
class Scores:
    """How well a set of sentences was predicted.

    Attributes:
        accuracy: percent of the sentences whose intent or class is right.
        slot_f1: percent; micro F1 of the slot spans over all sentences. None where the data has no slots or
            the model no slot head; 0 where there is no span, neither to find nor found.
        exact: percent of the sentences whose class and slot tags are all right.
        sentences: how many there were.
        unknown_labels: how many of them have a class that training never saw; they count as errors.
    """

    accuracy: float
    slot_f1: float | None
    exact: float
    sentences: int
    unknown_labels: int = 0

    def __str__(self) -> str:
        slots = "" if self.slot_f1 is None else f", slot F1 {self.slot_f1:.2f} %"
        unknown = (
            f" ({self.unknown_labels} of classes that training never saw)" if self.unknown_labels else ""
        )
        return f"accuracy {self.accuracy:.2f} %{slots}, {self.sentences} sentences{unknown}"

    @property
    def selection(self) -> float:
        """What the best checkpoint is chosen by: accuracy, averaged with the slot F1 where there is one."""
        return self.accuracy if self.slot_f1 is None else (self.accuracy + self.slot_f1) / 2


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans of one sentence.

    Args:
        tags: one a word: "O", or "B-", "I-", "E-", "S-" before the type (IOB2, IOB1 and IOBES are all read).
    """
    found: list[Span] = []
    start = 0
    before, type_before = OUTSIDE, "_"
    for position, tag in enumerate([*tags, OUTSIDE]):
        prefix, type_ = tag[:1] or OUTSIDE, tag[1:].split("-", 1)[-1] or "_"
        changed = type_ != type_before
        if before in "ES" or (before in "BI" and prefix in "BSO") or (before != OUTSIDE and changed):
            found.append((type_before, start, position - 1))
        if prefix in "BS" or (before in "ESO" and prefix in "EI") or (prefix != OUTSIDE and changed):
            start = position
        before, type_before = prefix, type_
    return found


def span_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Micro F1 of the spans of all sentences, in percent; 0 where neither side has one.

    Raises:
        ValueError: the two sides differ in sentences or words.
    """
    right = total = 0
    for expected, got in zip(gold, predicted, strict=True):
        if len(expected) != len(got):
            raise ValueError(f"{len(got)} tags were predicted for a sentence of {len(expected)} words")
        a, b = set(spans(expected)), set(spans(got))
        right += len(a & b)
        total += len(a) + len(b)
    return 200.0 * right / total if total else 0.0


def score_predictions(
    labels: Sequence[str],
    slots: Sequence[Sequence[str]] | None,
    examples: Sequence[Example],
    known: Sequence[str] = (),
) -> Scores:
    """Scores the predictions of any level of the flow.

    Args:
        labels: the predicted class of every sentence.
        slots: its predicted tags; words that truncation cut off have none and count as "O". None: no head.
        examples: the sentences with what is right. Classes and tags that no model knows are errors.
        known: the classes that training saw, to count the others; empty: don't.

    Raises:
        ValueError: there are not as many predictions as examples.
    """
    if len(labels) != len(examples) or (slots is not None and len(slots) != len(examples)):
        raise ValueError(f"the predictions are not those of {len(examples)} examples")
    rights = [label == example.label for label, example in zip(labels, examples, strict=True)]
    gold: list[tuple[str, ...]] = []
    got: list[tuple[str, ...]] = []
    exact = list(rights)
    for at, example in enumerate(examples):
        if slots is not None and example.slots is not None:
            gold.append(example.slots)
            got.append((*slots[at], *[OUTSIDE] * (len(example.slots) - len(slots[at]))))
            exact[at] = rights[at] and gold[-1] == got[-1]
    classes = set(known)
    return Scores(
        accuracy=_percent(sum(rights), len(examples)),
        slot_f1=span_f1(gold, got) if gold else None,
        exact=_percent(sum(exact), len(examples)),
        sentences=len(examples),
        unknown_labels=sum(example.label not in classes for example in examples) if classes else 0,
    )


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 0.0
