"""The cost model: what an instruction costs in cycles, and when each instruction of a program runs.

The model is that of the hardware of `docs/isa.md`: its constants stand here and nowhere else. Two units that want
the same port of a memory in one cycle are not modelled.

CONTRACT: one pair of operands is fed each cycle; there are two sets of accumulators, so that a tile is drained while
the next one is fed, also across instructions. With F(j) the cycle after the one that feeds tile j's last operand, D(j)
that after its last word is drained, f operands a tile and w words to drain:

    start(j) = max(F(j-1), D(j-2) - AHEAD)
    F(j)     = start(j) + max(1, f)
    D(j)     = max(F(j) + PIPE, D(j-1)) + w
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any

from .. import isa
from ..isa import (
    Contract,
    Count,
    Error,
    Instruction,
    LayerNorm,
    Load,
    Parameters,
    Softmax,
    Stat,
    Unit,
)
from ..isa.program import Program, ProgramError

ISSUE = 1
"""Cycles from the one in which an array instruction may start to the one that feeds its first operand."""

PIPE = 6
"""Cycles from the last operand of a tile to its first drained word: read, multiply, accumulate, select."""

AHEAD = 6
"""Cycles by which a tile may be fed before its accumulators are drained: its first sum is written that long after
its first operand is fed. So tiles of as many operands as words follow each other without a gap."""

WRITE = 5
"""Cycles from the last drained word to its retirement: bias, residual, shift, table, write."""

WAKE = 1
"""Cycles from a retirement to the first one in which another instruction sees it."""

SKIP = 1
"""Cycles of an instruction that is skipped."""

START = 2
"""Cycles before the vector unit reads its first word: its instruction and STAT are read and checked."""

DIVIDE = 20
"""Cycles of an exact division: one bit a cycle, and its ends."""

ROOT = 16
"""Cycles of a square root of 16 bits."""

SOFTMAX_PIPE = 8
"""Cycles from the last word that SOFTMAX reads to the last that it writes, twice half of it."""

NORM_SETUP = 12
"""Cycles of a LAYERNORM's variance, normalization and reciprocal beside root and division, once a block of lanes."""

NORM_PIPE = 10
"""Cycles from the last word that LAYERNORM reads to the last that it writes."""

STREAM_SETUP = 4
"""Cycles of a LOAD or STORE beside one a beat, if the host is as fast."""


@dataclass(frozen=True)
class Cost:
    """Cycles of an instruction by itself, its waits not counted.

    Attributes:
        busy: in which the array multiplies, or another unit is at work.
        occupied: until the unit can start its next instruction.
        latency: until it has retired.
        skipped: whether it does nothing at these lengths.
    """

    busy: int
    occupied: int
    latency: int
    skipped: bool = False


@dataclass(frozen=True)
class Event:
    """An instruction of a run.

    Attributes:
        unit, number: its place in the list of its unit.
        start: cycle in which it begins.
        free: cycle in which its unit can begin another.
        end: cycle in which it has retired.
        waited: cycles before `start` in which its unit waited for tokens.
        stalled: cycles between `start` and `free` in which the array waited for a drain.
        busy: cycles in which the array multiplied, or another unit was at work.
        skipped: whether it did nothing.
    """

    unit: Unit
    number: int
    start: int
    free: int
    end: int
    waited: int
    stalled: int
    busy: int
    skipped: bool


@dataclass(frozen=True)
class Usage:
    """What a unit did in all: cycles at work, waiting for tokens, and (the array) standing still for a drain."""

    busy: int
    wait: int
    drain_wait: int


