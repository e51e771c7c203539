"""The HLS project of a model: sources, configuration, program, weights, test vectors and scripts in one folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files import write_atomic
from ..hw.isa import SENTENCES, Parameters
from .build import CSIM
from .header import SOURCES, config_header
from .vectors import unit_vectors

PART = "xczu7ev-ffvc1156-2-e"
"""The part of the ZCU104 board."""

CLOCK_NS = 5.0
"""Clock period that synthesis aims at."""

UNITS = ("engine", "array", "vector", "stream")

_DONE = 3


@dataclass(frozen=True)
class Run:
    """A RUN and what comes of it.

    Attributes:
        lengths: tokens of each sentence.
        packet: what the list `stream` loads.
        expected: the beats that the engine sends.
    """

    lengths: tuple[int, ...]
    packet: bytes
    expected: bytes


def write_project(
    out: Path,
    program: bytes,
    image: bytes,
    parameters: Parameters,
    runs: Sequence[Run],
    *,
    part: str = PART,
    clock_ns: float = CLOCK_NS,
) -> None:
    """Writes the project.

    Args:
        out: the folder; made, with its parents, and not there yet.
        program, image: what PROGRAM and INIT take.
        parameters: what the engine is built with.
        runs: sentences with their results.
        part, clock_ns: what synthesis aims at.
    """
    out.mkdir(parents=True)
    for folder, name in ((SOURCES, "src"), (CSIM, "csim")):
        shutil.copytree(
            folder, out / name, ignore=shutil.ignore_patterns("shim.cpp"), copy_function=shutil.copyfile
        )
        # The sources may be of a package that is installed read-only.
        (out / name).chmod(out.stat().st_mode)
    write_atomic(out / "src" / "config.h", config_header(parameters))
    vectors = out / "vectors"
    vectors.mkdir()
    write_atomic(vectors / "program.bin", program)
    write_atomic(vectors / "image.bin", image)
    write_atomic(vectors / "runs.bin", pack_runs(runs))
    for unit, data in unit_vectors(parameters).items():
        write_atomic(vectors / f"{unit}.bin", data)
    write_atomic(out / "Makefile", _MAKEFILE)
    for unit in UNITS:
        name = "hls_config.cfg" if unit == "engine" else f"hls_config_{unit}.cfg"
        write_atomic(out / name, _config(unit, part, clock_ns))
    write_atomic(out / "run_hls.tcl", _TCL.format(part=part, clock=f"{clock_ns:g}"))


def pack_runs(runs: Sequence[Run]) -> bytes:
    """`runs.bin`, see `tb_engine.cpp`: every run ends well."""
    numbers = [np.array([len(runs)], "<i8")]
    for run in runs:
        lengths = list(run.lengths) + [0] * (SENTENCES - len(run.lengths))
        packet, expected = (np.frombuffer(data, "<i8") for data in (run.packet, run.expected))
        numbers += [
            np.array([len(run.lengths), *lengths, len(packet)], "<i8"),
            packet,
            np.array([_DONE, 0, len(expected)], "<i8"),
            expected,
        ]
    return b"".join(part.tobytes() for part in numbers)


def _sources(unit: str) -> str:
    return "engine.cpp" if unit == "engine" else f"{unit}_top.cpp"


def _top(unit: str) -> str:
    return "engine" if unit == "engine" else f"ng::{unit}_top"


def _config(unit: str, part: str, clock_ns: float) -> str:
    files = ("program.bin", "image.bin", "runs.bin") if unit == "engine" else (f"{unit}.bin",)
    lines = [
        f"# Vitis HLS: the {unit}{'' if unit == 'engine' else ' unit as a kernel of its own'}. "
        "Not yet run with the vendor's tools.",
        f"part={part}",
        "",
        "[hls]",
        f"clock={clock_ns:g}ns",
        "flow_target=vivado",
        f"syn.file=src/{_sources(unit)}",
        f"syn.top={_top(unit)}",
        "syn.cflags=-std=c++17 -Isrc",
        f"tb.file=src/tb_{unit}.cpp",
        "tb.cflags=-std=c++17 -Isrc",
        *(f"tb.file=vectors/{name}" for name in files),
        "package.output.format=ip_catalog",
        "package.output.syn=false",
    ]
    return "\n".join(lines) + "\n"


_TCL = """\
# For vitis_hls, the tool before vitis-run: vitis_hls -f run_hls.tcl -tclargs [csim|synth|cosim|export]
# Not yet run with the vendor's tools.
set step [expr {{$argc > 0 ? [lindex $argv end] : "synth"}}]
open_project -reset project
set_top engine
add_files src/engine.cpp -cflags "-std=c++17 -Isrc"
add_files -tb src/tb_engine.cpp -cflags "-std=c++17 -Isrc"
add_files -tb vectors/program.bin
add_files -tb vectors/image.bin
add_files -tb vectors/runs.bin
open_solution -reset solution -flow_target vivado
set_part {{{part}}}
create_clock -period {clock}
if {{$step eq "csim"}} {{
    csim_design
}} else {{
    csynth_design
    if {{$step eq "cosim"}} {{ cosim_design }}
    if {{$step eq "export"}} {{ export_design -format ip_catalog }}
}}
exit
"""

_MAKEFILE = """\
# make csim    C simulation with g++ alone: the engine on real sentences, and each unit on its vectors
# make synth   C synthesis    \\
# make cosim   co-simulation   > with the vendor's tools: vitis-run and v++, or vitis_hls
# make export  an IP          /
# The vendor's targets have not yet been run with the vendor's tools.

