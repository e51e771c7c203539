"""The registers of the engine on a board, by their names: `docs/isa.md`, section 9."""

from __future__ import annotations

import pynq

from ..hw import isa
from ..hw.isa import Memory, Parameters
from .dma import DriverError
from .overlay import ENGINE_TYPE

CLEAR = 1 << 31
"""CONTROL.clear."""

IDLE, DONE, ERROR = 1, 2, 4
"""Bits of STATUS."""

_REGISTERS = {register.name: register.address for register in isa.REGISTERS}


class EngineIP(pynq.DefaultIP):
    """The registers of the engine by their names, and its interrupt. pynq binds it to the engine of an overlay."""

    bindto = (ENGINE_TYPE,)

    def get(self, name: str) -> int:
        """Reads a register."""
        return int(self.mmio.read(_REGISTERS[name]))

    def set(self, name: str, value: int) -> None:
        """Writes a register."""
        # pynq takes nothing but a plain int.
        self.mmio.write(_REGISTERS[name], int(value))

    @property
    def parameters(self) -> Parameters:
        """The parameters that the engine is built with.

        Raises:
            DriverError: identification or version are not those of this driver, or a parameter is out of range.
        """
        for name, wanted in (("ID", isa.ENGINE_ID), ("VERSION", isa.ISA_VERSION)):
            found = self.get(name)
            if found != wanted:
                raise DriverError(
                    f"the register {name} of the engine must be {wanted:#x}, got {found:#x}; build the bitstream by "
                    "this version of narrowgauge."
                )
        values = {isa.depth_name(memory): self.get(isa.depth_name(memory).upper()) for memory in Memory}
        try:
            return Parameters(lanes=self.get("LANES"), acc_bits=self.get("ACC_BITS"), **values)
        except ValueError as error:
            raise DriverError(
                f"the registers describe no engine: {error}; load the bitstream again."
            ) from None
