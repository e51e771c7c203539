"""`narrowgauge plan`: the cost of each tensor-train layer on an engine, merged and core by core."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from .common import LANES, Commands, add_command, console, write_report


def add_parser(commands: Commands) -> None:
    """Adds `plan` to the sub-commands."""
    parser = add_command(commands, "plan", run, "compare cycles and words of both plans of tensor trains")
    parser.add_argument("build", type=Path, metavar="BUILD", help="folder of a build")
    parser.add_argument("--lanes", type=int, choices=LANES, default=16, help="N of the engine (default: 16)")


def run(args: argparse.Namespace) -> int:
    """Prints one row per layer."""
    from rich.table import Column, Table

    from ..graph.onnx_io import read_build
    from ..hw.compiler.plan import layer_plans

    layers = layer_plans(read_build(args.build), args.lanes)
    write_report(
        args,
        [{**asdict(p), "fastest": p.fastest.plan, "smallest": p.smallest.plan} for p in layers],
    )
    names = ("merged: cycles", "words", "core by core: cycles", "words", "free order", "dense")
    table = Table(
        "layer", "trained with", *(Column(name, justify="right") for name in names), "fastest", "smallest"
    )
    for layer in layers:
        counts = (number for plan in layer.plans for number in (plan.cycles, plan.words))
        macs = (layer.free_macs, layer.dense_macs)
        row = (f"{number:,}" for number in (*counts, *(-(-m // args.lanes**2) for m in macs)))
        table.add_row(layer.layer, layer.trained, *row, layer.fastest.plan, layer.smallest.plan)
    console().print(table)
    print(
        f"Cycles of the array for a block of {args.lanes} tokens. Free order (the best contraction order, without "
        f"rounding) and dense: multiply-accumulates divided by {args.lanes**2} multipliers. The plan is set before "
        "training, by `plan` in the configuration of a layer."
    )
    return 0
