"""The configuration of a model and of its training: frozen, typed, validated, read and written as JSON or TOML."""

from __future__ import annotations

import sys
from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ..errors import UserError, printable, validation_problem
from ..files import parse_json, readable_file
from ..fixedpoint import MAX_NORM_SIZE
from ..graph import LinearKind, Plan

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_STRICT = ConfigDict(extra="forbid")
_MOST_BYTES = 1 << 20  # of a file


def _integer(least: int, most: int) -> Any:
    return Field(ge=least, le=most, strict=True)


def _number(**limits: Any) -> Any:
    return Field(strict=True, allow_inf_nan=False, **limits)


Flag = Annotated[bool, Field(strict=True)]
CoreBits = Literal[2, 4, 8]
Rank = Annotated[int, _integer(1, 4096)]
Ranks = Annotated[tuple[Rank, ...], Field(max_length=31)]
Widths = Annotated[tuple[CoreBits, ...], Field(max_length=32)]
Mode = Annotated[int, _integer(1, 1 << 20)]
Modes = Annotated[tuple[Mode, ...], Field(max_length=16)]
ModeCount = Annotated[int, _integer(1, 16)]
Dim = Annotated[int, _integer(1, MAX_NORM_SIZE)]
Layers = Annotated[int, _integer(0, 64)]
Ffn = Annotated[int, _integer(1, 1 << 14)]
Length = Annotated[int, _integer(1, 4096)]
VocabSize = Annotated[int, _integer(0, 1 << 20)]
Classes = Annotated[int, _integer(0, 1 << 16)]
Epochs = Annotated[int, _integer(0, 100_000)]
BatchSize = Annotated[int, _integer(1, 1 << 16)]
Batches = Annotated[int, _integer(1, 10_000)]
WordCount = Annotated[int, _integer(1, 1_000_000_000)]
Seed = Annotated[int, _integer(0, (1 << 63) - 1)]
Rate = Annotated[float, _number(gt=0, le=1000)]
RateOrNone = Annotated[float, _number(ge=0, le=1000)]
Factor = Annotated[float, _number(ge=1e-6, le=1000)]
Temperature = Annotated[float, _number(ge=0.01, le=1000)]
Norm = Annotated[float, _number(ge=0, le=1_000_000)]
Share = Annotated[float, _number(ge=0, le=1)]
Dropout = Annotated[float, _number(ge=0, lt=1)]
Percent = Annotated[float, _number(gt=0, le=100)]
Name = Annotated[str, Field(strict=True, max_length=100)]
Activation = Literal["gelu", "relu", "tanh"]
Calibration = Literal["max", "percentile", "mse"]


@dataclass(frozen=True, config=_STRICT)
class LinearConfig:
    """A linear layer.

    Lists are ordered from the output to the input, like the cores. In `model.feedforward` they describe the layer from
    `dim` to `ffn`. Where these two differ, the layer from `ffn` to `dim` has the same lists in reverse order.

    Attributes:
        kind: Format of the weight: tensor train, product of two matrices, or one matrix.
        rank: Rank of the tensor train, one for all inner bonds or one for each. A low-rank layer uses the largest.
        out_modes: Modes of the output of a tensor train. Empty: `modes` balanced ones.
        in_modes: Modes of the input of a tensor train. Empty: `modes` balanced ones.
        modes: Number of modes of each side, where the modes are not given.
        plan: Order of the products of a tensor train. In a quantized layer it determines where results are rounded.
        bits: Width of the cores, one for all or one for each. Formats with fewer matrices use the first widths.
    """

    kind: LinearKind = "tt"
    rank: Rank | Ranks = 16
    out_modes: Modes = ()
    in_modes: Modes = ()
    modes: ModeCount = 3
    plan: Plan = "merged"
    bits: CoreBits | Widths = 8


