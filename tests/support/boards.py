"""A virtual board with the example's build, and sentences with the answers of the program simulator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from narrowgauge.deploy import dma as dma_module
from narrowgauge.deploy.board import Board
from narrowgauge.deploy.dma import DriverError
from narrowgauge.hw.host.build import EngineBuild
from narrowgauge.hw.host.folder import read_engine
from narrowgauge.hw.host.packets import run_packet
from narrowgauge.hw.isa import Error
from narrowgauge.hw.isa.program import ProgramError, to_bytes
from narrowgauge.sim.board.device import VirtualDevice, open_overlay
from narrowgauge.sim.engine.simulator import ProgramSimulator
from narrowgauge.sim.levels.engines import roomy

TEXTS = ("play some jazz in the kitchen", "turn off the light", "wake me at seven tomorrow morning please")


SECONDS = 0.001
"""The time limit of tests in simulated time: ten times that of a sentence."""


@dataclass(frozen=True)
class Case:
    """A build, and for each of some sentences the packet of its RUN, its tokens, and the packet of its results."""

    build: EngineBuild
    runs: tuple[tuple[bytes, int, bytes], ...]

    @property
    def program(self) -> bytes:
        return to_bytes(self.build.program)

    def load(self, board: Board) -> None:
        board.load_program(self.program)
        board.init(self.build.image)

    def check(self, board: Board, number: int = 0) -> None:
        """Runs a sentence and compares the answer."""
        packet, length, expected = self.runs[number]
        assert board.run(packet, [length]) == expected == board.packet


def example_case(root: Path) -> Case:
    """The example's build, with three sentences."""
    build = read_engine(root / "examples" / "voice")
    assert build.frontend is not None
    inputs = build.frontend.inputs(build.frontend.encode(TEXTS))
    runs = []
    with ProgramSimulator(build.program.parameters) as simulator:
        simulator.load_program(to_bytes(build.program))
        simulator.init(build.image)
        for tokens, _ in inputs:
            packet = run_packet(build.inputs, [(tokens, None)], build.stream)
            runs.append((packet, len(tokens), simulator.run(packet, [len(tokens)])))
    return Case(build, tuple(runs))


@contextmanager
def virtual_device(case: Case, folder: Path, **options: Any) -> Iterator[tuple[VirtualDevice, Any]]:
    """A virtual board, and its overlay, which is loaded."""
    with VirtualDevice(roomy(case.build.program.parameters), **options) as device:
        yield device, open_overlay(device, folder)


def use_simulated_time(monkeypatch: pytest.MonkeyPatch, device: VirtualDevice) -> None:
    """Lets the time limits of the driver count the cycles of a device at 100 MHz, however busy this machine is."""
    clock = SimpleNamespace(monotonic=lambda: device.cycles / 100e6, sleep=lambda seconds: None)
    monkeypatch.setattr("narrowgauge.deploy.dma.time", clock)


def seconds() -> float:
    """The time that the driver sees."""
    return float(vars(dma_module)["time"].monotonic())


def check_recovery(board: Board, case: Case) -> None:
    """After an error: the board takes no command until it is cleared, and then the next sentence is right."""
    start = seconds()
    with pytest.raises((DriverError, ProgramError), match="clear"):
        case.check(board)
    board.clear()
    case.check(board, 1)
    assert board.error is Error.NONE
    assert seconds() - start < 3 * SECONDS
