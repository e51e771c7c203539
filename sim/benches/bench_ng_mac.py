"""Bench of `ng_mac`: two rows' products and sums, whatever they are made of."""

from __future__ import annotations

from itertools import product
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from .common import bench, generator, lanes, pack, start

CORNERS_A = (-128, -127, -1, 0, 1, 2, 127)
CORNERS_B = (-128, -127, -1, 0, 1, 85, 127, 128, 170, 254, 255)


def wrapped(value: int) -> int:
    """A number as 32 bits hold it."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


@bench(30_000)
async def sums(dut: Any) -> None:
    """Corners crossed with corners, then random operands; sums of random lengths, one directly after the other."""
    rng = generator("mac")
    crossed = [(a0, a1, b) for a0, a1, b in product(CORNERS_A, CORNERS_A, CORNERS_B)]
    random = [(rng.randint(-128, 127), rng.randint(-128, 127), rng.randint(-128, 255)) for _ in range(4000)]
    # Long enough for a sum to wrap around.
    extreme = [(-128, 127, 255)] * 3000
    await start(dut, reset=False)
    expected: list[tuple[int, int] | None] = [None, None]
    acc: tuple[int, int] | None = None
    clear = False
    for a0, a1, b in crossed + random + extreme:
        dut.a_i.value = pack([a0, a1], 8)
        dut.pair_i.value = (a1 * 65536 + a0) % (1 << 25)
        dut.triple_i.value = pack([3 * a0, 3 * a1], 10)
        dut.b_i.value = b % (1 << 9)
        # It belongs to the product of the cycle before.
        dut.clear_i.value = int(clear)
        await FallingEdge(dut.clk_i)
        known = expected.pop(0)
        if known is not None:
            assert tuple(lanes(dut.sum_o, 2, 32, signed=True)) == known
        clear = acc is None or rng.random() < 0.01
        old = (0, 0) if clear or acc is None else acc
        acc = wrapped(old[0] + a0 * b), wrapped(old[1] + a1 * b)
        expected.append(acc)
        await RisingEdge(dut.clk_i)
