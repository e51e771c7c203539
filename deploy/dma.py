"""The AXI DMA of an overlay: pynq's stock driver, with time limits, errors in words, a reset, and safe buffers.

The stock driver waits without a limit, and has no reset. Registers and behaviour are those of AMD's product guide PG021
(AXI DMA 7.1, direct register mode).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pynq

from ..errors import UserError

DMA_TYPE = "xilinx.com:ip:axi_dma:7.1"
"""The VLNV of the IP, which the stock driver is bound to."""

LEAST_BYTES = 8192
"""Size of the smallest buffer. On MPSoC, XRT may place a buffer of up to 4 KB above 4 GB (PYNQ, issue 1500)."""

_CONTROL, _STATUS = 0x00, 0x04
_SEND, _RECEIVE = 0x00, 0x30
"""Offsets of the registers of the channels MM2S and S2MM."""

_RUN, _RESET = 1 << 0, 1 << 2
"""Bits of DMACR."""

_HALTED, _IDLE = 1 << 0, 1 << 1
"""Bits of DMASR."""

_ERRORS = {
    1 << 4: "internal error (DMAIntErr): the packet is longer than its buffer, or a write to memory failed",
    1 << 5: "slave error (DMASlvErr): the memory port refused an access",
    1 << 6: "decode error (DMADecErr): no memory is at the address of the buffer",
}
"""Error bits of DMASR in words."""

_LEFT: list[Any] = []
"""Buffers of a DMA that did not end its transfer and its reset: they are never freed, because it may still use them."""

Steps = Generator[None, None, Any]
"""What takes time: it yields while it waits, and returns a result."""


class DriverError(UserError):
    """The board did not do what the driver asked of it; the message says what to do.

    After one, the driver accepts no command until it is cleared.
    """


class Deadline:
    """A time limit.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return self.left < 0

    @property
    def left(self) -> float:
        """The seconds that are left; negative afterwards."""
        return self._end - time.monotonic()


def finish(steps: Steps) -> Any:
    """The result of `steps`; this thread sleeps between the steps of a long wait."""
    polls = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        polls += 1
        # A sentence takes less than a millisecond; a sleep would make it longer.
        if polls > 1000:
            time.sleep(1e-4)


class Buffer:
    """Contiguous memory for one channel, allocated once; it grows with the packets and is reused.

    Args:
        device: of pynq.
        check: checks an allocation; see `Dma.check_buffer`.
    """

    def __init__(self, device: Any, check: Callable[[Any], None]) -> None:
        self._device = device
        self._check = check
        self._array: Any = None

    def part(self, size: int) -> Any:
        """The first bytes of the buffer. The channel must have no transfer in progress.

        Raises:
            DriverError: there is no memory, or the DMA can't use what there is.
        """
        if self._array is None or self._array.nbytes < size:
            self._array = None
            room = max(LEAST_BYTES, 1 << (size - 1).bit_length())
            try:
                array = pynq.allocate(shape=(room,), dtype=np.uint8, target=self._device)
            except (RuntimeError, MemoryError, OSError) as error:
                raise DriverError(
                    f"no contiguous memory of {room:,} bytes ({error}); close other programs that use the board."
                ) from None
            # One that the DMA can't use is not kept: the next transfer would go to another address.
            self._check(array)
            self._array = array
        return self._array[:size]

    def free(self) -> None:
        """Frees the memory. The DMA must not use it any more."""
        self._array = None


class Channel:
    """One channel.

    Args:
        name: for messages.
        stock: the channel of the stock driver.
        mmio: the registers of the DMA.
        offset: of the registers of the channel.
    """

    def __init__(self, name: str, stock: Any, mmio: Any, offset: int) -> None:
        self.name = name
        self._stock = stock
        self._mmio = mmio
        self._offset = offset
        self._view: Any = None

    @property
    def active(self) -> bool:
        """Whether a transfer has been started that has been neither finished nor reset; the DMA may use its buffer."""
        return self._view is not None

    def start(self, view: Any) -> None:
        """Starts a transfer from or to a part of a buffer. One must not be in progress.

        Raises:
            DriverError: the stock driver refuses it.
        """
        # Before the transfer: a signal may end this function at any place.
        self._view = view
        try:
            self._stock.transfer(view)
        except (RuntimeError, ValueError) as error:
            self._view = None
            raise DriverError(f"the {self.name} channel of the DMA refuses the transfer: {error}.") from None

    @property
    def over(self) -> bool:
        """Whether the transfer has ended.

        Raises:
            DriverError: it has ended with an error.
        """
        status = self._mmio.read(self._offset + _STATUS)
        for bit, meaning in _ERRORS.items():
            if status & bit:
                raise DriverError(
                    f"the {self.name} channel of the DMA stopped with an {meaning}; repeat the sentence, and if the "
                    "error remains, run narrowgauge-board selftest."
                )
        if status & _HALTED:
            raise DriverError(
                f"the {self.name} channel of the DMA was halted by another program; close that program."
            )
        return bool(status & _IDLE)

    def finish(self) -> int:
        """Ends a transfer that is over: the number of bytes that were transferred."""
        # It does not wait here, because the transfer is over; it makes received bytes visible.
        self._stock.wait()
        self._view = None
        return int(self._stock.transferred)

    def begin(self, deadline: Deadline) -> Steps:
        """Lets the channel run, after a reset.

        Raises:
            DriverError: it remains halted.
        """
        self._mmio.write(self._offset + _CONTROL, _RUN)
        while self._mmio.read(self._offset + _STATUS) & _HALTED:
            if deadline.passed:
                raise DriverError(
                    f"the {self.name} channel of the DMA does not start; load the overlay again."
                )
            yield
        if self._stock is not None:
            # Waits without a limit for the bit that has just been read.
            self._stock.start()
        self._view = None


