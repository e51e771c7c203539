"""ng_fifo: every output in every cycle against a queue of `Depth` words."""

from __future__ import annotations

from collections import deque
from itertools import product
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from .common import STALLS, Sink, Source, bench, cycles, generator, start
from .setup import Setup

SETUP = Setup(tuple({"Width": width, "Depth": depth} for width, depth in ((1, 2), (8, 4), (65, 16))))


def depth(dut: Any) -> int:
    """The parameter."""
    return int(dut.Depth.value)


@bench(40_000)
async def words_pass_in_order(dut: Any) -> None:
    """All combinations of stalls at both sides."""
    rng = generator()
    await start(dut)
    source = Source(dut, "valid_i", "ready_o", "data_i")
    sink = Sink(dut, "valid_o", "ready_i", "data_o")
    sent: list[int] = []
    for source.stall, sink.stall in product(STALLS, STALLS):
        words = [rng.getrandbits(len(dut.data_i)) for _ in range(20 + 3 * depth(dut))]
        source.send(words)
        sent += words
        await sink.wait(len(sent))
        assert sink.words == sent
    await cycles(dut, 10)
    assert sink.words == sent


@bench(40_000)
async def every_cycle(dut: Any) -> None:
    """Outputs against a queue, in phases that fill it, empty it, keep it full, and reset it."""
    rng = generator("every_cycle")
    await start(dut)
    queue: deque[int] = deque()
    seen = set()
    for _ in range(60):
        push, pull = rng.choice(STALLS), rng.choice(STALLS)
        for _ in range(rng.randrange(1, 3 * depth(dut))):
            valid, ready, word = rng.random() >= push, rng.random() >= pull, rng.getrandbits(len(dut.data_i))
            reset = rng.random() < 0.01
            dut.valid_i.value, dut.ready_i.value, dut.data_i.value = int(valid), int(ready), word
            dut.rst_ni.value = int(not reset)
            await FallingEdge(dut.clk_i)
            assert int(dut.valid_o.value) == bool(queue)
            assert int(dut.ready_o.value) == (len(queue) < depth(dut))
            if queue:
                assert int(dut.data_o.value) == queue[0]
            await RisingEdge(dut.clk_i)
            seen.add((len(queue), valid, ready))
            room = len(queue) < depth(dut)
            if ready and queue:
                queue.popleft()
            if valid and room:
                queue.append(word)
            if reset:
                queue.clear()
    assert {(0, True, True), (depth(dut), True, True), (depth(dut), True, False)} <= seen


@bench(2_000)
async def full_speed(dut: Any) -> None:
    """One word per cycle without stalls, also from a queue that was full."""
    await start(dut)
    source = Source(dut, "valid_i", "ready_o", "data_i")
    source.send(number % (1 << len(dut.data_i)) for number in range(200 + depth(dut)))
    await cycles(dut, depth(dut) + 5)
    assert len(source.sent) == depth(dut)
    sink = Sink(dut, "valid_o", "ready_i", "data_o")
    await cycles(dut, 101)
    assert len(sink.words) >= 100
    assert sink.words == [number % (1 << len(dut.data_i)) for number in range(len(sink.words))]
