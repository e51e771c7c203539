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
    train.log              what training printed, with times

Every file but the log carries `FORMAT_VERSION`: JSON in its key "format_version", safetensors in their metadata.
The state of the training is one file, its counters in the metadata, so that no interruption can part them.

The same training gives the same bytes, but for the log: no file holds a time, and what it holds has a fixed order.
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
"""The stages of a training, in order; each leaves a checkpoint of its name."""

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
        raise UserError(f"{path} does not hold a JSON object; restore it or train again.")
    _check_version(path, value.pop(_VERSION_KEY, None))
    return value


def write_tensors(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Writes tensors, and with them `state`, which is anything that JSON can hold. The same give the same bytes.

    Raises:
        NotFiniteError: a number of a tensor is not finite; nothing is written.
    """
    check_finite(tensors.items())
    content = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    metadata = {_VERSION_KEY: str(FORMAT_VERSION), "state": json.dumps(state, allow_nan=False)}

    # Not `save_file`: what it raises at a full disk looks like a fault of the tensors.
    write_atomic(path, _sort_header(save(content, metadata)))


def _sort_header(file: bytes) -> bytes:
    """A safetensors file with the names in its header in order: the library writes metadata in that of a hash."""
    (size,) = struct.unpack_from("<Q", file)
    header = json.dumps(json.loads(file[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    if len(header) > size:
        raise ValueError(f"the header takes {len(header)} bytes in order and {size} as it is")
    return file[:8] + header.ljust(size) + file[8 + size :]


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote.

    Raises:
        UserError: the file is missing, damaged, of another version, or holds numbers that are not finite.
    """
    try:
        readable_file(path, _MOST_BYTES)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; finish the training that would have written it.") from None
    with (
        refusing(f"{path} is damaged", "restore it or train again"),
        safetensors.safe_open(path, framework="pt") as file,
    ):
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
    _check_version(path, metadata.get(_VERSION_KEY))
    try:
        state = parse_json(metadata["state"])
    except (KeyError, ValueError, RecursionError):
        state = None
    if not isinstance(state, dict):
        raise UserError(f"{path} has lost its metadata; restore it or train again.")
    name = first_not_finite(tensors.items())
    if name is not None:
        raise UserError(
            f"{path} holds numbers in {printable(name)} that are not finite; restore it or train again."
        )
    return tensors, state


def load_weights(model: nn.Module, path: Path) -> dict[str, Any]:
    """Puts the weights of a checkpoint into `model` and returns the state that is stored with them.

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
    check_tensors(model, tensors, path)
    model.load_state_dict(dict(tensors))


def check_tensors(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Checks that `tensors`, read from `path`, are those of `model`: names, shapes, types, thresholds in range.

    Raises:
        UserError: they are not.
    """
    for name, expected in model.state_dict().items():
        found = tensors.get(name)
        if found is None:
            raise UserError(f"{path} lacks the tensor {name}; it belongs to another configuration.")
        if found.shape != expected.shape or found.dtype != expected.dtype:
            raise UserError(
                f"{path} holds {name} as {_kind(found)} where the model has {_kind(expected)}; it belongs to "
                "another configuration."
            )
    extra = sorted(set(tensors) - set(model.state_dict()))
    if extra:
        raise UserError(f"{path} holds {printable(extra[0])}, too many; it belongs to another configuration.")
    for name in tensors:
        if name.endswith("log2_t") and not abs(float(tensors[name])) <= MAX_LOG2:
            raise UserError(
                f"{path} holds {name} = {float(tensors[name]):g}, but thresholds are from {-MAX_LOG2} to {MAX_LOG2}; "
                "restore it or train again."
            )


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {printable(str(tuple(tensor.shape)), 40)}"


def _check_version(path: Path, found: object) -> None:
    if str(found) != str(FORMAT_VERSION):
        version = "no format version" if found is None else f"format version {printable(str(found), 20)}"
        raise UserError(
            f"{path} has {version} and this narrowgauge reads {FORMAT_VERSION}; train again, or use the "
            "narrowgauge that wrote it."
        )
