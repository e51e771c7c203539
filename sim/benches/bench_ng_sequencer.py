"""ng_sequencer: the list of each unit in order, decoded, under random stalls of memory and unit."""

from __future__ import annotations

from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from ...hw.isa import Unit
from .common import STALLS, bench, generator, pack, start, value
from .instructions import ISSUE, NUMBER_BITS
from .lists import ALL_KINDS, WIDTH, Lists, draw
from .setup import Setup, each

SETUP = Setup(each("Lanes", 8, 32, ProgDepth=50), top="bench_ng_sequencer_top")


@bench(120_000)
async def lists(dut: Any) -> None:
    """All three lists; the memory grants one request per cycle, each unit takes its instructions at random times."""
    rng = generator()
    lanes, depth = int(dut.Lanes.value), int(dut.ProgDepth.value)
    address_bits = len(dut.addr_o) // 3
    await start(dut)
    kinds: set[tuple[Unit, bool]] = set()
    for turn in range(60):
        case = Lists(rng, lanes, depth, turn % 5 == 4)
        dut.rst_ni.value = 0
        case.show(dut)
        dut.allow_i.value = dut.rvalid_i.value = dut.ready_i.value = 0
        await RisingEdge(dut.clk_i)
        await RisingEdge(dut.clk_i)
        dut.rst_ni.value = 1
        pipe: list[tuple[int, int]] = [(-1, 0)] * rng.choice((1, 2, 5))
        grants, stalls = rng.choice(STALLS), [rng.choice(STALLS) for _ in Unit]
        for _ in range(3000):
            who, data = pipe.pop(0)
            dut.rvalid_i.value = 1 << who if who >= 0 else 0
            dut.rdata_i.value = pack(
                [data if who == unit else rng.getrandbits(WIDTH) for unit in Unit], WIDTH
            )
            ready = pack([rng.random() >= stalls[unit] for unit in Unit], 1)
            dut.ready_i.value = ready
            dut.allow_i.value = 0 if rng.random() < grants else rng.getrandbits(3)
            await FallingEdge(dut.clk_i)
            granted = value(dut.gnt_o).bit_length() - 1
            if granted >= 0:
                address = value(dut.addr_o) >> address_bits * granted & (1 << address_bits) - 1
                pipe.append((granted, case.program[address]))
            else:
                pipe.append((-1, 0))
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


@bench(5_000)
async def one_per_cycle(dut: Any) -> None:
    """A single list and a memory with latency 2: once filled, the sequencer issues one instruction per cycle."""
    rng = generator()
    depth = int(dut.ProgDepth.value)
    address_bits = len(dut.addr_o) // 3
    await start(dut)
    for unit in Unit:
        counts = [depth if other is unit else 0 for other in Unit]
        program = [draw(rng, unit, False) for _ in range(depth)]
        dut.rst_ni.value = 0
        dut.sentences_i.value, dut.counts_i.value = 2, pack(counts, NUMBER_BITS)
        dut.ready_i.value = dut.rvalid_i.value = 0
        dut.allow_i.value = 7
        await RisingEdge(dut.clk_i)
        await RisingEdge(dut.clk_i)
        dut.rst_ni.value, dut.ready_i.value = 1, 7
        pipe: list[int | None] = [None, None]
        issued: list[int] = []
        first = 0
        for now in range(2 * depth):
            data = pipe.pop(0)
            dut.rvalid_i.value = 0 if data is None else 1 << unit
            dut.rdata_i.value = (data or 0) << WIDTH * unit
            await FallingEdge(dut.clk_i)
            granted = value(dut.gnt_o)
            address = value(dut.addr_o) >> address_bits * unit & (1 << address_bits) - 1
            pipe.append(program[address] if granted else None)
            if value(dut.valid_o):
                first = first or now
                shown = value(dut.issue_o) >> ISSUE.width * unit & (1 << ISSUE.width) - 1
                issued.append(ISSUE.unpack(shown)["instruction"])
            await RisingEdge(dut.clk_i)
            if len(issued) == depth:
                break
        assert issued == program and now == first + depth - 1
