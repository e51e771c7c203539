"""Lowering of linear layers, and of the functions that are applied while their results are drained."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto
from typing import Any

from ...errors import UserError
from ...graph import Context, LayerNorm, Linear, Node, Scores, Step, Table
from ..isa import Contract, Memory, Stat, Unit
from .attention import drain_values, turn_values, value_words
from .ir import Access, Buffer, Part, Rows, Task
from .lowering import Lowering
from .products import add_product


class _Result(Enum):
    """Where a layer's result is stored, which depends on the nodes that read it."""

    ROWS = auto()  # 8 bits, operand B of further products
    WIDE = auto()  # 16 bits, for LayerNorm, residuals and the host
    KEYS = auto()
    VALUES = auto()


def lower_linear(low: Lowering, node: Linear) -> None:
    """The products of a layer, one after the other, for each sentence and block; only the last one has the bias."""
    result = _result(low, node)
    *inner, last = (step for step in low.graph.steps(node) if step.kind != "merge")
    width = low.width(node.output)
    for s in range(low.sentences):
        source = low.operand(node.output, node.input, s, Memory.ACT, Memory.VECTOR)
        blocks = range(len(source.buffers))
        for step in inner:
            target = low.new_rows(step.output, s, Memory.ACT)
            for b in blocks:
                _product(low, node, step, s, b, source, target.all_of(b))
            source = target
        if result is _Result.KEYS:
            keys = low.new_kv(node.output, s, width)
            for b in blocks:
                _product(low, node, last, s, b, source, Access(keys, b * width, (b + 1) * width))
        elif result is _Result.VALUES:
            low.new_kv(node.output, s, low.lanes * value_words(low, node.output))
            one_column = last.kind == "apply" and last.inner == source.features
            for b in blocks:
                if one_column:
                    drain_values(low, node, last, s, b, source)
                else:
                    rows = Buffer(f"{node.output}.rows.{s}.{b}", Memory.ACT, width)
                    _product(low, node, last, s, b, source, Access(rows, 0, width))
                    turn_values(low, node, s, b, rows)
        else:
            target = low.new_rows(node.output, s, Memory.ACT if result is _Result.ROWS else Memory.WIDE)
            for b in blocks:
                _product(low, node, last, s, b, source, target.all_of(b))


def lower_table(low: Lowering, node: Table) -> None:
    """A function of one input has no instruction: the linear layer before it applies it while it drains.

    Raises:
        UserError: its input is not the output of a linear layer, or something else reads that output too.
    """
    from_linear = any(isinstance(n, Linear) and n.output == node.input for n in low.graph.nodes)
    if not from_linear or low.uses[node.input] != [node]:
        raise UserError(
            f"{node.output}: the engine applies a function to the output of a linear layer that nothing else reads; "
            "change the model."
        )
    for s in range(low.sentences):
        low.rows[node.output, s] = low.rows[node.input, s]


def _result(low: Lowering, node: Linear) -> _Result:
    value = node.output
    uses = low.uses.get(value, [])
    if value in low.functions:
        return _Result.ROWS
    if low.graph.fmt(value).bits > 8 or value in low.graph.outputs.values():
        if not all(isinstance(n, LayerNorm) or _is_residual(n, value) for n in uses):
            raise UserError(
                f"{value}: the engine multiplies 8-bit activations; requantize it to 8 bits first."
            )
        return _Result.WIDE
    roles = {role for node in uses for role in _roles(node, value)}
    if roles == {"key"}:
        return _Result.KEYS
    if roles == {"value"}:
        return _Result.VALUES
    if roles <= {"input", "query"}:
        return _Result.ROWS
    raise UserError(
        f"{value} is read as {' and '.join(sorted(roles))}, which the engine keeps in different memories; "
        "give each its own linear layer."
    )


def _is_residual(node: Node, value: str) -> bool:
    return isinstance(node, Linear) and node.residual == value and node.input != value


def _roles(node: Node, value: str) -> set[str]:
    """What a node reads a value as."""
    if isinstance(node, Scores):
        return {role for role, name in (("query", node.query), ("key", node.key)) if name == value}
    if isinstance(node, Context):
        return {"value"}
    return {"residual"} if _is_residual(node, value) else {"input"}


def _product(low: Lowering, node: Linear, step: Step, s: int, b: int, source: Rows, target: Access) -> None:
    """One product of a layer, drained by rows to `target`."""
    last = step.output == node.output
    instruction = Contract(
        sentence=s,
        block=b,
        nk=step.inner,
        n2=-(-step.rows // low.lanes),
        a_base=low.weight(step),
        a_stride2=step.inner,
        a_stridek=1,
        b_unsigned=int(not low.graph.fmt(step.lhs).signed),
        rows=step.rows,
        **_strides(low, step, source),
        **low.rounding(node, step),
        **(low.bias(node) if last else {}),
    )
    bases = {"b_base": (source.buffers[b], 0), "c_base": (target.buffer, target.lo)}
    reads = [source.all_of(b)]
    writes = [target]
    if last and node.residual is not None:
        residual = low.operand(node.output, node.residual, s, Memory.VECTOR, Memory.WIDE)
        bases["residual_base"] = (residual.buffers[b], 0)
        reads.append(residual.all_of(b))
    if target.buffer.memory is Memory.WIDE and low.norm_follows(step.output):
        slot = low.new_sums(step.output, s, b)
        bases["stat_slot"] = (slot, 0)
        writes.append(Access(slot, 0, 1))
        instruction = replace(instruction, stat=Stat.SUMS)
    parts = _parts(low, node, step, target, b)
    task = Task(Unit.ARRAY, node.output, instruction, bases, tuple(reads), tuple(writes), parts)
    add_product(low, task, source, b)


def _parts(low: Lowering, node: Linear, step: Step, target: Access, b: int) -> tuple[Part, ...]:
    parts = low.row_parts(step.output, target, b)
    if step.output != node.output or node.output not in low.functions:
        return parts
    before = (replace(part, before_table=True) for part in parts)
    return (*before, *low.row_parts(low.functions[node.output].output, target, b))


def _strides(low: Lowering, step: Step, source: Rows) -> dict[str, Any]:
    """How a product walks through its operand and its result; see `Step` for the two kinds."""
    groups = source.features // step.inner
    if step.kind == "apply":
        return {
            "n1": groups,
            "b_stride1": step.inner,
            "b_stridek": 1,
            "c_stride1": step.rows,
            "c_stride2": low.lanes,
            "c_stridew": 1,
        }
    return {
        "n1": groups,
        "b_stride1": 1,
        "b_stridek": groups,
        "c_stride1": 1,
        "c_stride2": low.lanes * groups,
        "c_stridew": groups,
    }
