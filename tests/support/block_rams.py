"""Bits and block RAMs of the engine's memories, computed from its parameters."""

from __future__ import annotations

from collections.abc import Mapping

from narrowgauge.hw.isa import MEMORIES, Memory, Parameters

_SHAPES = ((512, 72), (1024, 36), (2048, 18), (4096, 9), (8192, 4), (16384, 2), (32768, 1))
"""Words and bits of a block RAM of 36 Kb with one write port and one read port (UG473, UG573)."""

_SHARED_SHAPES = _SHAPES[1:]
"""The same with two read ports, which are at most 36 bits wide."""


def bits(parameters: Parameters) -> dict[Memory, int]:
    """Bits of each memory, not counting copies."""
    return {memory: parameters.depth(memory) * MEMORIES[memory].bits(parameters.lanes) for memory in Memory}


def copies(parameters: Parameters) -> Mapping[Memory, int]:
    """Copies of each memory: tables have one per two lanes, INDEX one per operand, the others one."""
    pairs = parameters.lanes // 2
    return dict.fromkeys(Memory, 1) | {Memory.TABLE: pairs, Memory.EXP: pairs, Memory.INDEX: 2}


def block_rams(memory: Memory, parameters: Parameters) -> int:
    """The minimum number of block RAMs of 18 Kb for a memory with all its copies, tiled from equal shapes.

    Two of them form one of 36 Kb: half the words at the same width, except at 512 x 72 and with two reading ports.
    """
    width, depth = MEMORIES[memory].bits(parameters.lanes), parameters.depth(memory)
    shapes = _SHARED_SHAPES if memory in (Memory.WEIGHT, Memory.TABLE, Memory.EXP) else _SHAPES
    each = min(-(-depth // (words // 2)) * -(-width // lane) for words, lane in shapes if words > 512)
    wide = min(2 * -(-depth // words) * -(-width // lane) for words, lane in shapes)
    return min(each, wide) * copies(parameters)[memory]
