"""A frozen model as files: `model.onnx`, the graph itself, and `manifest.json`, its checksum and summary."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnx import ModelProto

from .. import __version__
from ..errors import UserError
from ..files import read_json, write_atomic, write_json
from .graph import Graph, node_constants, node_outputs
from .onnx_read import parse_model
from .onnx_write import FORMAT_VERSION, build_model

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"

_FORMAT = "narrowgauge-build"


def write_model(graph: Graph, path: Path) -> None:
    """Writes a graph as an ONNX file, atomically. The same graph gives the same bytes.

    Raises:
        UserError: the graph is not sound, see `check_graph`.
    """
    write_atomic(path, model_bytes(graph))


def read_model(path: Path) -> Graph:
    """The graph in a file that `write_model` wrote; nothing in it is executed.

    Raises:
        UserError: there is no such file, or it is not exactly what this version writes for the graph in it.
    """
    return parse_model(_read(path))


def model_bytes(graph: Graph) -> bytes:
    """The content of a graph's ONNX file."""
    return build_model(graph).SerializeToString(deterministic=True)


def write_build(graph: Graph, folder: Path, extra: Mapping[str, Any] | None = None) -> None:
    """Writes `model.onnx` and then `manifest.json` into a folder, made when missing.

    The manifest comes last and is what makes the folder a build. Stopped in between, a new model stands
    beside no manifest or one with another checksum, and `read_build` refuses it.

    Args:
        graph: the model.
        folder: where to.
        extra: further entries of the manifest that JSON can hold, for instance the bounds of the
            accumulators.

    Raises:
        UserError: the graph is not sound, see `check_graph`.
    """
    model = build_model(graph)
    content = model.SerializeToString(deterministic=True)
    manifest = {
        "format": _FORMAT,
        "format_version": FORMAT_VERSION,
        "narrowgauge": __version__,
        "name": graph.metadata.name,
        "max_length": graph.metadata.max_length,
        "outputs": dict(graph.outputs),
        "layers": _layers(graph, model),
        "files": {MODEL_FILE: _checksum(content)},
        **(extra or {}),
    }
    write_atomic(folder / MODEL_FILE, content)
    write_json(folder / MANIFEST_FILE, manifest)


def read_build(folder: Path) -> Graph:
    """The graph of a build, once its checksum is found right.

    Raises:
        UserError: a file is missing, of another version, truncated or edited.
    """
    content = _read(folder / MODEL_FILE)
    entry = read_manifest(folder)["files"].get(MODEL_FILE)
    if entry != _checksum(content):
        raise UserError(
            f"The checksum of {folder / MODEL_FILE} is not the one in {MANIFEST_FILE}: the file is truncated "
            "or was edited; export the model again."
        )
    return parse_model(content)


def is_build(folder: Path) -> bool:
    """Whether a folder has the manifest of a build, of whatever version."""
    try:
        manifest = read_json(folder / MANIFEST_FILE)
    except UserError:
        return False
    return isinstance(manifest, dict) and manifest.get("format") == _FORMAT


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a build.

    Raises:
        UserError: it is missing, not a manifest, or of another version.
    """
    path = folder / MANIFEST_FILE
    manifest = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise UserError(f"{path} is not the manifest of a build; export the model again.")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {manifest.get('format_version')!r} where this narrowgauge reads "
            f"{FORMAT_VERSION}; export the model again."
        )
    if not isinstance(manifest.get("files"), dict):
        raise UserError(f"{path} lists no files; export the model again.")
    return manifest


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}); give the folder of an export.") from None


def _checksum(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _layers(graph: Graph, model: ModelProto) -> list[dict[str, Any]]:
    """What each node is and what it writes, for the reader: dims, formats as "s8.5", scales, shifts."""
    calls = {call.output[-1]: call for call in model.graph.node}

    def describe(name: str) -> dict[str, Any]:
        value = graph.values[name]
        return {"name": name, "dims": list(value.dims), "format": str(value.fmt), "scale": value.fmt.scale}

    return [
        {
            "operator": calls[node.output].op_type,
            "constants": [describe(name) for name in node_constants(node)],
            "values": [describe(name) for name in node_outputs(node)],
            "shifts": [a.i for a in calls[node.output].attribute if a.name.split("_")[0] == "shift"],
        }
        for node in graph.nodes
    ]
