"""The rules of a valid integer graph: names, order, shapes, formats and ranges."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import singledispatch

from ..errors import UserError, printable
from ..fixedpoint import (
    ACC_BITS,
    EXP_MAX,
    FUNCTIONS,
    GAMMA_BITS,
    MAX_NORM_SIZE,
    NORM_FRAC,
    PROB_BITS,
    Format,
)
from .graph import QUERIES, Dim, Graph, Value
from .nodes import (
    POSITIONS,
    SEGMENTS,
    TOKENS,
    Add,
    Context,
    Embedding,
    First,
    LayerNorm,
    Linear,
    Node,
    Role,
    Scores,
    Softmax,
    Table,
    TTMEmbedding,
    names,
    node_constants,
    node_inputs,
    node_outputs,
)

LENGTHS = "lengths"
"""The input of a model file that has the number of tokens of each sentence."""

TABLES = {
    (bits, signed): f"integers.{'s' if signed else 'u'}{bits}" for bits in (2, 4) for signed in (True, False)
}
"""Names, in model files, of the tables of integers in each byte, by the width and the sign of packed constants."""

RESERVED = (TOKENS, SEGMENTS, POSITIONS, LENGTHS, *TABLES.values())
"""Names of inputs and of tables of bytes; no value may have one of them."""

PACKED = ".packed"
"""The suffix, in model files, of the name of a packed constant's bytes; no value may have such a name."""

SLOTS = "slots"
"""The task that has one row of logits per token; every other task has one row per sentence."""

MAX_FRAC = 1000
"""Largest magnitude of the fraction bits of a format: 2^-frac is then a normal double."""

MAX_AXES = 4
"""Largest number of dims of a value."""

MAX_SIZE = 1 << 31
"""Every dim, number of token ids and length of a sentence must be below this."""

MAX_NAME = 200
"""Longest name of a value or task, in characters."""


def check_graph(graph: Graph) -> None:
    """Checks a graph before anything is built from it.

    Names must be unique and known, nodes in an order in which they can run. Constants must have the shape and dtype of
    their value and lie in its range. Every node must have the number of values that its operator takes, with dims and
    formats that fit together.

    Raises:
        UserError: a rule is broken; the message names the first value for which it is.
    """
    metadata = graph.metadata
    if not 1 <= metadata.max_length < MAX_SIZE:
        raise _defect("metadata", f"max_length must be 1 to {MAX_SIZE - 1}, got {metadata.max_length}")
    if not 0 <= metadata.vocab_size < MAX_SIZE:
        raise _defect("metadata", f"vocab_size must be 0 to {MAX_SIZE - 1}, got {metadata.vocab_size}")
    for name, value in graph.values.items():
        _check_value(name, value)
    _check_constants(graph)
    known = set(graph.constants)
    indices: set[str] = set()
    for node in graph.nodes:
        for name in node_constants(node):
            if name not in graph.constants:
                raise _defect(node.output, f"the constant {name!r} is missing")
        for name in node_inputs(node):
            if name not in known or name in graph.constants:
                raise _defect(node.output, f"{name!r} must be computed before it is read")
        for name in node_outputs(node):
            if name not in graph.values or name in known:
                raise _defect(name, "a value must have a format and be computed once")
            known.add(name)
        indices.update(names(node, Role.INDEX))
        _check_node(node, _Expect(graph, node.output))
    used = {name for node in graph.nodes for name in (*node_constants(node), *node_outputs(node))}
    for name in graph.values:
        if name not in used:
            raise _defect(name, "no node reads or writes the value")
    if TOKENS not in indices or (SEGMENTS in indices) != graph.segments:
        expected = f"{TOKENS} and {SEGMENTS}" if graph.segments else f"{TOKENS} and not {SEGMENTS}"
        raise _defect("inputs", f"embeddings must read {expected}, got {', '.join(sorted(indices))}")
    _check_outputs(graph, used - set(graph.constants))


