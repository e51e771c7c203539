"""The proof that no accumulator of a graph can overflow, by interval arithmetic from node to node.

Every value has one interval per feature (per head, where there are heads): the integers that it can take for any
sentence. The weights of a layer map the intervals of its input to those of its accumulators, which must fit
`fixedpoint.ACC_BITS` bits. Requantized, these are the intervals of its output.

The interval of an accumulator contains every partial sum in every order, because the interval of each term is widened
to contain 0. So the proof holds for any order of summation, and for floating-point products too: they are exact where
the bound is below 2^24 (float32) or 2^53 (float64).

Intervals are float64. They are sums of terms of one sign: exact below 2^53, and never computed as less than 2^53 when
they are larger.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..fixedpoint import ACC_BITS, NORM_BITS, NORM_FRAC, PROB_BITS, RECIPROCAL_BITS, IntArray
from .graph import Graph
from .merging import merge_cores
from .nodes import (
    Add,
    Context,
    Embedding,
    First,
    LayerNorm,
    Linear,
    Node,
    Scores,
    Softmax,
    Table,
    TTMEmbedding,
)

FloatArray = npt.NDArray[np.float64]

_LIMIT = 1 << (ACC_BITS - 1)


@dataclass(frozen=True)
class Bound:
    """The range of one accumulator before the right shift whose result is `value`.

    It includes bias, aligned residual, rounding half and a left shift.

    Attributes:
        value: the value that is requantized from the accumulator.
        lo: a lower bound of the accumulator at any time; at most 0.
        hi: an upper bound; at least 0.
    """

    value: str
    lo: int
    hi: int

    @property
    def magnitude(self) -> int:
        """The largest magnitude."""
        return max(-self.lo, self.hi)

    @property
    def bits(self) -> int:
        """The width in bits of the narrowest two's complement accumulator that holds the range."""
        return max(self.hi.bit_length(), (-self.lo - 1).bit_length() if self.lo else 0) + 1


@dataclass(frozen=True)
class _Interval:
    """Lowest and highest integers, elementwise."""

    lo: FloatArray
    hi: FloatArray

    def __add__(self, other: _Interval) -> _Interval:
        return _Interval(self.lo + other.lo, self.hi + other.hi)

    def map(self, function: Any) -> _Interval:
        """The interval under a function that is monotonic, or that moves elements."""
        return _Interval(function(self.lo), function(self.hi))

    def with_zero(self) -> _Interval:
        return _Interval(np.minimum(self.lo, 0.0), np.maximum(self.hi, 0.0))

    def over(self, axis: int) -> _Interval:
        """The smallest interval that contains those along an axis."""
        return _Interval(self.lo.min(axis=axis), self.hi.max(axis=axis))


def _exactly(data: IntArray) -> _Interval:
    exact = data.astype(np.float64)
    return _Interval(exact, exact)


def _product(x: _Interval, weights: _Interval) -> _Interval:
    """Intervals of x @ weights and of all its partial sums, where at least one of the two is exact."""
    # The interval of an exact number and 0 has one end at 0: one of each pair of products below is 0.
    x, weights = x.with_zero(), weights.with_zero()
    return _Interval(x.lo @ weights.hi + x.hi @ weights.lo, x.hi @ weights.hi + x.lo @ weights.lo)


def prove(graph: Graph) -> dict[str, Bound]:
    """The bound of every accumulator that is requantized, by the name of the value written.

    Raises:
        UserError: an accumulator could overflow; the message names the value.
    """
    proof = _Proof(graph, merge_cores(graph))
    for node in graph.nodes:
        _propagate(node, proof)
    return proof.bounds


