"""Products of linear layers that start while the preceding LayerNorm is still running.

A LayerNorm of many features is cut into several instructions (`Rows.cuts`). The first product that reads its result
is cut in the same places: its first tile is accumulated over several CONTRACTs with `keep`, each of which waits for
one part only.
"""

from __future__ import annotations

from dataclasses import replace

from ..isa import Contract, Stat
from .ir import Access, Part, Rows, Task
from .lowering import Lowering


def add_product(low: Lowering, task: Task, source: Rows, block: int) -> None:
    """Adds a product whose operand B is a block of `source`; cuts it if it is the first to read a value in parts."""
    instruction = task.instruction
    assert isinstance(instruction, Contract)
    buffer = source.buffers[block]
    if not source.cuts or buffer in low.followed or instruction.n1 != 1 or instruction.columns:
        low.add(task)
        return
    low.followed.add(buffer)
    first = replace(instruction, n2=1, rows=min(low.lanes, instruction.rows))
    previous: Task | None = None
    start = 0
    for cut in source.cuts[:-1]:
        partial = replace(
            first, nk=cut - start, keep=1, a_base=first.a_base + start, stat=Stat.NONE, has_table=0, bias=0
        )
        bases = {"b_base": (buffer, start), "c_base": task.bases["c_base"]}
        reads = (Access(buffer, start, cut),)
        previous = low.add(Task(task.unit, task.layer, partial, bases, reads, after=previous))
        start = cut
    others = tuple(access for access in task.reads if access.buffer is not buffer)
    last = replace(
        task,
        instruction=replace(first, nk=source.features - start, a_base=first.a_base + start),
        bases={**task.bases, "b_base": (buffer, start)},
        reads=(Access(buffer, start, source.features), *others),
        after=previous,
    )
    if instruction.n2 == 1:
        low.add(last)
        return
    if instruction.stat is not Stat.NONE:
        raise AssertionError("one instruction must gather a statistic as a whole")
    low.add(replace(last, parts=tuple(_features(part, 0, low.lanes) for part in task.parts)))
    low.add(_other_tiles(low, task, instruction))


def _other_tiles(low: Lowering, task: Task, instruction: Contract) -> Task:
    """A product without its first tile."""
    moved = {
        name: (buffer, offset + low.lanes)
        for name, (buffer, offset) in task.bases.items()
        if name in ("c_base", "residual_base")
    }
    rows = instruction.rows - low.lanes
    return replace(
        task,
        instruction=replace(
            instruction,
            n2=instruction.n2 - 1,
            rows=rows,
            a_base=instruction.a_base + instruction.a_stride2,
            bias_base=instruction.bias_base + low.lanes if instruction.bias else 0,
        ),
        bases={**task.bases, **moved},
        parts=tuple(_features(part, low.lanes, rows) for part in task.parts),
    )


def _features(part: Part, start: int, count: int) -> Part:
    """`count` features of a part, from `start` on."""
    axes = tuple(replace(axis, count=count) if axis.address else axis for axis in part.axes)
    (steps,) = (axis.steps for axis in part.axes if axis.address)
    origin = tuple(o + start * step for o, step in zip(part.origin, steps, strict=True))
    return replace(part, offset=part.offset + start, origin=origin, axes=axes)
