"""The one command, `narrowgauge`: a sub-command a step, a module a sub-command.

Every module has `add_parser(commands)` and `run(args) -> int`. What is heavy is imported inside `run`, so
that `narrowgauge --help` is quick and needs nothing but the standard library. Exit status: 0 fine, 1 not
equal or below what was asked, 2 bad usage or input, 70 a defect of narrowgauge.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import shutil
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from .. import __version__
from ..errors import LOG, UserError, printable
from ..files import check_target
from . import compile, describe, disasm, doctor, eval, export, plan, run, synth, train, verify
from .common import LONGEST, Parser
from .requirements import requirement_of

__all__ = ["build_parser", "main"]

_COMMANDS = (train, eval, export, compile, verify, run, describe, plan, disasm, synth, doctor)

_PACKAGES = {
    "google": "protobuf",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "pyo3_runtime": "a package in Rust",
    "pydantic_core": "pydantic",
    "safetensors": "safetensors",
    "safetensors_rust": "safetensors",
    "tokenizers": "tokenizers",
}
"""By the first part of the name of their exceptions' module."""

_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_BROKEN_PIPE = 141  # 128 + SIGPIPE
_DEFECT = 70  # EX_SOFTWARE of sysexits.h


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
    if sys.stderr is None:
        # It was closed (`2>&-`): what is told there must not come out on standard output.
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115, it stays open as long as the process
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        # A letter that the terminal's encoding lacks is escaped; it must not end a command that has done its work.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    for argument in arguments:
        # Bytes that are no text come as lone surrogates, which can be neither printed nor written to JSON.
        if any("\ud800" <= letter <= "\udfff" for letter in argument):
            return _complain(f"the argument {argument!a} is not valid UTF-8; write it in UTF-8.")
    try:
        args = _parse(arguments)
        with warnings.catch_warnings():
            # The packages that we use warn with a line of their own source, which says nothing to a user.
            warnings.showwarning = _warn  # type: ignore[assignment]
            _log_to_standard_error()
            _check_targets(args)
            status: int = args.run(args)
        _flush()
    except UserError as error:
        return _complain(str(error))
    except ModuleNotFoundError as error:
        requirement = requirement_of(error.name or "")
        if requirement is None:
            return _report_defect(error)
        return _complain(f"{requirement.name} is not installed; get it with: {requirement.get}")
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader left, as in `narrowgauge describe RUN | head`.
        _drop(sys.stdout)
        return _BROKEN_PIPE
    except MemoryError:
        return _complain("there is not enough memory for this; use a machine with more, or a smaller model.")
    except OSError as error:
        _drop(sys.stdout)
        return _complain(
            f"{_os_error(error)}; give a path that can be read and written, with room on the disk."
        )
    except BaseException as error:
        # What other packages raise at bad input is told where it is known what they were asked. This is for the rest.
        package = type(error).__module__.partition(".")[0]
        if isinstance(error, SystemExit):
            raise
        if package not in _PACKAGES:
            return _report_defect(error)
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return _complain(
            f"{_PACKAGES[package]} refused its input: {lines[0]}; check the files that were given."
        )
    return status


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """What the command line says; help is on its way when this returns by SystemExit."""
    try:
        return build_parser().parse_args(arguments)
    except SystemExit:
        _flush()
        raise


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _open_standard_streams() -> None:
    """Gives a stream that is closed to the null device: the next file to be opened would else take its place."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest descriptor that is free is this one.
            os.open(os.devnull, os.O_RDWR)


def _check_targets(args: argparse.Namespace) -> None:
    """Finds what can't be written at the end before the work begins."""
    for name, folder in (("json", False), ("waves", False), ("out", True), ("vivado", True)):
        target = getattr(args, name, None)
        if target is not None:
            check_target(target, folder)


def _os_error(error: OSError) -> str:
    """What went wrong with which file, as far as the error knows it."""
    if isinstance(error, shutil.Error):
        # A list of (source, target, reason), or one reason.
        reason = error.args[0]
        return str(reason[0][2] if isinstance(reason, list) and reason else reason)
    # After a failed rename the second name is the one that the user gave.
    path = error.filename2 or error.filename
    reason = error.strerror or str(error) or type(error).__name__
    return reason if path is None else f"{os.fsdecode(path)}: {reason}"


def _drop(stream: TextIO | None) -> None:
    """Drops what a stream does not take: Python flushes it once more on its way out, and would complain."""
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _report_defect(error: BaseException) -> int:
    """Prints what nobody expected, with all that helps to find it."""
    with suppress(OSError):
        traceback.print_exception(error)
    _complain(f"internal error ({type(error).__name__}); please report it, with the lines above.")
    return _DEFECT


def _complain(sentence: str) -> int:
    try:
        print(f"narrowgauge: {printable(sentence, LONGEST)}", file=sys.stderr)
    except OSError:
        # Nobody can be told; the exit status still is that of bad input.
        _drop(sys.stderr)
    return 2


class _Lines(logging.Handler):
    """Prints each record of `LOG` as one line."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = "warning: " if record.levelno >= logging.WARNING else ""
        print(f"narrowgauge: {kind}{printable(record.getMessage(), LONGEST)}", file=sys.stderr)


_LINES = _Lines()


def _log_to_standard_error() -> None:
    LOG.setLevel(logging.INFO)
    if _LINES not in LOG.handlers:
        LOG.addHandler(_LINES)


def _warn(message: Warning | str, *place: Any, **options: Any) -> None:
    """Takes the place of `warnings.showwarning`."""
    LOG.warning(" ".join(str(message).split()))
