"""The cost model: the cycles of an instruction, and when each instruction of a program runs.

It models the hardware of `docs/isa.md`. The latencies of that hardware are the constants below. Conflicts between units
for a port of a memory are not modelled.

CONTRACT: one pair of operands is fed per cycle. A finished tile is copied, so that it is drained while the next one is
fed, also across instructions. Let F(j) be the cycle after the one in which the last operand of tile j is
fed, and D(j) the cycle after the one in which its last word is drained. With f operands per tile and w words to drain:

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
    Softmax,
    Stat,
    Unit,
)
from ..isa.program import Program, ProgramError

ISSUE = 1
"""Cycles from the one in which an array instruction can start to the one in which its first operand is fed."""

PIPE = 7
"""Cycles from the last operand of a tile to its first drained word: read, multiply, accumulate, select."""

AHEAD = 7
"""Cycles by which the feeding of a tile may start before its accumulators are drained: its first sum is written this
long after its first operand is fed. Tiles with as many operands as words therefore follow each other without a gap."""

WRITE = 6
"""Cycles from the last drained word to its retirement: bias, residual, shift, table, write."""

WAKE = 1
"""Cycles from a retirement to the first cycle in which another instruction sees it."""

SKIP = 1
"""Cycles of a skipped instruction."""

START = 2
"""Cycles before the vector unit reads its first word: it reads and checks the instruction and STAT."""

DIVIDE = 18
"""Cycles of a SOFTMAX between the last read of the first pass and the first of the second: one per bit of the quotient,
and one to begin. The latencies before and after the division overlap with the reads."""

SOFTMAX_PIPE = 10
"""Cycles from the last read of a SOFTMAX to the last write: `WordLatency` + `LookupLatency` of ng_pkg + 5."""

NORM_SETUP = 32
"""Cycles of a LAYERNORM from its statistic to the first read, in addition to one per lane: variance, root and
reciprocal; once per token block. 35 - `WordLatency` of ng_pkg."""

NORM_PIPE = 14
"""Cycles from the last word that LAYERNORM reads to the last word that it writes: `WordLatency` of ng_pkg + 11."""

LOAD_SETUP = 4
"""Cycles of a LOAD in addition to one per beat, if the host keeps up."""

STORE_SETUP = 5
"""Cycles of a STORE in addition to one per beat, if the host keeps up: `WordLatency` of ng_pkg + 2."""


@dataclass(frozen=True)
class Cost:
    """Cycles of an instruction, without its waits.

    Attributes:
        busy: cycles in which the array multiplies, or another unit works.
        occupied: cycles until the unit can start its next instruction.
        latency: cycles until it has retired.
        skipped: whether it is skipped at these lengths.
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
        start: cycle in which it starts.
        free: cycle in which its unit can start the next instruction.
        end: cycle in which it has retired.
        waited: cycles before `start` in which its unit waited for tokens.
        stalled: cycles between `start` and `free` in which the array waited for a drain.
        busy: cycles in which the array multiplied, or another unit worked.
        skipped: whether it was skipped.
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
    """Total cycles of a unit: working, waiting for tokens, and (the array) waiting for a drain."""

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
        """The share of cycles in which the array multiplies, 0 to 1."""
        return self.usage(Unit.ARRAY).busy / self.cycles if self.cycles else 0.0

    def rows(self) -> list[dict[str, Any]]:
        """The events as dictionaries that JSON can hold."""
        return [{**asdict(event), "unit": event.unit.name.lower()} for event in self.events]


def cost(
    instruction: Instruction,
    lengths: Sequence[int],
    lanes: int,
    previous: Instruction | None = None,
) -> Cost:
    """The cycles of an instruction, without its waits.

    Args:
        instruction: of any unit.
        lengths: tokens of each sentence of the run.
        lanes: N.
        previous: the instruction before it on the vector unit, if its results are still valid: see `shares_setup`.
    """
    if is_skipped(instruction, lengths, lanes):
        return Cost(0, SKIP, SKIP, True)
    if isinstance(instruction, Contract):
        array = _Array()
        event = array.execute(instruction, lengths[instruction.sentence], lanes, 0, 0)
        return Cost(event.busy, event.free, event.end)
    if isinstance(instruction, Softmax):
        cycles = START + 2 * lengths[instruction.sentence] + DIVIDE + SOFTMAX_PIPE
    elif isinstance(instruction, LayerNorm):
        shared = previous is not None and shares_setup(previous, instruction)
        cycles = START + (0 if shared else lanes + NORM_SETUP) + instruction.count + NORM_PIPE
    elif isinstance(instruction, Load):
        from_length = instruction.count_source == Count.LENGTH
        words = lengths[instruction.sentence] if from_length else instruction.count
        cycles = words * isa.MEMORIES[instruction.memory].beats(lanes) + LOAD_SETUP
    else:
        cycles = instruction.count * isa.MEMORIES[isa.Memory.WIDE].beats(lanes) + STORE_SETUP
    return Cost(cycles, cycles, cycles)