@dataclass(frozen=True)
class Timeline:
    """When every instruction of a run starts and ends.

    Attributes:
        lanes: N.
        lengths: tokens of each sentence.
        events: in the order in which they start.
        cycles: from the start to the last retirement.
    """

    lanes: int
    lengths: tuple[int, ...]
    events: tuple[Event, ...]
    cycles: int

    def usage(self, unit: Unit) -> Usage:
        """The sums over a unit's instructions."""
        mine = [event for event in self.events if event.unit is unit]
        return Usage(
            sum(event.busy for event in mine),
            sum(event.waited for event in mine),
            sum(event.stalled for event in mine),
        )

    @property
    def utilization(self) -> float:
        """The share of all cycles in which the array multiplies, 0 to 1."""
        return self.usage(Unit.ARRAY).busy / self.cycles if self.cycles else 0.0

    def rows(self) -> list[dict[str, Any]]:
        """The events in JSON's types."""
        return [{**asdict(event), "unit": event.unit.name.lower()} for event in self.events]


def cost(
    instruction: Instruction,
    lengths: Sequence[int],
    lanes: Parameters | int,
    previous: Instruction | None = None,
) -> Cost:
    """What an instruction costs by itself.

    Args:
        instruction: any.
        lengths: tokens of each sentence of the run.
        lanes: N, or the engine's parameters.
        previous: what the vector unit executed before, and what it left is still good: see `shares_setup`.
    """
    n = lanes.lanes if isinstance(lanes, Parameters) else lanes
    if is_skipped(instruction, lengths, n):
        return Cost(0, SKIP, SKIP, True)
    if isinstance(instruction, Contract):
        array = _Array()
        event = array.execute(instruction, lengths[instruction.sentence], n, 0, 0)
        return Cost(event.busy, event.free, event.end)
    if isinstance(instruction, Softmax):
        cycles = START + 2 * lengths[instruction.sentence] + DIVIDE + SOFTMAX_PIPE
    elif isinstance(instruction, LayerNorm):
        shared = previous is not None and shares_setup(previous, instruction)
        cycles = START + (0 if shared else n + ROOT + DIVIDE + NORM_SETUP) + instruction.count + NORM_PIPE
    elif isinstance(instruction, Load):
        from_length = instruction.count_source == Count.LENGTH
        words = lengths[instruction.sentence] if from_length else instruction.count
        cycles = words * isa.MEMORIES[instruction.memory].beats(n) + STREAM_SETUP
    else:
        cycles = instruction.count * isa.MEMORIES[isa.Memory.WIDE].beats(n) + STREAM_SETUP
    return Cost(cycles, cycles, cycles)


def is_skipped(instruction: Instruction, lengths: Sequence[int], lanes: int) -> bool:
    """Whether a run with these lengths has no such sentence or no such block."""
    sentence = instruction.sentence
    return sentence >= len(lengths) or lanes * instruction.block >= lengths[sentence]


def shares_setup(previous: Instruction, instruction: Instruction) -> bool:
    """Whether a LAYERNORM can use root and reciprocal of the one that the vector unit executed before.

    It can if both read the same word of STAT with the same size, and no CONTRACT has written it in between (which the
    caller must know).
    """
    if not isinstance(previous, LayerNorm) or not isinstance(instruction, LayerNorm):
        return False
    return (previous.sentence, previous.block, previous.stat_slot, previous.size) == (
        instruction.sentence,
        instruction.block,
        instruction.stat_slot,
        instruction.size,
    )


