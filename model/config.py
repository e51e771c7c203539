"""The configuration of a model and of its training: frozen, typed, checked, read from and written to JSON or TOML."""

from __future__ import annotations

import json
import sys
from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ..errors import UserError
from ..files import write_atomic
from ..fixedpoint import MAX_NORM_SIZE
from ..graph import LinearKind, Plan

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_STRICT = ConfigDict(extra="forbid")

CoreBits = Literal[2, 4, 8]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Modes = tuple[Count, ...]
ModeCount = Annotated[int, Field(ge=1, le=16)]
Activation = Literal["gelu", "relu", "tanh"]
Calibration = Literal["max", "percentile", "mse"]


@dataclass(frozen=True, config=_STRICT)
class LinearConfig:
    """A linear layer.

    Attributes:
        kind: `tt`, `lowrank` or `dense`.
        rank: of the tensor train, one for all or one for each inner bond; of the low-rank layer.
        out_modes: of the tensor train; empty: `modes` balanced ones.
        in_modes: likewise for the input.
        modes: how many modes to factorize each side into.
        plan: `merged` or `cores`; in a quantized layer it fixes where intermediates are requantized.
        bits: of the cores, one for all or one a core.
    """

    kind: LinearKind = "tt"
    rank: Count | tuple[Count, ...] = 16
    out_modes: Modes = ()
    in_modes: Modes = ()
    modes: ModeCount = 3
    plan: Plan = "merged"
    bits: CoreBits | tuple[CoreBits, ...] = 8


@dataclass(frozen=True, config=_STRICT)
class EmbeddingConfig:
    """The token embedding.

    Attributes:
        kind: `ttm` or `dense`.
        rank: of the tensor-train matrix, one for all or one for each inner bond.
        vocab_modes: empty: balanced, their product at least the vocabulary (the rest is padding).
        dim_modes: empty: balanced.
        modes: how many cores, where modes are not given.
        bits: of the cores or the table.
    """

    kind: Literal["ttm", "dense"] = "ttm"
    rank: Count | tuple[Count, ...] = 16
    vocab_modes: Modes = ()
    dim_modes: Modes = ()
    modes: ModeCount = 3
    bits: CoreBits | tuple[CoreBits, ...] = 8


@dataclass(frozen=True, config=_STRICT)
class ModelConfig:
    """A BERT-style encoder with its heads.

    Attributes:
        dim: features a token, at most as many as one LayerNorm covers.
        layers: encoder layers.
        heads: attention heads; divides `dim`.
        ffn: features inside the feed-forward block.
        max_length: tokens of the longest sentence, [CLS] included.
        vocab_size, labels, tags: of the data; 0 until training has seen it. `tags` 0: no slot head.
        segments: two segments (for sentence pairs).
        activation: of the feed-forward block.
        embedding, attention, feedforward, pooler, head: formats of the layers.
        overrides: formats of single layers by module name, for instance "encoder.0.attention.query".
        activation_bits: of activations and contraction intermediates.
        residual_bits: of the residual stream and of the logits.
    """

    dim: Annotated[int, Field(ge=1, le=MAX_NORM_SIZE)] = 256
    layers: Natural = 2
    heads: Count = 4
    ffn: Count = 1024
    max_length: Count = 64
    vocab_size: Natural = 0
    labels: Natural = 0
    tags: Natural = 0
    segments: bool = False
    activation: Activation = "gelu"
    embedding: EmbeddingConfig = EmbeddingConfig()
    attention: LinearConfig = LinearConfig()
    feedforward: LinearConfig = LinearConfig()
    pooler: LinearConfig = LinearConfig()
    head: LinearConfig = LinearConfig(kind="dense")
    overrides: dict[str, LinearConfig] = field(default_factory=dict)
    activation_bits: Literal[4, 8] = 8
    residual_bits: Literal[16] = 16

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide dim ({self.dim})")

    def linear(self, name: str, default: LinearConfig) -> LinearConfig:
        """The format of the layer `name`: its override, or `default`."""
        return self.overrides.get(name, default)

    def with_kind(self, kind: LinearKind) -> ModelConfig:
        """The same model with all its tensor-train layers in another format; `dense` makes the embedding dense too."""
        return replace(
            self,
            attention=replace(self.attention, kind=kind),
            feedforward=replace(self.feedforward, kind=kind),
            pooler=replace(self.pooler, kind=kind),
            embedding=replace(self.embedding, kind="dense") if kind == "dense" else self.embedding,
            overrides={name: replace(layer, kind=kind) for name, layer in self.overrides.items()},
        )


