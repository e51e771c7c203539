"""The virtual board: stock classes of pynq run on it, its DMA behaves as PG021 says, and its memory as a board's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from narrowgauge.fixedpoint import IntArray
from narrowgauge.hw import isa
from narrowgauge.hw.host.build import EngineBuild
from narrowgauge.hw.host.folder import read_engine
from narrowgauge.hw.host.packets import run_packet
from narrowgauge.hw.isa import Command
from narrowgauge.hw.isa.program import to_bytes
from narrowgauge.sim.engine.simulator import ProgramSimulator
from narrowgauge.sim.levels.engines import roomy

pynq = pytest.importorskip("pynq", reason="the extra `board` is not installed")

from narrowgauge.sim.board.device import VirtualDevice, open_overlay  # noqa: E402 - imports pynq

REGISTERS = {register.name: register.address for register in isa.REGISTERS}
FAMILIES = ("zynq", "zynqmp")


@dataclass
class Board:
    """A virtual board with an overlay, and one sentence of a build: its packet and the right answer."""

    device: VirtualDevice
    overlay: Any
    build: EngineBuild
    packet: bytes
    length: int
    answer: bytes

    def read(self, register: str) -> int:
        return int(self.overlay.engine.read(REGISTERS[register]))

    def write(self, register: str, value: int) -> None:
        self.overlay.engine.write(REGISTERS[register], int(value))

    def buffer(self, content: bytes = b"", size: int = 0) -> Any:
        array = pynq.allocate((max(size, len(content)),), np.uint8, target=self.device)
        array[: len(content)] = np.frombuffer(content, np.uint8)
        return array

    def command(self, command: Command, packet: bytes) -> None:
        """A command without results, with stock `DMA`."""
        array = self.buffer(packet)
        self.write("CONTROL", command)
        self.overlay.dma.sendchannel.transfer(array)
        self.overlay.dma.sendchannel.wait()
        for _ in range(1000):
            if self.read("STATUS") == 3:
                return
        raise AssertionError(f"STATUS is {self.read('STATUS'):#x}")

    def load(self) -> None:
        self.command(Command.PROGRAM, to_bytes(self.build.program))
        self.command(Command.INIT, self.build.image)

    def start(self) -> tuple[Any, Any]:
        """Starts a RUN: the buffers of both channels."""
        sent, received = self.buffer(self.packet), self.buffer(size=len(self.answer) + 64)
        self.write("SENTENCES", 1)
        self.write("LENGTH0", self.length)
        self.overlay.dma.recvchannel.transfer(received)
        self.write("CONTROL", Command.RUN)
        self.overlay.dma.sendchannel.transfer(sent)
        return sent, received

    def run(self) -> bytes:
        """A RUN: the packet that the DMA received."""
        _, received = self.start()
        dma = self.overlay.dma
        dma.recvchannel.wait()
        dma.sendchannel.wait()
        return received[: dma.recvchannel.transferred].tobytes()


@pytest.fixture(scope="module")
def sentence(root: Path) -> tuple[EngineBuild, bytes, int, bytes]:
    """A build, the packet of a sentence, its tokens, and the packet that the program simulator sends."""
    build = read_engine(root / "examples" / "voice")
    assert build.frontend is not None
    tokens: IntArray = build.frontend.inputs(build.frontend.encode(["play some jazz in the kitchen"]))[0][0]
    packet = run_packet(build.inputs, [(tokens, None)], build.stream)
    with ProgramSimulator(build.program.parameters) as simulator:
        simulator.load_program(to_bytes(build.program))
        simulator.init(build.image)
        simulator.run(packet, [len(tokens)])
        return build, packet, len(tokens), simulator.packet


@pytest.fixture(params=FAMILIES)
def board(
    request: pytest.FixtureRequest, sentence: tuple[EngineBuild, bytes, int, bytes], tmp_path: Path
) -> Iterator[Board]:
    build = sentence[0]
    with VirtualDevice(roomy(build.program.parameters), family=request.param) as device:
        yield Board(device, open_overlay(device, tmp_path), *sentence)


def test_a_sentence_by_stock_classes(board: Board) -> None:
    """`Overlay`, `DefaultIP`, `MMIO`, `DMA` and `allocate` as pynq has them compute the answer of the simulator."""
    assert type(board.overlay.dma).__module__ == "pynq.lib.dma"
    assert board.read("ID") == isa.ENGINE_ID
    assert board.read("LANES") == board.build.program.parameters.lanes
    board.load()
    for _ in range(3):
        assert board.run() == board.answer
    assert board.read("CYCLES") > 0


def test_an_interrupt_by_stock_classes(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """pynq's `Interrupt` waits for the engine's, once its pin is named: pynq finds only pins behind an axi_intc."""
    assert not board.overlay.interrupt_pins
    line = board.overlay.parser.ps.irq_map[0]
    pin = {"controller": "", "index": 0, "raw_irq": line, "fullpath": "engine/interrupt"}
    board.device.interrupt_pins["engine/interrupt"] = pin
    monkeypatch.setattr(type(pynq.Device), "_active_device", None, raising=False)
    pynq.Device.active_device = board.device
    board.load()
    board.write("INTERRUPT_ENABLE", 1)
    # Its event belongs to one loop.
    with closing(asyncio.new_event_loop()) as loop:
        waits = pynq.Interrupt("engine/interrupt")
        for _ in range(2):
            board.start()
            loop.run_until_complete(asyncio.wait_for(waits.wait(), 60))
            assert board.read("STATUS") == 3
            board.write("INTERRUPT", 1)
            board.overlay.dma.recvchannel.wait()
        board.device.faults.no_interrupt = True
        board.start()
        with pytest.raises(asyncio.TimeoutError):
            loop.run_until_complete(asyncio.wait_for(waits.wait(), 0.2))
        assert board.read("STATUS") == 3
