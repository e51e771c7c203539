"""ng_vector: SOFTMAX and LAYERNORM of random words and corner cases, against the oracle; exact in cycles.

It also covers ng_vector_lane and ng_vector_factors, which have no behaviour that this unit does not show.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from ...fixedpoint import MAX_NORM_SIZE
from ...hw import isa
from ...hw.isa import Error, LayerNorm, Memory, Softmax, Stat
from ..oracle.units import Statistic
from .common import bench, generator, lanes, pack, start, value
from .instructions import FAULT, NUMBER_BITS, changed, issue, no_issue, place, waiting
from .setup import Setup, Values
from .vector_tasks import Memories, Task, border_layer_norm, random_layer_norm, random_softmax

DEPTHS: Values = {
    "VectorDepth": 1 << 20, "ScoreDepth": 700_000, "WideDepth": 300_000, "NormDepth": 100_000, "StatDepth": 40,
    "ExpDepth": 7000,
}  # fmt: skip


def latencies(lanes: int, words: int, lookups: int) -> Values:
    """A run with these latencies of the memories."""
    return {"Lanes": lanes, "WordLatency": words, "LookupLatency": lookups, **DEPTHS}


SETUP = Setup(
    (latencies(8, 3, 2), latencies(16, 2, 1)),
    slow=(latencies(32, 3, 2), latencies(8, 1, 4), latencies(16, 4, 1)),
)

MOST = 3
NOTHING: tuple[int | None, int | None, int | None] = (None, None, None)
"""No word of SCORE, WIDE and NORM: it is random then."""


@dataclass
class Offer:
    """An instruction as the sequencer shows it.

    Attributes:
        where: its place; None where it is skipped.
        retired: instructions that each unit has retired so far.
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
        """Whether its waits are met."""
        return all(r >= w for r, w in zip(self.retired, isa.waits(self.i), strict=True))

    @property
    def runs(self) -> bool:
        """Whether the unit must execute it."""
        return self.sound and self.where is not None


