"""A folder with which Vivado synthesizes an engine out of context. Writing it needs no Vivado; none was ever run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from ...errors import UserError
from ...files import write_atomic
from ..isa import Parameters
from .boards import Board
from .sources import WRAPPER, sources, top_parameters

_RUN = Path(__file__).with_name("vivado") / "run.tcl"


def write_project(
    folder: Path,
    board: Board,
    parameters: Parameters,
    more: Mapping[str, int] | None = None,
    *,
    period: float,
) -> list[Path]:
    """Writes sources, constraint and scripts; `vivado -mode batch -source run.tcl` in the folder does the rest.

    Args:
        folder: made where it is missing; files of the same names are replaced.
        board: whose part is used.
        parameters: of the engine.
        more: further parameters of the top module.
        period: of the clock, in ns.

    Returns:
        the files, relative to the folder.

    Raises:
        UserError: the period is no number above 0, or the top module has no such parameter.
    """
    if not 0 < period < math.inf:
        raise UserError(f"a clock period must be a number of ns above 0, got {period:g}.")
    known = WRAPPER.read_text(encoding="utf-8")
    for generic in more or {}:
        if f".{generic}" not in known:
            raise UserError(f"the engine has no parameter {generic}; see the head of {WRAPPER.name}.")
    files = [*sources(), WRAPPER]
    generics = {**top_parameters(parameters), **(more or {})}
    content = {Path("rtl", path.name): path.read_bytes() for path in files}
    content[Path("run.tcl")] = _RUN.read_bytes()
    content[Path("settings.tcl")] = _settings(board, period, generics, [path.name for path in files]).encode()
    content[Path("clock.xdc")] = f"create_clock -name aclk -period {period:g} [get_ports aclk]\n".encode()
    for name, data in content.items():
        write_atomic(folder / name, data)
    return list(content)


def _settings(board: Board, period: float, generics: Mapping[str, int], files: list[str]) -> str:
    return "\n".join(
        [
            f"# {board.title}: what run.tcl synthesizes.",
            f"set part {board.part}",
            f"set top {WRAPPER.stem}",
            f"set period {period:g}",
            "set parameters {",
            *(f"    {name} {value}" for name, value in generics.items()),
            "}",
            "# Packages first.",
            "set files {",
            *(f"    {name}" for name in files),
            "}",
            "",
        ]
    )
