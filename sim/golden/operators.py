"""The operators of the integer graph, compiled for packed sentences; the golden model runs them.

All integers are held in floating point, where BLAS multiplies them fast, in the type that the proof of
`graph.bounds` shows to be exact: float32 below 2^24, float64 below 2^53, and every accumulator of a proven graph is
below that. Scales are powers of two, so multiplying a constant by 2^-shift in advance loses nothing. Requantization is
then: add (bias + half) * 2^-shift, floor, saturate.

Each operator is a callable class and a function, registered with `compile_node`, that builds it from a node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from ...fixedpoint import NORM_FRAC, PROB_BITS, RECIPROCAL_BITS, IntArray
from ...graph import (
    Add,
    Context,
    Embedding,
    First,
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
    """Rounds and saturates numbers that are already in the output's steps, with 1/2 added; in place.

    The result has the type `dtype`, which is exact for the format of the value.
    """

    lo: float
    hi: float
    rounds: bool
    dtype: FloatType

    def __call__(self, a: FloatArray) -> FloatArray:
        if self.rounds:
            np.floor(a, out=a)
        # A number that the narrower type can't hold exactly is outside the format, and stays outside.
        a = a.astype(self.dtype, copy=False)
        # Twice as fast as np.clip.
        np.minimum(a, self.dtype(self.hi), out=a)
        np.maximum(a, self.dtype(self.lo), out=a)
        return a


Operator = Callable[[Batch], None]
"""A compiled node: reads and writes `Batch.values`."""


@dataclass(frozen=True)
class _Embedding:
    table: FloatArray
    index: str
    output: str

    def __call__(self, batch: Batch) -> None:
        batch.values[self.output] = np.take(self.table, batch.indices[self.index], axis=0)


@dataclass(frozen=True)
class CompiledTTM:
    """A tensor-train embedding: `start` is the first core as (v, d, r), `slices` the others, (v, r, d * r), scaled."""

    index: str
    start: FloatArray
    slices: tuple[FloatArray, ...]
    offsets: tuple[float, ...]
    requantize: tuple[_Requantize, ...]
    outputs: tuple[str, ...]

    def __call__(self, batch: Batch) -> None:
        """Writes the output, and the intermediates unless the batch holds the finished rows."""
        index = batch.indices[self.index]
        ready = batch.tables.get(self.outputs[-1])
        if ready is not None:
            rows = np.take(ready.table, np.searchsorted(ready.ids, index), axis=0)
            batch.values[self.outputs[-1]] = rows.astype(self.requantize[-1].dtype)
            return
        for output, value in zip(self.outputs, self.rows(index), strict=True):
            batch.values[output] = value

    def rows(self, index: IntArray) -> list[FloatArray]:
        """The result of each product, one row per id of `index`. Ids with the same leading digits share their work."""
        below = [math.prod(len(core) for core in self.slices[k:]) for k in range(len(self.slices) + 1)]
        prefixes = np.unique(index // below[0])
        state = self.start[prefixes]
        results = []
        for k, core in enumerate(self.slices):
            longer = np.unique(index // below[k + 1])
            parents, digits = np.divmod(longer, len(core))
            state = state[np.searchsorted(prefixes, parents)].reshape(len(longer), -1, core.shape[1])
            product = np.matmul(state.astype(core.dtype, copy=False), core[digits])
            product += core.dtype.type(self.offsets[k])
            state = self.requantize[k](product).reshape(len(longer), -1)
            prefixes = longer
            results.append(state[np.searchsorted(longer, index // below[k + 1])])
        return results


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
    """`fixedpoint.layer_norm` in float64: every intermediate is below 2^53.

    The normalized value needs no saturation: `bounds.max_normalized` fits its width for every allowed size.
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
            # Then only the mean is rounded when c = D*x - S1 is shifted, and c * r is one product per number.
            x *= (np.ldexp(float(size), t) * r)[:, None]
            x += (0.5 - np.ceil(mean - 0.5) * r)[:, None]
        else:
            x *= np.ldexp(float(size), t)[:, None]
            # Where t >= 0 the half is added to an integer, and the floor removes it.
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
    """`fixedpoint.softmax` in float64: products are below 2^31."""

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
    """The model that nodes are compiled for, and what all operators need of it.

    Attributes:
        graph: the model.
        bounds: the result of `graph.bounds.prove`.
        merged: the result of `graph.merging.merge_cores`.
    """

    graph: Graph
    bounds: Mapping[str, Bound]
    merged: Mapping[str, IntArray]

    def frac(self, *names: str) -> int:
        """Fraction bits of the product of values."""
        return sum(self.graph.fmt(name).frac for name in names)

    def accumulator_type(self, name: str) -> FloatType:
        """The type that is exact for the accumulator of a value."""
        return exact_type(self.bounds[name].magnitude)

    def value_type(self, name: str) -> FloatType:
        """The type that is exact for the value itself."""
        fmt = self.graph.fmt(name)
        return exact_type(max(-fmt.lo, fmt.hi))

    def constant(self, name: str, dtype: FloatType) -> FloatArray:
        """A constant, or a product of constants."""
        data = self.merged[name] if name in self.merged else self.graph.constants[name]
        return data.astype(dtype)

    def scale(self, name: str, frac: int) -> float:
        """The factor that takes an accumulator of `frac` fraction bits to the steps of a value."""
        return math.ldexp(1.0, self.graph.fmt(name).frac - frac)

    def requantize(self, name: str, frac: int) -> tuple[_Requantize, float]:
        """How to finish a value whose accumulator has `frac` fraction bits, and the rounding half to add."""
        fmt = self.graph.fmt(name)
        rounds = frac > fmt.frac
        return _Requantize(
            float(fmt.lo), float(fmt.hi), rounds, self.value_type(name)
        ), 0.5 if rounds else 0.0


