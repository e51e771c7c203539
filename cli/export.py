"""`narrowgauge export`: a trained run in, integers out."""

from __future__ import annotations

import argparse
from pathlib import Path

from .common import Commands, add_command, refuse_options, write_report
from .compile import (
    ENGINE_OPTIONS,
    LENGTHS,
    add_engine_options,
    check_engine_options,
    compile_into,
    engine_report,
    finish_board,
    write_deploy_folder,
    write_vivado_project,
)
from .sizes import show_sizes, sizes_report


def add_parser(commands: Commands) -> None:
    """Adds `export` to the sub-commands."""
    parser = add_command(commands, "export", run, "freeze a run into integers and compile it", extra="train")
    parser.add_argument("run_dir", type=Path, metavar="RUN", help="folder of a trained run")
    parser.add_argument("--out", required=True, type=Path, metavar="BUILD", help="folder of the build")
    parser.add_argument(
        "--no-engine",
        action="store_true",
        help="model.onnx and manifest.json only: no program, no HLS project",
    )
    add_engine_options(parser)


def run(args: argparse.Namespace) -> int:
    """Exports, proves that no accumulator overflows, and prints where the export is."""
    from ..hw.compiler.build import new_build
    from ..model.checkpoint import DATA, read_record
    from ..model.export import export_run

    check_engine_options(args)
    if args.no_engine:
        refuse_options(args, ENGINE_OPTIONS, "--no-engine compiles nothing")
    compiled = None
    with new_build(args.out) as folder:
        report = export_run(args.run_dir, folder)
        if not args.no_engine:
            source = read_record(args.run_dir / DATA).get("source")
            compiled = compile_into(folder, folder, args, source if isinstance(source, str) else None)
            write_deploy_folder(folder, compiled, args)
            write_vivado_project(folder, args)
    print(
        f"No accumulator overflows: the widest of a linear layer, {report.widest_value}, "
        f"needs {report.widest} of 32 bits."
    )
    engine = None if compiled is None else engine_report(compiled, LENGTHS)
    sizes = sizes_report(report.sizes, args.out)
    show_sizes(sizes)
    write_report(args, {"build": args.out, **vars(report), "sizes": sizes, "engine": engine})
    print(f"The export is in {args.out}.")
    if compiled is not None:
        finish_board(args.out, args)
    return 0
