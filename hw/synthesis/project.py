"""A project folder for out-of-context synthesis of an engine in Vivado. Not yet run with the vendor's tools."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...errors import UserError
from ...files import fill_template, write_atomic
from ..isa import Parameters
from .boards import Board
from .sources import WRAPPER, sources, top_parameters

TEMPLATES = Path(__file__).with_name("vivado")
"""The script `run.tcl`, and the templates of its settings and constraint."""


def write_project(
    folder: Path,
    board: Board,
    parameters: Parameters,
    more: Mapping[str, int] | None = None,
    *,
    period: float,
) -> list[Path]:
    """Writes sources, constraint and scripts for `vivado -mode batch -source run.tcl`.

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
    files = [*sources(), WRAPPER]
    generics = {**top_parameters(parameters), **(more or {})}
    content = {Path("rtl", path.name): path.read_bytes() for path in files}
    content[Path("run.tcl")] = (TEMPLATES / "run.tcl").read_bytes()
    content[Path("settings.tcl")] = fill_template(
        TEMPLATES / "settings.tcl",
        title=board.title,
        part=board.part,
        top=WRAPPER.stem,
        period=f"{period:g}",
        parameters=_lines(f"{name} {value}" for name, value in generics.items()),
        files=_lines(path.name for path in files),
    ).encode()
    content[Path("clock.xdc")] = fill_template(TEMPLATES / "clock.xdc", period=f"{period:g}").encode()
    for name, data in content.items():
        write_atomic(folder / name, data)
    return list(content)


def _lines(items: Iterable[str]) -> str:
    return "\n".join(f"    {item}" for item in items)
