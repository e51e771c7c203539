"""ng_vector: SOFTMAX and LAYERNORM of words with corners in them, against docs/isa.md in plain integers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from ...hw import isa
from ...hw.isa import Error, LayerNorm, Softmax, Stat
from .common import bench, generator, lanes, pack, start, value
from .instructions import FAULT, NUMBER_BITS, PLACE, changed, no_instruction, place, waiting, word

SUM, SQUARE, MAX, COUNT = isa.STAT_SUM_BITS, isa.STAT_SQUARE_BITS, isa.STAT_MAX_BITS, isa.STAT_COUNT_BITS
MOST = 3
FIXED = 13
"""Cycles of a LAYERNORM that goes on with the factors of the one before it, beside one for each word."""


def wrap(number: int, bits: int) -> int:
    """The low bits of a number, signed."""
    return (number + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def saturate(number: int, bits: int) -> int:
    """Clips to a signed range."""
    return max(-(1 << bits - 1), min((1 << bits - 1) - 1, number))


def shift_round(number: int, shift: int) -> int:
    """The shift of docs/isa.md, section 4, on 32 bits."""
    if shift > 0:
        return wrap(number + (1 << shift - 1), 32) >> shift
    return wrap(number << -shift, 32)


@dataclass
class Statistic:
    """A word of STAT, lane by lane."""

    kind: Stat
    count: int
    largest: list[int]
    sums: list[int]
    squares: list[int]

    def bits(self) -> int:
        """As the memory holds it."""
        found, low = 0, 0
        for numbers, width in ((self.sums, SUM), (self.squares, SQUARE), (self.largest, MAX)):
            found |= pack(numbers, width) << low
            low += width * len(numbers)
        return found | self.count << low | int(self.kind) << low + COUNT


class Words(dict[int, Any]):
    """A memory: any words, made up when they are first read."""

    def __init__(self, draw: Callable[[], Any]) -> None:
        super().__init__()
        self._draw = draw

    def __missing__(self, address: int) -> Any:
        self[address] = self._draw()
        return self[address]


class Memories:
    """What the unit reads, as the bench plays it."""

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self.dut, self.rng = dut, rng
        self.n = int(dut.Lanes.value)
        self.depths = {
            m: int(getattr(dut, f"{m}Depth").value)
            for m in ("Vector", "Score", "Wide", "Stat", "Norm", "Exp")
        }
        self.score = Words(
            lambda: [rng.choice((-128, 127, 0, rng.randint(-128, 127))) for _ in range(self.n)]
        )
        self.wide = Words(lambda: [rng.randint(-32768, 32767) for _ in range(self.n)])
        self.norm = Words(lambda: (rng.randint(-(1 << 31), (1 << 31) - 1), rng.randint(-2048, 2047)))
        self.exp = [0] * self.depths["Exp"]
        self.stat = [Statistic(Stat.NONE, 0, [0] * self.n, [0] * self.n, [0] * self.n)] * self.depths["Stat"]

    def softmax(self, i: Softmax, n: int) -> list[list[int]]:
        """The words that it writes."""
        found = [[0] * self.n for _ in range(n)]
        for lane in range(self.n):
            largest = self.stat[i.stat_slot].largest[lane]
            e = [
                self.exp[256 * i.exp_id + (largest - self.score[i.source + k][lane]) % 256] for k in range(n)
            ]
            total = sum(e)
            r = (1 << 17) - 1 if total == 0 else min((1 << 17) - 1, (1 << 30) // total)
            for k in range(n):
                found[k][lane] = min(255, (e[k] * r + (1 << 21)) >> 22)
        return found

    def layer_norm(self, i: LayerNorm) -> list[list[int]]:
        """The words that it writes."""
        found = [[0] * self.n for _ in range(i.count)]
        statistic = self.stat[i.stat_slot]
        for lane in range(self.n):
            s1 = statistic.sums[lane]
            v = i.size * statistic.squares[lane] - s1 * s1
            t = (32 - v.bit_length()) // 2
            s = isqrt(v << 2 * t if t >= 0 else v >> -2 * t)
            for f in range(i.count):
                d = wrap(i.size * self.wide[i.source + f][lane] - s1, 27)
                n = 0
                if v:
                    c = wrap(d << t if t >= 0 else (d + (1 << -t - 1)) >> -t, 22)
                    n = saturate((c * (((1 << 31) - 1) // s) + (1 << 18)) >> 19, 18)
                beta, gamma = self.norm[i.norm_base + f]
                y = wrap(n * gamma + beta, 32)
                found[f][lane] = saturate(shift_round(y, i.shift), i.bits) & 0xFF
        return found

    def fault(self, i: Softmax | LayerNorm, n: int) -> Error:
        """The error of an instruction whose fields are in range."""
        if i.stat_slot >= self.depths["Stat"]:
            return Error.ADDRESS
        statistic = self.stat[i.stat_slot]
        if isinstance(i, Softmax):
            if 256 * i.exp_id + 255 >= self.depths["Exp"]:
                return Error.ADDRESS
            if statistic.kind is not Stat.MAX or statistic.count != n:
                return Error.STAT
            ranges = ((i.source, n, "Score"), (i.target, n, "Vector"))
            return (
                Error.ADDRESS if any(base + size > self.depths[m] for base, size, m in ranges) else Error.NONE
            )
        if statistic.kind is not Stat.SUMS or statistic.count != i.size:
            return Error.STAT
        parts = ((i.source, "Wide"), (i.target, "Vector"), (i.norm_base, "Norm"))
        return Error.ADDRESS if any(base + i.count > self.depths[m] for base, m in parts) else Error.NONE


@dataclass
class Offer:
    """An instruction as the sequencer shows it.

    Attributes:
        where: its place; None where it is skipped.
        retired: instructions that each unit has retired so far, in the bench's play.
        shown: whether it was shown in the last cycle already.
        was_met: whether its waits were met then.
        age: cycles since it was taken, or in which its fields could be looked at.
    """

    i: Softmax | LayerNorm
    number: int
    where: dict[str, int] | None
    sound: bool
    retired: list[int]
    shown: bool = False
    was_met: bool = False
    age: int = 0

    @property
    def met(self) -> bool:
        """Whether all that it waits for has retired."""
        return all(r >= w for r, w in zip(self.retired, isa.waits(self.i), strict=True))

    @property
    def runs(self) -> bool:
        """Whether the unit has to execute it."""
        return self.sound and self.where is not None


@dataclass
class Task:
    """An instruction with what must lie in the memories when it starts.

    Attributes:
        i: the instruction.
        number: of it in its list.
        lengths: of the sentences.
        sound: whether its fields are in range.
        fill: puts its words into the memories.
        statistic: that it reads; None where that is there already.
    """

    i: Softmax | LayerNorm
    number: int
    lengths: tuple[int, ...]
    sound: bool = True
    fill: Callable[[], None] = lambda: None
    statistic: Statistic | None = None


class Bench:
    """The unit, cycle by cycle.

    Attributes:
        writes: addresses and words so far.
        done: whether an instruction has just retired.
        fault: the last fault.
        taken: whether an instruction was taken in the last cycle.
        counted: busy_o, wait_o and waits_o in the last cycle.
        offer: what is shown to the unit.
        working: what it executes.
        kept: of which statistic the unit has the factors: slot, size, sentence, block.
        refused: cycles of this instruction in which WIDE was refused.
    """

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self.dut, self.rng = dut, rng
        self.memories = Memories(dut, rng)
        self.writes: list[tuple[int, list[int]]] = []
        self.done = False
        self.fault: dict[str, int] = {}
        self.stall = 0.0
        self.offer: Offer | None = None
        self.working: Offer | None = None
        self.kept: tuple[int, ...] | None = None
        self.refused = 0
        self._score, self._wide, self._norm = 0, 0, 0
        self._stat = 0

    async def reset(self, cycles: int = 2) -> None:
        """The unit's reset."""
        self.dut.rst_ni.value = 0
        self.dut.valid_i.value = 0
        for _ in range(cycles):
            await self.cycle()
        self.dut.rst_ni.value = 1
        self.offer = self.working = self.kept = None
        self.writes = []

    async def write_stat(self, slot: int, statistic: Statistic) -> None:
        """The array writes a statistic, in the next cycle."""
        self.dut.stat_we_i.value, self.dut.stat_waddr_i.value = 1, slot
        await self.step()
        self.dut.stat_we_i.value = 0
        # Nobody may look at the address any more.
        self.dut.stat_waddr_i.value = self.rng.choice((slot, self.rng.getrandbits(isa.SLOT_BITS)))
        self.memories.stat[slot] = statistic
        if self.kept is not None and self.kept[0] == slot:
            self.kept = None

    async def cycle(self) -> None:
        """One cycle with the memories: WIDE is refused at random."""
        dut, m, rng = self.dut, self.memories, self.rng
        dut.wide_gnt_i.value = int(rng.random() >= self.stall)
        await FallingEdge(dut.clk_i)
        # WIDE is granted to those only that ask.
        granted = value(dut.wide_re_o) and int(dut.wide_gnt_i.value)
        self.refused += bool(value(dut.wide_re_o)) and not granted
        # In the cycles until a fault stops it the unit may read past a memory.
        stat = (
            m.stat[value(dut.stat_addr_o) % m.depths["Stat"]].bits() if value(dut.stat_re_o) else self._stat
        )
        score, wide, norm = self._score, self._wide, self._norm
        self._score = self._wide = self._norm = -1
        if value(dut.score_re_o):
            self._score = pack(m.score[value(dut.score_addr_o) % m.depths["Score"]], 8)
        if granted:
            self._wide = pack(m.wide[value(dut.wide_addr_o) % m.depths["Wide"]], 16)
            beta, gamma = m.norm[value(dut.norm_addr_o) % m.depths["Norm"]]
            self._norm = (gamma & 0xFFF) << 32 | beta & 0xFFFFFFFF
        exp = rng.getrandbits(15 * m.n)
        if value(dut.exp_re_o):
            exp = pack(
                [m.exp[at % len(m.exp)] for at in lanes(dut.exp_addr_o, m.n, len(dut.exp_addr_o) // m.n)], 15
            )
        if value(dut.write_valid_o):
            self.writes.append((value(dut.write_addr_o), lanes(dut.write_o, m.n, 8)))
            assert self.working is None or value(dut.probe_number_o) == self.working.number
        self.done = bool(value(dut.retire_o))
        self.fault = FAULT.unpack(value(dut.fault_o))
        self.taken = bool(value(dut.ready_o))
        self.counted = value(dut.busy_o), value(dut.wait_o), value(dut.waits_o)
        await RisingEdge(dut.clk_i)
        self._stat = stat
        dut.stat_i.value, dut.exp_i.value = stat, exp
        dut.score_i.value = score if score >= 0 else rng.getrandbits(8 * m.n)
        dut.wide_i.value = wide if wide >= 0 else rng.getrandbits(16 * m.n)
        dut.norm_i.value = norm if norm >= 0 else rng.getrandbits(44)

    def show(self, task: Task) -> None:
        """The sequencer offers an instruction from now on, also while the unit is at work."""
        dut, rng, i = self.dut, self.rng, task.i
        where = place(i, task.lengths, self.memories.n)
        dut.instruction_i.value, dut.number_i.value = word(i), task.number
        dut.ok_i.value, dut.skipped_i.value = task.sound, where is None
        dut.place_i.value = PLACE.pack(**where) if where else rng.getrandbits(PLACE.width)
        dut.valid_i.value = 1
        self.offer = Offer(i, task.number, where, task.sound, [rng.randint(0, wait) for wait in isa.waits(i)])

    async def step(self) -> None:
        """One cycle: whether the unit is at work, waits and takes instructions when it must."""
        dut, rng, offer, working = self.dut, self.rng, self.offer, self.working
        met = was_met = False
        if offer is not None:
            for unit in range(3):
                offer.retired[unit] += rng.random() < 0.2
            dut.retired_i.value = pack([min(r, 100) for r in offer.retired], NUMBER_BITS)
            met, was_met = offer.met, offer.shown and offer.was_met
        await self.cycle()
        if self.fault["valid"]:
            return
        waits = offer is not None and offer.runs and working is None and not self.taken
        assert self.counted == (working is not None, waits, waits)
        if self.taken:
            assert offer is not None and offer.sound and working is None and not self.writes
            assert offer.where is None or met, "too early"
            assert self.done == (offer.where is None)
            self.working, self.offer = offer if offer.runs else None, None
            dut.valid_i.value = 0
            no_instruction(dut, rng)
            return
        if offer is not None:
            # That tokens have come is seen a cycle later.
            assert not (waits and was_met), "too late"
            assert working is not None or offer.where is not None or not offer.sound, "it is skipped"
            if working is None and not offer.sound:
                offer.age += 1
                assert offer.age < 2, "its fields are looked at before its waits"
            offer.shown, offer.was_met = True, met
        if working is not None:
            working.age += 1
            assert working.age < 20_000, "it hangs"
            if self.done:
                self.working = None
        else:
            assert not self.done and not self.writes

    async def execute(self, task: Task, following: Task | None = None) -> Error:
        """An instruction to its end: checks words, waits and the end; returns the error.

        The one that follows may be shown, and its statistic be written, before that.
        """
        rng = self.rng
        if task.statistic is not None:
            await self.write_stat(task.i.stat_slot, task.statistic)
            task.statistic = None
        task.fill()
        if self.offer is None:
            self.show(task)
        for _ in range(6000):
            await self.step()
            if self.taken or self.fault["valid"]:
                break
        else:
            raise AssertionError("it is not taken")
        if self.failed(task) is not Error.NONE:
            return self.failed(task)
        working = self.working
        if working is None:
            return Error.NONE
        words = self.words(task)
        i, kept, self.refused = task.i, self.kept, 0
        self.kept = (i.stat_slot, i.size, i.sentence, i.block) if isinstance(i, LayerNorm) else None
        shares = isinstance(i, LayerNorm) and kept == self.kept
        hurry = rng.choice((0.01, 0.1, 1.0))
        while self.working is working:
            # A statistic is written when the unit has read its own.
            if following is not None and working.age >= 2 and rng.random() < hurry:
                if following.statistic is not None and rng.random() < 0.8:
                    statistic, following.statistic = following.statistic, None
                    await self.write_stat(following.i.stat_slot, statistic)
                elif self.offer is None and following.statistic is None:
                    self.show(following)
                    await self.step()
                else:
                    await self.step()
            else:
                await self.step()
            if self.failed(task) is not Error.NONE:
                return self.failed(task)
        assert self.writes == [(i.target + at, found) for at, found in enumerate(words)], task
        if shares:
            # Neither root nor division.
            assert working.age - self.refused <= len(words) + FIXED
        self.writes = []
        return Error.NONE

    def failed(self, task: Task) -> Error:
        """The error that the unit reports of this instruction, if it does."""
        if not self.fault["valid"]:
            return Error.NONE
        assert self.fault["number"] == task.number and not self.writes
        return Error(self.fault["code"])

    def words(self, task: Task) -> list[list[int]]:
        """What an instruction has to write."""
        i, m = task.i, self.memories
        if m.fault(i, task.lengths[0]) is not Error.NONE:
            return []
        return m.softmax(i, task.lengths[0]) if isinstance(i, Softmax) else m.layer_norm(i)


def random_softmax(b: Bench, rng: random.Random, length: int, kind: int | None = None) -> Task:
    """An instruction, and what it needs; `kind` says what its exponentials are."""
    m = b.memories
    table = rng.choice((0, m.depths["Exp"] // 256 - 1, rng.randrange(m.depths["Exp"] // 256)))
    i = Softmax(
        source=between(rng, m.depths["Score"] - length), target=between(rng, m.depths["Vector"] - length),
        exp_id=table, stat_slot=between(rng, m.depths["Stat"] - 1),
    )  # fmt: skip
    kind = rng.randrange(6) if kind is None else kind
    if kind < 4:
        # Sums of 0, of the smallest and of the largest numbers, and any.
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
        # Powers of two whose sum is one: results that lie in the middle of two numbers.
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
    return Task(i, 0, (length,), fill=fill, statistic=Statistic(Stat.MAX, length, largest, noise, noise))


def between(rng: random.Random, most: int) -> int:
    """A number from 0 on: an end, a power of two, or any."""
    return rng.choice((0, most, min(most, 1 << rng.randrange(20)), rng.randint(0, most)))


def column(rng: random.Random, size: int, count: int) -> tuple[int, int, list[int]]:
    """Of a lane: sum and sum of squares of so many features, and the first `count` of them, or others."""
    spread = 1 << rng.randrange(16)
    kind = rng.randrange(9)
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
            # One number out of many is another: the smallest variance.
            x[-1] = saturate(x[-1] + 1, 16)
        s1, s2 = sum(x), sum(v * v for v in x)
    else:
        # Any variance, each size as likely.
        x = []
        s1 = middle * size + rng.randint(-size, size)
        s2 = min((s1 * s1 + rng.getrandbits(rng.randrange(50))) // size + 1, (1 << 41) - 1)
    v = size * s2 - s1 * s1
    deviation = isqrt(v) // size + 1
    found = [x[f] if f < len(x) else rng.randint(-32768, 32767) for f in range(count)]
    for f in range(count):
        pick = rng.random()
        if f >= size or pick < 0.3:
            found[f] = saturate(s1 // size + rng.randint(-5 * deviation, 5 * deviation), 16)
        if v and pick < 0.2:
            # Perhaps in the middle of two numbers.
            t = (32 - v.bit_length()) // 2
            d = rng.choice((-7, -5, -3, -1, 1, 3, 5, 7)) * (1 << 18 - t)
            found[f] = saturate((d + s1 + rng.randrange(size)) // size, 16)
    return s1, s2, found


def random_layer_norm(b: Bench, rng: random.Random, count: int = 0) -> Task:
    """An instruction, and what it needs: statistics of small, large and equal numbers."""
    m = b.memories
    size = rng.choice((1, 2, 3, 16, 255, 1023, 1024, 1024, rng.randint(1, 1024)))
    count = count or rng.choice((1, 2, 9, 30))
    columns = [column(rng, size, count) for _ in range(m.n)]
    # Either results of which most bits count, or any.
    plain = rng.random() < 0.5
    i = LayerNorm(
        size=size, count=count, source=between(rng, m.depths["Wide"] - count),
        target=between(rng, m.depths["Vector"] - count), norm_base=between(rng, m.depths["Norm"] - count),
        shift=rng.randint(16, 22) if plain else rng.choice((-31, -1, 0, 1, 30, 31, rng.randint(-31, 31))),
        bits=8 if plain else rng.randint(2, 8), stat_slot=between(rng, m.depths["Stat"] - 1),
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
    statistic = Statistic(Stat.SUMS, size, [rng.getrandbits(8) for _ in range(m.n)], sums, squares)
    return Task(i, 0, (1,), fill=fill, statistic=statistic)


@bench(300_000)
async def instructions(dut: Any) -> None:
    """Instructions one after the other, the same statistic used again or written anew among them."""
    rng = generator()
    await start(dut)
    b = Bench(dut, rng)
    m = b.memories
    await b.reset()
    again: Task | None = None
    tasks: list[Task] = []
    # What the statistics are when all these tasks are done.
    written: dict[int, Statistic] = {}
    for at in range(130):
        longest = 2 * m.n + 5
        length = rng.choice((1, longest, rng.randint(10, longest), rng.randint(1, longest)))
        if at % 40 == 17:
            task = random_softmax(b, rng, isa.MAX_LENGTH, 1 if at == 17 else None)
        elif at % 40 == 37:
            task = random_layer_norm(b, rng, rng.randint(isa.MAX_LENGTH + 1, 1024))
        elif again and rng.random() < 0.4:
            # Another part of the same features, perhaps of other sums, perhaps of those of another slot.
            old = again.i
            assert isinstance(old, LayerNorm)
            task = random_layer_norm(b, rng)
            slot = rng.choice((old.stat_slot, old.stat_slot, task.i.stat_slot))
            task.i = changed(task.i, size=old.size, stat_slot=slot)
            kept, other = written[old.stat_slot], task.statistic
            if kept.kind is not Stat.SUMS or kept.count != old.size:
                continue
            assert other is not None
            task.statistic = Statistic(
                Stat.SUMS,
                old.size,
                other.largest,
                kept.sums[1:] + kept.sums[:1],
                kept.squares[1:] + kept.squares[:1],
            )
            if slot == old.stat_slot and rng.random() < 0.6:
                task.statistic = None
        elif rng.random() < 0.4:
            task = random_softmax(b, rng, length)
        else:
            task = random_layer_norm(b, rng)
        task.i = waiting(rng, task.i, MOST)
        if task.statistic is not None:
            written[task.i.stat_slot] = task.statistic
        again = task if isinstance(task.i, LayerNorm) else again
        task.number = rng.getrandbits(NUMBER_BITS)
        tasks.append(task)
        if rng.random() < 0.2:
            # Skipped: it does nothing, whatever it holds.
            skipped = changed(rng.choice((task, tasks[0])).i, block=63)
            tasks.append(Task(waiting(rng, skipped, MOST), rng.getrandbits(NUMBER_BITS), (length,)))
    for task, following in zip(tasks, [*tasks[1:], None], strict=True):
        b.stall = rng.choice((0.0, 0.3, 0.8))
        if b.offer is None:
            for _ in range(rng.choice((0, 0, 1, 5))):
                await b.step()
            if rng.random() < 0.2 and place(task.i, task.lengths, m.n) is not None:
                # A command ends in the middle of it, and the next one begins with it.
                if task.statistic is not None:
                    await b.write_stat(task.i.stat_slot, task.statistic)
                    task.statistic = None
                task.fill()
                b.show(task)
                while b.working is None:
                    await b.step()
                for _ in range(rng.randrange(3 * m.n + 20)):
                    if b.working is not None:
                        await b.step()
                await b.reset(rng.randint(1, 2))
        assert await b.execute(task, following) is Error.NONE


@bench(100_000)
async def faults(dut: Any) -> None:
    """Each check, and which comes first."""
    rng = generator("faults")
    await start(dut)
    b = Bench(dut, rng)
    m = b.memories
    seen: set[tuple[type, Error]] = set()
    for _ in range(250):
        await b.reset()
        long = rng.random() < 0.1
        length = isa.MAX_LENGTH if long else rng.randint(1, 9)
        if rng.random() < 0.5:
            task = random_softmax(b, rng, length)
        else:
            task = random_layer_norm(b, rng, rng.randint(isa.MAX_LENGTH, 1024) if long else 0)
        i: Any = task.i
        statistic = task.statistic
        assert statistic is not None
        changes: dict[str, int] = {}
        n = length if isinstance(i, Softmax) else i.count
        depths = {
            "source": m.depths["Score" if isinstance(i, Softmax) else "Wide"],
            "target": m.depths["Vector"],
        }
        if isinstance(i, LayerNorm):
            depths["norm_base"] = m.depths["Norm"]
        most = (1 << isa.ADDRESS_BITS) - 1
        most = (1 << isa.ADDRESS_BITS) - 1
        for name, depth in depths.items():
            if rng.random() < 0.2:
                base = rng.choice(
                    (depth - n, depth - n + 1, depth, most, 1 << rng.randrange(isa.ADDRESS_BITS))
                )
                changes[name] = min(base, most)
        if long:
            # Its end alone is outside.
            name = rng.choice(list(depths))
            changes[name] = depths[name] - n + 1
        if rng.random() < 0.15:
            changes["stat_slot"] = rng.choice((m.depths["Stat"] - 1, m.depths["Stat"], 32, 63))
        if isinstance(i, Softmax) and rng.random() < 0.2:
            changes["exp_id"] = rng.choice((m.depths["Exp"] // 256, 31, 1 << rng.randrange(5)))
        task.fill()
        task.fill = lambda: None
        task.i = i = waiting(rng, changed(i, **changes), MOST)
        if rng.random() < 0.2:
            statistic.kind = rng.choice(tuple(Stat))
        if rng.random() < 0.2:
            bit = rng.choice((1 << rng.randrange(isa.STAT_COUNT_BITS), 1024))
            statistic.count = rng.choice(
                (statistic.count + 1, 0, statistic.count ^ bit, statistic.count ^ bit)
            )
        if i.stat_slot >= m.depths["Stat"]:
            task.statistic = None
        task.sound = rng.random() < 0.9
        if not long and rng.random() < 0.05:
            task.i = i = changed(i, block=63)
            task.sound = rng.random() < 0.5
        task.number = rng.getrandbits(NUMBER_BITS)
        if task.statistic is not None:
            await b.write_stat(i.stat_slot, statistic)
            task.statistic = None
        wanted = Error.FIELD
        if task.sound:
            wanted = Error.NONE if i.block else m.fault(i, length)
        assert await b.execute(task) is wanted, (i, statistic)
        seen.add((type(i), wanted))
    codes = (Error.NONE, Error.FIELD, Error.ADDRESS, Error.STAT)
    assert seen == {(kind, code) for kind in (Softmax, LayerNorm) for code in codes}
