"""The folder of a training run: what is in it, written atomically, and read with checks.

    config.json            the `RunConfig`, sizes of the data filled in
    tokenizer.json         the vocabulary
    labels.json            the names of classes and slot tags
    data.json              the source of the data, its counts and its digest
    float.safetensors      the best weights of the float stage
    quantized.safetensors  the best weights and thresholds of the quantization-aware stage
    last.safetensors       the whole state of the training, to resume from
    history.json           one record an epoch
    metrics.json           the scores of the best weights

Every file carries `FORMAT_VERSION`: JSON files in their key "format_version", safetensors in their metadata.
The state of the training is one file, its counters in the metadata, so that no interruption can part them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import UserError
from ..files import read_json, replace_atomic, write_json
from .config import RunConfig, from_dict, to_dict
from .data import Labels, Tokenizer, tokenizer_from_json
from .quantizer import Mode, set_mode
from .transformer import Transformer

FORMAT_VERSION = 1

Stage = Literal["float", "quantized"]
STAGES: tuple[Stage, ...] = ("float", "quantized")
"""The stages of a training, in order; each leaves a checkpoint of its name."""

MODES: dict[Stage, Mode] = {"float": Mode.FLOAT, "quantized": Mode.QUANTIZED}

CONFIG, TOKENIZER, LABELS, DATA = "config.json", "tokenizer.json", "labels.json", "data.json"
HISTORY, METRICS, LAST = "history.json", "metrics.json", "last.safetensors"

_VERSION_KEY = "format_version"


@dataclass(frozen=True, eq=False)
class Run:
    """A trained model with all that is needed to use it.

    Attributes:
        stage: which checkpoint its weights are.
        config: of model, training and tokenizer.
        tokenizer, labels: from words to ids, from logits to names.
        model: in `eval()`, its quantizers in the mode of the stage.
    """

    stage: Stage
    config: RunConfig
    tokenizer: Tokenizer
    labels: Labels
    model: Transformer


def weights_file(path: Path, stage: Stage) -> Path:
    """The checkpoint of a stage in the run folder `path`."""
    return path / f"{stage}.safetensors"


def load_run(path: Path, stage: Stage | None = None) -> Run:
    """A run with the best weights of a stage.

    Args:
        path: folder of the run.
        stage: None: "quantized" if the run has got that far, else "float".

    Raises:
        UserError: a file is missing, damaged, of another format version, or does not fit the others.
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; give one that `narrowgauge train` wrote.")
    if stage is None:
        stage = "quantized" if weights_file(path, "quantized").exists() else "float"
    config, tokenizer, labels = read_description(path)
    model = Transformer(config.model, 0.0)
    load_weights(model, weights_file(path, stage))
    model.eval()
    set_mode(model, MODES[stage])
    return Run(stage, config, tokenizer, labels, model)


def write_description(path: Path, config: RunConfig, tokenizer: Tokenizer, labels: Labels) -> None:
    """Writes configuration, tokenizer and labels; the configuration last: where it is, all are."""
    write_record(path / TOKENIZER, tokenizer.to_json())
    write_record(path / LABELS, labels.to_json())
    write_record(path / CONFIG, {"config": to_dict(config)})


def read_description(path: Path) -> tuple[RunConfig, Tokenizer, Labels]:
    """What `write_description` wrote.

    Raises:
        UserError: as `load_run`.
    """
    config = from_dict(read_record(path / CONFIG).get("config"), str(path / CONFIG))
    tokenizer = tokenizer_from_json(read_record(path / TOKENIZER))
    labels = Labels.from_json(read_record(path / LABELS))
    sizes = config.model.vocab_size, config.model.labels, config.model.tags
    if sizes != (tokenizer.vocab_size, len(labels.intents), len(labels.slots)):
        raise UserError(f"the tokenizer or labels in {path} do not fit its {CONFIG}; restore the folder.")
    return config, tokenizer, labels


def write_record(path: Path, value: Mapping[str, Any]) -> None:
    """Writes an object as JSON with the format version."""
    write_json(path, {_VERSION_KEY: FORMAT_VERSION, **value})


def read_record(path: Path) -> dict[str, Any]:
    """What `write_record` wrote, without the version.

    Raises:
        UserError: the file is missing, is no JSON object, or is of another version.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path} does not hold a JSON object; restore it or train anew.")
    _check_version(path, value.pop(_VERSION_KEY, None))
    return value


def write_tensors(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Writes tensors, and with them `state`, which is anything that JSON can hold."""
    content = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    metadata = {_VERSION_KEY: str(FORMAT_VERSION), "state": json.dumps(state)}
    replace_atomic(path, lambda temporary: save_file(content, temporary, metadata=metadata))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote.

    Raises:
        UserError: the file is missing, damaged, or of another version.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; finish the training that would have written it.") from None
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}); restore it or train anew.") from None
    _check_version(path, metadata.get(_VERSION_KEY))
    try:
        state = json.loads(metadata["state"])
    except (KeyError, ValueError):
        state = None
    if not isinstance(state, dict):
        raise UserError(f"{path} has lost its metadata; restore it or train anew.")
    return tensors, state


def load_weights(model: nn.Module, path: Path) -> dict[str, Any]:
    """Puts the weights of a checkpoint into `model` and returns the state beside them.

    Raises:
        UserError: the file can't be read, or holds other tensors or shapes than the model.
    """
    tensors, state = read_tensors(path)
    load_tensors(model, tensors, path)
    return state


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Puts `tensors`, read from `path`, into `model`.

    Raises:
        UserError: they are not those of the model.
    """
    for name, expected in model.state_dict().items():
        found = tensors.get(name)
        if found is None:
            raise UserError(f"{path} lacks the tensor {name}; it belongs to another configuration.")
        if found.shape != expected.shape or found.dtype != expected.dtype:
            raise UserError(
                f"{path} holds {name} as {found.dtype} {tuple(found.shape)} where the model has "
                f"{expected.dtype} {tuple(expected.shape)}; it belongs to another configuration."
            )
    extra = sorted(set(tensors) - set(model.state_dict()))
    if extra:
        raise UserError(f"{path} holds {extra[0]}, too many; it belongs to another configuration.")
    model.load_state_dict(dict(tensors))


def _check_version(path: Path, found: object) -> None:
    if str(found) != str(FORMAT_VERSION):
        version = "no format version" if found is None else f"format version {found}"
        raise UserError(
            f"{path} has {version} and this narrowgauge reads {FORMAT_VERSION}; train anew, or use the "
            "narrowgauge that wrote it."
        )
