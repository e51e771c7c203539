"""Where the cycles of a run go, layer by layer, by the cost model. Needs numpy only, so that it runs on a board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..hw.compiler.timing import simulate
from ..hw.host.build import EngineBuild
from ..hw.isa import Unit

REST = "results"
"""What comes after the last instruction of the array: the last sums are drained and sent."""


@dataclass(frozen=True)
class LayerCycles:
    """The cycles of a layer.

    Attributes:
        layer: its name, as in `narrowgauge describe`; `REST` for the end of the run.
        busy: cycles in which the array multiplied for it.
        cycles: cycles until the array was free for the next instruction: `busy`, and those in which it waited for
            tokens, for a drain or for its first operands.
    """

    layer: str
    busy: int
    cycles: int


def cycles_by_layer(build: EngineBuild, lengths: Sequence[int]) -> list[LayerCycles]:
    """The cycles of a run by layer, in the order in which the layers begin.

    Each cycle counts for one layer: that of the instruction which the array executes in it, or waits for. What the
    other units do for a layer is in parallel to the array, and shows where the array waits for it.

    Args:
        build: the compiled model.
        lengths: tokens of each sentence of the run.

    Returns:
        Layers whose `cycles` add up to the cycles of the run by the cost model (`hw.compiler.timing`). It agrees with
        the counters of the RTL to half a percent, and less well on very small models.

    Raises:
        ProgramError: with LENGTH: a sentence is empty or too long.
    """
    timeline = simulate(build.program, lengths)
    busy: dict[str, int] = {}
    cycles: dict[str, int] = {}
    before = 0
    for event in timeline.events:
        if event.unit is Unit.ARRAY:
            layer = build.layers[Unit.ARRAY][event.number].removesuffix(".output")
            busy[layer] = busy.get(layer, 0) + event.busy
            cycles[layer] = cycles.get(layer, 0) + event.free - before
            before = event.free
    found = [LayerCycles(layer, busy[layer], cycles[layer]) for layer in cycles]
    return [*found, LayerCycles(REST, 0, timeline.cycles - before)]
