"""Shared by the sub-commands: the parser, argument types, `--json`, and distinguishing runs from builds."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..arguments import LONGEST as LONGEST
from ..arguments import Parser as Parser
from ..arguments import non_negative_int as non_negative_int
from ..arguments import positive_float as positive_float
from ..arguments import positive_int as positive_int
from ..errors import UserError
from ..files import write_json

if TYPE_CHECKING:
    from rich.console import Console

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""The type returned by `add_subparsers`."""


DATA_HELP = "'voice', a folder, a .tsv or .csv file, or hf:NAME of a Hugging Face data set"
"""Help for `--data` in every sub-command."""


MOST_THREADS = 1024
"""Limit of `--threads`: more than any machine can use, and few enough to be started."""
LANES = (8, 16, 32)
"""The numbers of lanes that an engine can have: `hw.isa.LANES`, whose import needs numpy."""


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    *,
    extra: str = "sim",
) -> Parser:
    """Adds the sub-command `name` with the options that every sub-command has.

    Args:
        commands: the result of `add_subparsers`.
        name: name of the sub-command.
        run: function that takes the parsed arguments and returns the exit status.
        summary: one line for `narrowgauge --help`, without a full stop.
        extra: the extra of `pyproject.toml` with the packages that the sub-command needs.
    """
    parser = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result to FILE as JSON")
    parser.set_defaults(run=run, extra=extra)
    return parser


def refuse_options(args: argparse.Namespace, names: Sequence[str], why: str) -> None:
    """Refuses options that would have no effect.

    Args:
        args: the parsed arguments, in which an omitted option is None or False.
        names: names of the options in `args`.
        why: the reason, a clause, for instance "--no-engine compiles nothing".

    Raises:
        UserError: one of the options is given.
    """
    for name in names:
        if getattr(args, name) not in (None, False):
            raise UserError(f"{why}; leave --{name.replace('_', '-')} out.")


def add_data_options(parser: Parser) -> None:
    """Adds the options that select sentences: `--data`, `--split` and `--limit`."""
    parser.add_argument("--data", required=True, metavar="DATA", help=DATA_HELP)
    parser.add_argument("--split", default="test", metavar="NAME", help="split of DATA (default: test)")
    parser.add_argument("--limit", type=positive_int, metavar="N", help="use only the first N sentences")


def add_threads_option(parser: Parser) -> None:
    """Adds `--threads`, for `sim.threads.limited_threads`."""
    parser.add_argument(
        "--threads", type=thread_count, metavar="N", help="maximum number of threads (default: all cores)"
    )


def thread_count(text: str) -> int:
    """An argument type: a number of threads, from 1 to `MOST_THREADS`."""
    value = positive_int(text)
    if value > MOST_THREADS:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MOST_THREADS}, got {value}")
    return value


def console() -> Console:
    """The console for tables: standard output, assumed to be wide if it is not a terminal.

    Markup is disabled, because names from files may look like markup.
    """
    import rich.console

    class Output(rich.console.Console):
        def on_broken_pipe(self) -> None:
            # rich would exit with 1, which means "not equal" here; `main` handles this.
            raise

    output = Output(markup=False, emoji=False)
    if not output.is_terminal:
        output.width = 200
    return output


def is_build(path: Path) -> bool:
    """Whether `path` is the folder of a build, not of a training run.

    Raises:
        UserError: `path` is not a folder.
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; give one written by `narrowgauge train` or `export`.")
    # A build in which one of them is missing is still a build; its reader reports the missing file.
    return any(os.path.lexists(path / name) for name in ("model.onnx", "manifest.json"))


def write_report(args: argparse.Namespace, report: Any) -> None:
    """Writes `report` (plain values or a dataclass) to the file given by `--json`, if any."""
    if args.json is None:
        return
    write_json(args.json, _plain(report))


def _plain(value: Any) -> Any:
    """`value` in JSON's types: objects for dataclasses, strings for paths, numbers for numpy's scalars."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, Path):
        return str(value)
    # Scalars and arrays of numpy and torch have a method that converts them, so neither is imported.
    return value.tolist() if hasattr(value, "tolist") else value
