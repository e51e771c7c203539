"""`narrowgauge run`: one sentence through the integers."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import printable
from ..sim.levels import LEVELS
from .common import Commands, add_command, write_report

_WIDEST = 40
"""Characters of a word in the table."""


def add_parser(commands: Commands) -> None:
    """Adds `run` to the sub-commands."""
    parser = add_command(commands, "run", run, "run one sentence through an export and print what it means")
    parser.add_argument("build", type=Path, metavar="BUILD", help="folder of an export")
    parser.add_argument("sentence", metavar="SENTENCE", help="in quotation marks")
    parser.add_argument("second", nargs="?", metavar="SENTENCE", help="for a model that reads two")
    parser.add_argument(
        "--on",
        choices=[level for level in LEVELS if level != "torch"],
        default="golden",
        metavar="LEVEL",
        help="what computes: golden, onnx, program, hls or rtl (default: golden)",
    )
    parser.add_argument(
        "--waves",
        type=Path,
        metavar="FILE",
        help="with --on rtl: waveforms of all signals, in a .fst file (small; needs headers of zlib and lz4) or a "
        ".vcd file; in a .gtkw file next to it the names of the instructions",
    )
    parser.add_argument(
        "--strict", action="store_true", help="refuse a sentence that is too long; don't cut it"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the sentence and prints label and slots, in printable form; `--json` has the words and names as they are."""
    from ..sim.levels.predict import predict

    prediction = predict(
        args.build, args.sentence, args.second, strict=args.strict, level=args.on, waves=args.waves
    )
    write_report(args, prediction)
    print(printable(prediction.label))
    if prediction.slots is not None:
        words = [printable(word, _WIDEST) for word in prediction.words]
        width = max(map(len, words))
        for word, tag in zip(words, prediction.slots, strict=True):
            print(f"  {word.ljust(width)}  {printable(tag)}")
    return 0
