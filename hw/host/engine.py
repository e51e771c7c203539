"""The one interface to whatever executes programs: the program simulator, the C++ sources, the RTL, a board.

Needs numpy and `hw.isa` only. What these engines share is here: how long they live, what they say when they stop, and
the trace of written words, whose layout in memory `trace.hpp` states for C++.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from ...fixedpoint import IntArray
from ..isa import BEAT_BYTES, ERROR_DOCS, SENTENCES, Error, Memory, Parameters, Unit, closing_beat
from ..isa.program import ProgramError

OnWrite = Callable[[Unit, int, Memory, IntArray, IntArray, IntArray | None], None]
"""Called for each instruction of a RUN that wrote KV, ACT, VECTOR, SCORE or WIDE, with its unit and number, the memory,
the addresses (n,), the words (n, N) as they were written and, if it applies a table, the words before the table.
Lanes are two's complement integers of 8 or 16 bits, also where a value is unsigned."""

TRACE_HEADER = Path(__file__).with_name("trace.hpp")
"""The layout of `record_type` in C++."""

_MOST = 0xFFFFFFFF
"""The largest number in a register."""

_Self = TypeVar("_Self", bound="Closing")


class Engine(Protocol):
    """What executes the three commands of `docs/isa.md`.

    A command ends, or raises `ProgramError` and leaves the engine in the error state, in which it accepts no command
    until `clear`.

    A packet is the bytes of its 64-bit beats; the last beat is zero-padded. `last` says whether that beat carries
    TLAST. If it does not, a command that needs more beats ends as TRUNCATED or TIMEOUT, and a command that needs no
    more as OVERRUN. An empty packet has no beat that could carry TLAST.

    Close an engine after use, with `close` or as a context manager.
    """

    @property
    def parameters(self) -> Parameters:
        """The parameters that the engine is built with."""
        ...

    @property
    def error(self) -> Error:
        """The code in the register STATUS. The error state keeps the code of the command that led to it."""
        ...

    @property
    def where(self) -> tuple[Unit, int] | None:
        """The instruction in the register ERROR_WHERE, as unit and number in its list; None if there is none."""
        ...

    @property
    def packet(self) -> bytes:
        """The packet that the last command sent on the output stream, or empty if it sent none.

        After an error in RUN, this is where the closing beat is.
        """
        ...

    @property
    def counters(self) -> Mapping[str, int]:
        """The cycle counters of the last command, by the names of `isa.COUNTERS`.

        Empty for an engine without a clock: the program simulator and the C++ sources count no cycles.
        """
        ...

    def load_program(self, packet: bytes, *, last: bool = True) -> None:
        """The command PROGRAM: the packet is the program.

        Raises:
            ProgramError: MAGIC, VERSION, PARAMETER, PROGRAM_CRC, COMMAND, TRUNCATED, OVERRUN or TIMEOUT.
        """
        ...

    def init(self, packet: bytes, *, last: bool = True) -> None:
        """The command INIT: the packet is the image.

        Raises:
            ProgramError: IMAGE_CRC, COMMAND, TRUNCATED, OVERRUN, TIMEOUT, FIELD, ADDRESS or DEADLOCK.
        """
        ...

    def run(
        self, packet: bytes, lengths: Sequence[int], on_write: OnWrite | None = None, *, last: bool = True
    ) -> bytes:
        """The command RUN.

        Args:
            packet: what the list `stream` loads.
            lengths: tokens of each sentence: the registers LENGTH and, by their number, SENTENCES.
            on_write: see `OnWrite`. It may be called while the command executes or after its end, and is not called
                for every instruction if the command raises. An engine whose memories can't be observed never calls it.
            last: whether the packet's last beat carries TLAST.

        Returns:
            The results: the beats of all STOREs.

        Raises:
            ProgramError: with the engine's error code.
            UserError: the command exceeds a limit that the engine was created with; clear the engine before another
                command.
        """
        ...

    def clear(self) -> None:
        """CONTROL.clear: ends the error state."""
        ...

    def close(self) -> None:
        """Frees what the engine holds; it accepts no command afterwards. Closing it again does nothing."""
        ...

    def __enter__(self) -> Engine:
        """The engine itself."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Closes the engine."""
        ...


