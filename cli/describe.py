"""`narrowgauge describe`: layers, shapes, ranks, widths, parameters and bytes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import printable
from .common import Commands, add_command, console, is_build, write_report
from .sizes import show_sizes, sizes_report

if TYPE_CHECKING:
    from ..graph.describe import Description, LayerSize


def add_parser(commands: Commands) -> None:
    """Adds `describe` to the sub-commands."""
    parser = add_command(commands, "describe", run, "list the layers with shapes, ranks, widths and sizes")
    parser.add_argument("model", type=Path, metavar="RUN|BUILD", help="folder of a run or a build")


def run(args: argparse.Namespace) -> int:
    """Prints the table of layers and the ratios to dense FP32 and to low rank."""
    from ..graph.describe import describe

    if is_build(args.model):
        from ..graph.onnx_io import read_build

        build, graph = args.model, read_build(args.model)
    else:
        from ..model.export import freeze_run

        build, (_, graph) = None, freeze_run(args.model)
    description = describe(graph)
    sizes = sizes_report(description.sizes, build)
    write_report(
        args,
        {
            "name": description.name,
            "parameters": description.parameters,
            "sizes": sizes,
            "layers": description.layers,
        },
    )
    show(description)
    show_sizes(sizes)
    show_pointless(description)
    return 0


def show(description: Description) -> None:
    """Prints a description as a table."""
    from rich.table import Table

    name = printable(description.name)
    table = Table(title=f"{name}: layers, {description.parameters:,} numbers", title_justify="left")
    for heading in ("layer", "format", "shape", "modes", "ranks", "bits"):
        table.add_column(heading, overflow="fold")
    for heading in ("numbers", "bytes in model.onnx", "dense FP32 / this", "low rank / this"):
        table.add_column(heading, justify="right")
    for layer in description.layers:
        table.add_row(*_cells(layer))
    console().print(table)


def show_pointless(description: Description) -> None:
    """Reports tensor trains that save no bytes over low rank."""
    for layer in description.layers:
        if layer.pointless:
            print(
                f"{layer.name}: this tensor train takes {layer.bytes:,} bytes, its two merged factors would take "
                f"{layer.lowrank_bytes:,} at the same mean width; use low rank, or give the tensor train smaller "
                "ranks."
            )


def _cells(layer: LayerSize) -> tuple[str, ...]:
    # The last widths are those of biases and beta, which never vary.
    modes = " ".join(str(mode) if isinstance(mode, int) else f"{mode[0]}x{mode[1]}" for mode in layer.modes)
    return (
        layer.name,
        layer.kind,
        "x".join(map(str, layer.shape)),
        modes,
        " ".join(map(str, layer.ranks)),
        " ".join(map(str, layer.bits)) if len(set(layer.bits)) > 1 else str(layer.bits[0]),
        f"{layer.parameters:,}",
        f"{layer.bytes:,}",
        f"{layer.dense_bytes / layer.bytes:.1f}",
        f"{layer.lowrank_bytes / layer.bytes:.2f}",
    )
