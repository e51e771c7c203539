"""What the page shows of an answer: its words by slots, the best classes, and the cycles of each unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..hw.isa import COUNTERS, Unit
from ..text.scores import OUTSIDE, spans

if TYPE_CHECKING:
    from .model import Answer

LEVELS = {
    "board": "The engine on the FPGA computed this answer. The driver reached it through PYNQ.",
    "virtual": "The RTL of the engine computed this answer in a simulation. The driver reached it through PYNQ and a "
    "model of the DMA, as on a board. The cycles are the engine's; the time is that of the simulation.",
    "rtl": "The RTL of the engine computed this answer in a simulation, without a driver. The cycles are the "
    "engine's; the time is that of the simulation.",
    "hls": "The C++ of the engine for high-level synthesis computed this answer. It has no clock, so it counts no "
    "cycles.",
    "program": "The program simulator executed the engine's program in numpy. It has no clock, so it counts no "
    "cycles.",
    "golden": "The golden model computed this answer in numpy from the graph of the model, without an engine.",
}
"""What it means that a level computed an answer."""

_CLASSES = 5
"""Classes whose logits the page shows."""

_COLOURS = 8
"""Colours of slots in `web/static/page.css`."""


@dataclass(frozen=True)
class Chunk:
    """Words that belong to one slot, or one word without a slot.

    Attributes:
        words: separated by blanks.
        slot: the type of the slot; None outside of slots.
        colour: number of its colour; the same slot always has the same.
    """

    words: str
    slot: str | None = None
    colour: int = 0


@dataclass(frozen=True)
class Bar:
    """A part of a bar.

    Attributes:
        name: of the class, or of what the unit did.
        value: a logit, or cycles.
        start, width: in percent of the whole bar.
    """

    name: str
    value: int
    start: float
    width: float


def chunks(answer: Answer, slots: Sequence[str]) -> list[Chunk]:
    """The words of an answer by slots.

    Args:
        answer: of a model with or without slots.
        slots: the tags of the model, which number the colours.
    """
    types = list(dict.fromkeys(tag[2:] for tag in slots if tag != OUTSIDE))
    found = {start: (type_, end) for type_, start, end in spans(answer.slots or ())}
    result = []
    at = 0
    while at < len(answer.words):
        type_, end = found.get(at, (None, at))
        words = " ".join(answer.words[at : end + 1])
        result.append(Chunk(words, type_, types.index(type_) % _COLOURS if type_ in types else 0))
        at = end + 1
    return result


def classes(answer: Answer, names: Sequence[str]) -> list[Bar]:
    """The best classes with their logits, as parts of the range of all logits."""
    low = min(answer.logits)
    span = max(1, max(answer.logits) - low)
    order = sorted(range(len(names)), key=lambda at: -answer.logits[at])[:_CLASSES]
    return [Bar(names[at], answer.logits[at], 0, 100 * (answer.logits[at] - low) / span) for at in order]


def units(cycles: Mapping[str, int]) -> dict[str, list[Bar]]:
    """For each unit, what it did in the cycles of a run.

    The last part has no counter: an instruction begins or ends, or there is no further one.

    Args:
        cycles: the counters, by the names of `isa.COUNTERS`.
    """
    total = max(1, cycles["CYCLES"])
    result = {}
    for unit in Unit:
        prefix = f"{unit.name}_"
        parts = {
            name.removeprefix(prefix).lower(): cycles[name] for name, _ in COUNTERS if name.startswith(prefix)
        }
        parts["other"] = max(0, total - sum(parts.values()))
        bars, start = [], 0
        for name, value in parts.items():
            bars.append(Bar(name, value, 100 * start / total, 100 * value / total))
            start += value
        result[unit.name.lower()] = bars
    return result
