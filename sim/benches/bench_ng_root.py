"""ng_root: against Python's integer square root, 17 cycles after the start."""

from __future__ import annotations

import random
from math import isqrt
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from .common import bench, generator, reset_midway, start
from .setup import Setup

SETUP = Setup()

EVERY = [
    *(min((1 << bit) + d, 2**32 - 1) for bit in range(33) for d in (-1, 0, 1)),
    *(root**2 + d for root in (1, 2, 3, 181, 32768, 46340, 46341, 65534, 65535) for d in (-1, 0, 2 * root)),
]
"""Radicands that are always computed: near each power of two, and the ends of the ranges of some roots."""


def radicand(rng: random.Random) -> int:
    """Near a square, near a power of two, or any."""
    root, power = rng.getrandbits(rng.randint(1, 16)), 1 << rng.randrange(32)
    near = rng.choice((root * root, root * (root + 2), power)) + rng.randint(-1, 1)
    return min(max(rng.choice((near, rng.getrandbits(rng.randint(1, 32)))), 0), 2**32 - 1)


@bench(60_000)
async def roots(dut: Any) -> None:
    """Starts in the first cycle with a root and later; the root is stable until the next start."""
    rng = generator()
    await start(dut)
    radicands = EVERY + [radicand(rng) for _ in range(1500)]
    rng.shuffle(radicands)
    for v in radicands:
        dut.start_i.value, dut.radicand_i.value = 1, v
        await RisingEdge(dut.clk_i)
        dut.start_i.value = 0
        for cycle in range(1, 17):
            dut.radicand_i.value = rng.getrandbits(32)
            await FallingEdge(dut.clk_i)
            assert int(dut.done_o.value) == (cycle == 16), f"cycle {cycle}"
            await RisingEdge(dut.clk_i)
        for _ in range(rng.randrange(1, 6)):
            await FallingEdge(dut.clk_i)
            assert not int(dut.done_o.value)
            assert int(dut.root_o.value) == isqrt(v), v
            await RisingEdge(dut.clk_i)


@bench(2_000)
async def resets(dut: Any) -> None:
    """Resets in the middle: done_o stays 0 afterwards."""
    await start(dut)
    await reset_midway(dut, "done_o")
