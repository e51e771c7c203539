"""The folder of a build: creates it, compiles its model, and checks that its program belongs to its model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ...errors import UserError
from ...files import FileEntry, sha256
from ...folders import is_ours, replaced_folder
from ...graph import Graph
from ...graph.onnx_io import MANIFEST_FILE, MODEL_FILE, has_manifest, model_bytes, read_build, seal_build
from ...text.frontend import Frontend
from ..host.build import (
    DEPLOY_FOLDER,
    ENGINE_FILE,
    HLS_FOLDER,
    IMAGE_FILE,
    PROGRAM_FILE,
    STREAM_FILE,
    VIVADO_FOLDER,
    EngineBuild,
)
from ..host.folder import engine_files, has_engine, read_engine, write_engine
from ..isa import Parameters
from .compile import compile_graph
from .frontend import frontend_of

CONTENT = frozenset(
    {
        MODEL_FILE,
        MANIFEST_FILE,
        PROGRAM_FILE,
        IMAGE_FILE,
        STREAM_FILE,
        ENGINE_FILE,
        HLS_FOLDER,
        VIVADO_FOLDER,
        DEPLOY_FOLDER,
    }
)
"""The names of everything in the folder of a build."""


@contextmanager
def new_build(path: Path) -> Iterator[Path]:
    """A new folder to write a build into, which replaces `path` as a whole at the end; see `replaced_folder`.

    At the end the manifest is rewritten to list every file in it. Files in `path` that do not belong to a build are
    kept.

    Args:
        path: a build, an empty folder, or a folder that does not exist.

    Raises:
        UserError: `path` holds something else, or another process is writing to it.
    """
    with replaced_folder(path, "export or compile", CONTENT) as folder:
        # Temporary files are left by an earlier command that was interrupted.
        if not has_manifest(path) and any(
            entry.name in CONTENT or not is_ours(entry.name, CONTENT) for entry in path.iterdir()
        ):
            raise UserError(f"{path} exists and is not a build; give another folder.")
        yield folder
        seal_build(folder)


def compile_build(
    folder: Path,
    *,
    lanes: int = 16,
    sentences: int = 1,
    max_length: int | None = None,
    engine: Parameters | None = None,
    tight: bool = False,
    weight_words: int | None = None,
    into: Path | None = None,
) -> EngineBuild:
    """Compiles the model of a build and writes the files of the compiled model.

    Args:
        folder: of the build.
        lanes, sentences, max_length, engine, weight_words: see `compile_graph`.
        tight: without `engine`, for the smallest engine that runs the model: memory is saved at the cost of time.
        into: the folder to write to; None for that of the build. The model is copied into another folder.

    Raises:
        UserError: the build can't be read, or the model does not fit.
    """
    into = into or folder
    compiled = compile_graph(
        read_build(folder),
        lanes=lanes,
        sentences=sentences,
        max_length=max_length,
        engine=engine,
        tight=tight,
        weight_words=weight_words,
    )
    if into != folder:
        for name in (MODEL_FILE, MANIFEST_FILE):
            shutil.copyfile(folder / name, into / name)
    write_engine(into, replace(compiled, model=sha256(into / MODEL_FILE)))
    return read_engine(into)


def recompile(folder: Path, graph: Graph) -> tuple[str, ...]:
    """Compiles a build's model again, with the options in `engine.json`, and compares the result with its files.

    Args:
        folder: of the build.
        graph: of the build, from `read_build`.

    Returns:
        The files that differ, the program's first. `engine.json` is compared by value, not by layout.

    Raises:
        UserError: the build can't be read, or its model can't be compiled with these options.
    """
    compiled = compile_graph(graph, **vars(read_engine(folder).options))
    wanted = engine_files(replace(compiled, model=FileEntry.of(model_bytes(graph)).sha256))
    return tuple(
        name for name, content in wanted.items() if not _same(name, (folder / name).read_bytes(), content)
    )


def checked_frontend(folder: Path, graph: Graph) -> Frontend:
    """The front end of a build, checked against `model.onnx`.

    If the build has a program, this is the front end of the program, with its maximum length; checksum, vocabulary and
    labels are compared, and nothing is compiled.

    Args:
        folder: of the build.
        graph: of the build, from `read_build`.

    Raises:
        UserError: the build has no vocabulary or labels, or its program is that of another model.
    """
    wanted = frontend_of(graph)
    if not has_engine(folder):
        return wanted
    build = read_engine(folder)
    if build.model != sha256(folder / MODEL_FILE):
        raise UserError(
            f"the checksum of {MODEL_FILE} is not the one in {ENGINE_FILE}; compile the model again."
        )
    wanted = replace(wanted, max_length=build.options.max_length)
    if build.frontend != wanted:
        raise UserError(
            f"the vocabulary or the labels in {ENGINE_FILE} are not those of {MODEL_FILE}; compile the model again."
        )
    return wanted


def _same(name: str, content: bytes, wanted: bytes) -> bool:
    """Whether two contents of a file are equal; `engine.json` is compared by value."""
    return content == wanted or (name == ENGINE_FILE and json.loads(content) == json.loads(wanted))