def simulate(program: Program, lengths: Sequence[int]) -> Timeline:
    """When every instruction of a run starts and ends.

    Args:
        program: whose lists are run.
        lengths: tokens of each sentence.

    Raises:
        ProgramError: LENGTH, or DEADLOCK with the instruction that waits.
    """
    lengths = tuple(lengths)
    if not 1 <= len(lengths) <= program.sentences or not all(1 <= n <= program.max_length for n in lengths):
        raise ProgramError(
            Error.LENGTH,
            f"the program takes 1 to {program.sentences} sentences of 1 to {program.max_length} tokens; "
            f"give such lengths instead of {', '.join(map(str, lengths)) or 'none'}.",
        )
    n = program.parameters.lanes
    array = _Array()
    other = {Unit.VECTOR: _Sequential(array), Unit.STREAM: _Sequential(array)}
    units: dict[Unit, _Array | _Sequential] = {Unit.ARRAY: array, **other}
    ends: dict[Unit, list[int]] = {unit: [] for unit in Unit}
    events: list[Event] = []
    while True:
        # The one that starts first is next: then whatever has retired before it starts is known.
        first: tuple[int, Unit, Instruction] | None = None
        pending: Unit | None = None
        for unit in Unit:
            number = len(ends[unit])
            instructions = program.of(unit)
            if number == len(instructions):
                continue
            instruction = instructions[number]
            if is_skipped(instruction, lengths, n):
                start = units[unit].free
            else:
                ready = _ready(instruction, ends)
                if ready is None:
                    pending = unit if pending is None else pending
                    continue
                start = max(units[unit].free, ready)
            if first is None or start < first[0]:
                first = start, unit, instruction
        if first is None:
            if pending is None:
                break
            number = len(ends[pending])
            raise ProgramError(
                Error.DEADLOCK,
                f"instruction {number} of the list {pending.name.lower()} waits for a token that no unit sends; "
                "compile the model again.",
                pending,
                number,
            )
        start, unit, instruction = first
        event = _execute(units[unit], instruction, lengths, n, start, unit, len(ends[unit]))
        ends[unit].append(event.end)
        events.append(event)
    cycles = max((event.end for event in events), default=0)
    return Timeline(n, lengths, tuple(events), cycles)


def _ready(instruction: Instruction, ends: dict[Unit, list[int]]) -> int | None:
    """The cycle in which the waits are met; None if not yet known."""
    ready = 0
    for unit, wait in zip(Unit, isa.waits(instruction), strict=True):
        if wait > len(ends[unit]):
            return None
        if wait:
            ready = max(ready, ends[unit][wait - 1] + WAKE)
    return ready


def _execute(
    state: _Array | _Sequential,
    instruction: Instruction,
    lengths: Sequence[int],
    n: int,
    start: int,
    unit: Unit,
    number: int,
) -> Event:
    if is_skipped(instruction, lengths, n):
        state.free += SKIP
        state.retired = max(state.retired, state.free)
        return Event(unit, number, start, state.free, state.retired, 0, 0, 0, True)
    if isinstance(state, _Array):
        assert isinstance(instruction, Contract)
        return state.execute(instruction, lengths[instruction.sentence], n, start, number)
    return state.execute(instruction, lengths, n, start, unit, number)


