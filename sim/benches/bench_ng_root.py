"""ng_root: against Python's integer square root, 17 cycles after the start."""

from __future__ import annotations

import random
from math import isqrt
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from .common import bench, generator, lanes, pack, reset_midway, start
from .setup import Setup, each

SETUP = Setup(each("Lanes", 8, 16), slow=each("Lanes", 32))


def radicand(rng: random.Random) -> int:
    """Near a square, near a power of two, or any."""
    root, power = rng.getrandbits(rng.randint(1, 16)), 1 << rng.randrange(32)
    near = rng.choice((root * root, root * (root + 2), power)) + rng.randint(-1, 1)
    number = rng.choice((near, rng.getrandbits(rng.randint(1, 32)), 0, 2**32 - 1, 65535**2, 65535**2 - 1))
    return min(max(number, 0), 2**32 - 1)


@bench(40_000)
async def roots(dut: Any) -> None:
    """Starts right after the end and later; the roots are stable until the next start, even if the radicands change."""
    rng = generator()
    count = int(dut.Lanes.value)
    await start(dut)
    for _ in range(400):
        radicands = [radicand(rng) for _ in range(count)]
        expected = [isqrt(v) for v in radicands]
        dut.start_i.value, dut.radicand_i.value = 1, pack(radicands, 32)
        await RisingEdge(dut.clk_i)
        dut.start_i.value = 0
        for cycle in range(1, 17):
            await FallingEdge(dut.clk_i)
            assert not int(dut.done_o.value), f"done after {cycle} cycles"
            await RisingEdge(dut.clk_i)
        for cycle in range(rng.randrange(1, 6)):
            await FallingEdge(dut.clk_i)
            assert int(dut.done_o.value) == (cycle == 0)
            assert lanes(dut.root_o, count, 16) == expected, radicands
            await RisingEdge(dut.clk_i)
            dut.radicand_i.value = rng.getrandbits(32 * count)


@bench(2_000)
async def resets(dut: Any) -> None:
    """Resets in the middle: done_o stays 0 afterwards."""
    await start(dut)
    await reset_midway(dut)
