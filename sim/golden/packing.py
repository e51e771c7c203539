"""Sentences of different lengths in one matrix, without padding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...fixedpoint import IntArray
from ...graph import POSITIONS, SEGMENTS, TOKENS
from ...graph.level import Sentence

FloatArray = npt.NDArray[Any]
"""Integers held in float32 or float64."""


@dataclass(frozen=True)
class Rows:
    """Rows of an embedding for some ids, in ascending order of the ids."""

    ids: IntArray
    table: IntArray


@dataclass(frozen=True)
class Group:
    """`count` sentences of one length, one after the other, from token `start` on."""

    start: int
    count: int
    length: int

    @property
    def tokens(self) -> slice:
        """The rows of its tokens in the matrices of the batch."""
        return slice(self.start, self.start + self.count * self.length)


@dataclass
class Batch:
    """A chunk of sentences, sorted by length, and the values computed for it.

    Values are matrices [tokens or sentences, features]; values of heads x queries x keys are flat, group by group, see
    `by_group`.
    """

    indices: dict[str, IntArray]
    groups: list[Group]
    first: IntArray
    tables: dict[str, Rows]
    values: dict[str, FloatArray] = field(default_factory=dict)

    @classmethod
    def pack(cls, sentences: Sequence[Sentence], tables: dict[str, Rows]) -> Batch:
        """Packs sentences sorted by length; `tables` has finished rows, by the output of the embedding."""
        lengths = np.array([len(sentence.tokens) for sentence in sentences])
        first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        indices = {
            TOKENS: np.concatenate([sentence.tokens for sentence in sentences]),
            POSITIONS: np.arange(int(lengths.sum())) - np.repeat(first, lengths),
        }
        if sentences[0].segments is not None:
            indices[SEGMENTS] = np.concatenate([sentence.segments for sentence in sentences])
        groups = []
        for length, start in zip(*np.unique(lengths, return_index=True), strict=True):
            groups.append(Group(int(first[start]), int((lengths == length).sum()), int(length)))
        return cls(indices, groups, first, tables)

    def by_group(self, flat: FloatArray, heads: int) -> Iterator[tuple[Group, FloatArray]]:
        """The parts of a flat value, as views [sentences, heads, queries, keys]."""
        start = 0
        for group in self.groups:
            shape = (group.count, heads, group.length, group.length)
            stop = start + math.prod(shape)
            yield group, flat[start:stop].reshape(shape)
            start = stop

    def scores_size(self, heads: int) -> int:
        """How many numbers a value of heads x queries x keys has."""
        return sum(heads * group.count * group.length**2 for group in self.groups)

    def split(self, value: FloatArray, dims: Sequence[Any]) -> list[FloatArray]:
        """A value, as one array per sentence."""
        if dims[0] == "T":
            return np.split(value, self.first[1:])
        if len(dims) == 1:
            return list(value)
        return [matrix for _, part in self.by_group(value, dims[0]) for matrix in part]


def by_head(value: FloatArray, group: Group, heads: int) -> FloatArray:
    """The tokens of a group as a view [sentences, heads, tokens, features of a head]."""
    return value[group.tokens].reshape(group.count, group.length, heads, -1).transpose(0, 2, 1, 3)
