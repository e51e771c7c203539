"""Programs as text: one instruction per line, with the names of its fields; a field at its default is omitted.

    .lanes 16                       a word of the header, with its name in `program.HEADER`
    .weight_depth 32768
    .array                          the list that the following lines belong to
    CONTRACT nk=768 rows=16 b_space=VECTOR wait_vector=1    # a number sign starts a comment

The assembler counts the instructions of each list. The defaults of the other header words are those of
`Parameters`, one sentence of up to `MAX_LENGTH` tokens, and the checksum of an empty image.
"""

from __future__ import annotations

from typing import Any

from ...errors import UserError
from .instructions import OPCODES, Field, FieldError, Instruction, Opcode, check_fields, fields
from .memories import MAX_LENGTH, SENTENCES, Memory, Parameters, depth_name
from .program import LISTS, Program

_KINDS: dict[str, Any] = {opcode.name: kind for kind, opcode in OPCODES.items()}

_PARAMETERS = ("lanes", "acc_bits", *(depth_name(memory) for memory in Memory))

_DEFAULTS = {
    **{name: getattr(Parameters(), name) for name in _PARAMETERS},
    "max_length": MAX_LENGTH,
    "sentences": 1,
    "image_crc": 0,
}
"""The words of a header that are neither constant nor counted, with their defaults."""


def line(instruction: Instruction) -> str:
    """An instruction as one line of text."""
    kind: Any = type(instruction)
    defaults = kind()
    parts = [OPCODES[kind].name]
    for field in fields(kind):
        value = int(getattr(instruction, field.name))
        if value != getattr(defaults, field.name):
            parts.append(f"{field.name}={field.enum(value).name if field.enum else value}")
    return " ".join(parts)


def disassemble(program: Program) -> str:
    """The text that `assemble` turns into the same program."""
    values = {name: getattr(program.parameters, name) for name in _PARAMETERS}
    values |= {"max_length": program.max_length, "sentences": program.sentences}
    lines = [f".{name} {value}" for name, value in values.items()]
    lines.append(f".image_crc 0x{program.image_crc:08X}")
    for name, instructions in zip(LISTS, program.lists(), strict=True):
        lines += ["", f".{name}"]
        lines += [f"{line(instruction)}  # {number}" for number, instruction in enumerate(instructions)]
    return "\n".join(lines) + "\n"


def assemble(text: str) -> Program:
    """The program that a text describes.

    Raises:
        UserError: the text is not valid; the message has the number of the line.
    """
    values = dict(_DEFAULTS)
    lists: dict[str, list[Instruction]] = {name: [] for name in LISTS}
    current: list[Instruction] | None = None
    for number, written in enumerate(text.splitlines(), start=1):
        words = written.partition("#")[0].split()
        if not words:
            continue
        try:
            if not words[0].startswith("."):
                if current is None:
                    raise _LineError(
                        f"this instruction belongs to no list; put one of .{', .'.join(LISTS)} before it"
                    )
                current.append(_instruction(words))
            elif words[0][1:] in lists:
                if len(words) > 1:
                    raise _LineError(f"{words[0]} takes no value; write one instruction per line")
                current = lists[words[0][1:]]
            else:
                _directive(words, values)
        except (_LineError, FieldError) as mistake:
            raise UserError(f"line {number}: {mistake}.") from None
    try:
        parameters = Parameters(**{name: values[name] for name in _PARAMETERS})
    except ValueError as error:
        raise UserError(f"the header is not valid: {error}.") from None
    return Program(
        parameters=parameters,
        max_length=values["max_length"],
        sentences=values["sentences"],
        image_crc=values["image_crc"],
        **{name: tuple(instructions) for name, instructions in lists.items()},
    )


class _LineError(ValueError):
    """A line that is not valid."""


def _directive(words: list[str], values: dict[str, int]) -> None:
    name = words[0][1:]
    if name not in values:
        raise _LineError(f"unknown directive .{name}; expected one of .{', .'.join((*LISTS, *values))}")
    if len(words) != 2:
        raise _LineError(f".{name} takes one number")
    value = _number(words[1])
    least = 0 if name == "image_crc" else 1
    most = {"max_length": MAX_LENGTH, "sentences": SENTENCES}.get(name, (1 << 32) - 1)
    if not least <= value <= most:
        raise _LineError(f".{name} must be {least} to {most}, got {value}")
    values[name] = value


def _instruction(words: list[str]) -> Instruction:
    kind = _KINDS.get(words[0])
    if kind is None:
        raise _LineError(
            f"unknown instruction {words[0]}; expected one of {', '.join(o.name for o in Opcode)}"
        )
    by_name = {field.name: field for field in fields(kind)}
    values: dict[str, int] = {}
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if name not in by_name:
            raise _LineError(f"{words[0]} has no field '{name}'; expected one of {', '.join(by_name)}")
        if not equals:
            raise _LineError(f"{name} has no value; write {name}=VALUE")
        if name in values:
            raise _LineError(f"{name} is given twice")
        values[name] = _value(by_name[name], value)
    instruction: Instruction = kind(**values)
    check_fields(instruction)
    return instruction


def _value(field: Field, text: str) -> int:
    if field.enum is None:
        return _number(text)
    names = {field.enum(value).name: value for value in field.allowed}
    if text not in names:
        raise _LineError(f"{field.name} must be one of {field.range_text()}, got '{text}'")
    return field.enum(names[text])


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise _LineError(f"expected a whole number, got '{text}'") from None
