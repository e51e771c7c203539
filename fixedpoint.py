"""The numeric contract: the meaning of every number in a frozen model, and how it is computed.

This module is the reference implementation, in plain numpy `int64`. All other levels (PyTorch, golden model, ONNX,
hardware) must give the same integers, and the tests compare them with `==`. `docs/numerics.md` specifies the same
arithmetic in words.

Only `quantize`, `exp_table` and `function_table` use floating point. They run once, when a model is frozen; the other
levels receive their results as data and never compute them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[Any]

ACC_BITS = 32
"""Width of every accumulator, two's complement."""

EXP_MAX = (1 << 15) - 1
"""The entry of an exponential table at difference 0; all other entries are smaller or equal."""

PROB_BITS = 8
"""Softmax probabilities are unsigned 8 bits with 8 fraction bits: 255 represents 255/256."""

RECIPROCAL_BITS = 30
"""Softmax divides 2^30 by the sum of the exponentials, once per row."""

NORM_FRAC = 12
"""Fraction bits of LayerNorm's normalized value, before gamma and beta."""

NORM_BITS = 18
"""Width of LayerNorm's normalized value, signed: it fits one port of a DSP slice."""

GAMMA_BITS = 12
"""Width of LayerNorm's gamma, signed."""

MAX_NORM_SIZE = 1024
"""Maximum number of features of a LayerNorm. A normalized value is below sqrt(size) and must fit `NORM_BITS`."""


@dataclass(frozen=True)
class Format:
    """A fixed-point format: an integer q of `bits` bits represents q * 2^-frac.

    `frac` may be negative or larger than `bits`.
    """

    bits: int
    frac: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 32:
            raise ValueError(f"bits must be 2 to 32, got {self.bits}")

    @property
    def lo(self) -> int:
        """The smallest integer."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        """The largest integer."""
        return (1 << (self.bits - self.signed)) - 1

    @property
    def scale(self) -> float:
        """The value of one step, 2^-frac: a power of two, exact in floating point."""
        return math.ldexp(1.0, -self.frac)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The narrowest numpy integer type that holds the format."""
        width = 8 if self.bits <= 8 else 16 if self.bits <= 16 else 32
        return np.dtype(f"{'int' if self.signed else 'uint'}{width}")

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits}.{self.frac}"


def saturate(a: IntArray, fmt: Format) -> IntArray:
    """Clips integers to the range of `fmt`."""
    return np.clip(a, fmt.lo, fmt.hi)


def shift_round(a: IntArray, shift: int) -> IntArray:
    """a * 2^-shift, rounded half up: floor(a * 2^-shift + 1/2). A shift of 0 or less is a left shift, exact."""
    a = np.asarray(a, np.int64)
    if shift <= 0:
        return a << -shift
    return (a + (1 << (shift - 1))) >> shift


def requantize(a: IntArray, shift: int, fmt: Format) -> IntArray:
    """Converts an accumulator to a narrower format: `shift_round`, then `saturate`.

    Args:
        a: integers of magnitude below 2^62.
        shift: fraction bits of `a` minus those of `fmt`.
        fmt: the format to saturate to.
    """
    return saturate(shift_round(a, shift), fmt)


def quantize(x: npt.ArrayLike, fmt: Format) -> IntArray:
    """Converts real numbers to integers of `fmt`: floor(x * 2^frac + 1/2), saturated."""
    scaled = np.ldexp(np.asarray(x, np.float64), fmt.frac)
    return np.clip(np.floor(scaled + 0.5), fmt.lo, fmt.hi).astype(np.int64)


def _gelu(x: float) -> float:
    return 0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0)))


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "gelu": _gelu,
    "relu": lambda x: max(x, 0.0),
    "tanh": math.tanh,
}
"""The functions of one input."""


def function_table(function: str, source: Format, target: Format) -> IntArray:
    """The table of a function of one input, 256 integers in two's complement order: entry q mod 256 is f(q * 2^-frac).

    Args:
        function: a name in `FUNCTIONS`.
        source: signed 8-bit format of the argument.
        target: format of the result.
    """
    if source.bits != 8 or not source.signed:
        raise ValueError(f"the input of a table must be signed with 8 bits, got {source}")
    f = FUNCTIONS[function]
    arguments = [q if q < 128 else q - 256 for q in range(256)]
    return quantize([f(q * source.scale) for q in arguments], target)


