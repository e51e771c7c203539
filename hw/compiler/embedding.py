"""Pass: embeddings as tasks. Rows come out with features in the lanes; a contraction with the identity turns them.

A tensor-train matrix is contracted token by token: a slice of its first core, the first mode in the lanes, meets
slices of the others, whose (mode, rank) are output rows. Position rows are constants with tokens in the lanes and
are added, as a residual, while the turned words are drained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from ...errors import UserError
from ...graph import POSITIONS, Add, Embedding, TTMEmbedding
from ..host.packets import IndexColumn
from ..host.views import Axis
from ..isa import Contract, Count, Indexed, Memory, Space, Stat
from .image import lanes_of, tiles
from .ir import Access, Buffer, Part

if TYPE_CHECKING:
    from .lower import Lowering

_EXACT = (1 << 15) - 1


@dataclass(frozen=True)
class _Turned:
    """How a contraction with the identity reads rows of features: fields of CONTRACT, bases and reads of each block."""

    fields: dict[str, Any]
    bases: list[dict[str, tuple[Buffer, int]]]
    reads: list[list[Access]]


def lower_embedding(low: Lowering, node: Add, sources: Mapping[str, Embedding | TTMEmbedding]) -> None:
    """The sum of embeddings: one gathered a token, perhaps a second, and perhaps that of positions.

    Raises:
        UserError: the sum is of something else, or can't be had exactly in two steps.
    """
    graph = low.graph
    if not all(name in sources for name in node.inputs):
        raise UserError(
            f"{node.output}: the engine adds embeddings only; put other sums into a linear layer."
        )
    nodes = [sources[name] for name in node.inputs]
    positions = [n for n in nodes if isinstance(n, Embedding) and n.index == POSITIONS]
    gathered = [n for n in nodes if n not in positions]
    if len(positions) > 1 or not 1 <= len(gathered) <= 2:
        raise UserError(f"{node.output}: the engine adds one or two embeddings and one of positions.")
    size = int(graph.values[node.output].dims[-1])
    position = _positions(low, positions[0]) if positions else None
    begun = len(low.tasks)
    fmt = graph.fmt(node.output)
    if len(gathered) == 2:
        gathered = _ordered(low, node, gathered, positions)
    turned = {n.output: _gather(low, n) for n in gathered}
    for s in range(low.sentences):
        made = low.rows(node.output, s, Memory.WIDE, size)
        for b, buffer in enumerate(made.buffers):
            if len(gathered) == 2:
                partial = Buffer(f"{node.output}.partial.{s}.{b}", Memory.WIDE, size)
                frac = _partial_frac(low, gathered[0], positions)
                _turn(low, node, gathered[0], turned, s, b, partial, size, position, frac, 16)
                _turn(low, node, gathered[1], turned, s, b, buffer, size, (partial, frac), fmt.frac, fmt.bits)
            else:
                _turn(low, node, gathered[0], turned, s, b, buffer, size, position, fmt.frac, fmt.bits)
    # Block by block, so that the rows of one are turned before those of the next are gathered.
    low.tasks[begun:] = sorted(low.tasks[begun:], key=lambda t: (t.instruction.sentence, t.instruction.block))


def _partial_frac(low: Lowering, node: Embedding | TTMEmbedding, positions: list[Embedding]) -> int:
    return max(low.graph.fmt(n.output).frac for n in (node, *positions))


def _largest(low: Lowering, node: Embedding | TTMEmbedding) -> int:
    """A bound of the magnitude of an embedding's integers."""
    if isinstance(node, Embedding):
        return int(np.abs(low.graph.constants[node.table].astype(np.int64)).max())
    return -low.graph.fmt(node.output).lo


def _ordered(
    low: Lowering, node: Add, gathered: list[Embedding | TTMEmbedding], positions: list[Embedding]
) -> list[Embedding | TTMEmbedding]:
    """The two gathered embeddings, first the one whose sum with the positions is exact in 16 bits."""
    for first, second in (gathered[::-1], gathered):
        frac = _partial_frac(low, first, positions)
        total = sum(_largest(low, n) << (frac - low.graph.fmt(n.output).frac) for n in (first, *positions))
        if total <= _EXACT:
            return [first, second]
    raise UserError(
        f"{node.output}: the scales of its embeddings lie too far apart for the engine to add three of them exactly; "
        "train again with embeddings of similar scale."
    )


