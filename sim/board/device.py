"""A device of pynq on which stock `Overlay`, `MMIO`, `DMA`, `allocate` and `Interrupt` run, with the RTL behind it."""

from __future__ import annotations

import asyncio
import os
import struct
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynq
from pynq import interrupt
from pynq.bitstream import Bitstream
from pynq.buffer import PynqBuffer
from pynq.pl_server.device import Device
from pynqmetadata.frontends import Metadata
from pynqmetadata.views.runtime import RuntimeMetadataParser

from ...errors import UserError
from ...hw import isa
from ...hw.isa import Parameters
from ...hw.synthesis.silicon import PLAIN, Silicon
from ..rtl.bus import Bus, Until
from .design import DESIGNS, LENGTH_BITS, RANGE
from .dma import Dma
from .faults import Faults
from .memory import Memory
from .overlay import is_virtual, overlay_files

_ACCESS_CYCLES = 16
"""Cycles of the engine's clock in which a register is read or written over the interconnect of a Zynq."""

_POLL_SHIFT = 6
"""Binary logarithm of the factor by which a read that is repeated often takes longer, for hosts that poll."""

_RESET_CYCLES = 100
"""Cycles from a configuration to the first access to a register."""

_STALLS = (100, 60)
"""Probabilities, in 256, that a cycle of a stream that stalls brings no beat to the engine, and takes none from it."""

_INTERRUPT_CYCLES = 5_000
"""Cycles after which a wait for the interrupt lets the other tasks of its event loop run."""

# Registers of the processing system that `pynq.Clocks` reads and writes: a PLL of 1,000 MHz (Zynq-7000) or 1,500 MHz
# (MPSoC), and clocks of 100 MHz behind it. UG585, appendix B.28, and UG1087, module CRL_APB.
_CLOCKS = {
    "zynq": {
        **dict.fromkeys((0xF8000100, 0xF8000104, 0xF8000108), 20 << 12),
        0xF8000120: 2 << 8,
        **dict.fromkeys((0xF8000170, 0xF8000180, 0xF8000190, 0xF80001A0), 5 << 8 | 2 << 20),
    },
    "zynqmp": {
        **dict.fromkeys((0xFF5E0020, 0xFF5E0030, 0xFD1A0020, 0xFD1A002C, 0xFD1A0038), 90 << 8 | 1 << 16),
        0xFD1A0060: 1 << 8,
        **dict.fromkeys((0xFF5E00C0, 0xFF5E00C4, 0xFF5E00C8, 0xFF5E00CC), 15 << 8 | 1 << 16 | 1 << 24),
    },
}

_NAMES = {register.address: register.name for register in isa.REGISTERS}


class BoardError(RuntimeError):
    """A driver did what hangs a board, or corrupts data on it, without any report."""


