"""ng_ram_shared with ng_ram_shared_part: both ports read the word of the last write through port B.

The word comes `Latency` cycles after its address, and stays on the output until the port reads another one.
"""

from __future__ import annotations

from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from .bench_ng_ram import RUNS, addresses
from .common import bench, generator, start
from .setup import Setup

SETUP = Setup(RUNS)


@bench(20_000)
async def both_ports(dut: Any) -> None:
    """Random reads and writes, dense and sparse, on all addresses and on few of them."""
    rng = generator()
    depth, latency, width = (int(getattr(dut, name).value) for name in ("Depth", "Latency", "Width"))
    await start(dut, reset=False)
    few = addresses(rng, depth)
    words: dict[int, int] = {}
    # The words that arrive, by port and cycle, and the words on the outputs; None is an undefined one.
    arriving: dict[tuple[str, int], int | None] = {}
    outputs: dict[str, int | None] = {"a": None, "b": None}
    checked = {"a": 0, "b": 0}
    for now in range(4000):
        some = few if now // 500 % 2 or depth > 1000 else range(depth)
        busy = (1.0, 0.5, 0.1)[now // 100 % 3]
        reads = {"a": rng.random() < busy, "b": rng.random() < busy * 0.7}
        write = not reads["b"] and rng.random() < 0.8
        at = {port: rng.choice(some) for port in "ab"}
        word = rng.choice((0, (1 << width) - 1, rng.getrandbits(width)))
        dut.a_re_i.value, dut.b_re_i.value, dut.b_we_i.value = int(reads["a"]), int(reads["b"]), int(write)
        dut.a_addr_i.value, dut.b_addr_i.value, dut.b_wdata_i.value = at["a"], at["b"], word
        for port in "ab":
            if reads[port]:
                # A read at port A of a word that is written in the same cycle is undefined.
                clash = write and port == "a" and at["a"] == at["b"]
                arriving[port, now + latency] = None if clash else words.get(at[port])
        await FallingEdge(dut.clk_i)
        for port, handle in (("a", dut.a_rdata_o), ("b", dut.b_rdata_o)):
            outputs[port] = arriving.pop((port, now), outputs[port])
            if outputs[port] is not None:
                assert int(handle.value) == outputs[port], f"port {port}, cycle {now}"
                checked[port] += 1
        await RisingEdge(dut.clk_i)
        if write:
            words[at["b"]] = word
    assert min(checked.values()) > 1000
