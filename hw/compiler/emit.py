"""Pass: enter addresses and waits in the instructions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..host.views import View
from ..isa import Instruction, Unit, wait
from .allocate import Allocation, sharers
from .ir import STEPS, Buffer, Part, Task
from .schedule import Schedule


def emit(
    schedule: Schedule, allocation: Allocation
) -> tuple[tuple[tuple[Instruction, ...], ...], tuple[View, ...]]:
    """The instruction lists of the three units, and where they write the values of the graph."""
    number = {task: k for tasks in schedule.lists for k, task in enumerate(tasks)}
    shared = sharers(allocation)
    lists: list[tuple[Instruction, ...]] = []
    views: list[View] = []
    for tasks in schedule.lists:
        instructions = []
        for task in tasks:
            waits = [0] * len(Unit)
            for other in (*_producers(task, schedule), *_users_of_its_words(task, allocation, shared)):
                waits[other.unit] = max(waits[other.unit], number[other] + 1)
            bases: dict[str, Any] = {
                name: (allocation.address[buffer] + offset) // STEPS.get(name, 1)
                for name, (buffer, offset) in task.bases.items()
            }
            instructions.append(wait(replace(task.instruction, **bases), *waits))
            views += [_view(part, task, number[task], allocation) for part in task.parts]
        lists.append(tuple(instructions))
    return tuple(lists), tuple(views)


def _producers(task: Task, schedule: Schedule) -> Iterable[Task]:
    """The tasks whose results a task needs, and which may still be running when its unit is free."""
    # The vector and the stream unit finish each instruction before they start the next one.
    in_order = task.unit is not Unit.ARRAY
    return (other for other in schedule.needs[task] if not (in_order and other.unit is task.unit))


def _users_of_its_words(
    task: Task, allocation: Allocation, shared: dict[Buffer, list[Buffer]]
) -> Iterable[Task]:
    """The tasks of other units that use earlier buffers in the words that a task writes."""
    return (
        other
        for write in task.writes
        for earlier in shared.get(write.buffer, ())
        for other in allocation.lives[earlier].tasks
        if other.unit is not task.unit
    )


def _view(part: Part, task: Task, number: int, allocation: Allocation) -> View:
    return View(
        part.value,
        task.unit,
        number,
        task.instruction.sentence,
        part.buffer.memory,
        allocation.address[part.buffer] + part.offset,
        part.origin,
        part.axes,
        part.before_table,
    )
