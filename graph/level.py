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


class Level(Protocol):
    """One way to execute a frozen model.

    A level may have an attribute `fused`, the names of values that it never holds because it computes them together
    with the next one; these are not compared.
    """

    name: str

    def run(self, sentences: Sequence[Sentence]) -> Mapping[str, Sequence[IntArray]]:
        """Every activation of every sentence.

        Returns:
            For each name of `Graph.activations()` one integer array a sentence, in the order of `sentences`, with
            the value's dims where "T" is the length of that sentence: no padding.
        """
        ...

    def merged(self) -> Mapping[str, IntArray]:
        """The products of constants, by the names of `Graph.merged()`, with the value's dims."""
        ...


class Predictor(Level, Protocol):
    """A level that can also give the outputs alone, which is faster."""

    def predict(self, sentences: Sequence[Sentence]) -> Mapping[str, Sequence[IntArray]]:
        """The outputs by their names in `Graph.outputs`: one integer array a sentence."""
        ...
