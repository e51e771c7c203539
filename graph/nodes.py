"""The operators of the integer graph: frozen dataclasses that name the values they read and write.

Every activation is a matrix with one row per token. A row is stored flat, row-major: a tensor with the modes
(n1, n2, n3) is a row of n1*n2*n3 integers. `docs/numerics.md` states what each operator computes.

The metadata of a field says what the names in it are, see `Role`; a field without a role is a parameter of the
operator. Code that needs the inputs, outputs or constants of a node walks the metadata (`names`) and knows no
operator. What differs from operator to operator (rules, proof, ONNX attributes, execution) is one function per
operator, registered with `functools.singledispatch` where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, Literal, get_args

Plan = Literal["merged", "cores"]
"""Contraction plans of a tensor-train layer: merge left and right of the middle first, or core by core."""

LinearKind = Literal["dense", "lowrank", "tt"]

TOKENS = "tokens"
SEGMENTS = "segments"
POSITIONS = "positions"


class Role(Enum):
    """What the names in a field of a node are."""

    INPUT = "activations that the node reads"
    INDEX = "the index that an embedding reads: `TOKENS`, `SEGMENTS` or `POSITIONS`"
    WEIGHT = "cores, dense weights and embedding tables"
    CONSTANT = "all other constants: biases, the vectors of LayerNorm, function tables"
    OUTPUT = "values that the node writes, intermediates first"


OPERAND_ROLES = (Role.INPUT, Role.INDEX, Role.WEIGHT, Role.CONSTANT)
"""The roles of what a node reads."""


_ROLE = "role"
_INPUT = {_ROLE: Role.INPUT}
_INDEX = {_ROLE: Role.INDEX}
_WEIGHT = {_ROLE: Role.WEIGHT}
_CONSTANT = {_ROLE: Role.CONSTANT}
_OUTPUT = {_ROLE: Role.OUTPUT}


@dataclass(frozen=True)
class Embedding:
    """One row of a dense table per token: output[t] = table[index[t]].

    `index` is `TOKENS`, `SEGMENTS` or `POSITIONS`; the last is the position of a token in its sentence, from 0.
    """

    table: str = field(metadata=_WEIGHT)
    index: str = field(metadata=_INDEX)
    output: str = field(metadata=_OUTPUT)


@dataclass(frozen=True)
class TTMEmbedding:
    """One row of a tensor-train matrix per token, contracted from one slice of each core, left to right.

    Core k has the shape (r[k-1], v[k], d[k], r[k]). The index i of a token has the digits (i1, i2, ..) in the mixed
    radix (v1, v2, ..), most significant first. Each product is requantized: to `mids` in order, then to `output`.
    """

    cores: tuple[str, ...] = field(metadata=_WEIGHT)
    index: str = field(metadata=_INDEX)
    mids: tuple[str, ...] = field(metadata=_OUTPUT)
    output: str = field(metadata=_OUTPUT)


@dataclass(frozen=True)
class Add:
    """The sum of values, aligned exactly and requantized once."""

    inputs: tuple[str, ...] = field(metadata=_INPUT)
    output: str = field(metadata=_OUTPUT)


@dataclass(frozen=True)
class LayerNorm:
    """`fixedpoint.layer_norm` over the features of each token."""

    input: str = field(metadata=_INPUT)
    gamma: str = field(metadata=_CONSTANT)
    beta: str = field(metadata=_CONSTANT)
    output: str = field(metadata=_OUTPUT)


@dataclass(frozen=True)
class Linear:
    """A linear layer in one of three formats; output = requantize(input @ W.T + bias + residual).

    - dense: one core, W of shape (M, N);
    - lowrank: two cores, (M, r) and (r, N);
    - tt: cores of shape (r[k-1], mode, r[k]), `split` of them over output modes, the rest over input modes.

    `Graph.steps` gives the order of products. Each result but the last is requantized to the next value of `mids`.
    `bias` has the fraction bits of the last accumulator; `residual` is aligned to it exactly.
    """

    kind: LinearKind
    input: str = field(metadata=_INPUT)
    cores: tuple[str, ...] = field(metadata=_WEIGHT)
    split: int
    plan: Plan
    mids: tuple[str, ...] = field(metadata=_OUTPUT)
    output: str = field(metadata=_OUTPUT)
    bias: str | None = field(default=None, metadata=_CONSTANT)
    residual: str | None = field(default=None, metadata=_INPUT)


@dataclass(frozen=True)
class Scores:
    """Attention scores: heads x queries x keys products over the features of a head, times 2^-`shift`, requantized.

    `shift` replaces the division by sqrt(head size): it gives the nearest power of two.
    """

    query: str = field(metadata=_INPUT)
    key: str = field(metadata=_INPUT)
    heads: int
    shift: int
    output: str = field(metadata=_OUTPUT)


@dataclass(frozen=True)
class Softmax:
    """`fixedpoint.softmax` over the keys of a sentence."""

    input: str = field(metadata=_INPUT)
    table: str = field(metadata=_CONSTANT)
    output: str = field(metadata=_OUTPUT)


@dataclass(frozen=True)
class Context:
    """The sum of value rows weighted by probabilities, per head, as one row of features per token; requantized."""

    probabilities: str = field(metadata=_INPUT)
    value: str = field(metadata=_INPUT)
    heads: int
    output: str = field(metadata=_OUTPUT)


@dataclass(frozen=True)
class Table:
    """A function of one input: output = table[input mod 256]. `function` names it for the reader only."""

    input: str = field(metadata=_INPUT)
    table: str = field(metadata=_CONSTANT)
    function: str
    output: str = field(metadata=_OUTPUT)


@dataclass(frozen=True)
class First:
    """The row of the first token of a sentence."""

    input: str = field(metadata=_INPUT)
    output: str = field(metadata=_OUTPUT)


Node = Embedding | TTMEmbedding | Add | LayerNorm | Linear | Scores | Softmax | Context | Table | First

OPERATORS: tuple[type[Node], ...] = get_args(Node)
"""The class of every operator."""


def fields_with(operator: type[Any], roles: tuple[Role | None, ...]) -> tuple[str, ...]:
    """The fields of an operator that have one of these roles; None is the role of a parameter."""
    return tuple(f.name for f in fields(operator) if f.metadata.get(_ROLE) in roles)


def names(node: Node, *roles: Role) -> tuple[str, ...]:
    """The names in the fields of a node that have one of these roles, in the order of the fields."""
    result: list[str] = []
    for name in fields_with(type(node), roles):
        content = getattr(node, name)
        if isinstance(content, tuple):
            result.extend(content)
        elif content is not None:
            result.append(content)
    return tuple(result)


def node_inputs(node: Node) -> tuple[str, ...]:
    """Every activation that a node reads; the indices of embeddings are not values and are left out."""
    return names(node, Role.INPUT)


def node_constants(node: Node) -> tuple[str, ...]:
    """Every constant that a node reads."""
    return names(node, Role.WEIGHT, Role.CONSTANT)


def node_operands(node: Node) -> tuple[str, ...]:
    """Everything that a node reads: activations, indices and constants, in the order of its fields."""
    return names(node, *OPERAND_ROLES)


def node_outputs(node: Node) -> tuple[str, ...]:
    """Every value that a node writes, intermediates first, in order of computation."""
    return names(node, Role.OUTPUT)


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