@singledispatch
def compile_node(node: Node, compiler: Compiler) -> Operator:
    """Compiles a node for a model."""
    raise TypeError(f"expected an operator of the golden model, got {type(node).__name__}")


@compile_node.register
def _embedding(node: Embedding, compiler: Compiler) -> Operator:
    table = compiler.constant(node.table, compiler.value_type(node.output))
    return _Embedding(table, node.index, node.output)


@compile_node.register
def _ttm_embedding(node: TTMEmbedding, compiler: Compiler) -> Operator:
    outputs = (*node.mids, node.output)
    frac = compiler.frac(node.cores[0])
    slices, offsets, requantizes = [], [], []
    for core, output in zip(node.cores[1:], outputs, strict=True):
        frac += compiler.frac(core)
        requantize, offset = compiler.requantize(output, frac)
        scaled = compiler.constant(core, np.float64) * compiler.scale(output, frac)
        data = scaled.transpose(1, 0, 2, 3)
        slices.append(data.reshape(*data.shape[:2], -1).astype(compiler.accumulator_type(output)))
        offsets.append(offset)
        requantizes.append(requantize)
        frac = compiler.frac(output)
    start = compiler.constant(node.cores[0], compiler.value_type(node.cores[0]))[0]
    return CompiledTTM(node.index, start, tuple(slices), tuple(offsets), tuple(requantizes), outputs)


@compile_node.register
def _add(node: Add, compiler: Compiler) -> Operator:
    fracs = [compiler.frac(name) for name in node.inputs]
    scales = [compiler.scale(node.output, frac) for frac in fracs]
    requantize, offset = compiler.requantize(node.output, max(fracs))
    dtype = compiler.accumulator_type(node.output)
    return _Add(tuple(zip(node.inputs, scales, strict=True)), offset, dtype, requantize, node.output)


@compile_node.register
def _layer_norm(node: LayerNorm, compiler: Compiler) -> Operator:
    frac = NORM_FRAC + compiler.frac(node.gamma)
    requantize, offset = compiler.requantize(node.output, frac)
    scale = compiler.scale(node.output, frac)
    gamma, beta = (compiler.constant(name, np.float64) * scale for name in (node.gamma, node.beta))
    return _LayerNorm(node.input, gamma, beta + offset, requantize, node.output)


@compile_node.register
def _linear(node: Linear, compiler: Compiler) -> Operator:
    steps = compiler.graph.steps(node)
    return _Linear(tuple(_product(node, step, compiler) for step in steps if step.kind != "merge"))


def _product(node: Linear, step: Step, compiler: Compiler) -> _Product:
    frac = compiler.frac(step.lhs, step.rhs)
    scale = compiler.scale(step.output, frac)
    weight = compiler.constant(step.rhs, np.float64).reshape(step.rows, step.inner) * scale
    bias: FloatArray = np.zeros(1)
    residual = None
    widest = frac
    if step.output == node.output:
        if node.bias is not None:
            bias = compiler.constant(node.bias, np.float64) * scale
        if node.residual is not None:
            residual_frac = compiler.frac(node.residual)
            residual = (node.residual, compiler.scale(step.output, residual_frac))
            widest = max(frac, residual_frac)
    requantize, offset = compiler.requantize(step.output, widest)
    if step.kind == "apply":
        weight = weight.T
    dtype = compiler.accumulator_type(step.output)
    return _Product(
        step, np.ascontiguousarray(weight, dtype), (bias + offset).astype(dtype), residual, requantize
    )


@compile_node.register
def _scores(node: Scores, compiler: Compiler) -> Operator:
    frac = compiler.frac(node.query, node.key) + node.shift
    requantize, offset = compiler.requantize(node.output, frac)
    dtype = compiler.accumulator_type(node.output)
    return _Scores(node, compiler.scale(node.output, frac), offset, dtype, requantize)


@compile_node.register
def _softmax(node: Softmax, compiler: Compiler) -> Operator:
    heads = compiler.graph.values[node.output].dims[0]
    assert isinstance(heads, int)
    return _Softmax(node.input, compiler.constant(node.table, np.float64), heads, node.output)


@compile_node.register
def _context(node: Context, compiler: Compiler) -> Operator:
    frac = compiler.frac(node.probabilities, node.value)
    requantize, offset = compiler.requantize(node.output, frac)
    dtype = compiler.accumulator_type(node.output)
    return _Context(node, compiler.scale(node.output, frac), offset, dtype, requantize)


@compile_node.register
def _table(node: Table, compiler: Compiler) -> Operator:
    table = compiler.constant(node.table, compiler.value_type(node.output))
    return _Table(node.input, np.roll(table, 128), node.output)


@compile_node.register
def _first(node: First, compiler: Compiler) -> Operator:
    return _First(node.input, node.output)
