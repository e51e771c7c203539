"""The registers of the AXI4-Lite port, and the codes that they hold: commands, errors, counters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from .instructions import ISA_VERSION
from .memories import BEAT_BYTES, SENTENCES, Memory, depth_name


class Command(IntEnum):
    """The commands that the register CONTROL starts."""

    PROGRAM = 1
    INIT = 2
    RUN = 3


class Error(IntEnum):
    """Error codes in the register STATUS. `docs/isa.md` says when each is raised."""

    NONE = 0
    MAGIC = 1
    VERSION = 2
    PARAMETER = 3
    PROGRAM_CRC = 4
    COMMAND = 5
    LENGTH = 6
    FIELD = 7
    ADDRESS = 8
    STAT = 9
    DEADLOCK = 10
    TRUNCATED = 11
    OVERRUN = 12
    IMAGE_CRC = 13
    TIMEOUT = 14


ERROR_DOCS: dict[Error, str] = {
    Error.NONE: "no error",
    Error.MAGIC: "PROGRAM: the packet does not start with the magic number",
    Error.VERSION: "PROGRAM: the program is for another ISA version",
    Error.PARAMETER: "PROGRAM: the program needs other lanes or accumulators, or a larger memory",
    Error.PROGRAM_CRC: "PROGRAM: the CRC-32 at the end of the program is wrong",
    Error.COMMAND: "unknown command, INIT without a program, or RUN without an image",
    Error.LENGTH: "RUN: SENTENCES or a LENGTH is 0 or exceeds the program's maximum",
    Error.FIELD: "an instruction has the opcode of another unit, a reserved bit set or a field out of range",
    Error.ADDRESS: "an instruction addresses a word outside a memory",
    Error.STAT: "SOFTMAX or LAYERNORM reads a statistic of another kind or over another number of words",
    Error.DEADLOCK: "every unfinished unit is waiting",
    Error.TRUNCATED: "the input stream ended before the command was complete",
    Error.OVERRUN: "the command was complete before the input stream ended",
    Error.IMAGE_CRC: "INIT: the CRC-32 of the image differs from the program's",
    Error.TIMEOUT: "no beat came within the number of cycles in the register TIMEOUT",
}

COUNTERS = (
    ("CYCLES", "cycles from start to done or error"),
    ("ARRAY_BUSY", "cycles in which the array multiplied"),
    ("ARRAY_WAIT", "cycles in which the array waited for other units"),
    (
        "ARRAY_DRAIN",
        "cycles in which no tile could start, as the accumulators and the copy of a tile were in use",
    ),
    ("ARRAY_STALL", "cycles in which the array waited for a memory port"),
    ("VECTOR_BUSY", "cycles in which the vector unit executed an instruction"),
    ("VECTOR_WAIT", "cycles in which the vector unit waited for other units"),
    ("STREAM_BUSY", "cycles in which the stream unit executed an instruction"),
    ("STREAM_WAIT", "cycles in which the stream unit waited for other units"),
    ("STREAM_STALL", "cycles in which the stream unit waited for the input or the output stream"),
)
"""Saturating 32-bit cycle counters: set to 0 at the start of a command, stopped when it is done."""

ENGINE_ID = 0x4347544E
"""Value of the register ID: "NTGC" in ASCII, lowest byte first."""

CLOSING_MAGIC = 0x4E474552
"""High half of a closing beat: "NGER" in ASCII, highest byte first."""


def closing_beat(error: Error) -> bytes:
    """The last beat of the packet of a RUN that did not end with its last result.

    Args:
        error: why the RUN ended; NONE after a clear, or if it has no results.
    """
    return (CLOSING_MAGIC << 32 | error).to_bytes(BEAT_BYTES, "little")


@dataclass(frozen=True)
class Register:
    """A 32-bit register of the AXI4-Lite port.

    Attributes:
        name, address: byte address.
        access: "ro", "rw", or "wo".
        doc: content, for the documentation.
    """

    name: str
    address: int
    access: str
    doc: str


def _registers() -> Iterator[Register]:
    yield Register("ID", 0x00, "ro", f"0x{ENGINE_ID:08X}")
    yield Register("VERSION", 0x04, "ro", f"ISA version: {ISA_VERSION}")
    commands = ", ".join(f"{int(command)} {command.name}" for command in Command)
    yield Register(
        "CONTROL",
        0x08,
        "wo",
        f"bits 2:0 command to start ({commands}), accepted when idle; "
        "bit 31 clear: ends the error state or a command",
    )
    yield Register("STATUS", 0x0C, "ro", "bit 0 idle, bit 1 done, bit 2 error, bits 15:8 error code")
    yield Register(
        "ERROR_WHERE",
        0x10,
        "ro",
        "bits 15:0 number of the instruction in its list, bits 17:16 unit, bit 31 valid: the error belongs to "
        "an instruction",
    )
    yield Register("INTERRUPT_ENABLE", 0x14, "rw", "bit 0: raise the interrupt on done or error")
    yield Register(
        "INTERRUPT", 0x18, "rw", "bit 0: pending; a command that starts clears it; write 1 to clear"
    )
    yield Register(
        "TIMEOUT", 0x1C, "rw", "maximum number of cycles without a beat in the next command; 0: no limit"
    )
    yield Register("SENTENCES", 0x20, "rw", f"number of sentences of the next RUN, 1 to {SENTENCES}")
    for sentence in range(SENTENCES):
        yield Register(
            f"LENGTH{sentence}", 0x24 + 4 * sentence, "rw", f"tokens of sentence {sentence} of the next RUN"
        )
    yield Register("LANES", 0x40, "ro", "N")
    yield Register("ACC_BITS", 0x44, "ro", "bits of an accumulator")
    for memory in Memory:
        yield Register(depth_name(memory).upper(), 0x48 + 4 * memory, "ro", f"words of {memory.name}")
    for number, (name, doc) in enumerate(COUNTERS):
        yield Register(name, 0x80 + 4 * number, "ro", doc)


REGISTERS: tuple[Register, ...] = tuple(_registers())
"""The register map, in ascending order of addresses."""
