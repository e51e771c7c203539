"""Sentences with labels, and the train, dev and test splits of a data set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import LOG, UserError, printable

SPLITS = ("train", "dev", "test")

SPLIT_SEED = 0
"""Seed that selects the sentences of a split that the source does not have."""

Splitter = Literal["whitespace", "punctuation"]
"""The rule that splits text into words; a property of the model, recorded with its vocabulary."""

# ASCII punctuation, and the common quotation marks, dashes and punctuation marks of other scripts. Combining
# marks are not punctuation: they belong to their word.
_PUNCTUATION = (
    r"!-/:-@\[-`{-~\u00a1\u00a7\u00ab\u00b6\u00b7\u00bb\u00bf\u2010-\u2027\u2030-\u205e"
    r"\u3001-\u3003\u3008-\u3011\u3014-\u301f\uff01-\uff0f\uff1a-\uff20"
)
_LETTERS = rf"[^\s{_PUNCTUATION}]+"

WORD_PATTERNS: Mapping[Splitter, str] = {
    # Other white space, such as a no-break space, is part of a word: seq.out has one tag per word between spaces.
    "whitespace": r"[^ \t\r\n]+",
    # A number with inner separators (3:30), a word with inner hyphens or apostrophes (lo-fi, i'd), or one
    # punctuation mark.
    "punctuation": rf"\d+(?:[.,:]\d+)+|{_LETTERS}(?:['\u2019-]{_LETTERS})*|\S",
}
"""Regular expressions of Python's `re`: the words of a text are the matches, from left to right."""

_WORDS = {splitter: re.compile(pattern) for splitter, pattern in WORD_PATTERNS.items()}


def split_words(text: str, splitter: Splitter) -> tuple[str, ...]:
    """Splits text into words. All text, from files and from users, is split here.

    Args:
        text: a sentence.
        splitter: "whitespace" splits at spaces, tabs and line ends only; "punctuation" splits at all white space and
            makes each punctuation mark a word, except inner hyphens, inner apostrophes and separators in a number.
    """
    return tuple(_WORDS[splitter].findall(text))


@dataclass(frozen=True)
class Example:
    """One sentence, or a pair of sentences, split into words.

    Attributes:
        words: The words of the (first) sentence, at least one, in their original letter case.
        label: The intent or class.
        slots: BIO tags ("O", "B-room", "I-room"), one per word; None if the task has no slots.
        pair: The words of the second sentence of a pair, else None.
    """

    words: tuple[str, ...]
    label: str
    slots: tuple[str, ...] | None = None
    pair: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Corpus:
    """A data set: three splits, of which `dev` and `test` may be empty.

    Attributes:
        name: the name of the file or folder.
        train, dev, test: the examples of each split.
        splitter: the rule that split their sentences into words.
        held_out: names of the splits that the source lacks and that were held out of the training sentences.
    """

    name: str
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    splitter: Splitter
    held_out: tuple[str, ...] = ()

    @property
    def has_pairs(self) -> bool:
        """Whether the training examples are pairs of sentences."""
        return any(example.pair is not None for example in self.train)

    def log_held_out_splits(self) -> None:
        """Logs the number of training sentences that were held out for other splits, if any."""
        if self.held_out:
            total = len(self.train) + sum(len(getattr(self, split)) for split in self.held_out)
            parts = " and ".join(f"{len(getattr(self, split)):,} as {split}" for split in self.held_out)
            LOG.info(
                f"{printable(self.name)} has no {' and no '.join(self.held_out)} split: of {total:,} sentences, "
                f"{parts} were held out (seed {SPLIT_SEED})."
            )

    def split(self, name: str) -> tuple[Example, ...]:
        """The examples of split `name`.

        Raises:
            UserError: `name` is not a split, or the split is empty.
        """
        if name not in SPLITS:
            raise UserError(f"there is no split '{printable(name)}'; choose one of {', '.join(SPLITS)}.")
        examples: tuple[Example, ...] = getattr(self, name)
        if not examples:
            raise UserError(
                f"the {name} split of {self.name} is empty; choose another split or add examples to it."
            )
        return examples
