"""Random instructions of the vector unit, and the words in its memories, with the corner cases of each operation."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import Any

from ...fixedpoint import MAX_NORM_SIZE
from ...hw.isa import MAX_LENGTH, Error, LayerNorm, Memory, Softmax, Stat
from ..oracle.units import Statistic, layer_norm, saturate, softmax, vector_error, wrap


class Words(dict[int, Any]):
    """A memory of random words, drawn at their first read."""

    def __init__(self, draw: Callable[[], Any]) -> None:
        super().__init__()
        self._draw = draw

    def __missing__(self, address: int) -> Any:
        self[address] = self._draw()
        return self[address]


class Memories:
    """The memories that the unit reads, played by the bench."""

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self.dut, self.rng = dut, rng
        self.n = int(dut.Lanes.value)
        used = (Memory.VECTOR, Memory.SCORE, Memory.WIDE, Memory.STAT, Memory.NORM, Memory.EXP)
        self.depths = {m: int(getattr(dut, f"{m.name.capitalize()}Depth").value) for m in used}
        self.score = Words(
            lambda: [rng.choice((-128, 127, 0, rng.randint(-128, 127))) for _ in range(self.n)]
        )
        self.wide = Words(lambda: [rng.randint(-32768, 32767) for _ in range(self.n)])
        self.norm = Words(lambda: (rng.randint(-(1 << 31), (1 << 31) - 1), rng.randint(-2048, 2047)))
        self.exp = [0] * self.depths[Memory.EXP]
        self.stat = [Statistic(Stat.NONE, 0, [0] * self.n, [0] * self.n, [0] * self.n)] * self.depths[
            Memory.STAT
        ]

    def words(self, i: Softmax | LayerNorm, length: int) -> list[list[int]]:
        """The words that an instruction without an error writes."""
        stat = self.stat[i.stat_slot]
        if isinstance(i, Softmax):
            scores = [self.score[i.source + k] for k in range(length)]
            return softmax(scores, stat.largest, self.exp[256 * i.exp_id : 256 * i.exp_id + 256])
        x = [self.wide[i.source + f] for f in range(i.count)]
        norm = [self.norm[i.norm_base + f] for f in range(i.count)]
        return [[lane % 256 for lane in word] for word in layer_norm(i, x, stat, norm)]

    def error(self, i: Softmax | LayerNorm, length: int) -> Error:
        """The error of an instruction whose fields are in range."""
        return vector_error(i, length, self.stat, self.depths)


@dataclass
class Task:
    """An instruction and the memory content that it needs.

    Attributes:
        i: the instruction.
        number: its position in the list.
        lengths: of the sentences.
        sound: whether its fields are in range.
        fill: writes its words into the memories.
        statistic: the word of STAT that it reads; None if it was written already.
    """

    i: Softmax | LayerNorm
    number: int
    lengths: tuple[int, ...]
    sound: bool = True
    fill: Callable[[], None] = lambda: None
    statistic: Statistic | None = None


def random_softmax(m: Memories, rng: random.Random, length: int, kind: int | None = None) -> Task:
    """A random SOFTMAX and what it needs; `kind` selects its exponentials."""
    table = rng.choice((0, m.depths[Memory.EXP] // 256 - 1, rng.randrange(m.depths[Memory.EXP] // 256)))
    i = Softmax(
        source=between(rng, m.depths[Memory.SCORE] - length), target=between(rng, m.depths[Memory.VECTOR] - length),
        exp_id=table, stat_slot=between(rng, m.depths[Memory.STAT] - 1),
    )  # fmt: skip
    kind = rng.randrange(6) if kind is None else kind
    if kind < 4:
        # Exponentials that are 0, the largest, the smallest, or any.
        entries = [
            (0, 0x7FFF, rng.choice((0, 1)), rng.getrandbits(rng.randint(1, 15)))[kind] for _ in range(256)
        ]
        scores = [
            [rng.choice((-128, 127, rng.randint(-128, 127))) for _ in range(m.n)] for _ in range(length)
        ]
        largest = [max(column) for column in zip(*scores, strict=True)]
        if rng.random() < 0.2:
            largest = [rng.randint(-128, 127) for _ in range(m.n)]
    else:
        # Powers of two whose sum is one: results halfway between two numbers.
        entries = [(1 << at % 16) % (1 << 15) for at in range(256)]
        largest = [rng.randint(-128, 127) for _ in range(m.n)]
        columns = []
        for lane in range(m.n):
            top = rng.choice((13, 14))
            powers = [top - at for at in range(9)] + [top - 8] if length >= 10 else [top] * min(2, length)
            powers += [15] * (length - len(powers))
            rng.shuffle(powers)
            columns.append([wrap(largest[lane] - power - 16 * rng.randrange(16), 8) for power in powers])
        scores = [list(row) for row in zip(*columns, strict=True)]

    def fill() -> None:
        m.exp[256 * table : 256 * table + 256] = entries
        for at, row in enumerate(scores):
            m.score[i.source + at] = row

    noise = [rng.getrandbits(26) for _ in range(m.n)]
    return Task(i, 0, (length,), fill=fill, statistic=Statistic(Stat.MAX, length, noise, noise, largest))


def between(rng: random.Random, most: int) -> int:
    """A number from 0 on: an end, a power of two, or any."""
    return rng.choice((0, most, min(most, 1 << rng.randrange(20)), rng.randint(0, most)))


def column(rng: random.Random, size: int, count: int) -> tuple[int, int, list[int]]:
    """A lane: sum and sum of squares of `size` features, and `count` features, the first of them or others."""
    spread = 1 << rng.randrange(16)
    kind = rng.randrange(10)
    middle = rng.randint(-30000, 30000)
    if kind < 5:
        x = [
            wrap(
                (
                    middle,
                    rng.choice((-32768, 32767)),
                    rng.randrange(spread),
                    middle + rng.randrange(spread),
                    middle,
                )[kind],
                16,
            )
            for _ in range(size)
        ]
        if kind == 4:
            # One number differs from all others: the smallest variance.
            x[-1] = saturate(x[-1] + 1, 16, False)
    elif kind == 5:
        # The ends of sum, sum of squares and variance.
        pair = rng.choice(((-32768, -32768), (32767, 32767), (-32768, 32767), (-32768, 0)))
        x = [pair[f % 2] for f in range(size)]
    if kind <= 5:
        s1, s2 = sum(x), sum(v * v for v in x)
    else:
        # Any variance; every magnitude is equally likely.
        x = []
        s1 = middle * size + rng.randint(-size, size)
        s2 = min((s1 * s1 + rng.getrandbits(rng.randrange(50))) // size + 1, (1 << 41) - 1)
    v = size * s2 - s1 * s1
    deviation = isqrt(v) // size + 1
    features = [x[f] if f < len(x) else rng.randint(-32768, 32767) for f in range(count)]
    for f in range(count):
        pick = rng.random()
        if f >= size or pick < 0.3:
            features[f] = saturate(s1 // size + rng.randint(-5 * deviation, 5 * deviation), 16, False)
        if v and pick < 0.2:
            # Perhaps halfway between two numbers.
            t = (32 - v.bit_length()) // 2
            d = rng.choice((-7, -5, -3, -1, 1, 3, 5, 7)) * (1 << 18 - t)
            features[f] = saturate((d + s1 + rng.randrange(size)) // size, 16, False)
    return s1, s2, features


def random_layer_norm(m: Memories, rng: random.Random, count: int = 0) -> Task:
    """A random LAYERNORM and what it needs: statistics of small, large and equal numbers."""
    most = MAX_NORM_SIZE
    size = rng.choice((1, 2, 3, 16, 255, most - 1, most, most, rng.randint(1, most)))
    count = count or rng.choice((1, 2, 9, 30))
    columns = [column(rng, size, count) for _ in range(m.n)]
    # Either results with many significant bits, or any.
    plain = rng.random() < 0.5
    i = LayerNorm(
        size=size, count=count, source=between(rng, m.depths[Memory.WIDE] - count),
        target=between(rng, m.depths[Memory.VECTOR] - count), norm_base=between(rng, m.depths[Memory.NORM] - count),
        shift=rng.randint(16, 22) if plain else rng.choice((-31, -1, 0, 1, 30, 31, rng.randint(-31, 31))),
        bits=8 if plain else rng.randint(2, 8), stat_slot=between(rng, m.depths[Memory.STAT] - 1),
        sentence=rng.randrange(2), block=rng.choice((0, 0, 1, 2, 4, 8, MAX_LENGTH // m.n - 1)),
    )  # fmt: skip
    norm = [
        (
            rng.choice(
                (0, rng.randint(-(1 << 20), 1 << 20), *(() if plain else (-(1 << 31), (1 << 31) - 1)))
            ),
            rng.choice((-2048, 2047, 1, rng.randint(-2048, 2047), *(() if plain else (0,)))),
        )
        for _ in range(count)
    ]

    def fill() -> None:
        for f in range(count):
            m.wide[i.source + f] = [words[f] for _, _, words in columns]
            m.norm[i.norm_base + f] = norm[f]

    sums, squares = [s1 for s1, _, _ in columns], [s2 for _, s2, _ in columns]
    statistic = Statistic(Stat.SUMS, size, sums, squares, [rng.getrandbits(8) for _ in range(m.n)])
    return Task(i, 0, (MAX_LENGTH, MAX_LENGTH), fill=fill, statistic=statistic)


def border_layer_norm(m: Memories, rng: random.Random, shift: int, bits: int) -> Task:
    """A LAYERNORM without variance, whose results are beta alone: numbers at the ends of the range and next to them."""
    most = 1 << bits - 1
    betas = [-(1 << 31), (1 << 31) - 1, rng.getrandbits(32)]
    for end in (-most, most - 1, 0):
        for d in (-1, 0, 1):
            if shift > 0:
                # The first number that is rounded to end + d, and the one before.
                first = (end + d << shift) - (1 << shift - 1)
                betas += [first, first - 1]
            else:
                # What is shifted out does not count.
                betas.append((end >> -shift) + d ^ (rng.getrandbits(32) << 32 + shift))
    i = LayerNorm(
        size=1, count=len(betas), source=between(rng, m.depths[Memory.WIDE] - len(betas)), shift=shift, bits=bits,
        target=between(rng, m.depths[Memory.VECTOR] - len(betas)), stat_slot=1,
        norm_base=between(rng, m.depths[Memory.NORM] - len(betas)),
    )  # fmt: skip

    def fill() -> None:
        for f, beta in enumerate(betas):
            m.wide[i.source + f] = [rng.randint(-32768, 32767) for _ in range(m.n)]
            m.norm[i.norm_base + f] = wrap(beta, 32), rng.randint(-2048, 2047)

    return Task(i, rng.getrandbits(14), (1,), fill=fill)
