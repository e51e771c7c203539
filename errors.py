"""What is meant for the user's eyes: the one exception, warnings, and text that a terminal can show."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LOG = logging.getLogger("narrowgauge")
"""Warnings and notes, each one sentence; the command line prints each as one line on standard error."""

SHOWN = 80
"""Characters that `printable` shows of a text."""


class UserError(Exception):
    """Bad input, said in one sentence that tells what is wrong and what to do.

    The command line prints the sentence to standard error and exits with status 2. Anything else that
    escapes is a defect of narrowgauge, and keeps its traceback.
    """


def printable(text: str, longest: int = SHOWN) -> str:
    r"""`text` on one line, for a message or a table: what a terminal would obey or not show is escaped.

    These are the characters that `str.isprintable` says no to: control characters, line ends, bidirectional
    overrides, zero-width characters, white space other than the space, and lone surrogates.

    Args:
        text: a word, a label, a name from a file, or a message of another library.
        longest: characters that are shown, at least 3; a longer text ends in "...".
    """
    shown = text[: longest + 1]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    return shown if len(shown) <= longest else shown[: longest - 3] + "..."


@contextmanager
def refusing(what: str, instead: str) -> Iterator[None]:
    """Whatever another package raises at bad input becomes one sentence, "WHAT (its reason); INSTEAD".

    A package in Rust panics with an exception that is no `Exception`; others have classes of their own for each fault.

    Args:
        what: what is wrong, for instance "model.json is not a tokenizer".
        instead: what to do, for instance "give another file".

    Raises:
        UserError: the code within raised anything but an interrupt or a lack of memory.
    """
    try:
        yield
    except (UserError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:
        lines = str(error).strip().splitlines()
        reason = printable(lines[0] if lines else type(error).__name__)
        raise UserError(f"{what} ({reason}); {instead}.") from None
