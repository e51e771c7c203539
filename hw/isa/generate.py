"""Makes from `hw.isa` what must agree with it: the C++ header, the SystemVerilog package, the tables of `docs/isa.md`.

    python -m narrowgauge.hw.isa.generate [--check]

writes the three files in the source tree, or with --check tells which of them is not up to date.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from pathlib import Path

from ...files import write_atomic
from ...fixedpoint import ACC_BITS
from . import instructions as isa
from .instructions import Field, Instruction, Memory

_ROOT = Path(__file__).resolve().parents[2]

_NOTICE = "Generated from hw/isa/instructions.py by `python -m narrowgauge.hw.isa.generate`; edits are lost."

_ENUMS: tuple[type[IntEnum], ...] = (
    isa.Unit,
    Memory,
    isa.Opcode,
    isa.Space,
    isa.Count,
    isa.Indexed,
    isa.Stat,
    isa.Error,
    isa.Command,
)

_CONSTANTS: tuple[tuple[str, int, str], ...] = (
    ("ISA_VERSION", isa.ISA_VERSION, "version of the instruction set"),
    ("ENGINE_ID", isa.ENGINE_ID, "content of the register ID"),
    ("PROGRAM_MAGIC", isa.PROGRAM_MAGIC, "first word of a program"),
    ("INSTRUCTION_BITS", isa.INSTRUCTION_BITS, "bits of an instruction"),
    ("OPCODE_BITS", isa.OPCODE_BITS, "bits of an opcode, the lowest of an instruction"),
    ("BEAT_BITS", 8 * isa.BEAT_BYTES, "bits of a beat of the streams"),
    ("ACC_BITS", ACC_BITS, "bits of an accumulator"),
    ("SENTENCES", isa.SENTENCES, "sentences of a run"),
    ("MAX_LENGTH", isa.MAX_LENGTH, "tokens of a sentence"),
    ("INDEX_COLUMNS", isa.INDEX_COLUMNS, "columns of a word of INDEX, 16 bits each"),
    ("STAT_SUM_BITS", isa.STAT_SUM_BITS, "bits of a lane's sum in STAT"),
    ("STAT_SQUARE_BITS", isa.STAT_SQUARE_BITS, "bits of a lane's sum of squares in STAT"),
    ("STAT_MAX_BITS", isa.STAT_MAX_BITS, "bits of a lane's maximum in STAT"),
    ("STAT_COUNT_BITS", isa.STAT_COUNT_BITS, "bits of the count in STAT"),
    ("WEIGHT_ADDRESS_BITS", isa.WEIGHT_ADDRESS_BITS, "bits of an address in WEIGHT"),
    ("ADDRESS_BITS", isa.ADDRESS_BITS, "bits of an address in any other memory"),
    ("STRIDE_BITS", isa.STRIDE_BITS, "bits of a stride"),
    ("WAIT_BITS", isa.WAIT_BITS, "bits of a wait"),
    ("SLOT_BITS", isa.SLOT_BITS, "bits of the number of a word of STAT"),
    ("HEADER_WORDS", len(isa.HEADER), "words of 32 bits of a program's header"),
    ("LISTS", len(isa.LISTS), "lists of a program"),
    ("COUNTERS", len(isa.COUNTERS), "cycle counters"),
)

_RULES = (
    "CONTRACT: `bits` is 2 to 8, or 2 to 16 if `c_space` is WIDE",
    "CONTRACT: if `has_table` is 1, `bits` is 8",
    "CONTRACT: if `keep` is 1, `n0`, `n1` and `n2` are 1 and `n0_source` and `n2_source` are CONST",
    "LAYERNORM: `bits` is 2 to 8; `size` and `count` are 1 to 1024",
)
"""What `isa.check_fields` asks beyond the range of each field, in words."""


def cpp_header() -> str:
    """`hls/src/isa.hpp`: plain C++17, everything in the namespace `ng::isa`."""
    return "\n".join(_cpp_lines()) + "\n"


def sv_package() -> str:
    """`hw/rtl/ng_isa_pkg.sv`: constants, enumerations, a packed structure and a FIELD check for each instruction."""
    return "\n".join(_sv_lines()) + "\n"


def tables() -> dict[str, str]:
    """The generated parts of `docs/isa.md`, by the name in their marker."""
    return {
        "memories": _table(
            (
                "code",
                "memory",
                "bits of a word",
                "beats of a word",
                "most words",
                "written by",
                "read by",
                "holds",
            ),
            (
                (
                    memory,
                    memory.name,
                    _word(kind),
                    _beats(kind) if memory is not Memory.STAT else "",
                    isa.max_depth(memory),
                    kind.writers,
                    kind.readers,
                    kind.doc,
                )
                for memory, kind in isa.MEMORIES.items()
            ),
        ),
        "errors": _table(
            ("code", "error", "meaning"),
            ((error, error.name, isa.ERROR_DOCS[error]) for error in isa.Error),
        ),
        "header": _table(
            ("word", "name", "content"),
            ((number, name, doc) for number, (name, doc) in enumerate(isa.HEADER)),
        ),
        "instructions": "\n\n".join(_instruction_tables()),
        "registers": _table(
            ("address", "register", "access", "content"),
            ((f"0x{r.address:02X}", r.name, r.access, r.doc) for r in isa.REGISTERS),
        ),
    }


def document(text: str) -> str:
    """`text` with its generated parts made anew: what stands between `<!-- generated: NAME -->` and `<!-- end -->`.

    Raises:
        ValueError: a part is missing, or there is none of the name.
    """
    made = tables()
    found: list[str] = []

    def part(match: re.Match[str]) -> str:
        name = match[1]
        if name not in made:
            raise ValueError(f"there is no table {name}; choose from {', '.join(made)}")
        found.append(name)
        return f"<!-- generated: {name} -->\n\n{made[name]}\n\n<!-- end -->"

    text = re.sub(r"<!-- generated: (\w+) -->\n.*?<!-- end -->", part, text, flags=re.DOTALL)
    if sorted(found) != sorted(made):
        raise ValueError(f"the document needs each of the tables {', '.join(made)} once")
    return text


def outputs(root: Path) -> dict[Path, str]:
    """What the generated files in the source tree `root` must hold."""
    docs = root / "docs" / "isa.md"
    return {
        root / "hls" / "src" / "isa.hpp": cpp_header(),
        root / "hw" / "rtl" / "ng_isa_pkg.sv": sv_package(),
        docs: document(docs.read_text(encoding="utf-8")),
    }


def outdated(root: Path) -> list[Path]:
    """The generated files that are missing or hold something else."""
    return [
        path
        for path, content in outputs(root).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != content
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Writes or checks the files; 1 if the check finds one that is not up to date."""
    parser = argparse.ArgumentParser(prog="narrowgauge.hw.isa.generate", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, tell what is not up to date")
    args = parser.parse_args(argv)
    late = outdated(_ROOT)
    content = outputs(_ROOT)
    for path in late:
        if args.check:
            print(f"{path.relative_to(_ROOT)} is not up to date: run python -m narrowgauge.hw.isa.generate")
        else:
            write_atomic(path, content[path])
            print(f"wrote {path.relative_to(_ROOT)}")
    return 1 if args.check and late else 0


def _names(f: Field) -> str:
    """The codes of a field that holds an enumeration."""
    assert f.enum is not None
    return ", ".join(f"{value} {f.enum(value).name}" for value in f.allowed)


def _meaning(f: Field) -> str:
    if f.name.endswith("_source"):
        return f"where `{f.name.removesuffix('_source')}` comes from"
    # The names of an enumeration stand in the column of the range.
    return f.doc.split(":")[0] if f.enum else f.doc


def _instruction_tables() -> Iterator[str]:
    for kind, opcode in isa.OPCODES.items():
        found = isa.fields(kind)
        rows: list[tuple[object, ...]] = [(_span(0, isa.OPCODE_BITS), "opcode", int(opcode), "")]
        for f in found:
            values = _names(f) if f.enum else f"{f.lo} to {f.hi}"
            rows.append((_span(f.low, f.width), f.name, values, _meaning(f)))
        end = found[-1].low + found[-1].width
        rows.append((_span(end, isa.INSTRUCTION_BITS - end), "reserved", "0", ""))
        title = f"### {opcode.name}: {isa.UNITS[opcode].name.lower()}"
        yield title + "\n\n" + _table(("bits", "field", "range", "meaning"), rows)
    yield "### Beyond the ranges\n\nThese are the error FIELD too, where they do not hold:\n\n" + "\n".join(
        f"- {rule}." for rule in _RULES
    )


def _span(low: int, width: int) -> str:
    return str(low) if width == 1 else f"{low + width - 1}:{low}"


def _word(kind: isa.MemoryKind) -> str:
    parts = [f"{kind.lane_bits}·N"] if kind.lane_bits else []
    return " + ".join(parts + ([str(kind.word_bits)] if kind.word_bits else []))


def _beats(kind: isa.MemoryKind) -> str:
    if not kind.lane_bits:
        return str(kind.beats(isa.LANES[0]))
    return f"N / {8 * isa.BEAT_BYTES // kind.lane_bits}"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(cell: object) -> str:
    return str(int(cell)) if isinstance(cell, IntEnum) else str(cell)


def _cpp_lines() -> Iterator[str]:
    yield f"// {_NOTICE}"
    yield "#ifndef NG_ISA_HPP"
    yield "#define NG_ISA_HPP"
    yield ""
    yield "#include <cstdint>"
    yield ""
    yield "namespace ng {"
    yield "namespace isa {"
    yield ""
    for name, value, doc in _CONSTANTS:
        text = f"0x{value:08X}u" if value > 1 << 20 else f"{value}u"
        yield f"constexpr std::uint32_t {name} = {text};  // {doc}"
    for enum in _ENUMS:
        yield ""
        yield f"enum {enum.__name__} : unsigned {{"
        for entry in enum:
            note = f"  // {isa.ERROR_DOCS[entry]}" if isinstance(entry, isa.Error) else ""
            yield f"    {enum.__name__.upper()}_{entry.name} = {int(entry)},{note}"
        yield "};"
        yield f"constexpr unsigned {enum.__name__.upper()}_COUNT = {len(enum)}u;"
    yield ""
    yield "// Bits of a lane, and of a word beside its lanes, by Memory."
    yield _cpp_array("LANE_BITS", (kind.lane_bits for kind in isa.MEMORIES.values()))
    yield _cpp_array("WORD_BITS", (kind.word_bits for kind in isa.MEMORIES.values()))
    yield ""
    yield "// The most words that a memory can have, by Memory."
    yield _cpp_array("MAX_DEPTH", (isa.max_depth(memory) for memory in Memory))
    yield ""
    yield "// Bits of a word of a memory of an engine with so many lanes."
    yield "constexpr unsigned word_bits(unsigned memory, unsigned lanes) {"
    yield "    return LANE_BITS[memory] * lanes + WORD_BITS[memory];"
    yield "}"
    yield ""
    yield "// Beats of a word on a stream: lane 0 in the low bits of the first, the last one padded with zeros."
    yield "constexpr unsigned beats(unsigned memory, unsigned lanes) {"
    yield "    return (word_bits(memory, lanes) + BEAT_BITS - 1) / BEAT_BITS;"
    yield "}"
    yield ""
    yield "// Words of a program's header."
    yield "enum Header : unsigned {"
    for number, (name, doc) in enumerate(isa.HEADER):
        yield f"    HEADER_{name.upper()} = {number},  // {doc}"
    yield "};"
    yield ""
    yield "// Byte addresses of the registers."
    yield "enum Register : unsigned {"
    for register in isa.REGISTERS:
        yield f"    REGISTER_{register.name} = 0x{register.address:02X},  // {register.access}: {register.doc}"
    yield "};"
    yield ""
    yield "// Where a field of an instruction lies, and what it may hold: the values whose bits are set in MASK, or, if"
    yield "// that is 0, all from LO to HI."
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
    yield "// All fields of an instruction, from the lowest bit up; bits from END on are 0."
    yield "template <typename... F>"
    yield "struct Fields {};"
    yield ""
    yield "// Rules beyond the fields' ranges:"
    for rule in _RULES:
        yield f"// - {rule}."
    for kind, opcode in isa.OPCODES.items():
        found = isa.fields(kind)
        yield ""
        yield f"namespace {opcode.name.lower()} {{"
        for f in found:
            mask = sum(1 << value for value in f.allowed)
            yield f"// {f.doc}"
            signed = str(f.signed).lower()
            yield f"using {f.name.upper()} = Field<{f.low}, {f.width}, {signed}, {f.lo}, {f.hi}, {mask}>;"
        everything = ", ".join(f.name.upper() for f in found)
        yield from textwrap.wrap(
            f"using All = Fields<{everything}>;", 118, subsequent_indent="                   "
        )
        yield f"constexpr unsigned END = {found[-1].low + found[-1].width}u;"
        yield f"}}  // namespace {opcode.name.lower()}"
    yield ""
    yield "}  // namespace isa"
    yield "}  // namespace ng"
    yield ""
    yield "#endif"


def _cpp_array(name: str, values: Iterable[int]) -> str:
    return f"constexpr unsigned {name}[MEMORY_COUNT] = {{{', '.join(map(str, values))}}};"


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:].lower() for part in name.split("_"))


