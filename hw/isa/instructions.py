"""The instruction set of the tensor-contraction engine: the one definition that everything else is made from.

The C++ header (`hls/`), the SystemVerilog package (`hw/rtl/`) and the tables of `docs/isa.md` are generated from
this module by `hw.generate`. `docs/isa.md` says what each instruction does, exact to the bit; here stand names,
widths, codes and ranges.

The engine in three sentences: every activation is stored as words of N tokens (lanes), every weight as words of N
output rows, and the array multiplies one word of each kind per cycle into N x N accumulators. Three units run beside
each other, each through its own list of instructions: the array (CONTRACT), the vector unit (SOFTMAX, LAYERNORM) and
the stream unit (LOAD, STORE). An instruction waits until the units have retired as many instructions as it says:
those counts are the dependency tokens.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any, TypeVar

from ...fixedpoint import ACC_BITS

ISA_VERSION = 1
"""Incremented whenever a change gives an older program another meaning."""

INSTRUCTION_BITS = 512
"""Width of every instruction, in all lists."""

BEAT_BYTES = 8
"""Bytes of a beat of the input and output streams, whatever N is."""

LANES = (8, 16, 32)
"""What N can be."""

SENTENCES = 2
"""Length registers: sentences that can be in flight in one run."""

MAX_LENGTH = 512
"""Tokens of the longest sentence that a length register holds."""

INDEX_COLUMNS = 8
"""Index columns of a token: digits of token ids, segments. 16 bits each, two beats a token."""


class Unit(IntEnum):
    """The units that run beside each other, each in the order of its own list."""

    ARRAY = 0
    VECTOR = 1
    STREAM = 2


class Memory(IntEnum):
    """The on-chip memories."""

    WEIGHT = 0
    KV = 1
    ACT = 2
    VECTOR = 3
    SCORE = 4
    WIDE = 5
    STAT = 6
    BIAS = 7
    NORM = 8
    TABLE = 9
    EXP = 10
    INDEX = 11
    PROGRAM = 12


@dataclass(frozen=True)
class MemoryKind:
    """What a word of a memory is, and who uses it.

    Attributes:
        lane_bits: bits of each of N lanes, or 0 where a word has none.
        word_bits: bits of a word without lanes.
        writers, readers: for the reader of the documents.
        doc: what it holds.
    """

    lane_bits: int
    word_bits: int
    writers: str
    readers: str
    doc: str

    def bits(self, lanes: int) -> int:
        """Bits of a word."""
        return self.lane_bits * lanes + self.word_bits

    def beats(self, lanes: int) -> int:
        """Beats of a word on a stream: lane 0 in the low bits of the first beat, the last beat padded with zeros."""
        return -(-self.bits(lanes) // (8 * BEAT_BYTES))


STAT_SUM_BITS, STAT_SQUARE_BITS, STAT_MAX_BITS, STAT_COUNT_BITS = 26, 41, 8, 11

MEMORIES: dict[Memory, MemoryKind] = {
    Memory.WEIGHT: MemoryKind(8, 0, "LOAD", "CONTRACT (A, B, residual)", "weights, tables of embeddings"),
    Memory.KV: MemoryKind(8, 0, "CONTRACT", "CONTRACT (A)", "attention keys and values"),
    Memory.ACT: MemoryKind(8, 0, "CONTRACT", "CONTRACT (B)", "activations that the array writes and reads"),
    Memory.VECTOR: MemoryKind(
        8, 0, "SOFTMAX, LAYERNORM", "CONTRACT (B, residual)", "what the vector unit writes"
    ),
    Memory.SCORE: MemoryKind(8, 0, "CONTRACT", "SOFTMAX", "attention scores"),
    Memory.WIDE: MemoryKind(
        16, 0, "CONTRACT", "LAYERNORM, STORE, CONTRACT (residual)", "sums with a residual, logits"
    ),
    Memory.STAT: MemoryKind(
        STAT_SUM_BITS + STAT_SQUARE_BITS + STAT_MAX_BITS,
        STAT_COUNT_BITS + 2,
        "CONTRACT",
        "SOFTMAX, LAYERNORM",
        "sums and maxima gathered while words are drained",
    ),
    Memory.BIAS: MemoryKind(0, 32, "LOAD", "CONTRACT", "biases, one row a word"),
    Memory.NORM: MemoryKind(
        0, 44, "LOAD", "LAYERNORM", "beta (bits 31:0) and gamma (bits 43:32) of a feature"
    ),
    Memory.TABLE: MemoryKind(0, 8, "LOAD", "CONTRACT", "functions of one input, 256 words each"),
    Memory.EXP: MemoryKind(0, 15, "LOAD", "SOFTMAX", "exponential tables, 256 words each"),
    Memory.INDEX: MemoryKind(
        0,
        16 * INDEX_COLUMNS,
        "LOAD",
        "CONTRACT",
        "index columns: one word a token, one half of the depth a sentence",
    ),
    Memory.PROGRAM: MemoryKind(0, INSTRUCTION_BITS, "the command PROGRAM", "all units", "instructions"),
}


@dataclass(frozen=True)
class Parameters:
    """What an engine is built with. Depths are in words.

    A program records the parameters that it was compiled for: an engine runs it if it has the same lanes and
    accumulators and memories at least as deep.
    """

    lanes: int = 16
    weight_depth: int = 32768
    kv_depth: int = 8192
    act_depth: int = 8192
    vector_depth: int = 8192
    score_depth: int = 2048
    wide_depth: int = 4096
    stat_depth: int = 32
    bias_depth: int = 16384
    norm_depth: int = 16384
    table_depth: int = 4096
    exp_depth: int = 4096
    index_depth: int = 256
    program_depth: int = 2048
    acc_bits: int = ACC_BITS

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            # `True` is an int to Python, and 8192.5 would come as far as a synthesis script.
            if type(value) is not int:
                raise ValueError(f"{field.name} must be a whole number, got {reprlib.repr(value)}")
        if self.lanes not in LANES:
            raise ValueError(f"an engine has {', '.join(map(str, LANES))} lanes, not {self.lanes}")
        if self.acc_bits != ACC_BITS:
            raise ValueError(f"accumulators have {ACC_BITS} bits, not {self.acc_bits}")
        for memory in Memory:
            depth, most = self.depth(memory), max_depth(memory)
            if not 1 <= depth <= most:
                raise ValueError(f"{memory.name} memory has 1 to {most} words, not {depth}")
        if self.index_depth % SENTENCES:
            raise ValueError(
                f"INDEX memory is divided among {SENTENCES} sentences; {self.index_depth} is odd"
            )

    def depth(self, memory: Memory) -> int:
        """Words of a memory."""
        depth: int = getattr(self, f"{memory.name.lower()}_depth")
        return depth

    def blocks(self, length: int) -> int:
        """Token blocks of a sentence."""
        return -(-length // self.lanes)


WEIGHT_ADDRESS_BITS = 22
ADDRESS_BITS = 20
STRIDE_BITS = 16
WAIT_BITS = 13
SLOT_BITS = 6


def max_depth(memory: Memory) -> int:
    """Words that a memory can have: what the instructions can address."""
    if memory is Memory.STAT:
        return 1 << SLOT_BITS
    if memory is Memory.WEIGHT:
        return 1 << WEIGHT_ADDRESS_BITS
    if memory in (Memory.TABLE, Memory.EXP):
        return 256 << 5
    if memory is Memory.INDEX:
        return SENTENCES * MAX_LENGTH
    if memory is Memory.PROGRAM:
        return 1 << WAIT_BITS
    return 1 << ADDRESS_BITS


class Opcode(IntEnum):
    """Codes of the instructions. 0 is none, so that cleared memory is not a program."""

    CONTRACT = 1
    SOFTMAX = 2
    LAYERNORM = 3
    LOAD = 4
    STORE = 5


class Space(IntEnum):
    """Where an operand of CONTRACT lies: the first six are memories, under the codes of `Memory`."""

    WEIGHT = 0
    KV = 1
    ACT = 2
    VECTOR = 3
    SCORE = 4
    WIDE = 5
    IDENTITY = 6
    NONE = 7


class Count(IntEnum):
    """Where a loop count comes from.

    TOKENS: those of the instruction's block, min(N, length - N * block). BLOCKS: ceil(length / N).
    """

    CONST = 0
    LENGTH = 1
    TOKENS = 2
    BLOCKS = 3


class Indexed(IntEnum):
    """Which loop counts the tokens whose index is added to an address."""

    NONE = 0
    LOOP0 = 1
    LOOPK = 2


class Stat(IntEnum):
    """What CONTRACT gathers from the words that it drains."""

    NONE = 0
    SUMS = 1
    MAX = 2


class Error(IntEnum):
    """Codes in the status register. `docs/isa.md` says when each is raised."""

    NONE = 0
    MAGIC = 1
    VERSION = 2
    PARAMETER = 3
    PROGRAM_CRC = 4
    COMMAND = 5
    LENGTH = 6
    FIELD = 7
    ADDRESS = 8
    STAT = 9
    DEADLOCK = 10
    TRUNCATED = 11
    OVERRUN = 12
    IMAGE_CRC = 13
    TIMEOUT = 14


ERROR_DOCS: dict[Error, str] = {
    Error.NONE: "no error",
    Error.MAGIC: "PROGRAM: the stream does not begin with the magic number",
    Error.VERSION: "PROGRAM: the program is of another ISA version",
    Error.PARAMETER: "PROGRAM: the engine has other lanes or accumulators or a smaller memory than the program needs",
    Error.PROGRAM_CRC: "PROGRAM: the CRC-32 at the end of the program is wrong",
    Error.COMMAND: "unknown command; INIT without a program; RUN without an image",
    Error.LENGTH: "RUN: SENTENCES or a LENGTH is 0 or more than the program's",
    Error.FIELD: "an instruction has an opcode of another unit, a reserved bit set or a field out of its range",
    Error.ADDRESS: "an instruction addresses a word outside a memory",
    Error.STAT: "SOFTMAX or LAYERNORM reads a statistic of another kind or over another number of words",
    Error.DEADLOCK: "every unfinished unit is waiting",
    Error.TRUNCATED: "the input stream ended before the command had all it needs",
    Error.OVERRUN: "the command had all it needs before the input stream ended",
    Error.IMAGE_CRC: "INIT: the CRC-32 of the image is not the program's",
    Error.TIMEOUT: "no beat came for as many cycles as the register TIMEOUT says",
}


class Command(IntEnum):
    """What the register CONTROL starts."""

    PROGRAM = 1
    INIT = 2
    RUN = 3


def _bits(width: int, doc: str, default: Any = 0, *, signed: bool = False, lo: int | None = None) -> Any:
    """A field of an instruction: `width` bits. `lo` is its least value where that is not the least of its width."""
    return dataclasses.field(
        default=default, metadata={"width": width, "doc": doc, "signed": signed, "lo": lo}
    )


def _sentence() -> Any:
    return _bits(1, "the sentence whose length and indices count")


def _block() -> Any:
    return _bits(
        6, "token block; the instruction is skipped where block * N >= length, or without its sentence"
    )


def _wait(unit: str) -> Any:
    return _bits(WAIT_BITS, f"instructions that the {unit} must have retired before this one starts")


def _sources(default: Count, *allowed: Count) -> Any:
    names = ", ".join(c.name for c in allowed)
    return dataclasses.field(
        default=default,
        metadata={
            "width": 2,
            "doc": f"{names}",
            "signed": False,
            "lo": None,
            "enum": Count,
            "allowed": allowed,
        },
    )


def _space(default: Space, doc: str, *allowed: Space) -> Any:
    names = ", ".join(s.name for s in allowed)
    return dataclasses.field(
        default=default,
        metadata={
            "width": 3,
            "doc": f"{doc}: {names}",
            "signed": False,
            "lo": None,
            "enum": Space,
            "allowed": allowed,
        },
    )


def _enum(kind: type[IntEnum], width: int, default: IntEnum, doc: str) -> Any:
    names = ", ".join(e.name for e in kind)
    return dataclasses.field(
        default=default,
        metadata={
            "width": width,
            "doc": f"{doc}: {names}",
            "signed": False,
            "lo": None,
            "enum": kind,
            "allowed": tuple(kind),
        },
    )


@dataclass(frozen=True)
class Contract:
    """Products of words of A (lanes: rows) and of B (lanes: columns), tile by tile, drained word by word."""

    sentence: int = _sentence()
    block: int = _block()
    wait_array: int = _wait("array")
    wait_vector: int = _wait("vector unit")
    wait_stream: int = _wait("stream unit")
    keep: int = _bits(1, "leave the tile in the accumulators; the next CONTRACT goes on from it")
    n0: int = _bits(12, "count of loop 0, if CONST", 1)
    n0_source: Count = _sources(Count.CONST, Count.CONST, Count.TOKENS)
    n1: int = _bits(12, "count of loop 1", 1)
    n2: int = _bits(12, "count of loop 2, if CONST", 1)
    n2_source: Count = _sources(Count.CONST, Count.CONST, Count.BLOCKS)
    nk: int = _bits(13, "count of the reduction, if CONST", 1)
    nk_source: Count = _sources(Count.CONST, Count.CONST, Count.LENGTH, Count.TOKENS)
    a_space: Space = _space(Space.WEIGHT, "operand A", Space.WEIGHT, Space.KV, Space.IDENTITY)
    a_base: int = _bits(WEIGHT_ADDRESS_BITS, "address of A")
    a_stride0: int = _bits(STRIDE_BITS, "stride of A on loop 0")
    a_stride1: int = _bits(STRIDE_BITS, "stride of A on loop 1")
    a_stride2: int = _bits(STRIDE_BITS, "stride of A on loop 2")
    a_stridek: int = _bits(STRIDE_BITS, "stride of A on the reduction")
    a_indexed: Indexed = _enum(Indexed, 2, Indexed.NONE, "loop that counts the tokens of A's index")
    a_column: int = _bits(3, "index column of A")
    a_index_stride: int = _bits(STRIDE_BITS, "stride of A on the index")
    b_space: Space = _space(Space.ACT, "operand B", Space.ACT, Space.VECTOR, Space.WEIGHT)
    b_base: int = _bits(WEIGHT_ADDRESS_BITS, "address of B")
    b_stride0: int = _bits(STRIDE_BITS, "stride of B on loop 0")
    b_stride1: int = _bits(STRIDE_BITS, "stride of B on loop 1")
    b_stride2: int = _bits(STRIDE_BITS, "stride of B on loop 2")
    b_stridek: int = _bits(STRIDE_BITS, "stride of B on the reduction")
    b_indexed: Indexed = _enum(Indexed, 2, Indexed.NONE, "loop that counts the tokens of B's index")
    b_column: int = _bits(3, "index column of B")
    b_index_stride: int = _bits(STRIDE_BITS, "stride of B on the index")
    b_unsigned: int = _bits(1, "lanes of B are unsigned")
    columns: int = _bits(1, "drain columns of the tile (lanes: A's) instead of rows (lanes: B's)")
    rows: int = _bits(12, "words to drain over all of loop 2, if CONST", 1)
    rows_source: Count = _sources(Count.CONST, Count.CONST, Count.LENGTH, Count.TOKENS)
    c_space: Space = _space(Space.ACT, "target", Space.ACT, Space.KV, Space.SCORE, Space.WIDE)
    c_base: int = _bits(ADDRESS_BITS, "address of the target")
    c_stride0: int = _bits(STRIDE_BITS, "stride of the target on loop 0")
    c_stride1: int = _bits(STRIDE_BITS, "stride of the target on loop 1")
    c_stride2: int = _bits(STRIDE_BITS, "stride of the target on loop 2")
    c_stridew: int = _bits(STRIDE_BITS, "stride of the target on the words of a tile", 1)
    bias: int = _bits(1, "add a bias")
    bias_base: int = _bits(ADDRESS_BITS, "address of the bias")
    acc_shift: int = _bits(5, "left shift of the accumulator and bias, before the residual is added")
    residual_space: Space = _space(Space.NONE, "residual", Space.NONE, Space.VECTOR, Space.WEIGHT, Space.WIDE)
    residual_base: int = _bits(WEIGHT_ADDRESS_BITS, "address of the residual; it has the target's strides")
    residual_shift: int = _bits(5, "left shift of the residual")
    shift: int = _bits(6, "right shift that rounds; a left shift where it is negative", signed=True, lo=-31)
    bits: int = _bits(5, "bits of the result, 2 to 16; at most 8 unless the target is WIDE", 8)
    is_unsigned: int = _bits(1, "saturate to the unsigned range")
    has_table: int = _bits(1, "replace the result by a table's entry; `bits` is 8")
    table_id: int = _bits(5, "number of the table")
    stat: Stat = _enum(Stat, 2, Stat.NONE, "statistic of the drained words")
    stat_slot: int = _bits(SLOT_BITS, "word of STAT that is written")


@dataclass(frozen=True)
class Softmax:
    """`fixedpoint.softmax` over as many scores a lane as the sentence has tokens."""

    sentence: int = _sentence()
    block: int = _block()
    wait_array: int = _wait("array")
    wait_vector: int = _wait("vector unit")
    wait_stream: int = _wait("stream unit")
    source: int = _bits(ADDRESS_BITS, "address in SCORE; one key a word")
    target: int = _bits(ADDRESS_BITS, "address in VECTOR; one key a word")
    exp_id: int = _bits(5, "number of the exponential table")
    stat_slot: int = _bits(SLOT_BITS, "word of STAT with the maxima")


@dataclass(frozen=True)
class LayerNorm:
    """`fixedpoint.layer_norm` over the features of each lane, or a part of them: the sums are those of all of them."""

    sentence: int = _sentence()
    block: int = _block()
    wait_array: int = _wait("array")
    wait_vector: int = _wait("vector unit")
    wait_stream: int = _wait("stream unit")
    size: int = _bits(11, "features that the statistic covers, 1 to 1024", 1)
    count: int = _bits(11, "features to normalize, 1 to 1024", 1)
    source: int = _bits(ADDRESS_BITS, "address in WIDE; one feature a word")
    target: int = _bits(ADDRESS_BITS, "address in VECTOR; one feature a word")
    norm_base: int = _bits(ADDRESS_BITS, "address of gamma and beta in NORM")
    shift: int = _bits(6, "right shift that rounds; a left shift where it is negative", signed=True, lo=-31)
    bits: int = _bits(4, "bits of the result, 2 to 8, signed", 8)
    stat_slot: int = _bits(SLOT_BITS, "word of STAT with the sums")


@dataclass(frozen=True)
class Load:
    """Words from the input stream into a memory."""

    sentence: int = _sentence()
    block: int = _block()
    wait_array: int = _wait("array")
    wait_vector: int = _wait("vector unit")
    wait_stream: int = _wait("stream unit")
    memory: Memory = dataclasses.field(
        default=Memory.WEIGHT,
        metadata={
            "width": 4,
            "doc": "target: WEIGHT, BIAS, NORM, TABLE, EXP, INDEX",
            "signed": False,
            "lo": None,
            "enum": Memory,
            "allowed": (Memory.WEIGHT, Memory.BIAS, Memory.NORM, Memory.TABLE, Memory.EXP, Memory.INDEX),
        },
    )
    base: int = _bits(WEIGHT_ADDRESS_BITS, "address; in INDEX, within the half of the sentence")
    count: int = _bits(WEIGHT_ADDRESS_BITS, "words, if CONST", 1)
    count_source: Count = _sources(Count.CONST, Count.CONST, Count.LENGTH)


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

OPCODE_BITS = 3

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

_KINDS: dict[Opcode, type[Instruction]] = {opcode: kind for kind, opcode in OPCODES.items()}


@dataclass(frozen=True)
class Field:
    """Where a field of an instruction lies and what it may hold.

    Attributes:
        name: of the dataclass's field.
        low: its lowest bit; the opcode has bits 2:0.
        width: in bits.
        signed: two's complement.
        lo, hi: the range.
        enum: the codes, or None for a number.
        allowed: the values that may stand there; empty for all from `lo` to `hi`.
        doc: what it is.
    """

    name: str
    low: int
    width: int
    signed: bool
    lo: int
    hi: int
    enum: type[IntEnum] | None
    allowed: tuple[int, ...]
    doc: str

    def holds(self, value: int) -> bool:
        """Whether `value` may stand here."""
        return value in self.allowed if self.allowed else self.lo <= value <= self.hi


def fields(kind: type[Instruction]) -> tuple[Field, ...]:
    """The fields of an instruction, from the lowest bit up, packed without gaps above the opcode."""
    return _fields(OPCODES[kind])


@cache
def _fields(opcode: Opcode) -> tuple[Field, ...]:
    kind = _KINDS[opcode]
    found = []
    low = OPCODE_BITS
    for f in dataclasses.fields(kind):
        width, signed = f.metadata["width"], f.metadata["signed"]
        lo = f.metadata["lo"]
        if lo is None:
            lo = -(1 << (width - 1)) if signed else 0
        hi = (1 << (width - signed)) - 1
        found.append(
            Field(
                f.name,
                low,
                width,
                signed,
                lo,
                hi,
                f.metadata.get("enum"),
                tuple(int(v) for v in f.metadata.get("allowed", ())),
                f.metadata["doc"],
            )
        )
        low += width
    if low > INSTRUCTION_BITS:
        raise AssertionError(f"{kind.__name__} needs {low} bits of {INSTRUCTION_BITS}")
    return tuple(found)


class FieldError(ValueError):
    """A field of an instruction is out of its range: the engine's error FIELD."""


