"""The engine's part of a build: `program.bin`, `weights.bin`, `stream.bin`, and `engine.json`: what goes in and out."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError
from ...files import read_json, write_atomic
from ...folders import is_ours, replaced_folder
from ...graph import Graph
from ...graph.onnx_io import MANIFEST_FILE, MODEL_FILE, is_build, model_bytes, read_build, seal_build
from ..compiler.compile import Compiled, Options, compile_graph
from ..isa import Parameters
from ..isa.program import Program, from_bytes, to_bytes
from .packets import IndexColumn, Output
from .record import FileEntry, Record, RecordError, check_record, parse_record
from .record import read_parameters as parse_parameters
from .views import View

PROGRAM_FILE = "program.bin"
IMAGE_FILE = "weights.bin"
STREAM_FILE = "stream.bin"
ENGINE_FILE = "engine.json"
FILES = (PROGRAM_FILE, IMAGE_FILE, STREAM_FILE, ENGINE_FILE)

HLS_FOLDER = "hls"
CONTENT = frozenset({MODEL_FILE, MANIFEST_FILE, *FILES, HLS_FOLDER})
"""Names of all that a build's folder holds."""

_SUMMED = (PROGRAM_FILE, IMAGE_FILE, STREAM_FILE, MODEL_FILE)
"""The files whose checksums `engine.json` holds."""


@dataclass(frozen=True)
class EngineBuild:
    """What a folder holds for an engine.

    Attributes:
        program: instructions.
        image: what INIT loads.
        stream: what every RUN loads after its index words; empty where all weights stay.
        record: what `engine.json` says of them.
    """

    program: Program
    image: bytes
    stream: bytes
    record: Record

    @classmethod
    def of(cls, compiled: Compiled) -> EngineBuild:
        """What a folder would hold of a compiled model."""
        return cls(compiled.program, compiled.image, compiled.stream, Record.of(compiled, {}))

    @property
    def options(self) -> Options:
        """What the model was compiled for."""
        return self.record.options

    @property
    def engine(self) -> Parameters:
        """Parameters of the engine that the HLS project and the simulators are made with."""
        return self.record.engine

    @property
    def views(self) -> tuple[View, ...]:
        """Where each value of the graph is written."""
        return self.record.views

    @property
    def inputs(self) -> tuple[IndexColumn, ...]:
        """What the host sends of each token."""
        return self.record.inputs

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What the host receives."""
        return self.record.outputs

    @property
    def layers(self) -> tuple[tuple[str, ...], ...]:
        """By unit, the layer that each instruction belongs to."""
        return self.record.layers

    @property
    def peak(self) -> Mapping[str, tuple[tuple[str, int], ...]]:
        """What lies in each memory when it is fullest: buffers and their words, by the memory's name."""
        return self.record.peak


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
        if not is_build(path) and any(
            entry.name in CONTENT or not is_ours(entry.name, CONTENT) for entry in path.iterdir()
        ):
            raise UserError(f"{path} exists and is not a build; give another folder.")
        yield folder
        seal_build(folder)


def write_engine(folder: Path, compiled: Compiled, model: bytes) -> None:
    """Writes the files, `engine.json` last: it has the checksums of the others and of the model.

    Args:
        folder: of the build.
        compiled: what the compiler gave.
        model: the content of the `model.onnx` that it was compiled from.
    """
    for name, content in _contents(compiled, model).items():
        if name != MODEL_FILE:
            write_atomic(folder / name, content)


def read_engine(folder: Path) -> EngineBuild:
    """Reads what `write_engine` wrote.

    Raises:
        UserError: a file is missing, damaged, of another version, or of another model.
    """
    path = folder / ENGINE_FILE
    if not path.exists():
        raise UserError(
            f"{folder} has no program for the engine; make one with `narrowgauge compile {folder}`."
        )
    try:
        record = parse_record(read_json(path), _SUMMED)
        contents = {name: _read(folder / name, entry) for name, entry in record.files.items()}
        program = from_bytes(contents[PROGRAM_FILE], record.engine)
        check_record(record, program)
    except RecordError as error:
        raise UserError(f"{path} can't be used: {error}; compile the model again.") from None
    return EngineBuild(program, contents[IMAGE_FILE], contents[STREAM_FILE], record)


def has_engine(folder: Path) -> bool:
    """Whether a build has a program."""
    return (folder / ENGINE_FILE).exists()


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
    write_engine(into, compiled, (into / MODEL_FILE).read_bytes())
    return read_engine(into)


def recompile(folder: Path, graph: Graph) -> tuple[str, ...]:
    """Compiles a build's model again, with the options in `engine.json`, and compares what comes out with its files.

    Args:
        folder: of the build.
        graph: that `read_build` gave for it.

    Returns:
        The files that hold something else, the program's first; `engine.json` is compared by what it says, not by how
        it is laid out.

    Raises:
        UserError: the build can't be read, or its options are not those of a program for its model.
    """
    build = read_engine(folder)
    options = build.options
    compiled = compile_graph(
        graph,
        lanes=options.lanes,
        sentences=options.sentences,
        max_length=options.max_length,
        engine=options.engine,
        tight=options.tight,
        weight_words=options.weight_words,
    )
    wanted = _contents(compiled, model_bytes(graph))
    found = {name: (folder / name).read_bytes() for name in FILES}
    return tuple(
        name
        for name in FILES
        if found[name] != wanted[name]
        and (name != ENGINE_FILE or json.loads(found[name]) != json.loads(wanted[name]))
    )


def read_parameters(path: Path) -> Parameters:
    """The parameters of an engine from a JSON file: fields of `isa.Parameters`, those left out as they are there.

    Raises:
        UserError: the file can't be read or describes no engine.
    """
    try:
        return parse_parameters(read_json(path), partial=True)
    except OSError as error:
        raise UserError(
            f"{path} can't be read ({error.strerror}); give the parameters of an engine."
        ) from None
    except RecordError as error:
        raise UserError(f"{path} describes no engine: {error}.") from None


def _contents(compiled: Compiled, model: bytes) -> dict[str, bytes]:
    """Every file's content by name, the model's too; `engine.json` last."""
    summed = {
        PROGRAM_FILE: to_bytes(compiled.program),
        IMAGE_FILE: compiled.image,
        STREAM_FILE: compiled.stream,
        MODEL_FILE: model,
    }
    record = json.dumps(Record.of(compiled, summed).to_json(), indent=2, ensure_ascii=False)
    return summed | {ENGINE_FILE: record.encode() + b"\n"}


def _read(path: Path, entry: FileEntry) -> bytes:
    """The content of a file of that size and sum; nothing else is opened.

    Raises:
        UserError: there is no such file.
    """
    try:
        status = path.stat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) and status.st_size == entry.size else None
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}); compile again.") from None
    if content is None or FileEntry.of(content) != entry:
        raise UserError(f"the checksum of {path} is not the one in {ENGINE_FILE}; compile again.")
    return content
