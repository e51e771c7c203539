"""Pass: the integer graph as tasks, one sentence and token block at a time.

Activations are stored with one feature per word, in their natural order, and one token per lane. The keys of attention
are stored in the same way in KV memory, where they serve as weights. Its values are stored with one token per word
and the features of one head in the lanes, which is how a drain by columns writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...graph import (
    Add,
    Context,
    Embedding,
    First,
    Graph,
    LayerNorm,
    Linear,
    Scores,
    Softmax,
    Table,
    TTMEmbedding,
)
from ..host.packets import Output
from ..isa import Count, Load, Memory, Store, Unit
from .attention import lower_context, lower_scores, lower_softmax
from .embedding import lower_add, lower_embedding
from .image import Image
from .ir import Rows, Task
from .linear import lower_linear, lower_table
from .lowering import Lowering
from .norm import lower_layer_norm


def lower(graph: Graph, image: Image, max_length: int, sentences: int) -> Lowering:
    """Lowers a model.

    Args:
        graph: the model.
        image: collects its constants.
        max_length: tokens of the longest sentence.
        sentences: sentences per run.

    Returns:
        The tasks, and what the host sends and receives.

    Raises:
        UserError: a part of the model can't be computed by the engine's instructions.
    """
    low = Lowering(graph, image, max_length, sentences)
    _load_indices(low)
    for node in graph.nodes:
        OPERATORS[type(node)](low, node)
    _store_outputs(low)
    return low


def lower_first(low: Lowering, node: First) -> None:
    """The first token is lane 0 of block 0: nothing moves, and the other lanes are ignored."""
    for s in range(low.sentences):
        source = low.operand(node.output, node.input, s, Memory.ACT, Memory.VECTOR, Memory.WIDE)
        low.rows[node.output, s] = Rows(source.buffers[:1], source.features, source.cuts)


OPERATORS: Mapping[type, Callable[[Lowering, Any], None]] = {
    Embedding: lower_embedding,
    TTMEmbedding: lower_embedding,
    Add: lower_add,
    LayerNorm: lower_layer_norm,
    Linear: lower_linear,
    Scores: lower_scores,
    Softmax: lower_softmax,
    Context: lower_context,
    Table: lower_table,
    First: lower_first,
}
"""The function that lowers each operator of the graph."""


def _load_indices(low: Lowering) -> None:
    for s, access in enumerate(low.index):
        load = Load(sentence=s, memory=Memory.INDEX, count_source=Count.LENGTH)
        low.add(Task(Unit.STREAM, "embedding", load, writes=(access,)))


def _store_outputs(low: Lowering) -> None:
    for s in range(low.sentences):
        for task, value in low.graph.outputs.items():
            rows = low.operand(task, value, s, Memory.WIDE)
            for b, buffer in enumerate(rows.buffers):
                store = Store(sentence=s, block=b, count=rows.features)
                low.add(Task(Unit.STREAM, value, store, {"base": (buffer, 0)}, (rows.all_of(b),)))
                low.outputs.append(Output(task, value, s, b, rows.features, not low.is_single(value)))
