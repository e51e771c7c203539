"""ng_loops: the counters against a nest of Python loops, turn by turn."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from .common import bench, generator, start
from .setup import Setup

SETUP = Setup()

Counts = tuple[int, int, int, int, int]
"""Counts of loop 0, 1, 2, of the innermost loop, and of that in the last turn of loop 2."""


def turns(n0: int, n1: int, n2: int, nk: int, tail: int) -> Iterator[dict[str, int]]:
    """The expected outputs in each turn of the nest."""
    for i0 in range(n0):
        for i1 in range(n1):
            for i2 in range(n2):
                inner = tail if i2 == n2 - 1 else nk
                for k in range(inner):
                    last_k, last_2 = k == inner - 1, i2 == n2 - 1
                    last_tile = last_2 and i1 == n1 - 1 and i0 == n0 - 1
                    loop = 0 if not last_k else 1 if not last_2 else 2 if i1 < n1 - 1 else 3
                    yield {
                        "i0_o": i0, "i1_o": i1, "i2_o": i2, "k_o": k, "last_k_o": last_k, "last_2_o": last_2,
                        "last_tile_o": last_tile, "last_o": last_tile and last_k, "left_o": inner - 1 - k,
                        "step_o": 1 << loop,
                    }  # fmt: skip


def counts(rng: random.Random, largest: int = 5) -> Counts:
    """Small counts, often 1, in any of the loops; sometimes the largest count."""

    def one(most: int) -> int:
        return rng.choice((1, rng.randint(1, largest)) if rng.random() < 0.97 else (most,))

    return one(4095), one(4095), one(4095), one(8191), one(8191)


@bench(100_000)
async def nests(dut: Any) -> None:
    """Nests of random counts, with stalls; some are abandoned; the next one may start right after the last turn."""
    rng = generator()
    await start(dut)
    ends = 0
    for _ in range(200):
        nest = counts(rng)
        length = nest[0] * nest[1] * ((nest[2] - 1) * nest[3] + nest[4])
        stall = rng.choice((0.0, 0.5))
        dut.load_i.value, dut.advance_i.value = 1, rng.randrange(2)
        for name, count in zip(("n0", "n1", "n2", "nk", "tail"), nest, strict=True):
            getattr(dut, f"{name}_i").value = count
        await RisingEdge(dut.clk_i)
        dut.load_i.value = 0
        # The counts are read with load_i only.
        for name in ("n0", "n1", "n2", "nk", "tail"):
            getattr(dut, f"{name}_i").value = rng.getrandbits(12)
        shown = length if length < 400 else 150
        for turn in islice(turns(*nest), shown):
            advance = 0
            while not advance:
                advance = int(rng.random() >= stall)
                dut.advance_i.value = advance
                await FallingEdge(dut.clk_i)
                assert {name: int(getattr(dut, name).value) for name in turn} == turn, nest
                await RisingEdge(dut.clk_i)
        ends += shown == length
    assert ends > 50


@bench(20_000)
async def long_loops(dut: Any) -> None:
    """The largest count in the innermost loop, up to the turn after it."""
    nest = (1, 2, 1, 1, 8191)
    await start(dut)
    dut.load_i.value = 1
    for name, count in zip(("n0", "n1", "n2", "nk", "tail"), nest, strict=True):
        getattr(dut, f"{name}_i").value = count
    await RisingEdge(dut.clk_i)
    dut.load_i.value, dut.advance_i.value = 0, 1
    for turn in islice(turns(*nest), 8193):
        await FallingEdge(dut.clk_i)
        for name in ("k_o", "i1_o", "left_o", "step_o"):
            assert int(getattr(dut, name).value) == turn[name]
        await RisingEdge(dut.clk_i)