@dataclass(frozen=True, config=_STRICT)
class TrainingConfig:
    """How a model is trained: a float stage, calibration, a quantization-aware stage.

    Attributes:
        epochs, qat_epochs: of the two stages.
        batch_size: sentences a step.
        lr, qat_lr: peak learning rates of the two stages (AdamW, linear warm-up, cosine to zero).
        core_lr_factor: of the learning rates for the cores of tensor-train and low-rank layers: their product moves
            with every core, and so farther than a dense weight.
        ttm_lr_factor: of those for the cores of a tensor-train matrix. AdamW takes large steps where gradients are
            rare, as in a row of a dense table; cores are shared by many words and miss those.
        scale_lr: peak learning rate of the log2 thresholds.
        weight_decay: not applied to biases, LayerNorm parameters and thresholds.
        warmup: share of a stage's steps.
        clip: norm that gradients are clipped to; 0: not at all.
        dropout: on embeddings, attention probabilities and block outputs, in the float stage.
        qat_dropout: the same in the quantization-aware stage.
        word_dropout: share of the words that training replaces by the unknown word.
        label_smoothing: of both losses.
        slot_weight: weight of the slot loss beside the label loss.
        distill_weight: share of the teacher's soft targets in the loss, where there is a teacher.
        distill_temperature: that both models' logits are divided by in the soft loss.
        calibration: how thresholds are initialized.
        percentile: of the magnitudes, for `percentile`.
        calibration_batches: batches that calibration sees.
        frozen_share: last share of the quantization-aware steps in which the thresholds stand still.
        seed: of everything random.
    """

    epochs: Natural = 20
    qat_epochs: Natural = 8
    batch_size: Count = 32
    lr: Positive = 1e-3
    qat_lr: Positive = 3e-4
    core_lr_factor: Positive = 0.5
    ttm_lr_factor: Positive = 6.0
    scale_lr: Rate = 1e-2
    weight_decay: Rate = 0.01
    warmup: Share = 0.05
    clip: Rate = 1.0
    dropout: Dropout = 0.1
    qat_dropout: Dropout = 0.0
    word_dropout: Share = 0.1
    label_smoothing: Dropout = 0.0
    slot_weight: Rate = 1.0
    distill_weight: Share = 0.5
    distill_temperature: Positive = 2.0
    calibration: Calibration = "mse"
    percentile: Annotated[float, Field(gt=0, le=100)] = 99.9
    calibration_batches: Count = 16
    frozen_share: Share = 0.3
    seed: Natural = 0


@dataclass(frozen=True, config=_STRICT)
class TokenizerConfig:
    """How sentences become tokens.

    Attributes:
        kind: one token a word, or WordPiece.
        lower: whether words are lower-cased.
        min_count: words seen less often in training are unknown (word level).
        vocab_size: of WordPiece.
    """

    kind: Literal["word", "wordpiece"] = "word"
    lower: bool = True
    min_count: Count = 2
    vocab_size: Count = 4000


@dataclass(frozen=True, config=_STRICT)
class RunConfig:
    """All of a training run that a file can say. `name` is for the reader."""

    name: str = "custom"
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()


_ADAPTER: TypeAdapter[RunConfig] = TypeAdapter(RunConfig)


def to_dict(config: RunConfig) -> dict[str, Any]:
    """The configuration as plain JSON values."""
    value: dict[str, Any] = _ADAPTER.dump_python(config, mode="json")
    return value


def from_dict(value: Any, source: str = "the configuration") -> RunConfig:
    """The configuration from plain JSON values.

    Raises:
        UserError: an unknown key, a wrong type or a value out of range, naming the first one and `source`.
    """
    try:
        return _ADAPTER.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(f"{source}: {where}: {first['msg']}; correct this key.") from None


def read_config(path: Path) -> RunConfig:
    """A configuration file, `.toml` or `.json`.

    Raises:
        UserError: the file is missing, is not valid, or holds unknown keys or wrong values.
    """
    if not path.is_file():
        raise UserError(f"the configuration {path} does not exist; give a .toml or .json file.")
    try:
        text = path.read_text(encoding="utf-8")
        value = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} can't be read ({error}); correct it.") from None
    return from_dict(value, str(path))


def write_config(config: RunConfig, path: Path) -> None:
    """Writes a configuration as TOML or, by the ending, JSON; `read_config` gives the same one back."""
    if path.suffix == ".toml":
        import tomli_w

        write_atomic(path, tomli_w.dumps(to_dict(config)))
    else:
        write_atomic(path, json.dumps(to_dict(config), indent=2) + "\n")
