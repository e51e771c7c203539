"""ng_lookup: every lane reads its own word of the table, `Latency` cycles after its address."""

from __future__ import annotations

from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from .common import bench, generator, lanes, pack, start
from .setup import Setup

SETUP = Setup(
    tuple(
        {"Lanes": lanes, "Width": width, "Depth": depth, "Latency": latency}
        for lanes, width, depth, latency in ((8, 8, 512, 1), (16, 15, 5, 2), (32, 8, 2, 1), (8, 15, 1500, 2))
    )
)


@bench(20_000)
async def lookups(dut: Any) -> None:
    """Random tables, rewritten from time to time; all lanes at one address, each at its own, at the ends."""
    rng = generator()
    count, depth, width, latency = (
        int(getattr(dut, name).value) for name in ("Lanes", "Depth", "Width", "Latency")
    )
    bits = len(dut.waddr_i)
    await start(dut, reset=False)
    table: dict[int, int] = {}
    # The words that arrive, by cycle.
    arriving: dict[int, list[int]] = {}
    for now in range(3 * depth + 1500):
        write = now < depth or (now >= 2 * depth and rng.random() < 0.2)
        address = now if now < depth else rng.randrange(depth)
        word = rng.choice((0, (1 << width) - 1, rng.getrandbits(width)))
        read = not write and rng.random() < 0.8
        same = rng.randrange(depth)
        addresses = rng.choice(
            (
                [same] * count,
                [rng.randrange(depth) for _ in range(count)],
                [rng.choice((0, depth - 1)) for _ in range(count)],
            )
        )
        dut.we_i.value, dut.waddr_i.value, dut.wdata_i.value = int(write), address, word
        dut.re_i.value, dut.addr_i.value = int(read), pack(addresses, bits)
        await FallingEdge(dut.clk_i)
        if now in arriving:
            assert lanes(dut.data_o, count, width) == arriving.pop(now), f"cycle {now}"
        await RisingEdge(dut.clk_i)
        if read:
            arriving[now + latency] = [table[a] for a in addresses]
        if write:
            table[address] = word
