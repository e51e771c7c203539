"""The operators of the integer graph, compiled for packed sentences: what the golden model is made of.

All integers are held in floating point, where BLAS multiplies them fast, in the type that the proof of
`graph.bounds` shows to be exact: float32 below 2^24, float64 below 2^53, which every accumulator of a proven
graph is. Scales are powers of two, so a constant multiplied by 2^-shift beforehand loses nothing, and
requantization is left with: add (bias + half) * 2^-shift, floor, saturate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ...fixedpoint import NORM_FRAC, PROB_BITS, RECIPROCAL_BITS, Format, IntArray
from ...graph import (
    Add,
    Context,
    Embedding,
    Graph,
    LayerNorm,
    Linear,
    Node,
    Scores,
    Softmax,
    Step,
    Table,
    TTMEmbedding,
)
from ...graph.bounds import Bound
from .packing import Batch, FloatArray, by_head

FloatType = type[np.float32] | type[np.float64]


def exact_type(magnitude: int) -> FloatType:
    """The floating-point type in which integers up to `magnitude`, and sums that stay below it, are exact."""
    return np.float32 if magnitude <= 1 << 24 else np.float64


@dataclass(frozen=True)
class _Requantize:
    """Rounds and saturates, in place, what has been scaled to the output's steps and had 1/2 added.

    The result is of `dtype`, which is exact for the value's format.
    """

    lo: float
    hi: float
    rounds: bool
    dtype: FloatType

    def __call__(self, a: FloatArray) -> FloatArray:
        if self.rounds:
            np.floor(a, out=a)
        # A number that the narrower type can't hold exactly lies outside the format and stays outside.
        a = a.astype(self.dtype, copy=False)
        # Twice as fast as np.clip.
        np.minimum(a, self.dtype(self.hi), out=a)
        np.maximum(a, self.dtype(self.lo), out=a)
        return a


Operator = Callable[[Batch], None]
"""One node, compiled: reads and writes `Batch.values`."""


@dataclass(frozen=True)
class _Embedding:
    table: FloatArray
    index: str
    output: str

    def __call__(self, batch: Batch) -> None:
        batch.values[self.output] = np.take(self.table, batch.indices[self.index], axis=0)


@dataclass(frozen=True)
class CompiledTTM:
    """A tensor-train embedding: `start` is its first core as (v, d, r), `slices` the others, (v, r, d * r), scaled."""

    index: str
    start: FloatArray
    slices: tuple[FloatArray, ...]
    offsets: tuple[float, ...]
    requantize: tuple[_Requantize, ...]
    outputs: tuple[str, ...]

    def __call__(self, batch: Batch) -> None:
        """Writes the output, and the intermediates unless the batch has its rows ready."""
        index = batch.indices[self.index]
        ready = batch.tables.get(self.outputs[-1])
        if ready is not None:
            rows = np.take(ready.table, np.searchsorted(ready.ids, index), axis=0)
            batch.values[self.outputs[-1]] = rows.astype(self.requantize[-1].dtype)
            return
        for output, value in zip(self.outputs, self.rows(index), strict=True):
            batch.values[output] = value

    def rows(self, index: IntArray) -> list[FloatArray]:
        """Each product's result, one row an id of `index`. Ids that start with the same digits share their work."""
        below = [math.prod(len(core) for core in self.slices[k:]) for k in range(len(self.slices) + 1)]
        prefixes = np.unique(index // below[0])
        state = self.start[prefixes]
        found = []
        for k, core in enumerate(self.slices):
            longer = np.unique(index // below[k + 1])
            parents, digits = np.divmod(longer, len(core))
            state = state[np.searchsorted(prefixes, parents)].reshape(len(longer), -1, core.shape[1])
            product = np.matmul(state.astype(core.dtype, copy=False), core[digits])
            product += core.dtype.type(self.offsets[k])
            state = self.requantize[k](product).reshape(len(longer), -1)
            prefixes = longer
            found.append(state[np.searchsorted(longer, index // below[k + 1])])
        return found


@dataclass(frozen=True)
class _Add:
    inputs: tuple[tuple[str, float], ...]
    offset: float
    dtype: FloatType
    requantize: _Requantize
    output: str

    def __call__(self, batch: Batch) -> None:
        (name, scale), *others = self.inputs
        total: FloatArray = np.multiply(batch.values[name], self.dtype(scale), dtype=self.dtype)
        total += self.dtype(self.offset)
        for name, scale in others:
            total += batch.values[name] * self.dtype(scale)
        batch.values[self.output] = self.requantize(total)


@dataclass(frozen=True)
class _LayerNorm:
    """`fixedpoint.layer_norm` in float64: every number in it is below 2^53.

    The normalized value needs no saturation: `bounds.max_normalized` fits its width for every size allowed.
    """

    input: str
    gamma: FloatArray
    offset: FloatArray
    requantize: _Requantize
    output: str

    def __call__(self, batch: Batch) -> None:
        x = batch.values[self.input].astype(np.float64)
        size = x.shape[1]
        s1 = x @ np.ones(size)
        v = size * np.matmul(x[:, None, :], x[:, :, None])[:, 0, 0] - s1 * s1
        t = (32 - np.frexp(v)[1]) >> 1
        s = np.floor(np.sqrt(np.floor(np.ldexp(v, 2 * t))))
        # A quotient of integers below 2^53 is rounded to the next integer only if it is that integer.
        r = np.floor(((1 << 31) - 1) / np.maximum(s, 1.0))
        r[v == 0] = 0.0
        r = np.ldexp(r, NORM_FRAC - 31)
        mean = np.ldexp(s1, t)
        if np.all(np.ldexp(float(size), t) % 1 == 0):
            # Then only the mean is rounded when c = D*x - S1 is shifted, and c * r is one product a number.
            x *= (np.ldexp(float(size), t) * r)[:, None]
            x += (0.5 - np.ceil(mean - 0.5) * r)[:, None]
        else:
            x *= np.ldexp(float(size), t)[:, None]
            # Where t >= 0 the half is added to an integer, and the floor takes it away.
            x += (0.5 - mean)[:, None]
            np.floor(x, out=x)
            x *= r[:, None]
            x += 0.5
        np.floor(x, out=x)
        x *= self.gamma
        x += self.offset
        batch.values[self.output] = self.requantize(x)


@dataclass(frozen=True)
class _Product:
    """A step of a linear layer; `weight` is (inner, rows) for "apply" and (rows, inner) for "expand", scaled."""

    step: Step
    weight: FloatArray
    offset: FloatArray
    residual: tuple[str, float] | None
    requantize: _Requantize

    def __call__(self, batch: Batch) -> None:
        x = batch.values[self.step.lhs]
        count = len(x)
        x = x.astype(self.weight.dtype, copy=False)
        if self.step.kind == "apply":
            y = x.reshape(-1, self.step.inner) @ self.weight
        else:
            y = np.matmul(self.weight, x.reshape(count, self.step.inner, -1))
        y = y.reshape(count, -1)
        y += self.offset
        if self.residual is not None:
            name, scale = self.residual
            y += batch.values[name] * self.weight.dtype.type(scale)
        batch.values[self.step.output] = self.requantize(y)


@dataclass(frozen=True)
class _Linear:
    products: tuple[_Product, ...]

    def __call__(self, batch: Batch) -> None:
        for product in self.products:
            product(batch)


@dataclass(frozen=True)
class _Scores:
    node: Scores
    scale: float
    offset: float
    dtype: FloatType
    requantize: _Requantize

    def __call__(self, batch: Batch) -> None:
        heads = self.node.heads
        query: FloatArray = batch.values[self.node.query].astype(self.dtype, copy=False)
        key: FloatArray = batch.values[self.node.key].astype(self.dtype, copy=False)
        flat: FloatArray = np.empty(batch.scores_size(heads), self.dtype)
        for group, scores in batch.by_group(flat, heads):
            np.matmul(
                by_head(query, group, heads), by_head(key, group, heads).transpose(0, 1, 3, 2), out=scores
            )
        flat *= self.dtype(self.scale)
        flat += self.dtype(self.offset)
        batch.values[self.node.output] = self.requantize(flat)


@dataclass(frozen=True)
class _Softmax:
    """`fixedpoint.softmax`; products are below 2^31, in float64."""

    input: str
    table: FloatArray
    heads: int
    output: str

    def __call__(self, batch: Batch) -> None:
        flat = batch.values[self.input]
        difference = np.empty(len(flat), np.intp)
        for (_, scores), (_, d) in zip(
            batch.by_group(flat, self.heads), batch.by_group(difference, self.heads), strict=True
        ):
            np.subtract(scores.max(axis=-1, keepdims=True), scores, out=d, casting="unsafe")
        e = np.take(self.table, difference, mode="clip")
        for _, part in batch.by_group(e, self.heads):
            r = np.floor(float(1 << RECIPROCAL_BITS) / part.sum(axis=-1, keepdims=True))
            part *= np.ldexp(r, PROB_BITS - RECIPROCAL_BITS)
        e += 0.5
        np.floor(e, out=e)
        batch.values[self.output] = np.minimum(e, (1 << PROB_BITS) - 1.0).astype(np.float32)


@dataclass(frozen=True)
class _Context:
    node: Context
    scale: float
    offset: float
    dtype: FloatType
    requantize: _Requantize

    def __call__(self, batch: Batch) -> None:
        heads = self.node.heads
        value: FloatArray = batch.values[self.node.value].astype(self.dtype, copy=False)
        weights: FloatArray = batch.values[self.node.probabilities].astype(self.dtype)
        weights *= self.dtype(self.scale)
        y: FloatArray = np.empty(value.shape, self.dtype)
        for group, part in batch.by_group(weights, heads):
            np.matmul(part, by_head(value, group, heads), out=by_head(y, group, heads))
        y += self.dtype(self.offset)
        batch.values[self.node.output] = self.requantize(y)


@dataclass(frozen=True)
class _Table:
    """`table` starts with the entry of the argument -128."""

    input: str
    table: FloatArray
    output: str

    def __call__(self, batch: Batch) -> None:
        index = (batch.values[self.input] + 128).astype(np.intp)
        batch.values[self.output] = np.take(self.table, index, mode="clip")


@dataclass(frozen=True)
class _First:
    input: str
    output: str

    def __call__(self, batch: Batch) -> None:
        batch.values[self.output] = batch.values[self.input][batch.first]


@dataclass(frozen=True)
class Compiler:
    """Compiles nodes to operators: `Compiler(..)(node)`.

    Args:
        graph: the model.
        bounds: what `graph.bounds.prove` gives for it.
        merged: what `graph.merging.merge_cores` gives for it.
    """

    graph: Graph
    bounds: Mapping[str, Bound]
    merged: Mapping[str, IntArray]

    def __call__(self, node: Node) -> Operator:
        """The operator of a node."""
        if isinstance(node, Embedding):
            return _Embedding(self._constant(node.table, self._stored(node.output)), node.index, node.output)
        if isinstance(node, TTMEmbedding):
            return self._ttm_embedding(node)
        if isinstance(node, Add):
            fmt = self._fmt(node.output)
            fracs = [self._fmt(name).frac for name in node.inputs]
            scales = [math.ldexp(1.0, fmt.frac - frac) for frac in fracs]
            inputs = tuple(zip(node.inputs, scales, strict=True))
            requantize, offset = self._requantize(node.output, max(fracs))
            return _Add(inputs, offset, self._dtype(node.output), requantize, node.output)
        if isinstance(node, LayerNorm):
            frac = NORM_FRAC + self._fmt(node.gamma).frac
            requantize, offset = self._requantize(node.output, frac)
            scale = math.ldexp(1.0, self._fmt(node.output).frac - frac)
            gamma, beta = (self._constant(name, np.float64) * scale for name in (node.gamma, node.beta))
            return _LayerNorm(node.input, gamma, beta + offset, requantize, node.output)
        if isinstance(node, Linear):
            return _Linear(tuple(self._product(node, s) for s in self.graph.steps(node) if s.kind != "merge"))
        if isinstance(node, Scores):
            frac = self._fmt(node.query).frac + self._fmt(node.key).frac + node.shift
            requantize, offset = self._requantize(node.output, frac)
            scale = math.ldexp(1.0, self._fmt(node.output).frac - frac)
            return _Scores(node, scale, offset, self._dtype(node.output), requantize)
        if isinstance(node, Softmax):
            heads = self.graph.values[node.output].dims[0]
            assert isinstance(heads, int)
            return _Softmax(node.input, self._constant(node.table, np.float64), heads, node.output)
        if isinstance(node, Context):
            frac = self._fmt(node.probabilities).frac + self._fmt(node.value).frac
            requantize, offset = self._requantize(node.output, frac)
            scale = math.ldexp(1.0, self._fmt(node.output).frac - frac)
            return _Context(node, scale, offset, self._dtype(node.output), requantize)
        if isinstance(node, Table):
            table = self._constant(node.table, self._stored(node.output))
            return _Table(node.input, np.roll(table, 128), node.output)
        return _First(node.input, node.output)

    def _fmt(self, name: str) -> Format:
        return self.graph.fmt(name)

    def _dtype(self, name: str) -> FloatType:
        """The type that is exact for the accumulator of a value."""
        return exact_type(self.bounds[name].magnitude)

    def _stored(self, name: str) -> FloatType:
        """The type that is exact for the value itself."""
        return exact_type(max(-self._fmt(name).lo, self._fmt(name).hi))

    def _constant(self, name: str, dtype: FloatType) -> FloatArray:
        data = self.merged[name] if name in self.merged else self.graph.constants[name]
        return data.astype(dtype)

    def _requantize(self, name: str, frac: int) -> tuple[_Requantize, float]:
        """How to finish a value whose accumulator has `frac` fraction bits, and the rounding half to add."""
        fmt = self._fmt(name)
        rounds = frac > fmt.frac
        return _Requantize(float(fmt.lo), float(fmt.hi), rounds, self._stored(name)), 0.5 if rounds else 0.0

    def _product(self, node: Linear, step: Step) -> _Product:
        dtype, fmt = self._dtype(step.output), self._fmt(step.output)
        frac = self._fmt(step.lhs).frac + self._fmt(step.rhs).frac
        scale = math.ldexp(1.0, fmt.frac - frac)
        weight = self._constant(step.rhs, np.float64).reshape(step.rows, step.inner) * scale
        bias: FloatArray = np.zeros(1)
        residual = None
        widest = frac
        if step.output == node.output:
            if node.bias is not None:
                bias = self._constant(node.bias, np.float64) * scale
            if node.residual is not None:
                residual_frac = self._fmt(node.residual).frac
                residual = (node.residual, math.ldexp(1.0, fmt.frac - residual_frac))
                widest = max(frac, residual_frac)
        requantize, offset = self._requantize(step.output, widest)
        if step.kind == "apply":
            weight = weight.T
        return _Product(
            step, np.ascontiguousarray(weight, dtype), (bias + offset).astype(dtype), residual, requantize
        )

    def _ttm_embedding(self, node: TTMEmbedding) -> CompiledTTM:
        outputs = (*node.mids, node.output)
        frac = self._fmt(node.cores[0]).frac
        slices, offsets, requantizes = [], [], []
        for core, output in zip(node.cores[1:], outputs, strict=True):
            frac += self._fmt(core).frac
            requantize, offset = self._requantize(output, frac)
            scale = math.ldexp(1.0, self._fmt(output).frac - frac)
            data = (self._constant(core, np.float64) * scale).transpose(1, 0, 2, 3)
            slices.append(data.reshape(*data.shape[:2], -1).astype(self._dtype(output)))
            offsets.append(offset)
            requantizes.append(requantize)
            frac = self._fmt(output).frac
        start = self._constant(node.cores[0], self._stored(node.cores[0]))[0]
        return CompiledTTM(node.index, start, tuple(slices), tuple(offsets), tuple(requantizes), outputs)
