"""Compiles the engine's RTL with Verilator into a shared library that Python drives through ctypes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from pathlib import Path

from ... import toolchain
from ...compilecache import compiled, execute, plain_path
from ...errors import UserError
from ...hw.host.engine import TRACE_HEADER
from ...hw.isa import Parameters
from ...hw.synthesis.silicon import PLAIN, Silicon
from ...hw.synthesis.sources import RTL as RTL
from ...hw.synthesis.sources import TOP, WRAPPER, sources, top_parameters
from ...toolchain import find_verilator
from . import coverage

_SHIM = Path(__file__).with_name("shim.cpp")
_NAME = "libng_engine.so"


_COMPILE = "-fPIC -fno-semantic-interposition -fno-plt -march=native"
"""For the simulation's code: no indirection through tables of addresses, and every instruction of this processor."""

# The Python package of Verilator has other paths of compiler and interpreter built in; the cache's key is for g++.
# Its precompiled headers don't work with the options above.
_MAKE = "CXX=g++ LINK=g++ PYTHON3=python3 CFG_CXXFLAGS_PCH_I=-include"


def generics(parameters: Parameters, silicon: Silicon = PLAIN) -> list[str]:
    """Options that set the parameters of the top module."""
    return [f"-G{name}={value}" for name, value in top_parameters(parameters, silicon).items()]


class Watch(Enum):
    """What a library records in addition to its results; recording makes it slower."""

    NOTHING = ()
    FST = ("--trace-fst", "--trace-structs")
    VCD = ("--trace", "--trace-structs")
    COVERAGE = ("--coverage-line", "--coverage-toggle")


def waves_in(file: Path) -> Watch:
    """The format of a waveform file, by its suffix: `.fst`, or `.vcd`, which is larger and needs no headers.

    Raises:
        UserError: the suffix is another one, or a header that FST needs is missing.
    """
    if file.suffix == ".vcd":
        return Watch.VCD
    if file.suffix != ".fst":
        raise UserError(f"the waveform file must end in .fst or .vcd, got {file.name}.")
    missing = toolchain.missing_headers(toolchain.WAVE_HEADERS)
    if missing:
        raise UserError(
            f"waveforms in a .fst file need {' and '.join(missing)}; install them, on Debian with `apt install "
            "zlib1g-dev liblz4-dev`, or use a .vcd file, which needs no headers."
        )
    return Watch.FST


def watch_of(waves: Path | None) -> Watch:
    """What a simulation records: waveforms in this file, or else coverage if `coverage.folder` is set.

    Raises:
        UserError: see `waves_in`.
    """
    if waves is not None:
        return waves_in(waves)
    return Watch.NOTHING if coverage.folder() is None else Watch.COVERAGE


def verilated(
    kind: str,
    name: str,
    options: Sequence[str],
    files: Sequence[Path],
    make: str,
    finish: Callable[[Path], None] | None = None,
    headers: Sequence[Path] = (),
) -> Path:
    """The file `name` that Verilator and make build, or its copy in the cache; see `compilecache.compiled`.

    Args:
        kind: part of the cache.
        name: of the file; the option `-o` is not among `options`.
        options: of Verilator, which is started in an empty folder. Paths in them are plain.
        files: that Verilator reads.
        make: variables for make.
        finish: creates the file `name` in a folder with the output of Verilator in `obj`; None if Verilator creates it.
        headers: that the C++ files include by name.

    Raises:
        UserError: Verilator, g++ or make is missing, or a tool failed.
    """
    verilator = find_verilator()
    compiler = toolchain.find_compiler("simulate the RTL")
    toolchain.find_tool("make", "simulate the RTL")
    named = _named(files)
    # Not part of the key: the content of the headers counts, not their folders.
    folders = dict.fromkeys(header.parent for header in _named(headers))
    include = [word for folder in folders for word in ("-CFLAGS", f"-I{folder}")]

    def build(work: Path) -> None:
        command = [*verilator.command, "--cc", "--exe", "--build", "--Mdir", "obj", *options, *include]
        command += ["-MAKEFLAGS", f"{_MAKE} {make}", "-o", f"../{name if finish is None else 'unused'}"]
        execute([*command, *map(str, named)], work, verilator.variables(), tool="Verilator")
        if finish is not None:
            finish(work)

    key = [*options, make, verilator.key(), toolchain.version_text(compiler)]
    return compiled(kind, name, key, [*files, *headers], build)


def _named(files: Iterable[Path]) -> list[Path]:
    """The files by names that Verilator, make and a shell accept."""
    return [plain_path(file.parent) / file.name for file in files]


def build_library(parameters: Parameters, watch: Watch = Watch.NOTHING, silicon: Silicon = PLAIN) -> Path:
    """The shared library of an engine, compiled when it is not in the cache.

    Raises:
        UserError: Verilator, g++ or make is missing, or a tool failed.
    """
    options = [
        *("-j", "2", "-O3", "--noassert", "--x-assign", "fast", "--x-initial", "fast"),
        *("-Wno-fatal", "-Wno-lint", "--top-module", TOP),
        *generics(parameters, silicon),
        *watch.value,
        *("-CFLAGS", f"{_COMPILE} -DNG_LANES={parameters.lanes}", "-LDFLAGS", "-shared"),
    ]
    make = "OPT_FAST=-O3 OPT_GLOBAL=-O1"
    return verilated("rtl", _NAME, options, [*sources(), _SHIM], make, headers=[TRACE_HEADER])


def lint(parameters: Parameters, silicon: Silicon = PLAIN) -> str:
    """The output of `verilator --lint-only -Wall` for the engine in its wrapper; empty if there is no warning.

    Raises:
        UserError: Verilator is missing.
    """
    files = map(str, _named((RTL / "lint.vlt", *sources(), WRAPPER)))
    verilator = find_verilator()
    command = [
        *verilator.command,
        "--lint-only",
        "-Wall",
        "--top-module",
        WRAPPER.stem,
        *generics(parameters, silicon),
        *files,
    ]
    variables = {**os.environ, **verilator.variables()}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip() if done.returncode else ""
