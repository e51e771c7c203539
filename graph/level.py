"""The interface of every level: sentences in, all integers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..fixedpoint import IntArray


@dataclass(frozen=True)
class Sentence:
    """One input of the model.

    Attributes:
        tokens: token ids, shape (T,), with T from 1 to the maximum of the model.
        segments: 0 or 1 per token, or None where the model reads no segments.
    """

    tokens: npt.NDArray[np.int32]
    segments: npt.NDArray[np.int32] | None = None


@dataclass(frozen=True)
class Results:
    """The integers of a level for some sentences.

    Attributes:
        values: for each name of `Graph.activations()` that the level holds, one integer array per sentence, in the
            order of the sentences, with the dims of the value. "T" is the length of that sentence: no padding.
        outputs: the same for each task of `Graph.outputs`: the logits as the level returns them for an answer, not
            copied from `values`.
    """

    values: Mapping[str, Sequence[IntArray]]
    outputs: Mapping[str, Sequence[IntArray]]


class Level(Protocol):
    """One way to execute a frozen model.

    Attributes:
        name: of the level.
        on_engine: whether the level executes a program for the engine, which holds fewer values than the graph.
    """

    name: str
    on_engine: bool

    def execute(self, sentences: Sequence[Sentence]) -> Results:
        """Every activation and every output of every sentence."""
        ...

    def merged(self) -> Mapping[str, IntArray]:
        """The products of constants, by the names of `Graph.merged()`, with the dims of the value."""
        ...


class Predictor(Level, Protocol):
    """A level that can also compute the outputs alone, which is faster."""

    def predict(self, sentences: Sequence[Sentence]) -> Mapping[str, Sequence[IntArray]]:
        """The outputs by their names in `Graph.outputs`: one integer array per sentence."""
        ...
