"""The C++ headers `hls/src/isa.hpp` and `hls/src/decode.hpp`, generated from `hw.isa`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from enum import IntEnum

from .generate_tables import rules
from .instructions import OPCODES, RULES, Instruction, fields, reserved_low
from .memories import MEMORIES
from .program import HEADER
from .registers import ERROR_DOCS, REGISTERS, Error
from .vocabulary import CONSTANTS, ENUMS, NOTICE, field_doc, rule_expression


def constants() -> str:
    """`isa.hpp`: codes, sizes, and the position and range of every field, as plain C++17 in the namespace `ng::isa`."""
    return "\n".join(_constants()) + "\n"


def decoder() -> str:
    """`decode.hpp`: a struct and a function `decode` for each instruction, in the namespace `ng`."""
    return "\n".join(_decoder()) + "\n"


def _constants() -> Iterator[str]:
    yield f"// {NOTICE}"
    yield "#ifndef NG_ISA_HPP"
    yield "#define NG_ISA_HPP"
    yield ""
    yield "#include <cstdint>"
    yield ""
    yield "namespace ng {"
    yield "namespace isa {"
    yield ""
    for name, value, doc in CONSTANTS:
        text = f"0x{value:08X}u" if value > 1 << 20 else f"{value}u"
        yield f"constexpr std::uint32_t {name} = {text};  // {doc}"
    for enum in ENUMS:
        yield ""
        yield f"enum {enum.__name__} : unsigned {{"
        for entry in enum:
            note = f"  // {ERROR_DOCS[entry]}" if isinstance(entry, Error) else ""
            yield f"    {_code(entry)} = {int(entry)},{note}"
        yield "};"
        yield f"constexpr unsigned {enum.__name__.upper()}_COUNT = {len(enum)}u;"
    yield ""
    yield "// By Memory: bits of each lane of a word, and bits of a word that belong to no lane."
    yield _array("LANE_BITS", (kind.lane_bits for kind in MEMORIES.values()))
    yield _array("WORD_BITS", (kind.word_bits for kind in MEMORIES.values()))
    yield ""
    yield "// By Memory: maximum number of words."
    yield _array("MAX_DEPTH", (kind.max_depth for kind in MEMORIES.values()))
    yield ""
    yield "// Bits of a word of a memory in an engine with `lanes` lanes."
    yield "constexpr unsigned word_bits(unsigned memory, unsigned lanes) {"
    yield "    return LANE_BITS[memory] * lanes + WORD_BITS[memory];"
    yield "}"
    yield ""
    yield "// Beats of a word on a stream: lane 0 in the low bits of the first beat, the last beat zero-padded."
    yield "constexpr unsigned beats(unsigned memory, unsigned lanes) {"
    yield "    return (word_bits(memory, lanes) + BEAT_BITS - 1) / BEAT_BITS;"
    yield "}"
    yield ""
    yield "// Words of the header of a program."
    yield "enum Header : unsigned {"
    for number, (name, doc) in enumerate(HEADER):
        yield f"    HEADER_{name.upper()} = {number},  // {doc}"
    yield "};"
    yield ""
    yield "// Byte addresses of the registers."
    yield "enum Register : unsigned {"
    for register in REGISTERS:
        yield f"    REGISTER_{register.name} = 0x{register.address:02X},  // {register.access}: {register.doc}"
    yield "};"
    yield ""
    yield "// Position and range of a field of an instruction. The valid values are those whose bits are set in MASK;"
    yield "// if MASK is 0, those from LO to HI."
    yield (
        "template <unsigned Low, unsigned Width, bool Signed, std::int32_t Lo, std::int32_t Hi, std::uint32_t Mask>"
    )
    yield "struct Field {"
    yield "    static constexpr unsigned LOW = Low;"
    yield "    static constexpr unsigned WIDTH = Width;"
    yield "    static constexpr bool SIGNED = Signed;"
    yield "    static constexpr std::int32_t LO = Lo;"
    yield "    static constexpr std::int32_t HI = Hi;"
    yield "    static constexpr std::uint32_t MASK = Mask;"
    yield "    static constexpr bool holds(std::int32_t value) {"
    yield "        return Mask != 0 ? value >= 0 && value < 32 && ((Mask >> value) & 1u) != 0"
    yield "                         : value >= Lo && value <= Hi;"
    yield "    }"
    yield "};"
    yield ""
    yield "// All fields of an instruction, from the lowest bit up. The bits from END on are reserved: they must be 0."
    yield "template <typename... F>"
    yield "struct Fields {};"
    for kind, opcode in OPCODES.items():
        yield ""
        yield f"namespace {opcode.name.lower()} {{"
        for f in fields(kind):
            mask = sum(1 << value for value in f.allowed)
            yield f"// {field_doc(f)}"
            signed = str(f.signed).lower()
            yield f"using {f.name.upper()} = Field<{f.low}, {f.width}, {signed}, {f.lo}, {f.hi}, {mask}>;"
        everything = ", ".join(f.name.upper() for f in fields(kind))
        yield from textwrap.wrap(
            f"using All = Fields<{everything}>;", 118, subsequent_indent="                   "
        )
        yield f"constexpr unsigned END = {reserved_low(kind)}u;"
        yield f"}}  // namespace {opcode.name.lower()}"
    yield ""
    yield "}  // namespace isa"
    yield "}  // namespace ng"
    yield ""
    yield "#endif"


def _decoder() -> Iterator[str]:
    yield f"// {NOTICE}"
    yield "//"
    yield "// Decodes instructions and checks them: opcode, reserved bits, the range of every field (isa.hpp), and the"
    yield "// conditions between fields:"
    yield from (f"// - {rule}" for rule in rules())
    yield "#ifndef NG_DECODE_HPP"
    yield "#define NG_DECODE_HPP"
    yield ""
    yield '#include "fields.hpp"'
    yield ""
    yield "namespace ng {"
    for kind in OPCODES:
        yield ""
        yield from _instruction(kind)
    yield ""
    yield "}  // namespace ng"
    yield ""
    yield "#endif"


def _instruction(kind: type[Instruction]) -> Iterator[str]:
    opcode = OPCODES[kind].name
    space = f"isa::{opcode.lower()}"
    yield f"struct {kind.__name__} {{"
    for f in fields(kind):
        yield f"    {'Signed' if f.signed else 'Unsigned'}<{f.width}> {f.name};  ///< {field_doc(f)}"
    yield "};"
    yield ""
    yield f"/// Decodes {opcode}; false if the word is another instruction, or one with the error FIELD."
    yield f"inline bool decode(const InstructionWord& word, {kind.__name__}& i) {{"
    yield "#pragma HLS inline  // wires and comparisons with constants"
    for f in fields(kind):
        yield f"    i.{f.name} = take<{space}::{f.name.upper()}>(word);"
    terms = [
        f"opcode_of(word) == isa::OPCODE_{opcode}",
        f"no_bits_from<{space}::END>(word)",
        f"all_hold({space}::All(), word)",
        *(f"({rule_expression(kind, rule, _scoped)})" for rule in RULES[kind]),
    ]
    yield "    return " + " &&\n           ".join(terms) + ";"
    yield "}"


def _code(entry: IntEnum) -> str:
    return f"{type(entry).__name__.upper()}_{entry.name}"


def _scoped(entry: IntEnum) -> str:
    return f"isa::{_code(entry)}"


def _array(name: str, values: Iterable[int]) -> str:
    return f"constexpr unsigned {name}[MEMORY_COUNT] = {{{', '.join(map(str, values))}}};"
