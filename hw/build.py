"""The engine's part of a build: `program.bin`, `weights.bin`, and `engine.json`: what goes in and out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import read_json, write_atomic, write_json
from ..graph.onnx_io import MODEL_FILE, read_build
from .compiler.compile import Compiled, compile_graph, engine_for
from .host import IndexColumn, Output
from .isa import ISA_VERSION, Memory, Parameters, Unit
from .program import Program, read_program, to_bytes
from .views import Axis, View

PROGRAM_FILE = "program.bin"
IMAGE_FILE = "weights.bin"
STREAM_FILE = "stream.bin"
ENGINE_FILE = "engine.json"
FILES = (PROGRAM_FILE, IMAGE_FILE, STREAM_FILE, ENGINE_FILE)

_FORMAT = "narrowgauge-engine"
_FORMAT_VERSION = 2


@dataclass(frozen=True)
class EngineBuild:
    """What a folder holds for an engine.

    Attributes:
        program: instructions.
        image: what INIT loads.
        stream: what every RUN loads after its index words; empty where all weights stay.
        engine: parameters of the engine that the HLS project and the simulators are made with.
        views: where each value of the graph is written.
        inputs: what the host sends of each token.
        outputs: what the host receives.
        layers: by unit, the layer that each instruction belongs to.
        peak: what lies in each memory when it is fullest: buffers and their words, by the memory's name.
    """

    program: Program
    image: bytes
    stream: bytes
    engine: Parameters
    views: tuple[View, ...]
    inputs: tuple[IndexColumn, ...]
    outputs: tuple[Output, ...]
    layers: tuple[tuple[str, ...], ...]
    peak: Mapping[str, tuple[tuple[str, int], ...]]


def write_engine(folder: Path, compiled: Compiled, engine: Parameters, model: Path) -> None:
    """Writes the files, `engine.json` last: it has the checksums of the others and of the model.

    Args:
        folder: of the build.
        compiled: what the compiler gave.
        engine: that it is for.
        model: the file that it was compiled from.
    """
    content = {
        PROGRAM_FILE: to_bytes(compiled.program),
        IMAGE_FILE: compiled.image,
        STREAM_FILE: compiled.stream,
    }
    for name, data in content.items():
        write_atomic(folder / name, data)
    write_json(
        folder / ENGINE_FILE,
        {
            "format": _FORMAT,
            "format_version": _FORMAT_VERSION,
            "isa_version": ISA_VERSION,
            "engine": asdict(engine),
            "inputs": [asdict(column) for column in compiled.inputs],
            "outputs": [asdict(output) for output in compiled.outputs],
            "layers": [list(names) for names in compiled.layers],
            "peak": {memory.name: list(map(list, parts)) for memory, parts in compiled.peak.items()},
            "views": [_view_row(view) for view in compiled.views],
            "files": {name: _checksum(data) for name, data in content.items()}
            | {model.name: _checksum(model.read_bytes())},
        },
    )


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
    record = read_json(path)
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise UserError(f"{path} does not describe a program; compile the model again.")
    if (record.get("format_version"), record.get("isa_version")) != (_FORMAT_VERSION, ISA_VERSION):
        raise UserError(f"{path} is of another version; compile the model again.")
    try:
        files: Mapping[str, Any] = record["files"]
        for name, entry in files.items():
            if _checksum((folder / name).read_bytes()) != entry:
                raise UserError(
                    f"the checksum of {folder / name} is not the one in {ENGINE_FILE}; compile again."
                )
        engine = Parameters(**record["engine"])
        return EngineBuild(
            read_program(folder / PROGRAM_FILE, engine),
            (folder / IMAGE_FILE).read_bytes(),
            (folder / STREAM_FILE).read_bytes(),
            engine,
            tuple(_view(row) for row in record["views"]),
            tuple(IndexColumn(**column) for column in record["inputs"]),
            tuple(Output(**output) for output in record["outputs"]),
            tuple(tuple(names) for names in record["layers"]),
            {
                memory: tuple((name, words) for name, words in parts)
                for memory, parts in record["peak"].items()
            },
        )
    except OSError as error:
        raise UserError(f"{error.filename} can't be read ({error.strerror}); compile again.") from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error}); compile the model again.") from None


def has_engine(folder: Path) -> bool:
    """Whether a build has a program."""
    return (folder / ENGINE_FILE).exists()


def _view_row(view: View) -> list[Any]:
    return [
        view.value,
        int(view.unit),
        view.number,
        view.sentence,
        int(view.memory),
        view.base,
        list(view.origin),
        [[axis.count, axis.address, axis.lane, list(axis.steps)] for axis in view.axes],
        int(view.before_table),
    ]


def _view(row: list[Any]) -> View:
    value, unit, number, sentence, memory, base, origin, axes, before_table = row
    return View(
        value,
        Unit(unit),
        number,
        sentence,
        Memory(memory),
        base,
        tuple(origin),
        tuple(Axis(count, address, lane, tuple(steps)) for count, address, lane, steps in axes),
        bool(before_table),
    )


def _checksum(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def compile_build(
    folder: Path,
    *,
    lanes: int = 16,
    sentences: int = 1,
    max_length: int | None = None,
    engine: Parameters | None = None,
    tight: bool = False,
    weight_words: int | None = None,
) -> EngineBuild:
    """Compiles the model of a build and writes the engine's files beside it.

    Args:
        folder: of the build.
        lanes, sentences, max_length, engine, weight_words: see `compile_graph`.
        tight: without `engine`, for the smallest engine that runs the model: memory is saved before time.

    Raises:
        UserError: the build can't be read, or the model does not fit.
    """
    graph = read_build(folder)
    compiled = compile_graph(
        graph,
        lanes=lanes,
        sentences=sentences,
        max_length=max_length,
        engine=engine,
        frugal=tight,
        weight_words=weight_words,
    )
    write_engine(
        folder,
        compiled,
        engine or engine_for(compiled.program, tight),
        folder / MODEL_FILE,
    )
    return read_engine(folder)


def read_parameters(path: Path) -> Parameters:
    """The parameters of an engine from a JSON file: fields of `isa.Parameters`, those left out as they are there.

    Raises:
        UserError: the file can't be read or describes no engine.
    """
    record = read_json(path)
    try:
        return Parameters(**record)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} describes no engine ({error}); give lanes and depths as numbers.") from None
