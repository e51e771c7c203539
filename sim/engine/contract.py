"""CONTRACT, vectorized: all tiles of an instruction are one batched matrix product and one drain.

The products are computed in floating point, which is exact here: a sum of nk products of 8-bit numbers stays below
2^24 (float32) or 2^53 (float64). Everything after them is in int32, whose wrapping is the engine's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ...fixedpoint import IntArray
from ...hw.isa import (
    STAT_COUNT_BITS,
    STAT_SQUARE_BITS,
    STAT_SUM_BITS,
    TABLE_WORDS,
    Contract,
    Count,
    Error,
    Indexed,
    Memory,
    Space,
    Stat,
)
from .memories import LANE_TYPES, FaultError, Memories, Place, Statistic, wrap

_PIECE_NUMBERS = 1 << 23
"""The largest number of elements of an operand or of the accumulators in memory at a time."""

Words = tuple[Memory, IntArray]
"""Addresses in a memory."""


@dataclass(frozen=True)
class Written:
    """The words that an instruction wrote, and their values before its table, if it has one."""

    memory: Memory
    addresses: IntArray
    words: IntArray
    before_table: IntArray | None = None


@dataclass(frozen=True)
class _Operand:
    """A or B: how its addresses follow from the loops 0, 1, 2 and k."""

    space: Space
    base: int
    strides: tuple[int, int, int, int]
    indexed: Indexed
    column: int
    index_stride: int
    dtype: type[np.int8] | type[np.uint8]

    @classmethod
    def of(cls, c: Contract, name: str) -> _Operand:
        strides = tuple(getattr(c, f"{name}_stride{loop}") for loop in "012k")
        return cls(
            getattr(c, f"{name}_space"),
            getattr(c, f"{name}_base"),
            strides,  # type: ignore[arg-type]
            getattr(c, f"{name}_indexed"),
            getattr(c, f"{name}_column"),
            getattr(c, f"{name}_index_stride"),
            np.uint8 if name == "b" and c.b_unsigned else np.int8,
        )

    @property
    def loop(self) -> int | None:
        """The loop that counts the tokens whose index is added."""
        return {Indexed.NONE: None, Indexed.LOOP0: 0, Indexed.LOOPK: 3}[self.indexed]

    def addresses(self, start: tuple[int, ...], counts: tuple[int, ...]) -> IntArray:
        """Addresses without the index, one axis per loop, of length 1 if the loop does not change the address."""
        found = np.full((1, 1, 1, 1), self.base, np.intp)
        for axis, (first, count, stride) in enumerate(zip(start, counts, self.strides, strict=True)):
            if stride or not count:
                found = found + ((first + np.arange(count)) * stride).reshape(_axis(axis, 4))
        return found


def _axis(axis: int, dims: int) -> tuple[int, ...]:
    return tuple(-1 if d == axis else 1 for d in range(dims))


@dataclass
class ContractPlan:
    """A CONTRACT with known loop counts: everything that does not depend on the contents of memories.

    Attributes:
        c: the instruction.
        lanes: N.
        counts: of the loops 0, 1, 2 and k.
        rows: words to drain over all of loop 2.
    """

    c: Contract
    lanes: int
    counts: tuple[int, int, int, int]
    rows: int
    _kept: dict[str, IntArray] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        c = self.c
        self.a, self.b = _Operand.of(c, "a"), _Operand.of(c, "b")
        n0, n1, n2, nk = self.counts
        self.words = 0 if c.keep else min(self.rows, n2 * self.lanes)
        self.reads_any = min(self.counts) > 0
        self.drains_any = min(n0, n1, self.words) > 0
        row = np.arange(self.words)
        self.top = -1
        if self.drains_any:
            word = row // self.lanes * c.c_stride2 + row % self.lanes * c.c_stridew
            self.top = (n0 - 1) * c.c_stride0 + (n1 - 1) * c.c_stride1 + int(word.max())
        exact = nk * 128 * (255 if c.b_unsigned else 128)
        self.dtype = np.float32 if exact <= 1 << 24 else np.float64
        self.target = Memory(c.c_space)
        tiles = n0 * n1 * n2
        self.steps = tiles * max(1, nk) + n0 * n1 * self.words
        most = max(self.lanes**2, nk * self.lanes)
        self._limit = max(1, _PIECE_NUMBERS // most)
        self._whole = tiles <= self._limit
        across = [op for op in (self.a, self.b) if self.drains_any and op.space == c.c_space]
        # An operand of a tile may be what an earlier tile of the same instruction drained.
        self.tile_by_tile = tiles > 1 and any(self._meets(op.base, self._top(op, None)) for op in across)
        residual = c.residual_space == c.c_space and self.drains_any
        self.word_by_word = (
            residual
            and self._meets(c.residual_base, c.residual_base + self.top)
            and (c.residual_base != c.c_base or not self._distinct())
        )
        if self.tile_by_tile or self.word_by_word:
            self._limit = 1
            self._whole = tiles <= 1
            self._kept.clear()

    def check(self, memories: Memories, place: Place) -> None:
        """Checks every address.

        Raises:
            FaultError: one is out of range.
        """
        c = self.c
        if c.stat is not Stat.NONE:
            memories.check(Memory.STAT, c.stat_slot)
        if c.has_table:
            memories.check(Memory.TABLE, TABLE_WORDS * (c.table_id + 1) - 1)
        for op in (self.a, self.b):
            if op.space is not Space.IDENTITY:
                index = self._index(op, memories, place)
                memories.check(Memory(op.space), self._top(op, index))
        if self.drains_any:
            if c.bias:
                top = self.lanes * self.counts[1] - 1 if c.columns else self.top
                memories.check(Memory.BIAS, c.bias_base + top)
            if c.residual_space is not Space.NONE:
                memories.check(Memory(c.residual_space), c.residual_base + self.top)
            memories.check(self.target, c.c_base + self.top)

    def reads(self, memories: Memories, place: Place) -> Iterator[Words]:
        """Every word that the instruction reads."""
        c = self.c
        for op in (self.a, self.b):
            if op.space is Space.IDENTITY or not self.reads_any:
                continue
            if op.loop is not None:
                first = memories.half * place.sentence + place.first
                yield Memory.INDEX, np.arange(first, first + self.counts[op.loop])
            for start, counts in self._pieces():
                yield Memory(op.space), self._addresses(op, start, counts, memories, place).ravel()
        if not self.drains_any:
            return
        if c.has_table:
            yield Memory.TABLE, np.arange(TABLE_WORDS * c.table_id, TABLE_WORDS * (c.table_id + 1))
        for start, counts in self._pieces():
            if c.bias:
                yield Memory.BIAS, self._bias(start, counts).ravel()
            if c.residual_space is not Space.NONE:
                yield Memory(c.residual_space), c.residual_base + self._offsets(start, counts).ravel()

    def writes(self) -> Iterator[Words]:
        """Every word that the instruction writes."""
        if self.drains_any:
            for start, counts in self._pieces():
                yield self.target, self.c.c_base + self._offsets(start, counts).ravel()
        if self.c.stat is not Stat.NONE and not self.c.keep:
            yield Memory.STAT, np.array([self.c.stat_slot])

    def overtaken(self, memories: Memories, place: Place) -> int | None:
        """The address of a word that the instruction reads after it has drained to it, or None.

        Operands are read ahead of the drain, so such a read may return either number.
        """
        if not self.tile_by_tile and not self.word_by_word:
            return None
        n0, n1, n2, _ = self.counts
        start = (0, 0, 0)
        tiles = np.arange(n0 * n1 * n2).reshape(n0, n1, n2, 1)
        offsets = self._offsets(start, (n0, n1, n2))
        if self.word_by_word:
            order = np.arange(offsets.size)
            late = _read_late(
                self.c.residual_base + offsets.ravel(), order, self.c.c_base + offsets.ravel(), order
            )
            if late is not None:
                return late
        written = np.repeat(tiles, self.lanes, axis=3).reshape(n0, n1, -1)[:, :, : self.words]
        for op in (self.a, self.b):
            if op.space == self.c.c_space and self.reads_any:
                addresses, order = np.broadcast_arrays(
                    self._addresses(op, start, (n0, n1, n2), memories, place), tiles
                )
                late = _read_late(
                    addresses.ravel(), order.ravel(), self.c.c_base + offsets.ravel(), written.ravel()
                )
                if late is not None:
                    return late
        return None

    def execute(
        self, memories: Memories, place: Place, resumed: IntArray | None
    ) -> tuple[Written | None, IntArray | None]:
        """Executes the instruction.

        Args:
            memories: read and written.
            place: of the instruction's block.
            resumed: accumulators (N, N) of the previous CONTRACT, if that has `keep`.

        Returns:
            The written words, and the accumulators for the next CONTRACT.
        """
        c, lanes = self.c, self.lanes
        addresses, words, before = [], [], []
        for start, counts in self._pieces():
            acc = self._multiply(start, counts, memories, place)
            if resumed is not None:
                acc[0, 0, 0] += resumed
                resumed = None
            if c.keep:
                return None, acc[0, 0, 0]
            if c.columns:
                acc = acc.swapaxes(3, 4)
            offsets = self._offsets(start, counts)
            rows = acc.reshape(counts[0], counts[1], -1, lanes)[:, :, : offsets.shape[2]]
            if c.bias and self.drains_any:
                rows = rows + memories.words[Memory.BIAS][self._bias(start, counts)]
            flat, at = rows.reshape(-1, lanes), offsets.ravel()
            step = 1 if self.word_by_word else max(1, len(at))
            for k in range(0, len(at), step):
                q, stored = self._drain(flat[k : k + step], at[k : k + step], memories)
                before.append(q)
                words.append(stored)
            addresses.append(c.c_base + at)
        stored = _joined(words, np.zeros((0, lanes), LANE_TYPES[self.target]))
        if c.stat is not Stat.NONE and not c.keep:
            memories.stats[c.stat_slot] = _gather(c.stat, stored)
        if not len(stored):
            return None, None
        table = _joined(before, stored) if c.has_table else None
        return Written(self.target, _joined(addresses, stored), stored, table), None

    def _pieces(self) -> Iterator[tuple[tuple[int, int, int], tuple[int, int, int]]]:
        """Parts of the loops 0, 1 and 2 in order, as (start, counts), small enough for `_PIECE_NUMBERS`."""
        n0, n1, n2, _ = self.counts
        if self._whole:
            if n0 * n1 * n2:
                yield (0, 0, 0), (n0, n1, n2)
            return
        step2 = min(n2, self._limit)
        step1 = max(1, min(n1, self._limit // n2))
        step0 = max(1, min(n0, self._limit // (n1 * n2)))
        for i0 in range(0, n0, step0):
            for i1 in range(0, n1, step1):
                for i2 in range(0, n2, step2):
                    yield (i0, i1, i2), (min(step0, n0 - i0), min(step1, n1 - i1), min(step2, n2 - i2))

    def _offsets(self, start: tuple[int, ...], counts: tuple[int, ...]) -> IntArray:
        """Offsets in the target, (loop 0, loop 1, word), of the words that are drained."""
        if self._whole and "offsets" in self._kept:
            return self._kept["offsets"]
        c, lanes = self.c, self.lanes
        row = np.arange(lanes * start[2], min(lanes * (start[2] + counts[2]), self.words))
        offsets: IntArray = (
            ((start[0] + np.arange(counts[0])) * c.c_stride0)[:, None, None]
            + ((start[1] + np.arange(counts[1])) * c.c_stride1)[:, None]
            + (row // lanes * c.c_stride2 + row % lanes * c.c_stridew)
        )
        if self._whole:
            self._kept["offsets"] = offsets
        return offsets

    def _bias(self, start: tuple[int, ...], counts: tuple[int, ...]) -> IntArray:
        """Addresses of biases, (loop 0, loop 1, word, lane), of length 1 if they are all equal."""
        base = self.c.bias_base
        if not self.c.columns:
            return (base + self._offsets(start, counts))[..., None]
        tiles = start[1] + np.arange(counts[1])
        return (base + self.lanes * tiles[:, None] + np.arange(self.lanes))[None, :, None, :]

    def _index(self, op: _Operand, memories: Memories, place: Place) -> IntArray | None:
        """Indices of the tokens that the operand's loop counts, times their stride."""
        if op.loop is None or not self.reads_any:
            return None
        count = self.counts[op.loop]
        if place.first + count > memories.half:
            raise FaultError(
                Error.ADDRESS,
                f"index {place.first + count - 1} is out of range, half of INDEX memory has {memories.half} words",
            )
        first = memories.half * place.sentence + place.first
        column = memories.words[Memory.INDEX][first : first + count, op.column]
        return column.astype(np.intp) * op.index_stride

    def _top(self, op: _Operand, index: IntArray | None) -> int:
        """The operand's highest address, or -1 if nothing is read."""
        if not self.reads_any:
            return -1
        top = op.base
        for loop, (count, stride) in enumerate(zip(self.counts, op.strides, strict=True)):
            if loop != op.loop:
                top += (count - 1) * stride
            elif index is not None:
                top += int((np.arange(count) * stride + index).max())
            else:
                top += (count - 1) * stride + ((1 << 16) - 1) * op.index_stride
        return top

    def _meets(self, low: int, top: int) -> bool:
        """Whether addresses from `low` to `top` may be the target's."""
        return low <= self.c.c_base + self.top and self.c.c_base <= top

    def _distinct(self) -> bool:
        """Whether no word is drained twice; False if that is not known."""
        if not self._whole:
            return False
        offsets = self._offsets((0, 0, 0), self.counts[:3])
        return len(np.unique(offsets)) == offsets.size

    def _addresses(
        self, op: _Operand, start: tuple[int, ...], counts: tuple[int, ...], memories: Memories, place: Place
    ) -> IntArray:
        name = "a" if op is self.a else "b"
        if name in self._kept:
            found = self._kept[name]
        else:
            found = op.addresses((*start, 0), (*counts, self.counts[3]))
            if self._whole:
                self._kept[name] = found
        index = self._index(op, memories, place)
        if index is None:
            return found
        if op.loop == 0:
            index = index[start[0] : start[0] + counts[0]]
        return found + index.reshape(_axis(op.loop or 0, 4))

    def _read(
        self, op: _Operand, start: tuple[int, ...], counts: tuple[int, ...], memories: Memories, place: Place
    ) -> IntArray:
        """Words of an operand, (loop 0, loop 1, loop 2, k, lane)."""
        addresses = self._addresses(op, start, counts, memories, place)
        if addresses.shape[3] != self.counts[3]:
            addresses = np.broadcast_to(addresses, (*addresses.shape[:3], self.counts[3]))
        return memories.words[Memory(op.space)].view(op.dtype)[addresses]

    def _multiply(
        self, start: tuple[int, ...], counts: tuple[int, ...], memories: Memories, place: Place
    ) -> IntArray:
        """The sums of products, (loop 0, loop 1, loop 2, row, column), in int32."""
        shape = (*counts, self.lanes, self.lanes)
        if not self.reads_any:
            return np.zeros(shape, np.int32)
        b = self._read(self.b, start, counts, memories, place)
        if self.a.space is Space.IDENTITY:
            acc = np.zeros(shape, np.int32)
            rows = min(self.lanes, self.counts[3])
            acc[..., :rows, :] = b[..., :rows, :]
            return acc
        a = self._read(self.a, start, counts, memories, place)
        product = np.matmul(a.astype(self.dtype).swapaxes(3, 4), b.astype(self.dtype))
        return np.broadcast_to(product, shape).astype(np.int32, order="C")

    def _drain(self, v: IntArray, offsets: IntArray, memories: Memories) -> tuple[IntArray, IntArray]:
        """Accumulators with their bias to words of the target: (before the table, as written). Overwrites `v`."""
        c = self.c
        if c.acc_shift:
            v <<= c.acc_shift
        if c.residual_space is not Space.NONE:
            residual = memories.words[Memory(c.residual_space)][c.residual_base + offsets].astype(np.int32)
            residual <<= c.residual_shift
            v += residual
        if c.shift > 0:
            v += 1 << (c.shift - 1)
            v >>= c.shift
        elif c.shift < 0:
            v <<= -c.shift
        low, high = (
            (0, (1 << c.bits) - 1) if c.is_unsigned else (-(1 << (c.bits - 1)), (1 << (c.bits - 1)) - 1)
        )
        np.maximum(v, low, out=v)
        np.minimum(v, high, out=v)
        q = v
        if c.has_table:
            first = TABLE_WORDS * c.table_id
            v = memories.words[Memory.TABLE][first : first + TABLE_WORDS][v & (TABLE_WORDS - 1)]
        stored = v.astype(LANE_TYPES[self.target])
        memories.words[self.target][c.c_base + offsets] = stored
        return q, stored


