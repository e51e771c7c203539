"""Supported boards: the part, its capacities, an engine that fits it, and its processing system.

A board is one TOML file: those of the package in `hw/boards`, those of the user in `~/.config/narrowgauge/boards`, or
any other file. docs/synthesis.md describes the keys.

Capacities are those of the whole device, from the vendor's data sheets. An engine may take only a part of them
(`USABLE`), because the DMA, the interconnect and a card's shell (Alveo) need some.
"""

from __future__ import annotations

import os
import re
import reprlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ...errors import UserError, printable
from ...files import readable_file
from ..isa import Memory, Parameters
from .silicon import Silicon

USABLE: Mapping[str, int] = MappingProxyType({"lut": 100, "ff": 100, "dsp": 90, "bram36": 85, "uram": 90})
"""Percent of each resource of a board that an engine may take, by the names in `Board`.

The DMA and the AXI interconnect need block RAMs for their buffers, and a device whose columns of block RAM, UltraRAM
or DSPs are full leaves the placer no choice of a place near the logic. Counts of LUTs and flip-flops are estimates
that are too high (see docs/synthesis.md), so that they need no reserve of their own.
"""

FOLDER = Path(__file__).parents[1] / "boards"
"""The files of the boards of this package."""

PERIODS = (0.5, 1000.0)
"""The range of a clock period, in ns."""

_MOST_BYTES = 1 << 16
_MOST = 1 << 30  # of a resource
_LONGEST = 100  # characters of a text
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_PART = re.compile(r"[A-Za-z0-9-]+")
_BOARD_PART = re.compile(r"[\w.-]+:[\w.-]+:[\w.-]+:[\w.-]+", re.ASCII)
_SETTING = re.compile(r"(?:PCW|PSU)_\w+", re.ASCII)
_SETTING_TEXT = re.compile(r"[\w .:#-]*", re.ASCII)


@dataclass(frozen=True)
class ProcessorKind:
    """A family of processing systems, with what a design in `hw/synthesis/vivado` connects.

    Attributes:
        family: the family of its devices, see `Board`.
        memory_ports: ports through which the DMA can read and write memory.
        register_ports: ports through which the processor reads and writes registers.
    """

    family: str
    memory_ports: tuple[str, ...]
    register_ports: tuple[str, ...]


PROCESSORS: Mapping[str, ProcessorKind] = MappingProxyType(
    {
        # UG585, PG082.
        "zynq": ProcessorKind("xc7", tuple(f"S_AXI_HP{n}" for n in range(4)), ("M_AXI_GP0", "M_AXI_GP1")),
        # UG1085, PG201. Those of the low-power domain and the coherent ones are left out.
        "zynqmp": ProcessorKind(
            "xcup", tuple(f"S_AXI_HP{n}_FPD" for n in range(4)), ("M_AXI_HPM0_FPD", "M_AXI_HPM1_FPD")
        ),
    }
)
"""The processing systems for which there are block designs."""


@dataclass(frozen=True)
class Processor:
    """The processing system of a board.

    Attributes:
        kind: a key of `PROCESSORS`.
        memory_port: the port of the DMA.
        register_port: the port of the registers.
        preset: whether the vendor's files of the board hold the settings of its memory and clocks. They must be
            installed for Vivado.
        settings: further parameters of the processing system, which have priority over the preset: names as in
            Vivado, without `CONFIG.`.
    """

    kind: str
    memory_port: str
    register_port: str
    preset: bool
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Board:
    """A board.

    Attributes:
        name: the argument of `--board`, which is the name of its file.
        title: the vendor's name of the board.
        part: the part name in Vivado.
        family: the family for yosys' `synth_xilinx`: "xc7" for 7-series, "xcup" for UltraScale+.
        lut, ff, dsp, bram36, uram: capacities; a block RAM of 36 Kb counts 1, one of 18 Kb counts 0.5.
        source: the data sheet of these figures.
        engine: an engine that fits the board. Models are compiled for it, without a new synthesis.
        silicon: the silicon options of that engine.
        period: target clock period in ns for the vendor's tools.
        status: what has been run on this board.
        board_part: the name of the board in Vivado; "" if Vivado has no files of it.
        pynq: the lines of PYNQ that run on it; "" for none.
        processor: None if there is no block design for the board.
    """

    name: str
    title: str
    part: str
    family: str
    lut: int
    ff: int
    dsp: int
    bram36: int
    uram: int
    source: str
    engine: Parameters
    silicon: Silicon
    period: float
    status: str
    board_part: str
    pynq: str
    processor: Processor | None

    def limit(self, resource: str) -> int:
        """The amount of a resource that an engine may take.

        Args:
            resource: a key of `USABLE`.
        """
        capacity: int = getattr(self, resource)
        return capacity * USABLE[resource] // 100


