"""`narrowgauge eval`: accuracy and slot F1 of a trained run, or of an export in integers."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UserError
from .common import Commands, add_command, add_data_options, is_build, write_report


def add_parser(commands: Commands) -> None:
    """Adds `eval` to the sub-commands."""
    parser = add_command(commands, "eval", run, "score a trained run, or an export in integers")
    parser.add_argument("model", type=Path, metavar="RUN|BUILD", help="folder of a run or of an export")
    parser.add_argument(
        "--stage", choices=("float", "quantized"), help="which weights of a RUN (default: its last)"
    )
    add_data_options(parser)


def run(args: argparse.Namespace) -> int:
    """Scores the sentences and prints accuracy and slot F1."""
    if is_build(args.model):
        if args.stage is not None:
            raise UserError(f"{args.model} is an export, which is quantized; leave out --stage.")
        from ..sim.evaluate import evaluate as evaluate_build

        scores = evaluate_build(args.model, args.data, args.split, args.limit)
    else:
        from ..model.evaluate import evaluate as evaluate_run

        scores = evaluate_run(args.model, args.data, args.split, args.limit, args.stage)
    write_report(args, scores)
    print(scores)
    return 0