def _sv_lines() -> Iterator[str]:
    yield f"// {_NOTICE}"
    yield ""
    yield "// A design need not use all of the instruction set, nor a check all fields."
    yield "// verilator lint_off UNUSEDPARAM"
    yield "// verilator lint_off UNUSEDSIGNAL"
    yield "package ng_isa_pkg;"
    yield ""
    for name, value, doc in _CONSTANTS:
        text = f"32'h{value:08X}" if value > 1 << 20 else str(value)
        yield f"  // {doc[0].upper()}{doc[1:]}."
        yield f"  parameter int unsigned {_camel(name)} = {text};"
    for enum in _ENUMS:
        width = _sv_width(enum)
        prefix = _camel(enum.__name__)
        entries = [f"{prefix}{_camel(entry.name)} = {width}'d{int(entry)}" for entry in enum]
        yield ""
        yield f"  typedef enum logic [{width - 1}:0] {{"
        yield ",\n".join(f"    {entry}" for entry in entries)
        yield f"  }} {enum.__name__.lower()}_e;"
    yield ""
    yield "  // The next three are computed while a design is elaborated: there is nothing to cover."
    yield "  // verilator coverage_off"
    yield "  // Bits of a word of a memory of an engine with so many lanes."
    yield "  function automatic int unsigned word_bits(memory_e memory, int unsigned lanes);"
    yield from _sv_case(
        "memory",
        (
            (f"Memory{_camel(memory.name)}", f"{kind.lane_bits} * lanes + {kind.word_bits}")
            for memory, kind in isa.MEMORIES.items()
        ),
        "0",
    )
    yield "  endfunction"
    yield ""
    yield "  // Beats of a word on a stream: lane 0 in the low bits of the first, the last one padded with zeros."
    yield "  function automatic int unsigned beats(memory_e memory, int unsigned lanes);"
    yield "    return (word_bits(memory, lanes) + BeatBits - 1) / BeatBits;"
    yield "  endfunction"
    yield ""
    yield "  // The most words that a memory can have."
    yield "  function automatic int unsigned max_depth(memory_e memory);"
    yield from _sv_case(
        "memory", ((f"Memory{_camel(memory.name)}", str(isa.max_depth(memory))) for memory in Memory), "0"
    )
    yield "  endfunction"
    yield "  // verilator coverage_on"
    yield ""
    yield "  // Words of a program's header."
    for number, (name, _) in enumerate(isa.HEADER):
        yield f"  parameter int unsigned Header{_camel(name)} = {number};"
    yield ""
    yield "  // Byte addresses of the registers."
    for register in isa.REGISTERS:
        yield f"  parameter logic [7:0] Reg{_camel(register.name)} = 8'h{register.address:02X};  // {register.access}"
    for kind in isa.OPCODES:
        yield ""
        yield from _sv_instruction(kind)
    yield ""
    yield "endpackage"
    yield "// verilator lint_on UNUSEDPARAM"
    yield "// verilator lint_on UNUSEDSIGNAL"


