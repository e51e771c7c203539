"""Sentences with their labels, and the train, dev and test splits that hold them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import UserError

SPLITS = ("train", "dev", "test")

# ASCII punctuation and the usual quotes, dashes and marks of other scripts. Combining marks are no
# punctuation: they stay in their word.
_PUNCTUATION = (
    r"!-/:-@\[-`{-~\u00a1\u00a7\u00ab\u00b6\u00b7\u00bb\u00bf\u2010-\u2027\u2030-\u205e"
    r"\u3001-\u3003\u3008-\u3011\u3014-\u301f\uff01-\uff0f\uff1a-\uff20"
)
_LETTERS = rf"[^\s{_PUNCTUATION}]+"
# A number with inner separators (3:30), a word with inner hyphens or apostrophes (lo-fi, i'd), or one mark.
_WORD = re.compile(rf"\d+(?:[.,:]\d+)+|{_LETTERS}(?:['\u2019-]{_LETTERS})*|\S")


def split_words(text: str) -> tuple[str, ...]:
    """The words of running text: cut at white space, marks apart, inner hyphens and apostrophes kept."""
    return tuple(_WORD.findall(text))


@dataclass(frozen=True)
class Example:
    """One sentence, or two, as whoever wrote it cut it into words.

    Attributes:
        words: The words of the (first) sentence, at least one, in their original letter case.
        label: The intent or class.
        slots: BIO tags ("O", "B-room", "I-room"), one a word; None where the task has no slots.
        pair: The words of the second sentence of a two-sentence task, else None.
    """

    words: tuple[str, ...]
    label: str
    slots: tuple[str, ...] | None = None
    pair: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Corpus:
    """A data set under one name: three splits, of which `dev` and `test` may be empty."""

    name: str
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]

    @property
    def has_slots(self) -> bool:
        """Whether the training sentences carry slot tags."""
        return any(example.slots is not None for example in self.train)

    @property
    def has_pairs(self) -> bool:
        """Whether the training examples are pairs of sentences."""
        return any(example.pair is not None for example in self.train)

    def split(self, name: str) -> tuple[Example, ...]:
        """The examples of split `name`.

        Raises:
            UserError: there is no such split, or it has no example.
        """
        if name not in SPLITS:
            raise UserError(f"There is no split {name!r}; choose one of {', '.join(SPLITS)}.")
        examples: tuple[Example, ...] = getattr(self, name)
        if not examples:
            raise UserError(
                f"The {name} split of {self.name} is empty; choose another split or add examples to it."
            )
        return examples
