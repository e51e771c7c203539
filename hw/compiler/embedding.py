"""Lowering of embeddings and of their sum.

The rows of tokens are gathered with features in the lanes; a contraction with the identity transposes them. Position
rows are constants with tokens in the lanes: they are added, as a residual, while the transposed words are drained. So
the gathering of an embedding belongs to the sum that reads it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np

from ...errors import UserError
from ...fixedpoint import Format, IntArray
from ...graph import POSITIONS, Add, Embedding, TTMEmbedding
from ..host.packets import IndexColumn
from ..host.views import Axis
from ..isa import Contract, Count, Indexed, Memory, Space, Stat, Unit
from .image import lanes_of, tiles
from .ir import Access, Buffer, Part, Task
from .lowering import Lowering

_PARTIAL_BITS = 16
"""Bits of the sum of the first embedding and the positions, which must be exact."""


@dataclass(frozen=True)
class _Operand:
    """The rows of a token block as operand B of the contraction with the identity.

    Attributes:
        frac: fraction bits.
        fields, bases: of CONTRACT.
        read: the words that it reads.
    """

    frac: int
    fields: dict[str, Any]
    bases: dict[str, tuple[Buffer, int]]
    read: Access


@dataclass(frozen=True)
class _Sum:
    """A sum of embeddings with features in the words: a buffer, or position rows at an address of WEIGHT memory."""

    place: Buffer | int
    fmt: Format


def lower_embedding(low: Lowering, node: Embedding | TTMEmbedding) -> None:
    """Leaves the embedding to `lower_add`."""
    low.embeddings[node.output] = node


def lower_add(low: Lowering, node: Add) -> None:
    """The sum of embeddings: one or two that are gathered by token, and possibly that of positions.

    Raises:
        UserError: the sum is of something else, or can't be computed exactly in two steps.
    """
    graph = low.graph
    if not all(name in low.embeddings for name in node.inputs):
        raise UserError(
            f"{node.output}: the engine adds embeddings only; put other sums into a linear layer."
        )
    nodes = [low.embeddings[name] for name in node.inputs]
    positions = [n for n in nodes if isinstance(n, Embedding) and n.index == POSITIONS]
    gathered = [n for n in nodes if n not in positions]
    if len(positions) > 1 or not 1 <= len(gathered) <= 2:
        raise UserError(f"{node.output}: the engine adds one or two embeddings and one of positions.")
    position = _positions(low, positions[0]) if positions else None
    if len(gathered) == 2:
        gathered = _exact_first(low, node, gathered, positions)
    tables = [_Dense(low, n) if isinstance(n, Embedding) else _TensorTrain(low, n) for n in gathered]
    partial_fmt = Format(_PARTIAL_BITS, _common_frac(low, gathered[0], positions))
    for s in range(low.sentences):
        rows = low.new_rows(node.output, s, Memory.WIDE)
        for b, buffer in enumerate(rows.buffers):
            operands = [table.gather(s, b) for table in tables]
            added = position
            if len(operands) == 2:
                partial = Buffer(f"{node.output}.partial.{s}.{b}", Memory.WIDE, rows.features)
                _turn(low, node, s, b, operands[0], added, _Sum(partial, partial_fmt))
                added = _Sum(partial, partial_fmt)
            _turn(low, node, s, b, operands[-1], added, _Sum(buffer, graph.fmt(node.output)))


def _exact_first(
    low: Lowering, node: Add, gathered: list[Embedding | TTMEmbedding], positions: list[Embedding]
) -> list[Embedding | TTMEmbedding]:
    """The two gathered embeddings, first the one whose sum with the positions is exact in `_PARTIAL_BITS` bits."""
    for first, second in (gathered[::-1], gathered):
        frac = _common_frac(low, first, positions)
        total = sum(_largest(low, n) << (frac - low.graph.fmt(n.output).frac) for n in (first, *positions))
        if total <= Format(_PARTIAL_BITS, frac).hi:
            return [first, second]
    raise UserError(
        f"{node.output}: the scales of its embeddings differ too much for the engine to add three of them exactly; "
        "train again with embeddings of similar scale."
    )


def _common_frac(low: Lowering, node: Embedding | TTMEmbedding, positions: list[Embedding]) -> int:
    return max(low.graph.fmt(n.output).frac for n in (node, *positions))


def _largest(low: Lowering, node: Embedding | TTMEmbedding) -> int:
    """A bound of the magnitude of an embedding's integers."""
    if isinstance(node, Embedding):
        return int(np.abs(low.graph.constants[node.table].astype(np.int64)).max())
    return -low.graph.fmt(node.output).lo


