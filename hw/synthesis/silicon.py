"""What silicon an engine is made of: choices of `hw/rtl` that change no integer and no cycle."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..isa import Memory, Parameters


@dataclass(frozen=True)
class Silicon:
    """Choices beside `Parameters`: a program knows nothing of them.

    Attributes:
        pack_dsp: a DSP multiplies for two rows of the array, and the sums are in LUTs; otherwise a DSP multiplies and
            adds for one.
        lut_columns: columns of the array, of N, that are made without DSPs.
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
            raise ValueError(f"an array has no {self.lut_columns} columns")
        for memory in self.ultra & self.luts:
            raise ValueError(f"{memory.name} memory is UltraRAM or distributed RAM, not both")

    def without_ultra(self) -> Silicon:
        """The same in a family that has no UltraRAM."""
        return replace(self, ultra=frozenset())

    def generics(self, parameters: Parameters) -> dict[str, int]:
        """The parameters of `ng_engine` that say so.

        Raises:
            ValueError: the array has fewer columns than `lut_columns`.
        """
        if self.lut_columns > parameters.lanes:
            raise ValueError(f"{self.lut_columns} of {parameters.lanes} columns can't be made without DSPs")
        return {
            "PackDsp": int(self.pack_dsp),
            "LutColumns": self.lut_columns,
            "UltraRam": sum(1 << memory for memory in self.ultra),
            "LutRam": sum(1 << memory for memory in self.luts),
        }


PLAIN = Silicon()
"""What the engine is made of where nothing is said."""
