"""What the counters of the RTL show by the cost model, and what they show beyond it."""

from __future__ import annotations

from collections.abc import Sequence

from narrowgauge.hw import isa
from narrowgauge.hw.compiler import timing
from narrowgauge.hw.isa import Load, Store, Unit
from narrowgauge.hw.isa.program import Program

COUNTERS = tuple(name for name, _ in isa.COUNTERS)

BUSY = {Load: -1, Store: +1}
"""Cycles in which the stream unit executes an instruction, less those of the cost model; at any N."""


def predicted(program: Program, lengths: Sequence[int]) -> dict[str, int]:
    """What the counters show by the cost model, in an engine whose streams never stall."""
    timing._contract.cache_clear()
    line = timing.simulate(program, lengths)
    busy = dict.fromkeys(Unit, 0)
    for event in line.events:
        busy[event.unit] += event.busy
        instruction = program.of(event.unit)[event.number]
        if event.skipped:
            continue
        busy[event.unit] += BUSY.get(type(instruction), 0)
    array, vector, stream = (line.usage(unit) for unit in Unit)
    return {
        "CYCLES": line.cycles,
        "ARRAY_BUSY": busy[Unit.ARRAY],
        "ARRAY_WAIT": array.wait,
        "ARRAY_DRAIN": array.drain_wait,
        "ARRAY_STALL": 0,
        "VECTOR_BUSY": busy[Unit.VECTOR],
        "VECTOR_WAIT": vector.wait,
        "STREAM_BUSY": busy[Unit.STREAM],
        "STREAM_WAIT": stream.wait,
        "STREAM_STALL": 0,
    }
