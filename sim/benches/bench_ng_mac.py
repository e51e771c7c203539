"""ng_mac: the products and sums of a column, for every way to multiply."""

from __future__ import annotations

from itertools import product
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from .common import bench, generator, start
from .setup import Setup

SETUP = Setup(
    tuple({"Lanes": 8, "Pack": pack, "Luts": luts} for pack, luts in ((0, 0), (1, 0), (0, 1), (1, 1))),
    # A row for each first operand next to each second one: `products` compares all products.
    slow=({"Lanes": 512, "Pack": 1, "Luts": 0},),
    checks=("bench_ng_mac_checks",),
)

CORNERS_A = (-128, -127, -1, 0, 1, 2, 127)
CORNERS_B = (-128, -127, -1, 0, 1, 85, 127, 128, 170, 254, 255)


def wrapped(value: int) -> int:
    """A number in 32 bits of two's complement."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


@bench(110_000)
async def products(dut: Any) -> None:
    """With 512 rows every product of the packed form: all pairs of operands times all of the column; 50,331,648 in all.

    `bench_ng_mac_checks` compares them, as every sum restarts.
    """
    count = int(dut.Lanes.value)
    if count < 512:
        return
    await start(dut, reset=False)
    dut.clear_i.value = 1
    cycles = 0
    for a0 in range(-128, 128):
        a = [a0 if row % 2 == 0 else row // 2 - 128 for row in range(count)]
        dut.a_i.value = a
        dut.pair_i.value = [high * 65536 + low for low, high in zip(a[::2], a[1::2], strict=True)]
        dut.triple_i.value = [3 * one for one in a]
        for b in range(-128, 256):
            dut.b_i.value = b
            await RisingEdge(dut.clk_i)
            cycles += 1
    for _ in range(3):
        await RisingEdge(dut.clk_i)
    assert cycles * count == 50_331_648


@bench(30_000)
async def sums(dut: Any) -> None:
    """All pairs of corner values in neighbouring rows, then random operands; sums of random lengths without pauses."""
    rng = generator("mac")
    count = int(dut.Lanes.value)
    if count > 32:
        return

    def row() -> int:
        return rng.randint(-128, 127)

    # Every pair of rows that may share a multiplier gets all corners.
    crossed = [([a0, a1] * (count // 2), b) for a0, a1, b in product(CORNERS_A, CORNERS_A, CORNERS_B)]
    random = [([row() for _ in range(count)], rng.randint(-128, 255)) for _ in range(4000)]
    # Long enough for a sum to wrap around.
    extreme = [([-128, 127] * (count // 2), 255)] * 3000
    # The forms of the operands do not agree yet, so no product may be compared.
    dut.clear_i.value = 0
    await start(dut, reset=False)
    expected: list[list[int] | None] = [None, None]
    acc: list[int] | None = None
    for a, b in crossed + random + extreme:
        dut.a_i.value = a
        dut.pair_i.value = [high * 65536 + low for low, high in zip(a[::2], a[1::2], strict=True)]
        dut.triple_i.value = [3 * one for one in a]
        dut.b_i.value = b
        clear = acc is None or rng.random() < 0.01
        dut.clear_i.value = int(clear)
        await FallingEdge(dut.clk_i)
        known = expected.pop(0)
        if known is not None:
            assert [one.to_signed() for one in dut.sum_o.value] == known
        old = [0] * count if clear or acc is None else acc
        acc = [wrapped(before + one * b) for before, one in zip(old, a, strict=True)]
        expected.append(acc)
        await RisingEdge(dut.clk_i)
