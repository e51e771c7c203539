"""Random instructions for the benches of the units, and their `place_t` and `issue_t`."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, TypeVar

from ...hw import isa
from ...hw.isa import Instruction, Unit
from . import structs

PLACE = structs.struct("place_t")
ISSUE = structs.struct("issue_t")
NUMBER_BITS = structs.number("NumberBits")
FAULT = structs.struct("fault_t")

KINDS: dict[Unit, tuple[type[Instruction], ...]] = {
    Unit.ARRAY: (isa.Contract,),
    Unit.VECTOR: (isa.Softmax, isa.LayerNorm),
    Unit.STREAM: (isa.Load, isa.Store),
}


def random_fields(rng: random.Random, kind: type[Instruction]) -> Instruction:
    """A random valid instruction: each field has a value of its range."""
    while True:
        values: dict[str, Any] = {}
        for field in isa.fields(kind):
            allowed = field.allowed or (field.lo, field.hi, rng.randint(field.lo, field.hi))
            values[field.name] = field.enum(rng.choice(allowed)) if field.enum else rng.choice(allowed)
        if kind is isa.Contract:
            values["keep"] = 0
        instruction = kind(**values)
        try:
            isa.check_fields(instruction)
        except isa.FieldError:
            continue
        return instruction


def word(instruction: Instruction) -> int:
    """An instruction as PROGRAM memory holds it."""
    return int.from_bytes(isa.encode(instruction), "little")


def sound(unit: Unit, bits: int, init: bool) -> bool:
    """Whether an instruction's fields are in range, and a unit may execute it."""
    try:
        instruction = isa.decode(bits.to_bytes(isa.INSTRUCTION_BITS // 8, "little"))
    except isa.FieldError:
        return False
    return isinstance(instruction, KINDS[unit]) and (not init or isinstance(instruction, isa.Load))


def place(instruction: Instruction, lengths: tuple[int, ...], lanes: int) -> dict[str, int] | None:
    """`ng_pkg::place_t` of an instruction in a RUN; None where it is skipped."""
    first = lanes * instruction.block
    if instruction.sentence >= len(lengths) or first >= lengths[instruction.sentence]:
        return None
    length = lengths[instruction.sentence]
    return {
        "sentence": instruction.sentence, "first": first, "length": length, "tokens": min(lanes, length - first),
        "blocks": -(-length // lanes),
    }  # fmt: skip


def issue(
    rng: random.Random, instruction: Instruction, number: int, sound: bool, where: dict[str, int] | None
) -> int:
    """`ng_pkg::issue_t` of an instruction.

    Args:
        rng: the place of a skipped instruction is random.
        instruction: the instruction.
        number: its position in the unit's list.
        sound: whether its fields are in range.
        where: its place; None where it is skipped.
    """
    at = PLACE.pack(**where) if where else rng.getrandbits(PLACE.width)
    return ISSUE.pack(instruction=word(instruction), number=number, ok=sound, skipped=where is None, place=at)


def no_issue(rng: random.Random) -> int:
    """What a sequencer may show a unit while it has no instruction for it: each field 0 or random."""
    return ISSUE.pack(
        **{name: rng.choice((0, rng.getrandbits(m.width))) for name, m in ISSUE.members.items()}
    )


_T = TypeVar("_T", bound=Instruction)


def changed(instruction: _T, **values: Any) -> _T:
    """The instruction with other values in some fields."""
    return replace(instruction, **values)


def waiting(rng: random.Random, instruction: _T, most: int) -> _T:
    """The instruction with other waits, none of more than `most`."""
    return changed(
        instruction, **{f"wait_{unit.name.lower()}": rng.choice((0, rng.randint(0, most))) for unit in Unit}
    )
