"""From sentences to token ids, and from logits to the names of classes and slots: the one way into and out of a model.

`narrowgauge run`, `eval`, `verify` and the test vectors of the HLS project all read text here. Needs numpy only.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import UserError
from .corpus import Example
from .encoding import EncodedSplit, Labels, encode_split
from .readers import load_split
from .scores import Array, decode
from .tokenizer import Int32, Tokenizer

Text: TypeAlias = str | tuple[str, str]
"""A sentence, or two sentences for a model of pairs."""


@dataclass(frozen=True)
class Prediction:
    """The answer of a model for one sentence, or for one pair.

    Attributes:
        words: the words that the model read, of a pair those of the first sentence.
        label: the class.
        slots: one tag per word; None for a model without slots.
        logits: the integers of the class head, one per class.
    """

    words: tuple[str, ...]
    label: str
    slots: tuple[str, ...] | None
    logits: tuple[int, ...]


@dataclass(frozen=True)
class Frontend:
    """What a model needs to read text and to name its answers.

    Attributes:
        tokenizer, labels: those that the model was trained with.
        max_length: tokens of the longest sentence; longer ones are cut.
        pairs: whether the model takes two sentences.
    """

    tokenizer: Tokenizer
    labels: Labels
    max_length: int
    pairs: bool

    def read(self, data: str, split: str, limit: int | None) -> EncodedSplit:
        """The first `limit` examples of a split of `data`; one warning counts those that are cut."""
        examples = load_split(data, split, limit, pairs=self.pairs, splitter=self.tokenizer.splitter)
        return encode_split(examples, self.tokenizer, self.labels, self.max_length)

    def encode(self, texts: Sequence[Text], *, strict: bool = False) -> EncodedSplit:
        """Sentences as a user typed them, cut into words and tokens as the sentences of a data set are.

        Args:
            texts: strings, or pairs of strings for a model of pairs.
            strict: refuse a sentence that is too long; otherwise it is cut, with one warning for all.

        Raises:
            UserError: a sentence has no word, is a pair for a model of single sentences or the other way round, or is
                too long with `strict`.
            TypeError: `texts` is one string, or a text is neither a string nor a pair of strings.
        """
        if isinstance(texts, str):
            raise TypeError("texts must be a list of sentences, got one string")
        examples = [self._example(text) for text in texts]
        return encode_split(examples, self.tokenizer, self.labels, self.max_length, strict=strict)

    def inputs(self, split: EncodedSplit) -> list[tuple[Int32, Int32 | None]]:
        """The token ids and, for a model of pairs, the segment ids of each sentence, both of shape (T,)."""
        return [
            (ids, segments if self.pairs else None)
            for ids, segments in zip(split.ids, split.segments, strict=True)
        ]

    def predictions(self, split: EncodedSplit, logits: Mapping[str, Sequence[Array]]) -> list[Prediction]:
        """The answers that logits stand for.

        Args:
            split: the sentences.
            logits: for each sentence, in integers: "label" (classes,), and "slots" (T, tags) if the model has slots.
        """
        names = decode(logits["label"], logits.get("slots"), split, self.labels)
        return [
            Prediction(
                example.words[: len(starts)],
                names.labels[at],
                None if names.slots is None else names.slots[at],
                tuple(int(logit) for logit in logits["label"][at]),
            )
            for at, (example, starts) in enumerate(zip(split.examples, split.word_starts, strict=True))
        ]

    def _example(self, text: object) -> Example:
        second: str | None
        match text:
            case str(first):
                second = None
            case (str(first), str(second)):
                pass
            case _:
                raise TypeError(f"a text must be a string or a pair of strings, got {reprlib.repr(text)}")
        if (second is not None) != self.pairs:
            takes = "a pair of sentences" if self.pairs else "one sentence"
            raise UserError(f"this model takes {takes}, got {'one' if second is None else 'two'}.")
        words = self.tokenizer.split(first)
        pair = None if second is None else self.tokenizer.split(second)
        if not words or pair == ():
            which = "sentence" if pair is None else "first sentence" if not words else "second sentence"
            raise UserError(f"there is no word in the {which}; give at least one.")
        return Example(words, "", None, pair)
