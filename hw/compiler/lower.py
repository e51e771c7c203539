"""Pass: the integer graph as tasks, one sentence and token block at a time.

Every activation is stored with tokens in the lanes and features in their natural order, one a word. Keys of attention
lie the same way in KV memory, where they are weights; values lie with a token a word and the features of one
head in its lanes, which draining by columns gives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import UserError
from ...fixedpoint import IntArray
from ...graph import (
    Add,
    Context,
    Embedding,
    First,
    Graph,
    LayerNorm,
    Linear,
    Scores,
    Softmax,
    Step,
    Table,
    TTMEmbedding,
    node_inputs,
)
from ...graph.merging import merge_cores
from ..host.packets import IndexColumn, Output
from ..host.views import Axis
from ..isa import Contract, Count, Instruction, Load, Memory, Stat, Store, Unit
from ..isa import LayerNorm as Norm
from .attention import lower_context, lower_scores, lower_softmax, turn_values, value_words, values_step
from .embedding import lower_embedding
from .image import Image
from .ir import SPACES, Access, Buffer, Part, Rows, Task, Whole

NORM_PARTS = 4
"""LayerNorms of many features are cut into this many instructions, so that the array can start on the first."""

NORM_PART_LEAST = 48
"""Features below which a part would cost more than it saves."""


@dataclass(frozen=True)
class _Target:
    """Where the last product of a layer goes."""

    memory: Memory
    columns: bool = False
    stat: bool = False


class Lowering:
    """Turns a graph into tasks.

    Args:
        graph: the model.
        image: collects its constants.
        max_length: tokens of the longest sentence.
        sentences: of one run.

    Attributes:
        tasks: in an order in which they could be executed.
        columns: what the host sends of each token.
        outputs: what the host receives.
    """

    def __init__(self, graph: Graph, image: Image, max_length: int, sentences: int) -> None:
        self.graph = graph
        self.image = image
        self.lanes = image.lanes
        self.blocks = -(-max_length // image.lanes)
        self.sentences = sentences
        self.merged = merge_cores(graph)
        self.tasks: list[Task] = []
        self.columns: list[IndexColumn] = []
        self.outputs: list[Output] = []
        self._rows: dict[tuple[str, int], Rows] = {}
        self.whole: dict[tuple[str, int], Whole] = {}
        self._stats: dict[tuple[str, int, int], Buffer] = {}
        self.per_head: dict[tuple[str, int, int, int], Buffer] = {}
        self._indices: dict[int, Buffer] = {}
        self._fused: dict[str, Table] = {}
        self._uses = _uses(graph)
        self._addresses: dict[str, int] = {}
        self._chained: set[Buffer] = set()
        self.ttm_addresses: dict[str, list[int]] = {}
        self.heads = {n.output: n.heads for n in graph.nodes if isinstance(n, Scores | Context)}
        self.value_heads = {n.value: n.heads for n in graph.nodes if isinstance(n, Context)}

    def run(self) -> None:
        """Lowers every node.

        Raises:
            UserError: the graph has a shape that the engine has no instruction for.
        """
        sources: dict[str, Embedding | TTMEmbedding] = {}
        for node in self.graph.nodes:
            if isinstance(node, Table):
                self._fuse(node)
        for s in range(self.sentences):
            self._indices[s] = Buffer(f"index.{s}", Memory.INDEX, 1)
            load = Load(sentence=s, memory=Memory.INDEX, count_source=Count.LENGTH)
            self.add(Unit.STREAM, "embedding", load, writes=[Access(self._indices[s], 0, 1)])
        for node in self.graph.nodes:
            match node:
                case Embedding() | TTMEmbedding():
                    sources[node.output] = node
                case Add():
                    lower_embedding(self, node, sources)
                case LayerNorm():
                    self._norm(node)
                case Linear():
                    self._linear(node)
                case Scores():
                    lower_scores(self, node)
                case Softmax():
                    lower_softmax(self, node)
                case Context():
                    lower_context(self, node)
                case First():
                    self._first(node)
                case Table():
                    pass
        self._store()

    def index(self, sentence: int) -> Access:
        """The index words of a sentence."""
        return Access(self._indices[sentence], 0, 1)

    def column(self, column: IndexColumn) -> int:
        """The number of an index column, which is added if it is not there."""
        if column not in self.columns:
            self.columns.append(column)
            if len(self.columns) > 8:
                raise UserError(
                    "the embeddings need more than the 8 index columns that a token has; use fewer cores."
                )
        return self.columns.index(column)

    def _fuse(self, node: Table) -> None:
        producers = [n for n in self.graph.nodes if isinstance(n, Linear) and n.output == node.input]
        if not producers or self._uses.get(node.input) != [node]:
            raise UserError(
                f"{node.output}: the engine applies a function to the output of a linear layer that nothing else "
                "reads; change the model."
            )
        self._fused[node.input] = node

    def add(
        self,
        unit: Unit,
        layer: str,
        instruction: Instruction,
        bases: dict[str, tuple[Buffer, int]] | None = None,
        reads: list[Access] | None = None,
        writes: list[Access] | None = None,
        parts: list[Part] | None = None,
        after: Task | None = None,
    ) -> Task:
        """Adds a task."""
        task = Task(unit, layer, instruction, bases or {}, reads or [], writes or [], parts or [], after)
        self.tasks.append(task)
        return task

    def contract(
        self,
        layer: str,
        instruction: Contract,
        bases: dict[str, tuple[Buffer, int]],
        reads: list[Access],
        writes: list[Access],
        parts: list[Part],
        after: Task | None = None,
    ) -> Task:
        """Adds a CONTRACT; the spaces follow from the buffers of `bases`."""
        spaces: dict[str, Any] = {
            f"{field.removesuffix('_base')}_space": SPACES[buffer.memory]
            for field, (buffer, _) in bases.items()
            if field.endswith("_base")
        }
        return self.add(Unit.ARRAY, layer, replace(instruction, **spaces), bases, reads, writes, parts, after)

    def stat(self, value: str, sentence: int, block: int) -> Buffer:
        """The STAT word that belongs to a value's block."""
        key = (value, sentence, block)
        if key not in self._stats:
            self._stats[key] = Buffer(f"{value}.stat.{sentence}.{block}", Memory.STAT, 1)
        return self._stats[key]

    def rows(self, value: str, sentence: int, memory: Memory, features: int) -> Rows:
        """New buffers for a value, one a block."""
        blocks = 1 if self._single(value) else self.blocks
        made = Rows(
            tuple(Buffer(f"{value}.{sentence}.{b}", memory, features) for b in range(blocks)), features
        )
        self._rows[value, sentence] = made
        return made

    def read(self, value: str, sentence: int) -> Rows:
        """Where a value lies."""
        return self._rows[value, sentence]

    def rows_part(self, value: str, buffer: Buffer, block: int, features: int, **changes: bool) -> Part:
        """All of a value's block that lies with a feature a word."""
        if self._single(value):
            return Part(value, buffer, 0, (0,), (Axis(features, 1, 0, (1,)),), **changes)
        axes = (Axis(self.lanes, 0, 1, (1, 0)), Axis(features, 1, 0, (0, 1)))
        return Part(value, buffer, 0, (self.lanes * block, 0), axes, **changes)

    def norm_follows(self, value: str) -> bool:
        """Whether a LayerNorm reads a value, so that its sums are wanted."""
        return any(isinstance(n, LayerNorm) for n in self._uses.get(value, ()))

    def _single(self, value: str) -> bool:
        """Whether a value is one row a sentence."""
        return len(self.graph.values[value].dims) == 1

    def width(self, value: str) -> int:
        """Features of a value."""
        return int(self.graph.values[value].dims[-1])

    def _target(self, node: Linear) -> _Target:
        value = node.output
        if value in self._fused:
            return _Target(Memory.ACT)
        uses = self._uses.get(value, [])
        is_output = value in self.graph.outputs.values()
        if self.graph.fmt(value).bits > 8 or is_output:
            if not all(isinstance(n, LayerNorm) or _is_residual(n, value) for n in uses):
                raise UserError(
                    f"{value}: the engine multiplies 8-bit activations; bring it to 8 bits first."
                )
            return _Target(Memory.WIDE, stat=self.norm_follows(value))
        roles = {_role(n, value) for n in uses}
        if roles <= {"key"} and roles:
            return _Target(Memory.KV)
        if roles <= {"value"} and roles:
            return _Target(Memory.KV, columns=True)
        if roles <= {"input", "query"}:
            return _Target(Memory.ACT)
        raise UserError(
            f"{value} is read as {' and '.join(sorted(roles))}, which are in different memories of the engine; "
            "give each its own linear layer."
        )

    def _linear(self, node: Linear) -> None:
        target = self._target(node)
        steps = [s for s in self.graph.steps(node) if s.kind != "merge"]
        for s in range(self.sentences):
            source = self.read(node.input, s)
            blocks = len(source.buffers)
            if target.memory is Memory.KV:
                size = self._kv_words(node, target)
                self.whole[node.output, s] = Whole(Buffer(f"{node.output}.{s}", Memory.KV, size))
            for step in steps[:-1]:
                width = self.width(step.output)
                made = self.rows(step.output, s, Memory.ACT, width)
                for b in range(blocks):
                    self._step(node, step, s, b, source, made)
                source = made
            last = steps[-1]
            if target.columns and not (last.kind == "apply" and last.inner == source.features):
                width = self.width(node.output)
                names = (f"{node.output}.rows.{s}.{b}" for b in range(blocks))
                turned = Rows(tuple(Buffer(name, Memory.ACT, width) for name in names), width)
                for b in range(blocks):
                    self._step(node, last, s, b, source, turned)
                    turn_values(self, node, s, b, turned)
                continue
            if target.memory is Memory.KV:
                for b in range(blocks):
                    if target.columns:
                        values_step(self, node, last, s, b, source)
                    else:
                        self._step(node, last, s, b, source, None)
                continue
            made = self.rows(node.output, s, target.memory, self.width(node.output))
            for b in range(blocks):
                self._step(node, last, s, b, source, made, target.stat)
            if node.output in self._fused:
                self._rows[self._fused[node.output].output, s] = made

    def _kv_words(self, node: Linear, target: _Target) -> int:
        if not target.columns:
            return self.blocks * self.width(node.output)
        return self.blocks * self.lanes * value_words(self, node.output)

    def weight(self, step: Step, order: IntArray | None = None) -> int:
        """The address of a step's weights; `order` puts rows in places, -1 for none."""
        key = f"{step.rhs}/{step.output}" if order is not None else f"{step.rhs}/{step.rows}/{step.inner}"
        if key not in self._addresses:
            name = step.rhs
            data = self.merged[name] if name in self.merged else self.graph.constants[name]
            matrix = data.reshape(step.rows, step.inner)
            if order is not None:
                matrix = np.where(order[:, None] >= 0, matrix[order], 0)
            self._addresses[key] = self.image.rows(matrix)
        return self._addresses[key]

    def bias(self, node: Linear, order: IntArray | None = None) -> dict[str, Any]:
        """Fields of CONTRACT for a layer's bias; `order` as in `weight`."""
        if node.bias is None:
            return {}
        if node.bias not in self._addresses:
            data = self.graph.constants[node.bias].astype(np.int64)
            if order is not None:
                data = np.where(order >= 0, data[order], 0)
            self._addresses[node.bias] = self.image.bias(data)
        return {"bias": 1, "bias_base": self._addresses[node.bias]}

    def rounding(self, node: Linear, step: Step) -> dict[str, Any]:
        """Shifts, bits and table of a step."""
        graph = self.graph
        acc = graph.fmt(step.lhs).frac + graph.fmt(step.rhs).frac
        fmt = graph.fmt(step.output)
        last = step.output == node.output
        aligned = acc
        found: dict[str, Any] = {}
        if last and node.residual is not None:
            residual = graph.fmt(node.residual).frac
            aligned = max(acc, residual)
            found = {"acc_shift": aligned - acc, "residual_shift": aligned - residual}
        found |= {"shift": aligned - fmt.frac, "bits": fmt.bits, "is_unsigned": int(not fmt.signed)}
        if last and step.output in self._fused:
            data = graph.constants[self._fused[step.output].table].astype(np.int64)
            found |= {"has_table": 1, "table_id": self.image.table(data & 0xFF)}
        return found

    def _operand(self, step: Step, source: Rows) -> dict[str, Any]:
        groups = source.features // step.inner
        if step.kind == "apply":
            return {
                "n1": groups,
                "b_stride1": step.inner,
                "b_stridek": 1,
                "c_stride1": step.rows,
                "c_stride2": self.lanes,
                "c_stridew": 1,
            }
        return {
            "n1": groups,
            "b_stride1": 1,
            "b_stridek": groups,
            "c_stride1": 1,
            "c_stride2": self.lanes * groups,
            "c_stridew": groups,
        }

    def _step(
        self, node: Linear, step: Step, s: int, b: int, source: Rows, made: Rows | None, stat: bool = False
    ) -> None:
        """One product, drained by rows: to `made`, or to the keys of attention if that is None."""
        last = step.output == node.output
        width = source.features // step.inner * step.rows
        if made is None:
            buffer, offset = self.whole[node.output, s].buffer, b * width
            axes = (Axis(self.lanes, 0, 1, (1, 0)), Axis(width, 1, 0, (0, 1)))
            parts = [Part(step.output, buffer, offset, (self.lanes * b, 0), axes)]
        else:
            buffer, offset = made.buffers[b], 0
            parts = [self.rows_part(step.output, buffer, b, width)]
        if last and node.output in self._fused:
            after_table = self._fused[node.output].output
            parts = [replace(parts[0], before_table=True), replace(parts[0], value=after_table)]
        instruction = Contract(
            sentence=s,
            block=b,
            nk=step.inner,
            n2=-(-step.rows // self.lanes),
            a_base=self.weight(step),
            a_stride2=step.inner,
            a_stridek=1,
            b_unsigned=int(not self.graph.fmt(step.lhs).signed),
            rows=step.rows,
            **self._operand(step, source),
            **self.rounding(node, step),
            **(self.bias(node) if last else {}),
        )
        bases = {"b_base": (source.buffers[b], 0), "c_base": (buffer, offset)}
        reads = [source.all_of(b)]
        writes = [Access(buffer, offset, offset + width)]
        if last and node.residual is not None:
            residual = self.read(node.residual, s)
            bases["residual_base"] = (residual.buffers[b], 0)
            reads.append(residual.all_of(b))
        if stat:
            slot = self.stat(step.output, s, b)
            bases["stat_slot"] = (slot, 0)
            writes.append(Access(slot, 0, 1))
            instruction = replace(instruction, stat=Stat.SUMS)
        self.issue(node.output, instruction, bases, reads, writes, parts, source, b)

    def issue(
        self,
        layer: str,
        instruction: Contract,
        bases: dict[str, tuple[Buffer, int]],
        reads: list[Access],
        writes: list[Access],
        parts: list[Part],
        source: Rows,
        b: int,
    ) -> None:
        """Adds a product; the first to read what a LayerNorm writes in parts begins with the first part."""
        buffer = source.buffers[b]
        first_tile_only = instruction.n1 == 1 and not instruction.columns
        if not source.cuts or buffer in self._chained or not first_tile_only:
            self.contract(layer, instruction, bases, reads, writes, parts)
            return
        self._chained.add(buffer)
        others = [r for r in reads if r.buffer is not buffer]
        after: Task | None = None
        head = replace(instruction, n2=1, rows=min(self.lanes, instruction.rows))
        start = 0
        for cut in source.cuts[:-1]:
            piece = replace(head, nk=cut - start, keep=1, a_base=head.a_base + start, stat=Stat.NONE)
            piece = replace(piece, has_table=0, bias=0)
            moved = {"b_base": (buffer, start), "c_base": bases["c_base"]}
            after = self.contract(layer, piece, moved, [Access(buffer, start, cut)], [], [], after)
            start = cut
        whole = instruction.n2 == 1
        tail = replace(head, nk=source.features - start, a_base=head.a_base + start)
        moved = bases | {"b_base": (buffer, start)}
        reads_tail = [Access(buffer, start, source.features), *others]
        if whole:
            self.contract(layer, tail, moved, reads_tail, writes, parts, after)
            return
        if instruction.stat is not Stat.NONE:
            raise AssertionError("a statistic is gathered by one instruction")
        cut_parts = [_cut(p, 0, self.lanes) for p in parts]
        self.contract(layer, tail, moved, reads_tail, writes, cut_parts, after)
        rest = replace(
            instruction,
            n2=instruction.n2 - 1,
            rows=instruction.rows - self.lanes,
            a_base=instruction.a_base + instruction.a_stride2,
            bias_base=instruction.bias_base + self.lanes if instruction.bias else 0,
        )
        c_buffer, c_offset = bases["c_base"]
        moved = bases | {"c_base": (c_buffer, c_offset + self.lanes)}
        if "residual_base" in bases:
            r_buffer, r_offset = bases["residual_base"]
            moved["residual_base"] = (r_buffer, r_offset + self.lanes)
        cut_parts = [_cut(p, self.lanes, instruction.rows - self.lanes) for p in parts]
        self.contract(layer, rest, moved, reads, writes, cut_parts)

    def _norm(self, node: LayerNorm) -> None:
        graph = self.graph
        fmt = graph.fmt(node.output)
        if fmt.bits > 8 or not fmt.signed:
            raise UserError(f"{node.output}: the engine's LayerNorm gives signed 8-bit numbers, not {fmt}.")
        size = self.width(node.output)
        base = self.image.norm(graph.constants[node.gamma], graph.constants[node.beta])
        parts = max(1, min(NORM_PARTS, size // NORM_PART_LEAST))
        cuts = tuple(size * (k + 1) // parts for k in range(parts))
        for s in range(self.sentences):
            source = self.read(node.input, s)
            made = self.rows(node.output, s, Memory.VECTOR, size)
            if parts > 1:
                made = replace(made, cuts=cuts)
                self._rows[node.output, s] = made
            for b, target in enumerate(made.buffers):
                slot = self.stat(node.input, s, b)
                low = 0
                for cut in cuts:
                    axes = (Axis(self.lanes, 0, 1, (1, 0)), Axis(cut - low, 1, 0, (0, 1)))
                    self.add(
                        Unit.VECTOR,
                        node.output,
                        Norm(
                            sentence=s,
                            block=b,
                            size=size,
                            count=cut - low,
                            norm_base=base + low,
                            shift=graph.fmt(node.beta).frac - fmt.frac,
                            bits=fmt.bits,
                        ),
                        {"source": (source.buffers[b], low), "target": (target, low), "stat_slot": (slot, 0)},
                        [Access(source.buffers[b], low, cut), Access(slot, 0, 1)],
                        [Access(target, low, cut)],
                        [Part(node.output, target, low, (self.lanes * b, low), axes)],
                    )
                    low = cut

    def _first(self, node: First) -> None:
        for s in range(self.sentences):
            source = self.read(node.input, s)
            self._rows[node.output, s] = Rows(source.buffers[:1], source.features, source.cuts)
            buffer = source.buffers[0]
            for task in self.tasks:
                for part in list(task.parts):
                    if part.buffer is buffer and part.value == node.input:
                        (feature,) = (a for a in part.axes if a.steps == (0, 1))
                        axes = (Axis(feature.count, 1, 0, (1,)),)
                        task.parts.append(replace(part, value=node.output, origin=part.origin[1:], axes=axes))

    def _store(self) -> None:
        for s in range(self.sentences):
            for task, value in self.graph.outputs.items():
                made = self.read(value, s)
                for b, buffer in enumerate(made.buffers):
                    self.add(
                        Unit.STREAM,
                        value,
                        Store(sentence=s, block=b, count=made.features),
                        {"base": (buffer, 0)},
                        [made.all_of(b)],
                    )
                    self.outputs.append(Output(task, value, s, b, made.features, not self._single(value)))


def _uses(graph: Graph) -> dict[str, list[object]]:
    """The nodes that read each value."""
    uses: dict[str, list[object]] = {}
    for node in graph.nodes:
        for name in dict.fromkeys(node_inputs(node)):
            uses.setdefault(name, []).append(node)
    return uses


def _cut(part: Part, start: int, count: int) -> Part:
    """`count` features of a part from `start` on."""
    axes = tuple(replace(axis, count=count) if axis.address else axis for axis in part.axes)
    (steps,) = (axis.steps for axis in part.axes if axis.address)
    origin = tuple(o + start * step for o, step in zip(part.origin, steps, strict=True))
    return replace(part, offset=part.offset + start, origin=origin, axes=axes)


def _is_residual(node: object, value: str) -> bool:
    return isinstance(node, Linear) and node.residual == value and node.input != value


def _role(node: object, value: str) -> str:
    if isinstance(node, Scores):
        return "query" if node.query == value else "key"
    if isinstance(node, Context):
        return "value"
    return "residual" if _is_residual(node, value) else "input"
