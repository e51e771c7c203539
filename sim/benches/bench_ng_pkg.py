"""The functions of ng_pkg, through the module ng_functions, against zlib and `fixedpoint`."""

from __future__ import annotations

import random
import zlib
from typing import Any

import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge

from ...fixedpoint import Format, requantize, saturate
from ...hw.synthesis.memories import SHALLOW, Style, parts
from .common import bench, generator, pack, start
from .setup import Setup

SETUP = Setup(top="ng_functions")


def word(rng: random.Random, bits: int) -> int:
    """A signed number: near a power of two, one of the ends, or any."""
    least, most = -(1 << bits - 1), (1 << bits - 1) - 1
    near = rng.choice((-1, 1)) * (1 << rng.randrange(bits)) + rng.randint(-1, 1)
    number = rng.choice((near, rng.randint(least, most), rng.randint(-300, 300), least, most, 0))
    return min(max(number, least), most)


@bench(5_000)
async def crc(dut: Any) -> None:
    """Packets of random length: the CRC of their bytes."""
    rng = generator("crc")
    await start(dut, reset=False)
    for _ in range(60):
        data = rng.choice((rng.randbytes, bytes))(8 * rng.randint(1, 20))
        state = 0xFFFFFFFF
        for place in range(0, len(data), 8):
            dut.crc_i.value, dut.beat_i.value = state, int.from_bytes(data[place : place + 8], "little")
            await RisingEdge(dut.clk_i)
            await FallingEdge(dut.clk_i)
            state = int(dut.crc_o.value)
            assert state ^ 0xFFFFFFFF == zlib.crc32(data[: place + 8])
            await RisingEdge(dut.clk_i)


@bench(20_000)
async def arithmetic(dut: Any) -> None:
    """Rounding constant and saturation alone, and with a shift in between as `requantize`, if the sum fits 32 bits."""
    rng = generator("arithmetic")
    await start(dut, reset=False)

    async def outputs(v: int, shift: int, bits: int, is_unsigned: bool) -> tuple[int, int]:
        dut.v_i.value, dut.shift_i.value = v & 0xFFFFFFFF, shift & 63
        dut.bits_i.value, dut.unsigned_i.value = bits, int(is_unsigned)
        await RisingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        results = dut.half_o.value.to_unsigned(), int(dut.saturated_o.value)
        await RisingEdge(dut.clk_i)
        return results

    for _ in range(1500):
        v, shift = word(rng, 32), rng.randint(-31, 31)
        bits, is_unsigned = rng.randint(2, 16), rng.random() < 0.5
        half, saturated = await outputs(v, shift, bits, is_unsigned)
        assert half == (1 << shift - 1 if shift > 0 else 0)
        target = Format(bits, 0, signed=not is_unsigned)
        assert saturated == int(saturate(np.array(v), target)) & 0xFFFF
        whole = v + half >> shift if shift >= 0 else v << -shift
        if abs(v + half) < 1 << 31 and abs(whole) < 1 << 31:
            _, result = await outputs(whole, 0, bits, is_unsigned)
            assert result == int(requantize(np.array(v), shift, target)) & 0xFFFF


@bench(5_000)
async def counts(dut: Any) -> None:
    """Bits of an address, and whether the waits of an instruction are met."""
    rng = generator("counts")
    await start(dut, reset=False)
    for number in range(1000):
        depth = (
            number + 1
            if number < 600
            else rng.choice((1, 2, rng.getrandbits(20) + 1, 1 << rng.randrange(31)))
        )
        waits = [rng.getrandbits(13) for _ in range(3)]
        retired = [rng.choice((w, w - 1 if w else w, w + 1, rng.getrandbits(14))) for w in waits]
        dut.depth_i.value = depth
        dut.waits_i.value, dut.retired_i.value = pack(waits, 13), pack(retired, 14)
        await RisingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        assert int(dut.addr_bits_o.value) == max(1, (depth - 1).bit_length())
        assert int(dut.met_o.value) == all(r >= w for r, w in zip(retired, waits, strict=True))
        await RisingEdge(dut.clk_i)


@bench(5_000)
async def memories(dut: Any) -> None:
    """The parts of a memory against the formula that counts its block RAMs."""
    rng = generator("memories")
    await start(dut, reset=False)
    seen = set()
    for _ in range(1500):
        depth = rng.randint(1, 1 << rng.randint(0, 22))
        width = rng.choice((rng.randint(1, 20), rng.randint(1, 2500)))
        ultra = rng.random() < 0.3
        luts = not ultra and rng.random() < 0.3
        style = Style.ULTRA if ultra else Style.LUTS if luts or depth <= SHALLOW else Style.BLOCK
        expected = parts(depth, width, style)
        number = rng.randrange(len(expected))
        dut.depth_i.value, dut.width_i.value, dut.number_i.value = depth, width, number
        dut.ultra_i.value, dut.luts_i.value = int(ultra), int(luts)
        await RisingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        assert int(dut.style_o.value) == list(Style).index(style)
        assert int(dut.words_o.value) == sum(expected), (depth, width, style)
        assert 1 << int(dut.part_bits_o.value) == expected[number]
        seen.add((style, len(expected)))
        await RisingEdge(dut.clk_i)
    assert len(seen) > 15
