"""The memory of a board: contiguous buffers with physical addresses, and a cache that is not coherent with the DMA."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pynq.buffer import PynqBuffer

Bytes = npt.NDArray[np.uint8]

PAGE = 4096
"""Bytes of a page; a buffer is a number of whole pages."""

_STALE = 0xA5
"""What DRAM holds before it is written: nothing may depend on it."""


@dataclass(frozen=True)
class Region:
    """A range of physical addresses."""

    start: int
    size: int

    def holds(self, address: int, count: int) -> bool:
        """Whether `count` bytes from `address` on are in the region."""
        return self.start <= address and address + count <= self.start + self.size


@dataclass(frozen=True)
class MemoryMap:
    """Where memory and buffers are.

    Attributes:
        dram: what the memory port of the processing system decodes.
        large: where buffers are.
        small: where buffers of up to a page are. On an MPSoC these can get 64-bit addresses (PYNQ issue 1500).
    """

    dram: tuple[Region, ...]
    large: Region
    small: Region


_RESERVED = Region(0x1600_0000, 0x0800_0000)

MAPS = {
    # 512 MB.
    "zynq": MemoryMap((Region(0, 0x2000_0000),), _RESERVED, _RESERVED),
    # 2 GB below 4 GB, and 2 GB above.
    "zynqmp": MemoryMap(
        (Region(0, 0x8000_0000), Region(0x8_0000_0000, 0x8000_0000)),
        Region(0x7000_0000, 0x0800_0000),
        Region(0x8_7000_0000, 0x0800_0000),
    ),
}
"""The memory of a board, by the family of its device."""


class DecodeError(Exception):
    """An address is outside DRAM."""


class _Buffer:
    """An allocation.

    Attributes:
        address: of its first byte.
        cached: what the CPU reads and writes.
        synced: `cached` as it was when it was last written back or discarded.
        dram: what the DMA reads and writes.
    """

    def __init__(self, address: int, size: int) -> None:
        self.address = address
        self.cached = np.zeros(size, np.uint8)
        self.synced = self.cached.copy()
        self.dram = np.full(size, _STALE, np.uint8)


class Memory:
    """Contiguous buffers, allocated and freed by `pynq.allocate` and `PynqBuffer`.

    The DMA sees what the CPU has flushed, and the CPU sees what it has invalidated. Where a board would corrupt data in
    silence, the first such event is reported in `broken`.

    Args:
        family: of the device, a key of `MAPS`.

    Attributes:
        map: the addresses.
        broken: what the host or the DMA did that a board does not report, if anything.
    """

    def __init__(self, family: str) -> None:
        self.map = MAPS[family]
        self.broken: str | None = None
        self._buffers: dict[int, _Buffer] = {}
        self._busy: dict[str, tuple[int, int]] = {}
        self._number = 0

    def allocate(
        self, device: Any, shape: int | tuple[int, ...], dtype: Any, cacheable: int = 1, **_: object
    ) -> PynqBuffer:
        """A buffer, of whole pages. See `pynq.allocate`; every buffer is cacheable, as on a board.

        Raises:
            RuntimeError: there is no room.
        """
        count = math.prod(shape) if isinstance(shape, tuple) else shape
        size = count * np.dtype(dtype).itemsize
        pages = -(-max(size, 1) // PAGE) * PAGE
        buffer = _Buffer(self._place(pages), pages)
        self._number += 1
        self._buffers[self._number] = buffer
        array = PynqBuffer(
            shape,
            dtype,
            buffer=buffer.cached,
            bo=self._number,
            device=device,
            device_address=buffer.address,
            coherent=False,
        )
        # `PynqBuffer.freebuffer` then calls `return_pointer`, once, and does not unmap memory, as it would on a board.
        array.memory, array.pointer, array.return_to, array.freed = self, self._number, self, True
        return array

    def return_pointer(self, number: int) -> None:
        """Frees a buffer."""
        buffer = self._buffers.pop(number, None)
        if buffer is None:
            return
        for name, (address, count) in self._busy.items():
            if address < buffer.address + len(buffer.dram) and buffer.address < address + count:
                self._breaks(f"a buffer was freed while the {name} channel used it")

    def flush(self, number: int, offset: int, count: int) -> None:
        """Writes the CPU's words back to DRAM."""
        buffer, part = self._part(number, offset, count)
        buffer.dram[part] = buffer.synced[part] = buffer.cached[part]

    def invalidate(self, number: int, offset: int, count: int) -> None:
        """Discards the CPU's words: it reads those in DRAM."""
        buffer, part = self._part(number, offset, count)
        if not np.array_equal(buffer.cached[part], buffer.synced[part]):
            # The cache may have written them back at any time, over those of the DMA.
            self._breaks("words that the CPU had written were not flushed before they were invalidated")
        buffer.cached[part] = buffer.synced[part] = buffer.dram[part]

    def uses(self, name: str, address: int, count: int) -> None:
        """Notes that a channel of the DMA uses these bytes until `releases`."""
        self._busy[name] = address, count

    def releases(self, name: str) -> None:
        """Ends the use of a channel's bytes."""
        self._busy.pop(name, None)

    def read(self, address: int, count: int) -> bytes:
        """What the DMA reads.

        Raises:
            DecodeError: the bytes are not all in DRAM.
        """
        found = self._find(address, count)
        return bytes(count) if found is None else found.tobytes()

    def write(self, address: int, content: bytes) -> None:
        """What the DMA writes.

        Raises:
            DecodeError: the bytes are not all in DRAM.
        """
        found = self._find(address, len(content))
        if found is not None:
            found[:] = np.frombuffer(content, np.uint8)

    def check(self, address: int, count: int) -> None:
        """Checks addresses that the DMA will use.

        Raises:
            DecodeError: the bytes are not all in DRAM.
        """
        if not any(region.holds(address, count) for region in self.map.dram):
            raise DecodeError

    def _find(self, address: int, count: int) -> Bytes | None:
        """The bytes in DRAM, None where no buffer holds them."""
        self.check(address, count)
        for buffer in self._buffers.values():
            start = address - buffer.address
            if start >= 0 and start + count <= len(buffer.dram):
                return buffer.dram[start : start + count]
        self._breaks(f"the DMA used {count} bytes at {address:#x}, which are not in one buffer")
        return None

    def _part(self, number: int, offset: int, count: int) -> tuple[_Buffer, slice]:
        if number not in self._buffers:
            raise RuntimeError("the buffer has been freed")
        return self._buffers[number], slice(offset, offset + count)

    def _place(self, size: int) -> int:
        """The first address with room for whole pages."""
        region = self.map.small if size <= PAGE else self.map.large
        address = region.start
        for buffer in sorted(self._buffers.values(), key=lambda buffer: buffer.address):
            end = buffer.address + len(buffer.dram)
            if buffer.address < address + size and address < end:
                address = end
        if not region.holds(address, size):
            raise RuntimeError(f"no room for a contiguous buffer of {size} bytes")
        return address

    def _breaks(self, rule: str) -> None:
        self.broken = self.broken or rule
