"""`manifest.json`: a summary of a build for people and tools that do not read ONNX, and the checksums of its files.

The summary follows from `model.onnx`, and is compared with it when a build is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import pydantic
from onnx import ModelProto

from .. import __version__
from ..errors import UserError, printable, validation_problem
from ..files import FileEntry, read_json, readable_file, sha256, write_json
from .bounds import Bound
from .check import MAX_NAME
from .graph import Graph
from .nodes import node_constants, node_outputs
from .onnx_write import FORMAT_VERSION

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"

FORMAT = "narrowgauge-build"

_STRICT = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)
_Text = Annotated[str, pydantic.Field(max_length=MAX_NAME)]
_Int32 = Annotated[int, pydantic.Field(ge=-(1 << 31), lt=1 << 31)]


def _entry(value: Any) -> FileEntry:
    return value if isinstance(value, FileEntry) else FileEntry.from_json(value)


_FileEntry = Annotated[
    FileEntry, pydantic.PlainValidator(_entry), pydantic.PlainSerializer(FileEntry.to_json)
]


class _BoundEntry(pydantic.BaseModel):
    """A `bounds.Bound` of a 32-bit accumulator."""

    model_config = _STRICT

    value: _Text
    lo: Annotated[_Int32, pydantic.Field(le=0)]
    hi: Annotated[_Int32, pydantic.Field(ge=0)]


class Manifest(pydantic.BaseModel):
    """The content of the file.

    Attributes:
        format, format_version: of this file and of `model.onnx`.
        narrowgauge: the version that wrote it.
        name, max_length, outputs: of the model.
        layers: operator, constants and values of each node.
        bounds: the proven bounds of the accumulators, by the value that is requantized; empty if nothing was proven.
        files: the files of the build, by their paths in its folder.
    """

    model_config = _STRICT

    format: str
    format_version: int
    narrowgauge: Annotated[str, pydantic.Field(pattern=r"^[0-9A-Za-z.+!-]{1,40}$")]
    name: str
    max_length: int
    outputs: dict[_Text, _Text]
    layers: list[dict[str, Any]]
    bounds: dict[_Text, _BoundEntry]
    files: dict[_Text, _FileEntry]


def make_manifest(
    graph: Graph, model: ModelProto, files: Mapping[str, FileEntry], bounds: Mapping[str, Bound]
) -> Manifest:
    """The manifest of a build.

    Args:
        graph: the model.
        model: the result of `build_model` for it.
        files: see `Manifest`.
        bounds: see `Manifest`.
    """
    return Manifest(
        format=FORMAT,
        format_version=FORMAT_VERSION,
        narrowgauge=__version__,
        name=graph.metadata.name,
        max_length=graph.metadata.max_length,
        outputs=dict(graph.outputs),
        layers=_layers(graph, model),
        bounds={name: _BoundEntry(**vars(bound)) for name, bound in bounds.items()},
        files=dict(files),
    )


def manifest_json(manifest: Manifest) -> dict[str, Any]:
    """A manifest in JSON's types."""
    return manifest.model_dump(by_alias=True)


def has_manifest(folder: Path) -> bool:
    """Whether a folder has the manifest of a build, of any version."""
    try:
        manifest = read_json(folder / MANIFEST_FILE)
    except UserError:
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a build; it is not compared with the model.

    Raises:
        UserError: it is missing, not a manifest or of another version, or a key is missing, unknown or out of range.
    """
    path = folder / MANIFEST_FILE
    value = read_json(path)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise UserError(f"{path} is not the manifest of a build; export the model again.")
    version = value.get("format_version")
    if version != FORMAT_VERSION:
        raise UserError(
            f"the format version of {path} must be {FORMAT_VERSION}, got {printable(repr(version))}; export the model "
            "again."
        )
    try:
        manifest = Manifest.model_validate(value)
    except pydantic.ValidationError as error:
        problem = validation_problem(error.errors(include_url=False), value)
        raise UserError(f"{path} is damaged ({problem}); export the model again.") from None
    for name in manifest.files:
        inside = PurePosixPath(name)
        if (
            not name.isprintable()
            or str(inside) != name
            or {"..", "/"}.intersection(inside.parts)
            or name == "."
        ):
            raise UserError(
                f"{path} must name files within the folder, got '{printable(name)}'; export the model again."
            )
    return manifest


def seal_build(folder: Path) -> None:
    """Makes the manifest of a build list every other file in its folder, with size and checksum.

    Raises:
        UserError: the manifest can't be read.
    """
    manifest = read_manifest(folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST_FILE)
    files = {path.relative_to(folder).as_posix(): FileEntry.of(path.read_bytes()) for path in paths}
    write_json(folder / MANIFEST_FILE, manifest_json(manifest.model_copy(update={"files": files})))


def damaged_files(folder: Path) -> tuple[str, ...]:
    """The files that the manifest of a build lists and that are missing or changed.

    Raises:
        UserError: the manifest can't be read.
    """
    return tuple(name for name, entry in read_manifest(folder).files.items() if not _is(folder / name, entry))


def _is(path: Path, entry: FileEntry) -> bool:
    """Whether a file has this size and checksum. A file of another size is not opened."""
    try:
        return readable_file(path, entry.size).stat().st_size == entry.size and sha256(path) == entry.sha256
    except (UserError, OSError):
        return False


def check_manifest(manifest: Manifest, graph: Graph, model: ModelProto) -> None:
    """Checks that the summary in a manifest is that of a model.

    Raises:
        UserError: it is not; the message names the first key that differs.
    """
    written = {name for node in graph.nodes for name in node_outputs(node)}
    for name, bound in manifest.bounds.items():
        if bound.value != name or name not in written:
            raise _differs("bounds")
    expected = make_manifest(graph, model, {}, {})
    for key in ("name", "max_length", "outputs", "layers"):
        # As text: in Python 1, 1.0 and True are equal.
        if json.dumps(getattr(manifest, key)) != json.dumps(getattr(expected, key)):
            raise _differs(key)


def _differs(key: str) -> UserError:
    return UserError(
        f"'{key}' in {MANIFEST_FILE} must be that of {MODEL_FILE}, and is not; export the model again."
    )


def _layers(graph: Graph, model: ModelProto) -> list[dict[str, Any]]:
    """Operator, constants and values of each node: dims, formats as in "s8.5", scales, shifts."""
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