def check_shift(name: str, shift: int) -> int:
    """Checks the shift of an accumulator, and returns it.

    Args:
        name: the value that is requantized from the accumulator.
        shift: in bits, negative to the left.

    Raises:
        UserError: the shift is not smaller than the accumulator.
    """
    if abs(shift) >= ACC_BITS:
        raise _defect(
            name, f"a shift must be smaller than the accumulator of {ACC_BITS} bits, got {shift} bits"
        )
    return shift


def _defect(name: str, what: str) -> UserError:
    return UserError(
        f"the integer graph is damaged at '{printable(name)}': {printable(what, 160)}; export the model again."
    )


def _check_value(name: str, value: Value) -> None:
    if name != value.name or name in RESERVED or name.endswith(PACKED):
        raise _defect(
            name,
            f"the name of a value must be its key, must not end in {PACKED} and must not be that of an input or table",
        )
    if not name.isprintable() or not 1 <= len(name) <= MAX_NAME:
        raise _defect(name, f"a name must have 1 to {MAX_NAME} printable characters")
    if abs(value.fmt.frac) > MAX_FRAC:
        raise _defect(name, f"there must be at most {MAX_FRAC} fraction bits, got {value.fmt.frac}")
    if not 1 <= len(value.dims) <= MAX_AXES:
        raise _defect(name, f"a value must have 1 to {MAX_AXES} dims, got {len(value.dims)}")
    if any(not 1 <= d < MAX_SIZE if isinstance(d, int) else d != QUERIES for d in value.dims):
        raise _defect(
            name, f"dims must be {QUERIES!r} or positive and below {MAX_SIZE}, got {list(value.dims)}"
        )


def _check_outputs(graph: Graph, computed: set[str]) -> None:
    """Checks that each task has logits of its own: one row per token for slots, one row per sentence for all others."""
    names = list(graph.outputs.values())
    if not names or not computed.issuperset(names):
        raise _defect("outputs", "there must be at least one output, and every output must be computed")
    if len(set(names)) < len(names):
        raise _defect("outputs", "every task must have a value of its own, got one value for two")
    for task, name in graph.outputs.items():
        if not task.isprintable() or not 1 <= len(task) <= MAX_NAME:
            raise _defect(task, f"the name of a task must have 1 to {MAX_NAME} printable characters")
        dims = graph.values[name].dims
        lead = (QUERIES,) if task == SLOTS else ()
        if dims[:-1] != lead or not isinstance(dims[-1], int):
            unit = "token" if lead else "sentence"
            raise _defect(
                name, f"the output {task!r} must have one row per {unit}, got the dims {list(dims)}"
            )


def _check_constants(graph: Graph) -> None:
    for name, data in graph.constants.items():
        value = graph.values.get(name)
        if value is None:
            raise _defect(name, "a constant must have a format")
        if data.shape != value.dims:
            raise _defect(name, f"the shape of the constant must be {value.dims}, got {data.shape}")
        if data.dtype != value.fmt.dtype:
            raise _defect(name, f"the dtype of the constant must be {value.fmt.dtype}, got {data.dtype}")
        if data.size and (int(data.min()) < value.fmt.lo or int(data.max()) > value.fmt.hi):
            raise _defect(
                name, f"the integers of the constant must be in the range of its format {value.fmt}"
            )


