"""The on-chip memories: the width of a word, the largest depth, and the parameters that an engine is built with."""

from __future__ import annotations

import dataclasses
import reprlib
from dataclasses import dataclass
from enum import IntEnum

from ...fixedpoint import ACC_BITS, EXP_MAX, GAMMA_BITS, MAX_NORM_SIZE

BEAT_BYTES = 8
"""Bytes per beat of the input and output streams, for every number of lanes."""

LANES = (8, 16, 32)
"""Supported values of N, the number of lanes."""

SENTENCES = 2
"""Maximum number of sentences in one run: the engine has one length register for each."""

MAX_LENGTH = 512
"""Maximum number of tokens in a sentence."""

INDEX_COLUMNS = 8
"""Index columns per token, 16 bits each: digits of token ids, segments."""

NARROW_BITS = 8
"""Bits per lane of weights and activations."""

WIDE_BITS = 16
"""Bits per lane of the memory WIDE."""

TABLE_WORDS = 256
"""Words of a function table or an exponential table: one for each 8-bit input."""

TABLES = 32
"""Maximum number of function tables, and of exponential tables."""

INSTRUCTION_BITS = 512
"""Width of every instruction."""

WEIGHT_ADDRESS_BITS = 22
"""Address width of WEIGHT."""

ADDRESS_BITS = 20
"""Address width of the other memories that instructions address by word."""

SLOT_BITS = 6
"""Address width of STAT."""

WAIT_BITS = 13
"""Address width of PROGRAM, and so of the number of retired instructions that an instruction waits for."""

STAT_SUM_BITS = (MAX_NORM_SIZE << (WIDE_BITS - 1)).bit_length()
"""Bits of a lane's sum in STAT: `MAX_NORM_SIZE` signed values of `WIDE_BITS` bits."""

STAT_SQUARE_BITS = (MAX_NORM_SIZE << (2 * WIDE_BITS - 2)).bit_length()
"""Bits of a lane's sum of squares in STAT."""

STAT_MAX_BITS = NARROW_BITS
"""Bits of a lane's maximum in STAT."""

STAT_COUNT_BITS = MAX_NORM_SIZE.bit_length()
"""Bits of the number of words that a statistic covers."""


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
    """Layout, size limit and users of a memory.

    Attributes:
        lane_bits: bits of each of the N lanes of a word; 0 for a memory without lanes.
        word_bits: bits of a word that belong to no lane.
        max_depth: maximum number of words.
        writers, readers: instructions that use the memory, for the documentation.
        doc: content, for the documentation.
    """

    lane_bits: int
    word_bits: int
    max_depth: int
    writers: str
    readers: str
    doc: str

    def bits(self, lanes: int) -> int:
        """Bits of a word."""
        return self.lane_bits * lanes + self.word_bits

    def beats(self, lanes: int) -> int:
        """Beats of a word on a stream: lane 0 in the low bits of the first beat, the last beat zero-padded."""
        return -(-self.bits(lanes) // (8 * BEAT_BYTES))


MEMORIES: dict[Memory, MemoryKind] = {
    Memory.WEIGHT: MemoryKind(
        NARROW_BITS,
        0,
        1 << WEIGHT_ADDRESS_BITS,
        "LOAD",
        "CONTRACT (A, B, residual)",
        "weights, embedding tables",
    ),
    Memory.KV: MemoryKind(
        NARROW_BITS, 0, 1 << ADDRESS_BITS, "CONTRACT", "CONTRACT (A)", "attention keys and values"
    ),
    Memory.ACT: MemoryKind(
        NARROW_BITS, 0, 1 << ADDRESS_BITS, "CONTRACT", "CONTRACT (B)", "activations written by the array"
    ),
    Memory.VECTOR: MemoryKind(
        NARROW_BITS,
        0,
        1 << ADDRESS_BITS,
        "SOFTMAX, LAYERNORM",
        "CONTRACT (B, residual)",
        "activations written by the vector unit",
    ),
    Memory.SCORE: MemoryKind(NARROW_BITS, 0, 1 << ADDRESS_BITS, "CONTRACT", "SOFTMAX", "attention scores"),
    Memory.WIDE: MemoryKind(
        WIDE_BITS,
        0,
        1 << ADDRESS_BITS,
        "CONTRACT",
        "LAYERNORM, STORE, CONTRACT (residual)",
        "sums with a residual, logits",
    ),
    Memory.STAT: MemoryKind(
        STAT_SUM_BITS + STAT_SQUARE_BITS + STAT_MAX_BITS,
        STAT_COUNT_BITS + 2,
        1 << SLOT_BITS,
        "CONTRACT",
        "SOFTMAX, LAYERNORM",
        "statistics of drained words: sums or maxima",
    ),
    Memory.BIAS: MemoryKind(0, ACC_BITS, 1 << ADDRESS_BITS, "LOAD", "CONTRACT", "biases, one word per row"),
    Memory.NORM: MemoryKind(
        0,
        ACC_BITS + GAMMA_BITS,
        1 << ADDRESS_BITS,
        "LOAD",
        "LAYERNORM",
        f"beta (bits {ACC_BITS - 1}:0) and gamma (bits {ACC_BITS + GAMMA_BITS - 1}:{ACC_BITS}), one word per feature",
    ),
    Memory.TABLE: MemoryKind(
        0,
        NARROW_BITS,
        TABLE_WORDS * TABLES,
        "LOAD",
        "CONTRACT",
        f"function tables, {TABLE_WORDS} words each",
    ),
    Memory.EXP: MemoryKind(
        0,
        EXP_MAX.bit_length(),
        TABLE_WORDS * TABLES,
        "LOAD",
        "SOFTMAX",
        f"exponential tables, {TABLE_WORDS} words each",
    ),
    Memory.INDEX: MemoryKind(
        0,
        16 * INDEX_COLUMNS,
        SENTENCES * MAX_LENGTH,
        "LOAD",
        "CONTRACT",
        "index columns, one word per token; each sentence has half of the memory",
    ),
    Memory.PROGRAM: MemoryKind(
        0, INSTRUCTION_BITS, 1 << WAIT_BITS, "the command PROGRAM", "all units", "instructions"
    ),
}


@dataclass(frozen=True)
class Parameters:
    """The parameters that an engine is built with. Depths are in words.

    A program records the parameters that it was compiled for. An engine can run it if the lanes and the
    accumulators are the same and every memory is at least as deep.

    Raises:
        ValueError: a parameter is not an int or is out of range.
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
            # bool is a subclass of int, and a float would get as far as a synthesis script.
            if type(value) is not int:
                raise ValueError(f"{field.name} must be a whole number, got {reprlib.repr(value)}")
        if self.lanes not in LANES:
            raise ValueError(f"lanes must be one of {', '.join(map(str, LANES))}, got {self.lanes}")
        if self.acc_bits != ACC_BITS:
            raise ValueError(f"acc_bits must be {ACC_BITS}, got {self.acc_bits}")
        for memory, kind in MEMORIES.items():
            depth = self.depth(memory)
            if not 1 <= depth <= kind.max_depth:
                raise ValueError(f"{depth_name(memory)} must be 1 to {kind.max_depth}, got {depth}")
        if self.index_depth % SENTENCES:
            # The memory is divided equally among the sentences of a run.
            raise ValueError(f"index_depth must be even, got {self.index_depth}")

    def depth(self, memory: Memory) -> int:
        """Words of a memory."""
        depth: int = getattr(self, depth_name(memory))
        return depth


def depth_name(memory: Memory) -> str:
    """The name of a memory's depth in `Parameters` and in the header of a program."""
    return f"{memory.name.lower()}_depth"
