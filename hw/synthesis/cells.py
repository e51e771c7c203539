"""The cost of each primitive of the Xilinx families: LUTs, flip-flops, DSPs, block RAMs, UltraRAMs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Cost:
    """Resources. Two small functions that could share a LUT count as two.

    Attributes:
        lut: look-up tables of six inputs, including those used as memories or shift registers.
        ff: flip-flops.
        dsp: DSP48E1 or DSP48E2.
        bram18: block RAMs of 18 Kb; one of 36 Kb counts as two.
        uram: UltraRAMs.
        latch: latches; a synchronous design has none.
    """

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram18: int = 0
    uram: int = 0
    latch: int = 0

    @property
    def bram36(self) -> float:
        """Block RAMs as the data sheets count them: 36 Kb each."""
        return self.bram18 / 2

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __mul__(self, times: int) -> Cost:
        return Cost(*(times * getattr(self, f.name) for f in fields(self)))


_LUTS = {
    "INV": 1,
    "SRL16E": 1,
    "SRLC16E": 1,
    "SRLC32E": 1,
    "RAM16X1S": 1,
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM16X1D": 2,
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1S": 2,
    "RAM128X1D": 4,
    "RAM256X1S": 4,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM256X1D": 8,
    "RAM512X1S": 8,
    "RAM32M16": 8,
    "RAM64M8": 8,
    "RAM32X16DR8": 8,
    "RAM64X8SW": 8,
}
"""LUTs of memories and shift registers in LUTs (UG953, UG974); an inverter is a LUT unless it is absorbed."""

_KINDS: tuple[tuple[str, Cost], ...] = (
    (r"LUT[1-6]", Cost(lut=1)),
    (r"FD[RSCP]E(_1)?", Cost(ff=1)),
    (r"LD[CP]E(_1)?", Cost(latch=1)),
    (r"DSP48E[12]", Cost(dsp=1)),
    (r"RAMB36E[12]", Cost(bram18=2)),
    (r"RAMB18E[12]", Cost(bram18=1)),
    (r"URAM288(_BASE)?", Cost(uram=1)),
    # No cost: parts of the slices of the LUTs, constants, clock buffers, and names of removed cells.
    (r"CARRY[48]|MUXF[789]|GND|VCC|BUFG|\$scopeinfo", Cost()),
)


def cost_of(cells: Mapping[str, int]) -> Cost:
    """The total cost of cells, given the number of each type.

    Raises:
        ValueError: the cost of a type is unknown.
    """
    total = Cost()
    for name, count in cells.items():
        if name in _LUTS:
            cost = Cost(lut=_LUTS[name])
        else:
            costs = [cost for pattern, cost in _KINDS if re.fullmatch(pattern, name)]
            if not costs:
                raise ValueError(f"the cost of the cell {name} is unknown")
            (cost,) = costs
        total += cost * count
    return total
