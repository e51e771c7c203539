"""The files of a compiled model in the folder of a build: `program.bin`, `weights.bin`, `stream.bin`, `engine.json`.

Reading them needs numpy only. `model.onnx`, from which they are compiled, is not read: `hw.compiler.build` checks that
they belong to it.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path

from ...errors import UserError
from ...files import FileEntry, read_json, write_atomic
from ..isa import Parameters
from ..isa.program import to_bytes
from .build import ENGINE_FILE, IMAGE_FILE, PROGRAM_FILE, STREAM_FILE, EngineBuild
from .record import RecordError, build_to_json, parse_build, parse_parameters


def write_engine(folder: Path, build: EngineBuild) -> None:
    """Writes the files; `engine.json`, which holds the checksums of the others, is last."""
    for name, content in engine_files(build).items():
        write_atomic(folder / name, content)


def engine_files(build: EngineBuild) -> dict[str, bytes]:
    """The contents of the files by name, `engine.json` last."""
    files = {PROGRAM_FILE: to_bytes(build.program), IMAGE_FILE: build.image, STREAM_FILE: build.stream}
    record = json.dumps(build_to_json(build, files), indent=2)
    return files | {ENGINE_FILE: f"{record}\n".encode("ascii")}


def read_engine(folder: Path) -> EngineBuild:
    """Reads the files that `write_engine` wrote.

    Raises:
        UserError: a file is missing, damaged or of another version.
    """
    path = folder / ENGINE_FILE
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder of a build.")
    if not path.exists():
        raise UserError(
            f"{folder} has no program for the engine; if it is a build, run `narrowgauge compile {folder}`."
        )
    try:
        return parse_build(read_json(path), lambda name, entry: _read(folder / name, entry))
    except RecordError as error:
        raise UserError(f"{path} can't be used: {error}; compile the model again.") from None


def has_engine(folder: Path) -> bool:
    """Whether a build has a program."""
    return (folder / ENGINE_FILE).exists()


def read_parameters(path: Path) -> Parameters:
    """The parameters of an engine from a JSON file: fields of `isa.Parameters`, which may be omitted.

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


def _read(path: Path, entry: FileEntry) -> bytes:
    """The content of a file, which is opened only if it is a regular file of the right size.

    Raises:
        UserError: the file is missing, or its size or checksum differs.
    """
    try:
        status = path.stat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) and status.st_size == entry.size else None
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}); compile again.") from None
    if content is None or FileEntry.of(content) != entry:
        raise UserError(f"the checksum of {path} is not the one in {ENGINE_FILE}; compile again.")
    return content
