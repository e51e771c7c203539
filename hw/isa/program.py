"""Programs: the output of the compiler, the input of an engine, and the binary file of `docs/isa.md`, section 7."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError
from ...files import readable_file
from ...fixedpoint import ACC_BITS
from .instructions import ISA_VERSION, FieldError, Instruction, Unit, decode, encode
from .memories import (
    BEAT_BYTES,
    INSTRUCTION_BITS,
    LANES,
    MAX_LENGTH,
    MEMORIES,
    SENTENCES,
    Memory,
    Parameters,
    depth_name,
)
from .registers import Error

PROGRAM_MAGIC = 0x5047474E
"""The first four bytes of a program: "NGGP" in ASCII."""

LISTS = ("init", "array", "vector", "stream")
"""The lists of a program, in the order in which they are stored. INIT executes the first on the stream unit; RUN
executes the other three in parallel."""

HEADER: tuple[tuple[str, str], ...] = (
    ("magic", f"0x{PROGRAM_MAGIC:08X}"),
    ("version", "ISA version"),
    ("lanes", "N"),
    ("acc_bits", "bits of an accumulator"),
    *((depth_name(memory), f"words of {memory.name} that the program needs") for memory in Memory),
    ("max_length", "maximum number of tokens in a sentence"),
    ("sentences", "maximum number of sentences in one RUN"),
    *((f"{name}_count", f"number of instructions in the list {name}") for name in LISTS),
    ("image_crc", "CRC-32 of all beats that INIT loads"),
    *((f"reserved{number}", "0") for number in range(8)),
)
"""Words of 32 bits at the start of a program, little endian, two per beat."""

_HEADER = struct.Struct(f"<{len(HEADER)}I")
_NAMES = tuple(name for name, _ in HEADER)
_WIDTH = INSTRUCTION_BITS // 8
_MOST_BYTES = 1 << 28


class ProgramError(UserError):
    """A program or a packet that the engine rejects with an error.

    Attributes:
        error: the code in the status register.
        unit, number: the instruction that the error belongs to, or None.
    """

    def __init__(self, error: Error, text: str, unit: Unit | None = None, number: int | None = None) -> None:
        super().__init__(text)
        self.error = error
        self.unit = unit
        self.number = number


@dataclass(frozen=True)
class Program:
    """The instructions of a model, and the engine that they need.

    Attributes:
        parameters: lanes, and the least depth of each memory.
        max_length: maximum number of tokens in a sentence.
        sentences: maximum number of sentences in one RUN.
        init: LOADs that the stream unit executes once.
        array, vector, stream: the lists of the units.
        image_crc: CRC-32 of the beats that `init` loads.
    """

    parameters: Parameters
    max_length: int
    sentences: int
    init: tuple[Instruction, ...]
    array: tuple[Instruction, ...]
    vector: tuple[Instruction, ...]
    stream: tuple[Instruction, ...]
    image_crc: int

    def lists(self) -> tuple[tuple[Instruction, ...], ...]:
        """The lists in the order of `LISTS`."""
        return self.init, self.array, self.vector, self.stream

    def of(self, unit: Unit) -> tuple[Instruction, ...]:
        """The list that a unit executes in a RUN."""
        return (self.array, self.vector, self.stream)[unit]

    def __iter__(self) -> Iterator[tuple[Unit, int, Instruction]]:
        """Every instruction of a RUN with its unit and number."""
        for unit in Unit:
            for number, instruction in enumerate(self.of(unit)):
                yield unit, number, instruction


def to_bytes(program: Program) -> bytes:
    """The binary file.

    Raises:
        FieldError: a field is out of range.
    """
    values: dict[str, int] = {
        "magic": PROGRAM_MAGIC,
        "version": ISA_VERSION,
        "lanes": program.parameters.lanes,
        "acc_bits": program.parameters.acc_bits,
        "max_length": program.max_length,
        "sentences": program.sentences,
        "image_crc": program.image_crc,
    }
    for memory in Memory:
        values[depth_name(memory)] = program.parameters.depth(memory)
    for name, instructions in zip(LISTS, program.lists(), strict=True):
        values[f"{name}_count"] = len(instructions)
    body = _HEADER.pack(*(values.get(name, 0) for name in _NAMES))
    body += b"".join(encode(i) for instructions in program.lists() for i in instructions)
    return body + struct.pack("<Q", zlib.crc32(body))


def from_bytes(data: bytes, engine: Parameters | None = None) -> Program:
    """Reads a program, with the checks of the command PROGRAM and a check of every instruction.

    Args:
        data: the content of the file.
        engine: the engine that must be able to run the program; None for any.

    Raises:
        ProgramError: with the engine's error code.
    """
    values = read_header(data, engine)
    lists: list[tuple[Instruction, ...]] = []
    at = _HEADER.size
    for name in LISTS:
        instructions = []
        for number in range(values[f"{name}_count"]):
            try:
                instructions.append(decode(data[at : at + _WIDTH]))
            except FieldError as error:
                unit = Unit.STREAM if name == "init" else Unit[name.upper()]
                raise ProgramError(
                    Error.FIELD, f"instruction {number} of the list {name}: {error}.", unit, number
                ) from None
            at += _WIDTH
        lists.append(tuple(instructions))
    parameters = Parameters(
        lanes=values["lanes"],
        **{depth_name(memory): values[depth_name(memory)] for memory in Memory},
    )
    init, array, vector, stream = lists
    return Program(
        parameters,
        values["max_length"],
        values["sentences"],
        init,
        array,
        vector,
        stream,
        values["image_crc"],
    )


def read_header(data: bytes, engine: Parameters | None = None) -> dict[str, int]:
    """The words of the header by name, after the checks of the command PROGRAM, CRC included.

    Raises:
        ProgramError: with the engine's error code.
    """
    if len(data) < _HEADER.size:
        raise ProgramError(
            Error.TRUNCATED,
            f"the program ends after {len(data)} bytes, within its header; export the model again.",
        )
    values = dict(zip(_NAMES, _HEADER.unpack_from(data), strict=True))
    if values["magic"] != PROGRAM_MAGIC:
        raise ProgramError(
            Error.MAGIC,
            f"the file is not a program: it must start with {PROGRAM_MAGIC:#010x}, got {values['magic']:#010x}; "
            "export the model again.",
        )
    if values["version"] != ISA_VERSION:
        raise ProgramError(
            Error.VERSION,
            f"the ISA version of the program must be {ISA_VERSION}, got {values['version']}; "
            "export the model again.",
        )
    count = sum(values[f"{name}_count"] for name in LISTS)
    _check_parameters(values, count, engine)
    size = _HEADER.size + count * _WIDTH + BEAT_BYTES
    if len(data) < size:
        raise ProgramError(
            Error.TRUNCATED, f"the program must have {size} bytes, got {len(data)}; export the model again."
        )
    if len(data) > size:
        raise ProgramError(
            Error.OVERRUN, f"the program must have {size} bytes, got {len(data)}; export the model again."
        )
    if struct.pack("<Q", zlib.crc32(data[:-BEAT_BYTES])) != data[-BEAT_BYTES:]:
        raise ProgramError(
            Error.PROGRAM_CRC, "the program is damaged: its CRC-32 is wrong; export the model again."
        )
    return values


def read_program(path: Path, engine: Parameters | None = None) -> Program:
    """Reads a program file.

    Raises:
        ProgramError: the program is not valid, or does not fit the engine.
        UserError: the file can't be read.
    """
    try:
        data = readable_file(path, _MOST_BYTES).read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} can't be read ({error.strerror}); export the model with `narrowgauge export`."
        ) from None
    return from_bytes(data, engine)


def _check_parameters(values: dict[str, int], count: int, engine: Parameters | None) -> None:
    def wrong(text: str) -> ProgramError:
        return ProgramError(Error.PARAMETER, text)

    for name, most in (("max_length", MAX_LENGTH), ("sentences", SENTENCES)):
        if not 1 <= values[name] <= most:
            raise wrong(f"{name} of the program must be 1 to {most}, got {values[name]}.")
    if values["lanes"] not in LANES:
        raise wrong(
            f"lanes of the program must be one of {', '.join(map(str, LANES))}, got {values['lanes']}."
        )
    if values["acc_bits"] != ACC_BITS:
        raise wrong(f"acc_bits of the program must be {ACC_BITS}, got {values['acc_bits']}.")
    if engine is not None and engine.lanes != values["lanes"]:
        raise wrong(f"the program is for {values['lanes']} lanes; the engine has {engine.lanes}.")
    for memory, kind in MEMORIES.items():
        needs = values[depth_name(memory)]
        has = kind.max_depth if engine is None else engine.depth(memory)
        if memory is Memory.PROGRAM and needs:
            needs = max(needs, count)
        if needs > has:
            raise wrong(f"the program needs {needs} words of {memory.name}; the engine has {has}.")
        if needs < 1:
            raise wrong(f"{depth_name(memory)} of the program must be at least 1, got 0.")
    if values["index_depth"] % SENTENCES:
        raise wrong(f"index_depth of the program must be even, got {values['index_depth']}.")
