"""ng_reciprocal: Python's integer division, in the number of cycles that the vector unit counts on."""

from __future__ import annotations

import random
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from .common import bench, generator, lanes, pack, start

CORNERS = (0, 8191, 8192, 8193, 8194, (1 << 24) - 1)
"""About where a quotient no longer fits 17 bits, and the ends."""


def divisor(rng: random.Random, norm: bool) -> int:
    """A divisor that may come: about a power of two, about where the quotient just fits, or any."""
    least = 1 << 15 if norm else 0
    power = 1 << rng.randrange(24)
    found = rng.choice((power - 1, power, power + 1, rng.getrandbits(rng.randint(1, 24)), *CORNERS))
    return min(max(found, least), (1 << 24) - 1)


@bench(40_000)
async def quotients(dut: Any) -> None:
    """Both dividends; starts right after the end and later; the quotients stay until the next start."""
    rng = generator()
    count = int(dut.Lanes.value)
    await start(dut)
    for _ in range(400):
        norm = rng.random() < 0.5
        divisors = [divisor(rng, norm) for _ in range(count)]
        if norm:
            expected = [(2**31 - 1) // d for d in divisors]
        else:
            expected = [min(2**30 // d, 2**17 - 1) if d else 2**17 - 1 for d in divisors]
        dut.start_i.value, dut.norm_i.value, dut.divisor_i.value = 1, int(norm), pack(divisors, 24)
        await RisingEdge(dut.clk_i)
        dut.start_i.value = 0
        for cycle in range(1, 17 if norm else 18):
            await FallingEdge(dut.clk_i)
            assert not int(dut.done_o.value), f"done after {cycle} cycles"
            await RisingEdge(dut.clk_i)
        for cycle in range(rng.randrange(1, 6)):
            await FallingEdge(dut.clk_i)
            assert int(dut.done_o.value) == (cycle == 0)
            assert lanes(dut.quotient_o, count, 17) == expected, (norm, divisors)
            await RisingEdge(dut.clk_i)


@bench(200)
async def resets(dut: Any) -> None:
    """A reset in the middle: nothing is done afterwards, and the next start counts from the beginning."""
    await start(dut, divisor=pack([1 << 15] * int(dut.Lanes.value), 24), norm=1)
    dut.start_i.value = 1
    await RisingEdge(dut.clk_i)
    dut.start_i.value = 0
    for _ in range(7):
        await RisingEdge(dut.clk_i)
    dut.rst_ni.value = 0
    await RisingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    for _ in range(40):
        await FallingEdge(dut.clk_i)
        assert not int(dut.done_o.value)
        await RisingEdge(dut.clk_i)
