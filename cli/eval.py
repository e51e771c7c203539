"""`narrowgauge eval`: accuracy and slot F1 of a trained run, or of a build in integers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from .common import (
    Commands,
    add_command,
    add_data_options,
    add_threads_option,
    is_build,
    positive_float,
    write_report,
)

if TYPE_CHECKING:
    from ..text.scores import Scores


def add_parser(commands: Commands) -> None:
    """Adds `eval` to the sub-commands."""
    parser = add_command(commands, "eval", run, "score a trained run, or a build in integers")
    parser.add_argument("model", type=Path, metavar="RUN|BUILD", help="folder of a run or a build")
    parser.add_argument(
        "--stage", choices=("float", "quantized"), help="which weights of a RUN (default: its last)"
    )
    for option, what in (("--min-accuracy", "accuracy"), ("--min-slot-f1", "slot F1")):
        parser.add_argument(
            option, type=positive_float, metavar="PERCENT", help=f"exit with 1 where {what} is below it"
        )
    add_data_options(parser)
    add_threads_option(parser)


def run(args: argparse.Namespace) -> int:
    """Scores the sentences and prints accuracy and slot F1; 1 where they are below what was asked for, else 0."""
    from ..sim.threads import limited_threads

    with limited_threads(args.threads):
        scores = _scores(args)
    write_report(args, scores)
    print(scores)
    enough = True
    for what, found, wanted in (
        ("accuracy", scores.accuracy, args.min_accuracy),
        ("slot F1", scores.slot_f1, args.min_slot_f1),
    ):
        if wanted is not None and (found is None or found < wanted):
            print(f"The {what} is below the {wanted:g} % that was asked for.")
            enough = False
    return 0 if enough else 1


def _scores(args: argparse.Namespace) -> Scores:
    if is_build(args.model):
        if args.stage is not None:
            raise UserError(f"{args.model} is a build, which is quantized; leave out --stage.")
        from ..sim.levels.predict import evaluate as evaluate_build

        return evaluate_build(args.model, args.data, args.split, args.limit)
    from ..model.evaluate import evaluate as evaluate_run

    return evaluate_run(args.model, args.data, args.split, args.limit, args.stage)
