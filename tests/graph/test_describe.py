"""The description of a model: its sizes are those of the constants."""

from __future__ import annotations

import math

import numpy as np
import pytest

from narrowgauge.graph import Linear, TTMEmbedding
from narrowgauge.graph.describe import describe
from narrowgauge.model.config import EmbeddingConfig, LinearConfig, ModelConfig
from narrowgauge.model.freeze import freeze

from ..support.models import random_config, random_model


@pytest.mark.parametrize("seed", range(15))
def test_parameters_are_those_of_the_torch_model(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = random_model(rng, random_config(rng))
    description = describe(freeze(model))
    parameters = sum(p.numel() for name, p in model.named_parameters() if not name.endswith("log2_t"))
    assert description.parameters == parameters
    names = [layer.name for layer in description.layers]
    assert len(set(names)) == len(names)
    modules = dict(model.named_modules())
    for layer in description.layers:
        if hasattr(modules[layer.name], "out_features"):
            assert layer.shape == (modules[layer.name].out_features, modules[layer.name].in_features)


def test_bytes_are_packed_at_each_core_s_width() -> None:
    linear = LinearConfig(rank=3, modes=2, bits=(2, 4, 8, 4))
    config = ModelConfig(
        dim=12,
        layers=1,
        heads=2,
        ffn=12,
        max_length=8,
        vocab_size=11,
        labels=3,
        embedding=EmbeddingConfig(rank=2, modes=2, bits=4),
        attention=linear,
        feedforward=linear,
        pooler=LinearConfig(kind="lowrank", rank=2, bits=4),
    )
    graph = freeze(random_model(np.random.default_rng(0), config))
    rows = {layer.name: layer for layer in describe(graph).layers}
    query = next(
        n for n in graph.nodes if isinstance(n, Linear) and n.output.startswith("encoder.0.attention.query")
    )
    sizes = [graph.constants[core].size for core in query.cores]
    packed = sum(math.ceil(size * bits / 8) for size, bits in zip(sizes, (2, 4, 8, 4), strict=True))
    assert rows["encoder.0.attention.query"].bytes == packed + 4 * 12
    assert rows["encoder.0.attention.query"].dense_parameters == 12 * 12 + 12
    assert rows["pooler"].bytes == math.ceil(12 * 2 / 2) * 2 + 4 * 12
    token = next(n for n in graph.nodes if isinstance(n, TTMEmbedding))
    assert rows["embedding.token"].bytes == sum(math.ceil(graph.constants[c].size / 2) for c in token.cores)
    assert rows["embedding.token"].shape == (11, 12)
    assert rows["encoder.0.feedforward.function"].dense_bytes == 0


@pytest.mark.parametrize(("rank", "pointless"), [(1, False), (12, True)])
def test_a_tensor_train_as_large_as_its_factors_is_called_pointless(rank: int, pointless: bool) -> None:
    config = ModelConfig(
        dim=12, layers=1, heads=1, ffn=12, vocab_size=9, labels=2, pooler=LinearConfig(rank=rank, modes=2)
    )
    rows = {
        layer.name: layer for layer in describe(freeze(random_model(np.random.default_rng(1), config))).layers
    }
    assert rows["pooler"].pointless is pointless


def test_what_a_tensor_train_buys_is_counted_in_packed_bytes() -> None:
    """With wide outer cores and narrow inner ones, fewer numbers can take more bytes, and more numbers fewer."""
    for middle, bits, more_numbers, pointless in (
        (8, 8, False, False),
        (8, (2, 2, 8, 8, 2, 2), False, True),
        (16, 8, True, True),
        (16, (8, 2, 2, 2, 2, 8), True, False),
    ):
        linear = LinearConfig(rank=(4, middle, 8, middle, 4), modes=3, bits=bits)  # type: ignore[arg-type]
        config = ModelConfig(dim=64, layers=0, heads=1, vocab_size=9, labels=2, pooler=linear)
        graph = freeze(random_model(np.random.default_rng(1), config))
        row = next(layer for layer in describe(graph).layers if layer.name == "pooler")
        assert (row.parameters >= row.merged_parameters) is more_numbers
        assert row.pointless is pointless
        assert row.pointless is (row.bytes >= row.lowrank_bytes)


def test_a_tensor_train_matrix_has_no_merged_factors_to_compare_with() -> None:
    config = ModelConfig(
        dim=12, layers=0, heads=1, vocab_size=40, labels=2, embedding=EmbeddingConfig(rank=9, modes=2)
    )
    rows = {
        layer.name: layer for layer in describe(freeze(random_model(np.random.default_rng(1), config))).layers
    }
    assert rows["embedding.token"].kind == "ttm" and not rows["embedding.token"].pointless
