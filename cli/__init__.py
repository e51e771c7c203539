"""The one command, `narrowgauge`: a sub-command a step, a module a sub-command.

Every module has `add_parser(commands)` and `run(args) -> int`. What is heavy is imported inside `run`, so
that `narrowgauge --help` is quick and needs nothing but the standard library. Exit status: 0 fine, 1 not
equal or below what was asked, 2 bad usage or input.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from .. import __version__
from ..errors import LOG, UserError, printable
from . import compile, describe, disasm, doctor, eval, export, plan, run, synth, train, verify
from .common import Parser
from .requirements import requirement_of

__all__ = ["build_parser", "main"]

_COMMANDS = (train, eval, export, compile, verify, run, describe, plan, disasm, synth, doctor)

_LONGEST = 300
"""Characters of a warning."""

_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_BROKEN_PIPE = 141  # 128 + SIGPIPE


def build_parser() -> Parser:
    """The parser of the whole command line; the chosen sub-command's `run` is in its result."""
    parser = Parser(
        prog="narrowgauge",
        description="Tensor-train transformers, from training to integers that are equal at every level.",
    )
    parser.add_argument("--version", action="version", version=f"narrowgauge {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status.

    Args:
        argv: the arguments after the program's name; None takes them from the process.

    Raises:
        SystemExit: from argparse, with 2 after bad usage and 0 after `--help` and `--version`.
    """
    arguments = sys.argv[1:] if argv is None else argv
    for argument in arguments:
        # Bytes that are no text come as lone surrogates, which can be neither printed nor written to JSON.
        if any("\ud800" <= letter <= "\udfff" for letter in argument):
            return _complain(f"the argument {argument!a} is not valid UTF-8; write it in UTF-8.")
    args = build_parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            # The packages that we use warn with a line of their own source, which says nothing to a user.
            warnings.showwarning = _warn  # type: ignore[assignment]
            _log_to_standard_error()
            status: int = args.run(args)
        sys.stdout.flush()
    except UserError as error:
        return _complain(str(error))
    except ModuleNotFoundError as error:
        requirement = requirement_of(error.name or "")
        if requirement is None:
            raise
        return _complain(f"{requirement.name} is not installed; get it with: {requirement.get}")
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader left, as in `narrowgauge describe RUN | head`. Python flushes standard output once more
        # on its way out, and that flush must have somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except OSError as error:
        # After a failed rename the second name is the one that the user gave.
        path = error.filename2 or error.filename
        if path is None:
            raise
        return _complain(f"{path}: {error.strerror}; give a path that can be read and written.")
    return status


def _complain(sentence: str) -> int:
    print(f"narrowgauge: {sentence}", file=sys.stderr)
    return 2


class _Lines(logging.Handler):
    """Prints each record of `LOG` as one line."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = "warning: " if record.levelno >= logging.WARNING else ""
        print(f"narrowgauge: {kind}{printable(record.getMessage(), _LONGEST)}", file=sys.stderr)


_LINES = _Lines()


def _log_to_standard_error() -> None:
    LOG.setLevel(logging.INFO)
    if _LINES not in LOG.handlers:
        LOG.addHandler(_LINES)


def _warn(message: Warning | str, *place: Any, **options: Any) -> None:
    """Takes the place of `warnings.showwarning`."""
    LOG.warning(" ".join(str(message).split()))
