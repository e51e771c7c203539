"""ng_frame: each RUN sends exactly one packet, whatever happens to it, under random stalls."""

from __future__ import annotations

import random
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from ...hw.isa import Error, closing_beat
from .common import STALLS, bench, cycles, generator, start, value
from .setup import Setup

SETUP = Setup()


class Taker:
    """Takes beats of the output stream in every cycle, and checks that each stays until it is taken.

    Attributes:
        stall: chance of a cycle in which none is taken.
        beats: taken so far, with their TLAST.
    """

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self._dut, self._rng = dut, rng
        self.stall = 0.0
        self.beats: list[tuple[int, int]] = []
        self.offered: tuple[int, int] | None = None

    async def cycle(self) -> None:
        """One cycle; the other inputs have been set."""
        dut = self._dut
        ready = self._rng.random() >= self.stall
        dut.ready_i.value = ready
        await FallingEdge(dut.clk_i)
        beat = (value(dut.data_o), value(dut.last_o)) if value(dut.valid_o) else None
        assert self.offered is None or beat == self.offered, "a beat changed before it was taken"
        self.offered = None if ready else beat
        if ready and beat is not None:
            self.beats.append(beat)


async def packet(dut: Any, rng: random.Random, taker: Taker, results: list[int], stop: int | None) -> Error:
    """Plays a RUN: results with pauses, then its end, or an abort after `stop` cycles; returns the code of its end."""
    pause = rng.choice(STALLS)
    code = rng.choice((Error.NONE, Error.ADDRESS, Error.TIMEOUT))
    dut.open_i.value = 1
    assert not value(dut.busy_o)
    await taker.cycle()
    await RisingEdge(dut.clk_i)
    dut.open_i.value = 0
    sent, offers, aborts, finishes, went = 0, False, False, False, 0
    while True:
        aborts = aborts or (stop is not None and went >= stop)
        finishes = not aborts and sent == len(results) and (finishes or rng.random() >= pause)
        offers = offers or (sent < len(results) and rng.random() >= pause)
        if aborts:
            # The units are being reset; their last beats may be anything.
            offers = rng.random() < 0.3
        dut.abort_i.value, dut.finish_i.value, dut.valid_i.value = aborts, finishes, offers
        dut.data_i.value = results[sent] if offers and sent < len(results) else rng.getrandbits(64)
        # The code counts in the first cycle of the abort.
        dut.code_i.value = code if aborts and went == stop else rng.getrandbits(8)
        await taker.cycle()
        assert aborts or finishes or value(dut.busy_o)
        ended = (aborts or finishes) and went > (stop or 0) and not value(dut.busy_o)
        if offers and value(dut.ready_o) and not aborts:
            sent, offers = sent + 1, False
        await RisingEdge(dut.clk_i)
        went += 1
        if ended:
            break
        assert went < 3000, "the packet does not end"
    for name in ("abort_i", "finish_i", "valid_i"):
        getattr(dut, name).value = 0
    return code


@bench(200_000)
async def packets(dut: Any) -> None:
    """Packets of all lengths: complete, empty, and stopped in every cycle, also while the last beat waits."""
    rng = generator()
    await start(dut)
    taker = Taker(dut, rng)
    seen = {"complete": 0, "empty": 0, "cut": 0, "late": 0}
    for number in range(900):
        results = [rng.getrandbits(64) for _ in range(rng.choice((0, 1, 2, 3, 9)))]
        stop = None if number % 3 == 0 else rng.choice((0, 1, 2, 3, rng.randrange(40)))
        taker.stall, taker.beats = rng.choice(STALLS), []
        code = await packet(dut, rng, taker, results, stop)
        words = [beat for beat, _ in taker.beats]
        assert [last for _, last in taker.beats] == [0] * (len(words) - 1) + [1], taker.beats
        if words == results:
            seen["complete" if stop is None else "late"] += 1
            continue
        closing = int.from_bytes(closing_beat(code if stop is not None else Error.NONE), "little")
        if stop is not None and not results and words != [closing]:
            # It ended before it was stopped.
            closing = int.from_bytes(closing_beat(Error.NONE), "little")
        assert words[-1] == closing, hex(words[-1])
        assert words[:-1] == results[: len(words) - 1]
        assert stop is not None or not results
        seen["empty" if not results else "cut"] += 1
        # Between packets nothing is sent, and what a stopped unit still has is lost.
        for _ in range(rng.randrange(4)):
            dut.valid_i.value = rng.getrandbits(1)
            await taker.cycle()
            assert not value(dut.valid_o) and not value(dut.busy_o)
            await RisingEdge(dut.clk_i)
        dut.valid_i.value = 0
    assert min(seen.values()) > 20, seen


@bench(2_000)
async def done_means_taken(dut: Any) -> None:
    """It is busy until the last beat is taken, however long that waits, and free in the next cycle."""
    rng = generator()
    await start(dut)
    taker = Taker(dut, rng)
    compared = 0
    for wait in (0, 1, 2, 5, 50):
        for finish in (True, False):
            dut.open_i.value, taker.stall, taker.beats = 1, 1.0, []
            await taker.cycle()
            await RisingEdge(dut.clk_i)
            dut.open_i.value, dut.valid_i.value = 0, 1
            await taker.cycle()
            await RisingEdge(dut.clk_i)
            dut.valid_i.value, dut.finish_i.value, dut.abort_i.value = 0, finish, not finish
            for _ in range(wait + 4):
                await taker.cycle()
                assert value(dut.busy_o)
                await RisingEdge(dut.clk_i)
                compared += 1
            taker.stall = 0.0
            await taker.cycle()
            assert value(dut.busy_o) and taker.beats[-1][1]
            await RisingEdge(dut.clk_i)
            await taker.cycle()
            assert not value(dut.busy_o) and len(taker.beats) == 1
            dut.finish_i.value = dut.abort_i.value = 0
            await RisingEdge(dut.clk_i)
    assert compared == 2 * sum(wait + 4 for wait in (0, 1, 2, 5, 50))


@bench(1_000)
async def full_speed(dut: Any) -> None:
    """One beat per cycle without stalls."""
    await start(dut)
    taker = Taker(dut, generator())
    dut.open_i.value = 1
    await cycles(dut, 1)
    dut.open_i.value, dut.valid_i.value = 0, 1
    for number in range(200):
        dut.data_i.value = number
        await taker.cycle()
        assert value(dut.ready_o)
        await RisingEdge(dut.clk_i)
    assert taker.beats == [(number, 0) for number in range(len(taker.beats))] and len(taker.beats) >= 197
    # A reset drops the packet and what waits.
    taker.stall = 1.0
    dut.rst_ni.value = 0
    await cycles(dut, 1)
    dut.rst_ni.value, dut.valid_i.value = 1, 0
    await FallingEdge(dut.clk_i)
    assert not value(dut.valid_o) and not value(dut.busy_o)
