"""Lowering of LayerNorm."""

from __future__ import annotations

from ...errors import UserError
from ...graph import LayerNorm
from ..isa import LayerNorm as Norm
from ..isa import Memory, Unit
from .ir import Access, Task
from .lowering import Lowering

PARTS = 4
"""A LayerNorm of many features is cut into this many instructions, so that the array can start on the first part."""

LEAST_FEATURES = 48
"""Features of a part, at least: a smaller one would cost more cycles than it saves."""


def lower_layer_norm(low: Lowering, node: LayerNorm) -> None:
    """One LAYERNORM per part of the features, for each sentence and block.

    Raises:
        UserError: the result is not in signed 8-bit numbers, or the sums of the input are not gathered.
    """
    graph = low.graph
    fmt = graph.fmt(node.output)
    if fmt.bits > 8 or not fmt.signed:
        raise UserError(f"{node.output}: the engine's LayerNorm gives signed 8-bit numbers, not {fmt}.")
    if (node.input, 0, 0) not in low.sums:
        raise UserError(
            f"{node.output}: the engine's LayerNorm must follow a sum of embeddings, or a linear layer with more than "
            f"8 bits; {node.input} is neither."
        )
    size = low.width(node.output)
    base = low.image.norm(graph.constants[node.gamma], graph.constants[node.beta])
    parts = max(1, min(PARTS, size // LEAST_FEATURES))
    cuts = tuple(size * (k + 1) // parts for k in range(parts))
    for s in range(low.sentences):
        source = low.rows[node.input, s]
        normed = low.new_rows(node.output, s, Memory.VECTOR, cuts if parts > 1 else ())
        for b, target in enumerate(normed.buffers):
            slot = low.sums[node.input, s, b]
            for start, end in zip((0, *cuts), cuts, strict=False):
                instruction = Norm(
                    sentence=s,
                    block=b,
                    size=size,
                    count=end - start,
                    norm_base=base + start,
                    shift=graph.fmt(node.beta).frac - fmt.frac,
                    bits=fmt.bits,
                )
                written = Access(target, start, end)
                low.add(
                    Task(
                        Unit.VECTOR,
                        node.output,
                        instruction,
                        {
                            "source": (source.buffers[b], start),
                            "target": (target, start),
                            "stat_slot": (slot, 0),
                        },
                        (Access(source.buffers[b], start, end), Access(slot, 0, 1)),
                        (written,),
                        low.row_parts(node.output, written, b, start),
                    )
                )
