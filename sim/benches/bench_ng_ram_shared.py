"""ng_ram_shared: both ports read the word of the last write through port B, `Latency` cycles after the address."""

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
    expected: dict[tuple[str, int], int] = {}
    checked = {"a": 0, "b": 0}
    for now in range(4000):
        few = min(depth, 3) if now // 500 % 2 else depth
        busy = (1.0, 0.5, 0.1)[now // 100 % 3]
        reads = {"a": rng.random() < busy, "b": rng.random() < busy}
        write = not reads["b"] and rng.random() < 0.8
        addresses = {port: rng.choice((0, depth - 1, rng.randrange(few))) for port in "ab"}
        word = rng.choice((0, (1 << width) - 1, rng.getrandbits(width)))
        dut.a_re_i.value, dut.b_re_i.value, dut.b_we_i.value = int(reads["a"]), int(reads["b"]), int(write)
        dut.a_addr_i.value, dut.b_addr_i.value, dut.b_wdata_i.value = addresses["a"], addresses["b"], word
        for port in "ab":
            # A read at port A of a word that is written in the same cycle is undefined.
            clash = write and port == "a" and addresses["a"] == addresses["b"]
            if reads[port] and addresses[port] in words and not clash:
                expected[port, now + latency] = words[addresses[port]]
        await FallingEdge(dut.clk_i)
        for port, handle in (("a", dut.a_rdata_o), ("b", dut.b_rdata_o)):
            if (port, now) in expected:
                assert int(handle.value) == expected.pop((port, now)), f"port {port}, cycle {now}"
                checked[port] += 1
        await RisingEdge(dut.clk_i)
        if write:
            words[addresses["b"]] = word
    assert min(checked.values()) > 300