def _positions(low: Lowering, node: Embedding) -> tuple[int, int]:
    """The address of the rows of positions, [block][feature] with tokens in the lanes, and their fraction bits."""
    table = low.graph.constants[node.table]
    padded = np.zeros((low.blocks * low.lanes, table.shape[1]), np.int8)
    rows = min(len(padded), len(table))
    padded[:rows] = table[:rows]
    words = padded.reshape(low.blocks, low.lanes, -1).transpose(0, 2, 1)
    return low.image.matrix(words), low.graph.fmt(node.output).frac


def _turn(
    low: Lowering,
    node: Add,
    source: Embedding | TTMEmbedding,
    turned: Mapping[str, list[_Turned]],
    s: int,
    b: int,
    target: Buffer,
    size: int,
    residual: tuple[int, int] | tuple[Buffer, int] | None,
    frac: int,
    bits: int,
) -> None:
    """One contraction with the identity; `residual` is the address of rows, or a buffer, and its fraction bits."""
    how = turned[source.output][s]
    own = low.graph.fmt(source.output).frac
    fields = dict(how.fields)
    bases = dict(how.bases[b])
    bases["c_base"] = (target, 0)
    reads = list(how.reads[b])
    writes = [Access(target, 0, size)]
    aligned = own
    if residual is not None:
        place, residual_frac = residual
        aligned = max(own, residual_frac)
        fields |= {"acc_shift": aligned - own, "residual_shift": aligned - residual_frac}
        if isinstance(place, Buffer):
            bases["residual_base"] = (place, 0)
            reads.append(Access(place, 0, size))
        else:
            fields |= {"residual_space": Space.WEIGHT, "residual_base": place + b * size}
    parts = []
    last = target is low.read(node.output, s).buffers[b]
    if last:
        parts.append(low.rows_part(node.output, target, b, size))
        if low.norm_follows(node.output):
            slot = low.stat(node.output, s, b)
            bases["stat_slot"] = (slot, 0)
            writes.append(Access(slot, 0, 1))
            fields["stat"] = Stat.SUMS
    instruction = Contract(
        sentence=s,
        block=b,
        a_space=Space.IDENTITY,
        nk_source=Count.TOKENS,
        columns=1,
        shift=aligned - frac,
        bits=bits,
        **fields,
    )
    low.contract(node.output, instruction, bases, reads, writes, parts)