def _joined(parts: list[IntArray], empty: IntArray) -> IntArray:
    if not parts:
        return empty
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _gather(kind: Stat, words: IntArray) -> Statistic:
    """The statistic of drained words."""
    count = min(len(words), (1 << STAT_COUNT_BITS) - 1)
    wide = words.astype(np.int64)
    return Statistic(
        kind,
        count,
        wrap(wide.sum(axis=0), STAT_SUM_BITS),
        (wide * wide).sum(axis=0) & ((1 << STAT_SQUARE_BITS) - 1),
        words.astype(np.int8).max(axis=0, initial=-128).astype(np.int64),
    )


def _read_late(read: IntArray, read_order: IntArray, written: IntArray, write_order: IntArray) -> int | None:
    """An address that is read after it is written, or None."""
    size = int(max(read.max(), written.max())) + 1
    last = np.full(size, -1)
    np.maximum.at(last, read, read_order)
    first = np.full(size, math.inf)
    np.minimum.at(first, written, write_order)
    late = np.flatnonzero(last > first)
    return int(late[0]) if len(late) else None


def loop_counts(c: Contract, place: Place) -> tuple[tuple[int, int, int, int], int]:
    """Counts of the loops 0, 1, 2 and k, and of the words to drain over loop 2."""
    n0 = place.tokens if c.n0_source is Count.TOKENS else c.n0
    n2 = place.blocks if c.n2_source is Count.BLOCKS else c.n2
    lengths = {Count.LENGTH: place.length, Count.TOKENS: place.tokens}
    return (n0, c.n1, n2, lengths.get(c.nk_source, c.nk)), lengths.get(c.rows_source, c.rows)