class Dma:
    """Both channels of a DMA, reset and running.

    Args:
        description: its entry in `Overlay.ip_dict`.
        device: of pynq.
        driver: returns the stock driver. It is called after the reset: the driver waits without a limit for channels
            that start, and they do not after an error.
        timeout: seconds for a reset.

    Attributes:
        send, receive: the channels MM2S and S2MM.
        max_bytes: of a transfer.

    Raises:
        DriverError: the DMA does not react, or is not configured as the engine needs it.
    """

    def __init__(
        self, description: dict[str, Any], device: Any, driver: Callable[[], Any], timeout: float
    ) -> None:
        self._timeout = timeout
        self._parameters = description.get("parameters", {})
        self._check_configuration()
        self._mmio = pynq.MMIO(description["phys_addr"], description["addr_range"], device=device)
        self.send = Channel("send", None, self._mmio, _SEND)
        self.receive = Channel("receive", None, self._mmio, _RECEIVE)
        finish(self.reset())
        stock = driver()
        self.send = Channel("send", stock.sendchannel, self._mmio, _SEND)
        self.receive = Channel("receive", stock.recvchannel, self._mmio, _RECEIVE)
        # The stock driver may be older than the reset.
        finish(self._begin())
        self.max_bytes = int(stock.buffer_max_size)

    def reset(self) -> Steps:
        """Resets both channels, and lets them run. No transfer is in progress afterwards: buffers may be freed.

        PG021: DMACR.Reset of either channel resets the whole DMA; transfers to memory are completed first.

        Raises:
            DriverError: the DMA does not end its reset.
        """
        deadline = Deadline(self._timeout)
        self._mmio.write(_SEND + _CONTROL, _RESET)
        while self._mmio.read(_SEND + _CONTROL) & _RESET or self._mmio.read(_RECEIVE + _CONTROL) & _RESET:
            if deadline.passed:
                raise DriverError("the DMA does not end its reset; load the overlay again.")
            yield
        yield from self._begin()

    def check_length(self, size: int) -> None:
        """Checks the size of a packet, which can't be split: the DMA ends every transfer with TLAST.

        Raises:
            DriverError: it is too long for a transfer.
        """
        if size > self.max_bytes:
            raise DriverError(
                f"a packet must have at most {self.max_bytes:,} bytes, the longest transfer of this DMA, got {size:,}; "
                "build the overlay with a larger c_sg_length_width (at most 26)."
            )

    def check_buffer(self, array: Any) -> None:
        """Checks where a buffer is. The stock driver checks its alignment.

        Raises:
            DriverError: the DMA does not reach it.
        """
        address, bits = int(array.physical_address), self._parameter("c_addr_width", 32)
        if address + array.nbytes > 1 << bits:
            raise DriverError(
                f"a buffer must be below the address {1 << bits:#x}, because the DMA has {bits} address bits, got one "
                f"at {address:#x}; build the overlay with a larger c_addr_width."
            )

    def keep(self, *buffers: object) -> None:
        """Keeps buffers for ever: the DMA did not end its reset, and may still use them."""
        _LEFT.append((self, buffers))

    def _begin(self) -> Steps:
        for channel in (self.send, self.receive):
            yield from channel.begin(Deadline(self._timeout))

    def _check_configuration(self) -> None:
        for name, default, wanted, words in (
            ("c_include_sg", 0, 0, "no scatter-gather engine"),
            ("c_micro_dma", 0, 0, "no micro mode"),
            ("c_include_mm2s", 1, 1, "a send channel (MM2S)"),
            ("c_include_s2mm", 1, 1, "a receive channel (S2MM)"),
            ("c_m_axis_mm2s_tdata_width", 64, 64, "a send stream of 64 bits"),
            ("c_s_axis_s2mm_tdata_width", 64, 64, "a receive stream of 64 bits"),
        ):
            found = self._parameter(name, default)
            if found != wanted:
                raise DriverError(
                    f"the DMA of the overlay must have {words} ({name} = {wanted}), got {found}; build the overlay by "
                    "the scripts of this project."
                )

    def _parameter(self, name: str, default: int) -> int:
        """A parameter of the IP, as it is in the .hwh."""
        return int(self._parameters.get(name, self._parameters.get(name.upper(), default)))
