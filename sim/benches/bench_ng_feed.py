"""ng_feed: the operand pairs of CONTRACT against the loop nest of docs/isa.md, with late ports and tokens."""

from __future__ import annotations

import itertools
import random
from collections import deque
from dataclasses import dataclass
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from ...hw import isa
from ...hw.isa import Contract, Count, Error, Indexed, Memory, Space, Stat
from . import structs
from .common import STALLS, bench, generator, pack, start, value
from .instructions import FAULT, NUMBER_BITS, changed, issue, no_issue, place, random_fields, word
from .setup import Setup, each

SETUP = Setup(
    each(
        "Lanes", 8, 16, WeightDepth=1 << 22, KvDepth=300_000, ActDepth=1 << 20, VectorDepth=70_000, StatDepth=5,
        TableDepth=1030, IndexDepth=60,
    )
)  # fmt: skip

OP, JOB = structs.struct("op_t"), structs.struct("job_t")
OPERAND_BITS = structs.number("OperandBits")
MOST = 3
"""The largest wait for each other unit."""
INDEX_LATENCY = structs.number("IndexLatency")
FILL = INDEX_LATENCY + 7
"""Cycles after an instruction was taken until the pipeline is full; from then on it reads one pair per cycle."""


@dataclass
class Turn:
    """A turn of the innermost loop, or the single turn of an instruction without operands (`op` is then None).

    Attributes:
        number: of its instruction.
        op: fields of `op_t`.
        a, b: addresses; None where no memory is read.
        ends: whether it is its instruction's last.
        waits: that the instruction has; empty but for its first turn.
        fault: whether the instruction ends here, with ADDRESS.
    """

    number: int
    op: dict[str, int] | None
    a: int | None
    b: int | None
    ends: bool
    waits: tuple[int, ...]
    fault: bool


@dataclass
class Case:
    """Instructions of the array in order, and their expected outcome.

    Attributes:
        instructions: with whether their fields are in range, and their places (None: skipped).
        turns: all of them, until the first fault.
        jobs: fields of each `job_t` for the drain.
        fault: code and number, or None.
    """

    instructions: list[tuple[Contract, bool, dict[str, int] | None]]
    turns: list[Turn]
    jobs: list[dict[str, int]]
    fault: tuple[Error, int] | None