def is_skipped(instruction: Instruction, lengths: Sequence[int], lanes: int) -> bool:
    """Whether an instruction belongs to a sentence or token block that a run with these lengths does not have."""
    sentence = instruction.sentence
    return sentence >= len(lengths) or lanes * instruction.block >= lengths[sentence]


def shares_setup(previous: Instruction, instruction: Instruction) -> bool:
    """Whether a LAYERNORM reuses the root and the reciprocal of the instruction before it on the vector unit.

    It does if both are LAYERNORMs that read the same word of STAT with the same size. The caller must check that no
    CONTRACT has written that word in between.
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
        program: its three lists are run.
        lengths: tokens of each sentence.

    Raises:
        ProgramError: with LENGTH, or with DEADLOCK and the instruction that waits.
    """
    lengths = tuple(lengths)
    if not 1 <= len(lengths) <= program.sentences or not all(1 <= n <= program.max_length for n in lengths):
        raise ProgramError(
            Error.LENGTH,
            f"expected 1 to {program.sentences} sentences of 1 to {program.max_length} tokens, "
            f"got lengths {', '.join(map(str, lengths)) or '(none)'}.",
        )
    n = program.parameters.lanes
    array = _Array()
    other = {Unit.VECTOR: _Sequential(array), Unit.STREAM: _Sequential(array)}
    units: dict[Unit, _Array | _Sequential] = {Unit.ARRAY: array, **other}
    ends: dict[Unit, list[int]] = {unit: [] for unit in Unit}
    events: list[Event] = []
    while True:
        # The instruction that starts first is next: everything that retires before its start is then known.
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
    """The cycle in which all waits of an instruction are met; None if that is not yet known."""
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
    """The state of the array: when its tiles are fed and drained."""

    def __init__(self) -> None:
        self.free = 0
        self.retired = 0
        self.gathered: dict[int, list[int]] = {}
        """For each word of STAT, the cycles in which it was written."""
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
            # Nothing is drained: the next instruction continues with the same accumulators.
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
        # Instructions retire in order, even if they drain nothing.
        self.retired = max(end, self.retired)
        if contract.stat != Stat.NONE and not contract.keep:
            self.gathered.setdefault(contract.stat_slot, []).append(self.retired)
        stalled = tiles.fed - begin - count * max(1, nk)
        return Event(Unit.ARRAY, number, start, self.free, self.retired, waited, stalled, count * nk, False)


class _Sequential:
    """The state of the vector unit or of the stream unit, which execute one instruction at a time."""

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
        """The previous instruction, unless the word of STAT that this one reads has been written since."""
        if self._last is None or not isinstance(instruction, LayerNorm):
            return None
        since, previous = self._last
        writes = self._array.gathered.get(instruction.stat_slot, [])
        return previous if bisect_right(writes, since) == bisect_right(writes, start) else None


@dataclass(frozen=True)
class _Tiles:
    """The state of the array after a tile: its F, the D of the tile before it, and its D."""

    fed: int
    drained: int
    draining: int

    def next(self, operands: int, words: int) -> _Tiles:
        """The state one tile later. The tile uses the accumulators that are free from `drained` on."""
        fed = max(self.fed, self.drained - AHEAD) + operands
        return _Tiles(fed, self.draining, max(fed + PIPE, self.draining) + words)

    def later(self, cycles: int) -> _Tiles:
        """The state shifted by a number of cycles."""
        return _Tiles(self.fed + cycles, self.drained + cycles, self.draining + cycles)


def _words(n: int, n2: int, rows: int) -> tuple[tuple[int, int], ...]:
    """The words that the tiles of loop 2 drain, as runs (tiles, words per tile)."""
    full = min(n2, rows // n)
    tail = min(n2 - full, 1 if rows % n else 0)
    runs = ((full, n), (tail, rows % n), (n2 - full - tail, 0))
    return tuple(run for run in runs if run[0])


@lru_cache(maxsize=4096)
def _contract(
    drained: int, draining: int, operands: int, words: tuple[tuple[int, int], ...], sweeps: int
) -> _Tiles:
    """The state after a CONTRACT that feeds its first operand in cycle 0: `sweeps` times the tiles of loop 2."""

    def sweep(tiles: _Tiles) -> _Tiles:
        for count, drain in words:
            tiles = _repeat(partial(_Tiles.next, operands=operands, words=drain), tiles, count)
        return tiles

    return _repeat(sweep, _Tiles(0, drained, draining), sweeps)


def _repeat(step: Callable[[_Tiles], _Tiles], tiles: _Tiles, count: int) -> _Tiles:
    """`step` applied `count` times.

    The recurrence has only maxima and sums, so it soon becomes periodic. The remaining periods are skipped at once.
    """
    seen: dict[tuple[int, int], tuple[int, int]] = {}
    done = 0
    while done < count:
        # A drain that ended long ago delays nothing; its exact cycle does not matter.
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
