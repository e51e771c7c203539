"""The interrupt of the engine on a board."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from typing import Any
from xml.etree import ElementTree

from pynq.interrupt import Interrupt, _InterruptController
from pynq.uio import UioController

from .dma import DriverError
from .overlay import ENGINE_TYPE, find_ip, hwh_of

_INTERRUPT_PORTS = ("IRQ_F2P", "pl_ps_irq0")
"""The ports for interrupts of the processing systems of Zynq-7000 and MPSoC."""


def find_interrupt(overlay: Any, engine: Any, wanted: bool | None) -> Any:
    """The interrupt of the engine, of pynq.

    Args:
        overlay, engine: of pynq.
        wanted: see `Board`.

    Returns:
        None if it is not wanted, or there is none: no UIO device for its line, as where another image runs on the
        board, or no event loop in this thread.

    Raises:
        DriverError: there is none, and `wanted` is True.
    """
    if wanted is False:
        return None
    found = getattr(engine, "interrupt", None)
    line = _line(overlay) if found is None else None
    if line is not None:
        with contextlib.suppress(ValueError, OSError, RuntimeError):
            found = LineInterrupt(line)
    if wanted and found is None:
        raise DriverError("the engine has no interrupt on this board; open it with interrupt=False.")
    return found


class LineInterrupt(Interrupt):  # type: ignore[misc]
    """pynq's `Interrupt` at a line of the processor. pynq itself finds only pins behind an AXI interrupt controller.

    Args:
        line: number of the interrupt.

    Raises:
        ValueError, OSError: the system has no UIO device for this line.
        RuntimeError: this thread has no event loop.
    """

    def __init__(self, line: int) -> None:
        # pynq keeps controllers, and each reads in the event loop in which it was made.
        if isinstance(_InterruptController._uio_devices.get(line), UioController):
            del _InterruptController._uio_devices[line]
        pin = {"controller": "", "index": 0, "raw_irq": line}
        controller, self.number = _InterruptController.get_parent(pin)
        # pynq's table may get another controller for this line, and the parent is a weak reference.
        self._controller = controller
        self.parent = weakref.ref(controller)
        self.event = asyncio.Event()
        self.waiting = False


def _line(overlay: Any) -> int | None:
    """The number of the processor's interrupt that the engine is connected to directly; None if it is to none."""
    name, _ = find_ip(overlay, ENGINE_TYPE)
    module = ElementTree.parse(hwh_of(overlay)).find(f".//MODULE[@FULLNAME='/{name}']")
    if module is None:
        return None
    pins = module.findall("PORTS/PORT[@NAME='interrupt']/CONNECTIONS/CONNECTION")
    if not any(pin.get("PORT") in _INTERRUPT_PORTS for pin in pins):
        return None
    # The engine is alone at this port: its interrupt is the first one.
    return int(overlay.parser.ps.irq_map[0])
