"""What every level of the verification ladder offers: sentences in, all integers out."""

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
        tokens: token ids, shape (T,), 1 <= T <= the model's maximum.
        segments: 0 or 1 a token, or None where the model reads no segments.
    """

    tokens: npt.NDArray[np.int32]
    segments: npt.NDArray[np.int32] | None = None


@dataclass(frozen=True)
class Results:
    """What a level makes of some sentences.

    Attributes:
        values: for each name of `Graph.activations()` that the level holds one integer array a sentence, in the order
            of the sentences, with the value's dims where "T" is the length of that sentence: no padding.
        outputs: the same for each task of `Graph.outputs`: the logits as whoever asks this level for an answer gets
            them, not by way of `values`.
    """

    values: Mapping[str, Sequence[IntArray]]
    outputs: Mapping[str, Sequence[IntArray]]


class Level(Protocol):
    """One way to execute a frozen model.

    Attributes:
        name: of the level.
        on_engine: whether a program for the engine is executed, which holds fewer values than the graph has.
    """

    name: str
    on_engine: bool

    def execute(self, sentences: Sequence[Sentence]) -> Results:
        """Every activation and every output of every sentence."""
        ...

    def merged(self) -> Mapping[str, IntArray]:
        """The products of constants, by the names of `Graph.merged()`, with the value's dims."""
        ...


class Predictor(Level, Protocol):
    """A level that can also give the outputs alone, which is faster."""

    def predict(self, sentences: Sequence[Sentence]) -> Mapping[str, Sequence[IntArray]]:
        """The outputs by their names in `Graph.outputs`: one integer array a sentence."""
        ...