def exp_table(frac: int) -> IntArray:
    """exp(-d * 2^-frac) for d = 0..255, as integers from 0 to `EXP_MAX`, rounded half up."""
    return np.array(
        [math.floor(EXP_MAX * math.exp(-math.ldexp(float(d), -frac)) + 0.5) for d in range(256)], np.int64
    )


def softmax(scores: IntArray, table: IntArray, valid: IntArray | None = None) -> IntArray:
    """Integer softmax over the last axis.

    With d = max - score and e = table[d]: r = floor(2^30 / sum e), one exact division per row, and
    p = min(255, (e * r + 2^21) >> 22).

    Args:
        scores: integers of a signed 8-bit format, at least one per row.
        table: from `exp_table`, for the fraction bits of the scores.
        valid: booleans of the shape of `scores`; invalid keys are ignored and have probability 0. At least one
            key of each row must be valid.

    Returns:
        Probabilities, unsigned 8 bits with 8 fraction bits.
    """
    scores = np.asarray(scores, np.int64)
    mask = np.ones(scores.shape, bool) if valid is None else np.broadcast_to(valid, scores.shape)
    largest = np.where(mask, scores, -128).max(axis=-1, keepdims=True)
    difference = np.where(mask, largest - scores, 0)
    e = np.where(mask, np.asarray(table, np.int64)[difference], 0)
    r = (1 << RECIPROCAL_BITS) // e.sum(axis=-1, keepdims=True)
    shift = RECIPROCAL_BITS - PROB_BITS
    return np.minimum((e * r + (1 << (shift - 1))) >> shift, (1 << PROB_BITS) - 1)


def layer_norm(x: IntArray, gamma: IntArray, beta: IntArray, gamma_frac: int, fmt: Format) -> IntArray:
    """Integer LayerNorm over the last axis, of size D <= 1024.

    With S1 = sum x, S2 = sum x^2 and V = D*S2 - S1^2 (D^2 times the variance, exact):

    - t is chosen so that V * 4^t lies in [2^30, 2^32), s = floor(sqrt(floor(V * 4^t))) has 16 bits, and
      r = floor((2^31 - 1) / s) is the only division per token;
    - c is D*x - S1 (exact), shifted by t bits and rounded half up; its standard deviation is s;
    - n = (c * r + 2^18) >> 19 is the normalized value with 12 fraction bits, saturated to 18 bits;
    - y = requantize(n * gamma + beta).

    A token of zero variance has n = 0. There is no epsilon: the smallest variance that integers can have is far
    above any epsilon in use.

    Args:
        x: integers of a signed 16-bit format, shape (..., D).
        gamma: D integers of 12 bits, signed, with `gamma_frac` fraction bits.
        beta: D integers with 12 + `gamma_frac` fraction bits.
        gamma_frac: fraction bits of gamma.
        fmt: format of the result.
    """
    x = np.asarray(x, np.int64)
    size = x.shape[-1]
    if size > MAX_NORM_SIZE:
        raise ValueError(f"LayerNorm must have at most {MAX_NORM_SIZE} features, got {size}")
    s1 = x.sum(axis=-1, keepdims=True)
    v = size * (x * x).sum(axis=-1, keepdims=True) - s1 * s1
    # frexp gives the bit length of V: exact, since V is below 2^53.
    bit_length = np.frexp(v.astype(np.float64))[1].astype(np.int64)
    t = (32 - bit_length) >> 1
    radicand = np.where(t >= 0, v << (2 * np.maximum(t, 0)), v >> (2 * np.maximum(-t, 0)))
    s = integer_sqrt(radicand)
    r = np.where(v > 0, ((1 << 31) - 1) // np.maximum(s, 1), 0)
    centered = size * x - s1
    right = np.maximum(-t, 0)
    half = np.where(right > 0, 1 << np.maximum(right - 1, 0), 0)
    centered = np.where(v > 0, ((centered << np.maximum(t, 0)) + half) >> right, 0)
    n = requantize(centered * r, 31 - NORM_FRAC, Format(NORM_BITS, NORM_FRAC))
    return requantize(
        n * np.asarray(gamma, np.int64) + np.asarray(beta, np.int64), NORM_FRAC + gamma_frac - fmt.frac, fmt
    )


def integer_sqrt(v: IntArray) -> IntArray:
    """floor(sqrt(v)), exactly, for 0 <= v < 2^52."""
    # IEEE 754 rounds sqrt correctly, and below 2^52 no rounded root reaches the next integer.
    return np.floor(np.sqrt(np.asarray(v, np.float64))).astype(np.int64)
