"""Pass: let constants that find no room in their memory come with every RUN, while the layers before them compute.

The weights of some linear layers become buffers, each filled by a LOAD of the list `stream`; so do biases, gamma and
beta of LayerNorms, and tables, each kind where its own memory is too small. A table that several layers share is
brought once for each of them. Which ones: as few as possible, spread evenly over
the model, so that there is time to bring one while layers whose constants stay compute.
The buffers take turns in what is left of the memory: a LOAD waits until the constants that had its words have been
used, by all blocks and sentences. For the host, what is streamed follows the index words in the packet of a RUN, the
same in every run.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

from ..isa import (
    MEMORIES,
    Contract,
    Indexed,
    Instruction,
    LayerNorm,
    Load,
    Memory,
    Softmax,
    Space,
    Unit,
)
from .image import Image
from .ir import STEPS, Access, Buffer, Task

STREAMABLE = {
    Memory.BIAS: "biases",
    Memory.NORM: "constants of LayerNorms",
    Memory.TABLE: "tables",
    Memory.EXP: "exponential tables",
    Memory.WEIGHT: "weights of linear layers",
}
"""Memories whose constants may be streamed, and what these are. Of what one task reads, WEIGHT comes last: its LOAD may
have to wait for embeddings, and what is behind it in the packet with it."""


@dataclass(frozen=True)
class Streamed:
    """A model some of whose constants are streamed.

    Attributes:
        tasks: with the LOADs among them.
        image: the constants that stay.
        content: what each LOAD brings.
    """

    tasks: list[Task]
    image: Image
    content: dict[Task, bytes]

    @property
    def memories(self) -> set[Memory]:
        """Those that something is streamed to."""
        return {write.buffer.memory for load in self.content for write in load.writes}


@dataclass
class _Constant:
    """One constant of a memory: its place in the image, and who uses it, by which field."""

    memory: Memory
    content: bytes
    start: int
    words: int
    uses: list[tuple[Task, str]] = field(default_factory=list)
    stays: bool = False


def stream_constants(tasks: list[Task], image: Image, rooms: Mapping[Memory, int]) -> Streamed:
    """Changes tasks so that the model needs no more words of some memories than there is room for.

    A memory for which that can't be done keeps all that it has.

    Args:
        tasks: of the whole model, in order; they are changed.
        image: all its constants.
        rooms: words of memories among `STREAMABLE`.
    """
    rings: dict[Memory, int] = {}
    chosen: list[_Constant] = []
    # Rows of embeddings are read by the port that a LOAD into WEIGHT writes with: the first one waits until they are.
    port: dict[Memory, list[Task]] = {}
    for memory in STREAMABLE:
        constants = _constants(tasks, image, memory)
        leaving = _choice(constants, rooms.get(memory, image.depth.get(memory, 0)))
        if leaving:
            image = _resident(image, memory, constants, leaving)
            rings[memory] = rooms[memory] - image.depth[memory]
            chosen += [part for number in sorted(leaving) for part in _by_layer(constants[number])]
            port[memory] = [task for c in constants if c.stays for task, name in c.uses if name != "a_base"]
    order = {task: number for number, task in enumerate(tasks)}
    chosen.sort(key=lambda constant: order[constant.uses[0][0]])
    content: dict[Task, bytes] = {}
    before: dict[Task, list[Task]] = {}
    windows: dict[Memory, list[_Constant]] = {memory: [] for memory in rings}
    # The packet begins with the index words.
    behind = [task for task in tasks if isinstance(task.instruction, Load)]
    for number, constant in enumerate(chosen):
        memory, words, window = constant.memory, constant.words, windows[constant.memory]
        while words + sum(other.words for other in window) > rings[memory]:
            behind += [task for task, _ in window.pop(0).uses]
        window.append(constant)
        first = constant.uses[0][0]
        buffer = Buffer(f"{first.layer}.{memory.name.lower()}.{number}", memory, words)
        load = Task(
            Unit.STREAM,
            first.layer,
            Load(memory=memory, count=words),
            {"base": (buffer, 0)},
            writes=[Access(buffer, 0, words)],
            behind=behind + port.pop(memory, []),
        )
        # In this order, which is that of the packet.
        behind = [load]
        content[load] = constant.content
        before.setdefault(first, []).append(load)
        for task, name in constant.uses:
            task.bases[name] = (buffer, _address(task, name) - constant.start)
            _set(task, name, 0)
            task.reads.append(Access(buffer, 0, words))
    found = [one for task in tasks for one in (*before.get(task, ()), task)]
    return Streamed(found, image, content)


def _constants(tasks: Sequence[Task], image: Image, memory: Memory) -> list[_Constant]:
    """The constants of a memory in the order of the image."""
    word = 8 * MEMORIES[memory].beats(image.lanes)
    parts = image.words.get(memory, ())
    sizes = [len(part) // word for part in parts]
    starts = list(accumulate(sizes, initial=0))
    found = [_Constant(memory, *one) for one in zip(parts, starts, sizes, strict=False)]
    for task in tasks:
        for name in _fields(task.instruction, memory):
            constant = found[bisect_right(starts, _address(task, name)) - 1]
            constant.uses.append((task, name))
            constant.stays |= _early(task.instruction, name)
    return found


def _by_layer(constant: _Constant) -> list[_Constant]:
    """A constant once for each layer that uses it: what one layer brings is gone when a later one needs it."""
    layers: dict[str, list[tuple[Task, str]]] = {}
    for task, name in constant.uses:
        layers.setdefault(task.layer, []).append((task, name))
    return [replace(constant, uses=uses) for uses in layers.values()]


def _fields(instruction: Instruction, memory: Memory) -> Iterator[str]:
    """The fields of an instruction that hold an address of a constant in a memory."""
    if isinstance(instruction, Contract) and memory is Memory.WEIGHT:
        for operand in ("a", "b", "residual"):
            if getattr(instruction, f"{operand}_space") is Space.WEIGHT:
                yield f"{operand}_base"
    elif isinstance(instruction, Contract) and memory is Memory.BIAS and instruction.bias:
        yield "bias_base"
    elif isinstance(instruction, LayerNorm) and memory is Memory.NORM:
        yield "norm_base"
    elif isinstance(instruction, Contract) and memory is Memory.TABLE and instruction.has_table:
        yield "table_id"
    elif isinstance(instruction, Softmax) and memory is Memory.EXP:
        yield "exp_id"


def _early(instruction: Instruction, name: str) -> bool:
    """Whether rows that a token picks, or rows of positions, are read: before anything could be brought."""
    if name == "a_base":
        return isinstance(instruction, Contract) and instruction.a_indexed is not Indexed.NONE
    return name in ("b_base", "residual_base")


def _choice(constants: Sequence[_Constant], room: int) -> set[int]:
    """Numbers of the constants that are streamed: the fewest words that leave room for two of them at a time.

    Large ones are spared where that will do: nothing has the time to bring them. Where there is no room for two, one
    has to do. None if nothing need be streamed, or if it would not be enough.
    """
    total = sum(constant.words for constant in constants)
    if total <= room:
        return set()
    free = [number for number, constant in enumerate(constants) if not constant.stays and constant.uses]
    for slots in (2, 1):
        for largest in sorted({constants[number].words for number in free}):
            movable = [number for number in free if constants[number].words <= largest]
            for percent in range(1, 101):
                chosen = _spread(constants, movable, percent)
                sizes = sorted((constants[number].words for number in chosen), reverse=True)
                if total - sum(sizes) + sum(sizes[:slots]) <= room:
                    return chosen
    return set()


def _spread(constants: Sequence[_Constant], movable: Sequence[int], percent: int) -> set[int]:
    """A share of all words, taken evenly from the first constant to the last."""
    chosen: set[int] = set()
    passed = taken = 0
    for number in movable:
        passed += constants[number].words
        if 100 * taken < percent * passed:
            chosen.add(number)
            taken += constants[number].words
    return chosen


def _resident(image: Image, memory: Memory, constants: Sequence[_Constant], leaving: set[int]) -> Image:
    """The image of what stays, closed up; whoever uses it finds it there."""
    kept = [constant for number, constant in enumerate(constants) if number not in leaving]
    depth = 0
    for constant in kept:
        for task, name in constant.uses:
            _set(task, name, _address(task, name) - constant.start + depth)
        depth += constant.words
    words = dict(image.words) | {memory: [constant.content for constant in kept]}
    return Image(image.lanes, words, dict(image.depth) | {memory: depth})


def _address(task: Task, name: str) -> int:
    value: int = getattr(task.instruction, name)
    return value * STEPS.get(name, 1)


def _set(task: Task, name: str, address: int) -> None:
    changes: dict[str, Any] = {name: address // STEPS.get(name, 1)}
    task.instruction = replace(task.instruction, **changes)
