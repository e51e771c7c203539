"""The tables of `docs/isa.md`, generated from `hw.isa`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum

from .instructions import OPCODE_BITS, OPCODES, RULES, UNITS, Field, fields, reserved_low, rule_text
from .memories import BEAT_BYTES, INSTRUCTION_BITS, LANES, MEMORIES, Memory, MemoryKind
from .program import HEADER
from .registers import ERROR_DOCS, REGISTERS, Error


def tables() -> dict[str, str]:
    """The generated parts of `docs/isa.md`, by the name in their marker."""
    return {
        "memories": _table(
            (
                "code",
                "memory",
                "bits per word",
                "beats per word",
                "most words",
                "written by",
                "read by",
                "content",
            ),
            (
                (
                    memory,
                    memory.name,
                    _word(kind),
                    _beats(kind) if memory is not Memory.STAT else "",
                    kind.max_depth,
                    kind.writers,
                    kind.readers,
                    kind.doc,
                )
                for memory, kind in MEMORIES.items()
            ),
        ),
        "errors": _table(
            ("code", "error", "meaning"), ((error, error.name, ERROR_DOCS[error]) for error in Error)
        ),
        "header": _table(
            ("word", "name", "content"), ((number, name, doc) for number, (name, doc) in enumerate(HEADER))
        ),
        "instructions": "\n\n".join(_instructions()),
        "registers": _table(
            ("address", "register", "access", "content"),
            ((f"0x{r.address:02X}", r.name, r.access, r.doc) for r in REGISTERS),
        ),
    }


def document(text: str) -> str:
    """`text` with each part between `<!-- generated: NAME -->` and `<!-- end -->` replaced by the table NAME.

    Raises:
        ValueError: a table is unknown, missing, or there twice.
    """
    content = tables()
    names: list[str] = []

    def part(match: re.Match[str]) -> str:
        name = match[1]
        if name not in content:
            raise ValueError(f"unknown table {name}; expected one of {', '.join(content)}")
        names.append(name)
        return f"<!-- generated: {name} -->\n\n{content[name]}\n\n<!-- end -->"

    text = re.sub(r"<!-- generated: (\w+) -->\n.*?<!-- end -->", part, text, flags=re.DOTALL)
    if sorted(names) != sorted(content):
        raise ValueError(f"the document must have each of the tables {', '.join(content)} once")
    return text


def bit_range(low: int, width: int) -> str:
    """The bits of a field as in a data sheet: "8:3", or "2" for a single bit."""
    return str(low) if width == 1 else f"{low + width - 1}:{low}"


def rules() -> Iterator[str]:
    """The conditions between fields, one sentence each."""
    for kind, opcode in OPCODES.items():
        for rule in RULES[kind]:
            yield f"{opcode.name}: {rule_text(kind, rule, rule.limits, quote='`')}."


def _instructions() -> Iterator[str]:
    for kind, opcode in OPCODES.items():
        rows: list[tuple[object, ...]] = [(bit_range(0, OPCODE_BITS), "opcode", int(opcode), "")]
        rows += [(bit_range(f.low, f.width), f.name, _values(f), f.doc) for f in fields(kind)]
        rows.append(
            (bit_range(reserved_low(kind), INSTRUCTION_BITS - reserved_low(kind)), "reserved", "0", "")
        )
        title = f"### {opcode.name}: {UNITS[opcode].name.lower()}"
        yield title + "\n\n" + _table(("bits", "field", "range", "meaning"), rows)
    yield (
        "### Conditions between fields\n\nAn instruction that does not meet one of these conditions is the "
        "error FIELD too:\n\n" + "\n".join(f"- {rule}" for rule in rules())
    )


def _values(f: Field) -> str:
    """The range of a number, or the codes and names of an enumeration."""
    if f.enum is None:
        return f.range_text()
    return ", ".join(f"{value} {f.enum(value).name}" for value in f.allowed)


def _word(kind: MemoryKind) -> str:
    parts = [f"{kind.lane_bits}·N"] if kind.lane_bits else []
    return " + ".join(parts + ([str(kind.word_bits)] if kind.word_bits else []))


def _beats(kind: MemoryKind) -> str:
    if not kind.lane_bits:
        return str(kind.beats(LANES[0]))
    return f"N / {8 * BEAT_BYTES // kind.lane_bits}"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(cell: object) -> str:
    return str(int(cell)) if isinstance(cell, IntEnum) else str(cell)