class Bench:
    """The unit, cycle by cycle.

    Attributes:
        writes: addresses and words so far.
        done: whether an instruction has just retired.
        fault: the last fault.
        taken: whether an instruction was taken in the last cycle.
        counted: busy_o, wait_o and waits_o in the last cycle.
        offer: what is shown to the unit.
        working: the instruction that is executed.
        kept: of which statistic the unit has the factors: slot, size, sentence, block.
        stall: the chance that WIDE is refused.
        refusals: whether WIDE is refused in each of the next requests.
        refused: cycles of this instruction in which WIDE was refused.
    """

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self.dut, self.rng = dut, rng
        self.memories = Memories(dut, rng)
        self.writes: list[tuple[int, list[int]]] = []
        self.done = False
        self.fault: dict[str, int] = {}
        self.stall = 0.0
        self.refusals: list[bool] = []
        self.offer: Offer | None = None
        self.working: Offer | None = None
        self.kept: tuple[int, ...] | None = None
        self.refused = 0
        self.word_latency, self.lookup_latency = int(dut.WordLatency.value), int(dut.LookupLatency.value)
        # What the memories were asked for and is still on its way.
        self._words = deque([NOTHING] * (self.word_latency - 1))
        self._lookups: deque[int | None] = deque([None] * (self.lookup_latency - 1))
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
        """The drain writes a statistic in the next cycle."""
        self.dut.stat_we_i.value, self.dut.stat_waddr_i.value = 1, slot
        await self.step()
        self.dut.stat_we_i.value = 0
        # The address must not be used any longer.
        self.dut.stat_waddr_i.value = self.rng.choice((slot, self.rng.getrandbits(isa.SLOT_BITS)))
        self.memories.stat[slot] = statistic
        if self.kept is not None and self.kept[0] == slot:
            self.kept = None

    async def cycle(self) -> None:
        """One cycle with the memories; WIDE is refused at random."""
        dut, m, rng = self.dut, self.memories, self.rng
        refused = self.refusals[0] if self.refusals else rng.random() < self.stall
        dut.wide_gnt_i.value = int(not refused)
        await FallingEdge(dut.clk_i)
        if self.refusals and value(dut.wide_re_o):
            del self.refusals[0]
        # WIDE is granted only on request.
        granted = value(dut.wide_re_o) and int(dut.wide_gnt_i.value)
        self.refused += bool(value(dut.wide_re_o)) and not granted
        # Until a fault stops it, the unit may read outside a memory.
        stat = (
            m.stat[value(dut.stat_addr_o) % m.depths[Memory.STAT]].bits()
            if value(dut.stat_re_o)
            else self._stat
        )
        score = wide = norm = exp = None
        if value(dut.score_re_o):
            score = pack(m.score[value(dut.score_addr_o) % m.depths[Memory.SCORE]], 8)
        if granted:
            wide = pack(m.wide[value(dut.wide_addr_o) % m.depths[Memory.WIDE]], 16)
            beta, gamma = m.norm[value(dut.norm_addr_o) % m.depths[Memory.NORM]]
            norm = (gamma & 0xFFF) << 32 | beta & 0xFFFFFFFF
        if value(dut.exp_re_o):
            exp = pack(
                [m.exp[at % len(m.exp)] for at in lanes(dut.exp_addr_o, m.n, len(dut.exp_addr_o) // m.n)], 15
            )
        self._words.append((score, wide, norm))
        self._lookups.append(exp)
        if value(dut.write_valid_o):
            self.writes.append((value(dut.write_addr_o), lanes(dut.write_o, m.n, 8)))
            assert self.working is None or value(dut.probe_number_o) == self.working.number
        self.done = bool(value(dut.retire_o))
        self.fault = FAULT.unpack(value(dut.fault_o))
        self.taken = bool(value(dut.ready_o))
        self.counted = value(dut.busy_o), value(dut.wait_o), value(dut.waits_o)
        await RisingEdge(dut.clk_i)
        self._stat = stat
        dut.stat_i.value = stat
        score, wide, norm = self._words.popleft()
        for port, word, bits in (
            (dut.score_i, score, 8 * m.n), (dut.wide_i, wide, 16 * m.n), (dut.norm_i, norm, 44),
            (dut.exp_i, self._lookups.popleft(), 15 * m.n),
        ):  # fmt: skip
            port.value = rng.getrandbits(bits) if word is None else word

    def show(self, task: Task) -> None:
        """The sequencer issues an instruction from now on, also while the unit is busy."""
        dut, rng, i = self.dut, self.rng, task.i
        where = place(i, task.lengths, self.memories.n)
        dut.issue_i.value = issue(rng, i, task.number, task.sound, where)
        dut.valid_i.value = 1
        self.offer = Offer(i, task.number, where, task.sound, [rng.randint(0, wait) for wait in isa.waits(i)])

    async def step(self) -> None:
        """One cycle: checks that the unit is busy, waits and takes instructions exactly when it must."""
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
            dut.issue_i.value = no_issue(rng)
            return
        if offer is not None:
            # Met waits are seen one cycle later.
            assert not (waits and was_met), "too late"
            assert working is not None or offer.where is not None or not offer.sound, (
                "a skipped instruction waits"
            )
            if working is None and not offer.sound:
                offer.age += 1
                assert offer.age < 2, "its fields are checked after its waits"
            offer.shown, offer.was_met = True, met
        if working is not None:
            working.age += 1
            assert working.age < 20_000, "hangs"
            if self.done:
                self.working = None
        else:
            assert not self.done and not self.writes

    async def execute(self, task: Task, following: Task | None = None) -> Error:
        """Plays an instruction to its end: checks words, waits and the end; returns the error.

        The following one may be issued, and its statistic written, before that. The statistic of the instruction may
        be written as late as in the cycle after the unit took it.
        """
        rng = self.rng
        statistic, task.statistic = task.statistic, None
        if statistic is not None and (not task.sound or rng.random() < 0.6):
            await self.write_stat(task.i.stat_slot, statistic)
            statistic = None
        task.fill()
        if self.offer is None:
            self.show(task)
        for _ in range(6000):
            await self.step()
            if self.taken or self.fault["valid"]:
                break
        else:
            raise AssertionError("not taken")
        if statistic is not None:
            await self.write_stat(task.i.stat_slot, statistic)
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
        assert self.writes == [(i.target + at, row) for at, row in enumerate(words)], task
        assert working.age - self.refused == self.cycles(i, shares, len(words)), task
        self.writes = []
        return Error.NONE

    def cycles(self, i: Softmax | LayerNorm, shares: bool, words: int) -> int:
        """The cycles of an instruction that is never refused a word; `shares`: it uses the factors that are kept."""
        if isinstance(i, Softmax):
            return 2 * words + 25 + self.word_latency + self.lookup_latency
        return words + 13 + self.word_latency if shares else words + 48 + self.memories.n

    def failed(self, task: Task) -> Error:
        """The error that the unit reports for this instruction, or NONE."""
        if not self.fault["valid"]:
            return Error.NONE
        assert self.fault["number"] == task.number and not self.writes
        return Error(self.fault["code"])

    def words(self, task: Task) -> list[list[int]]:
        """The words that an instruction must write."""
        i, m = task.i, self.memories
        if m.error(i, task.lengths[0]) is not Error.NONE:
            return []
        return m.words(i, task.lengths[0])


@bench(300_000)
async def instructions(dut: Any) -> None:
    """Instructions one after the other; some use the same statistic again, or after it was written again."""
    rng = generator()
    await start(dut)
    b = Bench(dut, rng)
    m = b.memories
    await b.reset()
    again: Task | None = None
    tasks: list[Task] = []
    # The statistics after all these tasks.
    written: dict[int, Statistic] = {}
    for at in range(130):
        longest = 2 * m.n + 5
        length = rng.choice((1, longest, rng.randint(10, longest), rng.randint(1, longest)))
        if at % 40 == 17:
            task = random_softmax(m, rng, isa.MAX_LENGTH, 1 if at == 17 else None)
        elif at % 40 == 37:
            task = random_layer_norm(m, rng, rng.randint(isa.MAX_LENGTH + 1, MAX_NORM_SIZE))
        elif again and rng.random() < 0.4:
            # Another part of the same features, perhaps with other sums or another slot.
            old = again.i
            assert isinstance(old, LayerNorm)
            task = random_layer_norm(m, rng)
            slot = rng.choice((old.stat_slot, old.stat_slot, task.i.stat_slot))
            task.i = changed(
                task.i,
                size=old.size,
                stat_slot=slot,
                sentence=old.sentence ^ (rng.random() < 0.1),
                block=rng.choice((old.block, old.block, old.block, task.i.block)),
            )
            kept, other = written[old.stat_slot], task.statistic
            if kept.kind is not Stat.SUMS or kept.count != old.size:
                continue
            assert other is not None
            task.statistic = Statistic(
                Stat.SUMS,
                old.size,
                kept.sums[1:] + kept.sums[:1],
                kept.squares[1:] + kept.squares[:1],
                other.largest,
            )
            if slot == old.stat_slot and rng.random() < 0.6:
                task.statistic = None
        elif rng.random() < 0.4:
            task = random_softmax(m, rng, length)
        else:
            task = random_layer_norm(m, rng)
        task.i = waiting(rng, task.i, MOST)
        if task.statistic is not None:
            written[task.i.stat_slot] = task.statistic
        again = task if isinstance(task.i, LayerNorm) else again
        task.number = rng.getrandbits(NUMBER_BITS)
        tasks.append(task)
        if rng.random() < 0.2:
            # A skipped instruction does nothing, whatever its fields.
            skipped = changed(rng.choice((task, tasks[0])).i, block=63)
            tasks.append(Task(waiting(rng, skipped, MOST), rng.getrandbits(NUMBER_BITS), (length,)))
    for task, following in zip(tasks, [*tasks[1:], None], strict=True):
        b.stall = rng.choice((0.0, 0.3, 0.8))
        if b.offer is None:
            for _ in range(rng.choice((0, 0, 1, 5))):
                await b.step()
            if rng.random() < 0.2 and place(task.i, task.lengths, m.n) is not None:
                # A command is stopped in the middle of it, and the next one begins with it.
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


@bench(60_000)
async def shifts(dut: Any) -> None:
    """Every shift to every width, at the ends of the range; then a word refused in any cycles of an instruction."""
    rng = generator("shifts")
    await start(dut)
    b = Bench(dut, rng)
    await b.reset()
    n = b.memories.n
    constant = Statistic(Stat.SUMS, 1, [rng.randint(-32768, 32767) for _ in range(n)], [0] * n, [0] * n)
    constant.squares = [x * x for x in constant.sums]
    await b.write_stat(1, constant)
    for shift in range(-31, 32):
        for bits in range(2, 9):
            assert await b.execute(border_layer_norm(b.memories, rng, shift, bits)) is Error.NONE
    task = random_layer_norm(b.memories, rng, 5)
    for pattern in range(1 << 7):
        b.refusals = [bool(pattern >> cycle & 1) for cycle in range(7)]
        task.number = rng.getrandbits(NUMBER_BITS)
        assert await b.execute(task) is Error.NONE


@bench(100_000)
async def faults(dut: Any) -> None:
    """Each check, and their order."""
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
            task = random_softmax(m, rng, length)
        else:
            task = random_layer_norm(m, rng, rng.randint(isa.MAX_LENGTH, MAX_NORM_SIZE) if long else 0)
        i: Any = task.i
        statistic = task.statistic
        assert statistic is not None
        changes: dict[str, int] = {}
        n = length if isinstance(i, Softmax) else i.count
        depths = {
            "source": m.depths[Memory.SCORE if isinstance(i, Softmax) else Memory.WIDE],
            "target": m.depths[Memory.VECTOR],
        }
        if isinstance(i, LayerNorm):
            depths["norm_base"] = m.depths[Memory.NORM]
        most = (1 << isa.ADDRESS_BITS) - 1
        for name, depth in depths.items():
            if rng.random() < 0.2:
                base = rng.choice(
                    (depth - n, depth - n + 1, depth, most, 1 << rng.randrange(isa.ADDRESS_BITS))
                )
                changes[name] = min(base, most)
        if long:
            # Only its end is outside.
            name = rng.choice(list(depths))
            changes[name] = depths[name] - n + 1
        if rng.random() < 0.15:
            changes["stat_slot"] = rng.choice((m.depths[Memory.STAT] - 1, m.depths[Memory.STAT], 32, 63))
        if isinstance(i, Softmax) and rng.random() < 0.2:
            changes["exp_id"] = rng.choice((m.depths[Memory.EXP] // 256, 31, 1 << rng.randrange(5)))
        task.fill()
        task.fill = lambda: None
        task.i = i = waiting(rng, changed(i, **changes), MOST)
        if rng.random() < 0.2:
            statistic.kind = rng.choice(tuple(Stat))
        if rng.random() < 0.2:
            bit = rng.choice((1 << rng.randrange(isa.STAT_COUNT_BITS), MAX_NORM_SIZE))
            statistic.count = rng.choice(
                (statistic.count + 1, 0, statistic.count ^ bit, statistic.count ^ bit)
            )
        if i.stat_slot >= m.depths[Memory.STAT]:
            task.statistic = None
        task.sound = rng.random() < 0.9
        if not long and rng.random() < 0.05:
            task.i = i = changed(i, sentence=0, block=63)
            task.lengths = (length,)
            task.sound = rng.random() < 0.5
        task.number = rng.getrandbits(NUMBER_BITS)
        if task.statistic is not None:
            await b.write_stat(i.stat_slot, statistic)
            task.statistic = None
        wanted = Error.FIELD
        if task.sound:
            wanted = Error.NONE if place(i, task.lengths, m.n) is None else m.error(i, length)
        assert await b.execute(task) is wanted, (i, statistic)
        seen.add((type(i), wanted))
    codes = (Error.NONE, Error.FIELD, Error.ADDRESS, Error.STAT)
    assert seen == {(kind, code) for kind in (Softmax, LayerNorm) for code in codes}
