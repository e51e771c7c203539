"""ng_skid: all words pass in order under random stalls, and at most two are inside."""

from __future__ import annotations

from itertools import product
from typing import Any

from .common import STALLS, Sink, Source, bench, cycles, generator, start
from .setup import Setup, each

SETUP = Setup(each("Width", 1, 65))


@bench(20_000)
async def words_pass_in_order(dut: Any) -> None:
    """All combinations of stalls at both sides."""
    rng = generator()
    await start(dut)
    source = Source(dut, "valid_i", "ready_o", "data_i")
    sink = Sink(dut, "valid_o", "ready_i", "data_o")
    sent: list[int] = []
    for source.stall, sink.stall in product(STALLS, STALLS):
        words = [rng.getrandbits(len(dut.data_i)) for _ in range(50)]
        source.send(words)
        sent += words
        await sink.wait(len(sent))
        assert sink.words == sent
    await cycles(dut, 10)
    assert sink.words == sent


@bench(500)
async def full_speed(dut: Any) -> None:
    """One word per cycle without stalls."""
    await start(dut)
    source = Source(dut, "valid_i", "ready_o", "data_i")
    sink = Sink(dut, "valid_o", "ready_i", "data_o")
    mask = (1 << len(dut.data_i)) - 1
    source.send(number & mask for number in range(100))
    await cycles(dut, 102)
    assert len(sink.words) >= 100


@bench(500)
async def holds_two(dut: Any) -> None:
    """With the output stalled it accepts two words; both are kept, and a reset drops them."""
    await start(dut)
    source = Source(dut, "valid_i", "ready_o", "data_i")
    source.send([1, 0, 1, 0])
    await cycles(dut, 10)
    assert source.sent == [1, 0]
    dut.rst_ni.value = 0
    await cycles(dut, 1)
    dut.rst_ni.value = 1
    sink = Sink(dut, "valid_o", "ready_i", "data_o")
    await source.empty()
    await cycles(dut, 5)
    assert sink.words == [1, 0]
