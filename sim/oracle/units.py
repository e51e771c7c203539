"""The arithmetic of the units, written from `docs/isa.md` alone: one word at a time, in Python's integers.

Where the document leaves something open, a comment that begins with "Open:" states the reading.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ...hw import isa
from ...hw.isa import Contract, Error, LayerNorm, Memory, Softmax, Space, Stat


@dataclass
class Statistic:
    """A word of STAT."""

    kind: int = 0
    count: int = 0
    sums: list[int] = field(default_factory=list)
    squares: list[int] = field(default_factory=list)
    largest: list[int] = field(default_factory=list)

    def bits(self) -> int:
        """The word as the memory holds it."""
        word = low = 0
        fields = (
            (self.sums, isa.STAT_SUM_BITS),
            (self.squares, isa.STAT_SQUARE_BITS),
            (self.largest, isa.STAT_MAX_BITS),
            ([self.count], isa.STAT_COUNT_BITS),
            ([self.kind], 2),
        )
        for numbers, width in fields:
            for number in numbers:
                word |= number % (1 << width) << low
                low += width
        return word


def wrap(value: int, bits: int) -> int:
    """Two's complement with `bits` bits."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def shift_round(value: int, shift: int) -> int:
    """The rounding shift of CONTRACT, modulo 2^32."""
    if shift > 0:
        return wrap(value + (1 << (shift - 1)), 32) >> shift
    return wrap(value << -shift, 32)


def saturate(value: int, bits: int, unsigned: bool) -> int:
    """Saturates to the range of `bits` bits."""
    lo, hi = (0, (1 << bits) - 1) if unsigned else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    return min(max(value, lo), hi)


Read = Callable[[Memory, int], list[int]]
"""Reads the lanes of a word; a word without lanes is one number. Raises an error if the address is out of range."""


@dataclass(frozen=True)
class Drained:
    """A word of a tile.

    Attributes:
        offset: what the loops add to the addresses of target and residual.
        before: its lanes before the table.
        lanes: its lanes as they are written.
    """

    offset: int
    before: list[int]
    lanes: list[int]


def drained(
    c: Contract,
    at: tuple[int, int, int],
    acc: list[list[int]],
    rows: int,
    read: Read,
    table: Sequence[int] | None,
) -> Iterator[Drained]:
    """The words of a tile of CONTRACT, from sums to results.

    Args:
        c: the instruction.
        at: indices of its loops 0, 1 and 2.
        acc: the sums; `acc[i][j]` is of lane i of A and lane j of B.
        rows: words that loop 2 drains in all.
        read: reads biases and residuals.
        table: the 256 entries of its table, if it has one.
    """
    n = len(acc)
    i0, i1, i2 = at
    bits = isa.MEMORIES[Memory(c.c_space)].lane_bits
    for w in range(min(n, rows - n * i2)):
        offset = i0 * c.c_stride0 + i1 * c.c_stride1 + i2 * c.c_stride2 + w * c.c_stridew
        v = [acc[j][w] if c.columns else acc[w][j] for j in range(n)]
        if c.bias:
            places = [c.bias_base + (n * i1 + j if c.columns else offset) for j in range(n)]
            v = [wrap(v[j] + read(Memory.BIAS, places[j])[0], 32) for j in range(n)]
        v = [wrap(x << c.acc_shift, 32) for x in v]
        if c.residual_space != Space.NONE:
            r = read(Memory(c.residual_space), c.residual_base + offset)
            v = [wrap(v[j] + wrap(r[j] << c.residual_shift, 32), 32) for j in range(n)]
        before = [saturate(shift_round(x, c.shift), c.bits, bool(c.is_unsigned)) for x in v]
        q = before if table is None else [wrap(table[x % 256], 8) for x in before]
        yield Drained(offset, before, [wrap(x, bits) for x in q])


