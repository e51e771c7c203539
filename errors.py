"""User-facing output: the exception for user errors, warnings, and text that is safe to print."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

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


def validation_problem(problems: Sequence[Mapping[str, Any]], value: Any, whole: str = "the file") -> str:
    """One clause about a value that pydantic refuses, for instance "model.dim: must be greater than 0, got -1".

    Args:
        problems: the result of `pydantic.ValidationError.errors`.
        value: what was validated.
        whole: the name of the value itself.
    """
    # Where a value may be a number or a list, both report an error; the more deeply nested one is relevant.
    problem = max(problems, key=lambda candidate: len(_path(candidate["loc"], value)))
    missing = problem["type"].startswith("missing")
    keys = [*_path(problem["loc"], value), *([str(problem["loc"][-1])] if missing else [])]
    path = printable(".".join(keys), 72) or whole
    if missing:
        return f"{path} is missing"
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{path} is not a known key"
    rule = problem["msg"].removeprefix("Value error, ")
    rule = rule.replace("Input should", "must").replace("should", "must")
    given = problem["input"]
    shown = "" if isinstance(given, dict) or given is value else f", got {printable(repr(given), 40)}"
    return f"{path}: {printable(rule, 100)}{shown}"


def _path(loc: Sequence[int | str], value: Any) -> list[str]:
    """The keys in `loc` that exist in `value`, without the names of pydantic's own branches."""
    path = []
    for part in loc:
        try:
            value = value[part]
        except (LookupError, TypeError):
            continue
        path.append(str(part))
    return path
