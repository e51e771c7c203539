"""The instructions: fields with their ranges, conditions between fields, encoding and decoding.

`docs/isa.md` specifies what each instruction does. This module defines names, codes, widths and ranges; the C++
headers in `hls/src`, the SystemVerilog package in `hw/rtl` and the tables of `docs/isa.md` are generated from it
by `hw.isa.generate`.

Activations are stored as words of N tokens (lanes), weights as words of N output rows. In each cycle, the array
multiplies one word of each kind into N x N accumulators. Three units work in parallel, each on its own list of
instructions: the array (CONTRACT), the vector unit (SOFTMAX, LAYERNORM) and the stream unit (LOAD, STORE). An
instruction starts when each unit has retired the number of instructions that it states.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any, TypeVar

from ...fixedpoint import ACC_BITS, MAX_NORM_SIZE
from .memories import (
    ADDRESS_BITS,
    INDEX_COLUMNS,
    INSTRUCTION_BITS,
    LANES,
    MAX_LENGTH,
    NARROW_BITS,
    SENTENCES,
    SLOT_BITS,
    TABLES,
    WAIT_BITS,
    WEIGHT_ADDRESS_BITS,
    WIDE_BITS,
    Memory,
)

ISA_VERSION = 1
"""Incremented by every change that gives an older program another meaning."""

OPCODE_BITS = 3
"""Width of the opcode, the lowest bits of an instruction."""

STRIDE_BITS = 16
"""Width of a stride."""

LOOP_BITS = 12
"""Width of the count of an outer loop and of a number of rows."""

REDUCTION_BITS = 13
"""Width of the count of the reduction."""


class Unit(IntEnum):
    """The units that work in parallel, each in the order of its own list."""

    ARRAY = 0
    VECTOR = 1
    STREAM = 2


class Opcode(IntEnum):
    """Codes of the instructions. 0 is not a code, so cleared memory does not decode."""

    CONTRACT = 1
    SOFTMAX = 2
    LAYERNORM = 3
    LOAD = 4
    STORE = 5


class Space(IntEnum):
    """Location of an operand of CONTRACT. The first six are memories, with the codes of `Memory`."""

    WEIGHT = 0
    KV = 1
    ACT = 2
    VECTOR = 3
    SCORE = 4
    WIDE = 5
    IDENTITY = 6
    NONE = 7


class Count(IntEnum):
    """Source of a loop count.

    TOKENS: the tokens of the instruction's block, min(N, length - N * block). BLOCKS: ceil(length / N).
    """

    CONST = 0
    LENGTH = 1
    TOKENS = 2
    BLOCKS = 3


class Indexed(IntEnum):
    """The loop over the tokens whose index is added to an address."""

    NONE = 0
    LOOP0 = 1
    LOOPK = 2


class Stat(IntEnum):
    """The statistic that CONTRACT computes over the drained words."""

    NONE = 0
    SUMS = 1
    MAX = 2


@dataclass(frozen=True)
class Field:
    """Position and range of a field of an instruction.

    Attributes:
        name: of the dataclass field, and of the field in C++ and SystemVerilog.
        low: its lowest bit; the opcode has bits 2:0.
        width: in bits.
        lo, hi: the range.
        enum: the enumeration of the values, or None for a number.
        allowed: the valid values; empty if these are all from `lo` to `hi`.
        doc: meaning, for the documentation.
    """

    name: str
    low: int
    width: int
    lo: int
    hi: int
    enum: type[IntEnum] | None
    allowed: tuple[int, ...]
    doc: str

    @property
    def signed(self) -> bool:
        """Whether the field is a two's complement number."""
        return self.lo < 0

    @property
    def least(self) -> int:
        """The smallest value that the width can hold."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def most(self) -> int:
        """The largest value that the width can hold."""
        return (1 << (self.width - self.signed)) - 1

    def holds(self, value: int) -> bool:
        """Whether `value` is valid."""
        return value in self.allowed if self.allowed else self.lo <= value <= self.hi

    def text(self, value: int, code: Callable[[IntEnum], str] = lambda entry: entry.name) -> str:
        """A value as text: a number, or what `code` gives for a member of the enumeration, by default its name."""
        return code(self.enum(value)) if self.enum else str(int(value))

    def range_text(self) -> str:
        """The valid values as text: "0 to 63", or "CONST, TOKENS"."""
        if self.enum is None:
            return f"{self.lo} to {self.hi}"
        return ", ".join(self.text(value) for value in self.allowed)


def _range(lo: int, hi: int, doc: str, default: int = 0) -> Any:
    """A number from `lo` to `hi`. It has the least width that holds them."""
    width = max(hi.bit_length(), (~lo).bit_length()) + 1 if lo < 0 else hi.bit_length()
    return dataclasses.field(
        default=default,
        metadata={"width": width, "lo": lo, "hi": hi, "enum": None, "allowed": (), "doc": doc},
    )


def _bits(width: int, doc: str, default: int = 0) -> Any:
    """An unsigned number of `width` bits."""
    return _range(0, (1 << width) - 1, doc, default)


def _flag(doc: str) -> Any:
    return _bits(1, doc)


def _choice(doc: str, *allowed: IntEnum) -> Any:
    """One of the members of an enumeration, by default the first. It has the width of the enumeration."""
    kind = type(allowed[0])
    width = max(kind).bit_length()
    return dataclasses.field(
        default=allowed[0],
        metadata={
            "width": width,
            "lo": 0,
            "hi": (1 << width) - 1,
            "enum": kind,
            "allowed": tuple(int(value) for value in allowed),
            "doc": doc,
        },
    )


def _sentence() -> Any:
    return _range(0, SENTENCES - 1, "the sentence that gives the length and the indices")


def _block() -> Any:
    return _range(
        0,
        MAX_LENGTH // min(LANES) - 1,
        "token block; the instruction is skipped if block * N >= length or the run lacks the sentence",
    )


def _wait(unit: str) -> Any:
    return _bits(
        WAIT_BITS, f"number of instructions that the {unit} must have retired before this one starts"
    )


def _slot(doc: str) -> Any:
    return _bits(SLOT_BITS, doc)


def _shift() -> Any:
    return _range(1 - ACC_BITS, ACC_BITS - 1, "right shift with rounding; a left shift if negative")


@dataclass(frozen=True)
class Contract:
    """Products of words of A (lanes: rows) and B (lanes: columns), tile by tile, drained word by word."""

    sentence: int = _sentence()
    block: int = _block()
    wait_array: int = _wait("array")
    wait_vector: int = _wait("vector unit")
    wait_stream: int = _wait("stream unit")
    keep: int = _flag("leave the tile in the accumulators; the next CONTRACT continues from it")
    n0: int = _bits(LOOP_BITS, "count of loop 0 if `n0_source` is CONST", 1)
    n0_source: Count = _choice("source of the count of loop 0", Count.CONST, Count.TOKENS)
    n1: int = _bits(LOOP_BITS, "count of loop 1", 1)
    n2: int = _bits(LOOP_BITS, "count of loop 2 if `n2_source` is CONST", 1)
    n2_source: Count = _choice("source of the count of loop 2", Count.CONST, Count.BLOCKS)
    nk: int = _bits(REDUCTION_BITS, "count of the reduction if `nk_source` is CONST", 1)
    nk_source: Count = _choice(
        "source of the count of the reduction", Count.CONST, Count.LENGTH, Count.TOKENS
    )
    a_space: Space = _choice("location of operand A", Space.WEIGHT, Space.KV, Space.IDENTITY)
    a_base: int = _bits(WEIGHT_ADDRESS_BITS, "address of A")
    a_stride0: int = _bits(STRIDE_BITS, "stride of A for loop 0")
    a_stride1: int = _bits(STRIDE_BITS, "stride of A for loop 1")
    a_stride2: int = _bits(STRIDE_BITS, "stride of A for loop 2")
    a_stridek: int = _bits(STRIDE_BITS, "stride of A for the reduction")
    a_indexed: Indexed = _choice("loop over the tokens of A's index", *Indexed)
    a_column: int = _range(0, INDEX_COLUMNS - 1, "index column of A")
    a_index_stride: int = _bits(STRIDE_BITS, "stride of A for the index")
    b_space: Space = _choice("location of operand B", Space.ACT, Space.VECTOR, Space.WEIGHT)
    b_base: int = _bits(WEIGHT_ADDRESS_BITS, "address of B")
    b_stride0: int = _bits(STRIDE_BITS, "stride of B for loop 0")
    b_stride1: int = _bits(STRIDE_BITS, "stride of B for loop 1")
    b_stride2: int = _bits(STRIDE_BITS, "stride of B for loop 2")
    b_stridek: int = _bits(STRIDE_BITS, "stride of B for the reduction")
    b_indexed: Indexed = _choice("loop over the tokens of B's index", *Indexed)
    b_column: int = _range(0, INDEX_COLUMNS - 1, "index column of B")
    b_index_stride: int = _bits(STRIDE_BITS, "stride of B for the index")
    b_unsigned: int = _flag("lanes of B are unsigned")
    columns: int = _flag("drain the tile by columns (a word has the lanes of A), not by rows (lanes of B)")
    rows: int = _bits(LOOP_BITS, "words to drain over all of loop 2 if `rows_source` is CONST", 1)
    rows_source: Count = _choice("source of the number of words", Count.CONST, Count.LENGTH, Count.TOKENS)
    c_space: Space = _choice("location of the target", Space.ACT, Space.KV, Space.SCORE, Space.WIDE)
    c_base: int = _bits(ADDRESS_BITS, "address of the target")
    c_stride0: int = _bits(STRIDE_BITS, "stride of the target for loop 0")
    c_stride1: int = _bits(STRIDE_BITS, "stride of the target for loop 1")
    c_stride2: int = _bits(STRIDE_BITS, "stride of the target for loop 2")
    c_stridew: int = _bits(STRIDE_BITS, "stride of the target for the words of a tile", 1)
    bias: int = _flag("add a bias")
    bias_base: int = _bits(ADDRESS_BITS, "address of the bias")
    acc_shift: int = _range(
        0, ACC_BITS - 1, "left shift of the accumulator and bias, before the residual is added"
    )
    residual_space: Space = _choice(
        "location of the residual", Space.NONE, Space.VECTOR, Space.WEIGHT, Space.WIDE
    )
    residual_base: int = _bits(WEIGHT_ADDRESS_BITS, "address of the residual; its strides are the target's")
    residual_shift: int = _range(0, ACC_BITS - 1, "left shift of the residual")
    shift: int = _shift()
    bits: int = _range(2, WIDE_BITS, "bits of the result", NARROW_BITS)
    is_unsigned: int = _flag("saturate to the unsigned range")
    has_table: int = _flag("replace the result by an entry of a table")
    table_id: int = _range(0, TABLES - 1, "number of the table")
    stat: Stat = _choice("statistic of the drained words", *Stat)
    stat_slot: int = _slot("word of STAT that is written")


@dataclass(frozen=True)
class Softmax:
    """`fixedpoint.softmax` in each lane, over one score per token of the sentence."""

    sentence: int = _sentence()
    block: int = _block()
    wait_array: int = _wait("array")
    wait_vector: int = _wait("vector unit")
    wait_stream: int = _wait("stream unit")
    source: int = _bits(ADDRESS_BITS, "address in SCORE; one word per key")
    target: int = _bits(ADDRESS_BITS, "address in VECTOR; one word per key")
    exp_id: int = _range(0, TABLES - 1, "number of the exponential table")
    stat_slot: int = _slot("word of STAT with the maxima")


@dataclass(frozen=True)
class LayerNorm:
    """`fixedpoint.layer_norm` in each lane, over all features or a part of them; the sums are those of all."""

    sentence: int = _sentence()
    block: int = _block()
    wait_array: int = _wait("array")
    wait_vector: int = _wait("vector unit")
    wait_stream: int = _wait("stream unit")
    size: int = _range(1, MAX_NORM_SIZE, "features that the statistic covers", 1)
    count: int = _range(1, MAX_NORM_SIZE, "features to normalize", 1)
    source: int = _bits(ADDRESS_BITS, "address in WIDE; one word per feature")
    target: int = _bits(ADDRESS_BITS, "address in VECTOR; one word per feature")
    norm_base: int = _bits(ADDRESS_BITS, "address of gamma and beta in NORM")
    shift: int = _shift()
    bits: int = _range(2, NARROW_BITS, "bits of the result, signed", NARROW_BITS)
    stat_slot: int = _slot("word of STAT with the sums")


@dataclass(frozen=True)
class Load:
    """Words from the input stream into a memory."""

    sentence: int = _sentence()
    block: int = _block()
    wait_array: int = _wait("array")
    wait_vector: int = _wait("vector unit")
    wait_stream: int = _wait("stream unit")
    memory: Memory = _choice(
        "target", Memory.WEIGHT, Memory.BIAS, Memory.NORM, Memory.TABLE, Memory.EXP, Memory.INDEX
    )
    base: int = _bits(WEIGHT_ADDRESS_BITS, "address; in INDEX, relative to the sentence's half")
    count: int = _bits(WEIGHT_ADDRESS_BITS, "words if `count_source` is CONST", 1)
    count_source: Count = _choice("source of the number of words", Count.CONST, Count.LENGTH)


@dataclass(frozen=True)
class Store:
    """Words of WIDE to the output stream."""

    sentence: int = _sentence()
    block: int = _block()
    wait_array: int = _wait("array")
    wait_vector: int = _wait("vector unit")
    wait_stream: int = _wait("stream unit")
    base: int = _bits(ADDRESS_BITS, "address in WIDE")
    count: int = _bits(ADDRESS_BITS, "words", 1)


Instruction = Contract | Softmax | LayerNorm | Load | Store

OPCODES: dict[type[Instruction], Opcode] = {
    Contract: Opcode.CONTRACT,
    Softmax: Opcode.SOFTMAX,
    LayerNorm: Opcode.LAYERNORM,
    Load: Opcode.LOAD,
    Store: Opcode.STORE,
}

UNITS: dict[Opcode, Unit] = {
    Opcode.CONTRACT: Unit.ARRAY,
    Opcode.SOFTMAX: Unit.VECTOR,
    Opcode.LAYERNORM: Unit.VECTOR,
    Opcode.LOAD: Unit.STREAM,
    Opcode.STORE: Unit.STREAM,
}

_KINDS: dict[int, type[Instruction]] = {int(opcode): kind for kind, opcode in OPCODES.items()}


@dataclass(frozen=True)
class Rule:
    """A condition between fields: unless `field` holds `value`, other fields have narrower ranges.

    Attributes:
        field, value: the exception.
        limits: for each restricted field, the least and the largest value.
    """

    field: str
    value: int
    limits: Mapping[str, tuple[int, int]]

    def broken(self, values: Mapping[str, int]) -> str | None:
        """The restricted field that is out of its range, or None if the condition holds."""
        if values[self.field] == self.value:
            return None
        return next((name for name, (lo, hi) in self.limits.items() if not lo <= values[name] <= hi), None)


RULES: dict[type[Instruction], tuple[Rule, ...]] = {
    Contract: (
        Rule("c_space", Space.WIDE, {"bits": (2, NARROW_BITS)}),
        Rule("has_table", 0, {"bits": (NARROW_BITS, NARROW_BITS)}),
        Rule(
            "keep",
            0,
            {
                "n0": (1, 1),
                "n1": (1, 1),
                "n2": (1, 1),
                "n0_source": (Count.CONST, Count.CONST),
                "n2_source": (Count.CONST, Count.CONST),
            },
        ),
    ),
    Softmax: (),
    LayerNorm: (),
    Load: (),
    Store: (),
}
"""Conditions between the fields of each instruction, beyond the range of each field."""


def fields(kind: type[Instruction]) -> tuple[Field, ...]:
    """The fields of an instruction, from the lowest bit up, without gaps above the opcode."""
    return _fields(OPCODES[kind])


@cache
def _fields(opcode: Opcode) -> tuple[Field, ...]:
    packed = []
    low = OPCODE_BITS
    for entry in dataclasses.fields(_KINDS[opcode]):
        packed.append(Field(name=entry.name, low=low, **entry.metadata))
        low += packed[-1].width
    if low > INSTRUCTION_BITS:
        raise AssertionError(f"{opcode.name} needs {low} bits of {INSTRUCTION_BITS}")
    return tuple(packed)


def reserved_low(kind: type[Instruction]) -> int:
    """The lowest reserved bit of an instruction; the bits from there on must be 0."""
    last = fields(kind)[-1]
    return last.low + last.width


class FieldError(ValueError):
    """A field of an instruction is out of range: the engine's error FIELD."""


