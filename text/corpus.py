"""Sentences with their labels, and the train, dev and test splits that hold them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import LOG, UserError, printable

SPLITS = ("train", "dev", "test")

SPLIT_SEED = 0
"""Seed of every split that is made here because the source has none."""

Splitter = Literal["whitespace", "punctuation"]
"""How running text is cut into words; a property of the model, recorded with its vocabulary."""

# ASCII punctuation and the usual quotes, dashes and marks of other scripts. Combining marks are no
# punctuation: they stay in their word.
_PUNCTUATION = (
    r"!-/:-@\[-`{-~\u00a1\u00a7\u00ab\u00b6\u00b7\u00bb\u00bf\u2010-\u2027\u2030-\u205e"
    r"\u3001-\u3003\u3008-\u3011\u3014-\u301f\uff01-\uff0f\uff1a-\uff20"
)
_LETTERS = rf"[^\s{_PUNCTUATION}]+"

WORD_PATTERNS: Mapping[Splitter, str] = {
    # A no-break space and its like belong to a word: the layout seq.in has a tag for each word between spaces.
    "whitespace": r"[^ \t\r\n]+",
    # A number with inner separators (3:30), a word with inner hyphens or apostrophes (lo-fi, i'd), or one mark.
    "punctuation": rf"\d+(?:[.,:]\d+)+|{_LETTERS}(?:['\u2019-]{_LETTERS})*|\S",
}
"""The words of a text are the matches of this pattern of Python's `re`, from left to right."""

_WORDS = {splitter: re.compile(pattern) for splitter, pattern in WORD_PATTERNS.items()}


def split_words(text: str, splitter: Splitter) -> tuple[str, ...]:
    """The words of running text, of a file or of a user: the one place where text is cut.

    Args:
        text: a sentence.
        splitter: "whitespace" cuts at spaces, tabs and line ends alone; "punctuation" at all white space, and sets
            marks apart, but for inner hyphens and apostrophes and the separators of a number.
    """
    return tuple(_WORDS[splitter].findall(text))


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
    """A data set under one name: three splits, of which `dev` and `test` may be empty.

    Attributes:
        name: of the file or folder.
        train, dev, test: the examples.
        splitter: what cut their sentences into words.
        made: names of the splits that were held out of the training sentences, because the source has none.
    """

    name: str
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    splitter: Splitter
    made: tuple[str, ...] = ()

    @property
    def has_slots(self) -> bool:
        """Whether the training sentences carry slot tags."""
        return any(example.slots is not None for example in self.train)

    @property
    def has_pairs(self) -> bool:
        """Whether the training examples are pairs of sentences."""
        return any(example.pair is not None for example in self.train)

    def tell_what_was_held_out(self) -> None:
        """Logs which training sentences became other splits, if any did."""
        if self.made:
            total = len(self.train) + sum(len(getattr(self, split)) for split in self.made)
            parts = " and ".join(f"{len(getattr(self, split)):,} as {split}" for split in self.made)
            LOG.info(
                f"{printable(self.name)} has no {' and no '.join(self.made)} split: of {total:,} sentences, {parts} "
                f"were held out (seed {SPLIT_SEED})."
            )

    def split(self, name: str) -> tuple[Example, ...]:
        """The examples of split `name`.

        Raises:
            UserError: there is no such split, or it has no example.
        """
        if name not in SPLITS:
            raise UserError(f"There is no split '{printable(name)}'; choose one of {', '.join(SPLITS)}.")
        examples: tuple[Example, ...] = getattr(self, name)
        if not examples:
            raise UserError(
                f"The {name} split of {self.name} is empty; choose another split or add examples to it."
            )
        return examples
