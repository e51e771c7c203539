"""The configuration of a model and of its training: frozen, typed, checked, read from and written to JSON or TOML."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ..errors import UserError, printable
from ..files import parse_json, readable_file, write_atomic
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

    Lists go from the output to the input, in the order of the cores. In `model.feedforward` they are those of the layer
    from `dim` to `ffn`; where these two differ, the layer back has the same lists in reverse order.

    Attributes:
        kind: Format of the weight: a tensor train, a product of two matrices, or one matrix.
        rank: Rank of the tensor train, one for all inner bonds or one for each; a low-rank layer takes the largest.
        out_modes: Modes of the output of a tensor train; empty: `modes` balanced ones.
        in_modes: Modes of its input; empty: `modes` balanced ones.
        modes: How many modes to factorize each side into, where they are not given.
        plan: Order of the products of a tensor train; in a quantized layer it fixes where intermediates are rounded.
        bits: Width of the cores, one for all or one for each; other formats than the tensor train take the first ones.
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
        kind: A tensor-train matrix, or a table.
        rank: Rank of the tensor-train matrix, one for all inner bonds or one for each.
        vocab_modes: Modes of the vocabulary; their product is at least its size, the rest is padding. Empty: balanced
            ones.
        dim_modes: Modes of the features, one for each mode of the vocabulary. Empty: balanced ones.
        modes: How many cores, where modes are not given.
        bits: Width of the cores, one for all or one for each; a table takes the first.
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
        dim: Features of a token; the limit is what one LayerNorm covers.
        layers: Encoder layers.
        heads: Attention heads; divides `dim`.
        ffn: Features inside the feed-forward block.
        max_length: Tokens of the longest sentence, [CLS] included.
        vocab_size: Entries of the vocabulary. Training sets it from the data.
        labels: Classes. Training sets it from the data.
        tags: Slot tags; 0: no slot head. Training sets it from the data.
        segments: Two segments, for sentence pairs. Training sets it where the data has pairs.
        activation: Function inside the feed-forward block.
        embedding: Format of the token embedding.
        attention: Format of the four layers of an attention block.
        feedforward: Format of the two layers of a feed-forward block.
        pooler: Format of the layer before the label head.
        head: Format of the label head and the slot head.
        overrides: Formats of single layers by module name, for instance "encoder.0.attention.query".
        activation_bits: Width of activations and of intermediates.
        residual_bits: Width of the residual stream and of the logits.
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
    """How a model is trained: a float stage, calibration, a quantization-aware stage.

    Attributes:
        epochs: Epochs of the float stage; with 0 and a float checkpoint in the folder, training starts from that.
        qat_epochs: Epochs of the quantization-aware stage; a model needs 1 or more to be exported.
        batch_size: Sentences of one step.
        lr: Peak learning rate of the float stage (AdamW, linear warm-up, cosine to zero).
        qat_lr: Peak learning rate of the quantization-aware stage.
        core_lr_factor: Factor of the learning rates for the cores of tensor-train and low-rank layers: their product
            moves with every core, and so farther than a dense weight.
        ttm_lr_factor: Factor of the learning rates for the cores of a tensor-train matrix. AdamW takes large steps
            where gradients are rare, as in a row of a dense table; cores are shared by many words and miss those.
        scale_lr: Peak learning rate of the log2 thresholds.
        weight_decay: Of AdamW. Not applied to biases, LayerNorm parameters and thresholds.
        warmup: Share of a stage's steps in which the learning rate rises to its peak.
        clip: Norm that gradients are clipped to; 0: not at all.
        dropout: Share of embeddings, attention probabilities and block outputs that is dropped in the float stage.
        qat_dropout: The same in the quantization-aware stage.
        word_dropout: Share of the words that training replaces by the unknown word.
        label_smoothing: Of the label loss and the slot loss.
        slot_weight: Weight of the slot loss next to the label loss.
        distill_weight: Share of the teacher's soft targets in the loss, where there is a teacher.
        distill_temperature: Both models' logits are divided by it in the soft loss.
        calibration: How thresholds are set before the quantization-aware stage.
        percentile: Percentile of the magnitudes that the calibration `percentile` takes.
        calibration_batches: Batches that calibration sees.
        frozen_share: Last share of the quantization-aware steps, in which the thresholds do not change.
        seed: Seed of everything random.
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
        min_count: Words seen less often in training are unknown (kind `word`).
        vocab_size: Entries of the vocabulary (kind `wordpiece`).
        words: What cuts a sentence into words: `whitespace`, `punctuation`, or `auto` for what fits the format of the
            data; training writes down which.
    """

    kind: Literal["word", "wordpiece"] = "word"
    lower: Flag = True
    min_count: WordCount = 2
    vocab_size: Annotated[int, _integer(1, 1 << 20)] = 4000
    words: Literal["auto", "whitespace", "punctuation"] = "auto"


@dataclass(frozen=True, config=_STRICT)
class RunConfig:
    """All of a training run that a file can say.

    Attributes:
        name: Of the model, for the reader: printable characters.
        model: The model.
        training: How it is trained.
        tokenizer: How sentences become tokens.
    """

    name: Name = "custom"
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()

    def __post_init__(self) -> None:
        if not self.name.isprintable():
            raise ValueError(f"name must have printable characters only, got {self.name!a}")


_ADAPTER: TypeAdapter[RunConfig] = TypeAdapter(RunConfig)


def to_dict(config: RunConfig) -> dict[str, Any]:
    """The configuration as plain JSON values."""
    value: dict[str, Any] = _ADAPTER.dump_python(config, mode="json")
    return value


def from_dict(value: Any, source: str = "the configuration") -> RunConfig:
    """The configuration from plain JSON values.

    Raises:
        UserError: an unknown key, a wrong type or a value out of range, naming one and `source`.
    """
    try:
        return _ADAPTER.validate_python(value)
    except ValidationError as error:
        # Where a value may be a number or a list, both complain; the complaint from deeper inside is the right one.
        errors = error.errors(include_url=False)
        worst = max(errors, key=lambda found: len(_path(found["loc"], value)))
        path = printable(".".join(_path(worst["loc"], value)), 120) or "the file"
    if worst["type"] == "unexpected_keyword_argument":
        raise UserError(f"{source}: {path} is not a key of a configuration; correct or remove it.")
    rule = (
        worst["msg"].removeprefix("Value error, ").replace("Input should", "must").replace("should", "must")
    )
    got = worst["input"]
    shown = "" if isinstance(got, dict) else f", got {printable(repr(got), 40)}"
    raise UserError(f"{source}: {path}: {printable(rule, 120)}{shown}; correct this key.")


def _path(loc: Sequence[int | str], value: Any) -> list[str]:
    """The keys in `loc` that lead into `value`, without the names of pydantic's own branches between them."""
    path = []
    for part in loc:
        try:
            value = value[part]
        except (LookupError, TypeError):
            continue
        path.append(str(part))
    return path


def read_config(path: Path) -> RunConfig:
    """A configuration file, `.toml` or `.json`; also the `config.json` of a run.

    Raises:
        UserError: the file is missing, is not valid, or holds unknown keys or wrong values.
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


def write_config(config: RunConfig, path: Path) -> None:
    """Writes a configuration as TOML or, by the ending, JSON; `read_config` gives the same one back."""
    if path.suffix == ".toml":
        import tomli_w

        write_atomic(path, tomli_w.dumps(to_dict(config)))
    else:
        write_atomic(path, json.dumps(to_dict(config), indent=2) + "\n")
