"""The sizes of a model, with the same names in all output: on disk, on chip, and of the formats it replaces."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .common import console

if TYPE_CHECKING:
    from ..graph.describe import ModelSizes

_NOTES = {
    "model.onnx": "the constants, with names, vocabulary and functions",
    "program.bin": "the engine's instructions",
    "weights.bin": "loaded once by the engine; every weight takes 8 bits",
    "stream.bin": "constants that are sent with every run",
}


def sizes_report(sizes: ModelSizes, build: Path | None = None) -> dict[str, Any]:
    """Bytes for JSON: those of the model, of each file of a build, and of the memories on the chip.

    Args:
        sizes: of the model.
        build: the folder of its build, if any; without a program there are no sizes on chip.
    """
    files: dict[str, int] = {}
    on_chip = None
    if build is not None:
        from ..graph.onnx_io import MODEL_FILE
        from ..hw.compiler.compile import memory_bits
        from ..hw.host.build import IMAGE_FILE, PROGRAM_FILE, STREAM_FILE
        from ..hw.host.folder import has_engine, read_engine

        names = [MODEL_FILE]
        if has_engine(build):
            names += [PROGRAM_FILE, IMAGE_FILE, STREAM_FILE]
            on_chip = memory_bits(read_engine(build).program.parameters) // 8
        files = {name: (build / name).stat().st_size for name in names}
    return {**asdict(sizes), "files": files, "on_chip": on_chip}


def show_sizes(report: dict[str, Any]) -> None:
    """Prints the result of `sizes_report`, one line per figure."""
    from rich.table import Table

    constants = report["constants"]
    rows: list[tuple[str, int | None, str]] = [
        ("cores", report["cores"], "packed at their widths, in model.onnx"),
        ("constants", constants, "cores, biases, LayerNorms and tables, in model.onnx"),
        *((name, size, _NOTES[name]) for name, size in report["files"].items()),
        ("on chip", report["on_chip"], "the part of the engine's memories that the program needs"),
        (
            "dense FP32",
            report["dense_fp32"],
            f"{_times(report['dense_fp32'], constants)} the constants, not stored",
        ),
        (
            "low rank",
            report["lowrank"],
            f"{_times(report['lowrank'], constants)} the constants, at the same middle ranks and widths, not stored",
        ),
    ]
    table = Table(title="Sizes", title_justify="left")
    table.add_column("of")
    table.add_column("bytes", justify="right")
    table.add_column("what it is")
    for name, size, note in rows:
        if size is not None:
            table.add_row(name, f"{size:,}", note)
    console().print(table)


def _times(size: int, constants: int) -> str:
    return f"{size / constants:.2f} times"