def _sv_width(enum: type[IntEnum]) -> int:
    """Bits of an enumeration: those of the fields that hold it, or as many as its codes need."""
    if enum is isa.Opcode:
        return isa.OPCODE_BITS
    widths = {f.width for kind in isa.OPCODES for f in isa.fields(kind) if f.enum is enum}
    return max(widths | {max(enum).bit_length()})


def _sv_case(subject: str, cases: Iterable[tuple[str, str]], default: str) -> Iterator[str]:
    yield f"    unique case ({subject})"
    for value, result in cases:
        yield f"      {value}: return {result};"
    yield f"      default: return {default};"
    yield "    endcase"


def _sv_instruction(kind: type[Instruction]) -> Iterator[str]:
    name = isa.OPCODES[kind].name
    found = isa.fields(kind)
    end = found[-1].low + found[-1].width
    yield "  typedef struct packed {"
    yield f"    logic [{isa.INSTRUCTION_BITS - 1}:{end}] reserved;"
    for f in reversed(found):
        sign = "signed " if f.signed else ""
        width = "" if f.width == 1 else f"[{f.width - 1}:0] "
        yield from textwrap.wrap(
            f"{_span(f.low, f.width)}: {f.doc}", 92, initial_indent="    // ", subsequent_indent="    // "
        )
        yield f"    logic {sign}{width}{f.name};"
    yield f"    logic [{isa.OPCODE_BITS - 1}:0] opcode;"
    yield f"  }} {name.lower()}_t;"
    yield ""
    yield "  // Whether no field is out of its range: where this is 0, the error is FIELD."
    yield f"  function automatic logic {name.lower()}_ok({name.lower()}_t i);"
    terms = [f"i.opcode == Opcode{_camel(name)}", "i.reserved == '0"]
    for f in found:
        terms += _sv_range(f)
    terms += _SV_RULES.get(name, ())
    yield "    return " + " &&\n           ".join(f"({term})" for term in terms) + ";"
    yield "  endfunction"


