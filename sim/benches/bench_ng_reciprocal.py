"""ng_reciprocal: against Python's integer division, in the number of cycles that the vector unit expects."""

from __future__ import annotations

import random
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from .common import bench, generator, reset_midway, start
from .setup import Setup

SETUP = Setup()

CORNERS = (0, 1, 8191, 8192, 8193, 8194, 1 << 15, (1 << 15) + 1, (1 << 24) - 1)
"""Divisors near which the quotient no longer fits 17 bits, and ends."""


def divisor(rng: random.Random, least: int, bits: int) -> int:
    """A valid divisor: near a power of two, or any."""
    power, most = 1 << rng.randrange(bits), (1 << bits) - 1
    number = rng.choice((power - 1, power, power + 1, rng.getrandbits(rng.randint(1, bits))))
    return min(max(number, least), most)


def quotient(norm: bool, number: int) -> int:
    """What the module must compute."""
    if norm:
        return (2**31 - 1) // number
    return min(2**30 // number, 2**17 - 1) if number else 2**17 - 1


@bench(80_000)
async def quotients(dut: Any) -> None:
    """Both dividends; starts in the first cycle with a quotient and later; it is stable until the next start."""
    rng = generator()
    await start(dut)
    tasks = [(False, s) for s in (*CORNERS, *((1 << bit) + d for bit in range(24) for d in (-1, 0, 1)))]
    tasks += [(True, s) for s in (1 << 15, (1 << 15) + 1, 46340, 46341, 49152, (1 << 16) - 2, (1 << 16) - 1)]
    for _ in range(1500):
        norm = rng.random() < 0.5
        tasks.append((norm, divisor(rng, 1 << 15, 16) if norm else divisor(rng, 0, 24)))
    rng.shuffle(tasks)
    for norm, number in tasks:
        # The divisor of the other kind is not used. The divisor is there from the cycle after start_i on.
        dut.start_i.value, dut.norm_i.value = 1, int(norm)
        dut.sum_i.value, dut.root_i.value = rng.getrandbits(24), rng.getrandbits(16)
        await RisingEdge(dut.clk_i)
        dut.start_i.value = 0
        if norm:
            dut.root_i.value = number
        else:
            dut.sum_i.value = number
        for cycle in range(16 if norm else 17):
            await FallingEdge(dut.clk_i)
            assert int(dut.busy_o.value), f"not busy in step {cycle}"
            await RisingEdge(dut.clk_i)
        for _ in range(rng.randrange(1, 6)):
            dut.sum_i.value, dut.root_i.value = rng.getrandbits(24), rng.getrandbits(16)
            dut.norm_i.value = rng.getrandbits(1)
            await FallingEdge(dut.clk_i)
            assert not int(dut.busy_o.value)
            assert int(dut.quotient_o.value) == quotient(norm, number), (norm, number)
            await RisingEdge(dut.clk_i)


@bench(2_000)
async def resets(dut: Any) -> None:
    """Resets in the middle: busy_o stays 0 afterwards."""
    await start(dut, root=1 << 15, norm=1)
    await reset_midway(dut, "busy_o")
