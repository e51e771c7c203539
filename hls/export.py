"""The HLS project of a model: sources, configuration, program, weights, test vectors and scripts in one folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files import fill_template, write_atomic
from ..hw.isa import SENTENCES, Parameters
from .build import CSIM, SOURCES
from .config import config_header
from .vectors import unit_vectors

TEMPLATES = Path(__file__).with_name("templates")
"""The Makefile, and the templates of the scripts and configurations for the vendor's tools."""

UNITS = ("engine", "array", "vector", "stream")

_DONE = 3


@dataclass(frozen=True)
class Run:
    """A RUN command and its result.

    Attributes:
        lengths: the number of tokens of each sentence.
        packet: the input of the run, see `docs/isa.md`.
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
    part: str,
    clock_ns: float,
) -> None:
    """Writes the project.

    Args:
        out: the folder; it must not exist, and is created with its parents.
        program, image: the payloads of the commands PROGRAM and INIT.
        parameters: of the engine.
        runs: sentences with their results.
        part, clock_ns: the target of synthesis.
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
    write_atomic(vectors / "weights.bin", image)
    write_atomic(vectors / "runs.bin", pack_runs(runs))
    for unit, data in unit_vectors(parameters).items():
        write_atomic(vectors / f"{unit}.bin", data)
    clock = f"{clock_ns:g}"
    for unit in UNITS:
        name = "hls_config.cfg" if unit == "engine" else f"hls_config_{unit}.cfg"
        write_atomic(out / name, _config(unit, part, clock))
    write_atomic(out / "run_hls.tcl", fill_template(TEMPLATES / "run_hls.tcl", part=part, clock=clock))
    write_atomic(out / "Makefile", (TEMPLATES / "Makefile").read_bytes())


def pack_runs(runs: Sequence[Run]) -> bytes:
    """The content of `runs.bin`, see `tb_engine.cpp`: every run ends with status DONE."""
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


def _config(unit: str, part: str, clock: str) -> str:
    """The configuration for Vitis HLS of the engine, or of one unit as a kernel."""
    whole = unit == "engine"
    files = ("program.bin", "weights.bin", "runs.bin") if whole else (f"{unit}.bin",)
    return fill_template(
        TEMPLATES / "hls_config.cfg",
        title="engine" if whole else f"{unit} unit as a kernel of its own",
        part=part,
        clock=clock,
        source="engine.cpp" if whole else f"{unit}_top.cpp",
        top="engine" if whole else f"{unit}_top",
        unit=unit,
        vectors="\n".join(f"tb.file=vectors/{name}" for name in files),
    )
