"""Pass: stream the constants that do not fit in their memory: load them in every RUN, while earlier layers compute.

The weights of some linear layers become buffers, each filled by a LOAD of the list `stream`. The same applies to
biases, to gamma and beta of LayerNorms, and to tables, wherever their memory is too small. A table that several layers
share is loaded once for each of them. As few constants as possible are streamed. They are spread evenly over the model,
so that each can be loaded while layers with resident constants compute.

The buffers use the rest of the memory in turns: a LOAD waits until all blocks and sentences have used the constants
that it overwrites. In the packet of a RUN, the streamed constants follow the index words. Every RUN sends the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
"""Memories whose constants can be streamed, and what these are. Of the constants that one task reads, those in WEIGHT
come last: their LOAD may have to wait for embeddings, and everything after it in the packet waits too."""


@dataclass(frozen=True)
class Streamed:
    """A model with streamed constants.

    Attributes:
        tasks: of the model, with the LOADs of streamed constants among them.
        image: the resident constants.
        content: the beats that each LOAD reads.
    """

    tasks: tuple[Task, ...]
    image: Image
    content: Mapping[Task, bytes]

    @property
    def memories(self) -> set[Memory]:
        """The memories with streamed constants."""
        return {write.buffer.memory for load in self.content for write in load.writes}


@dataclass(frozen=True)
class _Use:
    """A field of a task's instruction that refers to a constant, `offset` words after its start."""

    task: Task
    name: str
    offset: int


@dataclass(frozen=True)
class _Constant:
    """One constant of a memory.

    Attributes:
        memory: the memory that holds it.
        content: its beats.
        words: its size in words of the memory.
        uses: the tasks that read it, in their order.
    """

    memory: Memory
    content: bytes
    words: int
    uses: tuple[_Use, ...]

    @property
    def resident(self) -> bool:
        """Whether it can't be streamed, because it is read before a LOAD could have filled a buffer."""
        return any(_early(use.task.instruction, use.name) for use in self.uses)


def stream_constants(tasks: Sequence[Task], image: Image, rooms: Mapping[Memory, int]) -> Streamed:
    """Streams as many constants as each memory needs to fit. A memory that can't be made to fit keeps all of them.

    Args:
        tasks: of the whole model, in an order in which they could be executed.
        image: all constants of the model.
        rooms: available words of memories among `STREAMABLE`.
    """
    addresses: dict[Task, dict[str, int]] = {}
    ring_words: dict[Memory, int] = {}
    streamed: list[_Constant] = []
    # LOADs into WEIGHT use the port that reads embedding rows: the first of these LOADs waits for the embeddings.
    port: dict[Memory, list[Task]] = {}
    for memory in STREAMABLE:
        constants = _constants(tasks, image, memory)
        leaving = _choice(constants, rooms.get(memory, image.depth.get(memory, 0)))
        if leaving:
            resident = [constant for number, constant in enumerate(constants) if number not in leaving]
            image = _resident(image, memory, resident, addresses)
            ring_words[memory] = rooms[memory] - image.depth[memory]
            streamed += [part for number in sorted(leaving) for part in _by_layer(constants[number])]
            port[memory] = [u.task for c in resident if c.resident for u in c.uses if u.name != "a_base"]
    order = {task: number for number, task in enumerate(tasks)}
    streamed.sort(key=lambda constant: order[constant.uses[0].task])
    return _with_loads(tasks, image, addresses, _rings(tasks, streamed, ring_words, port))


@dataclass(frozen=True)
class _Placed:
    """A streamed constant, its buffer, and the tasks that its LOAD must wait for, apart from other LOADs."""

    constant: _Constant
    buffer: Buffer
    behind: tuple[Task, ...]


def _rings(
    tasks: Sequence[Task],
    constants: Sequence[_Constant],
    ring_words: Mapping[Memory, int],
    port: Mapping[Memory, Sequence[Task]],
) -> list[_Placed]:
    """Gives each streamed constant a buffer. Its LOAD waits for all uses of the constants whose words it takes."""
    placed: list[_Placed] = []
    windows: dict[Memory, deque[_Constant]] = {memory: deque() for memory in ring_words}
    # The index words come first in the packet.
    behind = [task for task in tasks if isinstance(task.instruction, Load)]
    for number, constant in enumerate(constants):
        memory, window = constant.memory, windows[constant.memory]
        while constant.words + sum(other.words for other in window) > ring_words[memory]:
            behind += [use.task for use in window.popleft().uses]
        if all(other.constant.memory is not memory for other in placed):
            behind += port[memory]
        window.append(constant)
        layer = constant.uses[0].task.layer
        buffer = Buffer(f"{layer}.{memory.name.lower()}.{number}", memory, constant.words)
        placed.append(_Placed(constant, buffer, tuple(behind)))
        behind = []
    return placed


