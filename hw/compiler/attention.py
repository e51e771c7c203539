"""Pass: attention as tasks, a head at a time.

Keys lie as they are drained, a feature a word with the keys in the lanes, and are operand A of the scores. Values are
drained by columns, a token a word with the features of one head in the lanes, and are operand A of the context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...graph import Context, Linear, Scores, Softmax, Step
from ..host.views import Axis
from ..isa import Contract, Count, Memory, Space, Stat, Unit
from ..isa import Softmax as Soft
from .ir import Access, Buffer, Part, Rows

if TYPE_CHECKING:
    from .lower import Lowering


def lower_scores(low: Lowering, node: Scores) -> None:
    """Scores of each head and block of queries, with their maximum: keys are operand A, tiles of them loop 2."""
    graph = low.graph
    width = low.width(node.query)
    size = width // node.heads
    fmt = graph.fmt(node.output)
    keys = low.blocks * low.lanes
    for s in range(low.sentences):
        query, key = low.read(node.query, s), low.whole[node.key, s].buffer
        for b in range(low.blocks):
            for head in range(node.heads):
                buffer = Buffer(f"{node.output}.{s}.{b}.{head}", Memory.SCORE, keys)
                slot = Buffer(f"{node.output}.max.{s}.{b}.{head}", Memory.STAT, 1)
                low.per_head[node.output, s, b, head] = buffer
                low.per_head[f"{node.output}.max", s, b, head] = slot
                start = head * size
                instruction = Contract(
                    sentence=s,
                    block=b,
                    nk=size,
                    n2_source=Count.BLOCKS,
                    a_stride2=width,
                    a_stridek=1,
                    b_stridek=1,
                    rows_source=Count.LENGTH,
                    c_stride2=low.lanes,
                    c_stridew=1,
                    shift=graph.fmt(node.query).frac + graph.fmt(node.key).frac + node.shift - fmt.frac,
                    bits=fmt.bits,
                    stat=Stat.MAX,
                )
                axes = (Axis(low.lanes, 0, 1, (0, 1, 0)), Axis(keys, 1, 0, (0, 0, 1)))
                low.contract(
                    node.output,
                    instruction,
                    {
                        "a_base": (key, start),
                        "b_base": (query.buffers[b], start),
                        "c_base": (buffer, 0),
                        "stat_slot": (slot, 0),
                    },
                    [Access(key, 0, key.words), Access(query.buffers[b], start, start + size)],
                    [Access(buffer, 0, keys), Access(slot, 0, 1)],
                    [Part(node.output, buffer, 0, (head, low.lanes * b, 0), axes)],
                )


def lower_softmax(low: Lowering, node: Softmax) -> None:
    """One SOFTMAX a head and block of queries."""
    exp_id = low.image.exp(low.graph.constants[node.table].astype(np.int64))
    keys = low.blocks * low.lanes
    for s in range(low.sentences):
        for b in range(low.blocks):
            for head in range(low.heads[node.input]):
                source = low.per_head[node.input, s, b, head]
                slot = low.per_head[f"{node.input}.max", s, b, head]
                target = Buffer(f"{node.output}.{s}.{b}.{head}", Memory.VECTOR, keys)
                low.per_head[node.output, s, b, head] = target
                axes = (Axis(low.lanes, 0, 1, (0, 1, 0)), Axis(keys, 1, 0, (0, 0, 1)))
                low.add(
                    Unit.VECTOR,
                    node.output,
                    Soft(sentence=s, block=b, exp_id=exp_id),
                    {"source": (source, 0), "target": (target, 0), "stat_slot": (slot, 0)},
                    [Access(source, 0, keys), Access(slot, 0, 1)],
                    [Access(target, 0, keys)],
                    [Part(node.output, target, 0, (head, low.lanes * b, 0), axes)],
                )


def lower_context(low: Lowering, node: Context) -> None:
    """The context of each head and block of queries: values are operand A, the reduction is over the keys."""
    graph = low.graph
    width = low.width(node.output)
    size = width // node.heads
    fmt = graph.fmt(node.output)
    words = value_words(low, node.value)
    per_head = words // node.heads
    for s in range(low.sentences):
        value = low.whole[node.value, s].buffer
        made = low.rows(node.output, s, Memory.ACT, width)
        for b in range(low.blocks):
            for head in range(node.heads):
                probabilities = low.per_head[node.probabilities, s, b, head]
                start = head * size
                instruction = Contract(
                    sentence=s,
                    block=b,
                    nk_source=Count.LENGTH,
                    n2=per_head,
                    a_stride2=1,
                    a_stridek=words,
                    b_stridek=1,
                    b_unsigned=1,
                    rows=size,
                    c_stride2=low.lanes,
                    c_stridew=1,
                    shift=graph.fmt(node.probabilities).frac + graph.fmt(node.value).frac - fmt.frac,
                    bits=fmt.bits,
                    is_unsigned=int(not fmt.signed),
                )
                axes = (Axis(low.lanes, 0, 1, (1, 0)), Axis(size, 1, 0, (0, 1)))
                low.contract(
                    node.output,
                    instruction,
                    {
                        "a_base": (value, head * per_head),
                        "b_base": (probabilities, 0),
                        "c_base": (made.buffers[b], start),
                    },
                    [Access(value, 0, value.words), Access(probabilities, 0, probabilities.words)],
                    [Access(made.buffers[b], start, start + size)],
                    [Part(node.output, made.buffers[b], start, (low.lanes * b, start), axes)],
                )


def values_step(low: Lowering, node: Linear, step: Step, s: int, b: int, source: Rows) -> None:
    """The last product of attention values, drained by columns: a token a word, a head's features in the lanes."""
    heads = low.value_heads[node.output]
    size = step.rows // heads
    per_head = -(-size // low.lanes)
    order = np.full((heads, per_head * low.lanes), -1)
    order[:, :size] = np.arange(step.rows).reshape(heads, size)
    order = order.reshape(-1)
    words = heads * per_head
    buffer, offset = low.whole[node.output, s].buffer, b * low.lanes * words
    instruction = Contract(
        sentence=s,
        block=b,
        nk=step.inner,
        n1=words,
        a_base=low.weight(step, order),
        a_stride1=step.inner,
        a_stridek=1,
        b_stridek=1,
        b_unsigned=int(not low.graph.fmt(step.lhs).signed),
        columns=1,
        rows_source=Count.TOKENS,
        c_stride1=1,
        c_stridew=words,
        **low.rounding(node, step),
        **low.bias(node, order),
    )
    low.issue(
        node.output,
        instruction,
        {"b_base": (source.buffers[b], 0), "c_base": (buffer, offset)},
        [source.all_of(b)],
        [Access(buffer, offset, offset + low.lanes * words)],
        _value_parts(low, node.output, buffer, offset, b),
        source,
        b,
    )


def turn_values(low: Lowering, node: Linear, s: int, b: int, source: Rows) -> None:
    """Turns attention values with the identity: from a feature a word to a token a word."""
    heads = low.value_heads[node.output]
    size = source.features // heads
    full, tail = divmod(size, low.lanes)
    per_head = full + (tail > 0)
    words = heads * per_head
    buffer, offset = low.whole[node.output, s].buffer, b * low.lanes * words
    for tile_from, tile_count, inner in ((0, full, low.lanes), (full, 1, tail)):
        if not (tile_count and inner):
            continue
        instruction = Contract(
            sentence=s,
            block=b,
            n0=heads,
            n1=tile_count,
            nk=inner,
            a_space=Space.IDENTITY,
            b_stride0=size,
            b_stride1=low.lanes,
            b_stridek=1,
            columns=1,
            rows_source=Count.TOKENS,
            c_stride0=per_head,
            c_stride1=1,
            c_stridew=words,
            bits=8,
        )
        low.contract(
            node.output,
            instruction,
            {
                "b_base": (source.buffers[b], tile_from * low.lanes),
                "c_base": (buffer, offset + tile_from),
            },
            [source.all_of(b)],
            [Access(buffer, offset, offset + low.lanes * words)],
            [],
        )


def value_words(low: Lowering, value: str) -> int:
    """Words of a token in attention values."""
    heads = low.value_heads[value]
    return heads * -(-(low.width(value) // heads) // low.lanes)


def _value_parts(low: Lowering, value: str, buffer: Buffer, offset: int, b: int) -> list[Part]:
    """Where a block of attention values lies: full words, and the last word of each head if it is not full."""
    heads = low.value_heads[value]
    size = low.width(value) // heads
    full, tail = divmod(size, low.lanes)
    per_head = full + (tail > 0)
    parts = []
    for tile_from, tile_count, lanes in ((0, full, low.lanes), (full, 1, tail)):
        if tile_count and lanes:
            axes = (
                Axis(low.lanes, heads * per_head, 0, (1, 0)),
                Axis(heads, per_head, 0, (0, size)),
                Axis(tile_count, 1, 0, (0, low.lanes)),
                Axis(lanes, 0, 1, (0, 1)),
            )
            origin = (low.lanes * b, tile_from * low.lanes)
            parts.append(Part(value, buffer, offset + tile_from, origin, axes))
    return parts
