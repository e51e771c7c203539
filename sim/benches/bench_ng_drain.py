"""ng_drain with its lanes: the words of CONTRACT from accumulators to memories and statistics, against the oracle.

The bench plays the feed, which begins a tile only if there is room; the array, in which the next tile overwrites one
that was not taken in time; and the memories of biases, residuals and tables.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from ...hw import isa
from ...hw.isa import Contract, Memory, Space, Stat
from ..oracle import units as oracle
from . import structs
from .common import bench, generator, lanes, pack, start, value
from .instructions import FAULT, changed, random_fields, word
from .setup import Setup, each

SETUP = Setup(
    each(
        "Lanes", 8, 16, WeightDepth=1 << 22, KvDepth=300_000, ActDepth=1 << 20, VectorDepth=70_000,
        ScoreDepth=600_000, WideDepth=150_000, BiasDepth=1 << 20, StatDepth=5, TableDepth=1030,
    )
)  # fmt: skip

JOB = structs.struct("job_t")
WORD, LOOKUP = structs.number("WordLatency"), structs.number("LookupLatency")
LATENCY = WORD + 3
"""Cycles from the read of a tile's last operand to the cycle in which its sums are complete."""

Word = tuple[int, int, list[int], int, int, list[int]]


@dataclass
class Job:
    """An instruction as the feed passes it to the drain, and its expected outcome.

    Attributes:
        fields: of `job_t`.
        tiles: the sums of the array, in order; whether each is drained.
        biases: addresses of the biases that are added.
        writes: of each word space, address, lanes; and what an observer sees: number, whether there is a table, lanes
            before it.
        residuals: number of words to which one is added.
        stat: slot and bits of the statistic, or None.
        fault: the first word that faults, or None.
    """

    fields: dict[str, int]
    tiles: list[tuple[list[list[int]], bool]] = field(default_factory=list)
    biases: set[int] = field(default_factory=set)
    writes: list[Word] = field(default_factory=list)
    residuals: int = 0
    stat: tuple[int, int] | None = None
    fault: int | None = None


class Memories:
    """The memories that the drain reads: random words, drawn at their first read."""

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self.n, self._rng = int(dut.Lanes.value), rng
        names = ("Weight", "Kv", "Act", "Vector", "Score", "Wide", "Stat", "Bias", "Table")
        self.depths = {Memory[name.upper()]: int(getattr(dut, f"{name}Depth").value) for name in names}
        self._words: dict[tuple[Memory, int], list[int]] = {}
        self.table = [rng.randint(-128, 127) for _ in range(self.depths[Memory.TABLE])]

    def read(self, memory: Memory, address: int) -> list[int]:
        """The lanes of a word; BIAS has one."""
        key = memory, address % self.depths[memory]
        if key not in self._words:
            rng = self._rng
            if memory is Memory.BIAS:
                self._words[key] = [rng.choice((-(1 << 31), (1 << 31) - 1, rng.randint(-(1 << 20), 1 << 20)))]
            else:
                top = 1 << (15 if memory is Memory.WIDE else 7)
                self._words[key] = [
                    rng.choice((-top, top - 1, rng.randrange(-top, top))) for _ in range(self.n)
                ]
        return self._words[key]

    def outcome(self, job: Job, c: Contract, counts: tuple[int, int, int], rows: int) -> None:
        """Fills in the expected outcome of a job's tiles, in the order of its loops."""
        tiles = (tile for tile, is_drained in job.tiles if is_drained)
        table = self.table[256 * c.table_id : 256 * c.table_id + 256] if c.has_table else None
        outside = False

        def read(memory: Memory, address: int) -> list[int]:
            nonlocal outside
            outside |= address >= self.depths[memory]
            if memory is Memory.BIAS:
                job.biases.add(address)
            else:
                job.residuals += 1
            return self.read(memory, address)

        words: list[list[int]] = []
        for i0, i1, i2 in itertools.product(*map(range, counts)):
            for result in oracle.drained(c, (i0, i1, i2), next(tiles), rows, read, table):
                address = c.c_base + result.offset
                outside |= address >= self.depths[Memory(c.c_space)]
                if outside and job.fault is None:
                    job.fault = len(words)
                words.append(result.lanes)
                number, seen = job.fields["number"], [oracle.wrap(x, 16) for x in result.before]
                job.writes.append((c.c_space, address, result.lanes, number, int(c.has_table), seen))
        if c.stat is not Stat.NONE and not c.keep and c.stat_slot < self.depths[Memory.STAT]:
            job.stat = c.stat_slot, oracle.gathered(c.stat, words, self.n).bits()


