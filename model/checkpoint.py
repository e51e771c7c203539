"""The folder of a training run: its files, written atomically and checked when they are read.

    config.json            the `RunConfig`, with the sizes of the data
    tokenizer.json         the vocabulary
    labels.json            the names of classes and slot tags
    data.json              the source of the data, its counts and its digest
    float.safetensors      the best weights of the float stage
    quantized.safetensors  the best weights and thresholds of the quantization-aware stage
    last.safetensors       the full training state, to resume from
    history.json           one record per epoch
    metrics.json           the scores of the best weights
    train.log              the output of training, with times

Every file except the log has `FORMAT_VERSION`: JSON files in the key "format_version", safetensors files in the
metadata. The training state is one file with its counters in the metadata, so that an interruption cannot separate
the two.

A repeated training writes the same bytes, except for the log: no file holds a time, and all content is ordered.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors
from safetensors.torch import save
from torch import Tensor, nn

from ..errors import UserError, printable, refusing
from ..files import parse_json, read_json, readable_file, write_atomic, write_json
from ..text import Labels, Tokenizer, tokenizer_from_json
from .config import RunConfig, from_dict, to_dict
from .finite import check_finite, first_not_finite
from .quantizer import MAX_LOG2, Mode, set_mode
from .transformer import Transformer

FORMAT_VERSION = 1

Stage = Literal["float", "quantized"]
STAGES: tuple[Stage, ...] = ("float", "quantized")
"""The stages of a training, in order. Each writes a checkpoint of the same name."""

MODES: dict[Stage, Mode] = {"float": Mode.FLOAT, "quantized": Mode.QUANTIZED}

CONFIG, TOKENIZER, LABELS, DATA = "config.json", "tokenizer.json", "labels.json", "data.json"
HISTORY, METRICS, LAST = "history.json", "metrics.json", "last.safetensors"
LOG_FILE = "train.log"
FILES = frozenset(
    {
        CONFIG,
        TOKENIZER,
        LABELS,
        DATA,
        HISTORY,
        METRICS,
        LAST,
        LOG_FILE,
        *(f"{stage}.safetensors" for stage in STAGES),
    }
)
"""All files of a run."""

_MOST_BYTES = 1 << 36  # of a checkpoint
_VERSION_KEY = "format_version"


@dataclass(frozen=True, eq=False)
class Run:
    """A trained model with everything that is needed to use it.

    Attributes:
        stage: the checkpoint that the weights come from.
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
        stage: None: "quantized" if the run has that checkpoint, otherwise "float".

    Raises:
        UserError: a file is missing, damaged, of another format version, or does not fit the others.
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; give a run folder written by `narrowgauge train`.")
    if stage is None:
        stage = "quantized" if weights_file(path, "quantized").exists() else "float"
    config, tokenizer, labels = read_description(path)
    model = Transformer(config.model, 0.0)
    load_weights(model, weights_file(path, stage))
    model.eval()
    set_mode(model, MODES[stage])
    return Run(stage, config, tokenizer, labels, model)


def write_description(path: Path, config: RunConfig, tokenizer: Tokenizer, labels: Labels) -> None:
    """Writes tokenizer, labels and, last, the configuration: if it exists, so do the others."""
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
        UserError: the file is missing, does not hold a JSON object, or has another version.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path} does not hold a JSON object; restore it or train again.")
    _check_version(path, value.pop(_VERSION_KEY, None))
    return value


def write_tensors(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Writes tensors and `state`, any JSON value, to one file. Equal content gives equal bytes.

    Raises:
        NotFiniteError: an element of a tensor is not finite; nothing is written.
    """
    check_finite(tensors.items())
    content = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    metadata = {_VERSION_KEY: str(FORMAT_VERSION), "state": json.dumps(state, allow_nan=False)}

    # Not `save_file`: its error for a full disk looks like an error in the tensors.
    write_atomic(path, _sort_header(save(content, metadata)))


def _sort_header(file: bytes) -> bytes:
    """A safetensors file with a sorted header: the library writes metadata in the order of a hash table."""
    (size,) = struct.unpack_from("<Q", file)
    header = json.dumps(json.loads(file[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    if len(header) > size:
        raise ValueError(f"the sorted header has {len(header)} bytes, more than the original {size}")
    return file[:8] + header.ljust(size) + file[8 + size :]


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote.

    Raises:
        UserError: the file is missing, damaged, of another version, or holds numbers that are not finite.
    """
    try:
        readable_file(path, _MOST_BYTES)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; finish the training that writes it.") from None
    with (
        refusing(f"{path} is damaged", "restore it or train again"),
        safetensors.safe_open(path, framework="pt") as file,
    ):
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dictionary
    _check_version(path, metadata.get(_VERSION_KEY))
    try:
        state = parse_json(metadata["state"])
    except (KeyError, ValueError, RecursionError):
        state = None
    if not isinstance(state, dict):
        raise UserError(f"{path} has no valid metadata; restore it or train again.")
    name = first_not_finite(tensors.items())
    if name is not None:
        raise UserError(
            f"{path} holds values in {printable(name)} that are not finite; restore it or train again."
        )
    return tensors, state


def load_weights(model: nn.Module, path: Path) -> dict[str, Any]:
    """Loads the weights of a checkpoint into `model` and returns the state stored with them.

    Raises:
        UserError: the file can't be read, or holds other tensors or shapes than the model.
    """
    tensors, state = read_tensors(path)
    load_tensors(model, tensors, path)
    return state


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Loads `tensors`, read from `path`, into `model`.

    Raises:
        UserError: they do not match the model.
    """
    check_tensors(model, tensors, path)
    model.load_state_dict(dict(tensors))


def check_tensors(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Checks that `tensors`, read from `path`, match `model`: names, shapes, types, thresholds in range.

    Raises:
        UserError: they do not.
    """
    for name, expected in model.state_dict().items():
        tensor = tensors.get(name)
        if tensor is None:
            raise UserError(f"{path} has no tensor {name}; it belongs to another configuration.")
        if tensor.shape != expected.shape or tensor.dtype != expected.dtype:
            raise UserError(
                f"{path}: {name}: expected {_kind(expected)}, got {_kind(tensor)}; the file belongs to "
                "another configuration."
            )
    extra = sorted(set(tensors) - set(model.state_dict()))
    if extra:
        raise UserError(
            f"{path} holds an unexpected tensor {printable(extra[0])}; it belongs to another configuration."
        )
    for name in tensors:
        if name.endswith("log2_t") and not abs(float(tensors[name])) <= MAX_LOG2:
            raise UserError(
                f"{path}: {name} must be from {-MAX_LOG2} to {MAX_LOG2}, got {float(tensors[name]):g}; "
                "restore it or train again."
            )


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {printable(str(tuple(tensor.shape)), 40)}"


def _check_version(path: Path, stored: object) -> None:
    if str(stored) != str(FORMAT_VERSION):
        version = "none" if stored is None else printable(str(stored), 20)
        raise UserError(
            f"{path}: expected format version {FORMAT_VERSION}, got {version}; train again, or use the "
            "version of narrowgauge that wrote it."
        )
