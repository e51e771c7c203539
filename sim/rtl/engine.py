"""The engine in SystemVerilog, compiled by Verilator and driven command by command: the interface of `sim.engine`."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...compilecache import load
from ...hw import isa
from ...hw.isa import Error, Memory, Parameters, Unit
from ...hw.isa.program import ProgramError
from ...hw.synthesis.silicon import PLAIN, Silicon
from ..engine.engine import OnWrite
from . import coverage
from .verilate import Watch, build_library, waves_in

_REGISTERS = {register.name: register.address for register in isa.REGISTERS}


class RtlEngine:
    """The interface of `sim.engine.Engine` with the Verilated engine behind it.

    Args:
        parameters: what the engine is built with.
        waves: a file for waveforms of all signals, .fst or .vcd; see `verilate.waves_in`.
        silicon: what it is made of; no result and no cycle depends on it.

    Attributes:
        error, where: as in `sim.engine.Engine`.
        stalls: chances in 256 that a cycle brings no input beat, and that it takes no output beat.
        seed: of the stalls.
        limit: cycles after which a command is taken for hung.
        counters: of the last command, by name.

    Raises:
        UserError: Verilator, g++ or make is missing, or what waveforms need.
    """

    def __init__(self, parameters: Parameters, waves: Path | None = None, silicon: Silicon = PLAIN) -> None:
        self.parameters = parameters
        self.error = Error.NONE
        self.where: tuple[Unit, int] | None = None
        self.stalls = (0, 0)
        self.seed = 1
        self.limit = 20_000_000
        self.counters: dict[str, int] = {}
        counts = coverage.folder()
        watch = (
            waves_in(waves) if waves is not None else Watch.COVERAGE if counts is not None else Watch.NOTHING
        )
        self._counts = counts if watch is Watch.COVERAGE else None
        lib = load(build_library(parameters, watch, silicon))
        lib.ng_new.restype = ctypes.c_void_p
        lib.ng_record.restype = ctypes.c_void_p
        lib.ng_records.restype = lib.ng_cycles.restype = ctypes.c_uint64
        lib.ng_read.restype = ctypes.c_uint32
        p, u32, u64, i = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int
        lib.ng_execute.argtypes = [p, u32, p, u64, i, p, u64, p, u32, u32, u32, u64, i]
        for name in ("ng_delete", "ng_reset", "ng_records", "ng_record", "ng_cycles"):
            getattr(lib, name).argtypes = [p]
        lib.ng_waves.argtypes = lib.ng_coverage.argtypes = [p, ctypes.c_char_p]
        lib.ng_write_later.argtypes = [p, u64, u32, u32]
        lib.ng_write.argtypes, lib.ng_read.argtypes = [p, u32, u32], [p, u32]
        self._lib = lib
        self._model = lib.ng_new()
        if waves is not None:
            lib.ng_waves(self._model, str(waves).encode())
        n = parameters.lanes
        self._record = np.dtype(
            [("unit", "i4"), ("number", "i4"), ("memory", "i4"), ("address", "i4"), ("table", "i4"),
             ("words", "i2", n), ("before", "i2", n)]
        )  # fmt: skip

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Ends the simulation and completes the waveforms."""
        if getattr(self, "_model", None):
            if self._counts is not None:
                path = coverage.new_file(self._counts)
                self._lib.ng_coverage(self._model, str(path).encode())
            self._lib.ng_delete(self._model)
            self._model = None

    @property
    def cycles(self) -> int:
        """Clock cycles simulated so far."""
        return int(self._lib.ng_cycles(self._model))

    def write(self, register: str, value: int) -> None:
        """Writes a register."""
        self._lib.ng_write(self._model, _REGISTERS[register], value)

    def write_later(self, cycle: int, register: str, value: int) -> None:
        """Writes a register during the next command.

        Args:
            cycle: after the command's start, not below that of the write before it. A write after the end is lost.
            register, value: what is written.
        """
        self._lib.ng_write_later(self._model, cycle, _REGISTERS[register], value)

    def read(self, register: str) -> int:
        """Reads a register."""
        return int(self._lib.ng_read(self._model, _REGISTERS[register]))

    def reset(self) -> None:
        """Four cycles of `rst_ni`: as after power-on, but for what memories hold."""
        self._lib.ng_reset(self._model)
        self.error, self.where = Error.NONE, None

    def clear(self) -> None:
        """CONTROL.clear."""
        self.write("CONTROL", 1 << 31)
        self.error, self.where = Error.NONE, None

    def load_program(self, packet: bytes, *, last: bool = True) -> None:
        """The command PROGRAM."""
        self._execute(1, packet, last, None)

    def init(self, packet: bytes, *, last: bool = True) -> None:
        """The command INIT."""
        self._execute(2, packet, last, None)

    def run(
        self, packet: bytes, lengths: Sequence[int], on_write: OnWrite | None = None, *, last: bool = True
    ) -> bytes:
        """The command RUN."""
        self.write("SENTENCES", len(lengths))
        for number, length in enumerate(lengths[: isa.SENTENCES]):
            self.write(f"LENGTH{number}", length)
        return self._execute(3, packet, last, on_write)

    def _execute(self, command: int, packet: bytes, last: bool, on_write: OnWrite | None) -> bytes:
        if self.error:
            before = self.read("STATUS"), self.read("ERROR_WHERE")
            self.write("CONTROL", command)
            if (self.read("STATUS"), self.read("ERROR_WHERE")) != before:
                raise RuntimeError(f"command {command} was taken in the error state")
            raise ProgramError(Error.COMMAND, "the engine is in the error state; clear it first.")
        data = np.frombuffer(packet + bytes(-len(packet) % 8), "<u8").copy()
        results = np.zeros(1 << 20, np.uint64)
        got = ctypes.c_uint64()
        ended = self._lib.ng_execute(
            self._model, command, data.ctypes.data, len(data), last, results.ctypes.data, len(results),
            ctypes.byref(got), *self.stalls, self.seed, self.limit, on_write is not None,
        )  # fmt: skip
        status = self.read("STATUS")
        self.counters = {name: self.read(name) for name, _ in isa.COUNTERS}
        code = Error(status >> 8 & 0xFF)
        if ended and not (status & 4):
            raise RuntimeError(f"command {command}: the engine gave {ended}, status {status:#x}")
        if status & 4:
            where = self.read("ERROR_WHERE")
            self.error = code
            self.where = (Unit(where >> 16 & 3), where & 0xFFFF) if where >> 31 else None
            raise ProgramError(
                code, f"the engine stopped: {isa.ERROR_DOCS[code]}.", *(self.where or (None, None))
            )
        if not status & 2:
            raise RuntimeError(f"command {command}: status {status:#x}")
        if on_write is not None:
            self._tell(on_write)
        return results[: got.value].astype("<u8").tobytes()

    def _tell(self, on_write: OnWrite) -> None:
        count = self._lib.ng_records(self._model)
        if not count:
            return
        raw = ctypes.string_at(self._lib.ng_record(self._model), count * self._record.itemsize)
        records = np.frombuffer(raw, self._record)
        key = records["unit"].astype(np.int64) << 32 | records["number"]
        order = np.argsort(key, kind="stable")
        bounds = np.flatnonzero(np.diff(key[order], prepend=-1, append=-1))
        for low, high in pairwise(bounds):
            part = records[order[low:high]]
            on_write(
                Unit(int(part["unit"][0])), int(part["number"][0]), Memory(int(part["memory"][0])),
                part["address"].astype(np.int64), part["words"], part["before"] if part["table"][0] else None,
            )  # fmt: skip