class _Expect:
    """What a node expects of its values; every expectation that is not met is a `UserError`.

    Args:
        graph: the graph of the node.
        name: the output of the node, for messages.
    """

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.name = name

    def that(self, condition: bool, rule: str) -> None:
        if not condition:
            raise _defect(self.name, rule)

    def equal(self, what: str, actual: object, expected: object) -> None:
        self.that(actual == expected, f"{what} must be {expected}, got {actual}")

    def shape(self, constant: str, rank: int) -> tuple[int, ...]:
        shape = self.graph.constants[constant].shape
        self.equal(f"the number of axes of {constant!r}", len(shape), rank)
        return shape

    def dims_of(self, name: str) -> tuple[Dim, ...]:
        return self.graph.values[name].dims

    def dims(self, name: str, dims: tuple[Dim, ...]) -> None:
        self.equal(f"the dims of {name!r}", self.dims_of(name), dims)

    def same_format(self, source: str, target: str) -> None:
        self.equal(f"the format of {target!r}", self.graph.fmt(target), self.graph.fmt(source))

    def chain(self, ranks: list[tuple[int, int]]) -> None:
        ends = [1, *(right for _, right in ranks)]
        self.that(
            ends[-1] == 1 and ends[:-1] == [left for left, _ in ranks],
            f"the ranks of neighbouring cores must be equal, and 1 at both ends, got {ranks}",
        )

    def index(self, index: str, rows: int) -> None:
        metadata = self.graph.metadata
        least = {POSITIONS: metadata.max_length, SEGMENTS: 2, TOKENS: metadata.vocab_size}
        self.that(index in least, f"the index must be one of {', '.join(least)}, got {index!r}")
        self.that(
            rows >= least[index], f"the table must have at least {least[index]} rows for {index}, got {rows}"
        )

    def heads(self, heads: int, names: tuple[str, ...]) -> None:
        dims = self.dims_of(names[0])
        features = dims[-1] if len(dims) == 2 and dims[0] == QUERIES else None
        if not isinstance(features, int):
            raise _defect(
                self.name, f"{names[0]!r} must have one row of features per token, got the dims {dims}"
            )
        self.that(
            heads >= 1 and features % heads == 0,
            f"the number of heads must divide {features} features, got {heads}",
        )
        for name in names[1:]:
            self.dims(name, dims)

    def table(self, source: str, table: str) -> None:
        fmt = self.graph.fmt(source)
        self.that(
            fmt.signed and fmt.bits == 8, f"the argument of a table must be a signed 8-bit integer, got {fmt}"
        )
        self.dims(table, (256,))


@singledispatch
def _check_node(node: Node, expect: _Expect) -> None:
    """Checks the dims and formats that a node reads and writes, and its parameters."""
    raise TypeError(f"expected an operator with rules, got {type(node).__name__}")


@_check_node.register
def _check_embedding(node: Embedding, expect: _Expect) -> None:
    rows, size = expect.shape(node.table, 2)
    expect.index(node.index, rows)
    expect.dims(node.output, (QUERIES, size))
    expect.same_format(node.table, node.output)


@_check_node.register
def _check_ttm_embedding(node: TTMEmbedding, expect: _Expect) -> None:
    count = len(node.cores)
    expect.that(count >= 2, f"a tensor-train matrix must have at least 2 cores, got {count}")
    expect.equal("the number of intermediates", len(node.mids), count - 2)
    shapes = [expect.shape(core, 4) for core in node.cores]
    expect.chain([(shape[0], shape[3]) for shape in shapes])
    expect.index(node.index, math.prod(shape[1] for shape in shapes))
    features = shapes[0][2]
    for shape, name in zip(shapes[1:], (*node.mids, node.output), strict=True):
        features *= shape[2]
        expect.dims(name, (QUERIES, features * shape[3]))


@_check_node.register
def _check_add(node: Add, expect: _Expect) -> None:
    expect.that(len(node.inputs) >= 1, "a sum must have at least one input")
    for name in node.inputs:
        expect.dims(name, expect.dims_of(node.output))


@_check_node.register
def _check_layer_norm(node: LayerNorm, expect: _Expect) -> None:
    (size,) = expect.shape(node.gamma, 1)
    x, gamma, beta = (expect.graph.fmt(name) for name in (node.input, node.gamma, node.beta))
    expect.that(size <= MAX_NORM_SIZE, f"LayerNorm must have at most {MAX_NORM_SIZE} features, got {size}")
    expect.that(
        x.signed and x.bits <= 16, f"the input of LayerNorm must be signed, of at most 16 bits, got {x}"
    )
    expect.that(
        gamma.signed and gamma.bits <= GAMMA_BITS,
        f"gamma must be signed, of at most {GAMMA_BITS} bits, got {gamma}",
    )
    expect.equal("the fraction bits of beta", beta.frac, NORM_FRAC + gamma.frac)
    expect.dims(node.beta, (size,))
    expect.equal("the features of the input", expect.dims_of(node.input)[-1], size)
    expect.dims(node.output, expect.dims_of(node.input))


