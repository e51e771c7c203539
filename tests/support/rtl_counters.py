"""What the counters of the RTL show by the cost model, and what they show beyond it."""

from __future__ import annotations

from collections.abc import Sequence

from narrowgauge.hw import isa
from narrowgauge.hw.compiler import timing
from narrowgauge.hw.isa import Contract, LayerNorm, Load, Softmax, Store, Unit
from narrowgauge.hw.isa.program import Program

COUNTERS = tuple(name for name, _ in isa.COUNTERS)

BUSY = {Softmax: -1, LayerNorm: -7, Load: -1, Store: +1}
"""Cycles in which a unit executes an instruction, less those of the cost model; at any N."""

BUSY_SHARED = +1
"""The same for a LAYERNORM that goes on with root and reciprocal of the one before."""


def predicted(program: Program, lengths: Sequence[int]) -> dict[str, int]:
    """What the counters show by the cost model, in an engine whose streams never stall."""
    timing._contract.cache_clear()
    line = timing.simulate(program, lengths)
    busy = dict.fromkeys(Unit, 0)
    for event in line.events:
        busy[event.unit] += event.busy
        instruction = program.of(event.unit)[event.number]
        if event.skipped or isinstance(instruction, Contract):
            continue
        alone = timing.cost(instruction, lengths, program.parameters.lanes).busy
        busy[event.unit] += BUSY[type(instruction)] if event.busy == alone else BUSY_SHARED
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
