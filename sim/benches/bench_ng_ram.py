"""ng_ram: a read has the word of the last write, `Latency` cycles after its address."""

from __future__ import annotations

from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from .common import bench, generator, start
from .setup import Setup

SETUP = Setup(
    tuple(
        {"Width": width, "Depth": depth, "Latency": latency}
        for width, depth, latency in ((1, 1, 2), (8, 5, 1), (64, 512, 2), (128, 2, 1))
    )
)


@bench(20_000)
async def reads_and_writes(dut: Any) -> None:
    """Random reads and writes, dense and sparse, on all addresses and on few of them."""
    rng = generator()
    depth, latency, width = (int(getattr(dut, name).value) for name in ("Depth", "Latency", "Width"))
    await start(dut, reset=False)
    words: dict[int, int] = {}
    expected: dict[int, int] = {}
    checked = 0
    for now in range(4000):
        few = min(depth, 3) if now // 500 % 2 else depth
        busy = (1.0, 0.5, 0.1)[now // 100 % 3]
        read, write = rng.random() < busy, rng.random() < busy
        source, target = (
            rng.choice((0, depth - 1, rng.randrange(few))),
            rng.choice((depth - 1, rng.randrange(few))),
        )
        word = rng.choice((0, (1 << width) - 1, rng.getrandbits(width)))
        dut.re_i.value, dut.we_i.value, dut.wdata_i.value = int(read), int(write), word
        dut.raddr_i.value, dut.waddr_i.value = source, target
        # A read of a word that is written in the same cycle is undefined.
        if read and source in words and not (write and source == target):
            expected[now + latency] = words[source]
        await FallingEdge(dut.clk_i)
        if now in expected:
            assert int(dut.rdata_o.value) == expected.pop(now), f"cycle {now}"
            checked += 1
        await RisingEdge(dut.clk_i)
        if write:
            words[target] = word
    assert checked > 300
