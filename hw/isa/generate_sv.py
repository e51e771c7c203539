"""The SystemVerilog package `hw/rtl/ng_isa_pkg.sv`, generated from `hw.isa`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from enum import IntEnum

from .generate_tables import bit_range
from .instructions import OPCODE_BITS, OPCODES, RULES, Field, Instruction, fields, reserved_low
from .memories import INSTRUCTION_BITS, MEMORIES
from .program import HEADER
from .registers import REGISTERS
from .vocabulary import CONSTANTS, ENUMS, NOTICE, field_doc, rule_expression


def package() -> str:
    """Constants, enumerations, and a packed struct and a check `*_ok` for each instruction."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield f"// {NOTICE}"
    yield ""
    yield "// A design does not use every constant, and a check does not read every field."
    yield "// verilator lint_off UNUSEDPARAM"
    yield "// verilator lint_off UNUSEDSIGNAL"
    yield "package ng_isa_pkg;"
    yield ""
    for name, value, doc in CONSTANTS:
        text = f"32'h{value:08X}" if value > 1 << 20 else str(value)
        yield f"  // {doc[0].upper()}{doc[1:]}."
        yield f"  parameter int unsigned {_camel(name)} = {text};"
    for enum in ENUMS:
        width = max(enum).bit_length()
        entries = [f"{_code(entry)} = {width}'d{int(entry)}" for entry in enum]
        yield ""
        yield f"  typedef enum logic [{width - 1}:0] {{"
        yield ",\n".join(f"    {entry}" for entry in entries)
        yield f"  }} {enum.__name__.lower()}_e;"
    yield ""
    yield "  // The next three functions are evaluated at elaboration, so they have no coverage."
    yield "  // verilator coverage_off"
    yield "  // Bits of a word of a memory in an engine with `lanes` lanes."
    yield "  function automatic int unsigned word_bits(memory_e memory, int unsigned lanes);"
    yield from _case(
        "memory",
        (
            (_code(memory), f"{kind.lane_bits} * lanes + {kind.word_bits}")
            for memory, kind in MEMORIES.items()
        ),
        "0",
    )
    yield "  endfunction"
    yield ""
    yield "  // Beats of a word on a stream: lane 0 in the low bits of the first beat, the last beat zero-padded."
    yield "  function automatic int unsigned beats(memory_e memory, int unsigned lanes);"
    yield "    return (word_bits(memory, lanes) + BeatBits - 1) / BeatBits;"
    yield "  endfunction"
    yield ""
    yield "  // Maximum number of words of a memory."
    yield "  function automatic int unsigned max_depth(memory_e memory);"
    yield from _case(
        "memory", ((_code(memory), str(kind.max_depth)) for memory, kind in MEMORIES.items()), "0"
    )
    yield "  endfunction"
    yield "  // verilator coverage_on"
    yield ""
    yield "  // Words of the header of a program."
    for number, (name, _) in enumerate(HEADER):
        yield f"  parameter int unsigned Header{_camel(name)} = {number};"
    yield ""
    yield "  // Byte addresses of the registers."
    for register in REGISTERS:
        yield f"  parameter logic [7:0] Reg{_camel(register.name)} = 8'h{register.address:02X};  // {register.access}"
    for kind in OPCODES:
        yield ""
        yield from _instruction(kind)
    yield ""
    yield "endpackage"
    yield "// verilator lint_on UNUSEDPARAM"
    yield "// verilator lint_on UNUSEDSIGNAL"


def _case(subject: str, cases: Iterable[tuple[str, str]], default: str) -> Iterator[str]:
    yield f"    unique case ({subject})"
    for value, result in cases:
        yield f"      {value}: return {result};"
    yield f"      default: return {default};"
    yield "    endcase"


def _instruction(kind: type[Instruction]) -> Iterator[str]:
    name = OPCODES[kind].name
    yield "  typedef struct packed {"
    yield f"    logic [{INSTRUCTION_BITS - 1}:{reserved_low(kind)}] reserved;"
    for f in reversed(fields(kind)):
        sign = "signed " if f.signed else ""
        width = "" if f.width == 1 else f"[{f.width - 1}:0] "
        yield from textwrap.wrap(
            f"{bit_range(f.low, f.width)}: {field_doc(f)}",
            92,
            initial_indent="    // ",
            subsequent_indent="    // ",
        )
        yield f"    logic {sign}{width}{f.name};"
    yield f"    logic [{OPCODE_BITS - 1}:0] opcode;"
    yield f"  }} {name.lower()}_t;"
    yield ""
    yield "  // Whether the instruction is valid; if it is not, the error is FIELD."
    yield f"  function automatic logic {name.lower()}_ok({name.lower()}_t i);"
    terms = [f"i.opcode == {_code(OPCODES[kind])}", "i.reserved == '0"]
    for f in fields(kind):
        terms += _range(f)
    terms += [rule_expression(kind, rule, _code) for rule in RULES[kind]]
    yield "    return " + " &&\n           ".join(f"({term})" for term in terms) + ";"
    yield "  endfunction"


def _range(f: Field) -> list[str]:
    """Conditions on a field; none where every value of its width is valid."""
    if f.allowed:
        if len(f.allowed) == 1 << f.width:
            return []
        return [" ||\n            ".join(f"i.{f.name} == {f.text(value, _code)}" for value in f.allowed)]
    return ([f"i.{f.name} >= {f.lo}"] if f.lo != f.least else []) + (
        [f"i.{f.name} <= {f.hi}"] if f.hi != f.most else []
    )


def _code(entry: IntEnum) -> str:
    return f"{_camel(type(entry).__name__)}{_camel(entry.name)}"


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:].lower() for part in name.split("_"))
