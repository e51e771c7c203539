"""`narrowgauge export`: a trained run in, integers out."""

from __future__ import annotations

import argparse
from pathlib import Path

from .common import Commands, add_command, write_report


def add_parser(commands: Commands) -> None:
    """Adds `export` to the sub-commands."""
    parser = add_command(
        commands, "export", run, "freeze a trained run into integers: model.onnx, manifest.json"
    )
    parser.add_argument("run_dir", type=Path, metavar="RUN", help="folder of a trained run")
    parser.add_argument("--out", required=True, type=Path, metavar="BUILD", help="folder of the export")


def run(args: argparse.Namespace) -> int:
    """Exports, proves that no accumulator overflows, and prints where the export is."""
    from ..model.export import export_run

    report = export_run(args.run_dir, args.out)
    write_report(args, report)
    print(
        f"No accumulator overflows: the widest of a linear layer, {report.widest_value}, "
        f"needs {report.widest} of 32 bits."
    )
    print(
        f"{report.parameters:,} numbers in {report.bytes:,} bytes; dense FP32 takes {report.dense_bytes:,}."
    )
    print(f"The export is in {report.build}.")
    return 0
