"""ng_walk: base + i0 * stride0 + i1 * stride1 + i2 * stride2 + k * stridek in every turn of a nest."""

from __future__ import annotations

from itertools import islice
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from .bench_ng_loops import counts, turns
from .common import bench, generator, start
from .setup import Setup

SETUP = Setup()


@bench(100_000)
async def addresses(dut: Any) -> None:
    """Nests of random counts, with stalls; strides include 0 and the largest."""
    rng = generator()
    await start(dut, reset=False)
    width = int(dut.Width.value)
    names = ("stride0_i", "stride1_i", "stride2_i", "stridek_i")
    for _ in range(200):
        strides = [rng.choice((0, 1, 0xFFFF, rng.getrandbits(16))) for _ in names]
        base = rng.choice((0, rng.getrandbits(16), (1 << width) - 1 - 70_000 * 400))
        stall = rng.choice((0.0, 0.5))
        dut.load_i.value, dut.base_i.value, dut.advance_i.value = 1, base, rng.randrange(2)
        dut.step_i.value = rng.getrandbits(4)
        for name, stride in zip(names, strides, strict=True):
            getattr(dut, name).value = stride
        await RisingEdge(dut.clk_i)
        dut.load_i.value = 0
        dut.base_i.value = rng.getrandbits(width)
        for turn in islice(turns(*counts(rng)), 300):
            indices = (turn["i0_o"], turn["i1_o"], turn["i2_o"], turn["k_o"])
            expected = base + sum(index * stride for index, stride in zip(indices, strides, strict=True))
            advance = 0
            while not advance:
                advance = int(rng.random() >= stall)
                dut.advance_i.value, dut.step_i.value = advance, turn["step_o"]
                await FallingEdge(dut.clk_i)
                assert int(dut.addr_o.value) == expected
                await RisingEdge(dut.clk_i)
