"""The trained PyTorch model in `eval()` as a level of the verification ladder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..fixedpoint import IntArray
from ..graph import First, Graph
from ..graph.level import Sentence
from .quantizer import Mode, quantizers, set_mode
from .transformer import Transformer


class TorchLevel:
    """Runs the quantized model on padded batches and gives the integers of every quantizer.

    Args:
        model: quantized; it is put into `eval()` and quantized mode.
        graph: what the model was frozen to: which values to give, and with which dims.
    """

    name = "torch"

    def __init__(self, model: Transformer, graph: Graph) -> None:
        self._model = model.eval()
        set_mode(model, Mode.QUANTIZED)
        self._graph = graph
        self._merged: dict[str, IntArray] = {}

    def run(self, sentences: Sequence[Sentence]) -> Mapping[str, Sequence[IntArray]]:
        """See `graph.level.Level.run`."""
        captured = self._capture(sentences)
        lengths = [len(sentence.tokens) for sentence in sentences]
        results: dict[str, list[IntArray]] = {}
        for name in self._graph.activations():
            if name not in captured:
                continue
            dims = self._graph.values[name].dims
            tensor = captured[name].numpy()
            results[name] = [
                tensor[b][tuple(slice(t) if dim == "T" else slice(None) for dim in dims)]
                for b, t in enumerate(lengths)
            ]
        return results

    def merged(self) -> Mapping[str, IntArray]:
        """See `graph.level.Level.merged`."""
        if not self._merged:
            self.run([Sentence(np.zeros(1, np.int32))])
        return self._merged

    @torch.no_grad()
    def _capture(self, sentences: Sequence[Sentence]) -> dict[str, Tensor]:
        ids, lengths, segments = pad(sentences)
        captured: dict[str, Tensor] = {}
        for quantizer in quantizers(self._model):
            quantizer.capture = captured
        try:
            self._model(ids, lengths, segments)
        finally:
            for quantizer in quantizers(self._model):
                quantizer.capture = None
        self._merged = {name: captured[name].numpy() for name in self._graph.merged()}
        # The first token's row is a view of the last layer's output, with no quantizer of its own.
        for node in self._graph.nodes:
            if isinstance(node, First):
                captured[node.output] = captured[node.input][:, 0]
        return captured


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