@dataclass(frozen=True, config=_STRICT)
class EmbeddingConfig:
    """The token embedding.

    Attributes:
        kind: Tensor-train matrix, or dense table.
        rank: Rank of the tensor-train matrix, one for all inner bonds or one for each.
        vocab_modes: Modes of the vocabulary. Their product must be at least its size; the excess is padding. Empty:
            balanced modes.
        dim_modes: Modes of the features, one for each mode of the vocabulary. Empty: balanced modes.
        modes: Number of cores, where the modes are not given.
        bits: Width of the cores, one for all or one for each. A dense table uses the first.
    """

    kind: Literal["ttm", "dense"] = "ttm"
    rank: Rank | Ranks = 16
    vocab_modes: Modes = ()
    dim_modes: Modes = ()
    modes: ModeCount = 3
    bits: CoreBits | Widths = 8


@dataclass(frozen=True, config=_STRICT)
class ModelConfig:
    """A BERT-style encoder with its heads.

    Attributes:
        dim: Features of a token. The limit is the largest LayerNorm.
        layers: Encoder layers.
        heads: Attention heads; must divide `dim`.
        ffn: Features inside the feed-forward block.
        max_length: Tokens of the longest sentence, [CLS] included.
        vocab_size: Entries of the vocabulary. Training sets it from the data.
        labels: Number of classes. Training sets it from the data.
        tags: Number of slot tags; 0: no slot head. Training sets it from the data.
        segments: Whether the model has two segments, for sentence pairs. Training sets it from the data.
        activation: Function inside the feed-forward block.
        embedding: Format of the token embedding.
        attention: Format of the four layers of an attention block.
        feedforward: Format of the two layers of a feed-forward block.
        pooler: Format of the layer before the label head.
        head: Format of the label head and the slot head.
        overrides: Formats of single layers by module name, for instance "encoder.0.attention.query".
        activation_bits: Width of activations and intermediates.
        residual_bits: Width of the residual stream and the logits.
    """

    dim: Dim = 256
    layers: Layers = 2
    heads: Dim = 4
    ffn: Ffn = 1024
    max_length: Length = 64
    vocab_size: VocabSize = 0
    labels: Classes = 0
    tags: Classes = 0
    segments: Flag = False
    activation: Activation = "gelu"
    embedding: EmbeddingConfig = EmbeddingConfig()
    attention: LinearConfig = LinearConfig()
    feedforward: LinearConfig = LinearConfig()
    pooler: LinearConfig = LinearConfig()
    head: LinearConfig = LinearConfig(kind="dense")
    overrides: Annotated[dict[Name, LinearConfig], Field(max_length=1000)] = field(default_factory=dict)
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
    """The training of a model: a float stage, calibration, a quantization-aware stage.

    Attributes:
        epochs: Epochs of the float stage. With 0, training starts from the float checkpoint in the folder, if any.
        qat_epochs: Epochs of the quantization-aware stage. Export needs at least 1.
        batch_size: Sentences of one step.
        lr: Peak learning rate of the float stage (AdamW, linear warm-up, cosine to zero).
        qat_lr: Peak learning rate of the quantization-aware stage.
        core_lr_factor: Factor of the learning rates for the cores of tensor-train and low-rank layers. Their product
            changes with every core, so it moves farther than a dense weight.
        ttm_lr_factor: Factor of the learning rates for the cores of a tensor-train matrix. AdamW takes large steps
            where gradients are rare, as in a row of a dense table. Cores are shared by many words, so their rates are
            multiplied by this factor instead.
        scale_lr: Peak learning rate of the log2 thresholds.
        weight_decay: Weight decay of AdamW. Not applied to biases, LayerNorm parameters and thresholds.
        warmup: Share of a stage's steps in which the learning rate rises to its peak.
        clip: Norm that gradients are clipped to; 0: no clipping.
        dropout: Dropout of embeddings, attention probabilities and block outputs in the float stage.
        qat_dropout: The same in the quantization-aware stage.
        word_dropout: Share of the words that training replaces with the unknown word.
        label_smoothing: Label smoothing of the label loss and the slot loss.
        slot_weight: Weight of the slot loss relative to the label loss.
        distill_weight: Share of the teacher's soft targets in the loss, if there is a teacher.
        distill_temperature: Divisor of the logits of both models in the soft loss.
        calibration: Method that sets the thresholds before the quantization-aware stage.
        percentile: Percentile of the magnitudes for the calibration method `percentile`.
        calibration_batches: Number of batches used for calibration.
        frozen_share: Share of the quantization-aware steps, at the end, in which the thresholds are frozen.
        seed: Seed of all random numbers.
    """

    epochs: Epochs = 20
    qat_epochs: Epochs = 8
    batch_size: BatchSize = 32
    lr: Rate = 1e-3
    qat_lr: Rate = 3e-4
    core_lr_factor: Factor = 0.5
    ttm_lr_factor: Factor = 6.0
    scale_lr: RateOrNone = 1e-2
    weight_decay: RateOrNone = 0.01
    warmup: Share = 0.05
    clip: Norm = 1.0
    dropout: Dropout = 0.1
    qat_dropout: Dropout = 0.0
    word_dropout: Share = 0.1
    label_smoothing: Dropout = 0.0
    slot_weight: RateOrNone = 1.0
    distill_weight: Share = 0.5
    distill_temperature: Temperature = 2.0
    calibration: Calibration = "mse"
    percentile: Percent = 99.9
    calibration_batches: Batches = 16
    frozen_share: Share = 0.3
    seed: Seed = 0


