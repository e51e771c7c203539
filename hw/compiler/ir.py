"""What the passes hand on: buffers without addresses, and tasks, which are instructions that do not know them yet."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..host.views import Axis
from ..isa import Instruction, Memory, Space, Unit

SPACES = {m: Space(m) for m in (Memory.ACT, Memory.VECTOR, Memory.KV, Memory.SCORE, Memory.WIDE)}
"""Memories that are operands of CONTRACT, under the names they have there."""

TABLE_WORDS = 256
"""Words of a function of one input, and of an exponential table."""

STEPS = {"table_id": TABLE_WORDS, "exp_id": TABLE_WORDS}
"""Fields that count tables instead of words, and the words of one; every other field of `Task.bases` is an address."""


@dataclass(frozen=True, eq=False)
class Buffer:
    """Words of a memory that live from the first task that writes them to the last that reads them."""

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
        """Whether both touch a word."""
        return self.buffer is other.buffer and self.lo < other.hi and other.lo < self.hi


@dataclass(frozen=True)
class Rows:
    """A value with a feature a word and tokens in the lanes: one buffer a block.

    Attributes:
        buffers: by block.
        features: words of each.
        cuts: feature counts at which tasks that write it end.
    """

    buffers: tuple[Buffer, ...]
    features: int
    cuts: tuple[int, ...] = ()

    @property
    def space(self) -> Space:
        """Its memory, as an operand."""
        return SPACES[self.buffers[0].memory]

    def all_of(self, block: int) -> Access:
        """All words of a block."""
        return Access(self.buffers[block], 0, self.features)


@dataclass(frozen=True)
class Whole:
    """A value in one buffer for all blocks: keys, values."""

    buffer: Buffer


@dataclass(frozen=True)
class Part:
    """A part of a value that a task writes: a `views.View` whose instruction and base are not known yet."""

    value: str
    buffer: Buffer
    offset: int
    origin: tuple[int, ...]
    axes: tuple[Axis, ...]
    before_table: bool = False


@dataclass(eq=False)
class Task:
    """An instruction before it has addresses and waits.

    Attributes:
        unit: that executes it.
        layer: what it belongs to, for reports.
        instruction: complete but for the fields of `bases`, and the waits.
        bases: fields that hold an address, or the number of a table (`STEPS`): the buffer, and an offset in it.
        reads, writes: what it touches of buffers.
        parts: the values that it writes.
        after: the task that must stand directly before it in the list of its unit.
        behind: tasks that must be done before, whatever they write.
    """

    unit: Unit
    layer: str
    instruction: Instruction
    bases: dict[str, tuple[Buffer, int]] = field(default_factory=dict)
    reads: list[Access] = field(default_factory=list)
    writes: list[Access] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    after: Task | None = None
    behind: list[Task] = field(default_factory=list)


def dependencies(tasks: list[Task]) -> dict[Task, list[Task]]:
    """For each task the earlier ones that write what it reads, and those that it must come behind."""
    writers: dict[Buffer, list[tuple[Access, Task]]] = {}
    found: dict[Task, list[Task]] = {}
    for task in tasks:
        found[task] = [
            writer
            for read in task.reads
            for access, writer in writers.get(read.buffer, ())
            if access.overlaps(read)
        ] + [other for other in task.behind if other in found]
        for write in task.writes:
            writers.setdefault(write.buffer, []).append((write, task))
    return found
