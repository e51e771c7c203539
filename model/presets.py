"""Named configurations: the demo, the benchmark models, and the models of the literature.

The `paper-*` presets follow Yang et al. (Interspeech 2023, arXiv 2306.01076): 768 features, feed-forward 768,
12 heads, tensor-train modes (12, 8, 8) x (8, 8, 12) at rank 12, embedding modes (12, 8, 8) at rank 30. Their `-hw`
variants have ranks and outer modes that are multiples of 16, which fill a 16 x 16 array.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import UserError
from .config import EmbeddingConfig, LinearConfig, ModelConfig, RunConfig, TrainingConfig


def _same_linear(model: ModelConfig, linear: LinearConfig) -> ModelConfig:
    return replace(model, attention=linear, feedforward=linear, pooler=linear)


def _voice() -> RunConfig:
    model = ModelConfig(
        dim=128,
        layers=2,
        heads=2,
        ffn=256,
        max_length=32,
        embedding=EmbeddingConfig(rank=64, modes=2),
    )
    training = TrainingConfig(epochs=8, qat_epochs=2, lr=2.5e-3, qat_lr=8e-4)
    return RunConfig(name="voice", model=_same_linear(model, LinearConfig(rank=32)), training=training)


def _snips() -> RunConfig:
    model = ModelConfig(
        dim=256,
        layers=2,
        heads=4,
        ffn=512,
        max_length=64,
        embedding=EmbeddingConfig(rank=64, modes=2),
    )
    return RunConfig(name="snips-2enc", model=_same_linear(model, LinearConfig(rank=32)))


def _paper(layers: int, hw: bool = False) -> RunConfig:
    out_modes, in_modes, rank = ((16, 3, 16), (16, 3, 16), 16) if hw else ((12, 8, 8), (8, 8, 12), 12)
    model = ModelConfig(
        dim=768,
        layers=layers,
        heads=12,
        ffn=768,
        max_length=64,
        embedding=EmbeddingConfig(rank=32 if hw else 30, dim_modes=out_modes),
    )
    linear = LinearConfig(rank=rank, out_modes=out_modes, in_modes=in_modes)
    return RunConfig(
        name=f"paper-{layers}enc{'-hw' if hw else ''}",
        model=_same_linear(model, linear),
        training=TrainingConfig(qat_epochs=6, lr=8e-4, qat_lr=2e-4),
    )


def _bert_base() -> RunConfig:
    model = ModelConfig(
        dim=768,
        layers=12,
        heads=12,
        ffn=3072,
        max_length=128,
        embedding=EmbeddingConfig(rank=32, dim_modes=(16, 3, 16)),
    )
    return RunConfig(
        name="bert-base",
        model=_same_linear(model, LinearConfig(rank=16)),
        training=TrainingConfig(lr=2e-4, qat_lr=1e-4),
    )


PRESETS: dict[str, RunConfig] = {
    run.name: run
    for run in (
        _voice(),
        _snips(),
        *(_paper(layers, hw) for layers in (2, 4, 6) for hw in (False, True)),
        _bert_base(),
    )
}
"""All presets by name."""


def preset(name: str) -> RunConfig:
    """The preset `name`.

    Raises:
        UserError: the preset does not exist.
    """
    if name not in PRESETS:
        raise UserError(f"there is no preset {name!r}; choose one of {', '.join(sorted(PRESETS))}.")
    return PRESETS[name]
