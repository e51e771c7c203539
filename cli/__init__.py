"""The command line, `narrowgauge`: one sub-command per step, one module per sub-command.

Every module has `add_parser(commands)` and `run(args) -> int`. Large dependencies are imported inside `run`, so
that `narrowgauge --help` is fast and needs only the standard library. Exit status: 0 success, 1 not equal or
requirement not met, 2 invalid usage or input, 70 a defect of narrowgauge.
"""

from __future__ import annotations

import argparse
import io
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
from ..arguments import log_to_standard_error
from ..errors import LOG, UserError, printable
from ..files import check_target
from . import boards, compile, describe, disasm, doctor, eval, export, plan, run, synth, train, verify
from .common import LONGEST, Parser
from .requirements import requirement_of

__all__ = ["build_parser", "main"]

_COMMANDS = (train, eval, export, compile, verify, run, describe, plan, disasm, boards, synth, doctor)

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
"""Names of packages by the first part of the module of their exceptions."""

_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_BROKEN_PIPE = 141  # 128 + SIGPIPE
_DEFECT = 70  # EX_SOFTWARE of sysexits.h


def build_parser() -> Parser:
    """The parser of the command line. Its result has the `run` function of the selected sub-command."""
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
        argv: the arguments after the name of the program; None: those of the process.

    Raises:
        SystemExit: from argparse, with 2 for invalid usage and 0 for `--help` and `--version`.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if sys.stderr is None:
        # It was closed (`2>&-`): its output must not appear on standard output.
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115, it stays open as long as the process
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal cannot encode is escaped; it must not make a finished command fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    for argument in arguments:
        # Undecodable bytes are lone surrogates, which can be neither printed nor written to JSON.
        if any("\ud800" <= letter <= "\udfff" for letter in argument):
            return _complain(f"the argument {argument!a} must be valid UTF-8.")
    try:
        args = _parse(arguments)
        with warnings.catch_warnings():
            # Warnings of packages quote a line of their own source, which does not help the user.
            warnings.showwarning = _warn  # type: ignore[assignment]
            log_to_standard_error("narrowgauge")
            _check_targets(args)
            status: int = args.run(args)
        _flush()
    except UserError as error:
        return _complain(str(error))
    except ModuleNotFoundError as error:
        requirement = requirement_of(error.name or "")
        if requirement is None:
            return _report_defect(error)
        get = requirement.get_for(args.extra)
        return _complain(f"{requirement.name} is not installed; install it with: {get}")
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader exited, as in `narrowgauge describe RUN | head`.
        _drop(sys.stdout)
        return _BROKEN_PIPE
    except MemoryError:
        return _complain("out of memory; use a machine with more memory, or a smaller model.")
    except OSError as error:
        _drop(sys.stdout)
        return _complain(
            f"{_os_error(error)}; give a path that can be read and written, on a disk with free space."
        )
    except BaseException as error:
        # Errors of other packages are converted where the context is known. This handles the remaining ones.
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
    """Parses the command line; raises SystemExit after printing help."""
    try:
        return build_parser().parse_args(arguments)
    except SystemExit:
        _flush()
        raise


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _open_standard_streams() -> None:
    """Connects a closed stream to the null device; otherwise the next opened file would take its place."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # This is the lowest free descriptor.
            os.open(os.devnull, os.O_RDWR)


def _check_targets(args: argparse.Namespace) -> None:
    """Checks that the output files can be written, before the work begins."""
    for name, folder in (("json", False), ("waves", False), ("out", True), ("vivado", True)):
        target = getattr(args, name, None)
        if target is not None:
            check_target(target, folder)


def _os_error(error: OSError) -> str:
    """The reason of an OSError and the file, if the error names one."""
    if isinstance(error, shutil.Error):
        # A list of (source, target, reason), or one reason.
        reason = error.args[0]
        return str(reason[0][2] if isinstance(reason, list) and reason else reason)
    # After a failed rename, the second name is the one that the user gave.
    path = error.filename2 or error.filename
    reason = error.strerror or str(error) or type(error).__name__
    return reason if path is None else f"{os.fsdecode(path)}: {reason}"


def _drop(stream: TextIO | None) -> None:
    """Discards the unwritten output of a stream, which Python would otherwise flush at exit and report."""
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _report_defect(error: BaseException) -> int:
    """Prints an unexpected exception with its traceback."""
    with suppress(OSError):
        traceback.print_exception(error)
    _complain(f"internal error ({type(error).__name__}); please report it, with the lines above.")
    return _DEFECT


def _complain(sentence: str) -> int:
    try:
        print(f"narrowgauge: {printable(sentence, LONGEST)}", file=sys.stderr)
    except OSError:
        # Nothing can be printed; the exit status is still that of invalid input.
        _drop(sys.stderr)
    return 2


def _warn(message: Warning | str, *place: Any, **options: Any) -> None:
    """Replaces `warnings.showwarning`."""
    LOG.warning(" ".join(str(message).split()))