def _positions(low: Lowering, node: Embedding) -> _Sum:
    """The rows of positions as [block][feature] with tokens in the lanes."""
    table = low.graph.constants[node.table]
    padded = np.zeros((low.blocks * low.lanes, table.shape[1]), np.int8)
    rows = min(len(padded), len(table))
    padded[:rows] = table[:rows]
    words = padded.reshape(low.blocks, low.lanes, -1).transpose(0, 2, 1)
    return _Sum(low.image.matrix(words), low.graph.fmt(node.output))


def _turn(
    low: Lowering, node: Add, s: int, b: int, operand: _Operand, added: _Sum | None, target: _Sum
) -> None:
    """Transposes rows by a contraction with the identity; `target` is these rows plus `added`."""
    assert isinstance(target.place, Buffer)
    written = Access(target.place, 0, target.place.words)
    fields = dict(operand.fields)
    bases = {**operand.bases, "c_base": (target.place, 0)}
    reads = [operand.read]
    writes = [written]
    parts: tuple[Part, ...] = ()
    aligned = operand.frac
    if added is not None:
        aligned = max(operand.frac, added.fmt.frac)
        fields |= {"acc_shift": aligned - operand.frac, "residual_shift": aligned - added.fmt.frac}
        if isinstance(added.place, Buffer):
            bases["residual_base"] = (added.place, 0)
            reads.append(Access(added.place, 0, added.place.words))
        else:
            fields |= {"residual_space": Space.WEIGHT, "residual_base": added.place + b * written.hi}
    if target.place is low.rows[node.output, s].buffers[b]:
        parts = low.row_parts(node.output, written, b)
        if low.norm_follows(node.output):
            slot = low.new_sums(node.output, s, b)
            bases["stat_slot"] = (slot, 0)
            writes.append(Access(slot, 0, 1))
            fields["stat"] = Stat.SUMS
    instruction = Contract(
        sentence=s,
        block=b,
        a_space=Space.IDENTITY,
        nk_source=Count.TOKENS,
        columns=1,
        shift=aligned - target.fmt.frac,
        bits=target.fmt.bits,
        **fields,
    )
    low.add(Task(Unit.ARRAY, node.output, instruction, bases, tuple(reads), tuple(writes), parts))