@cache
def built_in_boards() -> tuple[Board, ...]:
    """The boards of this package, the smallest first."""
    return _sorted(read_board(path) for path in FOLDER.glob("*.toml"))


def all_boards() -> tuple[Board, ...]:
    """The boards of this package and those of the user, the smallest first.

    Raises:
        UserError: a file of the user is invalid, or has the name of a board of the package.
    """
    own = [_read_own(path) for path in sorted(user_folder().glob("*.toml"))]
    return _sorted((*built_in_boards(), *own))


def find_board(name: str) -> Board:
    """The board with this name, ignoring case, or of the file with this path, which ends in `.toml`.

    Raises:
        UserError: there is no such board, or its file is invalid.
    """
    if name.endswith(".toml"):
        return read_board(Path(name))
    boards = built_in_boards()
    found = next((board for board in boards if board.name == name.lower()), None)
    if any(path.stem == name.lower() for path in user_folder().glob("*.toml")):
        found = _read_own(user_folder() / f"{name.lower()}.toml")
    if found is None:
        raise UserError(
            f"there is no board {printable(name)}; choose from {', '.join(board.name for board in boards)}, or give "
            "a .toml file."
        )
    return found


def user_folder() -> Path:
    """The folder of the user's boards: `narrowgauge/boards` in `$XDG_CONFIG_HOME` or `~/.config`."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    # A relative path must be ignored (XDG Base Directory Specification).
    return (
        (Path(base) if Path(base).is_absolute() else Path("~/.config").expanduser())
        / "narrowgauge"
        / "boards"
    )


def _read_own(path: Path) -> Board:
    """Reads the file of a board of the user, which must not have the name of a board of the package."""
    if path.stem in {board.name for board in built_in_boards()}:
        raise UserError(f"{path} has the name of a known board; rename the file.")
    return read_board(path)


def _sorted(boards: Iterator[Board] | tuple[Board, ...]) -> tuple[Board, ...]:
    return tuple(sorted(boards, key=lambda board: (board.lut, board.name)))


def read_board(path: Path) -> Board:
    """Reads the file of a board.

    Raises:
        UserError: the file is missing, is not TOML, or lacks a key, has an unknown one, or a value of another type or
            out of range.
    """
    try:
        text = readable_file(path, _MOST_BYTES).read_text(encoding="utf-8-sig")
        return _board(path.stem, _Table(_parse(text)))
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}); give the file of a board.") from None
    except (ValueError, OverflowError, RecursionError) as error:
        raise UserError(
            f"{path} describes no board: {printable(str(error), 160)}; see docs/synthesis.md."
        ) from None


def _parse(text: str) -> dict[str, Any]:
    """Parses TOML. Only here is a package needed, tomli, and only by Python 3.10."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


