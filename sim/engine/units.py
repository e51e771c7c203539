"""SOFTMAX, LAYERNORM, LOAD and STORE, each vectorized over all its words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...fixedpoint import IntArray, integer_sqrt
from ...hw.isa import (
    BEAT_BYTES,
    MEMORIES,
    TABLE_WORDS,
    Count,
    Error,
    LayerNorm,
    Load,
    Memory,
    Softmax,
    Stat,
    Store,
)
from .contract import Words, Written
from .memories import FaultError, Memories, Packet, Place, Statistic, wrap

_SOFTMAX_MOST = (1 << 17) - 1


def _span(base: int, count: int) -> IntArray:
    return np.arange(base, base + count)


class SoftmaxStep:
    """SOFTMAX of one token block."""

    def __init__(self, instruction: Softmax, memories: Memories, place: Place) -> None:
        self.instruction, self.memories, self.count = instruction, memories, place.length

    def check(self) -> None:
        """Checks addresses and the statistic.

        Raises:
            FaultError: ADDRESS or STAT.
        """
        i, memories = self.instruction, self.memories
        memories.check(Memory.STAT, i.stat_slot)
        memories.check(Memory.EXP, TABLE_WORDS * (i.exp_id + 1) - 1)
        _check_statistic(memories.stats[i.stat_slot], Stat.MAX, self.count)
        memories.check(Memory.SCORE, i.source + self.count - 1)
        memories.check(Memory.VECTOR, i.target + self.count - 1)

    def reads(self) -> Iterator[Words]:
        """Every word that is read."""
        i = self.instruction
        yield Memory.STAT, _span(i.stat_slot, 1)
        yield Memory.EXP, _span(TABLE_WORDS * i.exp_id, TABLE_WORDS)
        yield Memory.SCORE, _span(i.source, self.count)

    def writes(self) -> Iterator[Words]:
        """Every word that is written."""
        yield Memory.VECTOR, _span(self.instruction.target, self.count)

    def execute(self) -> Written:
        """The softmax of every lane."""
        i, words = self.instruction, self.memories.words
        largest = self.memories.stats[i.stat_slot].largest
        difference = largest - words[Memory.SCORE][i.source : i.source + self.count]
        first = TABLE_WORDS * i.exp_id
        e = words[Memory.EXP][first : first + TABLE_WORDS].astype(np.int64)[difference & (TABLE_WORDS - 1)]
        total = e.sum(axis=0)
        r = np.where(total == 0, _SOFTMAX_MOST, np.minimum(_SOFTMAX_MOST, (1 << 30) // np.maximum(total, 1)))
        p = np.minimum(255, (e * r + (1 << 21)) >> 22).astype(np.int8)
        words[Memory.VECTOR][i.target : i.target + self.count] = p
        return Written(Memory.VECTOR, _span(i.target, self.count), p)


class LayerNormStep:
    """LAYERNORM of features of one token block."""

    def __init__(self, instruction: LayerNorm, memories: Memories) -> None:
        self.instruction, self.memories = instruction, memories

    def check(self) -> None:
        """Checks addresses and the statistic.

        Raises:
            FaultError: ADDRESS or STAT.
        """
        i, memories = self.instruction, self.memories
        memories.check(Memory.STAT, i.stat_slot)
        _check_statistic(memories.stats[i.stat_slot], Stat.SUMS, i.size)
        for memory, base in (
            (Memory.WIDE, i.source),
            (Memory.VECTOR, i.target),
            (Memory.NORM, i.norm_base),
        ):
            memories.check(memory, base + i.count - 1)

    def reads(self) -> Iterator[Words]:
        """Every word that is read."""
        i = self.instruction
        yield Memory.STAT, _span(i.stat_slot, 1)
        yield Memory.WIDE, _span(i.source, i.count)
        yield Memory.NORM, _span(i.norm_base, i.count)

    def writes(self) -> Iterator[Words]:
        """Every word that is written."""
        yield Memory.VECTOR, _span(self.instruction.target, self.instruction.count)

    def execute(self) -> Written:
        """The normalized features of every lane."""
        i, words = self.instruction, self.memories.words
        statistic = self.memories.stats[i.stat_slot]
        s1 = statistic.sums
        v = i.size * statistic.squares - s1 * s1
        # frexp gives the bit length of V, exactly, since V is below 2^53.
        t = (32 - np.frexp(v.astype(np.float64))[1].astype(np.int64)) >> 1
        left, right = np.maximum(t, 0), np.maximum(-t, 0)
        s = integer_sqrt((v << (2 * left)) >> (2 * right))
        r = np.where(v == 0, 0, ((1 << 31) - 1) // np.maximum(s, 1))
        x = words[Memory.WIDE][i.source : i.source + i.count].astype(np.int64)
        # The difference fits its 27 bits for all words: |D*x| and |S1| are at most 2^25.
        half = (1 << right) >> 1
        centered = wrap((((i.size * x - s1) << left) + half) >> right, 22)
        n = np.clip((centered * r + (1 << 18)) >> 19, -(1 << 17), (1 << 17) - 1)
        gamma = words[Memory.NORM][i.norm_base : i.norm_base + i.count, None]
        beta = self.memories.beta[i.norm_base : i.norm_base + i.count, None]
        y = (n * gamma + beta).astype(np.int32)
        if i.shift > 0:
            y += 1 << (i.shift - 1)
            y >>= i.shift
        else:
            y <<= -i.shift
        q = np.clip(y, -(1 << (i.bits - 1)), (1 << (i.bits - 1)) - 1).astype(np.int8)
        words[Memory.VECTOR][i.target : i.target + i.count] = q
        return Written(Memory.VECTOR, _span(i.target, i.count), q)


class LoadStep:
    """LOAD: words of the packet into a memory."""

    def __init__(self, instruction: Load, memories: Memories, place: Place, packet: Packet) -> None:
        self.instruction, self.memories, self.packet = instruction, memories, packet
        self.count = place.length if instruction.count_source is Count.LENGTH else instruction.count
        self.base = instruction.base
        if instruction.memory is Memory.INDEX:
            self.base += memories.half * place.sentence

    def check(self) -> None:
        """Checks the addresses.

        Raises:
            FaultError: ADDRESS.
        """
        i = self.instruction
        if not self.count:
            return
        if i.memory is Memory.INDEX and i.base + self.count > self.memories.half:
            raise FaultError(
                Error.ADDRESS,
                f"index {i.base + self.count - 1} is out of range, half of INDEX memory has {self.memories.half} words",
            )
        self.memories.check(i.memory, self.base + self.count - 1)

    def reads(self) -> Iterator[Words]:
        """No word."""
        return iter(())

    def writes(self) -> Iterator[Words]:
        """Every word that is loaded."""
        yield self.instruction.memory, _span(self.base, self.count)

    def execute(self) -> None:
        """Loads the words from the packet.

        Raises:
            FaultError: TRUNCATED.
        """
        memory = self.instruction.memory
        size = MEMORIES[memory].beats(self.memories.parameters.lanes) * BEAT_BYTES
        self.memories.load(memory, self.base, self.packet.take(self.count * size).reshape(self.count, size))


class StoreStep:
    """STORE: words of WIDE to the output stream."""

    def __init__(self, instruction: Store, memories: Memories, results: list[bytes]) -> None:
        self.instruction, self.memories, self.results = instruction, memories, results

    def check(self) -> None:
        """Checks the addresses.

        Raises:
            FaultError: ADDRESS.
        """
        i = self.instruction
        if i.count:
            self.memories.check(Memory.WIDE, i.base + i.count - 1)

    def reads(self) -> Iterator[Words]:
        """Every word that is stored."""
        yield Memory.WIDE, _span(self.instruction.base, self.instruction.count)

    def writes(self) -> Iterator[Words]:
        """No word."""
        return iter(())

    def execute(self) -> None:
        """Sends the words."""
        i = self.instruction
        words = self.memories.words[Memory.WIDE][i.base : i.base + i.count]
        self.results.append(words.astype("<i2").tobytes())


def _check_statistic(statistic: Statistic, kind: Stat, count: int) -> None:
    if statistic.kind is not kind or statistic.count != count:
        raise FaultError(
            Error.STAT,
            f"expected a statistic {kind.name} of {count} words, got {statistic.kind.name} of {statistic.count}",
        )
