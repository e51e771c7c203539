"""The engine's on-chip memories as numpy arrays, one row per word, and the input stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...fixedpoint import IntArray
from ...hw.isa import (
    BEAT_BYTES,
    INDEX_COLUMNS,
    MEMORIES,
    SENTENCES,
    Error,
    Memory,
    Parameters,
    Stat,
)

LANE_TYPES = {
    memory: np.dtype(f"int{kind.lane_bits}") for memory, kind in MEMORIES.items() if kind.lane_bits in (8, 16)
}
"""Types of a lane of the memories that have lanes of 8 or 16 bits; two's complement."""


class FaultError(Exception):
    """An instruction can't be executed. The caller adds its unit and number."""

    def __init__(self, error: Error, text: str) -> None:
        super().__init__(text)
        self.error = error


@dataclass(frozen=True)
class Place:
    """The sentence and the token block of an instruction.

    Attributes:
        sentence: its number in the run.
        first: the first token of the block.
        length: the number of tokens of the sentence.
        tokens: the number of tokens of the block.
        blocks: the number of token blocks of the sentence.
    """

    sentence: int
    first: int
    length: int
    tokens: int
    blocks: int


@dataclass
class Statistic:
    """A word of STAT, as one CONTRACT accumulates it; `sums`, `squares` and `largest` have one number per lane."""

    kind: Stat
    count: int
    sums: IntArray
    squares: IntArray
    largest: IntArray


class Memories:
    """All memories except PROGRAM.

    Attributes:
        parameters: the engine's.
        words: arrays by memory: (depth, N) if a word has lanes, (depth, columns) for INDEX, otherwise (depth,).
        beta: of NORM, whose `words` are gamma.
        stats: the words of STAT.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        lanes = parameters.lanes
        self.words: dict[Memory, IntArray] = {
            memory: np.zeros((parameters.depth(memory), lanes), dtype) for memory, dtype in LANE_TYPES.items()
        }
        for memory, dtype in (
            (Memory.BIAS, np.int32),
            (Memory.NORM, np.int32),
            (Memory.TABLE, np.int8),
            (Memory.EXP, np.int16),
        ):
            self.words[memory] = np.zeros(parameters.depth(memory), dtype)
        self.words[Memory.INDEX] = np.zeros((parameters.index_depth, INDEX_COLUMNS), np.uint16)
        self.beta: IntArray = np.zeros(parameters.norm_depth, np.int32)
        zeros = np.zeros(lanes, np.int64)
        self.stats = [Statistic(Stat.NONE, 0, zeros, zeros, zeros) for _ in range(parameters.stat_depth)]

    @property
    def half(self) -> int:
        """The number of INDEX words of a sentence."""
        return self.parameters.index_depth // SENTENCES

    def check(self, memory: Memory, top: int) -> None:
        """Checks the highest address of an access; -1 if there is none.

        Raises:
            FaultError: it is out of range.
        """
        depth = self.parameters.depth(memory)
        if top >= depth:
            raise FaultError(
                Error.ADDRESS, f"address {top} is out of range, {memory.name} memory has {depth} words"
            )

    def load(self, memory: Memory, base: int, data: IntArray) -> None:
        """Writes words in the layout of the input stream.

        Args:
            memory: a target of LOAD.
            base: address of the first word.
            data: bytes, (words, beats of a word * 8).
        """
        part = slice(base, base + len(data))
        if memory is Memory.WEIGHT:
            self.words[memory][part] = data[:, : self.parameters.lanes].view(np.int8)
        elif memory is Memory.INDEX:
            self.words[memory][part] = data.view("<u2")
        elif memory is Memory.TABLE:
            self.words[memory][part] = data[:, 0].view(np.int8)
        elif memory is Memory.EXP:
            self.words[memory][part] = data.view("<i2")[:, 0] & 0x7FFF
        else:
            low = data.view("<i4")
            if memory is Memory.BIAS:
                self.words[memory][part] = low[:, 0]
            else:
                self.beta[part] = low[:, 0]
                self.words[memory][part] = wrap(low[:, 1], 12)


class Packet:
    """The input stream of one command: 64-bit beats.

    Args:
        data: bytes; the last beat is zero-padded.
        last: whether the last beat carries TLAST.
    """

    def __init__(self, data: bytes, last: bool) -> None:
        self.data = data + bytes(-len(data) % BEAT_BYTES)
        self.last = last
        self.ended = False
        self._at = 0

    def take(self, size: int) -> IntArray:
        """The next `size` bytes, a multiple of a beat.

        Raises:
            FaultError: the packet ends before the last of these beats.
        """
        end = self._at + size
        if self.ended or end > len(self.data):
            raise FaultError(Error.TRUNCATED, f"the packet ends after {len(self.data) // BEAT_BYTES} beats")
        taken = np.frombuffer(self.data, np.uint8, size, self._at)
        self._at = end
        self.ended = self.last and size > 0 and end == len(self.data)
        return taken


def wrap(a: IntArray, bits: int) -> IntArray:
    """The low `bits` bits as a two's complement number."""
    half = 1 << (bits - 1)
    return ((np.asarray(a, np.int64) + half) & ((1 << bits) - 1)) - half
