"""ng_intake: packets under random stalls, and clears in every cycle of them, against a model of the borders."""

from __future__ import annotations

from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from .common import STALLS, bench, generator, start, value
from .setup import Setup

SETUP = Setup()


@bench(60_000)
async def clears(dut: Any) -> None:
    """Beats pass in order; a clear drops accepted beats, and the rest of a packet unless a second one ends that."""
    rng = generator()
    await start(dut)
    inside: list[tuple[int, int]] = []  # accepted and not yet read
    partial = discards = dropped = False
    left = 0  # beats of the packet that the sender has not sent
    offered: tuple[int, int] | None = None
    held: tuple[int, int] | None = None
    seen = {"read": 0, "clear": 0, "discarded": 0, "second": 0, "nothing": 0, "resent": 0}
    for number in range(20_000):
        if number % 400 == 0:
            stalls = rng.choice(STALLS), rng.choice(STALLS)
            chance = rng.choice((0.0, 0.01, 0.1, 0.4))
        if offered is None and rng.random() >= stalls[0]:
            left = left or rng.choice((1, 1, 2, 5, 30))
            left -= 1
            offered = rng.getrandbits(64), int(left == 0)
        elif offered is not None and rng.random() < 0.02:
            # The sending side is reset within a packet: the beat is withdrawn, the rest never comes.
            offered, left = None, 0
            seen["resent"] += 1
        clear, ready = rng.random() < chance, rng.random() >= stalls[1]
        dut.valid_i.value, dut.clear_i.value, dut.ready_i.value = offered is not None, clear, ready
        dut.data_i.value, dut.last_i.value = offered or (rng.getrandbits(64), rng.getrandbits(1))
        await FallingEdge(dut.clk_i)
        assert value(dut.discards_o) == (discards or dropped), number
        assert value(dut.ready_o) == (len(inside) < 2), number
        beat = (value(dut.data_o), value(dut.last_o)) if value(dut.valid_o) else None
        assert beat == (inside[0] if inside else None), number
        assert held is None or beat == held
        held = beat if beat is not None and not ready and not clear else None
        taken = offered if len(inside) < 2 else None
        if taken is not None:
            offered, partial = None, not taken[1]
        dropped = bool(clear and (inside or taken is not None))
        if clear:
            seen["second" if discards else "clear" if dropped or partial else "nothing"] += 1
            inside, discards = [], partial and not discards
            partial = discards
        else:
            if beat is not None and ready:
                inside.pop(0)
                seen["read"] += 1
            if taken is not None and discards:
                discards = not taken[1]
                seen["discarded"] += 1
            elif taken is not None:
                inside.append(taken)
        await RisingEdge(dut.clk_i)
    assert min(seen.values()) > 50 and seen["read"] > 3_000, seen
