"""A virtual board with the driver of real ones, as an engine: the level `virtual`. Needs pynq and Verilator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..compilecache import cache_folder
from ..hw.host.engine import OnWrite, report_writes
from ..hw.isa import Parameters
from ..sim.board.device import VirtualDevice, open_overlay
from ..sim.board.faults import Faults
from ..sim.levels.engines import roomy
from .board import Board

_SECONDS = 300.0
"""The usual time limit of a command: a simulation is at least a hundred times slower than a board."""


class VirtualBoard(Board):
    """`Board` on a device of its own, which it closes. Unlike on a board, the words that the engine writes are seen.

    Args:
        needs: the parameters of the programs that it is to run; the engine is `roomy`, as that of the level `rtl`.
        family, faults, stalls, waves: see `VirtualDevice`.
        timeout, interrupt: see `Board`.

    Attributes:
        device: the board.

    Raises:
        UserError: Verilator, g++ or make is missing.
        DriverError: see `Board`.
    """

    def __init__(
        self,
        needs: Parameters,
        *,
        family: str = "zynq",
        faults: Faults | None = None,
        stalls: bool = False,
        waves: Path | None = None,
        timeout: float = _SECONDS,
        interrupt: bool | None = None,
    ) -> None:
        self.device = VirtualDevice(roomy(needs), family=family, faults=faults, stalls=stalls, waves=waves)
        try:
            overlay = open_overlay(self.device, cache_folder("overlays"))
            super().__init__(overlay, timeout=timeout, interrupt=interrupt)
        except BaseException:
            self.device.close()
            raise

    def run(
        self, packet: bytes, lengths: Sequence[int], on_write: OnWrite | None = None, *, last: bool = True
    ) -> bytes:
        """See `Engine.run`; `on_write` is called when the command has ended without an error."""
        self.device.watch(on_write is not None)
        results = super().run(packet, lengths, last=last)
        if on_write is not None:
            report_writes(self.device.records, self.parameters.lanes, on_write)
        return results

    def close(self) -> None:
        """See `Engine.close`."""
        super().close()
        self.device.close()
