"""Pass: assign addresses to buffers. Buffers with disjoint lifetimes may share words.

The lifetime of a buffer is from the start of the first task that writes it to the end of the last task that reads it.
Two buffers share words only if their lifetimes are disjoint for sentences of every length. The largest buffers are
placed first, each at the lowest address where it fits. Where words are shared, `emit` makes the later writers wait for
the earlier readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..isa import Memory
from .ir import Buffer, Task
from .schedule import Schedule, Slot


@dataclass(frozen=True)
class Life:
    """When a buffer is in use.

    Attributes:
        spans: first and last cycle, for sentences of one block, of two, and so on; None where it is not used.
        tasks: the tasks that read or write it.
    """

    spans: tuple[tuple[int, int] | None, ...]
    tasks: tuple[Task, ...]

    @property
    def span(self) -> tuple[int, int]:
        """First and last cycle for the longest sentence."""
        last = self.spans[-1]
        assert last is not None
        return last

    def overlaps(self, other: Life) -> bool:
        """Whether both are in use at the same time, for sentences of some length."""
        return any(
            one is not None and two is not None and one[0] <= two[1] and two[0] <= one[1]
            for one, two in zip(self.spans, other.spans, strict=True)
        )


@dataclass(frozen=True)
class Allocation:
    """Addresses.

    Attributes:
        address: of each buffer's first word.
        lives: the lifetime of each buffer.
        depth: words that each memory needs.
        peak: the buffers in each memory when most of it is in use: names and words, the largest first.
    """

    address: dict[Buffer, int]
    lives: dict[Buffer, Life]
    depth: dict[Memory, int]
    peak: dict[Memory, tuple[tuple[str, int], ...]]


def allocate(schedule: Schedule, taken: Mapping[Memory, int]) -> Allocation:
    """Places every buffer of a schedule; `taken` is the number of words of a memory that constants take."""
    lives = _lives(schedule)
    address: dict[Buffer, int] = {}
    depth: dict[Memory, int] = {}
    peak: dict[Memory, tuple[tuple[str, int], ...]] = {}
    for memory in dict.fromkeys(buffer.memory for buffer in lives):
        buffers = [buffer for buffer in lives if buffer.memory is memory]
        floor = taken.get(memory, 0)
        placed: list[Buffer] = []
        for buffer in sorted(buffers, key=lambda b: (-b.words, lives[b].span)):
            others = sorted(
                (address[other], address[other] + other.words)
                for other in placed
                if lives[other].overlaps(lives[buffer])
            )
            at = floor
            for lo, hi in others:
                if lo - at >= buffer.words:
                    break
                at = max(at, hi)
            address[buffer] = at
            placed.append(buffer)
        depth[memory] = max(address[b] + b.words for b in buffers)
        peak[memory] = _peak(buffers, lives)
    return Allocation(address, lives, depth, peak)


def _lives(schedule: Schedule) -> dict[Buffer, Life]:
    touched: dict[Buffer, list[Task]] = {}
    for tasks in schedule.lists:
        for task in tasks:
            for access in (*task.writes, *task.reads):
                touched.setdefault(access.buffer, []).append(task)
    return {
        buffer: Life(tuple(_span(times, tasks) for times in schedule.times), tuple(tasks))
        for buffer, tasks in touched.items()
    }


def _span(times: dict[Task, Slot], tasks: list[Task]) -> tuple[int, int] | None:
    slots = [times[task] for task in tasks if task in times]
    return (min(s.start for s in slots), max(s.end for s in slots)) if slots else None


def _peak(buffers: list[Buffer], lives: dict[Buffer, Life]) -> tuple[tuple[str, int], ...]:
    """The buffers in use at the time when their total size is largest."""

    def at(time: int) -> list[Buffer]:
        return [b for b in buffers if lives[b].span[0] <= time <= lives[b].span[1]]

    fullest = max((lives[b].span[0] for b in buffers), key=lambda time: sum(b.words for b in at(time)))
    return tuple((b.name, b.words) for b in sorted(at(fullest), key=lambda b: -b.words))


def sharers(allocation: Allocation) -> dict[Buffer, list[Buffer]]:
    """For each buffer, the buffers of earlier lifetimes that have words in common with it."""
    earlier: dict[Buffer, list[Buffer]] = {}
    by_memory: dict[Memory, list[Buffer]] = {}
    for buffer in allocation.address:
        by_memory.setdefault(buffer.memory, []).append(buffer)
    for buffers in by_memory.values():
        # Sorted by address, so that only neighbors are compared.
        buffers.sort(key=lambda b: allocation.address[b])
        for k, one in enumerate(buffers):
            end = allocation.address[one] + one.words
            for other in buffers[k + 1 :]:
                if allocation.address[other] >= end:
                    break
                first, second = sorted((one, other), key=lambda b: allocation.lives[b].span)
                earlier.setdefault(second, []).append(first)
    return earlier
