"""The front end that travels with a graph: its vocabulary and labels, checked against its sizes."""

from __future__ import annotations

from ...errors import UserError
from ...graph import Graph
from ...text import Labels, tokenizer_from_json
from ...text.frontend import Frontend


def frontend_of(graph: Graph) -> Frontend:
    """The front end of a graph: text to token ids, and logits to names.

    Raises:
        UserError: the graph was frozen without tokenizer or labels, or with those of another model.
    """
    metadata = graph.metadata
    if not metadata.tokenizer or not metadata.labels:
        raise UserError("this model carries no vocabulary or labels; export it from a training run.")
    tokenizer = tokenizer_from_json(dict(metadata.tokenizer))
    labels = Labels.from_json(dict(metadata.labels))
    sizes = {task: graph.values[value].dims[-1] for task, value in graph.outputs.items()}
    names = {"label": len(labels.intents)} | ({"slots": len(labels.slots)} if labels.slots else {})
    if sizes != names or metadata.vocab_size != tokenizer.vocab_size:
        raise UserError("this model's vocabulary or labels do not fit its integers; export it again.")
    return Frontend(tokenizer, labels, metadata.max_length, graph.segments)