class _Dense:
    """A dense embedding: CONTRACT reads the rows from WEIGHT memory by index, and nothing is computed before."""

    def __init__(self, low: Lowering, node: Embedding) -> None:
        self._low = low
        self._frac = low.graph.fmt(node.output).frac
        table = low.graph.constants[node.table]
        column = low.column(IndexColumn(_source(node), 1, len(table)))
        size = table.shape[1]
        words = -(-size // low.lanes)
        self._fields = {
            "n2": words,
            "b_space": Space.WEIGHT,
            "b_base": low.image.matrix(lanes_of(table, low.lanes)),
            "b_stride2": 1,
            "b_indexed": Indexed.LOOPK,
            "b_column": column,
            "b_index_stride": words,
            "rows": size,
            "c_stride2": low.lanes,
            "c_stridew": 1,
        }

    def gather(self, s: int, b: int) -> _Operand:
        """The rows of a token block."""
        return _Operand(self._frac, self._fields, {}, self._low.index[s])


class _TensorTrain:
    """A tensor-train matrix, contracted token by token.

    A slice of the first core, with the first mode in the lanes, meets slices of the other cores, whose (mode, rank)
    are the output rows. Each product is stored as [tile of the first mode][token][features of the other modes].
    """

    def __init__(self, low: Lowering, node: TTMEmbedding) -> None:
        self._low = low
        self._node = node
        cores = [low.graph.constants[name] for name in node.cores]
        self._cores = cores
        radix = [core.shape[1] for core in cores]
        self._columns = [
            low.column(IndexColumn(_source(node), math.prod(radix[k + 1 :]), radix[k]))
            for k in range(len(cores))
        ]
        self._addresses = _core_addresses(low, cores)
        self._first_mode = cores[0].shape[2]
        self._tiles = -(-self._first_mode // low.lanes)
        self._values = (*node.mids, node.output)
        self._sizes = [low.width(value) // self._first_mode for value in self._values]

    def gather(self, s: int, b: int) -> _Operand:
        """Adds the products that compute the rows of a token block."""
        lanes, size = self._low.lanes, self._sizes[-1]
        source: Buffer | None = None
        for k, value in enumerate(self._values):
            target = Buffer(f"{value}.{s}.{b}", Memory.ACT, self._tiles * lanes * self._sizes[k])
            for tile in range(self._tiles):
                self._product(s, b, k, tile, source, target)
            source = target
        assert source is not None
        fields = {
            "n1": size,
            "n2": self._tiles,
            "b_stride1": 1,
            "b_stride2": lanes * size,
            "b_stridek": size,
            "rows": self._first_mode,
            "c_stride1": 1,
            "c_stride2": lanes * size,
            "c_stridew": size,
        }
        frac = self._low.graph.fmt(self._node.output).frac
        return _Operand(frac, fields, {"b_base": (source, 0)}, Access(source, 0, source.words))

    def _product(self, s: int, b: int, k: int, tile: int, source: Buffer | None, target: Buffer) -> None:
        """One tile of the first mode in the product with core `k` + 1; `source` is the product before, if any."""
        low, node, size = self._low, self._node, self._sizes[k]
        left, _, mode, right = self._cores[k + 1].shape
        rows = mode * right
        fmt = low.graph.fmt(self._values[k])
        before = low.graph.fmt(node.cores[0] if k == 0 else node.mids[k - 1])
        start = tile * low.lanes * size
        bases = {"c_base": (target, start)}
        reads = [low.index[s]]
        if source is None:
            operand: dict[str, Any] = {
                "b_space": Space.WEIGHT,
                "b_base": self._addresses[0] + tile * left,
                "b_indexed": Indexed.LOOP0,
                "b_column": self._columns[0],
                "b_index_stride": self._tiles * left,
            }
        else:
            words = low.lanes * self._sizes[k - 1]
            bases["b_base"] = (source, tile * words)
            operand = {"b_stride0": self._sizes[k - 1], "b_stride1": left}
            reads.append(Access(source, tile * words, (tile + 1) * words))
        instruction = Contract(
            sentence=s,
            block=b,
            n0_source=Count.TOKENS,
            n1=size // rows,
            n2=-(-rows // low.lanes),
            nk=left,
            a_base=self._addresses[k + 1],
            a_stride2=left,
            a_stridek=1,
            a_indexed=Indexed.LOOP0,
            a_column=self._columns[k + 1],
            a_index_stride=-(-rows // low.lanes) * left,
            b_stridek=1,
            rows=rows,
            c_stride0=size,
            c_stride1=rows,
            c_stride2=low.lanes,
            c_stridew=1,
            shift=before.frac + low.graph.fmt(node.cores[k + 1]).frac - fmt.frac,
            bits=fmt.bits,
            **operand,
        )
        axes = (
            Axis(low.lanes, size, 0, (1, 0)),
            Axis(size, 1, 0, (0, 1)),
            Axis(min(low.lanes, self._first_mode - tile * low.lanes), 0, 1, (0, size)),
        )
        part = Part(self._values[k], target, start, (b * low.lanes, start), axes)
        written = Access(target, start, start + low.lanes * size)
        low.add(Task(Unit.ARRAY, node.output, instruction, bases, tuple(reads), (written,), (part,)))


def _source(node: Embedding | TTMEmbedding) -> Literal["tokens", "segments"]:
    return cast(Literal["tokens", "segments"], node.index)


def _core_addresses(low: Lowering, cores: list[IntArray]) -> list[int]:
    """Adds the cores of a tensor-train matrix to the image and returns their addresses.

    The first is stored as [digit][tile][rank] with modes in the lanes, each other one as [digit][tile][rank before]
    with (mode, rank) in the lanes.
    """
    # (1, v, d, r): the slice of a digit is (d, r).
    addresses = [low.image.matrix(np.concatenate([tiles(piece, low.lanes) for piece in cores[0][0]]))]
    for core in cores[1:]:
        left, radix, mode, right = core.shape
        slices = core.transpose(1, 2, 3, 0).reshape(radix, mode * right, left)
        addresses.append(low.image.matrix(np.concatenate([tiles(piece, low.lanes) for piece in slices])))
    return addresses
