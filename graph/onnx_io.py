"""A frozen model as files: `model.onnx`, the graph, and `manifest.json`, its checksum and summary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from onnx import ModelProto

from ..errors import UserError
from ..files import FileEntry, readable_file, write_atomic, write_json
from .bounds import Bound
from .graph import Graph
from .manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    check_manifest,
    damaged_files,
    has_manifest,
    make_manifest,
    manifest_json,
    read_manifest,
    seal_build,
)
from .onnx_read import MOST_BYTES, parse_model
from .onnx_write import build_model

__all__ = [
    "MANIFEST_FILE",
    "MODEL_FILE",
    "damaged_files",
    "has_manifest",
    "model_bytes",
    "read_build",
    "read_manifest",
    "read_model",
    "seal_build",
    "write_build",
    "write_model",
]


def write_model(graph: Graph, path: Path) -> None:
    """Writes a graph as an ONNX file, atomically. The same graph gives the same bytes.

    Raises:
        UserError: the graph is not valid, see `check_graph`.
    """
    write_atomic(path, model_bytes(graph))


def read_model(path: Path) -> Graph:
    """The graph in a file that `write_model` wrote; nothing in it is executed.

    Raises:
        UserError: the file does not exist, or is not exactly what this version writes for the graph in it.
    """
    return _parse(_read(path), path)[0]


def model_bytes(graph: Graph) -> bytes:
    """The content of a graph's ONNX file."""
    return build_model(graph).SerializeToString(deterministic=True)


def write_build(graph: Graph, folder: Path, bounds: Mapping[str, Bound] | None = None) -> None:
    """Writes `model.onnx` and then `manifest.json` into a folder, which is created if missing.

    The manifest is written last and makes the folder a build. If the process stops in between, the manifest is missing
    or has another checksum, and `read_build` refuses the folder.

    Args:
        graph: the model.
        folder: the folder of the build.
        bounds: the result of `prove`, for the manifest.

    Raises:
        UserError: the graph is not valid, see `check_graph`.
    """
    model = build_model(graph)
    content = model.SerializeToString(deterministic=True)
    manifest = make_manifest(graph, model, {MODEL_FILE: FileEntry.of(content)}, bounds or {})
    write_atomic(folder / MODEL_FILE, content)
    write_json(folder / MANIFEST_FILE, manifest_json(manifest))


def read_build(folder: Path) -> Graph:
    """The graph of a build whose checksum is correct.

    Raises:
        UserError: a file is missing, of another version, truncated or edited.
    """
    path = folder / MODEL_FILE
    content = _read(path)
    manifest = read_manifest(folder)
    if manifest.files.get(MODEL_FILE) != FileEntry.of(content):
        raise UserError(
            f"the checksum of {path} must be that in {MANIFEST_FILE}, and is not: the file is truncated or was edited; "
            "export the model again."
        )
    graph, model = _parse(content, path)
    check_manifest(manifest, graph, model)
    return graph


def _read(path: Path) -> bytes:
    try:
        return readable_file(path, MOST_BYTES).read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}); give the folder of a build.") from None


def _parse(content: bytes, path: Path) -> tuple[Graph, ModelProto]:
    try:
        return parse_model(content)
    except MemoryError:
        raise UserError(f"{path} needs more memory than is available; read it on a larger machine.") from None