PYTHON ?= python3
CXX := g++
CXXFLAGS := -std=c++17 -O2 -Wall -Wextra -Werror -Wno-unknown-pragmas -Isrc -Icsim

# Where ap_int.h is: the package hls4ml has it, and so has Vitis HLS. Empty for native types of the same range, which
# give the same integers.
AP_INCLUDE ?= $(shell $(PYTHON) -c 'import importlib.util as u; s = u.find_spec("hls4ml"); \\
    print(s.submodule_search_locations[0] + "/templates/vivado/ap_types" if s else "")' 2>/dev/null)
ifeq ($(wildcard $(AP_INCLUDE)/ap_int.h),)
TYPES := -DNG_NATIVE_TYPES
USED := native types, which give the same integers (no ap_int.h: install hls4ml, or set AP_INCLUDE to its folder)
else
USED := ap_int types of $(AP_INCLUDE)
# The constructors of the ap_int headers read a member before they set it.
TYPES := -isystem $(AP_INCLUDE) -Wno-uninitialized -Wno-maybe-uninitialized
endif

UNITS := engine array vector stream
HEADERS := $(wildcard src/*.hpp src/*.h csim/*.h)

.PHONY: csim synth cosim export clean
.DEFAULT_GOAL := csim

csim: $(UNITS:%=build/tb_%)
	$(info csim: with $(USED))
	@set -e; for unit in $(UNITS); do build/tb_$$unit vectors; done

build/tb_engine: src/tb_engine.cpp src/engine.cpp $(HEADERS)
	@mkdir -p build
	$(CXX) $(CXXFLAGS) $(TYPES) $(filter %.cpp,$^) -o $@

build/tb_%: src/tb_%.cpp src/%_top.cpp $(HEADERS)
	@mkdir -p build
	$(CXX) $(CXXFLAGS) $(TYPES) $(filter %.cpp,$^) -o $@

# The newer tool first.
define vendor
@if command -v vitis-run >/dev/null && command -v v++ >/dev/null; then $(1); \\
elif command -v vitis_hls >/dev/null; then vitis_hls -f run_hls.tcl -tclargs $@; \\
else echo "neither vitis-run nor vitis_hls is on PATH: source the settings64.sh of Vitis, then make $@" >&2; exit 2; fi
endef
COMPILE := v++ -c --mode hls --config hls_config.cfg --work_dir work
RUN := vitis-run --mode hls --config hls_config.cfg --work_dir work

synth:
	$(call vendor,$(COMPILE))

cosim:
	$(call vendor,$(COMPILE) && $(RUN) --cosim)

export:
	$(call vendor,$(COMPILE) && $(RUN) --package)

clean:
	rm -rf build work project
"""
