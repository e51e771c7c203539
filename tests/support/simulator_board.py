"""A board without RTL: a device of pynq with the program simulator behind its DMA. Fast, and needs no compiler.

A transfer ends when it is started, and so does the command that it belongs to. As a program, for an environment with
the wheel and the extra `board` alone, it runs a self-test and two sentences on this device:

    python simulator_board.py BUILD
"""

from __future__ import annotations

import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

import pynq
from pynq.buffer import PynqBuffer
from pynq.pl_server.device import Device
from pynqmetadata.frontends import Metadata
from pynqmetadata.views.runtime import RuntimeMetadataParser

from narrowgauge.deploy.board import Board
from narrowgauge.deploy.model import on_engine
from narrowgauge.deploy.selftest import selftest
from narrowgauge.deploy.vectors import read_vectors
from narrowgauge.hw import isa
from narrowgauge.hw.host.build import EngineBuild
from narrowgauge.hw.host.folder import read_engine
from narrowgauge.hw.isa import Command, Error, Parameters
from narrowgauge.hw.isa.program import ProgramError
from narrowgauge.sim.board.design import DESIGNS
from narrowgauge.sim.board.memory import Memory
from narrowgauge.sim.board.overlay import overlay_files
from narrowgauge.sim.engine.simulator import ProgramSimulator

_DESIGN = DESIGNS["zynq"]
_NAMES = {register.address: register.name for register in isa.REGISTERS}


class SimulatorDevice(Device):  # type: ignore[misc]
    """A device whose engine is a program simulator."""

    _probe_priority_ = 2000

    @classmethod
    def _probe_(cls) -> list[Device]:
        return []

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(f"simulator-{id(self)}")
        self.name = "simulator"
        self.capabilities = {"REGISTER_RW": True}
        self.default_memory = self
        self.parameters = parameters
        self._memory = Memory("zynq")
        self._simulator = ProgramSimulator(parameters)
        self._status = 1
        self._registers = {
            "ID": isa.ENGINE_ID,
            "VERSION": isa.ISA_VERSION,
            "LANES": parameters.lanes,
            "ACC_BITS": parameters.acc_bits,
            **{isa.depth_name(m).upper(): parameters.depth(m) for m in isa.Memory},
        }
        # Status of both channels of the DMA, and where the results go.
        self._dma = {0x04: 1, 0x34: 1}

    def allocate(self, shape: Any, dtype: Any, **options: Any) -> PynqBuffer:
        return self._memory.allocate(self, shape, dtype, **options)

    def flush(self, bo: int, offset: int, ptr: int, size: int) -> None:
        self._memory.flush(bo, offset, size)

    def invalidate(self, bo: int, offset: int, ptr: int, size: int) -> None:
        self._memory.invalidate(bo, offset, size)

    def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> RuntimeMetadataParser:
        parser = RuntimeMetadataParser(Metadata(input=str(Path(bitfile_name).with_suffix(".hwh"))))
        parser.clock_dict = {}
        parser.refresh_hierarchy_dict()
        return parser

    def download(self, bitstream: Any, parser: Any = None) -> None:
        self.post_download(bitstream, parser, self.name)

    def read_registers(self, address: int, length: int) -> bytes:
        return struct.pack("<I", self._read(address))

    def write_registers(self, address: int, data: bytes) -> None:
        (value,) = struct.unpack("<I", data)
        if address >= _DESIGN.dma:
            self._write_dma(address - _DESIGN.dma, value)
        elif _NAMES[address - _DESIGN.engine] == "CONTROL":
            self._control(value)
        else:
            self._registers[_NAMES[address - _DESIGN.engine]] = value

    def _read(self, address: int) -> int:
        if address >= _DESIGN.dma:
            return self._dma.get(address - _DESIGN.dma, 0)
        name = _NAMES[address - _DESIGN.engine]
        return self._status if name == "STATUS" else self._registers.get(name, 0)

    def _control(self, value: int) -> None:
        if value >> 31:
            self._simulator.clear()
            self._status = 1
        else:
            self._registers["CONTROL"], self._status = value, 0

    def _write_dma(self, offset: int, value: int) -> None:
        if offset in (0x00, 0x30):
            # A reset ends at once; a channel that runs is not halted.
            self._dma[offset + 4] = 1 if value & 4 or not value & 1 else 0
            return
        self._dma[offset] = value
        if offset == 0x28:
            self._send(self._memory.read(self._dma[0x18], value))
            self._dma[0x04] = 0x1002

    def _send(self, packet: bytes) -> None:
        simulator = self._simulator
        command = Command(self._registers["CONTROL"])
        try:
            if command is Command.PROGRAM:
                simulator.load_program(packet)
            elif command is Command.INIT:
                simulator.init(packet)
            else:
                count = self._registers["SENTENCES"]
                simulator.run(packet, [self._registers[f"LENGTH{n}"] for n in range(count)])
            self._status = 3
        except ProgramError as error:
            self._status = 4 | int(error.error) << 8
        if command is Command.RUN:
            self._memory.write(self._dma[0x48], simulator.packet)
            self._dma[0x58], self._dma[0x34] = len(simulator.packet), 0x1002


def simulator_board(build: EngineBuild, folder: Path) -> Board:
    """The driver on such a device, with an engine that fits a build."""
    device = SimulatorDevice(build.engine)
    return Board(pynq.Overlay(str(overlay_files(folder, device.parameters)), device=device))


def main(folder: Path) -> None:
    """Runs the self-test and two sentences; prints what was found and which packages were imported."""
    build = read_engine(folder)
    with tempfile.TemporaryDirectory() as files:
        board = simulator_board(build, Path(files))
        report = selftest(build, board, read_vectors(folder, build))
        with on_engine(build, "board", board) as model:
            answers = model.predict(["play some jazz in the kitchen", "turn off the light"])
    assert report.passed and board.error is Error.NONE, report
    wrong = {"torch", "onnx", "onnxruntime", "rich", "tokenizers", "safetensors"} & set(sys.modules)
    print(
        f"Python {sys.version_info[0]}.{sys.version_info[1]}, pynq {pynq.__version__}: {report.words} words equal"
    )
    print(", ".join(answer.label for answer in answers))
    print("imported:", ", ".join(sorted(wrong)) or "nothing else")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
