"""Pass: lay out the constants of a model in memories; the image that holds them, and the LOADs that read it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np

from ...fixedpoint import IntArray
from .. import isa
from ..isa import TABLE_WORDS, Load, Memory


@dataclass
class Image:
    """The constants of each memory, in the order in which they were added.

    Args:
        lanes: N.
    """

    lanes: int
    words: dict[Memory, list[bytes]] = field(default_factory=dict)
    depth: dict[Memory, int] = field(default_factory=dict)
    _known: dict[tuple[Memory, bytes], int] = field(default_factory=dict)

    def matrix(self, weights: IntArray) -> int:
        """Adds a weight of shape (tiles, reduction, N), stored as [tile][reduction], and returns its address."""
        return self._add(Memory.WEIGHT, np.ascontiguousarray(weights, np.int8).reshape(-1, self.lanes))

    def rows(self, weights: IntArray) -> int:
        """Adds a matrix (rows, reduction), its rows in zero-padded tiles of N, and returns its address."""
        return self.matrix(tiles(weights, self.lanes))

    def bias(self, bias: IntArray) -> int:
        """Adds 32-bit biases, one per word, and returns their address."""
        return self._add(Memory.BIAS, np.asarray(bias, np.int64).reshape(-1, 1))

    def norm(self, gamma: IntArray, beta: IntArray) -> int:
        """Adds gamma and beta of a LayerNorm, one feature per word, and returns their address."""
        packed = (np.asarray(beta, np.int64) & 0xFFFFFFFF) | ((np.asarray(gamma, np.int64) & 0xFFF) << 32)
        return self._add(Memory.NORM, packed.reshape(-1, 1))

    def table(self, entries: IntArray) -> int:
        """Adds a function table and returns its number; equal tables are stored once."""
        return (
            self._add(Memory.TABLE, np.asarray(entries, np.int64).reshape(-1, 1), share=True) // TABLE_WORDS
        )

    def exp(self, entries: IntArray) -> int:
        """Adds an exponential table and returns its number; equal tables are stored once."""
        return self._add(Memory.EXP, np.asarray(entries, np.int64).reshape(-1, 1), share=True) // TABLE_WORDS

    def loads(self) -> tuple[Load, ...]:
        """The instruction list `init`, which reads the image."""
        most = (1 << isa.WEIGHT_ADDRESS_BITS) - 1
        return tuple(
            Load(memory=memory, base=start, count=min(most, self.depth[memory] - start))
            for memory in self.words
            for start in range(0, self.depth[memory], most)
        )

    def packet(self) -> bytes:
        """The image: the beats that `loads` reads."""
        return b"".join(b"".join(parts) for parts in self.words.values())

    def crc(self) -> int:
        """CRC-32 of the image."""
        value = 0
        for parts in self.words.values():
            for part in parts:
                value = zlib.crc32(part, value)
        return value

    def _add(self, memory: Memory, data: IntArray, share: bool = False) -> int:
        if memory is Memory.WEIGHT:
            content = data.tobytes()
        else:
            beats = isa.MEMORIES[memory].beats(self.lanes)
            mask = (1 << isa.MEMORIES[memory].bits(self.lanes)) - 1
            content = (data.astype(np.int64) & mask).astype(f"<u{8 * beats}").tobytes()
        if share and (memory, content) in self._known:
            return self._known[memory, content]
        address = self.depth.get(memory, 0)
        self.words.setdefault(memory, []).append(content)
        self.depth[memory] = address + len(data)
        self._known[memory, content] = address
        return address


def tiles(weights: IntArray, lanes: int) -> IntArray:
    """A matrix (rows, reduction) as (tiles, reduction, lanes); the last tile is zero-padded."""
    rows, inner = weights.shape
    count = -(-rows // lanes)
    padded = np.zeros((count * lanes, inner), np.int8)
    padded[:rows] = weights
    return padded.reshape(count, lanes, inner).transpose(0, 2, 1)


def lanes_of(table: IntArray, lanes: int) -> IntArray:
    """A matrix (rows, features) as words [row][tile of features] with features in the lanes, zero-padded."""
    rows, features = table.shape
    count = -(-features // lanes)
    padded = np.zeros((rows, count * lanes), np.int8)
    padded[:, :features] = table
    return padded.reshape(rows * count, lanes)
