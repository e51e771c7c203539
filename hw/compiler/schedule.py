"""Pass: order the tasks of each unit by list scheduling, the longest path to the end first.

The array and the vector unit work in parallel on different token blocks, heads or sentences. The scheduler simulates
the units with the cost model. Whenever a unit is free, it takes, among the tasks whose operands are ready, the one with
the longest path of dependent tasks. Where memory is scarce (`tight`), it takes the one that comes first in the model,
and waits a short time for it: the buffers of one layer are then consumed before the next layer starts.

One program serves every length, and short sentences have priority: the tasks of the first block are ordered as if
there were no other blocks, and the tasks of each further block are then inserted without changing that order.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ..isa import Unit
from .ir import Task, dependencies
from .timing import Cost, cost

_PATIENCE = 64
"""Cycles that a unit may wait for the task that comes first in the model (`tight`)."""


@dataclass(frozen=True)
class Slot:
    """The first and the last cycle of a task, by the cost model."""

    start: int
    end: int


@dataclass(frozen=True)
class Schedule:
    """The order of each unit's list, and the times of its tasks.

    Attributes:
        lists: by unit.
        times: by task, for sentences of one block, of two, and so on up to the longest.
        needs: for each task, the tasks that it must wait for.
    """

    lists: tuple[list[Task], ...]
    times: tuple[dict[Task, Slot], ...]
    needs: dict[Task, list[Task]]


def schedule(
    tasks: Sequence[Task], longest: int, sentences: int, lanes: int, tight: bool = False
) -> Schedule:
    """Orders tasks for sentences of all lengths.

    Args:
        tasks: in an order in which they could be executed one at a time.
        longest: tokens of the longest sentence.
        sentences: sentences per run.
        lanes: N.
        tight: use little memory rather than few cycles.
    """
    ordered: Schedule | None = None
    times: list[dict[Task, Slot]] = []
    for block in range(-(-longest // lanes)):
        length = min(longest, lanes * (block + 1))
        present = [task for task in tasks if task.instruction.block <= block]
        fixed = ordered.lists if ordered is not None else ()
        ordered = _place(present, [length] * sentences, lanes, fixed, tight)
        times += ordered.times
    if ordered is None or len(times[-1]) != len(tasks):
        raise AssertionError("a task belongs to a block past the longest sentence")
    return replace(ordered, times=tuple(times))


def _place(
    tasks: Sequence[Task], lengths: Sequence[int], lanes: int, fixed: Sequence[list[Task]], tight: bool
) -> Schedule:
    """List scheduling; tasks in `fixed`, by unit, keep their order."""
    needs = dependencies(tasks)
    costs = {task: cost(task.instruction, lengths, lanes) for task in tasks}
    chains = _chains(tasks)
    heads = [task for task in tasks if task.after is None]
    missing = _prerequisites(heads, chains, needs, fixed)
    followers: dict[Task, list[Task]] = {head: [] for head in heads}
    for head in heads:
        for before in missing[head]:
            followers[before].append(head)
    number = {head: k for k, head in enumerate(heads)}
    if tight:
        rank, patience = {head: -k for head, k in number.items()}, _PATIENCE
    else:
        rank, patience = _ranks(heads, chains, needs, {task: c.latency for task, c in costs.items()}), 0

    lists: tuple[list[Task], ...] = tuple([] for _ in Unit)
    slots: dict[Task, Slot] = {}
    free = [0] * len(Unit)
    # By unit: the chains that are ready, by rank, and those that will be, by time.
    ready: list[list[tuple[int, int, Task]]] = [[] for _ in Unit]
    coming: list[list[tuple[int, int, int, Task]]] = [[] for _ in Unit]

    def release(head: Task) -> None:
        time = _earliest(chains[head], needs, slots, costs)
        heapq.heappush(coming[head.unit], (time, -rank[head], number[head], head))

    for head in heads:
        if not missing[head]:
            release(head)
    while any(ready) or any(coming):
        unit = min(
            (u for u in Unit if ready[u] or coming[u]),
            key=lambda u: free[u] if ready[u] else max(free[u], coming[u][0][0]),
        )
        if not ready[unit]:
            free[unit] = max(free[unit], coming[unit][0][0])
        while coming[unit] and coming[unit][0][0] <= free[unit] + patience:
            _, negative, k, head = heapq.heappop(coming[unit])
            heapq.heappush(ready[unit], (negative, k, head))
        head = heapq.heappop(ready[unit])[2]
        for task in chains[head]:
            start = max(
                free[unit], max((slots[n].end + 1 for n in needs[task] if n not in chains[head]), default=0)
            )
            slots[task] = Slot(start, start + costs[task].latency)
            free[unit] = start + costs[task].occupied
            lists[unit].append(task)
        for follower in followers[head]:
            missing[follower].remove(head)
            if not missing[follower]:
                release(follower)
    return Schedule(lists, (slots,), needs)


def _chains(tasks: Sequence[Task]) -> dict[Task, list[Task]]:
    """For each task, the chain of tasks that it belongs to (`Task.after`), from the first task on."""
    chains: dict[Task, list[Task]] = {}
    for task in tasks:
        chains[task] = chains[task.after] if task.after is not None else []
        chains[task].append(task)
    return chains


def _prerequisites(
    heads: Sequence[Task],
    chains: Mapping[Task, Sequence[Task]],
    needs: Mapping[Task, Sequence[Task]],
    fixed: Sequence[Sequence[Task]],
) -> dict[Task, set[Task]]:
    """For each chain, the chains that must be placed before it; a chain is named by its first task."""
    links = [(task, need) for head in heads for task in chains[head] for need in needs[task]]
    for order in fixed:
        links += [(task, before) for before, task in pairwise(order)]
    before: dict[Task, set[Task]] = {head: set() for head in heads}
    for task, need in links:
        head, other = chains[task][0], chains[need][0]
        if head is not other:
            before[head].add(other)
    return before


def _ranks(
    heads: list[Task],
    chains: dict[Task, list[Task]],
    needs: dict[Task, list[Task]],
    latency: dict[Task, int],
) -> dict[Task, int]:
    """Cycles from the start of each chain to the end of the run, if every unit were always free."""
    after: dict[Task, int] = dict.fromkeys(heads, 0)
    rank: dict[Task, int] = {}
    for head in reversed(heads):
        rank[head] = after[head] + sum(latency[task] for task in chains[head])
        for need in (chains[need][0] for task in chains[head] for need in needs[task]):
            if need is not head:
                after[need] = max(after[need], rank[head])
    return rank


def _earliest(
    chain: list[Task], needs: dict[Task, list[Task]], slots: dict[Task, Slot], costs: Mapping[Task, Cost]
) -> int:
    """The earliest start of a chain with which none of its tasks has to wait for operands."""
    time = 0
    passed = 0
    for task in chain:
        ready = max((slots[n].end + 1 for n in needs[task] if n in slots), default=0)
        time = max(time, ready - passed)
        passed += costs[task].occupied
    return time