def _with_loads(
    tasks: Sequence[Task],
    image: Image,
    addresses: Mapping[Task, Mapping[str, int]],
    placed: Sequence[_Placed],
) -> Streamed:
    """The tasks with new addresses of resident constants, with buffers of streamed ones, and with their LOADs."""
    buffers: dict[Task, dict[str, tuple[Buffer, int]]] = {}
    for item in placed:
        for use in item.constant.uses:
            buffers.setdefault(use.task, {})[use.name] = (item.buffer, use.offset)
    waiting = deque(placed)
    changed: dict[Task, Task] = {}
    result: list[Task] = []
    content: dict[Task, bytes] = {}
    previous: tuple[Task, ...] = ()
    for task in tasks:
        while waiting and waiting[0].constant.uses[0].task is task:
            item = waiting.popleft()
            buffer = item.buffer
            load = Task(
                Unit.STREAM,
                task.layer,
                Load(memory=buffer.memory, count=buffer.words),
                {"base": (buffer, 0)},
                writes=(Access(buffer, 0, buffer.words),),
                # The LOADs are chained in this order, which is that of the packet. Uses by later tasks, those of
                # another sentence, are not waited for: `allocate` gives the buffer other words while they are to come.
                behind=previous + tuple(changed[other] for other in item.behind if other in changed),
            )
            content[load] = item.constant.content
            result.append(load)
            previous = (load,)
        bases = buffers.get(task, {})
        fields: dict[str, Any] = dict.fromkeys(bases, 0)
        fields |= {name: address // STEPS.get(name, 1) for name, address in addresses.get(task, {}).items()}
        changed[task] = replace(
            task,
            instruction=replace(task.instruction, **fields),
            bases={**task.bases, **bases},
            reads=(*task.reads, *(Access(buffer, 0, buffer.words) for buffer, _ in bases.values())),
            after=None if task.after is None else changed[task.after],
            behind=tuple(changed[other] for other in task.behind),
        )
        result.append(changed[task])
    return Streamed(tuple(result), image, content)


def _constants(tasks: Sequence[Task], image: Image, memory: Memory) -> list[_Constant]:
    """The constants of a memory in the order of the image."""
    word = 8 * MEMORIES[memory].beats(image.lanes)
    parts = image.words.get(memory, ())
    sizes = [len(part) // word for part in parts]
    starts = list(accumulate(sizes, initial=0))
    uses: list[list[_Use]] = [[] for _ in parts]
    for task in tasks:
        for name in _fields(task.instruction, memory):
            address = getattr(task.instruction, name) * STEPS.get(name, 1)
            number = bisect_right(starts, address) - 1
            uses[number].append(_Use(task, name, address - starts[number]))
    return [_Constant(memory, *one) for one in zip(parts, sizes, map(tuple, uses), strict=True)]


def _by_layer(constant: _Constant) -> list[_Constant]:
    """One constant per layer that uses it: it is overwritten between two layers, and loaded for each."""
    layers: dict[str, list[_Use]] = {}
    for use in constant.uses:
        layers.setdefault(use.task.layer, []).append(use)
    return [replace(constant, uses=tuple(uses)) for uses in layers.values()]


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
    """Whether a field is the address of embedding rows, selected by token or position: nothing is computed before."""
    if name == "a_base":
        return isinstance(instruction, Contract) and instruction.a_indexed is not Indexed.NONE
    return name in ("b_base", "residual_base")


def _choice(constants: Sequence[_Constant], room: int) -> set[int]:
    """Numbers of the constants to stream: as few words as possible, with room for two of the streamed ones at a time.

    If two never fit at the same time, there is room for one. Large constants stay resident if possible: there would not
    be enough time to load them. The set is empty if nothing must be streamed, or if streaming is not enough.
    """
    total = sum(constant.words for constant in constants)
    if total <= room:
        return set()
    free = [number for number, constant in enumerate(constants) if not constant.resident and constant.uses]
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
    """Numbers of constants with `percent` of all words, spread evenly from the first constant to the last."""
    chosen: set[int] = set()
    passed = taken = 0
    for number in movable:
        passed += constants[number].words
        if 100 * taken < percent * passed:
            chosen.add(number)
            taken += constants[number].words
    return chosen


def _resident(
    image: Image, memory: Memory, kept: Sequence[_Constant], addresses: dict[Task, dict[str, int]]
) -> Image:
    """The image with `kept` as the only constants of a memory; adds their new addresses to `addresses`."""
    depth = 0
    for constant in kept:
        for use in constant.uses:
            addresses.setdefault(use.task, {})[use.name] = depth + use.offset
        depth += constant.words
    words = dict(image.words) | {memory: [constant.content for constant in kept]}
    return Image(image.lanes, words, dict(image.depth) | {memory: depth})
