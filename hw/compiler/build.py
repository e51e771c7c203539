"""A build's folder and the compiler: a new folder, the program of its model, and whether the two belong together."""

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
from ..host.build import ENGINE_FILE, HLS_FOLDER, IMAGE_FILE, PROGRAM_FILE, STREAM_FILE, EngineBuild
from ..host.folder import engine_files, has_engine, read_engine, write_engine
from ..isa import Parameters
from .compile import compile_graph
from .frontend import frontend_of

CONTENT = frozenset(
    {MODEL_FILE, MANIFEST_FILE, PROGRAM_FILE, IMAGE_FILE, STREAM_FILE, ENGINE_FILE, HLS_FOLDER}
)
"""Names of all that a build's folder holds."""


@contextmanager
def new_build(path: Path) -> Iterator[Path]:
    """A folder to write a build into, which takes the place of `path` as a whole at the end, see `replaced_folder`.

    Its manifest then names every file in it. Of an older build there, what is no part of a build is kept.

    Args:
        path: a build, an empty folder, or one that is yet to be.

    Raises:
        UserError: `path` holds something else, or another process is writing to it.
    """
    with replaced_folder(path, "export or compile", CONTENT) as folder:
        # Temporary files are what an earlier narrowgauge left in a folder when it was stopped.
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
    """Compiles the model of a build and writes the engine's files.

    Args:
        folder: of the build.
        lanes, sentences, max_length, engine, weight_words: see `compile_graph`.
        tight: without `engine`, for the smallest engine that runs the model: memory is saved before time.
        into: the folder to write to; None for that of the build. The model is copied to another one.

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
        graph: that `read_build` gave for it.

    Returns:
        The files that hold something else, the program's first; `engine.json` is compared by what it says, not by how
        it is laid out.

    Raises:
        UserError: the build can't be read, or its options are not those of a program for its model.
    """
    options = read_engine(folder).options
    compiled = compile_graph(
        graph,
        lanes=options.lanes,
        sentences=options.sentences,
        max_length=options.max_length,
        engine=options.engine,
        tight=options.tight,
        weight_words=options.weight_words,
    )
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
        graph: that `read_build` gave for it.

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
    """Whether two contents of a file say the same."""
    return content == wanted or (name == ENGINE_FILE and json.loads(content) == json.loads(wanted))
