"""ng_vector: SOFTMAX and LAYERNORM of words with corners in them, against docs/isa.md in plain integers."""

from __future__ import annotations

import random
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


class Memories:
    """What the unit reads, as the bench plays it."""

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self.dut, self.rng = dut, rng
        self.n = int(dut.Lanes.value)
        self.depths = {
            m: int(getattr(dut, f"{m}Depth").value)
            for m in ("Vector", "Score", "Wide", "Stat", "Norm", "Exp")
        }
        self.score = [
            [rng.choice((-128, 127, 0, rng.randint(-128, 127))) for _ in range(self.n)]
            for _ in range(self.depths["Score"])
        ]
        self.wide = [[0] * self.n for _ in range(self.depths["Wide"])]
        self.norm = [(0, 0)] * self.depths["Norm"]
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


class Bench:
    """The unit, cycle by cycle.

    Attributes:
        writes: addresses and words so far.
        done: whether an instruction has just retired.
        fault: the last fault.
        taken: whether an instruction was taken in the last cycle.
        counted: busy_o, wait_o and waits_o in the last cycle.
    """

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self.dut, self.rng = dut, rng
        self.memories = Memories(dut, rng)
        self.writes: list[tuple[int, list[int]]] = []
        self.done = False
        self.fault: dict[str, int] = {}
        self.stall = 0.0
        self._score, self._wide, self._norm = 0, 0, 0
        self._stat = 0

    async def reset(self) -> None:
        """The unit's reset."""
        self.dut.rst_ni.value = 0
        self.dut.valid_i.value = 0
        await self.cycle()
        await self.cycle()
        self.dut.rst_ni.value = 1
        self.writes = []

    async def write_stat(self, slot: int, statistic: Statistic) -> None:
        """The array writes a statistic."""
        self.dut.stat_we_i.value, self.dut.stat_waddr_i.value = 1, slot
        await self.cycle()
        self.dut.stat_we_i.value = 0
        self.memories.stat[slot] = statistic

    async def cycle(self) -> None:
        """One cycle with the memories: WIDE is refused at random."""
        dut, m, rng = self.dut, self.memories, self.rng
        dut.wide_gnt_i.value = int(rng.random() >= self.stall)
        await FallingEdge(dut.clk_i)
        # WIDE is granted to those only that ask.
        granted = value(dut.wide_re_o) and int(dut.wide_gnt_i.value)
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

    async def execute(
        self, i: Softmax | LayerNorm, number: int, lengths: tuple[int, ...], sound: bool = True
    ) -> Error:
        """An instruction from its offer to its end: checks words, waits and the end; returns the error."""
        dut, rng = self.dut, self.rng
        where = place(i, lengths, self.memories.n)
        dut.instruction_i.value, dut.number_i.value = word(i), number
        dut.ok_i.value, dut.skipped_i.value = sound, where is None
        dut.place_i.value = PLACE.pack(**where) if where else rng.getrandbits(PLACE.width)
        dut.valid_i.value = 1
        self.writes = []
        retired = [rng.randint(0, wait) for wait in isa.waits(i)]
        working = was_met = False
        for _ in range(6000):
            for unit in range(3):
                retired[unit] += rng.random() < 0.2
            dut.retired_i.value = pack([min(r, 100) for r in retired], NUMBER_BITS)
            met = all(r >= w for r, w in zip(retired, isa.waits(i), strict=True))
            await self.cycle()
            if not self.fault["valid"]:
                offered = bool(int(dut.valid_i.value))
                waits = offered and sound and where is not None and not self.taken
                assert self.counted == (working, waits, waits)
                # That tokens have come is seen a cycle later.
                assert not (waits and was_met), "too late"
                assert self.taken or not (offered and sound and where is None), "it is skipped"
            was_met = met
            if self.taken:
                assert sound and (where is None or met), "too early"
                working = where is not None
                dut.valid_i.value = 0
                no_instruction(dut, rng)
            if self.done or self.fault["valid"]:
                break
        else:
            raise AssertionError("it hangs")
        if self.fault["valid"]:
            assert self.fault["number"] == number and not self.writes
            return Error(self.fault["code"])
        assert sound
        words: list[list[int]] = []
        target = i.target
        if where is not None:
            words = (
                self.memories.softmax(i, where["length"])
                if isinstance(i, Softmax)
                else self.memories.layer_norm(i)
            )
        assert self.writes == [(target + at, found) for at, found in enumerate(words)], (i, lengths)
        return Error.NONE


