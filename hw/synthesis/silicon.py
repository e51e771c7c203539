"""Silicon options of an engine: choices of `hw/rtl` that change no integer and no cycle."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..isa import Memory, Parameters

_WIDE_MULTIPLIERS = 7
"""DSPs of the multipliers that an engine has once: shared factors of the vector unit (5), and the strides of
indices in the feed (2)."""


@dataclass(frozen=True)
class Silicon:
    """Options in addition to `Parameters` that do not affect programs.

    Attributes:
        pack_dsp: a DSP multiplies for two rows of the array, with the sums in LUTs; otherwise a DSP multiplies and
            adds for one row.
        lut_columns: number of columns of the array without DSPs.
        ultra: memories in UltraRAM (UltraScale+ only).
        luts: memories in distributed RAM.

    Raises:
        ValueError: `lut_columns` is negative, or a memory is in both.
    """

    pack_dsp: bool = False
    lut_columns: int = 0
    ultra: frozenset[Memory] = frozenset()
    luts: frozenset[Memory] = frozenset()

    def __post_init__(self) -> None:
        if self.lut_columns < 0:
            raise ValueError(f"lut_columns must be at least 0, got {self.lut_columns}")
        for memory in self.ultra & self.luts:
            raise ValueError(f"{memory.name} memory is UltraRAM or distributed RAM, not both")

    def without_ultra(self) -> Silicon:
        """The same for a family without UltraRAM."""
        return replace(self, ultra=frozenset())

    def dsps(self, parameters: Parameters) -> int:
        """DSPs of an engine: the array, a square per lane of the drain, multipliers of the vector unit and the feed."""
        lanes = parameters.lanes
        array = (lanes - self.lut_columns) * (lanes // 2 if self.pack_dsp else lanes)
        return array + lanes + 3 * lanes + _WIDE_MULTIPLIERS

    def generics(self, parameters: Parameters) -> dict[str, int]:
        """The corresponding parameters of `ng_engine`.

        Raises:
            ValueError: the array has fewer columns than `lut_columns`.
        """
        if self.lut_columns > parameters.lanes:
            raise ValueError(f"lut_columns must be at most {parameters.lanes}, got {self.lut_columns}")
        return {
            "PackDsp": int(self.pack_dsp),
            "LutColumns": self.lut_columns,
            "UltraRam": sum(1 << memory for memory in self.ultra),
            "LutRam": sum(1 << memory for memory in self.luts),
        }


PLAIN = Silicon()
"""The default silicon options."""
