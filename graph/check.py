"""The rules that every integer graph obeys: names, order, shapes, formats and ranges."""

from __future__ import annotations

import math
from collections.abc import Iterable

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
from .graph import (
    QUERIES,
    Dim,
    Graph,
    Value,
    node_constants,
    node_inputs,
    node_outputs,
)
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
    Scores,
    Softmax,
    Table,
    TTMEmbedding,
    mid_count,
)

LENGTHS = "lengths"
"""The input, in files, that says how many tokens each sentence has."""

TABLES = {
    (bits, signed): f"integers.{'s' if signed else 'u'}{bits}" for bits in (2, 4) for signed in (True, False)
}
"""Names, in files, of the integers in each byte, by the width of packed constants and whether they are signed."""

RESERVED = (TOKENS, SEGMENTS, POSITIONS, LENGTHS, *TABLES.values())
"""Names of inputs and helpers, which no value may have."""

PACKED = ".packed"
"""What the name of a packed constant's bytes ends in, in files; no value has such a name."""

SLOTS = "slots"
"""The task that has one row of logits a token; every other task has one row a sentence."""

MAX_FRAC = 1000
"""Largest magnitude of a format's fraction bits: 2^-frac is then a normal double."""

MAX_AXES = 4
"""Most dims of a value."""

MAX_SIZE = 1 << 31
"""What every dim, number of token ids and length of a sentence stays below."""

MAX_NAME = 200
"""Characters of the longest name of a value or task."""


