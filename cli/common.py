"""What the sub-commands share: the parser, argument types, `--json`, and telling a run from a build."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from ..errors import UserError, printable
from ..files import write_json

if TYPE_CHECKING:
    from rich.console import Console

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""What `add_subparsers` returns: the place where sub-commands are added."""


DATA_HELP = "'voice', a folder, a .tsv or .csv file, or hf:NAME of a Hugging Face data set"
"""What `--data` takes, in every sub-command that has it."""


LONGEST = 285
"""Characters of a message: 300 with what stands before it."""

MOST_THREADS = 1024
"""More than any machine can use, and few enough to be started."""


class Parser(argparse.ArgumentParser):
    """An argument parser that answers bad usage with one sentence, and takes no abbreviated options."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Prints one line to standard error and exits with 2."""
        self.exit(2, f"{self.prog}: {printable(message, LONGEST - 60)}; see {self.prog} --help.\n")


def add_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], summary: str
) -> Parser:
    """Adds the sub-command `name` with the options that every sub-command has.

    Args:
        commands: what `add_subparsers` returned.
        name: the word on the command line.
        run: takes the parsed arguments, returns the exit status.
        summary: one line for `narrowgauge --help`, without a full stop.
    """
    parser = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result to FILE as JSON")
    parser.set_defaults(run=run)
    return parser


def refuse_options(args: argparse.Namespace, names: Sequence[str], why: str) -> None:
    """Refuses options that would have no effect.

    Args:
        args: the parsed arguments; an option that is not given is None or False there.
        names: of options, as they are in `args`.
        why: a clause that says why, for instance "--no-engine compiles nothing".

    Raises:
        UserError: one of them is given.
    """
    for name in names:
        if getattr(args, name) not in (None, False):
            raise UserError(f"{why}; leave --{name.replace('_', '-')} out.")


def add_data_options(parser: Parser) -> None:
    """Adds the options that choose sentences: `--data`, `--split` and `--limit`."""
    parser.add_argument("--data", required=True, metavar="DATA", help=DATA_HELP)
    parser.add_argument("--split", default="test", metavar="NAME", help="which part of DATA (default: test)")
    parser.add_argument("--limit", type=positive_int, metavar="N", help="only the first N sentences")


def add_threads_option(parser: Parser) -> None:
    """Adds `--threads`, for `sim.threads.limited_threads`."""
    parser.add_argument(
        "--threads", type=thread_count, metavar="N", help="most threads to compute with (default: all cores)"
    )


def positive_int(text: str) -> int:
    """An argument type: an integer of at least 1."""
    return _at_least(1, text)


def non_negative_int(text: str) -> int:
    """An argument type: an integer of at least 0."""
    return _at_least(0, text)


def thread_count(text: str) -> int:
    """An argument type: a number of threads, from 1 to `MOST_THREADS`."""
    value = positive_int(text)
    if value > MOST_THREADS:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MOST_THREADS}, got {value}")
    return value


def positive_float(text: str) -> float:
    """An argument type: a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return value


def _at_least(least: int, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least {least}")
    return value


def console() -> Console:
    """Where tables are printed: standard output, which is taken to be wide where it is no terminal.

    Names that come from files may look like markup; nothing is taken for it.
    """
    import rich.console

    class Output(rich.console.Console):
        def on_broken_pipe(self) -> None:
            # rich would exit with 1, which means "not equal" here; `main` knows better.
            raise

    output = Output(markup=False, emoji=False)
    if not output.is_terminal:
        output.width = 200
    return output


def is_build(path: Path) -> bool:
    """Whether `path` is the folder of an export rather than of a training run.

    Raises:
        UserError: `path` is not a folder.
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; give one that `narrowgauge train` or `export` wrote.")
    # A build that has lost one of them is no run: what reads it says what is missing.
    return any(os.path.lexists(path / name) for name in ("model.onnx", "manifest.json"))


def write_report(args: argparse.Namespace, report: Any) -> None:
    """Writes `report` (plain values or a dataclass) to the file that `--json` named, if it did."""
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
    # numpy's and torch's scalars and arrays know how to become Python's; nothing need be imported for it.
    return value.tolist() if hasattr(value, "tolist") else value
