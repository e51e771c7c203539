"""The engine in SystemVerilog, compiled by Verilator and driven command by command."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ...compilecache import load
from ...errors import UserError
from ...hw import isa
from ...hw.host.engine import (
    Closing,
    OnWrite,
    length_registers,
    padded,
    record_type,
    refused,
    report_writes,
    stopped,
    where_of,
)
from ...hw.isa import Command, Error, Parameters, Unit
from ...hw.synthesis.silicon import PLAIN, Silicon
from . import coverage
from .verilate import Watch, build_library, watch_of

_REGISTERS = {register.name: register.address for register in isa.REGISTERS}
_CLEAR = 1 << 31
_DONE, _ERROR = 2, 4
"""Bits of STATUS."""

_LIMIT = 2
"""What `ng_execute` returns if the command has not ended."""

_MOST_RESULTS = 1 << 20

_STALLS = ((20, 30), (128, 128), (240, 30), (30, 240))
"""For random stalls, `RtlEngine.chances` of one RUN after the other: both streams rarely stall, both stall every other
cycle, and one of them stalls most of the time."""


class RtlEngine(Closing):
    """The Verilated RTL in this process. Implements `hw.host.engine.Engine`.

    Args:
        parameters: what the engine is built with.
        waves: a file for waveforms of all signals, .fst or .vcd, complete when the engine is closed; see
            `verilate.waves_in`.
        stalls: let the streams stall at random, differently in every RUN.
        silicon: the resources that it is built of; no result and no cycle depends on them.

    Attributes:
        parameters, error, where, counters: see `Engine`.
        chances: the probabilities, in 256, that a cycle brings no input beat, and that it accepts no output beat. With
            `stalls`, every RUN sets them.
        seed: of the stalls. With `stalls`, every RUN increments it.
        limit: cycles after which a command is given up.

    Raises:
        UserError: Verilator, g++ or make is missing, or a header that waveforms need.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        waves: Path | None = None,
        stalls: bool = False,
        silicon: Silicon = PLAIN,
    ) -> None:
        self.parameters = parameters
        self.error = Error.NONE
        self.where: tuple[Unit, int] | None = None
        self.counters: dict[str, int] = {}
        self.chances = (0, 0)
        self.seed = 1
        self.limit = 20_000_000
        self._stalls = stalls
        watch = watch_of(waves)
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
        super().__init__(
            partial(_free, lib, self._model, coverage.folder() if watch is Watch.COVERAGE else None)
        )
        if waves is not None:
            lib.ng_waves(self._model, str(waves).encode())

    @property
    def cycles(self) -> int:
        """Clock cycles simulated so far."""
        self._check_open()
        return int(self._lib.ng_cycles(self._model))

    def write(self, register: str, value: int) -> None:
        """Writes a register."""
        self._check_open()
        self._lib.ng_write(self._model, _REGISTERS[register], value)

    def write_later(self, cycle: int, register: str, value: int) -> None:
        """Writes a register during the next command.

        Args:
            cycle: after the command's start, not less than that of the previous call. A write after the end is lost.
            register, value: the name of the register and its new value.
        """
        self._check_open()
        self._lib.ng_write_later(self._model, cycle, _REGISTERS[register], value)

    def read(self, register: str) -> int:
        """Reads a register."""
        self._check_open()
        return int(self._lib.ng_read(self._model, _REGISTERS[register]))

    def reset(self) -> None:
        """Four cycles of `rst_ni`: as after power-on, except that memories keep their content."""
        self._check_open()
        self._lib.ng_reset(self._model)
        self.error, self.where = Error.NONE, None

    def clear(self) -> None:
        """See `Engine.clear`."""
        self.write("CONTROL", _CLEAR)
        self.error, self.where = Error.NONE, None

    def load_program(self, packet: bytes, *, last: bool = True) -> None:
        """See `Engine.load_program`."""
        self._execute(Command.PROGRAM, packet, last, None)

    def init(self, packet: bytes, *, last: bool = True) -> None:
        """See `Engine.init`."""
        self._execute(Command.INIT, packet, last, None)

    def run(
        self, packet: bytes, lengths: Sequence[int], on_write: OnWrite | None = None, *, last: bool = True
    ) -> bytes:
        """See `Engine.run`; `on_write` is called when the command has ended without an error."""
        if self._stalls:
            self.seed += 1
            self.chances = _STALLS[self.seed % len(_STALLS)]
        self.write("SENTENCES", len(lengths))
        for number, length in enumerate(length_registers(lengths)):
            self.write(f"LENGTH{number}", length)
        return self._execute(Command.RUN, packet, last, on_write)

    def _execute(self, command: Command, packet: bytes, last: bool, on_write: OnWrite | None) -> bytes:
        self._check_open()
        if self.error:
            before = self.read("STATUS"), self.read("ERROR_WHERE")
            self.write("CONTROL", command)
            if (self.read("STATUS"), self.read("ERROR_WHERE")) != before:
                raise RuntimeError(f"the engine executed {command.name} in the error state")
            raise refused()
        data = np.frombuffer(padded(packet), "<u8").copy()
        results = np.zeros(_MOST_RESULTS, np.uint64)
        got = ctypes.c_uint64()
        ended = self._lib.ng_execute(
            self._model, command, data.ctypes.data, len(data), last, results.ctypes.data, len(results),
            ctypes.byref(got), *self.chances, self.seed, self.limit, on_write is not None,
        )  # fmt: skip
        status = self.read("STATUS")
        self.counters = {name: self.read(name) for name, _ in isa.COUNTERS}
        if status & _ERROR:
            self.error = Error(status >> 8 & 0xFF)
            self.where = where_of(self.read("ERROR_WHERE"))
            raise stopped(self.error, self.where)
        if ended == _LIMIT:
            raise UserError(
                f"the RTL has not ended {command.name} after {self.limit:,} cycles; use a smaller model."
            )
        if ended or not status & _DONE:
            raise RuntimeError(f"{command.name}: ng_execute returned {ended}, STATUS is {status:#x}")
        if on_write is not None:
            self._report(on_write)
        return results[: got.value].astype("<u8").tobytes()

    def _report(self, on_write: OnWrite) -> None:
        count = self._lib.ng_records(self._model)
        if count:
            lanes = self.parameters.lanes
            trace = ctypes.string_at(self._lib.ng_record(self._model), count * record_type(lanes).itemsize)
            report_writes(trace, lanes, on_write)


def _free(lib: ctypes.CDLL, model: int, counts: Path | None) -> None:
    """Completes waveforms and coverage counts, and frees the simulation."""
    if counts is not None:
        lib.ng_coverage(model, str(coverage.new_file(counts)).encode())
    lib.ng_delete(model)
