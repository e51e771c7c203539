"""Pass: let weights that find no room in WEIGHT memory come with every RUN, while the layers before them compute.

The weights of some linear layers become buffers, each filled by a LOAD of the list `stream`. Which ones: as few as
possible, spread evenly over the model, so that there is time to bring one while layers whose weights stay compute.
The buffers take turns in what is left of the memory: a LOAD waits until the weights that had its words have been
used, by all blocks and sentences. For the host, what is streamed follows the index words in the packet of a RUN, the
same in every run.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

from ..isa import Contract, Indexed, Load, Memory, Space, Unit
from .image import Image
from .ir import Access, Buffer, Task

_OPERANDS = ("a", "b", "residual")


@dataclass(frozen=True)
class Streamed:
    """A model some of whose weights are streamed.

    Attributes:
        tasks: with the LOADs among them.
        image: the weights that stay.
        content: what each LOAD brings.
    """

    tasks: list[Task]
    image: Image
    content: dict[Task, bytes]


@dataclass
class _Weights:
    """One weight of WEIGHT memory: its place in the image and who uses it."""

    start: int
    words: int
    uses: list[tuple[Task, str]] = field(default_factory=list)
    stays: bool = False


def stream_weights(tasks: list[Task], image: Image, room: int) -> Streamed | None:
    """Changes tasks so that the model needs no more than `room` words of WEIGHT memory, or gives None if it can't.

    Args:
        tasks: of the whole model, in order; they are changed.
        image: all its constants.
        room: words of WEIGHT memory.
    """
    weights = _weights(tasks, image)
    if image.depth.get(Memory.WEIGHT, 0) <= room:
        return Streamed(tasks, image, {})
    chosen = _choice(weights, room)
    if chosen is None:
        return None
    resident, moved = _resident(image, weights, chosen)
    ring = room - resident.depth.get(Memory.WEIGHT, 0)
    loads: dict[Task, bytes] = {}
    before: dict[Task, Task] = {}
    window: list[_Weights] = []
    # The packet begins with the index words. The rows of embeddings are read by the port that a LOAD writes with.
    behind = [task for task in tasks if isinstance(task.instruction, Load)]
    behind += [task for weight in weights if weight.stays for task, operand in weight.uses if operand != "a"]
    content = image.words[Memory.WEIGHT]
    for number, weight in enumerate(weights):
        if number not in chosen:
            for task, operand in weight.uses:
                _set(task, operand, _base(task, operand) + moved[number] - weight.start)
            continue
        while sum(w.words for w in (*window, weight)) > ring:
            behind += [task for task, _ in window.pop(0).uses]
        window.append(weight)
        buffer = Buffer(f"{weight.uses[0][0].layer}.weights.{number}", Memory.WEIGHT, weight.words)
        load = Task(
            Unit.STREAM,
            weight.uses[0][0].layer,
            Load(memory=Memory.WEIGHT, count=weight.words),
            {"base": (buffer, 0)},
            writes=[Access(buffer, 0, weight.words)],
            behind=behind,
        )
        # In this order, which is that of the packet.
        behind = [load]
        loads[load] = content[number]
        before[weight.uses[0][0]] = load
        for task, operand in weight.uses:
            task.bases[f"{operand}_base"] = (buffer, _base(task, operand) - weight.start)
            _set(task, operand, 0)
            task.reads.append(Access(buffer, 0, weight.words))
    found = []
    for task in tasks:
        if task in before:
            found.append(before[task])
        found.append(task)
    return Streamed(found, resident, loads)


def _weights(tasks: Sequence[Task], image: Image) -> list[_Weights]:
    """The weights in the order of the image, which is that of their first use."""
    sizes = [len(part) // image.lanes for part in image.words.get(Memory.WEIGHT, ())]
    starts = list(accumulate(sizes, initial=0))
    found = [_Weights(start, size) for start, size in zip(starts, sizes, strict=False)]
    for task in tasks:
        if not isinstance(task.instruction, Contract):
            continue
        for operand in _OPERANDS:
            base = f"{operand}_base"
            if getattr(task.instruction, f"{operand}_space") is not Space.WEIGHT or base in task.bases:
                continue
            weight = found[bisect_right(starts, getattr(task.instruction, base)) - 1]
            weight.uses.append((task, operand))
            # Rows that a token picks, and rows of positions, are used before anything could be brought.
            if operand != "a" or task.instruction.a_indexed is not Indexed.NONE:
                weight.stays = True
    return found


def _choice(weights: Sequence[_Weights], room: int) -> set[int] | None:
    """Numbers of the weights that are streamed: the fewest words that leave room for two of them at a time.

    Large ones are spared where that will do: nothing has the time to bring them.
    """
    free = [number for number, weight in enumerate(weights) if not weight.stays and weight.uses]
    sizes = sorted({weights[number].words for number in free})
    total = sum(weight.words for weight in weights)
    for largest in sizes:
        movable = [number for number in free if weights[number].words <= largest]
        for percent in range(1, 101):
            chosen = _spread(weights, movable, percent)
            two = sorted((weights[number].words for number in chosen), reverse=True)[:2]
            if total - sum(weights[number].words for number in chosen) + sum(two) <= room:
                return chosen
    return None


def _spread(weights: Sequence[_Weights], movable: Sequence[int], percent: int) -> set[int]:
    """A share of all words, taken evenly from the first weight to the last."""
    chosen: set[int] = set()
    passed = taken = 0
    for number in movable:
        passed += weights[number].words
        if 100 * taken < percent * passed:
            chosen.add(number)
            taken += weights[number].words
    return chosen


def _resident(image: Image, weights: Sequence[_Weights], chosen: set[int]) -> tuple[Image, dict[int, int]]:
    """The image of what stays, and where each weight of it lies now."""
    parts = image.words[Memory.WEIGHT]
    kept = [number for number in range(len(weights)) if number not in chosen]
    starts = accumulate((weights[number].words for number in kept), initial=0)
    places = dict(zip(kept, starts, strict=False))
    words = dict(image.words) | {Memory.WEIGHT: [parts[number] for number in kept]}
    depth = dict(image.depth) | {Memory.WEIGHT: sum(weights[number].words for number in kept)}
    return Image(image.lanes, words, depth), places


def _base(task: Task, operand: str) -> int:
    base: int = getattr(task.instruction, f"{operand}_base")
    return base


def _set(task: Task, operand: str, address: int) -> None:
    changes: dict[str, Any] = {f"{operand}_base": address}
    task.instruction = replace(task.instruction, **changes)
