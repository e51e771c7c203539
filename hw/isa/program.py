"""Programs: what a compiler makes and an engine runs, and the binary file of `docs/isa.md`, section 7."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError
from ...files import readable_file
from ...fixedpoint import ACC_BITS
from . import instructions as isa
from .instructions import Error, Instruction, Memory, Parameters, Unit

_HEADER = struct.Struct(f"<{len(isa.HEADER)}I")
_NAMES = tuple(name for name, _ in isa.HEADER)
_WIDTH = isa.INSTRUCTION_BITS // 8
_MOST_BYTES = 1 << 28


class ProgramError(UserError):
    """A program or a packet that the engine stops at.

    Attributes:
        error: the code in the status register.
        unit, number: the instruction that is named, or None.
    """

    def __init__(self, error: Error, text: str, unit: Unit | None = None, number: int | None = None) -> None:
        super().__init__(text)
        self.error = error
        self.unit = unit
        self.number = number


@dataclass(frozen=True)
class Program:
    """The instructions of a model, and what an engine must have to run them.

    Attributes:
        parameters: lanes, and the depth that each memory needs at least.
        max_length: tokens of the longest sentence.
        sentences: that one RUN can take.
        init: LOADs that the stream unit executes once.
        array, vector, stream: the lists of the units.
        image_crc: CRC-32 of what `init` loads.
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
        """The lists in the order of `isa.LISTS`."""
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
        isa.FieldError: a field is out of its range.
    """
    values: dict[str, int] = {
        "magic": isa.PROGRAM_MAGIC,
        "version": isa.ISA_VERSION,
        "lanes": program.parameters.lanes,
        "acc_bits": program.parameters.acc_bits,
        "max_length": program.max_length,
        "sentences": program.sentences,
        "image_crc": program.image_crc,
    }
    for memory in Memory:
        values[f"{memory.name.lower()}_depth"] = program.parameters.depth(memory)
    for name, instructions in zip(isa.LISTS, program.lists(), strict=True):
        values[f"{name}_count"] = len(instructions)
    body = _HEADER.pack(*(values.get(name, 0) for name in _NAMES))
    body += b"".join(isa.encode(i) for instructions in program.lists() for i in instructions)
    return body + struct.pack("<Q", zlib.crc32(body))


def from_bytes(data: bytes, engine: Parameters | None = None) -> Program:
    """Reads a program, with the checks of the command PROGRAM and, beyond them, of every instruction.

    Args:
        data: the file's content.
        engine: what the program must fit; None to take any.

    Raises:
        ProgramError: with the engine's error code.
    """
    values = read_header(data, engine)
    lists: list[tuple[Instruction, ...]] = []
    at = _HEADER.size
    for name in isa.LISTS:
        instructions = []
        for number in range(values[f"{name}_count"]):
            try:
                instructions.append(isa.decode(data[at : at + _WIDTH]))
            except isa.FieldError as error:
                unit = Unit.STREAM if name == "init" else Unit[name.upper()]
                raise ProgramError(
                    Error.FIELD, f"instruction {number} of the list {name}: {error}.", unit, number
                ) from None
            at += _WIDTH
        lists.append(tuple(instructions))
    parameters = Parameters(
        lanes=values["lanes"],
        **{f"{memory.name.lower()}_depth": values[f"{memory.name.lower()}_depth"] for memory in Memory},
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
    """The header's words by name, checked as the command PROGRAM checks them, and the CRC of the whole.

    Raises:
        ProgramError: with the engine's error code.
    """
    if len(data) < _HEADER.size:
        raise ProgramError(Error.TRUNCATED, f"the program ends after {len(data)} bytes; export it again.")
    values = dict(zip(_NAMES, _HEADER.unpack_from(data), strict=True))
    if values["magic"] != isa.PROGRAM_MAGIC:
        raise ProgramError(Error.MAGIC, "this is not a program of the engine; export the model again.")
    if values["version"] != isa.ISA_VERSION:
        raise ProgramError(
            Error.VERSION,
            f"the program is of version {values['version']} of the instruction set, the engine of "
            f"{isa.ISA_VERSION}; export the model again.",
        )
    count = sum(values[f"{name}_count"] for name in isa.LISTS)
    _check_parameters(values, count, engine)
    size = _HEADER.size + count * _WIDTH + isa.BEAT_BYTES
    if len(data) < size:
        raise ProgramError(
            Error.TRUNCATED, f"the program has {len(data)} bytes instead of {size}; export it again."
        )
    if len(data) > size:
        raise ProgramError(
            Error.OVERRUN, f"the program has {len(data)} bytes instead of {size}; export it again."
        )
    if struct.pack("<Q", zlib.crc32(data[: -isa.BEAT_BYTES])) != data[-isa.BEAT_BYTES :]:
        raise ProgramError(Error.PROGRAM_CRC, "the program is damaged (CRC); export it again.")
    return values


def read_program(path: Path, engine: Parameters | None = None) -> Program:
    """Reads a program file.

    Raises:
        ProgramError: it is no sound program, or does not fit the engine.
        UserError: it can't be read.
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

    if not 1 <= values["max_length"] <= isa.MAX_LENGTH or not 1 <= values["sentences"] <= isa.SENTENCES:
        raise wrong(
            f"the program is for {values['sentences']} sentences of {values['max_length']} tokens, "
            "which no engine takes."
        )
    if values["lanes"] not in isa.LANES or values["acc_bits"] != ACC_BITS:
        raise wrong(f"the program is for {values['lanes']} lanes and {values['acc_bits']}-bit accumulators.")
    if engine is not None and engine.lanes != values["lanes"]:
        raise wrong(f"the program is for {values['lanes']} lanes and the engine has {engine.lanes}.")
    for memory in Memory:
        needs = values[f"{memory.name.lower()}_depth"]
        has = isa.max_depth(memory) if engine is None else engine.depth(memory)
        if memory is Memory.PROGRAM and needs:
            needs = max(needs, count)
        if not 1 <= needs <= has:
            raise wrong(f"the program needs {needs} words of {memory.name} and the engine has {has}.")
    if values["index_depth"] % isa.SENTENCES:
        raise wrong("the program needs an odd number of INDEX words, which no engine has.")