class VirtualDevice(Device):  # type: ignore[misc]
    """A board in this process. Simulated time passes in register accesses and in waits for the interrupt.

    The programmable logic is empty until an overlay is downloaded. All methods that simulate may be called from several
    threads; they take turns.

    Args:
        parameters: of the engine in the bitstream.
        silicon: the resources that it is built of; no result and no cycle depends on them.
        family: "zynq" (Zynq-7000, 32-bit addresses) or "zynqmp" (Zynq UltraScale+ MPSoC).
        address_bits: of the addresses of the DMA; None for those of the block design.
        faults: that the board will have.
        stalls: let the streams stall at random, as they do behind a memory that others use.
        waves: see `Bus`.

    Attributes:
        parameters, silicon, family, address_bits, faults: see above.
        memory: the contiguous buffers.
        name, arch, capabilities: see `pynq.Device` and its subclasses.

    Raises:
        UserError: there is no such family, or see `Bus`.
    """

    _probe_priority_ = 1000
    _number = 0

    @classmethod
    def _probe_(cls) -> list[Device]:
        """None: a virtual board exists only where it is created."""
        return []

    def __init__(
        self,
        parameters: Parameters,
        *,
        silicon: Silicon = PLAIN,
        family: str = "zynq",
        address_bits: int | None = None,
        faults: Faults | None = None,
        stalls: bool = False,
        waves: Path | None = None,
    ) -> None:
        if family not in DESIGNS:
            raise UserError(f"the family must be one of {', '.join(DESIGNS)}, got {family!r}.")
        VirtualDevice._number += 1
        super().__init__(f"virtual-{os.getpid()}-{VirtualDevice._number}")
        self.name = f"narrowgauge-virtual-{family}"
        self.arch = "armv7l" if family == "zynq" else "aarch64"
        self.capabilities = {"REGISTER_RW": True}
        self.family = family
        self.parameters = parameters
        self.faults = Faults() if faults is None else faults
        self.memory = Memory(family)
        self._design = DESIGNS[family]
        self._clocks = dict(_CLOCKS[family])
        self._lock = threading.RLock()
        self._bus = Bus(parameters, waves=waves, silicon=silicon)
        if stalls:
            self._bus.stall(_STALLS, seed=1)
        self.silicon = silicon
        self.address_bits = self._design.address_bits if address_bits is None else address_bits
        self._dma = Dma(self._bus, self.memory, self.address_bits, LENGTH_BITS, self.faults)
        self._configured = False
        self._reads: Counter[int] = Counter()

    @property
    def default_memory(self) -> VirtualDevice:
        """Where `pynq.allocate` allocates."""
        return self

    @property
    def cycles(self) -> int:
        """Clock cycles simulated so far."""
        return self._bus.cycles

    def allocate(self, shape: int | tuple[int, ...], dtype: Any, **options: Any) -> PynqBuffer:
        """See `pynq.allocate`."""
        with self._lock:
            return self.memory.allocate(self, shape, dtype, **options)

    def flush(self, bo: int, offset: int, ptr: int, size: int) -> None:
        """See `PynqBuffer.flush`."""
        with self._lock:
            self.memory.flush(bo, offset, size)

    def invalidate(self, bo: int, offset: int, ptr: int, size: int) -> None:
        """See `PynqBuffer.invalidate`."""
        with self._lock:
            self.memory.invalidate(bo, offset, size)

    def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> RuntimeMetadataParser:
        """The contents of the .hwh next to a bitstream, by pynq's parser."""
        parser = RuntimeMetadataParser(Metadata(input=str(Path(bitfile_name).with_suffix(".hwh"))))
        if self.family == "zynq":
            # pynq 4.0 finds no rate of a clock of Zynq-7000, and does not set a clock without one.
            parser.clock_dict = {}
        # pynq keeps the clocks of the first device of a process, which has one device on a board.
        if "_real_instance" in vars(pynq.Clocks):
            del pynq.Clocks._real_instance
        return parser

    def download(self, bitstream: Bitstream, parser: RuntimeMetadataParser | None = None) -> None:
        """Configures the board: engine and DMA are reset.

        Raises:
            UserError: the bitstream is not one that `overlay_files` wrote.
        """
        if not is_virtual(Path(bitstream.bitfile_name)):
            raise UserError(
                f"{bitstream.bitfile_name} is not the bitstream of a virtual board; open one with `open_overlay`."
            )
        with self._lock:
            self._bus.reset()
            self._dma.reset()
            self._bus.step(_RESET_CYCLES)
            self._configured = True
            # What pynq opens for the interrupt at this line of the processor, instead of a file /dev/uio*.
            interrupt._InterruptController._uio_devices[self._design.interrupt] = VirtualUio(self)
        self.post_download(bitstream, parser, self.name)

    def read_registers(self, address: int, length: int) -> bytes:
        """Reads words over the AXI4-Lite ports, see `pynq.mmio.MMIO`."""
        with self._lock:
            words = [self._read(address + offset) for offset in range(0, length, 4)]
        return struct.pack(f"<{len(words)}I", *words)

    def write_registers(self, address: int, data: bytes) -> None:
        """Writes words over the AXI4-Lite ports, see `pynq.mmio.MMIO`."""
        with self._lock:
            for number, (word,) in enumerate(struct.iter_unpack("<I", data)):
                self._write(address + 4 * number, word)

    def wait_interrupt(self, cycles: int) -> bool:
        """Simulates until the interrupt of the engine reaches the processor, at most some cycles.

        Returns:
            Whether it does.
        """
        until = Until(0) if self.faults.no_interrupt else Until.RAISED
        with self._lock:
            return self._advance(lambda: self._bus.step(cycles, until))

    def watch(self, watches: bool) -> None:
        """Starts or ends the record of the words that the engine writes. No board has this."""
        with self._lock:
            self._bus.watch(watches)

    @property
    def records(self) -> bytes:
        """The words written since `watch`: `hw.host.engine.record_type` of each."""
        with self._lock:
            return self._bus.records

    def close(self) -> None:
        """Frees the simulation. The device accepts no access afterwards; closing it again does nothing."""
        uios = interrupt._InterruptController._uio_devices
        found = uios.get(self._design.interrupt)
        if isinstance(found, VirtualUio) and found.device is self:
            del uios[self._design.interrupt]
        self._bus.close()

    def __enter__(self) -> VirtualDevice:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, address: int) -> int:
        if address in self._clocks:
            return self._clocks[address]
        base, offset = self._decoded(address)
        self._pass(_ACCESS_CYCLES << min(self._reads[address] // 2, _POLL_SHIFT))
        self._reads[address] += 1
        if base == self._design.dma:
            return self._dma.read(offset)
        held = self._bus.read_at(offset)
        return self.faults.registers.get(_NAMES.get(offset, ""), held)

    def _write(self, address: int, value: int) -> None:
        if address in self._clocks:
            self._clocks[address] = value
            return
        base, offset = self._decoded(address)
        self._pass(_ACCESS_CYCLES)
        self._reads.clear()
        if base == self._design.dma:
            self._dma.write(offset, value)
        else:
            self._bus.write_at(offset, value)

    def _pass(self, cycles: int) -> None:
        """Lets time pass in an access to a register."""
        if self._advance(lambda: self._bus.advance(cycles)):
            self._reads.clear()

    def _advance(self, simulate: Callable[[], bool]) -> bool:
        """Lets time pass. Returns what `simulate` returns.

        Raises:
            BoardError: the driver, the DMA or the engine has broken a rule.
        """
        changed = simulate()
        self._dma.update()
        broken = self._bus.broken or self.memory.broken
        if broken is not None:
            raise BoardError(broken)
        return changed

    def _decoded(self, address: int) -> tuple[int, int]:
        """The base address of the IP at an address, and the offset in it.

        Raises:
            BoardError: there is none; on a board, the processor gets a bus error.
        """
        for base in (self._design.engine, self._design.dma):
            if self._configured and base <= address < base + RANGE:
                return base, address - base
        raise BoardError(f"no IP is at the address {address:#x}")


class VirtualUio:
    """The interrupt of a virtual board, in place of `pynq.uio.UioController`, which opens a file /dev/uio*.

    pynq finds it by the number of the interrupt in its table of opened files, so no part of pynq is replaced.
    """

    def __init__(self, device: VirtualDevice) -> None:
        self.device = device
        self._events: list[Any] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def add_event(self, event: Any, number: int) -> None:
        """Sets an event when the interrupt is raised. Time passes meanwhile, in steps of the running event loop."""
        loop = asyncio.get_running_loop()
        if not self._events or loop is not self._loop:
            loop.call_soon(self._step, loop)
        self._loop = loop
        self._events.append(event)

    def _step(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop or not self._events:
            return
        try:
            raised = self.device.wait_interrupt(_INTERRUPT_CYCLES)
        except KeyboardInterrupt:
            # The loop may be run again.
            loop.call_soon(self._step, loop)
            raise
        if raised:
            events, self._events = self._events, []
            for event in events:
                event.set()
        else:
            loop.call_soon(self._step, loop)


def open_overlay(device: VirtualDevice, folder: Path) -> pynq.Overlay:
    """Writes the overlay of a device to a folder, see `overlay_files`, and downloads it."""
    bit = overlay_files(
        folder,
        device.parameters,
        silicon=device.silicon,
        family=device.family,
        address_bits=device.address_bits,
    )
    return pynq.Overlay(str(bit), device=device)
