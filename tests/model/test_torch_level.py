"""The quantized PyTorch model in eval() gives the same integers as its frozen graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from narrowgauge.model.freeze import freeze
from narrowgauge.model.level import TorchLevel, pad
from narrowgauge.model.quantizer import Mode, quantizers, set_mode

from ..support.models import random_model, random_sentences
from ..support.oracle import run_oracle


@pytest.mark.parametrize("seed", range(40))
def test_every_value_of_a_random_model_equals_the_oracle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = random_model(rng)
    graph = freeze(model)
    sentences = random_sentences(rng, model.config, 5)
    level = TorchLevel(model, graph)
    results, merged = level.run(sentences), level.merged()
    assert set(results) == set(graph.activations())
    assert set(merged) == set(graph.merged())
    for i, sentence in enumerate(sentences):
        expected = run_oracle(graph, sentence)
        for name in graph.activations():
            np.testing.assert_array_equal(results[name][i], expected[name], err_msg=name, strict=False)
        for name in graph.merged():
            np.testing.assert_array_equal(merged[name], expected[name], err_msg=name)


@pytest.mark.parametrize("seed", range(10))
def test_training_mode_computes_the_same_values(seed: int) -> None:
    """These models are small: without dropout, float32 in training gives the same integers as float64 in eval."""
    rng = np.random.default_rng(1000 + seed)
    model = random_model(rng)
    batch = pad(random_sentences(rng, model.config, 6))
    with torch.no_grad():
        expected = model.eval()(*batch)
    trained = model.train()(*batch)
    for task, logits in expected.items():
        valid = torch.arange(logits.shape[1]) < batch[1][:, None] if task == "slots" else slice(None)
        assert torch.equal(trained[task][valid], logits[valid])


def test_padding_changes_nothing() -> None:
    rng = np.random.default_rng(7)
    model = random_model(rng)
    graph = freeze(model)
    sentences = random_sentences(rng, model.config, 6)
    level = TorchLevel(model, graph)
    together = level.run(sentences)
    for i, sentence in enumerate(sentences):
        alone = level.run([sentence])
        for name in graph.activations():
            np.testing.assert_array_equal(together[name][i], alone[name][0], err_msg=name)


def test_every_parameter_gets_a_gradient() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        model = random_model(rng).train()
        batch = pad(random_sentences(rng, model.config, 6))
        logits = model(*batch)
        sum(value.pow(2).sum() for value in logits.values()).backward()
        missing = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
        assert not missing
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_float_mode_does_not_quantize() -> None:
    rng = np.random.default_rng(3)
    model = random_model(rng)
    batch = pad(random_sentences(rng, model.config, 4))
    set_mode(model, Mode.FLOAT)
    with torch.no_grad():
        before = model(*batch)
        for quantizer in quantizers(model):
            quantizer.log2_t.add_(3)
        after = model(*batch)
    assert all(torch.equal(before[task], after[task]) for task in before)


@pytest.mark.parametrize("gap", [10, 18, 22])
def test_embeddings_of_very_different_scales_are_added_exactly(gap: int) -> None:
    """The sum of token and position needs gap + 8 bits, more than float32 has from a gap of 17 on.

    The sum's step is two steps of the token: an odd token alone is a tie, which the position decides.
    """
    rng = np.random.default_rng(gap)
    model = random_model(rng)
    embedding = model.embedding
    with torch.no_grad():
        embedding.position.output.log2_t.copy_(embedding.token.output.log2_t.ceil() - gap)
        step = embedding.position.output.fmt.scale
        embedding.position.weight.copy_(torch.randn_like(embedding.position.weight) * 4 * step)
        embedding.token.output.bits = 8
        embedding.sum.log2_t.copy_(embedding.token.output.log2_t.ceil() + 9)
    graph = freeze(model)
    sentences = random_sentences(rng, model.config, 6)
    results = TorchLevel(model, graph).run(sentences)
    for i, sentence in enumerate(sentences):
        expected = run_oracle(graph, sentence)
        np.testing.assert_array_equal(results["embedding.sum"][i], expected["embedding.sum"])
