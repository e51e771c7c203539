"""Random models at the levels above the compiler: PyTorch, golden model, onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.errors import UserError
from narrowgauge.graph.bounds import prove
from narrowgauge.graph.level import Level
from narrowgauge.graph.onnx_io import model_bytes, read_build, write_build
from narrowgauge.model.freeze import freeze
from narrowgauge.model.level import TorchLevel
from narrowgauge.sim.golden.model import GoldenModel
from narrowgauge.sim.levels.compare import verify_levels
from narrowgauge.sim.levels.onnx import OnnxLevel

from ..support.models import random_model, random_sentences


def compare(seed: int, extremes: float) -> None:
    """Every tensor of a random model is equal at all levels, or the exporter refuses the model."""
    rng = np.random.default_rng(seed)
    model = random_model(rng, extremes=extremes)
    graph = freeze(model)
    try:
        prove(graph)
    except UserError:
        return
    levels: list[Level] = [
        GoldenModel(graph),
        TorchLevel(model, graph),
        OnnxLevel(model_bytes(graph), graph, threads=1),
    ]
    results = verify_levels(graph, levels, random_sentences(rng, model.config, 4))
    assert [result.level for result in results] == ["golden", "torch", "onnx"]
    for result in results:
        assert result.equal, f"seed {seed}: {result}"
        assert result.tensors == len(graph.merged()) + 4 * len(graph.activations())


@pytest.mark.parametrize("seed", range(12))
def test_levels_are_equal(seed: int) -> None:
    compare(seed, extremes=0.0)


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.sampled_from([0.1, 0.5, 1.0]))
def test_levels_are_equal_at_extreme_weights(seed: int, extremes: float) -> None:
    compare(seed, extremes)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1300))
def test_levels_are_equal_in_a_long_sweep(seed: int) -> None:
    compare(seed, extremes=0.1 * (seed % 4))


def test_a_build_read_back_is_the_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    model = random_model(rng)
    graph = freeze(model)
    write_build(graph, tmp_path / "build")
    read = read_build(tmp_path / "build")
    levels: list[Level] = [GoldenModel(read), TorchLevel(model, graph)]
    assert all(r.equal for r in verify_levels(graph, levels, random_sentences(rng, model.config, 4)))


def test_most_random_models_can_be_proven() -> None:
    """The sweep above must compare models, not only refuse them."""
    refused = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        try:
            prove(freeze(random_model(rng, extremes=0.5 * (seed % 2))))
        except UserError:
            refused += 1
    assert refused <= 10