@dataclass
class _Proof:
    """The bounds and intervals of the nodes so far."""

    graph: Graph
    merged: dict[str, IntArray]
    bounds: dict[str, Bound] = field(default_factory=dict)
    intervals: dict[str, _Interval] = field(default_factory=dict)

    def frac(self, name: str) -> int:
        return self.graph.fmt(name).frac

    def requantize(self, name: str, accumulator: _Interval, frac: int) -> None:
        """Checks the accumulator that `name` is requantized from, and sets the value's interval."""
        fmt = self.graph.fmt(name)
        shift = frac - fmt.frac
        self.check_shift(name, shift)
        half = math.ldexp(0.5, shift) if shift > 0 else 0.0
        accumulator = accumulator.map(lambda a: np.ldexp(a, max(-shift, 0)))
        self.check(name, float(accumulator.lo.min()), float(accumulator.hi.max()) + half)
        self.intervals[name] = accumulator.map(
            lambda a: np.clip(np.floor(np.ldexp(a + half, -max(shift, 0))), fmt.lo, fmt.hi)
        )

    def check(self, name: str, lo: float, hi: float) -> None:
        bound = Bound(name, int(max(lo, -(2.0**62))), int(min(hi, 2.0**62)))
        if bound.bits > ACC_BITS:
            worst = bound.lo if -bound.lo > bound.hi else bound.hi
            raise UserError(
                f"the accumulator of {name!r} must fit {ACC_BITS} bits, but could reach {worst}, which needs "
                f"{bound.bits} bits; train the model again with fewer inputs, fewer weight bits or smaller weights in "
                "that layer, or with scales of bias, residual and output that are closer together."
            )
        self.bounds[name] = bound

    def check_shift(self, name: str, shift: int) -> None:
        if abs(shift) >= ACC_BITS:
            raise UserError(
                f"the accumulator of {name!r} has {ACC_BITS} bits and can't be shifted by {shift} bits; train the "
                "model again with scales in that layer that are closer together."
            )

    def add(self, name: str, terms: Iterable[tuple[_Interval, int]]) -> None:
        """Checks an exact sum of aligned terms, each (interval, fraction bits), and requantizes it to `name`."""
        terms = list(terms)
        frac = max(term_frac for _, term_frac in terms)
        total = _Interval(np.zeros(1), np.zeros(1))
        for interval, term_frac in terms:
            self.check_shift(name, frac - term_frac)
            total = total + interval.with_zero().map(lambda a, k=frac - term_frac: np.ldexp(a, k))
        self.requantize(name, total, frac)

    def weight(self, name: str) -> _Interval:
        """A constant, or a product of constants."""
        return _exactly(self.merged[name] if name in self.merged else self.graph.constants[name])


@singledispatch
def _propagate(node: Node, proof: _Proof) -> None:
    """Checks the accumulators of a node, and sets the intervals of what it writes."""
    raise TypeError(f"expected an operator with an overflow proof, got {type(node).__name__}")


@_propagate.register
def _embedding(node: Embedding, proof: _Proof) -> None:
    proof.intervals[node.output] = _exactly(proof.graph.constants[node.table]).over(axis=0)


@_propagate.register
def _ttm_embedding(node: TTMEmbedding, proof: _Proof) -> None:
    cores = [_exactly(proof.graph.constants[core]) for core in node.cores]
    state = cores[0].over(axis=1).map(lambda a: a[0])
    frac = proof.frac(node.cores[0])
    for core, name, output in zip(cores[1:], node.cores[1:], (*node.mids, node.output), strict=True):
        rank, _, _, right_rank = core.lo.shape
        # (v, a, d * r): every slice with every row of the state, then the worst of the slices.
        slices = core.map(lambda a, rank=rank: a.transpose(1, 0, 2, 3).reshape(a.shape[1], rank, -1))
        product = _product(state, slices).over(axis=0)
        proof.requantize(output, product.map(np.ravel), frac + proof.frac(name))
        state = proof.intervals[output].map(lambda a, r=right_rank: a.reshape(-1, r))
        frac = proof.frac(output)


@_propagate.register
def _add(node: Add, proof: _Proof) -> None:
    proof.add(node.output, [(proof.intervals[name], proof.frac(name)) for name in node.inputs])


@_propagate.register
def _layer_norm(node: LayerNorm, proof: _Proof) -> None:
    gamma = proof.graph.constants[node.gamma].astype(np.float64)
    largest = min(max_normalized(len(gamma)), (1 << (NORM_BITS - 1)) - 1)
    reach: FloatArray = float(largest) * np.abs(gamma)
    beta = _exactly(proof.graph.constants[node.beta]).with_zero()
    proof.requantize(node.output, _Interval(-reach, reach) + beta, NORM_FRAC + proof.frac(node.gamma))


