"""The cost model against a machine that is stepped cycle by cycle."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.hw import isa
from narrowgauge.hw.compiler import timing
from narrowgauge.hw.isa import (
    Contract,
    Count,
    Instruction,
    LayerNorm,
    Load,
    Parameters,
    Softmax,
    Stat,
    Store,
    Unit,
)
from narrowgauge.hw.isa.program import Program, ProgramError

N = 8
PARAMETERS = Parameters(lanes=N)


def program(
    array: list[Instruction], vector: list[Instruction] | None = None, stream: list[Instruction] | None = None
) -> Program:
    return Program(PARAMETERS, 64, 2, (), tuple(array), tuple(vector or ()), tuple(stream or ()), 0)


@dataclass
class Tile:
    """A tile, and how much of it is to be done."""

    number: int
    operands: int
    words: int
    last: bool
    ready: int | None = None


@dataclass
class Machine:
    """The array, one cycle after the other, from the sentences of `timing`'s docstring and nothing else."""

    contracts: list[Contract]
    length: int
    cycle: int = 0
    fed: list[Tile] = field(default_factory=list)
    retired: dict[int, int] = field(default_factory=dict)
    busy: int = 0

    def tiles(self, number: int) -> list[Tile]:
        c = self.contracts[number]
        n0 = min(N, self.length - N * c.block) if c.n0_source == Count.TOKENS else c.n0
        n2 = math.ceil(self.length / N) if c.n2_source == Count.BLOCKS else c.n2
        nk = self.length if c.nk_source == Count.LENGTH else c.nk
        rows = self.length if c.rows_source == Count.LENGTH else c.rows
        found = []
        for _ in range(n0):
            for _ in range(c.n1):
                for i2 in range(n2):
                    found.append(Tile(number, nk, max(0, min(N, rows - N * i2)), False))
        found[-1].last = True
        return found

    def run(self) -> None:
        queue = [tile for number in range(len(self.contracts)) for tile in self.tiles(number)]
        current: Tile | None = None
        left = 0  # operands that the current tile still takes
        gap = 0
        issued = -1
        drains: list[Tile] = []  # tiles that hold accumulators, in order; the first is drained
        while len(self.retired) < len(self.contracts):
            while drains and drains[0].ready is not None and drains[0].ready <= self.cycle:
                if drains[0].words:
                    break
                self.drained(drains.pop(0))
            if current is not None and left == 0:
                current.ready = self.cycle + timing.PIPE
                current = None
            if current is None and queue and queue[0].number > issued:
                issued += 1
                gap = timing.ISSUE
            if gap:
                gap -= 1
            elif current is None and queue and self.free(drains):
                current = queue.pop(0)
                left = max(1, current.operands)
                self.busy += current.operands
                drains.append(current)
            left -= 1
            if drains and drains[0].ready is not None and drains[0].ready <= self.cycle:
                drains[0].words -= 1
            self.cycle += 1

    def drained(self, tile: Tile) -> None:
        if tile.last:
            self.retired[tile.number] = self.cycle + timing.WRITE

    def free(self, drains: list[Tile]) -> bool:
        """Whether accumulators are free, or will be when the first product arrives."""
        over = self.cycle
        for tile in drains[: max(0, len(drains) - 1)]:
            assert tile.ready is not None
            over = max(over, tile.ready) + tile.words
        return over - timing.AHEAD <= self.cycle


