"""What the generated C++ and SystemVerilog share: constants, enumerations, and the text of conditions."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from ...fixedpoint import ACC_BITS
from . import instructions, memories, program, registers
from .instructions import Field, Instruction, Rule

NOTICE = "Generated from hw/isa by `python -m narrowgauge.hw.isa.generate`. Do not edit."
"""First line of the generated files."""

ENUMS: tuple[type[IntEnum], ...] = (
    instructions.Unit,
    memories.Memory,
    instructions.Opcode,
    instructions.Space,
    instructions.Count,
    instructions.Indexed,
    instructions.Stat,
    registers.Error,
    registers.Command,
)

CONSTANTS: tuple[tuple[str, int, str], ...] = (
    ("ISA_VERSION", instructions.ISA_VERSION, "version of the instruction set"),
    ("ENGINE_ID", registers.ENGINE_ID, "value of the register ID"),
    ("CLOSING_MAGIC", registers.CLOSING_MAGIC, "bits 63:32 of a closing beat"),
    ("PROGRAM_MAGIC", program.PROGRAM_MAGIC, "first word of a program"),
    ("INSTRUCTION_BITS", memories.INSTRUCTION_BITS, "bits of an instruction"),
    ("OPCODE_BITS", instructions.OPCODE_BITS, "bits of an opcode, the lowest bits of an instruction"),
    ("BEAT_BITS", 8 * memories.BEAT_BYTES, "bits of a beat of the streams"),
    ("ACC_BITS", ACC_BITS, "bits of an accumulator"),
    ("SENTENCES", memories.SENTENCES, "maximum number of sentences in a run"),
    ("MAX_LENGTH", memories.MAX_LENGTH, "maximum number of tokens in a sentence"),
    ("INDEX_COLUMNS", memories.INDEX_COLUMNS, "columns of a word of INDEX, 16 bits each"),
    ("STAT_SUM_BITS", memories.STAT_SUM_BITS, "bits of a lane's sum in STAT"),
    ("STAT_SQUARE_BITS", memories.STAT_SQUARE_BITS, "bits of a lane's sum of squares in STAT"),
    ("STAT_MAX_BITS", memories.STAT_MAX_BITS, "bits of a lane's maximum in STAT"),
    ("STAT_COUNT_BITS", memories.STAT_COUNT_BITS, "bits of the count in STAT"),
    ("WEIGHT_ADDRESS_BITS", memories.WEIGHT_ADDRESS_BITS, "bits of an address in WEIGHT"),
    ("ADDRESS_BITS", memories.ADDRESS_BITS, "bits of an address in the other memories"),
    ("STRIDE_BITS", instructions.STRIDE_BITS, "bits of a stride"),
    ("WAIT_BITS", memories.WAIT_BITS, "bits of a wait"),
    ("SLOT_BITS", memories.SLOT_BITS, "bits of the address of a word of STAT"),
    ("HEADER_WORDS", len(program.HEADER), "words of 32 bits in the header of a program"),
    ("LISTS", len(program.LISTS), "lists of a program"),
    ("COUNTERS", len(registers.COUNTERS), "cycle counters"),
)
"""Name, value and meaning."""


def field_doc(field: Field) -> str:
    """The meaning of a field, with its valid values unless these are all that its width can hold."""
    if field.enum is None and (field.lo, field.hi) == (field.least, field.most):
        return field.doc
    return f"{field.doc}: {field.range_text()}"


def rule_expression(kind: type[Instruction], rule: Rule, code: Callable[[IntEnum], str]) -> str:
    """A condition between the fields of an instruction `i` as an expression, valid in C++ and in SystemVerilog.

    Args:
        kind: the instruction.
        rule: one of its conditions.
        code: gives the name of a member of an enumeration.
    """
    by_name = {field.name: field for field in instructions.fields(kind)}
    terms = []
    for name, (lo, hi) in rule.limits.items():
        field = by_name[name]
        if lo == hi:
            terms.append(f"i.{name} == {field.text(lo, code)}")
        else:
            terms += [f"i.{name} >= {lo}"] if lo > field.lo else []
            terms += [f"i.{name} <= {hi}"] if hi < field.hi else []
    needs = terms[0] if len(terms) == 1 else "(" + " &&\n             ".join(terms) + ")"
    exception = f"i.{rule.field} == {by_name[rule.field].text(rule.value, code)}"
    return f"{exception} || {needs}"
