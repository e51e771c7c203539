"""Random small PyTorch models and the sentences to run them on."""

from __future__ import annotations

import numpy as np
import torch

from narrowgauge.graph.level import Sentence
from narrowgauge.model.config import EmbeddingConfig, LinearConfig, ModelConfig
from narrowgauge.model.level import pad
from narrowgauge.model.quantizer import Mode, calibrate, quantizers, set_mode
from narrowgauge.model.transformer import Transformer


def random_config(rng: np.random.Generator) -> ModelConfig:
    """A small model of any mix of layer formats, plans, modes, ranks, widths and functions."""

    def linear() -> LinearConfig:
        return LinearConfig(
            kind=str(rng.choice(["tt", "tt", "lowrank", "dense"])),  # type: ignore[arg-type]
            rank=int(rng.integers(1, 6)),
            modes=int(rng.integers(1, 4)),
            plan=str(rng.choice(["merged", "cores"])),  # type: ignore[arg-type]
            bits=int(rng.choice([2, 4, 8])),  # type: ignore[arg-type]
        )

    heads = int(rng.integers(1, 4))
    return ModelConfig(
        dim=heads * int(rng.integers(1, 9)),
        heads=heads,
        layers=int(rng.integers(0, 3)),
        ffn=int(rng.integers(2, 30)),
        max_length=9,
        vocab_size=int(rng.integers(5, 40)),
        labels=3,
        tags=4 * int(rng.integers(0, 2)),
        segments=bool(rng.integers(2)),
        activation=str(rng.choice(["gelu", "relu", "tanh"])),  # type: ignore[arg-type]
        embedding=EmbeddingConfig(
            kind=str(rng.choice(["ttm", "dense"])),  # type: ignore[arg-type]
            rank=int(rng.integers(1, 6)),
            modes=int(rng.integers(2, 4)),
            bits=int(rng.choice([2, 4, 8])),  # type: ignore[arg-type]
        ),
        attention=linear(),
        feedforward=linear(),
        pooler=linear(),
        head=linear(),
        activation_bits=int(rng.choice([4, 8, 8])),  # type: ignore[arg-type]
    )


def random_sentences(rng: np.random.Generator, config: ModelConfig, count: int) -> list[Sentence]:
    """Sentences of length 1, of the maximum, and between."""
    lengths = [1, config.max_length, *rng.integers(1, config.max_length + 1, max(0, count - 2))]
    return [
        Sentence(
            rng.integers(0, config.vocab_size, t).astype(np.int32),
            rng.integers(0, 2, t).astype(np.int32) if config.segments else None,
        )
        for t in lengths[:count]
    ]


def random_model(
    rng: np.random.Generator, config: ModelConfig | None = None, extremes: float = 0.0
) -> Transformer:
    """A calibrated, quantized model with random weights and thresholds pushed off their calibrated places.

    A share `extremes` of its weights is made constant or of one magnitude, which saturates or zeroes integers.
    """
    config = config or random_config(rng)
    torch.manual_seed(int(rng.integers(1 << 31)))
    model = Transformer(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith("log2_t"):
                parameter.add_(torch.randn_like(parameter) * 0.1).mul_(float(rng.uniform(0.3, 3)))
            if extremes and not name.endswith(("log2_t", "bias")) and rng.random() < extremes:
                # All-largest, all-smallest, both at random, or nothing at all.
                signs = torch.sign(torch.randn_like(parameter))
                parameter.copy_(
                    signs if rng.integers(2) else torch.full_like(signs, float(rng.integers(-1, 2)))
                )
        set_mode(model, Mode.CALIBRATE)
        model(*pad(random_sentences(rng, config, 6)))
        calibrate(model, str(rng.choice(["max", "percentile", "mse"])))
        for quantizer in quantizers(model):
            if quantizer.log2_t.requires_grad:
                quantizer.log2_t.add_(float(rng.normal()))
    set_mode(model, Mode.QUANTIZED)
    return model
