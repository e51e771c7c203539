"""`narrowgauge verify`: the same integers at every level, compared with `==`."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError, printable
from ..sim.levels import ENGINES, LEVELS, VIRTUAL
from .common import Commands, add_command, add_data_options, add_threads_option, console, write_report

if TYPE_CHECKING:
    from ..hw.host.engine import Engine
    from ..hw.isa import Parameters

_CHOICES = (*LEVELS, VIRTUAL)


def add_parser(commands: Commands) -> None:
    """Adds `verify` to the sub-commands."""
    parser = add_command(commands, "verify", run, "compare every tensor of every sentence at every level")
    parser.add_argument("build", type=Path, metavar="BUILD", help="folder of a build")
    parser.add_argument(
        "--run", type=Path, metavar="RUN", dest="run_dir", help="the run, for the level torch"
    )
    add_data_options(parser)
    parser.add_argument(
        "--levels",
        type=parse_levels,
        metavar="LIST",
        help=f"comma-separated, of {','.join(_CHOICES)} (default: all that --run, a program and g++ allow, except rtl "
        f"and {VIRTUAL})",
    )
    parser.add_argument(
        "--stalls",
        action="store_true",
        help="let the streams of the RTL and of the virtual board stall at random",
    )
    parser.add_argument(
        "--no-recompile",
        action="store_true",
        help="do not compile the model again to compare the result with the program's files",
    )
    add_threads_option(parser)


def run(args: argparse.Namespace) -> int:
    """Verifies; returns 0 if all levels were compared and are equal in every tensor and every answer, else 1."""
    levels = args.levels or _present(args)
    if "torch" in levels and args.run_dir is None:
        raise UserError(
            "the level torch needs the training run; add --run RUN, or leave torch out of --levels."
        )
    from rich.console import Console
    from rich.progress import Progress

    from ..sim.levels.compare import print_table
    from ..sim.levels.verify import VerifyOptions, verify
    from ..sim.threads import limited_threads

    stderr = Console(stderr=True)
    with (
        limited_threads(args.threads),
        Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress,
    ):
        task = progress.add_task("comparing", total=None)
        options = VerifyOptions(
            build=args.build,
            data=args.data,
            run=args.run_dir,
            split=args.split,
            limit=args.limit,
            levels=[level for level in levels if level != VIRTUAL],
            stalls=args.stalls,
            recompile=not args.no_recompile,
            engines=_virtual(args.stalls) if VIRTUAL in levels else {},
        )
        report = verify(options, lambda done, total: progress.update(task, completed=done, total=total))
    write_report(args, {"equal": report.equal, "verdict": report.verdict, **vars(report)})
    print_table(report.levels, console())
    print(_recompiled(report.recompiled, levels))
    if report.damaged:
        count = f" and {len(report.damaged) - 3} more" if len(report.damaged) > 3 else ""
        print(
            f"files of the manifest: NOT EQUAL: {', '.join(map(printable, report.damaged[:3]))}{count}; export again"
        )
    print(f"{report.sentences:,} sentences of {args.data}: {report.verdict}")
    return 0 if report.equal else 1


def _virtual(stalls: bool) -> Mapping[str, Callable[[Parameters], Engine]]:
    """The engine of the level `virtual`, for `VerifyOptions.engines`."""
    from ..deploy.model import open_virtual

    return {VIRTUAL: partial(open_virtual, stalls=stalls)}


def _recompiled(files: Sequence[str] | None, levels: Sequence[str]) -> str:
    """The result of compiling the model again, as a line."""
    if files:
        return f"program recompiled: NOT EQUAL: {', '.join(files)}; compile the model again"
    if files is not None:
        return "program recompiled: equal bytes"
    runs = {*ENGINES, VIRTUAL}.intersection(levels)
    return f"program not recompiled: {'--no-recompile' if runs else 'no level runs it'}"


def _present(args: argparse.Namespace) -> tuple[str, ...]:
    """The levels that can be run here."""
    from ..hw.host.folder import has_engine

    # The RTL takes seconds a sentence.
    missing = {"rtl"}
    if args.run_dir is None:
        missing.add("torch")
    if not has_engine(args.build):
        missing |= {"program", "hls"}
    if shutil.which("g++") is None:
        missing.add("hls")
    return tuple(level for level in LEVELS if level not in missing)


def parse_levels(text: str) -> tuple[str, ...]:
    """The type of `--levels`: at least two different levels, in the order given."""
    levels = tuple(dict.fromkeys(level.strip() for level in text.split(",")))
    for level in levels:
        if level not in _CHOICES:
            raise argparse.ArgumentTypeError(f"'{level}' is not a level; choose from {', '.join(_CHOICES)}")
    if len(levels) < 2:
        raise argparse.ArgumentTypeError("there is nothing to compare; give at least two levels")
    return levels
