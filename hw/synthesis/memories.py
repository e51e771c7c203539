"""Block RAMs, UltraRAMs and LUTs of the memories of an engine, as Vivado builds them from the parts of `ng_ram`.

The counts follow from the documents of the vendor; none was taken from its tools. On 7-series a memory whose depth is
no power of two takes the block RAMs of the next one (AR 61995, UG906), so `hw/rtl` divides each memory into parts with
a power of two of words. `style` and `parts` are the rules of `ng_pkg.sv`.

Limits: a part is made of blocks of one shape. Vivado may choose a shape that is faster and takes up to an eighth more,
which the limits in `boards.py` leave room for.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum

from ..isa import MEMORIES, Memory, Parameters
from .silicon import PLAIN, Silicon

_SIMPLE = ((512, 72, 2), (512, 36, 1), *((1024 << n, width, 1) for n, width in enumerate((18, 9, 4, 2, 1))))
"""Words, bits and units of 18 Kb of a block RAM with one write port and one read port (UG473, UG573).

A block of 36 Kb is two units, which have together twice the words or, of 18 bits and fewer, twice the width; only its
shape of 512 x 72 is none of two units.
"""

_SHARED = tuple(shape for shape in _SIMPLE if shape[1] <= 18)
"""The same with a second port that reads; 1,024 x 36 is two units of 1,024 x 18."""

_ULTRA = (4096, 72)
"""Words and bits of an UltraRAM, which has two ports of this width (UG573)."""

_SHARED_MEMORIES = frozenset({Memory.WEIGHT, Memory.TABLE, Memory.EXP})
"""Memories with two read ports (`ng_ram_shared`)."""

SHALLOW = 64
"""Memories of up to this many words are in LUTs: the depth of a distributed RAM with one LUT per bit and port."""


class Style(Enum):
    """What a memory is made of."""

    BLOCK = "block RAM"
    ULTRA = "UltraRAM"
    LUTS = "distributed RAM"


@dataclass(frozen=True)
class Blocks:
    """Resources of a memory.

    Attributes:
        bram18: block RAMs of 18 Kb; one of 36 Kb counts as two.
        uram: UltraRAMs.
        lut: LUTs of distributed RAM, without multiplexers between its parts.
    """

    bram18: int = 0
    uram: int = 0
    lut: int = 0

    def __add__(self, other: Blocks) -> Blocks:
        return Blocks(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __mul__(self, times: int) -> Blocks:
        return Blocks(*(times * getattr(self, f.name) for f in fields(self)))


def style(memory: Memory, parameters: Parameters, silicon: Silicon = PLAIN) -> Style:
    """What a memory of an engine is made of."""
    if memory in silicon.ultra:
        return Style.ULTRA
    if memory in silicon.luts or parameters.depth(memory) <= SHALLOW:
        return Style.LUTS
    return Style.BLOCK


def parts(depth: int, width: int, style: Style) -> tuple[int, ...]:
    """The words of the parts of a memory, the largest first: powers of two that hold at least `depth` words.

    Args:
        depth: words of the memory, at least 1.
        width: bits of a word.
        style: what the memory is made of; a part is at least as deep as the smallest block at this width.
    """
    if style is Style.ULTRA:
        least = _ULTRA[0]
    elif style is Style.LUTS:
        least = 32
    else:
        least = 512 if width > 18 else 1024 if width > 9 else 2048
    if depth <= least:
        return (1 << max(1, (depth - 1).bit_length()),)
    words = -(-depth // least) * least
    return tuple(1 << bit for bit in reversed(range(words.bit_length())) if words >> bit & 1)


def copies(memory: Memory, parameters: Parameters) -> int:
    """Copies of a memory: tables have one per two lanes, INDEX one per operand, the others one."""
    if memory in (Memory.TABLE, Memory.EXP):
        return parameters.lanes // 2
    return 2 if memory is Memory.INDEX else 1


def blocks(memory: Memory, parameters: Parameters, silicon: Silicon = PLAIN) -> Blocks:
    """Resources of a memory of an engine with all its copies."""
    width = MEMORIES[memory].bits(parameters.lanes)
    made_of = style(memory, parameters, silicon)
    shared = memory in _SHARED_MEMORIES
    each = (_part(words, width, made_of, shared) for words in parts(parameters.depth(memory), width, made_of))
    return sum(each, Blocks()) * copies(memory, parameters)


def engine_blocks(parameters: Parameters, silicon: Silicon = PLAIN) -> Blocks:
    """Resources of all memories of an engine."""
    return sum((blocks(memory, parameters, silicon) for memory in Memory), Blocks())


def _part(words: int, width: int, style: Style, shared: bool) -> Blocks:
    """Resources of a part."""
    if style is Style.ULTRA:
        return Blocks(uram=-(-words // _ULTRA[0]) * -(-width // _ULTRA[1]))
    if style is Style.LUTS:
        rows = -(-words // 64)
        if shared:
            # RAM64X1D: each of the two ports that read has its own LUT.
            return Blocks(lut=2 * width * rows)
        # RAM32M and RAM64M: four LUTs, of which one belongs to the port that writes.
        return Blocks(lut=4 * -(-width // (6 if words <= 32 else 3)) * rows)
    shapes = _SHARED if shared else _SIMPLE
    return Blocks(bram18=min(units * -(-words // deep) * -(-width // wide) for deep, wide, units in shapes))
