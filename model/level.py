"""The trained PyTorch model in `eval()` as a verification level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..fixedpoint import IntArray
from ..graph import QUERIES, First, Graph
from ..graph.level import Results, Sentence
from .quantizer import Mode, quantizers, set_mode
from .transformer import Transformer


class TorchLevel:
    """Runs the quantized model on padded batches and returns the integers of every quantizer.

    Args:
        model: quantized; it is set to `eval()` and quantized mode.
        graph: the frozen model, which determines the values to return and their dims.
    """

    name = "torch"
    on_engine = False

    def __init__(self, model: Transformer, graph: Graph) -> None:
        self._model = model.eval()
        set_mode(model, Mode.QUANTIZED)
        self._graph = graph
        self._merged: dict[str, IntArray] = {}

    def execute(self, sentences: Sequence[Sentence]) -> Results:
        """The integers of all quantizers and of the logits."""
        captured, logits = self._forward(sentences)
        lengths = [len(sentence.tokens) for sentence in sentences]

        def unpadded(value: str, tensor: Tensor) -> list[IntArray]:
            dims = self._graph.values[value].dims
            places = [tuple(slice(t) if dim == QUERIES else slice(None) for dim in dims) for t in lengths]
            # A value with wrong axes is passed on unchanged, so that the comparison reports it.
            return [row[place[: row.ndim]] for row, place in zip(tensor.numpy(), places, strict=True)]

        return Results(
            {name: unpadded(name, captured[name]) for name in self._graph.activations() if name in captured},
            {
                task: unpadded(value, _integers(logits[task], self._graph.fmt(value).frac))
                for task, value in self._graph.outputs.items()
                if task in logits
            },
        )

    def run(self, sentences: Sequence[Sentence]) -> Mapping[str, Sequence[IntArray]]:
        """Every activation of every sentence, see `Results.values`."""
        return self.execute(sentences).values

    def merged(self) -> Mapping[str, IntArray]:
        """See `graph.level.Level.merged`."""
        if not self._merged:
            self._forward([Sentence(np.zeros(1, np.int32))])
        return self._merged

    @torch.no_grad()
    def _forward(self, sentences: Sequence[Sentence]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(integers of every quantizer by name, logits by task) of a padded batch."""
        ids, lengths, segments = pad(sentences)
        captured: dict[str, Tensor] = {}
        for quantizer in quantizers(self._model):
            quantizer.capture = captured
        try:
            logits = self._model(ids, lengths, segments)
        finally:
            for quantizer in quantizers(self._model):
                quantizer.capture = None
        self._merged = {name: captured[name].numpy() for name in self._graph.merged() if name in captured}
        # The first token's row is a view of the last layer's output and has no quantizer.
        for node in self._graph.nodes:
            if isinstance(node, First) and node.input in captured:
                captured[node.output] = captured[node.input][:, 0]
        return captured, logits


def _integers(logits: Tensor, frac: int) -> Tensor:
    """The integers of logits with `frac` fraction bits; the smallest int64 for a logit that is not such an integer."""
    scaled = torch.mul(logits.double(), 2.0**frac)
    integers = scaled.to(torch.int64)
    return torch.where(integers == scaled, integers, torch.iinfo(torch.int64).min)


def pad(sentences: Sequence[Sentence]) -> tuple[Tensor, Tensor, Tensor]:
    """(ids, lengths, segments) of sentences as one batch, padded with zeros to the longest."""
    lengths = torch.tensor([len(sentence.tokens) for sentence in sentences])
    ids = torch.zeros(len(sentences), int(lengths.max()), dtype=torch.long)
    segments = torch.zeros_like(ids)
    for row, sentence in enumerate(sentences):
        ids[row, : len(sentence.tokens)] = torch.from_numpy(sentence.tokens.astype(np.int64))
        if sentence.segments is not None:
            segments[row, : len(sentence.tokens)] = torch.from_numpy(sentence.segments.astype(np.int64))
    return ids, lengths, segments