def check_graph(graph: Graph) -> None:
    """Checks a graph before anything is built from it.

    Names are unique and known, nodes stand in an order in which they can run, constants have the shape and
    dtype of their value and lie in its range, every node has as many values as its operator takes, and the
    dims and formats of what it reads and writes fit together.

    Raises:
        UserError: naming the first value at fault.
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
    indices = set()
    for node in graph.nodes:
        for name in node_constants(node):
            if name not in graph.constants:
                raise _defect(node.output, f"the constant {name!r} is missing")
        for name in node_inputs(node):
            if name not in known or name in graph.constants:
                raise _defect(node.output, f"{name!r} is read before it is computed")
        for name in node_outputs(node):
            if name not in graph.values or name in known:
                raise _defect(name, "the value has no format, or is computed twice")
            known.add(name)
        if isinstance(node, Embedding | TTMEmbedding):
            indices.add(node.index)
        _check_node(graph, node)
    used = {name for node in graph.nodes for name in (*node_constants(node), *node_outputs(node))}
    for name in graph.values:
        if name not in used:
            raise _defect(name, "no node reads or writes the value")
    if TOKENS not in indices or (SEGMENTS in indices) != graph.segments:
        raise _defect("inputs", f"embeddings read {sorted(indices)}, which does not fit the graph's inputs")
    _check_outputs(graph, used - set(graph.constants))


def check_shift(name: str, shift: int) -> int:
    """The shift, when an accumulator can be shifted that far.

    Raises:
        UserError: naming the value that would be shifted.
    """
    if abs(shift) >= ACC_BITS:
        raise _defect(name, f"a shift by {shift} bits does not fit an accumulator of {ACC_BITS}")
    return shift


def _defect(name: str, what: str) -> UserError:
    return UserError(
        f"The integer graph is damaged at '{printable(name)}': {printable(what, 160)}; export the model again."
    )


def _check_value(name: str, value: Value) -> None:
    if name != value.name or name in RESERVED or name.endswith(PACKED):
        raise _defect(
            name,
            f"its name must be its own, must not end in {PACKED} and must not be that of an input or table",
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
    """Checks that each task has logits of its own, with a row a token for slots and one row for all else."""
    names = list(graph.outputs.values())
    if not names or not computed.issuperset(names):
        raise _defect("outputs", "an output is not computed, or there is none")
    if len(set(names)) < len(names):
        raise _defect("outputs", "every task must have a value of its own, got one value for two")
    for task, name in graph.outputs.items():
        if not task.isprintable() or not 1 <= len(task) <= MAX_NAME:
            raise _defect(task, f"the name of a task must have 1 to {MAX_NAME} printable characters")
        dims = graph.values[name].dims
        lead = (QUERIES,) if task == SLOTS else ()
        if dims[:-1] != lead or not isinstance(dims[-1], int):
            wanted = "one row a token" if lead else "one row a sentence"
            raise _defect(name, f"the output {task!r} must have {wanted}, got the dims {list(dims)}")


def _check_constants(graph: Graph) -> None:
    for name, data in graph.constants.items():
        value = graph.values.get(name)
        if value is None:
            raise _defect(name, "the constant has no format")
        if data.shape != value.dims:
            raise _defect(name, f"the constant has the shape {data.shape}, not {value.dims}")
        if data.dtype != value.fmt.dtype:
            raise _defect(name, f"the dtype {data.dtype} is not that of the format {value.fmt}")
        if data.size and (int(data.min()) < value.fmt.lo or int(data.max()) > value.fmt.hi):
            raise _defect(name, f"the constant has integers outside its format {value.fmt}")


def _check_node(graph: Graph, node: Node) -> None:
    expect = _Expect(graph, node.output)
    if isinstance(node, Embedding):
        rows, size = expect.shape(node.table, 2)
        expect.index(node.index, rows)
        expect.dims(node.output, (QUERIES, size))
        expect.same_format(node.table, node.output)
    elif isinstance(node, TTMEmbedding):
        _check_ttm_embedding(expect, node)
    elif isinstance(node, Add):
        expect.that(len(node.inputs) >= 1, "a sum of nothing")
        for name in node.inputs:
            expect.dims(name, graph.values[node.output].dims)
    elif isinstance(node, LayerNorm):
        _check_layer_norm(expect, node)
    elif isinstance(node, Linear):
        _check_linear(expect, node)
    elif isinstance(node, Scores):
        expect.heads(node.heads, (node.query, node.key))
        expect.dims(node.output, (node.heads, QUERIES, QUERIES))
    elif isinstance(node, Softmax):
        heads = graph.values[node.input].dims[:1]
        for name in (node.input, node.output):
            expect.dims(name, (*heads, QUERIES, QUERIES))
        expect.table(node.input, node.table)
        table = graph.constants[node.table]
        expect.that(table[0] == EXP_MAX and table.min() >= 0, f"exponentials do not run from {EXP_MAX} to 0")
        expect.that(table.max() == EXP_MAX, f"an exponential is above {EXP_MAX}")
        expect.that(
            graph.fmt(node.output) == Format(PROB_BITS, PROB_BITS, False), "not a probability's format"
        )
    elif isinstance(node, Context):
        expect.heads(node.heads, (node.value, node.output))
        expect.dims(node.output, graph.values[node.value].dims)
        expect.dims(node.probabilities, (node.heads, QUERIES, QUERIES))
    elif isinstance(node, Table):
        expect.that(node.function in FUNCTIONS, f"{node.function!r} must be one of {', '.join(FUNCTIONS)}")
        expect.table(node.input, node.table)
        expect.dims(node.output, graph.values[node.input].dims)
        expect.same_format(node.table, node.output)
    elif isinstance(node, First):
        expect.dims(node.input, (QUERIES, *graph.values[node.output].dims))
        expect.same_format(node.input, node.output)


def _check_ttm_embedding(expect: _Expect, node: TTMEmbedding) -> None:
    expect.that(len(node.cores) >= 2, "a tensor-train matrix has two cores or more")
    expect.that(len(node.mids) == len(node.cores) - 2, "the number of intermediates does not fit the cores")
    shapes = [expect.shape(core, 4) for core in node.cores]
    expect.chain([(shape[0], shape[3]) for shape in shapes])
    expect.index(node.index, math.prod(shape[1] for shape in shapes))
    features = shapes[0][2]
    for shape, name in zip(shapes[1:], (*node.mids, node.output), strict=True):
        features *= shape[2]
        expect.dims(name, (QUERIES, features * shape[3]))


def _check_layer_norm(expect: _Expect, node: LayerNorm) -> None:
    (size,) = expect.shape(node.gamma, 1)
    graph = expect.graph
    x, gamma, beta = (graph.fmt(name) for name in (node.input, node.gamma, node.beta))
    expect.that(size <= MAX_NORM_SIZE, f"LayerNorm covers at most {MAX_NORM_SIZE} features")
    expect.that(x.signed and x.bits <= 16, f"LayerNorm does not read {x}")
    expect.that(gamma.signed and gamma.bits <= GAMMA_BITS, f"gamma is not {gamma}")
    expect.that(beta.frac == NORM_FRAC + gamma.frac, f"beta in {beta} does not fit gamma in {gamma}")
    expect.dims(node.beta, (size,))
    expect.that(graph.values[node.input].dims[-1:] == (size,), "gamma does not fit the input")
    expect.dims(node.output, graph.values[node.input].dims)


def _check_linear(expect: _Expect, node: Linear) -> None:
    graph = expect.graph
    count = len(node.cores)
    if node.kind == "tt":
        expect.that(0 < node.split < count, "a tensor train has cores on both sides")
    else:
        expect.that(count == (1 if node.kind == "dense" else 2), f"a {node.kind} layer has not {count} cores")
    expect.that(
        len(node.mids) == mid_count(node.kind, node.plan, count), "intermediates do not fit the cores"
    )
    shapes = [expect.shape(core, 3 if node.kind == "tt" else 2) for core in node.cores]
    if node.kind == "tt":
        expect.chain([(shape[0], shape[2]) for shape in shapes])
        rows = math.prod(shape[1] for shape in shapes[: node.split])
        columns = math.prod(shape[1] for shape in shapes[node.split :])
    else:
        rows, columns = shapes[0][0], shapes[-1][1]
        expect.that(node.kind == "dense" or shapes[0][1] == shapes[1][0], "the ranks of the cores differ")
    lead = graph.values[node.input].dims[:-1]
    expect.dims(node.input, (*lead, columns))
    expect.dims(node.output, (*lead, rows))
    for step in graph.steps(node)[:-1]:
        if step.kind == "merge":
            size = math.prod(_sizes(graph.values[step.lhs].dims)) // step.inner
            size *= math.prod(_sizes(graph.values[step.rhs].dims)) // step.inner
            dims = graph.values[step.output].dims
            expect.that(
                QUERIES not in dims and math.prod(_sizes(dims)) == size, f"{step.output!r} is no product"
            )
        else:
            features = math.prod(_sizes(graph.values[step.lhs].dims)) // step.inner * step.rows
            expect.dims(step.output, (*lead, features))
    if node.bias is not None:
        last = graph.steps(node)[-1]
        expect.dims(node.bias, (rows,))
        frac = graph.fmt(last.lhs).frac + graph.fmt(last.rhs).frac
        expect.that(
            graph.fmt(node.bias).frac == frac, f"the bias has not the accumulator's {frac} fraction bits"
        )
    if node.residual is not None:
        expect.dims(node.residual, (*lead, rows))


def _sizes(dims: Iterable[Dim]) -> list[int]:
    return [d for d in dims if isinstance(d, int)]


class _Expect:
    """What one node expects of its values; every failed expectation is a `UserError`."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.name = name

    def that(self, condition: bool, what: str) -> None:
        if not condition:
            raise _defect(self.name, what)

    def shape(self, constant: str, rank: int) -> tuple[int, ...]:
        shape = self.graph.constants[constant].shape
        self.that(len(shape) == rank, f"{constant!r} has {len(shape)} axes, not {rank}")
        return shape

    def dims(self, name: str, dims: tuple[Dim, ...]) -> None:
        found = self.graph.values[name].dims
        self.that(found == dims, f"{name!r} has the dims {found}, not {dims}")

    def same_format(self, source: str, target: str) -> None:
        self.that(
            self.graph.fmt(source) == self.graph.fmt(target), f"{target!r} has not the format of {source!r}"
        )

    def chain(self, ranks: list[tuple[int, int]]) -> None:
        ends = [1, *(right for _, right in ranks)]
        self.that(
            ends[-1] == 1 and ends[:-1] == [left for left, _ in ranks], f"the ranks {ranks} do not chain"
        )

    def index(self, index: str, rows: int) -> None:
        self.that(index in (TOKENS, SEGMENTS, POSITIONS), f"{index!r} is not an input")
        metadata = self.graph.metadata
        least = {POSITIONS: metadata.max_length, SEGMENTS: 2, TOKENS: metadata.vocab_size}[index]
        self.that(rows >= least, f"the table has {rows} rows where {index} need {least}")

    def heads(self, heads: int, names: tuple[str, ...]) -> None:
        dims = self.graph.values[names[0]].dims
        features = dims[-1] if len(dims) == 2 and dims[0] == QUERIES else None
        if not isinstance(features, int):
            raise _defect(self.name, f"{names[0]!r} is not a row of features a token")
        self.that(
            heads >= 1 and features % heads == 0, f"{features} features do not divide into {heads} heads"
        )
        for name in names[1:]:
            self.dims(name, dims)

    def table(self, source: str, table: str) -> None:
        fmt = self.graph.fmt(source)
        self.that(fmt.signed and fmt.bits == 8, f"a table is read with signed 8-bit integers, not {fmt}")
        self.dims(table, (256,))
