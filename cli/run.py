"""`narrowgauge run`: one sentence through the integers."""

from __future__ import annotations

import argparse
from pathlib import Path

from .common import Commands, add_command, write_report


def add_parser(commands: Commands) -> None:
    """Adds `run` to the sub-commands."""
    parser = add_command(commands, "run", run, "run one sentence through an export and print what it means")
    parser.add_argument("build", type=Path, metavar="BUILD", help="folder of an export")
    parser.add_argument("sentence", metavar="SENTENCE", help="in quotation marks")
    parser.add_argument("second", nargs="?", metavar="SENTENCE", help="for a model that reads two")
    parser.add_argument(
        "--strict", action="store_true", help="refuse a sentence that is too long; don't cut it"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the golden model on the sentence and prints label and slots."""
    from ..sim.evaluate import predict

    prediction = predict(args.build, args.sentence, args.second, strict=args.strict)
    write_report(args, prediction)
    print(prediction.label)
    if prediction.slots is not None:
        width = max(map(len, prediction.words))
        for word, tag in zip(prediction.words, prediction.slots, strict=True):
            print(f"  {word.ljust(width)}  {tag}")
    return 0
