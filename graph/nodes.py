"""The operators of the integer graph, as frozen dataclasses that name the values they read and write.

Every activation value is a matrix with a token a row, stored flat in its features, row-major: a tensor of modes
(n1, n2, n3) is a row of n1*n2*n3 integers. `docs/numerics.md` states what each operator computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Plan = Literal["merged", "cores"]
"""Contraction plans of a tensor-train layer: merge left and right of the middle first, or core by core."""

LinearKind = Literal["dense", "lowrank", "tt"]

TOKENS = "tokens"
SEGMENTS = "segments"
POSITIONS = "positions"


@dataclass(frozen=True)
class Embedding:
    """A row of a dense table per token: output[t] = table[index[t]].

    `index` is `TOKENS`, `SEGMENTS` or `POSITIONS`; the last is the place of a token in its sentence, from 0.
    """

    table: str
    index: str
    output: str


@dataclass(frozen=True)
class TTMEmbedding:
    """A row of a tensor-train matrix per token, contracted from one slice of each core, left to right.

    Core k has shape (r[k-1], v[k], d[k], r[k]). A token's index i has the digits (i1, i2, ..) of the mixed radix
    (v1, v2, ..), most significant first. Each product is requantized: to `mids` in order, then to `output`.
    """

    cores: tuple[str, ...]
    index: str
    mids: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Add:
    """The sum of values, aligned exactly and requantized once."""

    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class LayerNorm:
    """`fixedpoint.layer_norm` over the features of each token."""

    input: str
    gamma: str
    beta: str
    output: str


@dataclass(frozen=True)
class Linear:
    """A linear layer in one of three formats; output = requantize(input @ W.T + bias + residual).

    - dense: one core, W of shape (M, N);
    - lowrank: two cores, (M, r) and (r, N);
    - tt: cores of shape (r[k-1], mode, r[k]), `split` of them over output modes, the rest over input modes.

    `steps` is the order of products; the result of each one but the last is requantized to the value of `mids` at
    the same place. `bias` has the fraction bits of the last accumulator; `residual` is aligned to it exactly.
    """

    kind: LinearKind
    input: str
    cores: tuple[str, ...]
    split: int
    plan: Plan
    mids: tuple[str, ...]
    output: str
    bias: str | None = None
    residual: str | None = None


@dataclass(frozen=True)
class Scores:
    """Attention scores: heads x queries x keys products over the head's features, times 2^-`shift`, requantized.

    `shift` stands in for the division by sqrt(head size): the nearest power of two.
    """

    query: str
    key: str
    heads: int
    shift: int
    output: str


@dataclass(frozen=True)
class Softmax:
    """`fixedpoint.softmax` over the keys of a sentence."""

    input: str
    table: str
    output: str


@dataclass(frozen=True)
class Context:
    """Sum of value rows weighted by probabilities, head by head, back to a row of features a token; requantized."""

    probabilities: str
    value: str
    heads: int
    output: str


@dataclass(frozen=True)
class Table:
    """A one-input function: output = table[input mod 256]. `function` names it for the reader only."""

    input: str
    table: str
    function: str
    output: str


@dataclass(frozen=True)
class First:
    """The row of a sentence's first token."""

    input: str
    output: str


Node = Embedding | TTMEmbedding | Add | LayerNorm | Linear | Scores | Softmax | Context | Table | First


@dataclass(frozen=True)
class Step:
    """One integer product of a linear layer.

    With `inner` = K contracted and `rows` = R produced, all reshapes row-major:

    - merge: two weights, lhs as (-1, K) @ rhs as (K, -1);
    - apply: the last features of each token, lhs as (T, -1, K) times rhs as (R, K), transposed -> (T, -1, R);
    - expand: the features before the last, rhs as (R, K) times lhs as (T, K, -1) -> (T, R, -1).
    """

    kind: Literal["merge", "apply", "expand"]
    lhs: str
    rhs: str
    rows: int
    inner: int
    output: str


def linear_steps(node: Linear, shapes: dict[str, tuple[int, ...]]) -> tuple[Step, ...]:
    """The products of a linear layer in the order in which they are requantized.

    Args:
        node: the layer.
        shapes: the shape of each of its cores.
    """
    outputs = iter((*node.mids, node.output))
    if node.kind != "tt":
        chain = list(reversed(node.cores))
        steps = []
        value = node.input
        for core in chain:
            rows, inner = shapes[core]
            steps.append(Step("apply", value, core, rows, inner, next(outputs)))
            value = steps[-1].output
        return tuple(steps)
    left, right = node.cores[: node.split], node.cores[node.split :]
    if node.plan == "cores":
        steps = []
        value = node.input
        for core in reversed(right):
            r0, mode, r1 = shapes[core]
            steps.append(Step("apply", value, core, r0, mode * r1, next(outputs)))
            value = steps[-1].output
        for core in reversed(left):
            r0, mode, r1 = shapes[core]
            steps.append(Step("expand", value, core, r0 * mode, r1, next(outputs)))
            value = steps[-1].output
        return tuple(steps)
    merges: list[Step] = []
    u = left[0]
    rows = shapes[u][1]
    for core in left[1:]:
        r0, mode, _ = shapes[core]
        rows *= mode
        merges.append(Step("merge", u, core, rows, r0, next(outputs)))
        u = merges[-1].output
    v = right[-1]
    inner = shapes[v][1]
    for core in reversed(right[:-1]):
        _, mode, r1 = shapes[core]
        inner *= mode
        merges.append(Step("merge", core, v, inner, r1, next(outputs)))
        v = merges[-1].output
    rank = shapes[right[0]][0]
    mid = next(outputs)
    return (
        *merges,
        Step("apply", node.input, v, rank, inner, mid),
        Step("apply", mid, u, rows, rank, next(outputs)),
    )


def mid_count(kind: LinearKind, plan: Plan, cores: int) -> int:
    """How many values a linear layer requantizes before its output."""
    if kind != "tt":
        return cores - 1
    return cores - 1 if plan == "cores" else (cores - 2) + 1
