"""`narrowgauge run`: one sentence through the integers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..sim.levels import ENGINES, LEVELS, VIRTUAL
from .common import Commands, add_command, write_report

if TYPE_CHECKING:
    from ..hw.host.engine import Engine
    from ..text.frontend import Prediction, Text

_CHOICES = [*(level for level in LEVELS if level != "torch"), VIRTUAL]


def add_parser(commands: Commands) -> None:
    """Adds `run` to the sub-commands."""
    parser = add_command(commands, "run", run, "run one sentence through a build and print the answer")
    parser.add_argument("build", type=Path, metavar="BUILD", help="folder of a build")
    parser.add_argument(
        "sentences",
        nargs="+",
        metavar="SENTENCE",
        help="one sentence, in quotation marks; two for a model that takes two",
    )
    parser.add_argument(
        "--on",
        choices=_CHOICES,
        default="program",
        metavar="LEVEL",
        help=f"the level that computes the answer: {', '.join(_CHOICES)} (default: program, the simulator of the "
        "engine, which needs numpy only; virtual is the RTL behind the driver of a board, and needs pynq)",
    )
    parser.add_argument(
        "--waves",
        type=Path,
        metavar="FILE",
        help="with --on rtl: waveforms of all signals, in a .fst file (small; needs headers of zlib and lz4) or a "
        ".vcd file; in a .gtkw file next to it the names of the instructions",
    )
    parser.add_argument(
        "--strict", action="store_true", help="refuse a sentence that is too long instead of cutting it"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the sentence and prints label and slots, in printable form; `--json` has the words and names as they are."""
    if args.waves is not None and args.on != "rtl":
        raise UserError("only the RTL has waveforms; leave out --waves or add --on rtl.")
    if len(args.sentences) > 2:
        raise UserError(
            f"expected one or two sentences, got {len(args.sentences)}; put each sentence in quotation marks."
        )
    first, *more = args.sentences
    text: Text = (first, more[0]) if more else first
    prediction = _on_engine(args, text) if args.on in (*ENGINES, VIRTUAL) else _on_model(args, text)
    write_report(args, prediction)
    from ..deploy.predict import lines_of

    print(*lines_of(prediction), sep="\n")
    return 0


def _on_engine(args: argparse.Namespace, text: Text) -> Prediction:
    """The answer of the build's program; on the simulator it needs numpy only."""
    from ..deploy.predict import predict
    from ..files import replace_atomic
    from ..hw.host.folder import read_engine
    from ..sim.levels.engines import open_engine

    build = read_engine(args.build)
    answers: list[Prediction] = []

    def opened(waves: Path | None) -> Engine:
        if args.on != VIRTUAL:
            return open_engine(args.on, build.program.parameters, waves=waves)
        from ..deploy.model import open_virtual

        return open_virtual(build.program.parameters)

    def execute(waves: Path | None) -> None:
        with opened(waves) as engine:
            answers.extend(predict(build, [text], engine=engine, strict=args.strict))

    if args.waves is None:
        execute(None)
    else:
        from ..sim.rtl.verilate import waves_in
        from ..sim.rtl.waves import write_names

        waves_in(args.waves)
        replace_atomic(args.waves, execute)
        write_names(args.waves, build)
    return answers[0]


def _on_model(args: argparse.Namespace, text: Text) -> Prediction:
    """The answer of `model.onnx`, by the golden model or onnxruntime.

    Raises:
        UserError: a package of the extra `sim` is not installed.
    """
    try:
        from ..sim.levels.predict import predict

        return predict(args.build, [text], level=args.on, strict=args.strict)[0]
    except ModuleNotFoundError as error:
        raise UserError(
            f"--on {args.on} needs the package {error.name}; install it with: pip install -e '.[sim]'"
        ) from None