def encode(instruction: Instruction) -> bytes:
    """An instruction as `INSTRUCTION_BITS` // 8 bytes, little endian.

    Raises:
        FieldError: a field is out of its range.
    """
    check_fields(instruction)
    word = int(OPCODES[type(instruction)])
    for field in fields(type(instruction)):
        word |= (int(getattr(instruction, field.name)) & ((1 << field.width) - 1)) << field.low
    return word.to_bytes(INSTRUCTION_BITS // 8, "little")


def decode(data: bytes) -> Instruction:
    """The instruction that `encode` made `data` from.

    Raises:
        FieldError: no instruction has this opcode, a reserved bit is set, or a field is out of its range.
    """
    word = int.from_bytes(data, "little")
    opcode = word & ((1 << OPCODE_BITS) - 1)
    if opcode not in list(Opcode):
        raise FieldError(f"there is no opcode {opcode}")
    kind = _KINDS[Opcode(opcode)]
    values: dict[str, int] = {}
    end = OPCODE_BITS
    for field in fields(kind):
        value = word >> field.low & ((1 << field.width) - 1)
        if field.signed and value >> (field.width - 1):
            value -= 1 << field.width
        if not field.holds(value):
            raise FieldError(f"{Opcode(opcode).name}: {field.name} can't be {value}")
        values[field.name] = field.enum(value) if field.enum else value
        end = field.low + field.width
    if word >> end:
        raise FieldError(f"{Opcode(opcode).name}: reserved bits are set")
    instruction = kind(**values)  # type: ignore[arg-type]
    check_fields(instruction)
    return instruction


def check_fields(instruction: Instruction) -> None:
    """Checks every field, and what fields ask of each other.

    Raises:
        FieldError: naming the field.
    """
    name = OPCODES[type(instruction)].name
    for field in fields(type(instruction)):
        value = getattr(instruction, field.name)
        if not field.holds(int(value)):
            raise FieldError(f"{name}: {field.name} can't be {value}")
    if isinstance(instruction, Contract):
        c = instruction
        if not 2 <= c.bits <= (16 if c.c_space is Space.WIDE else 8):
            raise FieldError(f"{name}: bits can't be {c.bits} in {c.c_space.name}")
        if c.has_table and c.bits != 8:
            raise FieldError(f"{name}: a table is read with 8 bits, not {c.bits}")
        if c.keep and not (c.n0 == c.n1 == c.n2 == 1 and c.n0_source == c.n2_source == Count.CONST):
            raise FieldError(f"{name}: keep takes a single tile")
    elif isinstance(instruction, LayerNorm):
        if not 2 <= instruction.bits <= 8:
            raise FieldError(f"{name}: bits can't be {instruction.bits}")
        for part in ("size", "count"):
            if not 1 <= getattr(instruction, part) <= 1024:
                raise FieldError(f"{name}: {part} can't be {getattr(instruction, part)}")


_T = TypeVar("_T", bound=Instruction)


def wait(instruction: _T, array: int, vector: int, stream: int) -> _T:
    """The instruction with other waits."""
    return dataclasses.replace(instruction, wait_array=array, wait_vector=vector, wait_stream=stream)


def waits(instruction: Instruction) -> tuple[int, int, int]:
    """Retired instructions of the array, the vector unit and the stream unit that an instruction waits for."""
    return instruction.wait_array, instruction.wait_vector, instruction.wait_stream


@dataclass(frozen=True)
class Register:
    """A 32-bit register of the AXI4-Lite port.

    Attributes:
        name, address: byte address.
        access: "ro", "rw", or "wo".
        doc: what it holds, field by field.
    """

    name: str
    address: int
    access: str
    doc: str


ENGINE_ID = 0x4347544E
"""The register ID: "NTGC" in ASCII, lowest byte first."""

PROGRAM_MAGIC = 0x5047474E
"""The first four bytes of a program: "NGGP" in ASCII."""

COUNTERS = (
    ("CYCLES", "cycles from start to done"),
    ("ARRAY_BUSY", "cycles in which the array multiplied"),
    ("ARRAY_WAIT", "cycles in which the array waited for tokens"),
    ("ARRAY_DRAIN", "cycles in which no tile could be fed because both sets of accumulators were in use"),
    ("ARRAY_STALL", "cycles in which the array or its drain waited for a memory port"),
    ("VECTOR_BUSY", "cycles in which the vector unit executed an instruction"),
    ("VECTOR_WAIT", "cycles in which the vector unit waited for tokens"),
    ("STREAM_BUSY", "cycles in which the stream unit executed an instruction"),
    ("STREAM_WAIT", "cycles in which the stream unit waited for tokens"),
    ("STREAM_STALL", "cycles in which the stream unit waited for the input or the output stream"),
)
"""Cycle counters, 32 bits each, set to 0 by every start and standing still from done on; they saturate."""


def _registers() -> Iterator[Register]:
    yield Register("ID", 0x00, "ro", f"0x{ENGINE_ID:08X}")
    yield Register("VERSION", 0x04, "ro", f"ISA version: {ISA_VERSION}")
    yield Register(
        "CONTROL",
        0x08,
        "wo",
        "bits 2:0 command to start (1 PROGRAM, 2 INIT, 3 RUN), taken when idle; "
        "bit 31 clear: ends an error state, or stops a command",
    )
    yield Register("STATUS", 0x0C, "ro", "bit 0 idle, bit 1 done, bit 2 error, bits 15:8 error code")
    yield Register(
        "ERROR_WHERE",
        0x10,
        "ro",
        "bits 15:0 number of the instruction in its list, bits 17:16 unit, bit 31 valid (the error names one)",
    )
    yield Register("INTERRUPT_ENABLE", 0x14, "rw", "bit 0: raise the interrupt at done or error")
    yield Register("INTERRUPT", 0x18, "rw", "bit 0: pending; writing 1 clears it")
    yield Register(
        "TIMEOUT", 0x1C, "rw", "cycles without a beat after which the next command gives up; 0: never"
    )
    yield Register("SENTENCES", 0x20, "rw", f"sentences of the next RUN, 1 to {SENTENCES}")
    for sentence in range(SENTENCES):
        yield Register(
            f"LENGTH{sentence}", 0x24 + 4 * sentence, "rw", f"tokens of sentence {sentence} of the next RUN"
        )
    yield Register("LANES", 0x40, "ro", "N")
    yield Register("ACC_BITS", 0x44, "ro", "bits of an accumulator")
    for memory in Memory:
        yield Register(f"{memory.name}_DEPTH", 0x48 + 4 * memory, "ro", f"words of {memory.name}")
    for number, (name, doc) in enumerate(COUNTERS):
        yield Register(name, 0x80 + 4 * number, "ro", doc)


REGISTERS: tuple[Register, ...] = tuple(_registers())
"""The register map, in ascending order of addresses."""

LISTS = ("init", "array", "vector", "stream")
"""The lists of a program, in the order in which they are stored. INIT executes the first on the stream unit;
RUN executes the three others beside each other."""

HEADER: tuple[tuple[str, str], ...] = (
    ("magic", f"0x{PROGRAM_MAGIC:08X}"),
    ("version", "ISA version"),
    ("lanes", "N"),
    ("acc_bits", "bits of an accumulator"),
    *(
        (f"{memory.name.lower()}_depth", f"words of {memory.name} that the program needs")
        for memory in Memory
    ),
    ("max_length", "tokens of the longest sentence"),
    ("sentences", "sentences that one RUN can take"),
    *((f"{name}_count", f"instructions of the list {name}") for name in LISTS),
    ("image_crc", "CRC-32 of all beats that INIT loads"),
    ("reserved0", "0"),
    ("reserved1", "0"),
    ("reserved2", "0"),
    ("reserved3", "0"),
    ("reserved4", "0"),
    ("reserved5", "0"),
    ("reserved6", "0"),
    ("reserved7", "0"),
)
"""Words of 32 bits at the start of a program, little endian, two a beat."""
