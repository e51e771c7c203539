"""ng_program: three lists from one memory under random stalls, and its bandwidth shared by priority."""

from __future__ import annotations

from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from ...hw.isa import Unit
from .common import STALLS, bench, generator, pack, start, value
from .lists import ALL_KINDS, WIDTH, Lists, draw
from .setup import Setup, each

SETUP = Setup(each("Lanes", 8, Depth=51), slow=each("Lanes", 32, Depth=51))

LATENCY = 4
"""Cycles from the release of reset to the first instruction: request, memory (2), queue."""


async def write(dut: Any, words: list[int]) -> None:
    """Fills the memory during reset, as PROGRAM does; the address is random while nothing is written."""
    rng = generator("write")
    dut.rst_ni.value = 0
    for address in rng.sample(range(len(words)), len(words)):
        dut.we_i.value, dut.waddr_i.value, dut.wdata_i.value = 1, address, words[address]
        await RisingEdge(dut.clk_i)
    dut.we_i.value = 0
    dut.waddr_i.value, dut.wdata_i.value = rng.randrange(len(words)), rng.getrandbits(WIDTH)


@bench(60_000)
async def lists(dut: Any) -> None:
    """Random lists; each unit takes its instructions at random times. Some commands end in the middle."""
    rng = generator()
    lanes, depth = int(dut.Lanes.value), int(dut.Depth.value)
    await start(dut)
    kinds: set[tuple[Unit, bool]] = set()
    for turn in range(60):
        case = Lists(rng, lanes, depth, turn % 5 == 4)
        await write(dut, case.program)
        case.show(dut)
        for steps in (rng.randint(1, 30), rng.randint(1, 5), 3000) if turn % 3 == 0 else (3000,):
            # A reset of one cycle is enough, and no word in flight survives it.
            dut.rst_ni.value, dut.ready_i.value = 0, rng.getrandbits(3)
            await RisingEdge(dut.clk_i)
            dut.rst_ni.value = 1
            case.taken = [0, 0, 0]
            stalls = [rng.choice(STALLS) for _ in Unit]
            for _ in range(steps):
                ready = pack([rng.random() >= stalls[unit] for unit in Unit], 1)
                dut.ready_i.value = ready
                await FallingEdge(dut.clk_i)
                case.take(value(dut.valid_o), ready, value(dut.issue_o))
                await RisingEdge(dut.clk_i)
                if case.over:
                    break
        assert case.over
        kinds |= case.kinds
        await FallingEdge(dut.clk_i)
        assert value(dut.valid_o) == 0
        await RisingEdge(dut.clk_i)
    assert kinds == ALL_KINDS


@bench(10_000)
async def bandwidth(dut: Any) -> None:
    """One instruction per cycle in all, by priority: array, vector unit, stream unit."""
    rng = generator("bandwidth")
    lanes, depth = int(dut.Lanes.value), int(dut.Depth.value)
    await start(dut)
    for units in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)):
        case = Lists(rng, lanes, depth, False)
        case.counts = [depth // 3 if unit in units else 0 for unit in Unit]
        case.bases = [depth // 3 * unit for unit in Unit]
        for unit in units:
            for number in range(depth // 3):
                case.program[case.bases[unit] + number] = draw(rng, Unit(unit), False)
        await write(dut, case.program)
        case.show(dut)
        dut.ready_i.value = 7
        await RisingEdge(dut.clk_i)
        dut.rst_ni.value = 1
        at: dict[int, list[int]] = {unit: [] for unit in units}
        for now in range(4 * depth):
            await FallingEdge(dut.clk_i)
            valid = value(dut.valid_o)
            case.take(valid, 7, value(dut.issue_o))
            for unit in units:
                if valid >> unit & 1:
                    at[unit].append(now)
            await RisingEdge(dut.clk_i)
            if case.over:
                break
        assert case.over
        # Each list begins when those of higher priority are read, then issues one instruction per cycle.
        for turn, unit in enumerate(units):
            first = LATENCY - 1 + turn * (depth // 3)
            assert at[unit] == list(range(first, first + depth // 3)), (units, unit, at[unit])