@dataclass(frozen=True, config=_STRICT)
class TokenizerConfig:
    """How sentences become tokens.

    Attributes:
        kind: One token for each word, or WordPiece.
        lower: Whether words are lower-cased.
        min_count: Words that are rarer than this in the training data are unknown (kind `word`).
        vocab_size: Entries of the vocabulary (kind `wordpiece`).
        words: How a sentence is split into words: at `whitespace`, at `punctuation`, or `auto` for the choice that fits
            the format of the data. Training records the choice.
    """

    kind: Literal["word", "wordpiece"] = "word"
    lower: Flag = True
    min_count: WordCount = 2
    vocab_size: Annotated[int, _integer(1, 1 << 20)] = 4000
    words: Literal["auto", "whitespace", "punctuation"] = "auto"


@dataclass(frozen=True, config=_STRICT)
class RunConfig:
    """The configuration of a training run.

    Attributes:
        name: Name of the model, in printable characters.
        model: The model.
        training: Training.
        tokenizer: Tokenizer.
    """

    name: Name = "custom"
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()

    def __post_init__(self) -> None:
        if not self.name.isprintable():
            raise ValueError(f"name must consist of printable characters, got {self.name!a}")


_ADAPTER: TypeAdapter[RunConfig] = TypeAdapter(RunConfig)


def to_dict(config: RunConfig) -> dict[str, Any]:
    """The configuration as plain JSON values."""
    value: dict[str, Any] = _ADAPTER.dump_python(config, mode="json")
    return value


def from_dict(value: Any, source: str = "the configuration") -> RunConfig:
    """The configuration from plain JSON values.

    Raises:
        UserError: an unknown key, a wrong type or a value out of range. The message names one of them and `source`.
    """
    try:
        return _ADAPTER.validate_python(value)
    except ValidationError as error:
        problem = validation_problem(error.errors(include_url=False), value)
        raise UserError(f"{source}: {problem}; correct this key.") from None


def read_config(path: Path) -> RunConfig:
    """A configuration file, `.toml` or `.json`; also the `config.json` of a run.

    Raises:
        UserError: the file is missing or invalid, or holds unknown keys or invalid values.
    """
    if path.is_dir():
        raise UserError(
            f"{path} is a folder; give a .toml or .json file, for instance the config.json of a run."
        )
    if not path.exists():
        raise UserError(f"the configuration {path} does not exist; give a .toml or .json file.")
    try:
        text = readable_file(path, _MOST_BYTES).read_text(encoding="utf-8-sig")
        value = tomllib.loads(text) if path.suffix == ".toml" else parse_json(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} can't be read ({printable(str(error))}); correct it.") from None
    if isinstance(value, dict) and value.keys() == {"format_version", "config"}:
        value = value["config"]
    return from_dict(value, str(path))
