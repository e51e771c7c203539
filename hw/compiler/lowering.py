"""The context of the lowering pass: where each value of the graph is stored, and the tasks so far.

The functions that lower the operators share one `Lowering`. They look up the operands of a node in its tables, enter
where they store the result, and add tasks. The context itself lowers no operator.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...errors import UserError
from ...fixedpoint import IntArray
from ...graph import Embedding, First, Graph, LayerNorm, Linear, Node, Step, Table, TTMEmbedding, node_inputs
from ...graph.merging import merge_cores
from ..host.packets import IndexColumn, Output
from ..host.views import Axis
from ..isa import INDEX_COLUMNS, Contract, Memory
from .image import Image
from .ir import SPACES, Access, Buffer, Part, Rows, Task


@dataclass(frozen=True)
class HeadScores:
    """The attention scores of one head and block of queries: one key per word, and their maximum in STAT."""

    buffer: Buffer
    maximum: Buffer


@dataclass
class Lowering:
    """The context of the lowering pass. The keys of its tables are (value, sentence) or (value, sentence, block).

    Args:
        graph: the model.
        image: collects its constants.
        max_length: tokens of the longest sentence.
        sentences: sentences per run.

    Attributes:
        tasks: in an order in which they could be executed.
        columns: what the host sends for each token.
        outputs: what the host receives.
        lanes: N.
        blocks: token blocks of the longest sentence.
        uses: the nodes that read each value.
        functions: the function that is applied to a value while it is drained.
        merged: the products of constants.
        index: the index words of each sentence.
        rows: values with one feature per word.
        kv: keys and values of attention, which are operand A: one buffer for all blocks.
        sums: the words of STAT that hold the sums which LayerNorm needs.
        scores, probabilities: of attention, one entry per head.
        embeddings: the embedding nodes. Their rows are gathered where they are added.
        followed: buffers written in parts (`Rows.cuts`) that a product already reads part by part.
    """

    graph: Graph
    image: Image
    max_length: int
    sentences: int
    tasks: list[Task] = field(default_factory=list)
    columns: list[IndexColumn] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    rows: dict[tuple[str, int], Rows] = field(default_factory=dict)
    kv: dict[tuple[str, int], Buffer] = field(default_factory=dict)
    sums: dict[tuple[str, int, int], Buffer] = field(default_factory=dict)
    scores: dict[tuple[str, int, int], tuple[HeadScores, ...]] = field(default_factory=dict)
    probabilities: dict[tuple[str, int, int], tuple[Buffer, ...]] = field(default_factory=dict)
    embeddings: dict[str, Embedding | TTMEmbedding] = field(default_factory=dict)
    followed: set[Buffer] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.lanes = self.image.lanes
        self.blocks = -(-self.max_length // self.lanes)
        self.merged = merge_cores(self.graph)
        self.uses: dict[str, list[Node]] = {}
        for node in self.graph.nodes:
            for name in dict.fromkeys(node_inputs(node)):
                self.uses.setdefault(name, []).append(node)
        self.functions = {node.input: node for node in self.graph.nodes if isinstance(node, Table)}
        self.index = tuple(Access(Buffer(f"index.{s}", Memory.INDEX, 1), 0, 1) for s in range(self.sentences))
        self._addresses: dict[tuple[str, int, int, bytes], int] = {}

    def add(self, task: Task) -> Task:
        """Adds a task and returns it. The spaces of a CONTRACT follow from the memories of its buffers."""
        if isinstance(task.instruction, Contract):
            spaces: dict[str, Any] = {
                f"{name.removesuffix('_base')}_space": SPACES[buffer.memory]
                for name, (buffer, _) in task.bases.items()
                if name.endswith("_base")
            }
            task = replace(task, instruction=replace(task.instruction, **spaces))
        self.tasks.append(task)
        return task

    def width(self, value: str) -> int:
        """Features of a value."""
        return int(self.graph.values[value].dims[-1])

    def is_single(self, value: str) -> bool:
        """Whether a value has one row per sentence instead of one per token."""
        return len(self.graph.values[value].dims) == 1

    def norm_follows(self, value: str) -> bool:
        """Whether a LayerNorm reads a value, so that the sums of its features are needed."""
        return any(isinstance(node, LayerNorm) for node in self.uses.get(value, ()))

    def new_rows(self, value: str, sentence: int, memory: Memory, cuts: tuple[int, ...] = ()) -> Rows:
        """Creates the buffers of a value, one per block, and enters them in `rows`."""
        features = self.width(value)
        blocks = 1 if self.is_single(value) else self.blocks
        buffers = tuple(Buffer(f"{value}.{sentence}.{b}", memory, features) for b in range(blocks))
        self.rows[value, sentence] = Rows(buffers, features, cuts)
        return self.rows[value, sentence]

    def operand(self, reader: str, value: str, sentence: int, *memories: Memory) -> Rows:
        """The rows of a value that the node `reader` reads from one of some memories.

        Raises:
            UserError: the value is stored elsewhere, or in another way.
        """
        rows = self.rows.get((value, sentence))
        if rows is None:
            raise UserError(
                f"{reader}: the engine stores {value} in a form that this can't read; change the model."
            )
        memory = rows.buffers[0].memory
        if memory not in memories:
            readable = " or ".join(m.name for m in memories)
            raise UserError(
                f"{reader}: {value} is in {memory.name} memory and can only be read from {readable}; change the model."
            )
        return rows

    def kv_operand(self, reader: str, value: str, sentence: int) -> Buffer:
        """The keys or values that the node `reader` reads.

        Raises:
            UserError: they are not the result of a linear layer.
        """
        if (value, sentence) not in self.kv:
            raise UserError(f"{reader}: {value} must be the output of a linear layer; change the model.")
        return self.kv[value, sentence]

    def new_kv(self, value: str, sentence: int, words: int) -> Buffer:
        """Creates the buffer of keys or values of attention, `words` per block, and enters it in `kv`."""
        self.kv[value, sentence] = Buffer(f"{value}.{sentence}", Memory.KV, self.blocks * words)
        return self.kv[value, sentence]

    def new_sums(self, value: str, sentence: int, block: int) -> Buffer:
        """Creates the word of STAT for the sums over a block's features, and enters it in `sums`."""
        self.sums[value, sentence, block] = Buffer(f"{value}.stat.{sentence}.{block}", Memory.STAT, 1)
        return self.sums[value, sentence, block]

    def row_parts(self, value: str, written: Access, block: int, feature: int = 0) -> tuple[Part, ...]:
        """Which part of a value an access writes: features from `feature` on, one per word, tokens in the lanes.

        The row that a `First` takes from the value is a part of its own.
        """
        features = Axis(written.hi - written.lo, 1, 0, (1,))
        row = Part(value, written.buffer, written.lo, (feature,), (features,))
        if self.is_single(value):
            return (row,)
        axes = (Axis(self.lanes, 0, 1, (1, 0)), replace(features, steps=(0, 1)))
        part = replace(row, origin=(self.lanes * block, feature), axes=axes)
        firsts = [n for n in self.uses.get(value, ()) if isinstance(n, First) and block == 0]
        return (part, *(replace(row, value=node.output) for node in firsts))

    def column(self, column: IndexColumn) -> int:
        """The number of an index column, which is added if it is new."""
        if column not in self.columns:
            if len(self.columns) == INDEX_COLUMNS:
                raise UserError(
                    f"the embeddings need more than the {INDEX_COLUMNS} index columns of a token; use fewer cores."
                )
            self.columns.append(column)
        return self.columns.index(column)

    def weight(self, step: Step, order: IntArray | None = None) -> int:
        """The address of a step's weights; `order` lists the row in each place, -1 for a row of zeros."""
        key = (step.rhs, step.rows, step.inner, b"" if order is None else order.tobytes())
        if key not in self._addresses:
            data = self.merged[step.rhs] if step.rhs in self.merged else self.graph.constants[step.rhs]
            self._addresses[key] = self.image.rows(_ordered(data.reshape(step.rows, step.inner), order))
        return self._addresses[key]

    def bias(self, node: Linear, order: IntArray | None = None) -> dict[str, Any]:
        """The fields of CONTRACT for a layer's bias; `order` as in `weight`."""
        if node.bias is None:
            return {}
        data = self.graph.constants[node.bias].astype(np.int64)
        key = (node.bias, len(data), 1, b"" if order is None else order.tobytes())
        if key not in self._addresses:
            self._addresses[key] = self.image.bias(_ordered(data[:, None], order))
        return {"bias": 1, "bias_base": self._addresses[key]}

    def rounding(self, node: Linear, step: Step) -> dict[str, Any]:
        """The fields of CONTRACT for shifts, result format and function table of a step."""
        graph = self.graph
        fmt = graph.fmt(step.output)
        product = graph.fmt(step.lhs).frac + graph.fmt(step.rhs).frac
        fields: dict[str, Any] = {"bits": fmt.bits, "is_unsigned": int(not fmt.signed)}
        if step.output != node.output:
            return fields | {"shift": product - fmt.frac}
        aligned = product
        if node.residual is not None:
            residual = graph.fmt(node.residual).frac
            aligned = max(product, residual)
            fields |= {"acc_shift": aligned - product, "residual_shift": aligned - residual}
        if node.output in self.functions:
            entries = graph.constants[self.functions[node.output].table].astype(np.int64)
            fields |= {"has_table": 1, "table_id": self.image.table(entries & 0xFF)}
        return fields | {"shift": aligned - fmt.frac}


def _ordered(rows: IntArray, order: IntArray | None) -> IntArray:
    return rows if order is None else np.where(order[:, None] >= 0, rows[order], 0)
