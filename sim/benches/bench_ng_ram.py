"""ng_ram with ng_ram_part and ng_ram_mux: a read has the word of the last write, `Latency` cycles after its address.

The output then stays until another word is read.
"""

from __future__ import annotations

import random
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from .common import bench, generator, start
from .setup import Setup

RUNS = tuple(
    {"Width": width, "Depth": depth, "Latency": latency, "Ultra": ultra}
    for width, depth, latency, ultra in (
        (1, 1, 2, 0),
        (8, 5, 1, 0),
        (64, 512, 2, 0),
        (128, 2, 1, 0),
        (64, 33, 3, 0),
        # Of several parts: two, four, five, three.
        (8, 6144, 1, 0),
        (36, 3700, 2, 0),
        (20, 15873, 3, 0),
        (5, 28672, 4, 1),
    )
)
"""Parameters of ng_ram and of ng_ram_shared."""

SETUP = Setup(RUNS)


def addresses(rng: random.Random, depth: int) -> list[int]:
    """Few addresses of a memory: its ends, both sides of every power of two from the top down, and others."""
    borders = [depth >> bit << bit for bit in range(depth.bit_length())]
    ends = {0, 1, depth - 1, *borders, *(border - 1 for border in borders), *rng.choices(range(depth), k=3)}
    return sorted(address for address in ends if 0 <= address < depth)


@bench(20_000)
async def reads_and_writes(dut: Any) -> None:
    """Random reads and writes, dense and sparse, on all addresses and on few of them."""
    rng = generator()
    depth, latency, width = (int(getattr(dut, name).value) for name in ("Depth", "Latency", "Width"))
    await start(dut, reset=False)
    few = addresses(rng, depth)
    words: dict[int, int] = {}
    # The words that arrive, by cycle, and the word on the output; None is an undefined one.
    arriving: dict[int, int | None] = {}
    output: int | None = None
    checked = 0
    for now in range(4000):
        some = few if now // 500 % 2 or depth > 1000 else range(depth)
        busy = (1.0, 0.5, 0.1)[now // 100 % 3]
        read, write = rng.random() < busy, rng.random() < busy
        source, target = rng.choice(some), rng.choice(some)
        word = rng.choice((0, (1 << width) - 1, rng.getrandbits(width)))
        dut.re_i.value, dut.we_i.value, dut.wdata_i.value = int(read), int(write), word
        dut.raddr_i.value, dut.waddr_i.value = source, target
        if read:
            # A read of a word that is written in the same cycle is undefined.
            arriving[now + latency] = None if write and source == target else words.get(source)
        await FallingEdge(dut.clk_i)
        output = arriving.pop(now, output)
        if output is not None:
            assert int(dut.rdata_o.value) == output, f"cycle {now}"
            checked += 1
        await RisingEdge(dut.clk_i)
        if write:
            words[target] = word
    assert checked > 1000
