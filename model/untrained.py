"""Models without training, for what does not depend on weights: sizes, and cycles on an engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ..graph import Graph
from ..graph import Table as TableNode
from ..graph.level import Sentence
from .config import ModelConfig
from .freeze import freeze
from .level import pad
from .quantizer import Mode, calibrate, set_mode
from .transformer import Transformer


def untrained(config: ModelConfig) -> Graph:
    """An untrained model, calibrated with three random sentences and frozen; no two of its function tables are equal.

    It has the constants and the cycles of a trained model.
    """
    rng = np.random.default_rng(0)
    lengths = [min(length, config.max_length) for length in (4, 12, 24)]
    sentences = [Sentence(rng.integers(0, config.vocab_size, n).astype(np.int32)) for n in lengths]
    return tables_of_their_own(freeze(quantized(config, sentences)))


def quantized(config: ModelConfig, sentences: list[Sentence]) -> Transformer:
    """An untrained model with calibrated scales; the cost of a model does not depend on its weights."""
    torch.manual_seed(0)
    model = Transformer(config).eval()
    set_mode(model, Mode.CALIBRATE)
    with torch.no_grad():
        model(*pad(sentences[:64]))
    calibrate(model, "max")
    set_mode(model, Mode.QUANTIZED)
    return model


def tables_of_their_own(graph: Graph) -> Graph:
    """The graph with all function tables made different, as after training, where each layer has its own scales.

    Equal tables are stored once, and those of an untrained model are mostly equal. Exponential tables are unchanged:
    they depend only on the scale of the scores, a power of two with few possible values.
    """
    constants = dict(graph.constants)
    for number, node in enumerate(node for node in graph.nodes if isinstance(node, TableNode)):
        table = constants[node.table].copy()
        table[200] = number
        constants[node.table] = table
    return replace(graph, constants=constants)
