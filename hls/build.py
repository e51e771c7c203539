"""Compiles the C++ engine for C simulation: g++ alone, with native or with `ap_int` types."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from .. import toolchain
from ..compilecache import compiled, execute
from ..errors import UserError
from ..hw.host.engine import TRACE_HEADER
from ..hw.isa import Parameters
from .config import config_header

SOURCES = Path(__file__).with_name("src")
"""Folder of the C++ sources."""

CSIM = Path(__file__).with_name("csim")
"""Folder of the files that only C simulation needs: stand-ins for headers of Vitis HLS, and the C interface."""

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas")

_NATIVE = ("-DNG_NATIVE_TYPES", "-O3")
# The constructors of the ap_int headers read a member before they set it; once inlined, g++ warns about our lines.
_AP = ("-O1", "-Wno-uninitialized", "-Wno-maybe-uninitialized")


def ap_include() -> Path:
    """Folder of `ap_int.h`: the package hls4ml has it.

    Raises:
        UserError: hls4ml is not installed.
    """
    # find_spec of the package itself imports nothing.
    spec = importlib.util.find_spec("hls4ml")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "templates" / "vivado" / "ap_types"
        if (folder / "ap_int.h").is_file():
            return folder
    raise UserError(
        "the ap_int headers are missing; install them with `pip install narrowgauge[hls4ml]`, or use native types."
    )


def flags(native: bool) -> list[str]:
    """Options of g++ for the sources of `hls/src`, without the folder of `config.h`.

    Raises:
        UserError: `ap_int` types are wanted and hls4ml is not installed.
    """
    types = list(_NATIVE) if native else [*_AP, "-isystem", str(ap_include())]
    return ["-std=c++17", *WARNINGS, f"-I{SOURCES}", f"-I{CSIM}", f"-I{TRACE_HEADER.parent}", *types]


def build_library(parameters: Parameters, native: bool) -> Path:
    """The C interface to an engine as a shared library, compiled when it is not in the cache.

    Args:
        parameters: of the engine.
        native: native types of the same range instead of `ap_int`: the same integers, many times faster.

    Raises:
        UserError: there is no g++, the `ap_int` headers are missing, or see `compilecache.compiled`.
    """
    return _cached(
        [CSIM / "shim.cpp"], parameters, native, ("-shared", "-fPIC", "-fvisibility=hidden"), "engine.so"
    )


def build_testbench(name: str, parameters: Parameters, native: bool) -> Path:
    """A testbench of `hls/src` as a program, compiled when it is not in the cache.

    Args:
        name: of the unit: engine, array, vector or stream.
        parameters, native: see `build_library`.

    Raises:
        UserError: there is no g++, the `ap_int` headers are missing, or see `compilecache.compiled`.
    """
    top = "engine.cpp" if name == "engine" else f"{name}_top.cpp"
    return _cached([SOURCES / f"tb_{name}.cpp", SOURCES / top], parameters, native, (), f"tb_{name}")


def _cached(
    units: list[Path], parameters: Parameters, native: bool, extra: tuple[str, ...], name: str
) -> Path:
    options = [*flags(native), *extra]
    config = config_header(parameters)
    compiler = toolchain.find_compiler("run the C++ engine")

    def make(work: Path) -> None:
        Path(work, "config.h").write_text(config, encoding="utf-8")
        execute([compiler, *options, f"-I{work}", *map(str, units), "-o", name], work)

    headers = [] if native else [toolchain.package_version("hls4ml")]
    # The content of the sources counts, not their folders.
    kinds = [option for option in options if not option.startswith("-I")]
    key = [config, *kinds, *headers, *(unit.name for unit in units), toolchain.version_text(compiler)]
    files = [path for folder in (SOURCES, CSIM) for path in sorted(folder.iterdir()) if path.is_file()]
    return compiled("hls", name, key, [*files, TRACE_HEADER], make)
