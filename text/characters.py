"""Properties of characters that WordPiece depends on: tables of ranges, the same under every version of Python.

Python's own `unicodedata` differs from one version to the next, and the library that defines the format
tokenizer.json (`tokenizers`) mixes several versions of Unicode. So each property is a table of its own,
`character_tables.py`, measured from version 0.23 of the library.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from functools import cache
from itertools import groupby
from typing import Literal

from . import character_tables as tables

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]


class CharacterSet:
    """A set of characters, from ranges of code points."""

    def __init__(self, ranges: str) -> None:
        """A set of the ranges `first-last` or single code points in `ranges`, hexadecimal and ascending."""
        self._edges: list[int] = []
        """Where the set begins and ends in turn: a code point after an odd number of edges is inside."""
        for entry in ranges.split():
            first, _, last = entry.partition("-")
            self._edges += [int(first, 16), int(last or first, 16) + 1]

    def __contains__(self, character: str) -> bool:
        return bisect_right(self._edges, ord(character)) % 2 == 1


SPACE = CharacterSet(tables.SPACE)
"""White space: Unicode's property White_Space."""

CONTROL = CharacterSet(tables.CONTROL)
"""What BertNormalizer removes when it cleans a text: control, format and private-use characters."""

NONSPACING = CharacterSet(tables.NONSPACING)
"""Nonspacing marks (Mn), which BertNormalizer removes from decomposed text to strip accents."""

MARK = CharacterSet(tables.MARK)
"""Marks of all kinds (M), which StripAccents removes."""

PUNCTUATION = CharacterSet(tables.PUNCTUATION)
"""Punctuation (P) and the ASCII symbols."""

WORD = CharacterSet(tables.WORD)
r"""Characters of words: `\w` of regular expressions in Unicode."""

CHINESE = CharacterSet(tables.CHINESE)
"""CJK ideographs, which BertNormalizer surrounds with spaces."""

_NORMALIZED = CharacterSet(tables.NORMALIZED)
"""Characters that take part in normalization; text between them stays as it is."""


@cache
def _lower() -> dict[str, str]:
    """The lower case of each letter that has one, from entries `first-last+offset`, a step after `/`."""
    lower = {"\u0130": "i\u0307"}
    for entry in tables.LOWER.split():
        sign = "+" if "+" in entry else "~"
        ranges, offset = entry.split(sign)
        bounds, _, step = ranges.partition("/")
        first, _, last = bounds.partition("-")
        for code in range(int(first, 16), int(last or first, 16) + 1, int(step or "1", 16)):
            lower[chr(code)] = chr(code + int(offset, 16) * (1 if sign == "+" else -1))
    return lower


def lowercase(text: str) -> str:
    """`text` in lower case, each character by itself: a final sigma is a sigma like any other."""
    lower = _lower()
    return "".join(lower.get(character, character) for character in text)


def normalize(form: Form, text: str) -> str:
    """`text` in one of Unicode's normalization forms, by version 12 of Unicode."""
    if text.isascii():
        return text
    # A character outside the table is a starter that neither decomposes nor composes, so that the text before
    # it and the text after it are normalized independently. Inside, all versions since 12 agree: Unicode
    # promises that the normalization of assigned characters never changes.
    return "".join(
        unicodedata.normalize(form, "".join(run)) if active else "".join(run)
        for active, run in groupby(text, _NORMALIZED.__contains__)
    )