def random_softmax(b: Bench, rng: random.Random, length: int) -> tuple[Softmax, Statistic]:
    """An instruction, and the statistic that it needs."""
    m = b.memories
    # Sums of 0, of the smallest and of the largest numbers, and any.
    table = rng.randrange(m.depths["Exp"] // 256)
    kind = rng.randrange(4)
    m.exp[256 * table : 256 * table + 256] = [
        (0, 0x7FFF, rng.choice((0, 1)), rng.getrandbits(rng.randint(1, 15)))[kind] for _ in range(256)
    ]
    source = rng.randint(0, m.depths["Score"] - length)
    for at in range(source, source + length):
        m.score[at] = [rng.choice((-128, 127, rng.randint(-128, 127))) for _ in range(m.n)]
    largest = [max(m.score[source + k][lane] for k in range(length)) for lane in range(m.n)]
    if rng.random() < 0.2:
        largest = [rng.randint(-128, 127) for _ in range(m.n)]
    i = Softmax(
        source=source, target=rng.randint(0, m.depths["Vector"] - length), exp_id=table,
        stat_slot=rng.randrange(m.depths["Stat"]),
    )  # fmt: skip
    noise = [rng.getrandbits(26) for _ in range(m.n)]
    return i, Statistic(Stat.MAX, length, largest, noise, noise)


def random_layer_norm(b: Bench, rng: random.Random) -> tuple[LayerNorm, Statistic]:
    """An instruction, and the statistic that it needs: of small, large and equal numbers."""
    m = b.memories
    size = rng.choice((1, 2, 3, 16, 255, 1023, 1024, rng.randint(1, 1024)))
    count = rng.choice((1, 2, 9, min(size, 30)))
    source = rng.randint(0, m.depths["Wide"] - count)
    norm = rng.randint(0, m.depths["Norm"] - count)
    sums, squares = [], []
    for lane in range(m.n):
        spread = 1 << rng.randrange(16)
        kind = rng.randrange(5)
        middle = rng.randint(-30000, 30000)
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
        for f in range(count):
            m.wide[source + f][lane] = x[f] if f < size else rng.randint(-32768, 32767)
        sums.append(sum(x))
        squares.append(sum(v * v for v in x))
    for f in range(count):
        m.norm[norm + f] = (
            rng.choice((0, -(1 << 31), (1 << 31) - 1, rng.randint(-(1 << 20), 1 << 20))),
            rng.choice((-2048, 2047, 0, 1, rng.randint(-2048, 2047))),
        )
    i = LayerNorm(
        size=size, count=count, source=source, target=rng.randint(0, m.depths["Vector"] - count), norm_base=norm,
        shift=rng.choice((rng.randint(-31, 31), rng.randint(8, 24))), bits=rng.randint(2, 8),
        stat_slot=rng.randrange(m.depths["Stat"]),
    )  # fmt: skip
    return i, Statistic(Stat.SUMS, size, [rng.getrandbits(8) for _ in range(m.n)], sums, squares)


@bench(200_000)
async def instructions(dut: Any) -> None:
    """Instructions one after the other, the same statistic used again or written anew among them."""
    rng = generator()
    await start(dut)
    b = Bench(dut, rng)
    await b.reset()
    again: tuple[LayerNorm, Statistic] | None = None
    for number in range(120):
        b.stall = rng.choice((0.0, 0.3, 0.8))
        longest = min(b.memories.depths["Score"], b.memories.depths["Vector"], 2 * b.memories.n + 5)
        length = rng.choice((1, longest, rng.randint(1, longest)))
        if number % 40 == 17:
            length = min(b.memories.depths["Score"], b.memories.depths["Vector"], isa.MAX_LENGTH)
        i: Softmax | LayerNorm
        i, statistic = random_softmax(b, rng, length) if rng.random() < 0.4 else random_layer_norm(b, rng)
        if again and rng.random() < 0.5:
            # Another part of the same features, perhaps of other sums, perhaps of those of another slot.
            old, kept = again
            assert isinstance(old, LayerNorm)
            more, other = random_layer_norm(b, rng)
            slot = rng.choice((old.stat_slot, old.stat_slot, more.stat_slot))
            i = changed(more, size=old.size, stat_slot=slot)
            statistic = Statistic(
                Stat.SUMS,
                old.size,
                other.largest,
                kept.sums[1:] + kept.sums[:1],
                kept.squares[1:] + kept.squares[:1],
            )
            if slot == old.stat_slot and rng.random() < 0.6:
                statistic = kept
        if b.memories.stat[i.stat_slot] is not statistic:
            for _ in range(rng.randrange(3)):
                await b.cycle()
            await b.write_stat(i.stat_slot, statistic)
        again = (i, statistic) if isinstance(i, LayerNorm) else again
        if rng.random() < 0.1:
            # Skipped: it does nothing, whatever it holds.
            skipped = changed(i, block=63)
            assert await b.execute(skipped, number, (length,)) is Error.NONE
        for _ in range(rng.choice((0, 0, 1, 5))):
            await b.cycle()
        i = waiting(rng, i, MOST)
        assert await b.execute(i, number, (length,)) is Error.NONE


@bench(100_000)
async def faults(dut: Any) -> None:
    """Each check, and which comes first."""
    rng = generator()
    await start(dut)
    b = Bench(dut, rng)
    m = b.memories
    seen: set[tuple[type, Error]] = set()
    for number in range(200):
        await b.reset()
        length = rng.randint(1, 9)
        i: Any
        i, statistic = random_softmax(b, rng, length) if rng.random() < 0.5 else random_layer_norm(b, rng)
        changes: dict[str, int] = {}
        n = length if isinstance(i, Softmax) else i.count
        depths = {
            "source": m.depths["Score" if isinstance(i, Softmax) else "Wide"],
            "target": m.depths["Vector"],
        }
        if isinstance(i, LayerNorm):
            depths["norm_base"] = m.depths["Norm"]
        for name, depth in depths.items():
            if rng.random() < 0.2:
                changes[name] = rng.choice((depth - n + 1, depth, (1 << 20) - 1))
        if rng.random() < 0.15:
            changes["stat_slot"] = rng.choice((m.depths["Stat"], 63))
        if isinstance(i, Softmax) and rng.random() < 0.2:
            changes["exp_id"] = rng.choice((m.depths["Exp"] // 256, 31))
        i = changed(i, **changes)
        if rng.random() < 0.2:
            statistic.kind = rng.choice(tuple(Stat))
        if rng.random() < 0.2:
            statistic.count = rng.choice((statistic.count + 1, 0, 2047))
        if i.stat_slot < m.depths["Stat"]:
            await b.write_stat(i.stat_slot, statistic)
        sound = rng.random() < 0.9
        wanted = m.fault(i, length) if sound else Error.FIELD
        assert await b.execute(i, number, (length,), sound) is wanted, (i, statistic)
        seen.add((type(i), wanted))
    codes = (Error.NONE, Error.FIELD, Error.ADDRESS, Error.STAT)
    assert seen == {(kind, code) for kind in (Softmax, LayerNorm) for code in codes}
