"""The C++ engine in this process, driven through ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..compilecache import load
from ..errors import UserError
from ..hw.host.engine import (
    Closing,
    OnWrite,
    length_registers,
    padded,
    record_type,
    refused,
    report_writes,
    results_of,
    stopped,
    where_of,
)
from ..hw.isa import BEAT_BYTES, SENTENCES, Command, Error, Parameters, Unit
from .build import build_library

_CLEAR = 1 << 31
_MOST_STEPS = 1 << 31


class HlsEngine(Closing):
    """The C++ sources, compiled by g++ and loaded into this process. Implements `hw.host.engine.Engine`.

    Args:
        parameters: what the engine is built with.
        native: native types of the same range instead of `ap_int`: the same integers, many times faster.
        most_steps: words that a command may multiply and drain; one that needs more raises `UserError`.

    Attributes:
        parameters, error, where, counters, packet: see `Engine`.

    Raises:
        UserError: there is no g++, or the `ap_int` headers are missing.
    """

    def __init__(self, parameters: Parameters, *, native: bool = True, most_steps: int = _MOST_STEPS) -> None:
        self.parameters = parameters
        self.error = Error.NONE
        self.where: tuple[Unit, int] | None = None
        self.counters: dict[str, int] = {}
        self.packet = b""
        self._most_steps = most_steps
        self._stopped = False
        self._library = _library(build_library(parameters, native))
        self._engine = self._library.ng_create()
        super().__init__(partial(self._library.ng_destroy, self._engine))

    def clear(self) -> None:
        """See `Engine.clear`."""
        self._stopped = False
        self._control(_CLEAR, b"", (), True, False)

    def load_program(self, packet: bytes, *, last: bool = True) -> None:
        """See `Engine.load_program`."""
        self._command(Command.PROGRAM, packet, (), last, False)

    def init(self, packet: bytes, *, last: bool = True) -> None:
        """See `Engine.init`."""
        self._command(Command.INIT, packet, (), last, False)

    def run(
        self, packet: bytes, lengths: Sequence[int], on_write: OnWrite | None = None, *, last: bool = True
    ) -> bytes:
        """See `Engine.run`; `on_write` is called when the command has ended without an error."""
        self._command(Command.RUN, packet, lengths, last, on_write is not None)
        # Before `on_write`, which may give the engine another command or close it.
        results = results_of(self.packet)
        if on_write is not None:
            size = record_type(self.parameters.lanes).itemsize
            report_writes(self._content(self._library.ng_records, size), self.parameters.lanes, on_write)
        return results

    def _command(
        self, command: Command, packet: bytes, lengths: Sequence[int], last: bool, tracing: bool
    ) -> None:
        self._control(int(command), packet, lengths, last, tracing)
        if self._stopped:
            raise refused()
        if self.error is not Error.NONE:
            self._stopped = True
            raise stopped(self.error, self.where)

    def _control(self, value: int, packet: bytes, lengths: Sequence[int], last: bool, tracing: bool) -> None:
        self._check_open()
        self.packet = b""
        beats = padded(packet)
        registers = length_registers(lengths)
        registers += [0] * (SENTENCES - len(registers))
        error, where = ctypes.c_uint32(), ctypes.c_uint32()
        status = self._library.ng_control(
            self._engine,
            value,
            0,
            len(lengths),
            (ctypes.c_uint32 * SENTENCES)(*registers),
            beats,
            len(beats) // BEAT_BYTES,
            last,
            tracing,
            self._most_steps,
            ctypes.byref(error),
            ctypes.byref(where),
        )
        if status == 1:
            raise UserError(
                f"the program needs more than {self._most_steps} steps of the array; use a smaller model."
            )
        if status:
            raise RuntimeError("the output is not one packet")
        self.packet = self._content(self._library.ng_results, BEAT_BYTES)
        self.error = Error(error.value)
        self.where = where_of(where.value)

    def _content(self, function: ctypes._NamedFuncPointer, size: int) -> bytes:
        """An array of the last command, whose items have `size` bytes."""
        count = ctypes.c_uint64()
        data = function(self._engine, ctypes.byref(count))
        return ctypes.string_at(data, size * count.value) if count.value else b""


def _library(path: Path) -> ctypes.CDLL:
    """The shared library with the types of its functions."""
    library = load(path)
    library.ng_create.restype = ctypes.c_void_p
    library.ng_create.argtypes = []
    library.ng_destroy.restype = None
    library.ng_destroy.argtypes = [ctypes.c_void_p]
    library.ng_control.restype = ctypes.c_int
    library.ng_control.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_uint32,
        ctypes.c_uint32,
        ctypes.POINTER(ctypes.c_uint32),
        ctypes.c_char_p,
        ctypes.c_uint64,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_uint64,
        ctypes.POINTER(ctypes.c_uint32),
        ctypes.POINTER(ctypes.c_uint32),
    ]
    for name in ("ng_results", "ng_records"):
        function = getattr(library, name)
        function.restype = ctypes.c_void_p
        function.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint64)]
    return library
