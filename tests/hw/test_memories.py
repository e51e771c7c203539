"""Block RAMs, UltraRAMs and DSPs by formula: against brute force, against yosys, within the limits of the boards."""

from __future__ import annotations

import random
from typing import Any

import pytest

from narrowgauge.errors import UserError
from narrowgauge.hw.isa import MEMORIES, Memory, Parameters
from narrowgauge.hw.synthesis.boards import USABLE, built_in_boards
from narrowgauge.hw.synthesis.cells import Cost, cost_of
from narrowgauge.hw.synthesis.memories import Blocks, Style, blocks, copies, engine_blocks, parts, style
from narrowgauge.hw.synthesis.silicon import Silicon
from narrowgauge.hw.synthesis.yosys import elaborate, synthesize
from narrowgauge.toolchain import find_yosys

SHAPES_18 = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
SHAPES_36 = ((512, 72), (1024, 36), (2048, 18), (4096, 9), (8192, 4), (16384, 2), (32768, 1))
"""Words and bits of both sizes of block RAM with one port that writes and one that reads (UG473, table 1-8)."""

SHARED = (Memory.WEIGHT, Memory.TABLE, Memory.EXP)


def random_engine(chance: random.Random) -> tuple[Parameters, Silicon]:
    """Random depths, many of them near a power of two, and random styles."""

    def depth(memory: Memory) -> int:
        most = min(MEMORIES[memory].max_depth, 1 << 16)
        near = (1 << chance.randint(0, 16)) + chance.choice((-1, 0, 1, 512))
        return max(2, 2 * (min(most, chance.choice((near, chance.randint(1, most)))) // 2))

    depths = {f"{memory.name.lower()}_depth": depth(memory) for memory in Memory}
    made_of = {memory: chance.choice(list(Style)) for memory in Memory}
    ultra, luts = (
        frozenset(m for m in Memory if made_of[m] is style and chance.random() < 0.5)
        for style in (Style.ULTRA, Style.LUTS)
    )
    return Parameters(lanes=chance.choice((8, 16, 32)), **depths), Silicon(ultra=ultra, luts=luts)


def test_parts_of_a_depth() -> None:
    """Powers of two, the largest first, and no more words than the smallest block makes necessary."""
    assert parts(12288, 128, Style.BLOCK) == (8192, 4096)
    assert parts(40960, 36, Style.BLOCK) == (32768, 8192)  # the example of UG906
    assert parts(1146880, 3, Style.BLOCK) == (1 << 20, 1 << 16, 1 << 15)  # the example of AR 61995
    assert parts(13713, 256, Style.BLOCK) == (8192, 4096, 1024, 512)
    assert parts(49152, 256, Style.ULTRA) == (32768, 16384)
    assert parts(5000, 256, Style.ULTRA) == (8192,)
    chance = random.Random(0)
    several = 0
    for _ in range(3000):
        depth, width = chance.randint(1, 1 << chance.randint(1, 22)), chance.randint(1, 600)
        made_of = chance.choice(list(Style))
        found = parts(depth, width, made_of)
        several += len(found) > 1
        assert list(found) == sorted(set(found), reverse=True)
        assert all(part & part - 1 == 0 for part in found)
        assert sum(found) >= depth
        least = {Style.ULTRA: 4096, Style.LUTS: 32}.get(made_of, 2048)
        # Below the smallest block, one part; above it, less than one block is unused.
        assert sum(found) - depth < max(least, depth if depth <= least else 0, 2)
    assert several > 1000


@pytest.mark.parametrize("seed", range(30))
def test_blocks_of_random_engines(seed: int) -> None:
    """Never fewer bits than the memory has, and for each part the best of all tilings with one shape."""
    parameters, silicon = random_engine(random.Random(seed))
    total = Blocks()
    for memory in Memory:
        words, width = parameters.depth(memory), MEMORIES[memory].bits(parameters.lanes)
        found = blocks(memory, parameters, silicon)
        total += found
        made_of = style(memory, parameters, silicon)
        count = copies(memory, parameters)
        made = {
            Style.BLOCK: found.bram18 * 18 * 1024,
            Style.ULTRA: found.uram * 4096 * 72,
            Style.LUTS: found.lut * 64,
        }
        assert made.pop(made_of) >= words * width * count and not any(made.values())
        if made_of is Style.BLOCK:
            shared = memory in SHARED
            units = [(deep, wide, 1) for deep, wide in SHAPES_18 if not shared or wide <= 18]
            units += [(deep, wide, 2) for deep, wide in SHAPES_36 if not shared or wide <= 36]
            expected = sum(
                min(unit * -(-part // deep) * -(-width // wide) for deep, wide, unit in units)
                for part in parts(words, width, made_of)
            )
            assert found.bram18 == expected * count, memory
    assert engine_blocks(parameters, silicon) == total


def test_a_depth_costs_what_its_parts_cost() -> None:
    """12,288 words cost 8,192 + 4,096, where one memory would cost 16,384; no depth costs a block more than that."""

    def cost(depth: int, memory: Memory, silicon: Silicon) -> int:
        found = blocks(memory, Parameters(**{f"{memory.name.lower()}_depth": depth}), silicon)  # type: ignore[arg-type]
        return found.bram18 + found.uram

    for memory in (Memory.WEIGHT, Memory.KV, Memory.BIAS, Memory.TABLE):
        for silicon in (Silicon(), Silicon(ultra=frozenset({memory}))):
            if memory is not Memory.TABLE:
                costs = {d: cost(d, memory, silicon) for d in (4096, 8192, 16384)}
                assert cost(12288, memory, silicon) == costs[8192] + costs[4096] < costs[16384]
            for depth in range(65, min(1 << 14, MEMORIES[memory].max_depth), 97):
                power = 1 << (depth - 1).bit_length()
                assert cost(depth, memory, silicon) <= cost(power, memory, silicon) + copies(
                    memory, Parameters()
                )


# Boards.


@pytest.mark.parametrize("board", built_in_boards(), ids=lambda board: board.name)
def test_the_engine_of_a_board_is_within_its_limits(board: Any) -> None:
    """Block RAM, UltraRAM and DSPs by formula; the rest of each is for the DMA and the interconnect."""
    found = engine_blocks(board.engine, board.silicon)
    assert found.bram18 <= 2 * board.limit("bram36")
    assert found.uram <= board.limit("uram")
    assert board.silicon.dsps(board.engine) <= board.limit("dsp")
    assert board.family == "xcup" or not found.uram


def test_limits_are_whole_and_below_the_capacity() -> None:
    assert {name: built_in_boards()[0].limit(name) for name in USABLE} == {
        "lut": 53200,
        "ff": 106400,
        "dsp": 198,
        "bram36": 119,
        "uram": 0,
    }
    for board in built_in_boards():
        assert all(0 <= board.limit(name) <= getattr(board, name) for name in USABLE)


@pytest.mark.parametrize(
    ("lanes", "silicon", "expected"),
    [
        (16, Silicon(pack_dsp=True), 199),
        (16, Silicon(pack_dsp=True, lut_columns=1), 191),
        (32, Silicon(), 1159),
        (8, Silicon(lut_columns=8), 39),
    ],
)
def test_dsps(lanes: int, silicon: Silicon, expected: int) -> None:
    assert silicon.dsps(Parameters(lanes=lanes)) == expected


# Through yosys.


@pytest.mark.slow
@pytest.mark.parametrize("latency", [1, 3])
@pytest.mark.parametrize(
    ("memory", "depth", "kind"),
    [
        (Memory.ACT, 12288, Style.BLOCK),
        (Memory.VECTOR, 2560, Style.BLOCK),
        (Memory.WIDE, 1536, Style.BLOCK),
        (Memory.BIAS, 10240, Style.BLOCK),
        (Memory.KV, 64, Style.LUTS),
        (Memory.STAT, 16, Style.LUTS),
        (Memory.SCORE, 128, Style.LUTS),
        (Memory.WEIGHT, 12288, Style.BLOCK),
        (Memory.WEIGHT, 64, Style.LUTS),
        (Memory.WEIGHT, 12288, Style.ULTRA),
        (Memory.ACT, 8192, Style.ULTRA),
    ],
)
def test_yosys_builds_what_the_formula_counts(memory: Memory, depth: int, kind: Style, latency: int) -> None:
    """And adds no registers of words, which would be for reads of a word that is written in the same cycle."""
    try:
        find_yosys()
    except UserError as error:
        pytest.skip(str(error))
    chosen = frozenset({memory})
    silicon = Silicon(
        ultra=chosen if kind is Style.ULTRA else frozenset(),
        luts=chosen if kind is Style.LUTS else frozenset(),
    )
    parameters = Parameters(**{f"{memory.name.lower()}_depth": depth})  # type: ignore[arg-type]
    assert style(memory, parameters, silicon) is kind
    width = MEMORIES[memory].bits(parameters.lanes)
    design = elaborate(
        "ng_ram_shared" if memory in SHARED else "ng_ram",
        {
            "Width": width,
            "Depth": depth,
            "Latency": latency,
            "Ultra": int(kind is Style.ULTRA),
            "Luts": int(kind is Style.LUTS),
        },
    )
    figures = synthesize(design, "xcup")
    cost = sum((cost_of(figures[part.name].cells) for _, part in design.instances()), Cost())
    expected = blocks(memory, parameters, silicon)
    assert (cost.bram18, cost.uram) == (expected.bram18, expected.uram)
    if kind is Style.BLOCK and latency == 1:
        # Only registers that select a part or a row of blocks: none of a word, for a read of a word that is written.
        assert cost.ff < 16 < width
