"""User-facing output: the exception for user errors, warnings, and text that is safe to print."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LOG = logging.getLogger("narrowgauge")
"""Warnings and notes, one sentence each. The command line prints each as one line on standard error."""

SHOWN = 80
"""Default length limit of `printable`, in characters."""


class UserError(Exception):
    """Invalid input. The message is one sentence that says what is wrong and what to do.

    The command line prints the message to standard error and exits with status 2. Any other exception that
    reaches the command line is a defect of narrowgauge and is shown with its traceback.
    """


def printable(text: str, longest: int = SHOWN) -> str:
    r"""`text` on one line, for a message or a table, with unprintable characters escaped.

    These are the characters for which `str.isprintable` is false: control characters, line ends, bidirectional
    overrides, zero-width characters, white space other than the space, and lone surrogates.

    Args:
        text: a word, a label, a name from a file, or a message of another library.
        longest: maximum number of characters, at least 3; a longer text is cut and ends in "...".
    """
    shown = text[: longest + 1]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    return shown if len(shown) <= longest else shown[: longest - 3] + "..."


@contextmanager
def refusing(what: str, instead: str) -> Iterator[None]:
    """Converts any exception of another package for invalid input to a `UserError` "WHAT (its reason); INSTEAD".

    Packages have their own exception classes, and a panic in Rust code is not even an `Exception`.

    Args:
        what: what is wrong, for instance "model.json is not a tokenizer".
        instead: what to do, for instance "give another file".

    Raises:
        UserError: the block raised anything except an interrupt or an out-of-memory error.
    """
    try:
        yield
    except (UserError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:
        lines = str(error).strip().splitlines()
        reason = printable(lines[0] if lines else type(error).__name__)
        raise UserError(f"{what} ({reason}); {instead}.") from None
