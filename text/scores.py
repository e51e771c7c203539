"""Names of the largest logits, accuracy and span-level slot F1, for every level.

Spans and their F1 are defined as in conlleval (the CoNLL-2000 shared task) and the default mode of seqeval: a
span begins at each B, at each change of type, and at an I outside a span; a predicted span is correct if its
type, its first word and its last word are.
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
"""The type of a span, its first and its last word."""


@dataclass(frozen=True)
class Predictions:
    """The predictions of a model for a list of sentences.

    Attributes:
        labels: the class of each sentence.
        slots: the tags of the words of each sentence that were not truncated; None without a slot head.
    """

    labels: tuple[str, ...]
    slots: tuple[tuple[str, ...], ...] | None


def decode(
    label_logits: Sequence[Array], slot_logits: Sequence[Array] | None, split: EncodedSplit, labels: Labels
) -> Predictions:
    """The names at the largest logits; the first of equal ones.

    Args:
        label_logits: (labels,) for each example of `split`; float or integer.
        slot_logits: (at least L, tags) for each example; None without a slot head.
        split: the encoded examples.
        labels: the names of the logits.
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
    """Scores of a set of sentences.

    Attributes:
        accuracy: percentage of sentences whose class is correct.
        slot_f1: micro F1 of the slot spans of all sentences, in percent. None if the data has no slots or the model
            has no slot head; 0 if there is no span, expected or predicted.
        exact: percentage of sentences whose class and slot tags are all correct.
        sentences: number of sentences.
        unknown_labels: number of sentences whose class is not in the training split; they count as errors.
    """

    accuracy: float
    slot_f1: float | None
    exact: float
    sentences: int
    unknown_labels: int = 0

    def __str__(self) -> str:
        slots = "" if self.slot_f1 is None else f", slot F1 {self.slot_f1:.2f} %"
        unknown = (
            f" ({self.unknown_labels} with classes not in the training split)" if self.unknown_labels else ""
        )
        return f"accuracy {self.accuracy:.2f} %{slots}, {self.sentences} sentences{unknown}"

    @property
    def selection(self) -> float:
        """The score that selects the best checkpoint: the accuracy, or its mean with the slot F1 if there is one."""
        return self.accuracy if self.slot_f1 is None else (self.accuracy + self.slot_f1) / 2


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans of one sentence.

    Args:
        tags: one per word: "O", or "B-", "I-", "E-" or "S-" and the type (IOB2, IOB1 or IOBES).
    """
    complete: list[Span] = []
    start = 0
    before, type_before = OUTSIDE, "_"
    for position, tag in enumerate([*tags, OUTSIDE]):
        prefix, type_ = tag[:1] or OUTSIDE, tag[1:].split("-", 1)[-1] or "_"
        changed = type_ != type_before
        if before in "ES" or (before in "BI" and prefix in "BSO") or (before != OUTSIDE and changed):
            complete.append((type_before, start, position - 1))
        if prefix in "BS" or (before in "ESO" and prefix in "EI") or (prefix != OUTSIDE and changed):
            start = position
        before, type_before = prefix, type_
    return complete


def span_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Micro F1 of the spans of all sentences, in percent; 0 if neither `gold` nor `predicted` has a span.

    Raises:
        ValueError: the numbers of sentences or words differ.
    """
    right = total = 0
    for expected, got in zip(gold, predicted, strict=True):
        if len(expected) != len(got):
            raise ValueError(f"expected {len(expected)} tags, one per word, got {len(got)}")
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
    """Scores the predictions of a level.

    Args:
        labels: the predicted class of each sentence.
        slots: the predicted tags of each sentence; truncated words have none and count as "O". None without a slot
            head.
        examples: the sentences with the correct classes and tags.
        known: the classes of the training split; other classes are counted. Empty: none are counted.

    Raises:
        ValueError: the number of predictions is not that of the examples.
    """
    if len(labels) != len(examples) or (slots is not None and len(slots) != len(examples)):
        raise ValueError(f"expected predictions of {len(examples)} examples, got {len(labels)}")
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