class Expected:
    """The operands as docs/isa.md, section 4, defines them."""

    def __init__(self, dut: Any, index: list[list[int]]) -> None:
        self.n = int(dut.Lanes.value)
        names = ("Weight", "Kv", "Act", "Vector", "Stat", "Table", "Index")
        self.depths = {Memory[name.upper()]: int(getattr(dut, f"{name}Depth").value) for name in names}
        self.half = self.depths[Memory.INDEX] // isa.SENTENCES
        self.index = index

    def counts(self, c: Contract, where: dict[str, int]) -> tuple[int, int, int, int, int]:
        """n0, n1, n2, nk, nr."""
        sources = {
            Count.LENGTH: where["length"],
            Count.TOKENS: where["tokens"],
            Count.BLOCKS: where["blocks"],
        }
        n0, n2 = sources.get(c.n0_source, c.n0), sources.get(c.n2_source, c.n2)
        return n0, c.n1, n2, sources.get(c.nk_source, c.nk), sources.get(c.rows_source, c.rows)

    def operand(
        self, c: Contract, side: str, where: dict[str, int], at: tuple[int, ...]
    ) -> tuple[int | None, bool]:
        """The address of a word, and whether it is in range."""
        space = getattr(c, f"{side}_space")
        if space is Space.IDENTITY:
            return None, True
        strides = (getattr(c, f"{side}_stride{name}") for name in "012k")
        address = getattr(c, f"{side}_base") + sum(i * stride for i, stride in zip(at, strides, strict=True))
        indexed = getattr(c, f"{side}_indexed")
        sound = True
        if indexed is not Indexed.NONE:
            token = where["first"] + (at[0] if indexed is Indexed.LOOP0 else at[3])
            sound = token < self.half
            entry = self.index[(self.half * where["sentence"] + token) % len(self.index)][
                getattr(c, f"{side}_column")
            ]
            address += entry * getattr(c, f"{side}_index_stride")
        return address, sound and address < self.depths[Memory(space)]

    def moved(self, c: Contract, side: str, where: dict[str, int], past: int) -> Contract:
        """The instruction with another base of A or B: its last word is `past` words after the end of the memory."""
        n0, n1, n2, nk, _ = self.counts(c, where)
        turns = itertools.product(range(n0), range(n1), range(n2), range(nk))
        addresses = [self.operand(c, side, where, at)[0] for at in turns]
        last = max((address for address in addresses if address is not None), default=None)
        if last is None:
            return c
        base = getattr(c, f"{side}_base") + self.depths[Memory(getattr(c, f"{side}_space"))] + past - last
        return changed(c, **{f"{side}_base": base}) if 0 <= base < 1 << isa.WEIGHT_ADDRESS_BITS else c

    def through_the_index(
        self, c: Contract, side: str, where: dict[str, int], inner: int, past: int
    ) -> Contract:
        """The instruction indexed by all tokens of a block up to the end of its half of INDEX, and `past` more."""
        turns = self.half - where["first"] + past
        if turns < 1:
            return c
        inner |= c.keep
        loops = {"n0": 1 if inner else turns, "n1": 1, "n2": 1, "nk": turns if inner else 1}
        sources = dict.fromkeys(("n0_source", "n2_source", "nk_source"), Count.CONST)
        c = changed(c, **loops, **sources, a_base=0, b_base=0, a_indexed=Indexed.NONE, b_indexed=Indexed.NONE)
        c = changed(c, **{f"{s}_stride{name}": 1 for s in "ab" for name in "0k"})
        indexed = Indexed.LOOPK if inner else Indexed.LOOP0
        return changed(c, **{f"{side}_indexed": indexed, f"{side}_index_stride": 1})

    def of(self, instructions: list[tuple[Contract, bool, dict[str, int] | None]]) -> Case:
        """The outcome of a list."""
        case = Case(instructions, [], [], None)
        skips = 0
        resumed = False
        for number, (c, sound, where) in enumerate(instructions):
            if not sound:
                case.fault = (Error.FIELD, number)
                break
            if where is None:
                skips += 1
                continue
            if skips:
                case.jobs.append({"skipped": 1, "skips": skips})
                skips = 0
            if self.contract(case, c, number, where, resumed):
                case.fault = (Error.ADDRESS, number)
                break
            resumed = bool(c.keep)
        if skips and case.fault is None:
            case.jobs.append({"skipped": 1, "skips": skips})
        return case

    def contract(self, case: Case, c: Contract, number: int, where: dict[str, int], resumed: bool) -> bool:
        """Adds the turns and the job of an instruction; returns whether it ends with a fault."""
        n0, n1, n2, nk, rows = self.counts(c, where)
        tiles = -(-rows // self.n)
        words = n0 * n1 * n2 * rows > 0 and not c.keep
        job = {"skipped": 0, "number": number, "words": int(words), "c": word(c)}
        if words:
            job |= {
                "n0": n0,
                "n1": n1,
                "n2": min(n2, tiles),
                "tail": self.n if tiles > n2 else rows - self.n * (tiles - 1),
            }
        case.jobs.append(job)
        outside = (c.stat is not Stat.NONE and c.stat_slot >= self.depths[Memory.STAT]) or bool(
            c.has_table and 256 * c.table_id + 255 >= self.depths[Memory.TABLE]
        )
        waits = isa.waits(c)
        if n0 * n1 * n2 == 0:
            case.turns.append(Turn(number, None, None, None, True, waits, outside))
            return outside
        turns = [
            (i0, i1, i2, k)
            for i0 in range(n0)
            for i1 in range(n1)
            for i2 in range(n2)
            for k in range(max(nk, 1))
        ]
        for at in turns:
            _, _, i2, k = at
            first, last = at == turns[0], at == turns[-1]
            op = {
                "number": number, "begins": first, "ends": last, "nothing": 0, "reads": nk > 0, "tile_begins": k == 0,
                "fresh": k == 0 and not (first and resumed), "k": k, "a_space": c.a_space, "b_space": c.b_space,
                "tile_ends": k == max(nk, 1) - 1 and not c.keep and i2 < tiles, "b_unsigned": c.b_unsigned,
            }  # fmt: skip
            (a, a_good), (b, b_good) = (
                (self.operand(c, side, where, at) if nk else (None, True)) for side in "ab"
            )
            fault = (first and outside) or not (a_good and b_good)
            case.turns.append(
                Turn(number, {k_: int(v) for k_, v in op.items()}, a, b, last, waits if first else (), fault)
            )
            if fault:
                return True
        return False


def draw(rng: random.Random, expected: Expected, lengths: tuple[int, ...]) -> Case:
    """A few instructions of few turns, with addresses of all sizes."""
    instructions: list[tuple[Contract, bool, dict[str, int] | None]] = []
    for number in range(rng.randint(1, 8)):
        drawn = random_fields(rng, Contract)
        assert isinstance(drawn, Contract)
        keep = int(rng.random() < 0.15)
        changes: dict[str, Any] = {
            "sentence": rng.randrange(2), "block": rng.choice((0, 0, 0, 1, 2)), "n0": rng.choice((0, 1, 1, 2, 3)),
            "n1": rng.choice((0, 1, 1, 1, 2)), "n2": rng.choice((0, 1, 1, 2, 3)),
            "nk": rng.choice((0, 1, 2, 3, 5)), "keep": keep,
            "n0_source": rng.choice((Count.CONST, Count.CONST, Count.CONST, Count.TOKENS)),
            "rows": rng.choice((0, 1, expected.n, expected.n + 1, 2 * expected.n, 3 * expected.n + 3)),
            "wait_array": rng.randint(0, number), "wait_vector": rng.randint(0, MOST),
            "wait_stream": rng.randint(0, MOST),
            "stat_slot": rng.randrange(expected.depths[Memory.STAT]),
            "table_id": rng.randrange(expected.depths[Memory.TABLE] // 256),
        }  # fmt: skip
        # Sometimes the first one outside the memory.
        if rng.random() < 0.03:
            changes["stat_slot"] = expected.depths[Memory.STAT]
        if rng.random() < 0.03:
            changes["table_id"] = expected.depths[Memory.TABLE] // 256
        if keep:
            changes |= {"n0": 1, "n1": 1, "n2": 1, "n0_source": Count.CONST, "n2_source": Count.CONST}
        for side in "ab":
            changes[f"{side}_indexed"] = rng.choice(
                (Indexed.NONE, Indexed.NONE, Indexed.LOOP0, Indexed.LOOPK)
            )
            for name in ("stride0", "stride1", "stride2", "stridek", "index_stride"):
                changes[f"{side}_{name}"] = rng.choice((0, 1, 3, rng.randrange(200), rng.getrandbits(16)))
            if rng.random() < 0.97:
                depth = expected.depths.get(Memory(getattr(drawn, f"{side}_space")), 1 << 20)
                changes[f"{side}_base"] = rng.randrange(depth)
                changes[f"{side}_index_stride"] = rng.choice((0, 1, 7))
        c = changed(drawn, **changes)
        where = place(c, lengths, expected.n)
        if where is not None:
            # Most addresses are in range.
            for side in "ab":
                one = expected.of([(c, True, where)])
                if one.fault and rng.random() < 0.9:
                    c = changed(c, **{f"{side}_base": rng.randrange(100), f"{side}_indexed": Indexed.NONE})
                    c = changed(c, **{f"{side}_stride{name}": rng.randrange(9) for name in "012k"})
                if rng.random() < 0.05:
                    c = expected.through_the_index(c, side, where, rng.randrange(2), rng.randrange(2))
                if rng.random() < 0.25:
                    c = expected.moved(c, side, where, rng.choice((-1, -1, 0, 0, rng.getrandbits(16))))
        instructions.append((c, rng.random() < 0.98, where))
    return expected.of(instructions)


@bench(500_000)
async def lists(dut: Any) -> None:
    """Random lists."""
    rng = generator()
    index = [
        [rng.choice((0, 1, 65535, rng.randrange(50))) for _ in range(isa.INDEX_COLUMNS)]
        for _ in range(int(dut.IndexDepth.value))
    ]
    expected = Expected(dut, index)
    await start(dut)
    seen: set[Any] = set()
    for _ in range(90):
        lengths = tuple(rng.randint(1, 3 * expected.n) for _ in range(rng.randint(1, 2)))
        case = draw(rng, expected, lengths)
        while len(case.turns) > 250:
            case = draw(rng, expected, lengths)
        seen.add(case.fault and case.fault[0])
        await play(dut, rng, expected, case)
    assert seen == {None, Error.ADDRESS, Error.FIELD}


async def play(dut: Any, rng: random.Random, expected: Expected, case: Case) -> None:
    """Plays a list from reset to its end."""
    dut.rst_ni.value = 0
    dut.valid_i.value = 0
    await RisingEdge(dut.clk_i)
    await RisingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    chance = {name: rng.choice(STALLS) for name in ("list", "job", "room", "weight", "vector", "drain")}
    address_bits = len(dut.index_addr_o) // 2
    at = turn = fed = drained = tiles = told = 0
    retired = [0, 0, 0]
    jobs: list[dict[str, int]] = []
    index = [rng.getrandbits(128), rng.getrandbits(128)]
    reads: deque[dict[int, int]] = deque()
    valid = waits = waited = False
    settled = 0
    for now in range(3000 + 100 * len(case.turns)):
        before = list(retired)
        if at < len(case.instructions):
            c, sound, where = case.instructions[at]
            valid = valid or rng.random() >= chance["list"]
            dut.issue_i.value = issue(rng, c, at, sound, where)
        dut.valid_i.value = valid
        if not valid:
            dut.issue_i.value = no_issue(rng)
        # The drain retires its jobs in order, after all operands were read.
        if told < len(jobs) and rng.random() >= chance["drain"]:
            job = jobs[told]
            if job["skipped"] or drained < fed:
                drained += not job["skipped"]
                retired[0] += job["skips"] if job["skipped"] else 1
                told += 1
        for unit in (1, 2):
            retired[unit] += retired[unit] < MOST and rng.random() < 0.1
        dut.retired_i.value = pack(retired, NUMBER_BITS)
        for name in ("job_ready", "room"):
            getattr(dut, f"{name}_i").value = rng.random() >= chance[name.split("_")[0]]
        weight, vector = rng.random() < chance["weight"], rng.random() < chance["vector"]
        dut.weight_b_busy_i.value, dut.vector_busy_i.value = weight, vector
        dut.index_rdata_i.value = pack(index, 128)
        await FallingEdge(dut.clk_i)
        room = int(dut.room_i.value)
        fault = FAULT.unpack(value(dut.fault_o))
        if fault["valid"]:
            break
        assert not (turn and case.turns[turn - 1].fault), "no fault"
        went, begins, ends = value(dut.op_valid_o), value(dut.begun_o), value(dut.fed_o)
        doing = [name for name in ("wait", "drain", "stall") if value(getattr(dut, f"{name}_o"))]
        doing += ["go"] if went or ends else []
        following = case.turns[turn] if turn < len(case.turns) and case.turns[turn].number < at else None
        if following is not None:
            wanted_doing = [_doing(following, before, room, weight, vector)]
            waiter = following.number
        else:
            # Only the next instruction may wait, for its index words.
            wanted_doing, waiter = ["wait"] if waits else [], at
        assert doing == wanted_doing or (following is not None and not doing and now < settled)
        assert value(dut.waits_o) == waited
        waited = doing == ["wait"] and retired[0] == waiter
        c, sound, where = case.instructions[min(at, len(case.instructions) - 1)]
        waits = valid and sound and where is not None and _indexed(c) and not _met(isa.waits(c), retired)
        assert value(dut.ready_o) or not (valid and case.instructions[at][1:] == (True, None)), (
            "it is skipped"
        )
        if valid and value(dut.ready_o):
            c, sound, where = case.instructions[at]
            assert sound
            assert where is None or not _indexed(c) or _met(isa.waits(c), before), "too early"
            at, valid, settled = at + 1, False, now + FILL
        if value(dut.job_valid_o) and value(dut.job_ready_i):
            jobs.append(JOB.unpack(value(dut.job_o)))
        reads.append({})
        for side in range(2):
            if value(dut.index_re_o) >> side & 1:
                address = value(dut.index_addr_o) >> address_bits * side & (1 << address_bits) - 1
                reads[-1][side] = pack(expected.index[address % len(expected.index)], 16)
        if len(reads) == INDEX_LATENCY:
            for side, read in reads.popleft().items():
                index[side] = read
        assert value(dut.busy_o) == (went and OP.unpack(value(dut.op_o))["reads"])
        if went or begins or ends:
            assert turn < len(case.turns), "more than the list"
            wanted = case.turns[turn]
            turn += 1
            assert ends == wanted.ends and went == (wanted.op is not None)
            assert begins == (wanted.op is None or wanted.op["begins"])
            if wanted.op is not None:
                op = OP.unpack(value(dut.op_o))
                assert {name: op[name] for name in wanted.op} == wanted.op
                assert room or not op["tile_begins"]
                if op["reads"]:
                    assert not (weight and op["b_space"] == Space.WEIGHT) and not (
                        vector and op["b_space"] == Space.VECTOR
                    )
                    assert wanted.a is None or value(dut.a_addr_o) == wanted.a, wanted
                    assert value(dut.b_addr_o) == wanted.b, wanted
                assert value(dut.tile_o) == op["tile_ends"]
                tiles += op["tile_ends"]
        fed += ends
        await RisingEdge(dut.clk_i)
        if case.fault is None and turn == len(case.turns) and _covered(jobs) == len(case.instructions):
            break
    else:
        raise AssertionError(f"hangs: turn {turn} of {len(case.turns)}, {len(jobs)} of {len(case.jobs)} jobs")
    if case.fault is None:
        assert not fault["valid"]
    else:
        assert (fault["code"], fault["number"]) == case.fault and fault["valid"]
        assert turn == len(case.turns)
        await RisingEdge(dut.clk_i)
    # Consecutive skipped instructions may arrive in parts.
    merged: list[dict[str, int]] = []
    for job in jobs:
        if merged and job["skipped"] and merged[-1]["skipped"]:
            merged[-1]["skips"] += job["skips"]
        else:
            merged.append(job)
    assert len(merged) >= len(case.jobs)
    for job, told_of in zip(merged, case.jobs, strict=False):
        assert {name: job[name] for name in told_of} == told_of


def _indexed(c: Contract) -> bool:
    return c.a_indexed is not Indexed.NONE or c.b_indexed is not Indexed.NONE


def _met(waits: tuple[int, ...], retired: list[int]) -> bool:
    return all(r >= w for r, w in zip(retired, waits, strict=False))


def _doing(turn: Turn, before: list[int], room: int, weight: bool, vector: bool) -> str:
    """What a turn in the last stage must do.

    Args:
        turn: the turn.
        before: instructions that had retired a cycle before.
        room: whether a tile may begin.
        weight, vector: whether the ports of B are busy.
    """
    if not _met(turn.waits, before):
        return "wait"
    if turn.op is None:
        return "go"
    if turn.op["tile_begins"] and not room:
        return "drain"
    busy = {Space.WEIGHT: weight, Space.VECTOR: vector}
    return "stall" if turn.op["reads"] and busy.get(Space(turn.op["b_space"]), False) else "go"


def _covered(jobs: list[dict[str, int]]) -> int:
    """Instructions that the jobs of the drain cover."""
    return sum(job["skips"] if job["skipped"] else 1 for job in jobs)
