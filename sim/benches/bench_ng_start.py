"""ng_start: all combinations of its inputs."""

from __future__ import annotations

from itertools import product
from typing import Any

from cocotb.triggers import Timer

from .common import bench, value
from .setup import Setup

SETUP = Setup()

INPUTS = ("idle_i", "valid_i", "ok_i", "skipped_i", "met_i")


@bench(100)
async def combinations(dut: Any) -> None:
    """An instruction is taken when it is skipped or met, and otherwise waits; only by an idle unit."""
    compared = 0
    for idle, valid, ok, skipped, met in product((0, 1), repeat=5):
        for name, bit in zip(INPUTS, (idle, valid, ok, skipped, met), strict=True):
            getattr(dut, name).value = bit
        await Timer(1, "ns")
        sound = idle == valid == ok == 1
        ready = sound and (skipped == 1 or met == 1)
        assert value(dut.ready_o) == ready
        assert value(dut.starts_o) == (ready and not skipped)
        assert value(dut.waits_o) == (sound and not ready)
        compared += 1
    assert compared == 32