def gathered(kind: Stat, words: Sequence[Sequence[int]], n: int) -> Statistic:
    """The statistic of the words that a CONTRACT drained, as n lanes each."""
    # Open: results with `is_unsigned`. Taken as the signed numbers that their readers see.
    lanes = [[word[j] for word in words] for j in range(n)]
    statistic = Statistic(int(kind), min(2047, len(words)))
    statistic.sums = [wrap(sum(q), isa.STAT_SUM_BITS) for q in lanes]
    statistic.squares = [sum(x * x for x in q) % (1 << isa.STAT_SQUARE_BITS) for q in lanes]
    # Open: which of 16-bit numbers is the largest. Taken as that of their low 8 bits.
    statistic.largest = [max([wrap(x, isa.STAT_MAX_BITS) for x in q], default=-128) for q in lanes]
    return statistic


def softmax(scores: Sequence[Sequence[int]], largest: Sequence[int], table: Sequence[int]) -> list[list[int]]:
    """The words that SOFTMAX writes.

    Args:
        scores: the words of SCORE, one per key.
        largest: the maximum in each lane, from STAT.
        table: the 256 exponentials.
    """
    words = [[0] * len(largest) for _ in scores]
    for lane, top in enumerate(largest):
        e = [table[(top - score[lane]) % 256] for score in scores]
        total = sum(e)
        r = 2**17 - 1 if total == 0 else min(2**17 - 1, 2**30 // total)
        for k in range(len(scores)):
            words[k][lane] = min(255, (e[k] * r + 2**21) >> 22)
    return words


def layer_norm(
    i: LayerNorm, x: Sequence[Sequence[int]], stat: Statistic, norm: Sequence[tuple[int, int]]
) -> list[list[int]]:
    """The words that LAYERNORM writes.

    Args:
        i: the instruction.
        x: the words of WIDE, one per feature.
        stat: the sums.
        norm: beta and gamma of each feature.
    """
    words = [[0] * len(stat.sums) for _ in x]
    for lane, (s1, s2) in enumerate(zip(stat.sums, stat.squares, strict=True)):
        v = i.size * s2 - s1 * s1
        assert 0 <= v < 2**50
        t, r = 0, 0
        if v:
            t = (32 - v.bit_length()) // 2
            root = math.isqrt(v << (2 * t) if t >= 0 else v >> (-2 * t))
            r = (2**31 - 1) // root
        for f, (beta, gamma) in enumerate(norm):
            d = wrap(i.size * x[f][lane] - s1, 27)
            c = wrap(d << t if t >= 0 else (d + (1 << (-t - 1))) >> -t, 22)
            n = saturate((c * r + 2**18) >> 19, 18, False) if v else 0
            y = wrap(n * gamma + beta, 32)
            words[f][lane] = saturate(shift_round(y, i.shift), i.bits, False)
    return words


def vector_error(
    i: Softmax | LayerNorm, length: int, stats: Sequence[Statistic], depths: Mapping[Memory, int]
) -> Error:
    """The error of an instruction of the vector unit whose fields are in range; NONE if it has none.

    Args:
        i: the instruction.
        length: of its sentence.
        stats: the words of STAT.
        depths: of all memories that it uses.
    """
    if i.stat_slot >= len(stats):
        return Error.ADDRESS
    if isinstance(i, Softmax):
        if 256 * i.exp_id + 255 >= depths[Memory.EXP]:
            return Error.ADDRESS
        kind, words, count = Stat.MAX, length, length
        ranges = [(Memory.SCORE, i.source), (Memory.VECTOR, i.target)]
    else:
        kind, words, count = Stat.SUMS, i.count, i.size
        ranges = [(Memory.WIDE, i.source), (Memory.VECTOR, i.target), (Memory.NORM, i.norm_base)]
    if stats[i.stat_slot].kind != kind or stats[i.stat_slot].count != count:
        return Error.STAT
    return Error.ADDRESS if any(base + words > depths[memory] for memory, base in ranges) else Error.NONE