class _Table:
    """A table of a TOML file, whose keys are taken one after the other; `done` refuses what is left.

    Raises:
        ValueError: from every function, for a key that is missing, unknown, of another type or out of range.
    """

    def __init__(self, value: Any, path: str = "") -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{path} must be a table, got {reprlib.repr(value)}")
        self._left, self._path = dict(value), path

    def _name(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        """A value of this type; an int is also a float, but a bool is no int."""
        name = self._name(key)
        value = self._left.pop(key, default)
        if value is None:
            raise ValueError(f"{name} is missing")
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ValueError(f"{name} must be {_KINDS[kind]}, got {reprlib.repr(value)}")
        return value

    def text(self, key: str, default: str | None = None, form: re.Pattern[str] | None = None) -> str:
        value: str = self.take(key, str, default)
        if value == default:
            return value
        good = bool(value) and len(value) <= _LONGEST and value.isprintable()
        if not good or (form is not None and not form.fullmatch(value)):
            raise ValueError(
                f"{self._name(key)} must be {_TEXTS.get(form, 'a text')}, got {reprlib.repr(value)}"
            )
        return value

    def count(self, key: str) -> int:
        value: int = self.take(key, int)
        if not 0 <= value <= _MOST:
            raise ValueError(f"{self._name(key)} must be from 0 to {_MOST}, got {reprlib.repr(value)}")
        return value

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        value: str = self.take(key, str)
        if value not in choices:
            raise ValueError(f"{self._name(key)} must be {' or '.join(choices)}, got {reprlib.repr(value)}")
        return value

    def memories(self, key: str) -> frozenset[Memory]:
        value = self.take(key, list, [])
        for name in value:
            if not isinstance(name, str) or name not in Memory.__members__:
                raise ValueError(f"{self._name(key)} must have names of memories, got {reprlib.repr(name)}")
        return frozenset(Memory[name] for name in value)

    def table(self, key: str) -> _Table:
        return _Table(self.take(key, dict), self._name(key))

    def optional(self, key: str) -> _Table | None:
        return self.table(key) if key in self._left else None

    def rest(self) -> dict[str, Any]:
        """All keys that are left."""
        left, self._left = self._left, {}
        return left

    def done(self) -> None:
        for key in self._left:
            raise ValueError(f"{printable(self._name(key))} is not a known key")


_KINDS: Mapping[type, str] = MappingProxyType(
    {
        str: "a text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        list: "a list",
        dict: "a table",
    }
)
_TEXTS: Mapping[re.Pattern[str] | None, str] = MappingProxyType(
    {
        None: f"a text of 1 to {_LONGEST} characters",
        _PART: "the name of a part",
        _BOARD_PART: "a board part, VENDOR:NAME:PART:VERSION",
    }
)


def _board(name: str, table: _Table) -> Board:
    if not _NAME.fullmatch(name):
        raise ValueError("the name of the file must have lower-case letters, digits and '-' only, at most 40")
    period = table.take("period", float)
    if not PERIODS[0] <= period <= PERIODS[1]:
        raise ValueError(f"period must be from {PERIODS[0]:g} to {PERIODS[1]:g} ns, got {period:g}")
    family = table.choice("family", ("xc7", "xcup"))
    board_part = table.text("board_part", "", _BOARD_PART)
    capacity = table.table("capacity")
    counts = {key: capacity.count(key) for key in USABLE}
    source = capacity.text("source")
    capacity.done()
    engine = _engine(table.table("engine"))
    silicon = _silicon(table.table("silicon"), engine)
    if silicon.ultra and family == "xc7":
        raise ValueError("silicon.ultra must be empty for the family xc7, which has no UltraRAM")
    processor = table.optional("processor")
    board = Board(
        name=name,
        title=table.text("title"),
        part=table.text("part", form=_PART),
        family=family,
        **counts,
        source=source,
        engine=engine,
        silicon=silicon,
        period=period,
        status=table.text("status"),
        board_part=board_part,
        pynq=table.text("pynq", ""),
        processor=None if processor is None else _processor(processor, family, board_part),
    )
    table.done()
    return board


def _engine(table: _Table) -> Parameters:
    names = [field.name for field in fields(Parameters) if field.name != "acc_bits"]
    values = {name: table.count(name) for name in names}
    table.done()
    return Parameters(**values)


def _silicon(table: _Table, engine: Parameters) -> Silicon:
    silicon = Silicon(
        pack_dsp=table.take("pack_dsp", bool, False),
        lut_columns=table.take("lut_columns", int, 0),
        ultra=table.memories("ultra"),
        luts=table.memories("luts"),
    )
    table.done()
    silicon.generics(engine)
    return silicon


def _processor(table: _Table, family: str, board_part: str) -> Processor:
    kind = table.choice("family", tuple(PROCESSORS))
    known = PROCESSORS[kind]
    if known.family != family:
        raise ValueError(f"processor.family must be one of the family {family}, got {kind}")
    memory_port = table.choice("memory_port", known.memory_ports)
    register_port = table.choice("register_port", known.register_ports)
    preset = table.take("preset", bool)
    if preset and not board_part:
        raise ValueError("processor.preset must be false without a board_part")
    given = table.optional("settings")
    settings = {}
    for name, value in ({} if given is None else given.rest()).items():
        if not _SETTING.fullmatch(name):
            raise ValueError(f"processor.settings must have names that start with PCW_ or PSU_, got {name!r}")
        if type(value) not in (int, str) or not _SETTING_TEXT.fullmatch(str(value)):
            raise ValueError(
                f"processor.settings.{name} must be a whole number or a text, got {reprlib.repr(value)}"
            )
        settings[name] = str(value)
    table.done()
    return Processor(kind, memory_port, register_port, preset, MappingProxyType(settings))
