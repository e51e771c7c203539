"""ng_array with its ng_bank: tiles against sums of products in Python, over all spaces, taken early and late."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from ...hw.isa import Space
from .common import bench, generator, lanes, pack, start
from .setup import Setup, each
from .structs import number, struct

SETUP = Setup(
    runs=(
        *each("Lanes", 8, 16),
        *({"Lanes": 8, "PackDsp": pack, "LutColumns": columns} for pack, columns in ((1, 0), (1, 3), (0, 8))),
    ),
    slow=each("Lanes", 32),
)

OP = struct("op_t")
LATENCY = number("WordLatency")
"""Cycles from the read of a pair to its words; the sums with its products are complete `SUMS` cycles after the read."""
SUMS = LATENCY + 3

Tile = list[list[int]]


@dataclass
class Pair:
    """An operand pair: the vectors that it multiplies, and the memory words that arrive `LATENCY` cycles later."""

    fields: dict[str, int]
    words: dict[str, list[int]]
    a: list[int]
    b: list[int]


@dataclass
class Oracle:
    """The expected sums, and the expected copies of the drained tiles."""

    count: int
    sums: Tile = field(init=False)
    tiles: list[Tile] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sums = [[0] * self.count for _ in range(self.count)]

    def add(self, pair: Pair) -> None:
        """Adds one operand pair."""
        fresh = pair.fields["fresh"]
        self.sums = [
            [(0 if fresh else old) + a * b for old, b in zip(row, pair.b, strict=True)]
            for row, a in zip(self.sums, pair.a, strict=True)
        ]
        if pair.fields["tile_ends"]:
            self.tiles.append(self.sums)


def random_pair(rng: random.Random, count: int, style: str, **fields: int) -> Pair:
    """A pair from random spaces; `style` selects its words."""

    def byte() -> int:
        return {
            "any": rng.getrandbits(8),
            "ends": rng.choice((0x7F, 0x80, 0xFF, 0)),
            "least": 0x80,
            "most": 0xFF,
        }[style]

    words = {name: [byte() for _ in range(count)] for name in ("weight_a", "weight_b", "kv", "act", "vector")}
    reads = fields.setdefault("reads", int(rng.random() < 0.95))
    a_space = rng.choice((Space.WEIGHT, Space.KV, Space.IDENTITY))
    b_space = rng.choice((Space.ACT, Space.VECTOR, Space.WEIGHT))
    b_unsigned = rng.random() < 0.5
    k = rng.choice((rng.randrange(count), rng.randrange(count), rng.getrandbits(13)))
    a_names = {Space.WEIGHT: "weight_a", Space.KV: "kv"}
    b_names = {Space.ACT: "act", Space.VECTOR: "vector", Space.WEIGHT: "weight_b"}
    if a_space == Space.IDENTITY:
        a = [int(k == lane) for lane in range(count)]
    else:
        a = [v - (v >> 7 << 8) for v in words[a_names[a_space]]]
    b = [v if b_unsigned else v - (v >> 7 << 8) for v in words[b_names[b_space]]]
    if not reads:
        a = b = [0] * count
    fields |= {"a_space": a_space, "b_space": b_space, "b_unsigned": int(b_unsigned), "k": k}
    return Pair(fields, words, a, b)


def script(
    rng: random.Random, count: int, tiles: int, longest: int, gap: float
) -> list[tuple[Pair | None, int]]:
    """What happens in each cycle: a pair or none, and after how many cycles a tile that ends with it is taken.

    A tile may be summed while the previous one is not taken, if that is taken before the first new sum is complete. So
    the distance from the last pair of a tile to the first of the next is larger than the delay of the take.
    """
    scene: list[tuple[Pair | None, int]] = []
    room = 0
    resumed = False
    for _ in range(tiles):
        length = rng.choice((1, 1, 2, rng.randint(1, longest)))
        drained = rng.random() < 0.8
        style = rng.choice(("any", "any", "ends", "least", "most"))
        scene += [(None, 0)] * (room - len(scene))
        for k in range(length):
            while rng.random() < gap:
                scene.append((None, 0))
            ends = int(drained and k == length - 1)
            pair = random_pair(
                rng, count, style, fresh=int(k == 0 and not resumed), tile_ends=ends, tile_begins=int(k == 0)
            )
            wait = rng.choice((0, 0, 1, 2, rng.randrange(12))) if ends else 0
            scene.append((pair, wait))
            if ends:
                room = len(scene) + wait
        resumed = rng.random() < 0.3
    return scene


async def play(dut: Any, rng: random.Random, scene: list[tuple[Pair | None, int]]) -> int:
    """Plays a scene and compares every word of every copy with the expected one; returns the number of words."""
    count = int(dut.Lanes.value)
    oracle = Oracle(count)
    names = ("weight_a", "weight_b", "kv", "act", "vector")
    takes: dict[int, Tile] = {}
    copy: Tile | None = None
    # The words that were selected two cycles ago and one cycle ago.
    expected: list[list[int] | None] = [None, None]
    checked = taken = 0
    for now in range(len(scene) + 40):
        pair = scene[now][0] if now < len(scene) else None
        dut.op_valid_i.value = int(pair is not None)
        if pair is not None:
            dut.op_i.value = OP.pack(**pair.fields, number=rng.getrandbits(14))
            oracle.add(pair)
            if pair.fields["tile_ends"]:
                # In the cycle after take_i the sums are complete at the earliest.
                takes[now + SUMS - 1 + scene[now][1]] = oracle.tiles[-1]
        else:
            dut.op_i.value = rng.getrandbits(len(dut.op_i))
        due = scene[now - LATENCY][0] if LATENCY <= now < len(scene) + LATENCY else None
        for name in names:
            words = due.words[name] if due is not None else [rng.getrandbits(8) for _ in range(count)]
            getattr(dut, f"{name}_i").value = pack(words, 8)
        columns, select = rng.randrange(2), rng.randrange(count)
        dut.columns_i.value, dut.select_i.value = columns, select
        dut.take_i.value = int(now in takes)
        await FallingEdge(dut.clk_i)
        known = expected.pop(0)
        if known is not None:
            assert lanes(dut.word_o, count, 32, signed=True) == known, f"cycle {now}"
            checked += 1
        # What is taken now is in the copy two cycles later, from which a select of the next cycle reads.
        if now - 1 in takes:
            copy = takes[now - 1]
            taken += 1
        if copy is not None:
            expected.append([row[select] for row in copy] if columns else copy[select])
        else:
            expected.append(None)
        await RisingEdge(dut.clk_i)
    assert taken == len(oracle.tiles) > 0
    return checked


@bench(20_000)
async def tiles(dut: Any) -> None:
    """Short and long tiles, with and without pauses between their pairs."""
    rng = generator()
    await start(dut)
    for longest, gap in ((3, 0.0), (3, 0.4), (20, 0.0), (40, 0.2)):
        scene = script(rng, int(dut.Lanes.value), 60, longest, gap)
        assert await play(dut, rng, scene) > 100


@bench(2_000)
async def large_sums(dut: Any) -> None:
    """The largest products of either sign, over long tiles."""
    rng = generator("large_sums")
    count = int(dut.Lanes.value)
    await start(dut)
    for a, b, b_unsigned in ((0x80, 0xFF, 1), (0x80, 0x80, 0), (0x7F, 0xFF, 1), (0x7F, 0x80, 0)):
        scene: list[tuple[Pair | None, int]] = []
        for k in range(300):
            fields = {"reads": 1, "fresh": int(k == 0), "tile_ends": int(k == 299), "b_unsigned": b_unsigned}
            fields |= {"a_space": Space.WEIGHT, "b_space": Space.ACT}
            words = {name: [a] * count for name in ("weight_a", "kv")}
            words |= {name: [b] * count for name in ("weight_b", "act", "vector")}
            signed = b if b_unsigned else b - (b >> 7 << 8)
            scene.append((Pair(fields, words, [a - (a >> 7 << 8)] * count, [signed] * count), 0))
        await play(dut, rng, scene)


@bench(500)
async def resets(dut: Any) -> None:
    """After a reset, pairs from before it have no effect, and the first new tile is correct."""
    rng = generator("resets")
    count = int(dut.Lanes.value)
    await start(dut)
    dut.op_valid_i.value = 1
    dut.op_i.value = OP.pack(fresh=1, tile_ends=1, reads=1)
    await RisingEdge(dut.clk_i)
    dut.op_valid_i.value = 0
    for _ in range(rng.randrange(8)):
        await RisingEdge(dut.clk_i)
    dut.rst_ni.value = 0
    await RisingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    await play(dut, rng, script(rng, count, 5, 5, 0.2))
