"""ng_reciprocal: against Python's integer division, in the number of cycles that the vector unit expects."""

from __future__ import annotations

import random
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from .common import bench, generator, lanes, pack, reset_midway, start
from .setup import Setup, each

SETUP = Setup(each("Lanes", 8, 16), slow=each("Lanes", 32))

CORNERS = (0, 8191, 8192, 8193, 8194)
"""Divisors near which the quotient no longer fits 17 bits."""


def divisor(rng: random.Random, least: int, bits: int) -> int:
    """A valid divisor: near a power of two, near the limit of the quotient, an end, or any."""
    power, most = 1 << rng.randrange(bits), (1 << bits) - 1
    number = rng.choice(
        (power - 1, power, power + 1, rng.getrandbits(rng.randint(1, bits)), *CORNERS, least, least + 1, most)
    )
    return min(max(number, least), most)


@bench(40_000)
async def quotients(dut: Any) -> None:
    """Both dividends; starts right after the end and later; the quotients are stable until the next start."""
    rng = generator()
    count = int(dut.Lanes.value)
    await start(dut)
    for _ in range(400):
        norm = rng.random() < 0.5
        sums = [divisor(rng, 0, 24) for _ in range(count)]
        roots = [divisor(rng, 1 << 15, 16) for _ in range(count)]
        if norm:
            expected = [(2**31 - 1) // root for root in roots]
        else:
            expected = [min(2**30 // s, 2**17 - 1) if s else 2**17 - 1 for s in sums]
        dut.start_i.value, dut.norm_i.value = 1, int(norm)
        dut.sum_i.value, dut.root_i.value = pack(sums, 24), pack(roots, 16)
        await RisingEdge(dut.clk_i)
        dut.start_i.value = 0
        for cycle in range(1, 17 if norm else 18):
            await FallingEdge(dut.clk_i)
            assert not int(dut.done_o.value), f"done after {cycle} cycles"
            await RisingEdge(dut.clk_i)
        for cycle in range(rng.randrange(1, 6)):
            await FallingEdge(dut.clk_i)
            assert int(dut.done_o.value) == (cycle == 0)
            assert lanes(dut.quotient_o, count, 17) == expected, (norm, sums, roots)
            await RisingEdge(dut.clk_i)


@bench(2_000)
async def resets(dut: Any) -> None:
    """Resets in the middle: done_o stays 0 afterwards, and the next start begins from scratch."""
    await start(dut, root=pack([1 << 15] * int(dut.Lanes.value), 16), norm=1)
    await reset_midway(dut)