class _Array:
    """The array: when it is fed, and when its tiles are drained."""

    def __init__(self) -> None:
        self.free = 0
        self.retired = 0
        self.gathered: dict[int, list[int]] = {}
        """The cycles in which each word of STAT was written."""
        self._tiles = _Tiles(0, 0, 0)

    def execute(self, contract: Contract, length: int, n: int, start: int, number: int) -> Event:
        """Runs a CONTRACT that may start in the cycle `start`."""
        tokens = min(n, length - n * contract.block)
        n0 = tokens if contract.n0_source == Count.TOKENS else contract.n0
        n2 = -(-length // n) if contract.n2_source == Count.BLOCKS else contract.n2
        nk = {Count.LENGTH: length, Count.TOKENS: tokens}.get(contract.nk_source, contract.nk)
        rows = {Count.LENGTH: length, Count.TOKENS: tokens}.get(contract.rows_source, contract.rows)
        count = n0 * contract.n1 * n2
        begin = start + ISSUE
        before = self._tiles
        tiles = _Tiles(begin, before.drained, before.draining)
        if contract.keep:
            # Nothing is drained: the next instruction goes on in the same accumulators.
            tiles = _Tiles(begin + max(1, nk), before.drained, before.draining)
            end = tiles.fed + PIPE
        elif count:
            tiles = _contract(
                max(before.drained - begin, -PIPE),
                max(before.draining - begin, -PIPE),
                max(1, nk),
                _words(n, n2, rows),
                n0 * contract.n1,
            ).later(begin)
            end = tiles.draining + WRITE
        else:
            end = begin
        self._tiles = tiles
        waited = start - self.free
        self.free = tiles.fed
        # Instructions retire in order, whatever they have to drain.
        self.retired = max(end, self.retired)
        if contract.stat != Stat.NONE and not contract.keep:
            self.gathered.setdefault(contract.stat_slot, []).append(self.retired)
        stalled = tiles.fed - begin - count * max(1, nk)
        return Event(Unit.ARRAY, number, start, self.free, self.retired, waited, stalled, count * nk, False)


class _Sequential:
    """The vector unit or the stream unit: one instruction after the other."""

    def __init__(self, array: _Array) -> None:
        self.free = 0
        self.retired = 0
        self._array = array
        self._last: tuple[int, Instruction] | None = None

    def execute(
        self, instruction: Instruction, lengths: Sequence[int], n: int, start: int, unit: Unit, number: int
    ) -> Event:
        """Runs an instruction that may start in the cycle `start`."""
        cycles = cost(instruction, lengths, n, self._before(instruction, start)).busy
        self._last = start, instruction
        waited = start - self.free
        self.free = self.retired = start + cycles
        return Event(unit, number, start, self.free, self.retired, waited, 0, cycles, False)

    def _before(self, instruction: Instruction, start: int) -> Instruction | None:
        """The instruction before, if no statistic of this one was written since."""
        if self._last is None or not isinstance(instruction, LayerNorm):
            return None
        since, previous = self._last
        writes = self._array.gathered.get(instruction.stat_slot, [])
        return previous if bisect_right(writes, since) == bisect_right(writes, start) else None


@dataclass(frozen=True)
class _Tiles:
    """Where the array is: F of the last tile, D of the one before it, and D of the last."""

    fed: int
    drained: int
    draining: int

    def next(self, operands: int, words: int) -> _Tiles:
        """One tile later. `drained` is that of the accumulators which the tile takes."""
        fed = max(self.fed, self.drained - AHEAD) + operands
        return _Tiles(fed, self.draining, max(fed + PIPE, self.draining) + words)

    def later(self, cycles: int) -> _Tiles:
        """The same, `cycles` later."""
        return _Tiles(self.fed + cycles, self.drained + cycles, self.draining + cycles)


def _words(n: int, n2: int, rows: int) -> tuple[tuple[int, int], ...]:
    """What the tiles of loop 2 drain: (tiles, words) runs."""
    full = min(n2, rows // n)
    tail = min(n2 - full, 1 if rows % n else 0)
    runs = ((full, n), (tail, rows % n), (n2 - full - tail, 0))
    return tuple(run for run in runs if run[0])


@lru_cache(maxsize=4096)
def _contract(
    drained: int, draining: int, operands: int, words: tuple[tuple[int, int], ...], sweeps: int
) -> _Tiles:
    """All tiles of a CONTRACT that feeds its first operand in cycle 0; `sweeps` times those of loop 2."""

    def sweep(tiles: _Tiles) -> _Tiles:
        for count, drain in words:
            tiles = _repeat(partial(_Tiles.next, operands=operands, words=drain), tiles, count)
        return tiles

    return _repeat(sweep, _Tiles(0, drained, draining), sweeps)


def _repeat(step: Callable[[_Tiles], _Tiles], tiles: _Tiles, count: int) -> _Tiles:
    """`step` applied `count` times.

    The recurrence is one of maxima and sums: soon the tiles come at a steady pace, and what is left is a product.
    """
    seen: dict[tuple[int, int], tuple[int, int]] = {}
    done = 0
    while done < count:
        # What ended long ago holds nobody up, whenever it was.
        key = max(tiles.drained - tiles.fed, -PIPE), max(tiles.draining - tiles.fed, -PIPE)
        if key in seen:
            before, fed = seen[key]
            turns = (count - done) // (done - before)
            tiles = tiles.later(turns * (tiles.fed - fed))
            done += turns * (done - before)
            seen = {}
            if done == count:
                break
        seen[key] = done, tiles.fed
        tiles = step(tiles)
        done += 1
    return tiles
