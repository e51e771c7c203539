"""Projects for Vivado: synthesis of an engine out of context, and the bitstream of a board with the engine.

Not yet run with the vendor's tools.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...errors import UserError
from ...files import fill_template, write_atomic
from ..isa import Parameters
from .boards import Board, Processor
from .sources import WRAPPER, sources, top_parameters

TEMPLATES = Path(__file__).with_name("vivado")
"""The scripts, and the templates of their settings."""

BITSTREAM_FOLDER = "bitstream"
"""The folder in a build that `build.tcl` writes to. It belongs to the user: a new program does not replace it."""

OVERLAY = ("narrowgauge.bit", "narrowgauge.hwh")
"""The files of a bitstream that PYNQ needs."""

_SETTINGS = ("settings.tcl", "board.tcl")
"""What a bitstream depends on."""


def write_project(
    folder: Path,
    board: Board,
    parameters: Parameters,
    more: Mapping[str, int] | None = None,
    *,
    period: float,
) -> list[Path]:
    """Writes sources, constraint and scripts for `vivado -mode batch -source run.tcl`, out of context.

    Args:
        folder: created if missing; files of the same names are replaced.
        board: the board whose part is the target.
        parameters: of the engine.
        more: further parameters of the top module.
        period: of the clock, in ns.

    Returns:
        The files, relative to the folder.

    Raises:
        UserError: the period is not a number above 0, or the top module has no such parameter.
    """
    if not 0 < period < math.inf:
        raise UserError(f"a clock period must be a number of ns above 0, got {period:g}.")
    known = WRAPPER.read_text(encoding="utf-8")
    for generic in more or {}:
        if f".{generic}" not in known:
            raise UserError(f"the engine has no parameter {generic}; see the head of {WRAPPER.name}.")
    generics = {**top_parameters(parameters), **(more or {})}
    content = _engine_files("run.tcl", board, generics, period)
    content["clock.xdc"] = fill_template(TEMPLATES / "clock.xdc", period=f"{period:g}").encode()
    return _write(folder, content)


def write_board_project(folder: Path, board: Board, processor: Processor) -> list[Path]:
    """Writes sources and scripts for `vivado -mode batch -source build.tcl`, which writes the bitstream of a board.

    Args:
        folder: `vivado` in the folder of a build; created if missing.
        board: with its engine, silicon and period.
        processor: that of the board.

    Returns:
        The files, relative to the folder.
    """
    generics = top_parameters(board.engine, board.silicon)
    content = _engine_files("build.tcl", board, generics, board.period)
    content["design.tcl"] = (TEMPLATES / "design.tcl").read_bytes()
    content["processor.tcl"] = (TEMPLATES / f"{processor.kind}.tcl").read_bytes()
    content["board.tcl"] = fill_template(
        TEMPLATES / "board.tcl",
        title=board.title,
        board_part=board.board_part,
        preset=str(int(processor.preset)),
        memory_port=processor.memory_port,
        register_port=processor.register_port,
        settings=_lines(f"{name} {{{value}}}" for name, value in processor.settings.items()),
    ).encode()
    content["README.md"] = fill_template(
        TEMPLATES / "README.md", title=board.title, part=board.part, board_part=board.board_part or "(none)"
    ).encode()
    return _write(folder, content)


def keep_bitstream(bitstream: Path, project: Path, deploy: Path) -> bool:
    """Copies a bitstream into the folder for the board, if it is that of a project.

    It is not part of a build: `build.tcl` may write it again at any time, and the manifest does not list it.

    Args:
        bitstream: `BITSTREAM_FOLDER` of a build; it need not exist.
        project: what `write_board_project` wrote.
        deploy: where to; created if it is missing.

    Returns:
        Whether there was one.
    """
    if not all((bitstream / name).is_file() for name in (*OVERLAY, *_SETTINGS)):
        return False
    if any((bitstream / name).read_bytes() != (project / name).read_bytes() for name in _SETTINGS):
        return False
    for name in OVERLAY:
        write_atomic(deploy / name, (bitstream / name).read_bytes())
    return True


def _engine_files(script: str, board: Board, generics: Mapping[str, int], period: float) -> dict[str, bytes]:
    """The RTL, a script, and the settings that every script reads, by their paths."""
    files = [*sources(), WRAPPER]
    content = {f"rtl/{path.name}": path.read_bytes() for path in files}
    digest = hashlib.sha256()
    for name, data in content.items():
        digest.update(f"{name} {len(data)}\n".encode() + data)
    settings = fill_template(
        TEMPLATES / "settings.tcl",
        title=board.title,
        script=script,
        digest=digest.hexdigest(),
        part=board.part,
        top=WRAPPER.stem,
        period=f"{period:g}",
        parameters=_lines(f"{name} {value}" for name, value in generics.items()),
        files=_lines(path.name for path in files),
    )
    return content | {script: (TEMPLATES / script).read_bytes(), "settings.tcl": settings.encode()}


def _write(folder: Path, content: Mapping[str, bytes]) -> list[Path]:
    for name, data in content.items():
        write_atomic(folder / name, data)
    return [Path(name) for name in content]


def _lines(items: Iterable[str]) -> str:
    return "\n".join(f"    {item}" for item in items)