def encode(instruction: Instruction) -> bytes:
    """An instruction as `INSTRUCTION_BITS` // 8 bytes, little endian.

    Raises:
        FieldError: a field is out of range.
    """
    check_fields(instruction)
    word = int(OPCODES[type(instruction)])
    for field in fields(type(instruction)):
        word |= (int(getattr(instruction, field.name)) & ((1 << field.width) - 1)) << field.low
    return word.to_bytes(INSTRUCTION_BITS // 8, "little")


def decode(data: bytes) -> Instruction:
    """The instruction that `encode` encodes as `data`.

    Raises:
        FieldError: the opcode is unknown, a reserved bit is set, or a field is out of range.
    """
    word = int.from_bytes(data, "little")
    opcode = word & ((1 << OPCODE_BITS) - 1)
    kind = _KINDS.get(opcode)
    if kind is None:
        raise FieldError(f"unknown opcode {opcode}")
    values: dict[str, int] = {}
    for field in fields(kind):
        value = word >> field.low & ((1 << field.width) - 1)
        values[field.name] = value - (1 << field.width) if value > field.most else value
    _check(kind, values)
    if word >> reserved_low(kind):
        raise FieldError(f"{OPCODES[kind].name}: reserved bits must be 0")
    enums = {field.name: field.enum(values[field.name]) for field in fields(kind) if field.enum}
    return kind(**(values | enums))  # type: ignore[arg-type]


def check_fields(instruction: Instruction) -> None:
    """Checks the range of every field and the conditions between fields.

    Raises:
        FieldError: states the field, its range and its value.
    """
    kind = type(instruction)
    _check(kind, {field.name: int(getattr(instruction, field.name)) for field in fields(kind)})


def _check(kind: type[Instruction], values: Mapping[str, int]) -> None:
    name = OPCODES[kind].name
    for field in fields(kind):
        if not field.holds(values[field.name]):
            expected = field.range_text()
            choice = "one of " if field.enum else ""
            raise FieldError(f"{name}: {field.name} must be {choice}{expected}, got {values[field.name]}")
    for rule in RULES[kind]:
        broken = rule.broken(values)
        if broken is not None:
            raise FieldError(f"{name}: {rule_text(kind, rule, [broken])}, got {values[broken]}")


def rule_text(kind: type[Instruction], rule: Rule, names: Iterable[str], quote: str = "") -> str:
    """A condition on some restricted fields as text: "bits must be 8 unless has_table is 0".

    Args:
        kind: the instruction.
        rule: one of its conditions.
        names: the restricted fields.
        quote: character before and after each name of a field.
    """
    by_name = {field.name: field for field in fields(kind)}
    groups: dict[str, list[str]] = {}
    for name in names:
        lo, hi = (by_name[name].text(value) for value in rule.limits[name])
        groups.setdefault(lo if lo == hi else f"{lo} to {hi}", []).append(f"{quote}{name}{quote}")
    needs = [f"{_listed(group)} must be {limits}" for limits, group in groups.items()]
    exception = f"unless {quote}{rule.field}{quote} is {by_name[rule.field].text(rule.value)}"
    return f"{needs[0]} {exception}" if len(needs) == 1 else f"{exception}, {' and '.join(needs)}"


def _listed(names: list[str]) -> str:
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]


_T = TypeVar("_T", bound=Instruction)


def wait(instruction: _T, array: int, vector: int, stream: int) -> _T:
    """The instruction with other waits."""
    return dataclasses.replace(instruction, wait_array=array, wait_vector=vector, wait_stream=stream)


def waits(instruction: Instruction) -> tuple[int, int, int]:
    """The numbers of instructions of array, vector unit and stream unit that an instruction waits for."""
    return instruction.wait_array, instruction.wait_vector, instruction.wait_stream
