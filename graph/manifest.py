"""`manifest.json`: what a build holds, for people and tools that do not read ONNX, and the checksums of its files.

All that it says of the model follows from `model.onnx`, and is compared with it when a build is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import pydantic
from onnx import ModelProto

from .. import __version__
from ..errors import UserError, printable
from ..files import read_json, readable_file, sha256, write_json
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


class FileEntry(pydantic.BaseModel):
    """Size and SHA-256 of a file."""

    model_config = _STRICT

    size: Annotated[int, pydantic.Field(alias="bytes", ge=0, lt=1 << 63)]
    sha256: Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{64}$")]

    @classmethod
    def of(cls, content: bytes) -> FileEntry:
        """That of a file with this content."""
        return cls(size=len(content), sha256=hashlib.sha256(content).hexdigest())


class _BoundEntry(pydantic.BaseModel):
    """A `bounds.Bound` of an accumulator of 32 bits."""

    model_config = _STRICT

    value: _Text
    lo: Annotated[_Int32, pydantic.Field(le=0)]
    hi: Annotated[_Int32, pydantic.Field(ge=0)]


class Manifest(pydantic.BaseModel):
    """The content of the file.

    Attributes:
        format, format_version: of this file and of `model.onnx`.
        narrowgauge: version that wrote it.
        name, max_length, outputs: of the model.
        layers: what each node is and what it writes.
        bounds: the proven bounds of the accumulators, by the value that is requantized; none where nothing was proven.
        files: the build's files, by their paths in its folder.
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
    files: dict[_Text, FileEntry]


def make_manifest(
    graph: Graph, model: ModelProto, files: Mapping[str, FileEntry], bounds: Mapping[str, Bound]
) -> Manifest:
    """The manifest of a build.

    Args:
        graph: the model.
        model: what `build_model` gives for it.
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
    """Whether a folder has the manifest of a build, of whatever version."""
    try:
        manifest = read_json(folder / MANIFEST_FILE)
    except UserError:
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a build; nothing in it is compared with the model yet.

    Raises:
        UserError: it is missing, not a manifest, of another version, or a key is missing, unknown or out of range.
    """
    path = folder / MANIFEST_FILE
    value = read_json(path)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise UserError(f"{path} is not the manifest of a build; export the model again.")
    version = value.get("format_version")
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {printable(repr(version))} where this narrowgauge reads {FORMAT_VERSION}; "
            "export the model again."
        )
    try:
        manifest = Manifest.model_validate(value)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = printable(".".join(str(part) for part in first["loc"]))
        raise UserError(
            f"{path} is damaged at '{place}' ({printable(first['msg'])}); export the model again."
        ) from None
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
    """Lets the manifest of a build name every file in its folder but itself, with size and checksum.

    Raises:
        UserError: the manifest can't be read.
    """
    manifest = read_manifest(folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST_FILE)
    files = {path.relative_to(folder).as_posix(): FileEntry.of(path.read_bytes()) for path in paths}
    write_json(folder / MANIFEST_FILE, manifest_json(manifest.model_copy(update={"files": files})))


def damaged_files(folder: Path) -> tuple[str, ...]:
    """The files that the manifest of a build names and that are missing, or are not as they were written.

    Raises:
        UserError: the manifest can't be read.
    """
    return tuple(name for name, entry in read_manifest(folder).files.items() if not _is(folder / name, entry))


def _is(path: Path, entry: FileEntry) -> bool:
    """Whether a file has this size and checksum. Only one of the size is opened."""
    try:
        return readable_file(path, entry.size).stat().st_size == entry.size and sha256(path) == entry.sha256
    except (UserError, OSError):
        return False


def check_manifest(found: Manifest, graph: Graph, model: ModelProto) -> None:
    """Checks that a manifest says of a model what `make_manifest` says of it.

    Raises:
        UserError: naming the first key at fault.
    """
    written = {name for node in graph.nodes for name in node_outputs(node)}
    for name, bound in found.bounds.items():
        if bound.value != name or name not in written:
            raise _differs("bounds")
    expected = make_manifest(graph, model, {}, {})
    for key in ("name", "max_length", "outputs", "layers"):
        # As text: in Python 1, 1.0 and True are equal.
        if json.dumps(getattr(found, key)) != json.dumps(getattr(expected, key)):
            raise _differs(key)


def _differs(key: str) -> UserError:
    return UserError(
        f"{MANIFEST_FILE} does not say of {MODEL_FILE} what is in it, at '{key}'; export the model again."
    )


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