_SV_RULES = {
    "CONTRACT": (
        "i.bits >= 2 && i.bits <= (i.c_space == SpaceWide ? 16 : 8)",
        "!i.has_table || i.bits == 8",
        "!i.keep || (i.n0 == 1 && i.n1 == 1 && i.n2 == 1 &&\n"
        "            i.n0_source == CountConst && i.n2_source == CountConst)",
    ),
    "LAYERNORM": (
        "i.bits >= 2 && i.bits <= 8",
        "i.size >= 1 && i.size <= 1024",
        "i.count >= 1 && i.count <= 1024",
    ),
}


def _sv_range(f: Field) -> list[str]:
    """Conditions on a field; none where every value of its width may stand there."""
    name = f"i.{f.name}"
    if f.allowed:
        if len(f.allowed) == 1 << f.width:
            return []
        assert f.enum is not None
        prefix = _camel(f.enum.__name__)
        codes = (f"{name} == {prefix}{_camel(f.enum(value).name)}" for value in f.allowed)
        return [" ||\n            ".join(codes)]
    least = -(1 << (f.width - 1)) if f.signed else 0
    most = (1 << (f.width - f.signed)) - 1
    return ([f"{name} >= {f.lo}"] if f.lo != least else []) + ([f"{name} <= {f.hi}"] if f.hi != most else [])


if __name__ == "__main__":
    raise SystemExit(main())
