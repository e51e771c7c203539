"""Scenarios of the engine's bench: a host's commands and their outcomes. A test writes them, the bench plays them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ...hw.isa import Parameters

ENGINE = Parameters(
    lanes=8, weight_depth=256, kv_depth=128, act_depth=128, vector_depth=144, score_depth=128, wide_depth=128,
    stat_depth=16, bias_depth=128, norm_depth=64, table_depth=600, exp_depth=512, index_depth=64, program_depth=256,
)  # fmt: skip
"""The engine of all scenarios."""

FILE = "NARROWGAUGE_SCENARIO"
"""Environment variable with the file of the scenario."""


@dataclass(frozen=True)
class Step:
    """A command, its packet, and its outcome.

    Attributes:
        command: 1 PROGRAM, 2 INIT, 3 RUN, or an invalid number.
        packet: bytes of the beats, in hexadecimal digits.
        lengths: what is written into the registers LENGTH; their number into SENTENCES.
        code: the error, or 0.
        where: the register ERROR_WHERE.
        results: bytes of the output packet of a RUN, in hexadecimal digits. After an error or a stop it may hold fewer,
            and ends with a closing beat.
        busy: the counter ARRAY_BUSY; None if it is unknown.
        timeout: the register TIMEOUT; if it is not 0, the packet is sent after the end of the command.
        stop: "clear", "reset", or "abandon": the sending side is reset within the packet, before the clear or after it.
            The outcome is not checked then. With the command 0, only the packet is sent.
        after: cycles from the command to the stop.
        blocked: the host takes no result until the command has failed, was cleared, or has waited for long.
        quiet: the interrupt is enabled only after the end of the command.
        stall: chance of a stall in a cycle, the same for all channels.
        writes: registers and values that the host writes during the command: half of them before the
            packet is sent, so before the command can end, the others while it is sent.
    """

    command: int
    packet: str = ""
    lengths: tuple[int, ...] = ()
    code: int = 0
    where: int = 0
    results: str = ""
    busy: int | None = None
    timeout: int = 0
    stop: str = ""
    after: int = 0
    blocked: bool = False
    quiet: bool = False
    stall: float = 0.0
    writes: tuple[tuple[str, int], ...] = ()


def write(path: Path, steps: Sequence[Step]) -> None:
    """Writes a scenario."""
    path.write_text(json.dumps([asdict(step) for step in steps]), encoding="utf-8")


def read() -> list[Step]:
    """Reads the scenario that the environment names."""
    steps = json.loads(Path(os.environ[FILE]).read_text(encoding="utf-8"))
    return [
        Step(**{**step, "lengths": tuple(step["lengths"]), "writes": tuple(map(tuple, step["writes"]))})
        for step in steps
    ]
