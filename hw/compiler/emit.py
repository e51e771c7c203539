"""Pass: enter addresses and waits in the instructions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..host.views import View
from ..isa import Instruction, Unit, wait
from .allocate import Allocation, sharers
from .ir import STEPS, Task
from .schedule import Schedule


def emit(
    plan: Schedule, allocation: Allocation
) -> tuple[tuple[tuple[Instruction, ...], ...], tuple[View, ...]]:
    """The instruction lists of the three units, and where they write the values of the graph."""
    number = {task: k for tasks in plan.lists for k, task in enumerate(tasks)}
    shared = sharers(allocation)
    lists = []
    views = []
    for tasks in plan.lists:
        instructions = []
        for task in tasks:
            waits = [0] * len(Unit)

            def need(other: Task, waits: list[int] = waits) -> None:
                waits[other.unit] = max(waits[other.unit], number[other] + 1)

            for other in plan.needs[task]:
                # The vector and the stream unit finish each instruction before they start the next one.
                if other.unit is not task.unit or task.unit is Unit.ARRAY:
                    need(other)
            for write in task.writes:
                for earlier in shared.get(write.buffer, ()):
                    for other in allocation.lives[earlier].tasks:
                        if other.unit is not task.unit:
                            need(other)
            bases: dict[str, Any] = {
                name: (allocation.address[buffer] + offset) // STEPS.get(name, 1)
                for name, (buffer, offset) in task.bases.items()
            }
            instructions.append(wait(replace(task.instruction, **bases), *waits))
            for part in task.parts:
                views.append(
                    View(
                        part.value,
                        task.unit,
                        number[task],
                        task.instruction.sentence,
                        part.buffer.memory,
                        allocation.address[part.buffer] + part.offset,
                        part.origin,
                        part.axes,
                        part.before_table,
                    )
                )
        lists.append(tuple(instructions))
    return tuple(lists), tuple(views)
