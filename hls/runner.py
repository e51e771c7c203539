"""The C++ engine in this process, with the interface of the program simulator."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..compilecache import load
from ..errors import UserError
from ..fixedpoint import IntArray
from ..hw.isa import BEAT_BYTES, SENTENCES, Command, Error, Memory, Parameters, Unit
from ..hw.isa.program import ProgramError
from .build import build_library

OnWrite = Callable[[Unit, int, Memory, IntArray, IntArray, IntArray | None], None]
"""Called for each instruction that wrote KV, ACT, VECTOR, SCORE or WIDE with its unit and number, the memory, the
addresses (n,), the words (n, N) as they were written and, where it has a table, the words before the table."""

_CLEAR = 1 << 31
_MOST_STEPS = 1 << 31


class HlsEngine:
    """An engine of the C++ sources. Commands end, or raise and leave the engine in the error state until `clear`.

    A packet is the bytes of its 64-bit beats; the last beat is zero-padded. `last` says whether that beat
    carries TLAST.

    Args:
        parameters: what the engine is built with.
        native: native types of the same range instead of `ap_int`.
        most_steps: words that a command may multiply and drain; one that wants more is refused.

    Attributes:
        error: the code in the status register; the error state keeps the one that led to it.
        where: the instruction in ERROR_WHERE, as unit and number in its list.

    Raises:
        UserError: there is no g++, or the `ap_int` headers are missing.
    """

    def __init__(self, parameters: Parameters, native: bool, most_steps: int = _MOST_STEPS) -> None:
        self.parameters = parameters
        self.error = Error.NONE
        self.where: tuple[Unit, int] | None = None
        self._most_steps = most_steps
        self._stopped = False
        self._library = _library(build_library(parameters, native))
        self._engine = self._library.ng_create()
        self._close = weakref.finalize(self, self._library.ng_destroy, self._engine)
        lanes = parameters.lanes
        self._record = np.dtype(
            [
                ("unit", "<i4"),
                ("number", "<i4"),
                ("memory", "<i4"),
                ("has_before", "<i4"),
                ("address", "<u4"),
                ("words", "<i2", (lanes,)),
                ("before", "<i2", (lanes,)),
            ]
        )

    def clear(self) -> None:
        """CONTROL.clear: ends the error state."""
        self._stopped = False
        self._control(_CLEAR, b"", (), True, False)

    def load_program(self, packet: bytes, *, last: bool = True) -> None:
        """The command PROGRAM.

        Raises:
            ProgramError: MAGIC, VERSION, PARAMETER, PROGRAM_CRC, COMMAND, TRUNCATED or OVERRUN.
        """
        self._command(Command.PROGRAM, packet, (), last, False)

    def init(self, packet: bytes, *, last: bool = True) -> None:
        """The command INIT: the packet is the image.

        Raises:
            ProgramError: IMAGE_CRC, COMMAND, TRUNCATED, OVERRUN, FIELD, ADDRESS or DEADLOCK.
        """
        self._command(Command.INIT, packet, (), last, False)

    def run(
        self, packet: bytes, lengths: Sequence[int], on_write: OnWrite | None = None, *, last: bool = True
    ) -> bytes:
        """The command RUN.

        Args:
            packet: what the list `stream` loads.
            lengths: tokens of each sentence: the registers LENGTH and, by their number, SENTENCES.
            on_write: see `OnWrite`; called when the command has ended without an error.
            last: whether the packet's last beat carries TLAST.

        Returns:
            The beats of the output stream.

        Raises:
            ProgramError: with the engine's error code.
            UserError: the program would take longer than `most_steps` allows.
        """
        self._command(Command.RUN, packet, lengths, last, on_write is not None)
        if on_write is not None:
            self._trace(on_write)
        count = ctypes.c_uint64()
        data = self._library.ng_results(self._engine, ctypes.byref(count))
        return ctypes.string_at(data, BEAT_BYTES * count.value) if count.value else b""

    def _command(
        self, command: Command, packet: bytes, lengths: Sequence[int], last: bool, tracing: bool
    ) -> None:
        if self._stopped:
            self._control(int(command), packet, lengths, last, tracing)
            raise ProgramError(Error.COMMAND, "the engine is in the error state; clear it.")
        self._control(int(command), packet, lengths, last, tracing)
        if self.error is not Error.NONE:
            self._stopped = True
            unit, number = self.where or (None, None)
            at = "" if unit is None else f"instruction {number} of the {unit.name} unit: "
            raise ProgramError(
                self.error,
                f"the engine stopped ({at}{self.error.name}); export the model again.",
                unit,
                number,
            )

    def _control(self, value: int, packet: bytes, lengths: Sequence[int], last: bool, tracing: bool) -> None:
        beats = packet + bytes(-len(packet) % BEAT_BYTES)
        # Registers hold 32 bits; a number that does not fit one is as wrong as the largest.
        registers = [min(max(length, 0), 0xFFFFFFFF) for length in lengths[:SENTENCES]]
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
                f"the program wants more than {self._most_steps} steps of the array; use a smaller one."
            )
        if status:
            raise RuntimeError("TLAST is not on the last beat of the results alone")
        self.error = Error(error.value)
        named = where.value >> 31
        self.where = (Unit(where.value >> 16 & 3), where.value & 0xFFFF) if named else None

    def _trace(self, on_write: OnWrite) -> None:
        """Hands the recorded words over, an instruction at a time."""
        count = ctypes.c_uint64()
        data = self._library.ng_records(self._engine, ctypes.byref(count))
        if not count.value:
            return
        size = self._record.itemsize * count.value
        records: npt.NDArray[Any] = np.frombuffer(ctypes.string_at(data, size), self._record)
        key = np.stack([records["unit"], records["number"]])
        starts = np.flatnonzero(np.any(key[:, 1:] != key[:, :-1], axis=0)) + 1
        for part in np.split(records, starts):
            first = part[0]
            on_write(
                Unit(int(first["unit"])),
                int(first["number"]),
                Memory(int(first["memory"])),
                part["address"].astype(np.int64),
                part["words"],
                part["before"] if first["has_before"] else None,
            )


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
