"""Programs as text: one instruction a line, fields by name, what is at its default left out.

    .lanes 16                       what the header holds, under the names of `isa.HEADER`
    .weight_depth 32768
    .array                          the list that the next lines belong to
    CONTRACT nk=768 rows=16 b_space=VECTOR wait_vector=1    # all after a number sign is a comment

The numbers of instructions in each list come from counting. Whatever the header leaves out is that of
`isa.Parameters`, one sentence of up to `isa.MAX_LENGTH` tokens, and the checksum of an empty image.
"""

from __future__ import annotations

import dataclasses
from enum import IntEnum
from typing import Any

from ...errors import UserError
from . import instructions as isa
from .instructions import Instruction, Memory, Opcode, Parameters
from .program import Program

_KINDS: dict[str, Any] = {opcode.name: kind for kind, opcode in isa.OPCODES.items()}

_PARAMETERS = ("lanes", "acc_bits", *(f"{memory.name.lower()}_depth" for memory in Memory))

_DEFAULTS = {
    **{name: getattr(Parameters(), name) for name in _PARAMETERS},
    "max_length": isa.MAX_LENGTH,
    "sentences": 1,
    "image_crc": 0,
}
"""The words of a header that are no constants and no counts."""


def line(instruction: Instruction) -> str:
    """An instruction as one line of text."""
    kind = type(instruction)
    parts = [isa.OPCODES[kind].name]
    for field in dataclasses.fields(kind):
        value = getattr(instruction, field.name)
        if value == field.default:
            continue
        enum = field.metadata.get("enum")
        parts.append(f"{field.name}={enum(value).name if enum else int(value)}")
    return " ".join(parts)


def disassemble(program: Program) -> str:
    """The text from which `assemble` makes the same program."""
    values = {name: getattr(program.parameters, name) for name in _PARAMETERS}
    values |= {"max_length": program.max_length, "sentences": program.sentences}
    lines = [f".{name} {value}" for name, value in values.items()]
    lines.append(f".image_crc 0x{program.image_crc:08X}")
    for name, instructions in zip(isa.LISTS, program.lists(), strict=True):
        lines += ["", f".{name}"]
        lines += [f"{line(instruction)}  # {number}" for number, instruction in enumerate(instructions)]
    return "\n".join(lines) + "\n"


def assemble(text: str) -> Program:
    """The program that a text describes.

    Raises:
        UserError: with the number of the line.
    """
    values = dict(_DEFAULTS)
    lists: dict[str, list[Instruction]] = {name: [] for name in isa.LISTS}
    current: list[Instruction] | None = None
    for number, written in enumerate(text.splitlines(), start=1):
        words = written.partition("#")[0].split()
        if not words:
            continue
        try:
            if not words[0].startswith("."):
                if current is None:
                    raise _LineError(
                        f"this instruction is in no list; write .{', .'.join(isa.LISTS)} before it"
                    )
                current.append(_instruction(words))
            elif words[0][1:] in lists:
                if len(words) > 1:
                    raise _LineError(f"{words[0]} takes nothing; write one instruction a line")
                current = lists[words[0][1:]]
            else:
                _directive(words, values)
        except (_LineError, isa.FieldError) as mistake:
            raise UserError(f"line {number}: {mistake}.") from None
    try:
        parameters = Parameters(**{name: values[name] for name in _PARAMETERS})
    except ValueError as error:
        raise UserError(f"the header can't be that of a program: {error}.") from None
    return Program(
        parameters=parameters,
        max_length=values["max_length"],
        sentences=values["sentences"],
        image_crc=values["image_crc"],
        **{name: tuple(instructions) for name, instructions in lists.items()},
    )


class _LineError(ValueError):
    """What is wrong with a line."""


def _directive(words: list[str], values: dict[str, int]) -> None:
    name = words[0][1:]
    if name not in values:
        raise _LineError(f"there is no directive .{name}; choose from .{', .'.join((*isa.LISTS, *values))}")
    if len(words) != 2:
        raise _LineError(f".{name} takes one number")
    value = _number(words[1])
    most = {"max_length": isa.MAX_LENGTH, "sentences": isa.SENTENCES}.get(name, (1 << 32) - 1)
    if not (name == "image_crc" or value >= 1) or not 0 <= value <= most:
        raise _LineError(f".{name} can't be {value}")
    values[name] = value


def _instruction(words: list[str]) -> Instruction:
    kind = _KINDS.get(words[0])
    if kind is None:
        raise _LineError(
            f"there is no instruction {words[0]}; choose from {', '.join(o.name for o in Opcode)}"
        )
    fields = {field.name: field for field in isa.fields(kind)}
    values: dict[str, int] = {}
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if name not in fields:
            raise _LineError(f"{words[0]} has no field '{name}'; choose from {', '.join(fields)}")
        if not equals:
            raise _LineError(f"{name} has no value; write {name}=VALUE")
        if name in values:
            raise _LineError(f"{name} is given twice")
        values[name] = _value(fields[name], value)
    instruction: Instruction = kind(**values)
    isa.check_fields(instruction)
    return instruction


def _value(field: isa.Field, text: str) -> int:
    if field.enum is None:
        return _number(text)
    names = {field.enum(value).name: field.enum(value) for value in field.allowed}
    if text not in names:
        raise _LineError(f"{field.name} can't be '{text}'; choose from {', '.join(names)}")
    found: IntEnum = names[text]
    return found


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise _LineError(f"'{text}' is no whole number") from None
