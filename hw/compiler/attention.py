"""Lowering of attention, one head at a time.

Keys are stored as they are drained, one feature per word with the keys in the lanes, and are operand A of the scores.
Values are drained by columns, one token per word with the features of one head in the lanes, and are operand A of the
context.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...errors import UserError
from ...graph import Context, Linear, Scores, Softmax, Step
from ..host.views import Axis
from ..isa import Contract, Count, Memory, Space, Stat, Unit
from ..isa import Softmax as Soft
from .ir import Access, Buffer, Part, Rows, Task
from .lowering import HeadScores, Lowering
from .products import add_product


def lower_scores(low: Lowering, node: Scores) -> None:
    """The scores of each head and block of queries, with their maximum. Loop 2 is over the tiles of keys."""
    graph = low.graph
    width = low.width(node.query)
    size = width // node.heads
    fmt = graph.fmt(node.output)
    keys = low.blocks * low.lanes
    for s in range(low.sentences):
        query = low.operand(node.output, node.query, s, Memory.ACT, Memory.VECTOR)
        key = low.kv_operand(node.output, node.key, s)
        for b in range(low.blocks):
            scores = []
            for head in range(node.heads):
                buffer = Buffer(f"{node.output}.{s}.{b}.{head}", Memory.SCORE, keys)
                maximum = Buffer(f"{node.output}.max.{s}.{b}.{head}", Memory.STAT, 1)
                scores.append(HeadScores(buffer, maximum))
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
                low.add(
                    Task(
                        Unit.ARRAY,
                        node.output,
                        instruction,
                        {
                            "a_base": (key, start),
                            "b_base": (query.buffers[b], start),
                            "c_base": (buffer, 0),
                            "stat_slot": (maximum, 0),
                        },
                        (Access(key, 0, key.words), Access(query.buffers[b], start, start + size)),
                        (Access(buffer, 0, keys), Access(maximum, 0, 1)),
                        (_head_part(low, node.output, buffer, b, head),),
                    )
                )
            low.scores[node.output, s, b] = tuple(scores)


def lower_softmax(low: Lowering, node: Softmax) -> None:
    """One SOFTMAX for each head and block of queries."""
    exp_id = low.image.exp(low.graph.constants[node.table].astype(np.int64))
    keys = low.blocks * low.lanes
    for s in range(low.sentences):
        for b in range(low.blocks):
            targets = []
            for head, scores in enumerate(low.scores[node.input, s, b]):
                target = Buffer(f"{node.output}.{s}.{b}.{head}", Memory.VECTOR, keys)
                targets.append(target)
                low.add(
                    Task(
                        Unit.VECTOR,
                        node.output,
                        Soft(sentence=s, block=b, exp_id=exp_id),
                        {
                            "source": (scores.buffer, 0),
                            "target": (target, 0),
                            "stat_slot": (scores.maximum, 0),
                        },
                        (Access(scores.buffer, 0, keys), Access(scores.maximum, 0, 1)),
                        (Access(target, 0, keys),),
                        (_head_part(low, node.output, target, b, head),),
                    )
                )
            low.probabilities[node.output, s, b] = tuple(targets)


def lower_context(low: Lowering, node: Context) -> None:
    """The context of each head and block of queries: the reduction is over the keys."""
    graph = low.graph
    size = low.width(node.output) // node.heads
    fmt = graph.fmt(node.output)
    if (node.probabilities, 0, 0) not in low.probabilities:
        raise UserError(
            f"{node.output}: {node.probabilities} must be the output of a softmax; change the model."
        )
    words = value_words(low, node.value)
    words_per_head = words // node.heads
    for s in range(low.sentences):
        value = low.kv_operand(node.output, node.value, s)
        context = low.new_rows(node.output, s, Memory.ACT)
        for b, target in enumerate(context.buffers):
            for head, probabilities in enumerate(low.probabilities[node.probabilities, s, b]):
                start = head * size
                instruction = Contract(
                    sentence=s,
                    block=b,
                    nk_source=Count.LENGTH,
                    n2=words_per_head,
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
                written = Access(target, start, start + size)
                low.add(
                    Task(
                        Unit.ARRAY,
                        node.output,
                        instruction,
                        {
                            "a_base": (value, head * words_per_head),
                            "b_base": (probabilities, 0),
                            "c_base": (target, start),
                        },
                        (Access(value, 0, value.words), Access(probabilities, 0, probabilities.words)),
                        (written,),
                        low.row_parts(node.output, written, b, start),
                    )
                )


def value_words(low: Lowering, value: str) -> int:
    """Words that one token takes in attention values: each head begins a new word."""
    heads = _heads(low, value)
    return heads * -(-(low.width(value) // heads) // low.lanes)


def drain_values(low: Lowering, node: Linear, step: Step, s: int, b: int, source: Rows) -> None:
    """The last product of attention values, drained by columns."""
    heads = _heads(low, node.output)
    size = step.rows // heads
    words_per_head = -(-size // low.lanes)
    order = np.full((heads, words_per_head * low.lanes), -1)
    order[:, :size] = np.arange(step.rows).reshape(heads, size)
    order = order.reshape(-1)
    words = heads * words_per_head
    written = _values_block(low, node.output, s, b)
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
    task = Task(
        Unit.ARRAY,
        node.output,
        instruction,
        {"b_base": (source.buffers[b], 0), "c_base": (written.buffer, written.lo)},
        (source.all_of(b),),
        (written,),
        tuple(_value_parts(low, node.output, written, b)),
    )
    add_product(low, task, source, b)


def turn_values(low: Lowering, node: Linear, s: int, b: int, source: Buffer) -> None:
    """Transposes attention values by contracting with the identity: from one feature per word to one token per word."""
    heads = _heads(low, node.output)
    size = source.words // heads
    words_per_head = -(-size // low.lanes)
    written = _values_block(low, node.output, s, b)
    for first, count, features in _head_tiles(low, size):
        instruction = Contract(
            sentence=s,
            block=b,
            n0=heads,
            n1=count,
            nk=features,
            a_space=Space.IDENTITY,
            b_stride0=size,
            b_stride1=low.lanes,
            b_stridek=1,
            columns=1,
            rows_source=Count.TOKENS,
            c_stride0=words_per_head,
            c_stride1=1,
            c_stridew=heads * words_per_head,
            bits=8,
        )
        bases = {"b_base": (source, first * low.lanes), "c_base": (written.buffer, written.lo + first)}
        reads = (Access(source, 0, source.words),)
        low.add(Task(Unit.ARRAY, node.output, instruction, bases, reads, (written,)))


def _heads(low: Lowering, value: str) -> int:
    """Heads of the attention that reads a value."""
    (heads,) = {node.heads for node in low.uses[value] if isinstance(node, Context)}
    return heads


def _head_tiles(low: Lowering, size: int) -> Iterator[tuple[int, int, int]]:
    """The words of a head of `size` features as (first word, words, features per word): full ones, then the rest."""
    full, rest = divmod(size, low.lanes)
    if full:
        yield 0, full, low.lanes
    if rest:
        yield full, 1, rest


def _values_block(low: Lowering, value: str, s: int, b: int) -> Access:
    """The words of a block of attention values."""
    words = low.lanes * value_words(low, value)
    return Access(low.kv[value, s], b * words, (b + 1) * words)


def _head_part(low: Lowering, value: str, buffer: Buffer, b: int, head: int) -> Part:
    """Scores or probabilities of a head: one key per word, the queries of block `b` in the lanes."""
    axes = (Axis(low.lanes, 0, 1, (0, 1, 0)), Axis(buffer.words, 1, 0, (0, 0, 1)))
    return Part(value, buffer, 0, (head, low.lanes * b, 0), axes)


def _value_parts(low: Lowering, value: str, written: Access, b: int) -> Iterator[Part]:
    """A block of attention values: the full words of each head, and its last word if that is not full."""
    heads = _heads(low, value)
    size = low.width(value) // heads
    words_per_head = -(-size // low.lanes)
    for first, count, features in _head_tiles(low, size):
        axes = (
            Axis(low.lanes, heads * words_per_head, 0, (1, 0)),
            Axis(heads, words_per_head, 0, (0, size)),
            Axis(count, 1, 0, (0, low.lanes)),
            Axis(features, 0, 1, (0, 1)),
        )
        yield Part(value, written.buffer, written.lo + first, (low.lanes * b, first * low.lanes), axes)