@_check_node.register
def _check_linear(node: Linear, expect: _Expect) -> None:
    graph = expect.graph
    count = len(node.cores)
    if node.kind == "tt":
        expect.that(
            0 < node.split < count, f"split must be 1 to {count - 1} for {count} cores, got {node.split}"
        )
    else:
        expect.equal(f"the number of cores of a {node.kind} layer", count, 1 if node.kind == "dense" else 2)
    expect.equal("the number of intermediates", len(node.mids), count - 1)
    shapes = [expect.shape(core, 3 if node.kind == "tt" else 2) for core in node.cores]
    if node.kind == "tt":
        expect.chain([(shape[0], shape[2]) for shape in shapes])
        rows = math.prod(shape[1] for shape in shapes[: node.split])
        columns = math.prod(shape[1] for shape in shapes[node.split :])
    else:
        rows, columns = shapes[0][0], shapes[-1][1]
        if node.kind == "lowrank":
            expect.equal("the rank of the second core", shapes[1][0], shapes[0][1])
    lead = expect.dims_of(node.input)[:-1]
    expect.dims(node.input, (*lead, columns))
    expect.dims(node.output, (*lead, rows))
    for step in graph.steps(node)[:-1]:
        if step.kind == "merge":
            size = math.prod(_sizes(expect.dims_of(step.lhs))) // step.inner
            size *= math.prod(_sizes(expect.dims_of(step.rhs))) // step.inner
            dims = expect.dims_of(step.output)
            expect.that(
                QUERIES not in dims and math.prod(_sizes(dims)) == size,
                f"{step.output!r} must hold a product of {size} integers, got the dims {dims}",
            )
        else:
            features = math.prod(_sizes(expect.dims_of(step.lhs))) // step.inner * step.rows
            expect.dims(step.output, (*lead, features))
    if node.bias is not None:
        last = graph.steps(node)[-1]
        expect.dims(node.bias, (rows,))
        frac = graph.fmt(last.lhs).frac + graph.fmt(last.rhs).frac
        expect.equal("the fraction bits of the bias", graph.fmt(node.bias).frac, frac)
    if node.residual is not None:
        expect.dims(node.residual, (*lead, rows))


@_check_node.register
def _check_scores(node: Scores, expect: _Expect) -> None:
    expect.heads(node.heads, (node.query, node.key))
    expect.dims(node.output, (node.heads, QUERIES, QUERIES))


@_check_node.register
def _check_softmax(node: Softmax, expect: _Expect) -> None:
    heads = expect.dims_of(node.input)[:1]
    for name in (node.input, node.output):
        expect.dims(name, (*heads, QUERIES, QUERIES))
    expect.table(node.input, node.table)
    table = expect.graph.constants[node.table]
    expect.that(
        table[0] == EXP_MAX and table.min() >= 0 and table.max() == EXP_MAX,
        f"the exponentials must start at {EXP_MAX} and lie in 0 to {EXP_MAX}",
    )
    expect.equal("the format", expect.graph.fmt(node.output), Format(PROB_BITS, PROB_BITS, False))


@_check_node.register
def _check_context(node: Context, expect: _Expect) -> None:
    expect.heads(node.heads, (node.value, node.output))
    expect.dims(node.output, expect.dims_of(node.value))
    expect.dims(node.probabilities, (node.heads, QUERIES, QUERIES))


@_check_node.register
def _check_table(node: Table, expect: _Expect) -> None:
    expect.that(
        node.function in FUNCTIONS,
        f"the function must be one of {', '.join(FUNCTIONS)}, got {node.function!r}",
    )
    expect.table(node.input, node.table)
    expect.dims(node.output, expect.dims_of(node.input))
    expect.same_format(node.table, node.output)


@_check_node.register
def _check_first(node: First, expect: _Expect) -> None:
    expect.dims(node.input, (QUERIES, *expect.dims_of(node.output)))
    expect.same_format(node.input, node.output)


def _sizes(dims: Iterable[Dim]) -> list[int]:
    return [d for d in dims if isinstance(d, int)]