@_propagate.register
def _linear(node: Linear, proof: _Proof) -> None:
    for step in proof.graph.steps(node):
        frac = proof.frac(step.lhs) + proof.frac(step.rhs)
        if step.kind == "merge":
            lhs, rhs = proof.weight(step.lhs), proof.weight(step.rhs)
            product = _product(
                lhs.map(lambda a, k=step.inner: a.reshape(-1, k)),
                rhs.map(lambda a, k=step.inner: a.reshape(k, -1)),
            )
            proof.requantize(step.output, product, frac)
            continue
        x = proof.intervals[step.lhs]
        weight = proof.weight(step.rhs).map(lambda a, r=step.rows: a.reshape(r, -1))
        if step.kind == "apply":
            product = _product(x.map(lambda a, k=step.inner: a.reshape(-1, k)), weight.map(np.transpose))
        else:
            product = _product(weight, x.map(lambda a, k=step.inner: a.reshape(k, -1)))
        product = product.map(np.ravel)
        if step.output != node.output:
            proof.requantize(step.output, product, frac)
            continue
        if node.bias is not None:
            product = product + _exactly(proof.graph.constants[node.bias]).with_zero()
        terms = [(product, frac)]
        if node.residual is not None:
            terms.append((proof.intervals[node.residual], proof.frac(node.residual)))
        proof.add(node.output, terms)


@_propagate.register
def _scores(node: Scores, proof: _Proof) -> None:
    query, key = (
        proof.intervals[name].with_zero().map(lambda a: a.reshape(node.heads, -1))
        for name in (node.query, node.key)
    )
    lo = np.minimum(query.lo * key.hi, query.hi * key.lo).sum(axis=1)
    hi = np.maximum(query.lo * key.lo, query.hi * key.hi).sum(axis=1)
    frac = proof.frac(node.query) + proof.frac(node.key) + node.shift
    proof.requantize(node.output, _Interval(lo, hi), frac)


@_propagate.register
def _softmax(node: Softmax, proof: _Proof) -> None:
    """The sum of a row's exponentials, and an exponential times the reciprocal of the sum, rounded."""
    largest = int(proof.graph.constants[node.table].max())
    half = 1 << (RECIPROCAL_BITS - PROB_BITS - 1)
    total = proof.graph.metadata.max_length * largest
    proof.check(node.output, 0.0, float(max(total, (1 << RECIPROCAL_BITS) + half)))
    heads = proof.intervals[node.input].lo.shape
    proof.intervals[node.output] = _Interval(np.zeros(heads), np.full(heads, (1 << PROB_BITS) - 1.0))


@_propagate.register
def _context(node: Context, proof: _Proof) -> None:
    total = max_probability_sum(proof.graph.metadata.max_length)
    value = proof.intervals[node.value].with_zero()
    frac = proof.frac(node.probabilities) + proof.frac(node.value)
    proof.requantize(node.output, value.map(lambda a: total * a), frac)


@_propagate.register
def _table(node: Table, proof: _Proof) -> None:
    x = proof.intervals[node.input]
    entries = np.roll(proof.graph.constants[node.table].astype(np.float64), 128)
    arguments = np.arange(-128, 128)
    read = (x.lo[:, None] <= arguments) & (arguments <= x.hi[:, None])
    proof.intervals[node.output] = _Interval(
        np.where(read, entries, np.inf).min(axis=1), np.where(read, entries, -np.inf).max(axis=1)
    )


@_propagate.register
def _first(node: First, proof: _Proof) -> None:
    proof.intervals[node.output] = proof.intervals[node.input]


def max_normalized(size: int) -> int:
    """The largest magnitude of LayerNorm's normalized value over `size` features, before saturation.

    In the notation of `fixedpoint.layer_norm`: the centered values of a token sum to 0 and their squares to D*V,
    so c^2 <= (D-1)*V. With w = sqrt(V * 4^t) < s + 1, the shifted c is at most sqrt(D-1) * w + 1/2, and r is
    below 2^31 / s, so the product is below 2^31 * (sqrt(D-1) * (1 + 1/s) + 1/(2s)), where s >= 2^15.
    """
    smallest = float(1 << 15)
    deviations = math.sqrt(size - 1) * (1 + 1 / smallest) + 0.5 / smallest
    # 2^-20 is far larger than the rounding error of float64 here.
    return math.floor((1 << NORM_FRAC) * deviations + 0.5 + 2.0**-20)


def max_probability_sum(keys: int) -> int:
    """The largest sum of one row of softmax probabilities over at most `keys` keys.

    Before rounding they sum to at most 2^8, since r <= 2^30 / sum e; rounding adds at most 1/2 per key. No
    probability is above 255.
    """
    return min((1 << PROB_BITS) + keys // 2, ((1 << PROB_BITS) - 1) * keys)


__all__ = ["Bound", "max_normalized", "max_probability_sum", "prove"]