def _gather(low: Lowering, node: Embedding | TTMEmbedding) -> list[_Turned]:
    """Prepares an embedding's rows, sentence by sentence, and says how they are turned."""
    if isinstance(node, TTMEmbedding):
        return [_tensor_train(low, node, s) for s in range(low.sentences)]
    table = low.graph.constants[node.table]
    column = low.column(IndexColumn(_source(node), 1, len(table)))
    size = table.shape[1]
    count = -(-size // low.lanes)
    fields = {
        "n2": count,
        "b_space": Space.WEIGHT,
        "b_base": low.image.matrix(lanes_of(table, low.lanes)),
        "b_stride2": 1,
        "b_indexed": Indexed.LOOPK,
        "b_column": column,
        "b_index_stride": count,
        "rows": size,
        "c_stride2": low.lanes,
        "c_stridew": 1,
    }
    return [
        _Turned(fields, [{} for _ in range(low.blocks)], [[low.index(s)] for _ in range(low.blocks)])
        for s in range(low.sentences)
    ]


def _tensor_train(low: Lowering, node: TTMEmbedding, s: int) -> _Turned:
    """Contracts slices of the cores, token by token. Words are [tile of first mode][token][features of the others]."""
    graph, lanes = low.graph, low.lanes
    cores = [graph.constants[name] for name in node.cores]
    radix = [core.shape[1] for core in cores]
    columns = [
        low.column(IndexColumn(_source(node), math.prod(radix[k + 1 :]), radix[k])) for k in range(len(cores))
    ]
    addresses = _addresses(low, node)
    first = cores[0].shape[2]
    dtiles = -(-first // lanes)
    blocks = range(low.blocks)
    sizes = [int(graph.values[name].dims[-1]) // first for name in (*node.mids, node.output)]
    made = {
        (k, b): Buffer(f"{value}.{s}.{b}", Memory.ACT, dtiles * lanes * sizes[k])
        for k, value in enumerate((*node.mids, node.output))
        for b in blocks
    }
    for b in blocks:
        groups = 1
        for k, (value, core) in enumerate(zip((*node.mids, node.output), cores[1:], strict=True)):
            left, _, mode, right = core.shape
            rows = mode * right
            fmt = graph.fmt(value)
            before = graph.fmt(node.cores[0] if k == 0 else node.mids[k - 1])
            for dtile in range(dtiles):
                fields: dict[str, Any] = {}
                bases: dict[str, tuple[Buffer, int]] = {}
                reads = [low.index(s)]
                if k == 0:
                    fields = {
                        "b_space": Space.WEIGHT,
                        "b_base": addresses[0] + dtile * left,
                        "b_indexed": Indexed.LOOP0,
                        "b_column": columns[0],
                        "b_index_stride": dtiles * left,
                    }
                else:
                    source = made[k - 1, b]
                    start = dtile * lanes * sizes[k - 1]
                    bases["b_base"] = (source, start)
                    fields = {"b_stride0": sizes[k - 1], "b_stride1": left}
                    reads.append(Access(source, start, start + lanes * sizes[k - 1]))
                target = made[k, b]
                start = dtile * lanes * sizes[k]
                bases["c_base"] = (target, start)
                instruction = Contract(
                    sentence=s,
                    block=b,
                    n0_source=Count.TOKENS,
                    n1=groups,
                    n2=-(-rows // lanes),
                    nk=left,
                    a_base=addresses[k + 1],
                    a_stride2=left,
                    a_stridek=1,
                    a_indexed=Indexed.LOOP0,
                    a_column=columns[k + 1],
                    a_index_stride=-(-rows // lanes) * left,
                    b_stridek=1,
                    rows=rows,
                    c_stride0=sizes[k],
                    c_stride1=rows,
                    c_stride2=lanes,
                    c_stridew=1,
                    shift=before.frac + graph.fmt(node.cores[k + 1]).frac - fmt.frac,
                    bits=fmt.bits,
                    **fields,
                )
                axes = (
                    Axis(lanes, sizes[k], 0, (1, 0)),
                    Axis(sizes[k], 1, 0, (0, 1)),
                    Axis(min(lanes, first - dtile * lanes), 0, 1, (0, sizes[k])),
                )
                origin = (b * lanes, dtile * lanes * sizes[k])
                low.contract(
                    node.output,
                    instruction,
                    bases,
                    reads,
                    [Access(target, start, start + lanes * sizes[k])],
                    [Part(value, target, start, origin, axes)],
                )
            groups *= mode
    size = sizes[-1]
    last = len(sizes) - 1
    fields = {
        "n1": size,
        "n2": dtiles,
        "b_stride1": 1,
        "b_stride2": lanes * size,
        "b_stridek": size,
        "rows": first,
        "c_stride1": 1,
        "c_stride2": lanes * size,
        "c_stridew": size,
    }
    return _Turned(
        fields,
        [{"b_base": (made[last, b], 0)} for b in blocks],
        [[Access(made[last, b], 0, made[last, b].words)] for b in blocks],
    )


def _source(node: Embedding | TTMEmbedding) -> Literal["tokens", "segments"]:
    return cast(Literal["tokens", "segments"], node.index)


def _addresses(low: Lowering, node: TTMEmbedding) -> list[int]:
    """Addresses of the cores.

    The first lies as [digit][tile][rank] with modes in the lanes, the others as [digit][tile][rank before] with
    (mode, rank) in the lanes.
    """
    known = low.ttm_addresses.get(node.output)
    if known is None:
        cores = [low.graph.constants[name] for name in node.cores]
        # (1, v, d, r): a digit's slice is (d, r).
        known = [low.image.matrix(np.concatenate([tiles(piece, low.lanes) for piece in cores[0][0]]))]
        for core in cores[1:]:
            left, radix, mode, right = core.shape
            slices = core.transpose(1, 2, 3, 0).reshape(radix, mode * right, left)
            known.append(low.image.matrix(np.concatenate([tiles(piece, low.lanes) for piece in slices])))
        low.ttm_addresses[node.output] = known
    return known
