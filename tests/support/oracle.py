"""The plainest executor of an integer graph: one sentence, `int64`, straight from the contract.

It shares `fixedpoint` with the model under test and nothing else: products of tensor trains are written here
with one axis a mode, not with the matrices of `graph.linear_steps`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from narrowgauge.fixedpoint import (
    NORM_BITS,
    NORM_FRAC,
    Format,
    layer_norm,
    requantize,
    shift_round,
    softmax,
)
from narrowgauge.graph import (
    POSITIONS,
    TOKENS,
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
    Table,
    TTMEmbedding,
)
from narrowgauge.graph.level import Sentence

IntArray = npt.NDArray[Any]


def align_sum(terms: list[tuple[IntArray, int]]) -> tuple[IntArray, int]:
    """The exact sum of integers with different fraction bits: (sum, its fraction bits).

    Each term is shifted left to the largest fraction count among them, so there is no rounding.
    """
    frac = max(term_frac for _, term_frac in terms)
    total = sum(np.asarray(q, np.int64) << (frac - term_frac) for q, term_frac in terms)
    return np.asarray(total, np.int64), frac


def run_oracle(
    graph: Graph, sentence: Sentence, accumulators: dict[str, IntArray] | None = None
) -> dict[str, IntArray]:
    """Every activation and merged value of one sentence, by name.

    Args:
        graph: the model.
        sentence: the input.
        accumulators: when given, receives for each requantized value what is in the accumulator just before
            the right shift: bias, residual, rounding half and left shift included.
    """
    run = _Run(graph, sentence, {} if accumulators is None else accumulators)
    for node in graph.nodes:
        run.execute(node)
    return run.results


@dataclass
class _Run:
    graph: Graph
    sentence: Sentence
    accumulators: dict[str, IntArray]
    results: dict[str, IntArray] = field(default_factory=dict)

    def __getitem__(self, name: str) -> IntArray:
        data = self.graph.constants[name] if name in self.graph.constants else self.results[name]
        return data.astype(np.int64)

    def frac(self, name: str) -> int:
        return self.graph.fmt(name).frac

    def write(self, name: str, accumulator: IntArray, frac: int) -> None:
        """Requantizes an accumulator of `frac` fraction bits to the value's format and dims."""
        fmt = self.graph.fmt(name)
        shift = frac - fmt.frac
        self.accumulators[name] = (
            accumulator + (1 << (shift - 1)) if shift > 0 else shift_round(accumulator, shift)
        )
        self.store(name, requantize(accumulator, shift, fmt))

    def store(self, name: str, data: IntArray) -> None:
        length = len(self.sentence.tokens)
        shape = tuple(length if d == "T" else int(d) for d in self.graph.values[name].dims)
        self.results[name] = np.asarray(data, np.int64).reshape(shape)

    def index(self, name: str) -> IntArray:
        if name == TOKENS:
            return self.sentence.tokens
        if name == POSITIONS:
            return np.arange(len(self.sentence.tokens))
        assert self.sentence.segments is not None
        return self.sentence.segments

    def execute(self, node: Node) -> None:
        if isinstance(node, Embedding):
            self.store(node.output, np.stack([self[node.table][i] for i in self.index(node.index)]))
        elif isinstance(node, TTMEmbedding):
            self.ttm_embedding(node)
        elif isinstance(node, Add):
            self.write(node.output, *align_sum([(self[name], self.frac(name)) for name in node.inputs]))
        elif isinstance(node, LayerNorm):
            self.layer_norm(node)
        elif isinstance(node, Linear):
            self.linear(node)
        elif isinstance(node, Scores):
            query, key = (self.by_head(name, node.heads) for name in (node.query, node.key))
            frac = self.frac(node.query) + self.frac(node.key) + node.shift
            self.write(node.output, np.einsum("qhd,khd->hqk", query, key), frac)
        elif isinstance(node, Softmax):
            self.store(node.output, softmax(self[node.input], self[node.table]))
        elif isinstance(node, Context):
            value = self.by_head(node.value, node.heads)
            frac = self.frac(node.probabilities) + self.frac(node.value)
            self.write(node.output, np.einsum("hqk,khd->qhd", self[node.probabilities], value), frac)
        elif isinstance(node, Table):
            self.store(node.output, self[node.table][self[node.input] % 256])
        elif isinstance(node, First):
            self.store(node.output, self[node.input][0])
        else:
            raise TypeError(f"no such node: {node}")

    def by_head(self, name: str, heads: int) -> IntArray:
        data = self[name]
        return data.reshape(len(data), heads, -1)

    def ttm_embedding(self, node: TTMEmbedding) -> None:
        cores = [self[core] for core in node.cores]
        digits = np.unravel_index(self.index(node.index), [core.shape[1] for core in cores])
        state = np.stack([cores[0][:, i] for i in digits[0]])[:, 0]
        frac = self.frac(node.cores[0])
        for k, output in enumerate((*node.mids, node.output), 1):
            slices = np.stack([cores[k][:, i] for i in digits[k]])
            product = np.einsum("tar,trds->tads", state, slices)
            self.write(output, product, frac + self.frac(node.cores[k]))
            state = self[output].reshape(len(state), -1, cores[k].shape[3])
            frac = self.frac(output)

    def layer_norm(self, node: LayerNorm) -> None:
        x, gamma, beta, gamma_frac = (
            self[node.input],
            self[node.gamma],
            self[node.beta],
            self.frac(node.gamma),
        )
        fmt = self.graph.fmt(node.output)
        one, zero = np.ones_like(gamma), np.zeros_like(beta)
        normalized = layer_norm(x, one, zero, 0, Format(NORM_BITS, NORM_FRAC))
        self.write(node.output, normalized * gamma + beta, NORM_FRAC + gamma_frac)
        assert np.array_equal(self[node.output], layer_norm(x, gamma, beta, gamma_frac, fmt))

    def linear(self, node: Linear) -> None:
        outputs = iter((*node.mids, node.output))
        cores = [(self[core], self.frac(core)) for core in node.cores]
        x, frac = self[node.input], self.frac(node.input)
        rows = x.shape[:-1]
        if node.kind != "tt":
            for weight, weight_frac in reversed(cores):
                x, frac = self.product(
                    node, next(outputs), np.einsum("...n,mn->...m", x, weight), frac + weight_frac
                )
            return
        left, right = cores[: node.split], cores[node.split :]
        if node.plan == "merged":
            left = [self.merge(left, outputs)]
            right = [self.merge(right, outputs, from_the_right=True)]
        x = x.reshape(*rows, *(core.shape[1] for core, _ in right), 1)
        for core, core_frac in reversed(right):
            accumulator = np.tensordot(x, core, axes=([-2, -1], [1, 2]))
            x, frac = self.product(node, next(outputs), accumulator, frac + core_frac)
        tail: tuple[int, ...] = ()
        for core, core_frac in reversed(left):
            accumulator = np.einsum("rms,tsz->trmz", core, x.reshape(*(rows or (1,)), core.shape[2], -1))
            tail = (core.shape[1], *tail)
            x, frac = self.product(node, next(outputs), accumulator, frac + core_frac)
            x = x.reshape(*rows, core.shape[0], *tail)

    def product(self, node: Linear, name: str, accumulator: IntArray, frac: int) -> tuple[IntArray, int]:
        """Writes one product of a linear layer, the last with bias and residual; keeps the shape."""
        shape = accumulator.shape
        if name == node.output:
            dims = self.graph.values[name].dims
            accumulator = accumulator.reshape([shape[0] if d == "T" else int(d) for d in dims])
            shape = accumulator.shape
            if node.bias is not None:
                assert self.frac(node.bias) == frac
                accumulator = accumulator + self[node.bias]
            if node.residual is not None:
                accumulator, frac = align_sum(
                    [(accumulator, frac), (self[node.residual], self.frac(node.residual))]
                )
        self.write(name, accumulator, frac)
        return self[name].reshape(shape), self.frac(name)

    def merge(
        self, cores: list[tuple[IntArray, int]], outputs: Any, from_the_right: bool = False
    ) -> tuple[IntArray, int]:
        """The cores' product with one mode, requantized after each product."""
        order = list(reversed(cores)) if from_the_right else cores
        merged, frac = order[0]
        for core, core_frac in order[1:]:
            a, b = (core, merged) if from_the_right else (merged, core)
            name = next(outputs)
            product = np.einsum("aib,bjc->aijc", a, b)
            self.write(name, product.reshape(a.shape[0], -1, b.shape[2]), frac + core_frac)
            merged, frac = self[name], self.frac(name)
        return merged, frac


def saturated_share(graph: Graph, results: dict[str, IntArray], name: str) -> float:
    """Share of a value's integers at an end of its format's range."""
    fmt = graph.fmt(name)
    return float(np.mean((results[name] == fmt.lo) | (results[name] == fmt.hi)))
