"""What the passes exchange: buffers without addresses, and tasks, which are instructions that refer to buffers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..host.views import Axis
from ..isa import TABLE_WORDS, Instruction, Memory, Space, Unit

SPACES = {m: Space(m) for m in (Memory.ACT, Memory.VECTOR, Memory.KV, Memory.SCORE, Memory.WIDE)}
"""The operand space of each memory that holds buffers which CONTRACT reads or writes."""

STEPS = {"table_id": TABLE_WORDS, "exp_id": TABLE_WORDS}
"""Words per unit of the fields that hold a table number. Every other field of `Task.bases` holds a word address."""


@dataclass(frozen=True, eq=False)
class Buffer:
    """Words of a memory that are in use from the first task that writes them to the last task that reads them."""

    name: str
    memory: Memory
    words: int


@dataclass(frozen=True)
class Access:
    """Words `lo` .. `hi` - 1 of a buffer, read or written by a task."""

    buffer: Buffer
    lo: int
    hi: int

    def overlaps(self, other: Access) -> bool:
        """Whether the two accesses have a word in common."""
        return self.buffer is other.buffer and self.lo < other.hi and other.lo < self.hi


@dataclass(frozen=True)
class Rows:
    """A value stored with one feature per word and one token per lane: one buffer per token block.

    Attributes:
        buffers: by block.
        features: words of each buffer.
        cuts: the feature counts at which the tasks that write the value end; empty if one task writes each buffer.
    """

    buffers: tuple[Buffer, ...]
    features: int
    cuts: tuple[int, ...] = ()

    def all_of(self, block: int) -> Access:
        """All words of a block."""
        return Access(self.buffers[block], 0, self.features)


@dataclass(frozen=True)
class Part:
    """A part of a value that a task writes: a `views.View` whose instruction number and address are not yet known."""

    value: str
    buffer: Buffer
    offset: int
    origin: tuple[int, ...]
    axes: tuple[Axis, ...]
    before_table: bool = False


@dataclass(frozen=True, eq=False)
class Task:
    """An instruction whose addresses and waits are not yet known.

    Attributes:
        unit: the unit that executes it.
        layer: the layer that it belongs to, for reports.
        instruction: complete except for the fields in `bases` and the waits.
        bases: for each field that holds an address or a table number (`STEPS`), a buffer and an offset in it.
        reads, writes: the accesses to buffers.
        parts: the values that it writes.
        after: the task that must stand directly before it in the list of its unit.
        behind: further tasks that must have retired before it starts.
    """

    unit: Unit
    layer: str
    instruction: Instruction
    bases: Mapping[str, tuple[Buffer, int]] = field(default_factory=dict)
    reads: tuple[Access, ...] = ()
    writes: tuple[Access, ...] = ()
    parts: tuple[Part, ...] = ()
    after: Task | None = None
    behind: tuple[Task, ...] = ()


def dependencies(tasks: Iterable[Task]) -> dict[Task, list[Task]]:
    """For each task, the earlier tasks that write what it reads, and those in `behind`."""
    writers: dict[Buffer, list[tuple[Access, Task]]] = {}
    needs: dict[Task, list[Task]] = {}
    for task in tasks:
        needs[task] = [
            writer
            for read in task.reads
            for access, writer in writers.get(read.buffer, ())
            if access.overlaps(read)
        ] + [other for other in task.behind if other in needs]
        for write in task.writes:
            writers.setdefault(write.buffer, []).append((write, task))
    return needs
