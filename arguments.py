"""Command lines: the parser, the types of arguments, and the log. Needs the standard library only."""

from __future__ import annotations

import argparse
import logging
import math
import sys
from typing import Any, NoReturn

from .errors import LOG, printable

LONGEST = 285
"""Maximum characters of a usage error: 300 with the text before it."""


class Parser(argparse.ArgumentParser):
    """An argument parser that reports invalid usage in one sentence and does not accept abbreviated options."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Prints one line to standard error and exits with 2."""
        self.exit(2, f"{self.prog}: {printable(message, LONGEST - 60)}; see {self.prog} --help.\n")


class _Lines(logging.Handler):
    """Prints each record of `LOG` as one line, after the name of the program."""

    program = ""

    def emit(self, record: logging.LogRecord) -> None:
        kind = "warning: " if record.levelno >= logging.WARNING else ""
        print(f"{self.program}: {kind}{printable(record.getMessage(), LONGEST)}", file=sys.stderr)


_LINES = _Lines()


def log_to_standard_error(program: str) -> None:
    """From now on, each record of `LOG` is one line of standard error, after the name of the program."""
    _LINES.program = program
    LOG.setLevel(logging.INFO)
    if _LINES not in LOG.handlers:
        LOG.addHandler(_LINES)


def positive_int(text: str) -> int:
    """An argument type: an integer of at least 1."""
    return _at_least(1, text)


def non_negative_int(text: str) -> int:
    """An argument type: an integer of at least 0."""
    return _at_least(0, text)


def positive_float(text: str) -> float:
    """An argument type: a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"must be a number above 0, got '{text}'")
    return value


def _at_least(least: int, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, got '{text}'")
    return value