def random_contract(rng: random.Random) -> Contract:
    n2 = rng.choice([1, 1, 2, 5, 9])
    return Contract(
        n0=rng.choice([1, 1, 2, 3]),
        n0_source=rng.choice([Count.CONST, Count.CONST, Count.TOKENS]),
        n1=rng.choice([1, 1, 2, 4]),
        n2=n2,
        n2_source=rng.choice([Count.CONST, Count.CONST, Count.BLOCKS]),
        nk=rng.choice([0, 1, 2, 7, 8, 9, 15, 16, 40]),
        nk_source=rng.choice([Count.CONST, Count.CONST, Count.LENGTH]),
        rows=rng.choice([0, 1, N * n2, max(0, N * n2 - 3), N * n2 // 2]),
        rows_source=rng.choice([Count.CONST, Count.CONST, Count.LENGTH]),
    )


@pytest.mark.parametrize("seed", range(60))
def test_the_array_runs_as_stepped(seed: int) -> None:
    rng = random.Random(seed)
    contracts = [random_contract(rng) for _ in range(rng.randint(1, 12))]
    length = rng.choice([1, 7, 8, 9, 20])
    machine = Machine(contracts, length)
    machine.run()
    timeline = timing.simulate(program(list(contracts)), [length])
    ends = {event.number: event.end for event in timeline.events}
    assert ends == machine.retired
    assert timeline.usage(Unit.ARRAY).busy == machine.busy
    assert timeline.cycles == max(machine.retired.values())
    first = timing.cost(contracts[0], [length], N)
    assert first.latency == ends[0]


@given(st.integers(1, 2), st.integers(1, 40), st.integers(0, 70), st.integers(0, 400))
def test_busy_waiting_and_standing_still_are_all_there_is(n0: int, n2: int, nk: int, rows: int) -> None:
    contract = Contract(n0=n0, n2=n2, nk=nk, rows=rows)
    timeline = timing.simulate(program([contract, contract]), [9])
    used = timeline.usage(Unit.ARRAY)
    idle_tiles = 2 * n0 * n2 if nk == 0 else 0
    assert timeline.events[-1].free == used.busy + used.wait + used.drain_wait + 2 * timing.ISSUE + idle_tiles


def test_large_counts_cost_no_time() -> None:
    contract = Contract(n0=4095, n1=4095, n2=4095, nk=100, rows=4095)
    assert timing.cost(contract, [1], 32).busy == 4095**3 * 100


def test_vector_and_stream_units() -> None:
    n = 5
    softmax = timing.START + 2 * n + timing.DIVIDE + timing.SOFTMAX_PIPE
    assert timing.cost(Softmax(), [n], N).occupied == softmax
    setup = N + timing.NORM_SETUP
    norm = timing.START + 30 + timing.NORM_PIPE
    assert timing.cost(LayerNorm(count=30), [n], N).latency == norm + setup
    assert timing.cost(Load(count=4), [n], 16).busy == 8 + timing.LOAD_SETUP
    assert timing.cost(Load(memory=isa.Memory.INDEX, count_source=Count.LENGTH), [n], 16).busy == (
        2 * n + timing.LOAD_SETUP
    )
    assert timing.cost(Store(count=3), [n], 32).busy == 3 * 8 + timing.STORE_SETUP
    assert timing.cost(Softmax(sentence=1), [n], N) == timing.Cost(0, timing.SKIP, timing.SKIP, True)
    assert timing.cost(Softmax(block=1), [8], N).skipped
    assert not timing.cost(Softmax(block=1), [9], N).skipped


def test_a_layernorm_in_parts_sets_up_once_for_each_statistic() -> None:
    statistic = Contract(stat=Stat.SUMS, stat_slot=3)
    part = LayerNorm(count=10, stat_slot=3)
    parts: list[Instruction] = [
        LayerNorm(count=10, stat_slot=3, wait_array=1),
        part,
        LayerNorm(count=10, stat_slot=4),
        part,
        LayerNorm(count=10, stat_slot=3, wait_array=2),
    ]
    late = Contract(stat=Stat.SUMS, stat_slot=3, wait_vector=4)
    timeline = timing.simulate(program([statistic, late], parts), [4])
    busy = [event.busy for event in timeline.events if event.unit is Unit.VECTOR]
    short = timing.START + 10 + timing.NORM_PIPE
    full = short + N + timing.NORM_SETUP
    # The last one follows one of its own kind, but reads another statistic.
    assert busy == [full, short, full, full, full]


def test_waits_end_the_cycle_after_the_retirement() -> None:
    array: list[Instruction] = [Contract(nk=9), Contract(nk=4, wait_array=1), Contract(wait_vector=1)]
    vector: list[Instruction] = [Softmax(wait_array=2), Softmax(sentence=1, wait_array=99)]
    stream: list[Instruction] = [Store(wait_array=3, wait_vector=2)]
    timeline = timing.simulate(program(array, vector, stream), [4])
    at = {(event.unit, event.number): event for event in timeline.events}
    assert at[Unit.ARRAY, 1].start == at[Unit.ARRAY, 0].end + timing.WAKE
    assert at[Unit.ARRAY, 1].waited == at[Unit.ARRAY, 1].start - at[Unit.ARRAY, 0].free
    assert at[Unit.VECTOR, 0].start == at[Unit.ARRAY, 1].end + timing.WAKE
    assert at[Unit.ARRAY, 2].start == at[Unit.VECTOR, 0].end + timing.WAKE
    assert at[Unit.VECTOR, 1].skipped and at[Unit.VECTOR, 1].end == at[Unit.VECTOR, 0].end + timing.SKIP
    assert at[Unit.STREAM, 0].start == at[Unit.ARRAY, 2].end + timing.WAKE
    assert timeline.cycles == at[Unit.STREAM, 0].end
    assert timeline.usage(Unit.STREAM).wait == at[Unit.STREAM, 0].start


@pytest.mark.parametrize("seed", range(30))
def test_whatever_the_waits_order_and_tokens_are_kept(seed: int) -> None:
    rng = random.Random(seed)
    lists: list[list[Instruction]] = [[], [], []]
    for _ in range(60):
        unit = rng.randrange(3)
        waits: dict[str, Any] = {
            f"wait_{name}": rng.choice([0, max(0, len(lists[i]) - rng.randint(0, 3))])
            for i, name in enumerate(("array", "vector", "stream"))
        }
        sentence = rng.choice([0, 0, 1])
        if unit == 0:
            instruction: Instruction = Contract(
                sentence=sentence, nk=rng.randint(0, 30), n1=rng.randint(0, 4), **waits
            )
        elif unit == 1:
            instruction = Softmax(sentence=sentence, **waits)
        else:
            instruction = Store(sentence=sentence, count=rng.randint(0, 50), **waits)
        lists[unit].append(instruction)
    run = program(*lists)
    timeline = timing.simulate(run, [11])
    assert len(timeline.events) == 60
    ends: dict[tuple[Unit, int], int] = {}
    for event in timeline.events:
        ends[event.unit, event.number] = event.end
    for event in timeline.events:
        if event.number:
            assert event.end >= ends[event.unit, event.number - 1]
        if not event.skipped:
            instruction = run.of(event.unit)[event.number]
            for unit, count in zip(Unit, isa.waits(instruction), strict=True):
                assert count == 0 or event.start >= ends[unit, count - 1] + timing.WAKE
        assert event.start <= event.free <= event.end
    assert [e.start for e in timeline.events] == sorted(e.start for e in timeline.events)
    rows = json.loads(json.dumps(timeline.rows()))
    assert rows[0]["unit"] in {"array", "vector", "stream"} and len(rows) == 60


def test_a_deadlock_names_the_first_unit_that_waits() -> None:
    array: list[Instruction] = [Contract(), Contract(wait_vector=2)]
    vector: list[Instruction] = [Softmax(wait_array=1), Softmax(wait_stream=1)]
    with pytest.raises(ProgramError) as stop:
        timing.simulate(program(array, vector, [Store(wait_vector=2)]), [3])
    assert (stop.value.error, stop.value.unit, stop.value.number) == (isa.Error.DEADLOCK, Unit.ARRAY, 1)


@pytest.mark.parametrize("lengths", [[], [0], [65], [1, 0], [1, 1, 1]])
def test_lengths_are_checked(lengths: list[int]) -> None:
    with pytest.raises(ProgramError) as stop:
        timing.simulate(program([]), lengths)
    assert stop.value.error is isa.Error.LENGTH