class Closing:
    """The lifetime of an engine: what it holds is freed once, whichever way it ends.

    It ends with `close`, a `with` block, the garbage collector or the process.

    Args:
        free: frees what the engine holds; must not refer to the engine.
    """

    def __init__(self, free: Callable[[], object] = lambda: None) -> None:
        self._free = weakref.finalize(self, free)

    def close(self) -> None:
        """Frees what the engine holds; see `Engine.close`."""
        self._free()

    def _check_open(self) -> None:
        """Checks that the engine is open.

        Raises:
            ValueError: it is closed.
        """
        if not self._free.alive:
            raise ValueError("the engine is closed")

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def padded(packet: bytes) -> bytes:
    """The packet with its last beat zero-padded."""
    return packet + bytes(-len(packet) % BEAT_BYTES)


def results_of(packet: bytes) -> bytes:
    """The results in the packet of a RUN that is done: all of it, or none if it is a closing beat."""
    return b"" if packet == closing_beat(Error.NONE) else packet


def packet_of(results: bytes, error: Error) -> bytes:
    """The packet of a RUN on an engine that sends each result as soon as the next one exists.

    Args:
        results: of all STOREs that were executed.
        error: that ended the command, or NONE.
    """
    if error is Error.NONE:
        return results or closing_beat(error)
    return results[:-BEAT_BYTES] + closing_beat(error)


def length_registers(lengths: Sequence[int]) -> list[int]:
    """The values of the registers LENGTH for a RUN.

    A length that no register holds becomes the largest that one does: the engine refuses both.
    """
    return [length if 0 <= length <= _MOST else _MOST for length in lengths[:SENTENCES]]


def where_of(register: int) -> tuple[Unit, int] | None:
    """Unit and number of the instruction in a value of the register ERROR_WHERE, None if it names none."""
    return (Unit(register >> 16 & 3), register & 0xFFFF) if register >> 31 else None


def stopped(error: Error, where: tuple[Unit, int] | None) -> ProgramError:
    """The exception for a command that ended with an error code."""
    unit, number = where or (None, None)
    at = "" if unit is None else f" at instruction {number} of the {unit.name} unit"
    text = f"the engine stopped{at} with {error.name} ({ERROR_DOCS[error]}); compile the model again."
    return ProgramError(error, text, unit, number)


def refused() -> ProgramError:
    """The exception for a command in the error state."""
    return ProgramError(Error.COMMAND, "the engine is in the error state; clear it first.")


def record_type(lanes: int) -> np.dtype[Any]:
    """One written word in a trace: `WriteRecord` of `trace.hpp`."""
    return np.dtype(
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


def report_writes(trace: bytes, lanes: int, on_write: OnWrite) -> None:
    """Calls `on_write` for each instruction in a trace, in the order of their first words.

    Args:
        trace: records of `record_type`, in the order in which the words were written. Those of different units may
            alternate.
        lanes: N.
        on_write: see `OnWrite`.
    """
    records: npt.NDArray[Any] = np.frombuffer(trace, record_type(lanes))
    key = records["unit"].astype(np.int64) << 32 | records["number"]
    order = np.argsort(key, kind="stable")
    bounds = np.flatnonzero(np.diff(key[order], prepend=-1, append=-1))
    groups = [order[low:high] for low, high in pairwise(bounds)]
    for group in sorted(groups, key=lambda group: int(group[0])):
        part = records[group]
        first = part[0]
        on_write(
            Unit(int(first["unit"])),
            int(first["number"]),
            Memory(int(first["memory"])),
            part["address"].astype(np.int64),
            part["words"],
            part["before"] if first["has_before"] else None,
        )