def at_the_end(
    rng: random.Random, memories: Memories, c: Contract, counts: tuple[int, int, int], rows: int
) -> Contract:
    """The instruction with one base changed: its last word is the last one of a memory, or one after it."""
    n0, n1, n2 = counts
    n = memories.n
    offset = (n0 - 1) * c.c_stride0 + (n1 - 1) * c.c_stride1
    offset += max(i2 * c.c_stride2 + (min(n, rows - n * i2) - 1) * c.c_stridew for i2 in range(n2))
    ends = {"c": (Memory(c.c_space), offset), "bias": (Memory.BIAS, n * n1 - 1 if c.columns else offset)}
    if c.residual_space is not Space.NONE:
        ends["residual"] = Memory(c.residual_space), offset
    name = rng.choice([name for name in ends if name != "bias" or c.bias])
    memory, last = ends[name]
    most = (1 << (isa.WEIGHT_ADDRESS_BITS if name == "residual" else isa.ADDRESS_BITS)) - 1
    base = memories.depths[memory] - 1 - last + rng.randrange(2)
    return changed(c, **{f"{name}_base": min(max(0, base), most)})


def draw(
    rng: random.Random, memories: Memories, number: int, faulty: bool, n0: int | None = None, **fixed: int
) -> Job:
    """A random job with its tiles and its expected outcome.

    With `n0` it drains that many whole tiles. `fixed` gives fields of its instruction.
    """
    if rng.random() < 0.1 and n0 is None and not fixed:
        return Job({"number": number, "skipped": 1, "skips": rng.randint(1, 9), "words": 0})
    n = memories.n
    drawn = random_fields(rng, Contract)
    assert isinstance(drawn, Contract)
    keep = rng.random() < 0.1 and n0 is None
    wide = drawn.c_space is Space.WIDE
    plain = rng.random() < 0.6
    c = changed(
        drawn, keep=0, table_id=rng.randrange(memories.depths[Memory.TABLE] // 256),
        stat_slot=rng.choice((*range(memories.depths[Memory.STAT] + 1), 1 << rng.randrange(isa.SLOT_BITS))),
        bits=8 if drawn.has_table else rng.randint(2, 16 if wide else 8),
        shift=rng.randint(4, 24) if plain else drawn.shift, acc_shift=0 if plain else drawn.acc_shift,
        residual_shift=rng.randrange(8) if plain else drawn.residual_shift,
        stat=rng.choice(tuple(Stat)), columns=rng.randrange(2), bias=rng.randrange(2),
        **{f"c_stride{name}": rng.choice((0, 1, n, rng.randrange(50))) for name in "012w"},
        **{f"{name}_base": rng.randrange(rng.choice((500, 60_000))) for name in ("c", "bias", "residual")},
    )  # fmt: skip
    if rng.random() < 0.3:
        c = changed(c, **{f"c_stride{rng.choice('012w')}": 1 << rng.randrange(16)})
    if keep:
        c = changed(c, keep=1, n0=1, n1=1, n2=1, n0_source=isa.Count.CONST, n2_source=isa.Count.CONST)
    if faulty and rng.random() < 0.3:
        # WEIGHT has more addresses than the others.
        name = rng.choice(("c", "bias", "residual"))
        c = changed(c, **{f"{name}_base": rng.choice((65_530, 149_999, (1 << 20) - (name != "residual")))})
    c = changed(c, **fixed)
    counts = (
        (1, 1, 1)
        if keep
        else (rng.choice((1, 1, 2, 3)), rng.choice((0, 1, 1, 2, 3)), rng.choice((1, 1, 2, 3)))
    )
    rows = rng.choice((0, 1, 3, n - 1, n, n + 1, 2 * n, 5 * n))
    if n0 is not None:
        counts, rows = (n0, 1, 1), n
    tiles = -(-rows // n)
    n2 = min(counts[2], tiles)
    words = bool(counts[0] * counts[1] * n2) and not keep
    if words and faulty and rng.random() < 0.7:
        c = at_the_end(rng, memories, c, (counts[0], counts[1], n2), rows)
    fields = {"number": number, "skipped": 0, "words": int(words), "c": word(c)}
    if words:
        fields |= {
            "n0": counts[0],
            "n1": counts[1],
            "n2": n2,
            "tail": n if tiles > n2 else rows - n * (tiles - 1),
        }
    job = Job(fields)
    for i2 in [i2 for _ in range(counts[0] * counts[1]) for i2 in range(counts[2])]:
        top = 1 << (rng.choice((10, 20, 31)))
        acc = [[rng.choice((-top, top - 1, rng.randrange(-top, top))) for _ in range(n)] for _ in range(n)]
        job.tiles.append((acc, i2 < n2 and words))
    memories.outcome(job, c, (counts[0], counts[1], n2) if words else (0, 0, 0), rows)
    return job


class Array:
    """The feed and the array: a tile begins if there is room; its sums are complete `LATENCY` cycles after its end."""

    def __init__(self, dut: Any, rng: random.Random, n: int) -> None:
        self.dut, self.rng = dut, rng
        self.now = 0
        self.todo: deque[tuple[Job, list[list[int]] | None, bool, bool]] = deque()
        self.begun: set[int] = set()
        """Addresses of the biases of all jobs that have begun."""
        self.full: list[list[int]] | None = None
        self.copy = [[0] * n for _ in range(n)]
        self._ending: deque[tuple[int, list[list[int]]]] = deque()
        self._overwrites: deque[int] = deque()
        self._left = -1
        self._taken = False
        self.chance = 0.5
        self.long = 1

    def accept(self, job: Job) -> None:
        """The drain has accepted a job: its operands will be read."""
        if job.fields["skipped"]:
            return
        for at, (tile, drained) in enumerate(job.tiles):
            self.todo.append((job, tile, drained, at == len(job.tiles) - 1))
        if not job.tiles:
            self.todo.append((job, None, False, True))

    def before(self) -> None:
        """A cycle begins: the sums of a tile may be complete."""
        if self._overwrites and self._overwrites[0] == self.now:
            self._overwrites.popleft()
            assert self.full is None, "a tile overwrites one that was not taken"
        if self._ending and self._ending[0][0] == self.now:
            assert self.full is None, "two full tiles"
            self.full = self._ending.popleft()[1]

    def feed(self, room: int) -> None:
        """The middle of a cycle: operands are read if a tile may begin."""
        tile_ends = begun = fed = False
        if self.todo and self.rng.random() >= self.chance:
            job, tile, drained, last = self.todo[0]
            if tile is None:
                begun = fed = True
            elif self._left < 0 and room:
                begun = tile is job.tiles[0][0]
                self._left = self.rng.randrange(self.long)
                self._overwrites.append(self.now + LATENCY)
            elif self._left > 0:
                self._left -= 1
            if tile is not None and self._left == 0:
                self._left = -1
                tile_ends, fed = drained, last
                if drained:
                    self._ending.append((self.now + LATENCY, tile))
                self.todo.popleft()
            elif fed:
                self.todo.popleft()
            if begun:
                self.begun |= job.biases
        self.dut.tile_i.value, self.dut.begun_i.value, self.dut.fed_i.value = tile_ends, begun, fed

    def after(self, take: int) -> None:
        """A cycle ends: the sums are copied if the drain took them in the cycle before."""
        if self._taken:
            assert self.full is not None, "nothing to take"
            self.copy, self.full = self.full, None
        self._taken = bool(take)
        self.now += 1


@bench(400_000)
async def jobs(dut: Any) -> None:
    """Jobs one after the other; some have an address outside a memory."""
    rng = generator()
    memories = Memories(dut, rng)
    await start(dut)
    faults = 0
    for turn in range(70):
        faulty = turn % 2 == 1
        listed = []
        number = 0
        for _ in range(rng.randint(1, 7)):
            listed.append(draw(rng, memories, number, faulty))
            number += listed[-1].fields.get("skips", 1) if listed[-1].fields["skipped"] else 1
        faults += any(job.fault is not None for job in listed)
        if rng.random() < 0.4:
            # A command is stopped in the middle.
            await play(dut, rng, memories, listed, rng.randrange(100))
        await play(dut, rng, memories, listed)
    assert faults > 3


@bench(100_000)
async def far_addresses(dut: Any) -> None:
    """Every bit of a base and of a stride counts: it appears in an address, or the address is outside the memory."""
    rng = generator("far_addresses")
    memories = Memories(dut, rng)
    await start(dut)
    address, weight = isa.ADDRESS_BITS, isa.WEIGHT_ADDRESS_BITS
    bases = [
        ({f"{name}_base": 1 << bit}, columns)
        for name, columns, width in (
            ("c", 0, address),
            ("bias", 0, address),
            ("bias", 1, address),
            ("residual", 0, weight),
        )
        for bit in range(width)
    ]
    for at, (base, columns) in enumerate(bases):
        loop, bit = "012w"[at % 4], at // 4 % 16
        job, turns = Job({}), 0
        while turns < 2:
            # These memories are the largest.
            job = draw(
                rng, memories, 0, False, bias=1, columns=columns, residual_space=Space.WEIGHT, c_space=Space.ACT,
                bits=8, **{f"c_stride{loop}": 1 << bit}, **base,
            )  # fmt: skip
            if job.fields["words"]:
                turns = job.fields["tail" if loop == "w" else f"n{loop}"]
        await play(dut, rng, memories, [job])


@bench(20_000)
async def many_words(dut: Any) -> None:
    """More words than a statistic can count; the next instruction counts from 0."""
    rng = generator("many_words")
    memories = Memories(dut, rng)
    await start(dut)
    most = (1 << isa.STAT_COUNT_BITS) - 1
    stat = {"stat": Stat.SUMS, "stat_slot": 0, "c_space": Space.WIDE, "bits": 16, "has_table": 0}
    strides = {f"c_stride{name}": 1 for name in "012w"}
    jobs = [
        draw(rng, memories, at, False, n0, **stat, **strides)
        for at, n0 in enumerate((most // memories.n + 2, 1))
    ]
    await play(dut, rng, memories, jobs)


async def play(dut: Any, rng: random.Random, m: Memories, listed: list[Job], stop: int = 20_000) -> None:
    """Jobs from reset to their end, or for `stop` cycles, without a check at the end."""
    n = m.n
    dut.rst_ni.value = 0
    for name in ("job_valid", "begun", "fed", "tile"):
        getattr(dut, f"{name}_i").value = 0
    await RisingEdge(dut.clk_i)
    await RisingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    array = Array(dut, rng, n)
    array.chance, array.long = rng.choice((0.0, 0.0, 0.5, 0.9)), rng.choice((1, 2, n, 3 * n))
    hesitant = rng.choice((0.0, 0.5, 0.9))
    noise = rng.getrandbits
    widths = {"weight": 8, "vector": 8, "wide": 16, "bias": 32}
    # What arrives at the end of this cycle, and of later ones: words of memories, bytes of the table.
    late: deque[dict[str, list[int]]] = deque({} for _ in range(WORD - 1))
    bytes_: deque[int | None] = deque([None] * (LOOKUP - 1))
    selected: list[int] | None = None
    told = retired = residuals = 0
    writes: list[Word] = []
    stats: list[tuple[int, int]] = []
    due: list[int] = []
    total = sum(job.fields.get("skips", 1) if job.fields["skipped"] else 1 for job in listed)
    bad = next((job for job in listed if job.fault is not None), None)
    valid = False
    quiet = 0
    fault: dict[str, int] = {}
    for now in range(20_000):
        if now == stop:
            return
        if told < len(listed):
            valid = valid or rng.random() >= hesitant
            dut.job_i.value = JOB.pack(**listed[told].fields)
        dut.job_valid_i.value = valid
        array.before()
        await FallingEdge(dut.clk_i)
        array.feed(value(dut.room_o))
        if valid and value(dut.job_ready_o):
            array.accept(listed[told])
            told, valid = told + 1, False
        fault = FAULT.unpack(value(dut.fault_o))
        if fault["valid"]:
            break
        take, select, columns = value(dut.take_o), value(dut.select_o), value(dut.columns_o)
        if value(dut.write_valid_o):
            seen = lanes(dut.probe_before_o, n, 16, signed=True)
            writes.append(
                (
                    value(dut.write_space_o),
                    value(dut.write_addr_o),
                    lanes(dut.write_o, n, 16, signed=True),
                    value(dut.probe_number_o),
                    value(dut.probe_table_o),
                    seen,
                )
            )
        amount = value(dut.retire_o)
        if amount:
            retired += amount
            due.append(len(writes))
        if value(dut.stat_we_o):
            stats.append((value(dut.stat_addr_o), value(dut.stat_o)))
        asked: dict[str, list[int]] = {}
        if value(dut.residual_valid_o):
            residuals += 1
            space = Space(value(dut.residual_space_o))
            asked[space.name.lower()] = m.read(Memory(space), value(dut.residual_addr_o))
        if value(dut.bias_re_o) and value(dut.bias_addr_o) in array.begun:
            asked["bias"] = m.read(Memory.BIAS, value(dut.bias_addr_o))
        late.append(asked)
        table = None
        if value(dut.table_re_o):
            at = lanes(dut.table_addr_o, n, len(dut.table_addr_o) // n)
            table = pack([m.table[a % len(m.table)] for a in at], 8)
        bytes_.append(table)
        array.after(take)
        await RisingEdge(dut.clk_i)
        words = late.popleft()
        for name, width in widths.items():
            handle = getattr(dut, f"{name}_i")
            handle.value = pack(words[name], width) if name in words else noise(len(handle))
        looked_up = bytes_.popleft()
        dut.table_i.value = noise(8 * n) if looked_up is None else looked_up
        # Selected in the cycle before, from the copy of this cycle.
        dut.word_i.value = noise(32 * n) if selected is None else pack(selected, 32)
        copy = array.copy
        selected = [copy[j][select] if columns else copy[select][j] for j in range(n)]
        quiet = quiet + 1 if retired == total else 0
        if quiet == 6:
            break
    else:
        raise AssertionError(f"hangs: {told} of {len(listed)} jobs accepted, {retired} of {total} retired")
    wanted = [w for job in listed for w in job.writes]
    if bad is None:
        assert not fault["valid"], fault
        assert writes == wanted
        assert stats == [job.stat for job in listed if job.stat is not None]
        # Residual reads take a port from others, so their number counts.
        assert residuals == sum(job.residuals for job in listed)
        ends, sofar = [], 0
        for job in listed:
            sofar += len(job.writes)
            ends.append(sofar)
        # An instruction retires with its last word or after it, and before the first word of the next one.
        assert len(due) == len(ends)
        assert due == ends, (due, ends)
    else:
        assert (
            fault["valid"] and fault["number"] == bad.fields["number"] and fault["code"] == isa.Error.ADDRESS
        )
        before = sum(len(job.writes) for job in listed[: listed.index(bad)]) + (bad.fault or 0)
        assert writes == wanted[: len(writes)] and len(writes) <= before
