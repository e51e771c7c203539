"""Factorization, tensor-train layers and embeddings, compared in float with dense references."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.errors import UserError
from narrowgauge.graph import Linear
from narrowgauge.model.config import EmbeddingConfig, LinearConfig, ModelConfig
from narrowgauge.model.embedding import TTMEmbedding
from narrowgauge.model.factorize import balanced_modes, clip_ranks, padded_modes, tt_svd, tt_to_dense
from narrowgauge.model.freeze import freeze
from narrowgauge.model.linear import DenseLinear, LowRankLinear, TTLinear
from narrowgauge.model.transformer import Transformer

from ..support.models import random_model

BASE = ModelConfig(
    dim=8,
    layers=1,
    heads=1,
    ffn=12,
    max_length=5,
    vocab_size=9,
    labels=3,
    embedding=EmbeddingConfig(rank=2, modes=2),
    attention=LinearConfig(rank=2, modes=2),
    pooler=LinearConfig(rank=2, modes=2),
)

sizes = st.integers(1, 200)


@given(sizes, st.integers(1, 5))
def test_balanced_modes_multiply_to_the_size_with_the_smallest_sum(size: int, count: int) -> None:
    modes = balanced_modes(size, count)
    assert math.prod(modes) == size and len(modes) == count and list(modes) == sorted(modes, reverse=True)

    def best(rest: int, left: int) -> int:
        if left == 1:
            return rest
        return min(d + best(rest // d, left - 1) for d in range(1, rest + 1) if rest % d == 0)

    assert sum(modes) == best(size, count)


@given(st.integers(1, 40000), st.integers(2, 4))
def test_padded_modes_reach_the_size_with_little_padding(size: int, count: int) -> None:
    modes = padded_modes(size, count)
    assert len(modes) == count and math.prod(modes) >= size
    assert math.prod(modes[:-1]) * (modes[-1] - 1) < size


@given(st.lists(st.integers(1, 9), min_size=2, max_size=7), st.integers(1, 50))
def test_ranks_are_clipped_to_the_unfoldings(modes: list[int], rank: int) -> None:
    ranks = clip_ranks(modes, rank)
    assert ranks[0] == ranks[-1] == 1
    for bond in range(1, len(modes)):
        assert ranks[bond] == min(rank, math.prod(modes[:bond]), math.prod(modes[bond:]))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(0, 2**31))
@settings(max_examples=40)
def test_tt_svd_at_full_rank_is_exact_and_at_an_error_keeps_its_bound(modes: list[int], seed: int) -> None:
    tensor = torch.randn(modes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    full = tt_to_dense(tt_svd(tensor, rank=10**6))
    torch.testing.assert_close(full.reshape(modes), tensor, rtol=1e-9, atol=1e-9)
    for error in (0.1, 0.5):
        near = tt_to_dense(tt_svd(tensor, error=error)).reshape(modes)
        assert float((near - tensor).norm()) <= error * float(tensor.norm()) * (1 + 1e-9)


def linear_config(rng: np.random.Generator) -> tuple[int, int, LinearConfig]:
    out_modes = tuple(int(m) for m in rng.integers(1, 6, rng.integers(1, 4)))
    in_modes = tuple(int(m) for m in rng.integers(1, 6, rng.integers(1, 4)))
    bonds = len(out_modes) + len(in_modes) - 1
    rank = int(rng.integers(1, 7)) if rng.integers(2) else tuple(int(r) for r in rng.integers(1, 7, bonds))
    plan = "merged" if rng.integers(2) else "cores"
    config = LinearConfig(rank=rank, out_modes=out_modes, in_modes=in_modes, plan=plan)  # type: ignore[arg-type]
    return math.prod(in_modes), math.prod(out_modes), config


@pytest.mark.parametrize("seed", range(40))
def test_a_tt_layer_is_the_dense_layer_of_its_weight(seed: int) -> None:
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    in_features, out_features, config = linear_config(rng)
    layer = TTLinear(in_features, out_features, config).double()
    assert layer.bias is not None
    layer.bias.data.normal_()
    assert (layer.in_features, layer.out_features) == (in_features, out_features)
    x = torch.randn(2, 3, in_features, dtype=torch.float64)
    residual = torch.randn(2, 3, out_features, dtype=torch.float64)
    expected = torch.nn.functional.linear(x, layer.to_dense(), layer.bias) + residual
    torch.testing.assert_close(layer(x, residual), expected)


@pytest.mark.parametrize("kind", [LowRankLinear, DenseLinear])
def test_the_peers_are_dense_layers_of_their_weights(kind: type[LowRankLinear] | type[DenseLinear]) -> None:
    layer = kind(12, 20)
    x = torch.randn(5, 12)
    expected = torch.nn.functional.linear(x, layer.to_dense(), layer.bias)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("plan", ["merged", "cores"])
def test_tt_from_dense(plan: str) -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(24, 36), torch.randn(24)
    config = LinearConfig(rank=1000, modes=2, plan=plan)  # type: ignore[arg-type]
    layer = TTLinear.from_dense(weight, bias, config)
    torch.testing.assert_close(layer.to_dense(), weight, rtol=1e-4, atol=1e-4)
    x = torch.randn(4, 36)
    expected = torch.nn.functional.linear(x, weight, bias)
    torch.testing.assert_close(layer(x), expected, rtol=1e-3, atol=1e-3)
    near = TTLinear.from_dense(weight, bias, config, error=0.3)
    assert 0.05 < float((near.to_dense().detach() - weight).norm() / weight.norm()) <= 0.3


@pytest.mark.parametrize("rank", [2, 12])
def test_the_weight_starts_with_the_variance_of_a_dense_layer(rank: int) -> None:
    torch.manual_seed(0)
    config = LinearConfig(rank=rank, out_modes=(12, 8, 8), in_modes=(8, 8, 12))
    variances = [float(TTLinear(768, 768, config).to_dense().detach().var()) for _ in range(8)]
    wanted = float(torch.nn.Linear(768, 768).weight.detach().var())
    assert 0.9 < np.mean(variances) / wanted < 1.1


@pytest.mark.parametrize("seed", range(20))
def test_a_ttm_embedding_looks_up_the_rows_of_its_table(seed: int) -> None:
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    count = int(rng.integers(3, 60))
    dims = tuple(int(d) for d in rng.integers(1, 5, rng.integers(2, 5)))
    config = EmbeddingConfig(rank=int(rng.integers(1, 6)), dim_modes=dims, modes=len(dims))
    layer = TTMEmbedding(count, math.prod(dims), config)
    table = layer.to_dense()
    assert table.shape == (count, math.prod(dims))
    index = torch.from_numpy(rng.integers(0, count, (3, 7)))
    torch.testing.assert_close(layer(index), table[index])
    everything = torch.arange(count)
    torch.testing.assert_close(layer(everything), table)


def test_a_ttm_embedding_from_a_dense_table() -> None:
    torch.manual_seed(0)
    table = torch.randn(50, 24)
    layer = TTMEmbedding.from_dense(table, EmbeddingConfig(rank=1000, modes=2))
    torch.testing.assert_close(layer.to_dense(), table, rtol=1e-4, atol=1e-4)
    near = TTMEmbedding.from_dense(table, EmbeddingConfig(modes=3), error=0.4)
    assert float((near.to_dense().detach() - table).norm() / table.norm()) <= 0.4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TTLinear(12, 12, LinearConfig(out_modes=(3, 3))), r"\(3, 3\).*must be 12, got 9"),
        (lambda: TTLinear(12, 12, LinearConfig(rank=(2, 2))), "5 ranks of at least 1, one per inner bond"),
        (lambda: TTLinear(12, 12, LinearConfig(bits=(8, 8))), "expected 6 bit widths"),
        (lambda: TTMEmbedding(50, 12, EmbeddingConfig(vocab_modes=(5, 5, 1))), "reach 50"),
        (
            lambda: TTMEmbedding(50, 12, EmbeddingConfig(vocab_modes=(5, 10), dim_modes=(2, 2, 3))),
            "one vocabulary mode and one feature mode per core",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused(make: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()  # type: ignore[operator]


def test_lists_of_ranks_and_widths_are_mirrored_with_the_modes_in_the_layer_back() -> None:
    compared = 0
    rng = np.random.default_rng(11)
    for _ in range(12):
        dim, ffn = 4 * int(rng.integers(2, 7)), 4 * int(rng.integers(7, 12))
        for kind in ("tt", "tt", "lowrank", "dense"):
            given = bool(rng.integers(2))
            modes: dict[str, Any] = (
                {"out_modes": (2, ffn // 4, 2), "in_modes": (dim // 4, 4)} if given else {"modes": 2}
            )
            count = 5 if given else 4
            layer = LinearConfig(
                kind=kind,  # type: ignore[arg-type]
                rank=tuple(int(r) for r in rng.integers(1, 7, count - 1)),
                bits=tuple(int(b) for b in rng.choice([2, 4, 8], count)),  # type: ignore[misc]
                plan=str(rng.choice(["merged", "cores"])),  # type: ignore[arg-type]
                **modes,
            )
            config = replace(BASE, dim=dim, ffn=ffn, feedforward=layer)
            graph = freeze(random_model(rng, config))
            nodes = {node.output: node for node in graph.nodes if isinstance(node, Linear)}
            there, back = (
                [(graph.constants[core].shape, graph.fmt(core).bits) for core in nodes[name].cores]
                for name in (f"encoder.0.feedforward.{part}.output" for part in ("inner", "outer"))
            )
            assert back == [(shape[::-1], bits) for shape, bits in reversed(there)]
            assert isinstance(layer.rank, tuple) and isinstance(layer.bits, tuple)
            assert [bits for _, bits in there] == list(layer.bits[: len(there)])
            if kind == "tt":
                sizes = (
                    (*modes["out_modes"], *modes["in_modes"]) if given else [shape[1] for shape, _ in there]
                )
                assert [shape[2] for shape, _ in there[:-1]] == list(clip_ranks(sizes, layer.rank)[1:-1])
            compared += len(there)
    assert compared >= 12 * 10


def test_the_case_of_the_ranks_and_widths_that_landed_on_the_wrong_cores() -> None:
    layer = LinearConfig(rank=(16, 20, 20, 20, 12), bits=(8, 8, 8, 4, 4, 2))
    model = Transformer(replace(BASE, dim=768, ffn=3072, heads=2, layers=1, feedforward=layer))
    block: Any = model.encoder[0].feedforward
    found = {
        name: [
            (tuple(core.shape), quantizer.bits)
            for core, quantizer in zip(part.cores, part.weights, strict=True)
        ]
        for name, part in (("inner", block.inner), ("outer", block.outer))
    }
    inner = [
        ((1, 16, 16), 8),
        ((16, 16, 20), 8),
        ((20, 12, 20), 8),
        ((20, 8, 20), 4),
        ((20, 8, 12), 4),
        ((12, 12, 1), 2),
    ]
    assert found["inner"] == inner
    assert found["outer"] == [(shape[::-1], bits) for shape, bits in reversed(inner)]
