"""The command line on a board, `narrowgauge-board`: info, selftest, run, bench and serve.

The standard library, numpy and pynq suffice for all but `serve`. Exit status: 0 success, 1 a self-test that failed, 2
invalid usage or input, or a board that does not react.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..arguments import LONGEST, Parser, log_to_standard_error, non_negative_int, positive_float, positive_int
from ..errors import UserError, printable

if TYPE_CHECKING:
    from ..hw.host.build import EngineBuild
    from ..text.frontend import Text
    from .bench import Times
    from .board import Board
    from .model import Model

_NAME = "narrowgauge-board"
_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_BROKEN_PIPE = 141  # 128 + SIGPIPE
_TERMINATED = 143  # 128 + SIGTERM


def build_parser() -> Parser:
    """The parser of the command line. Its result has the `run` function of the selected sub-command."""
    parser = Parser(
        prog=_NAME, description="A compiled model on the engine of this board, or on a virtual board."
    )
    parser.add_argument("--version", action="version", version=f"{_NAME} {__version__}")
    _add_options(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int], summary: str) -> Parser:
        description = f"{summary[0].upper()}{summary[1:]}."
        command = commands.add_parser(name, help=summary, description=description)
        # They may stand before the command or after it.
        _add_options(command, suppressed=True)
        command.set_defaults(run=run)
        return command

    add("info", info, "show the build and the board")
    command = add("selftest", selftest, "run the vectors of the build and compare every word")
    command.add_argument("--json", type=Path, metavar="FILE", help="also write the result to FILE as JSON")
    command = add("run", run, "run one sentence and print the answer")
    command.add_argument(
        "sentences",
        nargs="+",
        metavar="SENTENCE",
        help="one sentence, in quotation marks; two for a model that takes two",
    )
    command = add("bench", bench, "measure latency and throughput, and where the time goes")
    command.add_argument(
        "sentences",
        nargs="*",
        metavar="SENTENCE",
        help="sentences (default: words of the model's vocabulary)",
    )
    command.add_argument("--runs", type=positive_int, default=100, metavar="N", help="runs (default: 100)")
    command.add_argument("--json", type=Path, metavar="FILE", help="also write the result to FILE as JSON")
    command = add("serve", serve, "serve a web page for the model")
    command.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on (default: 127.0.0.1, for this machine only)",
    )
    command.add_argument(
        "--port", type=non_negative_int, default=8000, help="port, 0 for a free one (default: 8000)"
    )
    return parser


def _add_options(parser: Parser, *, suppressed: bool = False) -> None:
    """Adds the options that select the build and the board."""

    def default(value: Any) -> Any:
        return argparse.SUPPRESS if suppressed else value

    parser.add_argument(
        "--build",
        type=Path,
        default=default(Path()),
        metavar="FOLDER",
        help="the folder `deploy` of a build, or the build (default: the current folder)",
    )
    parser.add_argument(
        "--virtual",
        type=Path,
        default=default(None),
        metavar="BUILD",
        help="use a virtual board, which simulates the RTL, with this build",
    )
    parser.add_argument(
        "--bitstream",
        type=Path,
        default=default(None),
        metavar="FILE",
        help="the .bit file (default: that in the folder of the build)",
    )
    parser.add_argument(
        "--timeout",
        type=positive_float,
        default=default(None),
        metavar="SECONDS",
        help="give a run up after this time (default: 10; 300 on a virtual board)",
    )
    parser.add_argument(
        "--interrupt",
        action="store_true",
        default=default(False),
        help="wait for the engine's interrupt instead of polling",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status.

    Args:
        argv: the arguments after the name of the program; None: those of the process.

    Raises:
        SystemExit: from argparse, with 2 for invalid usage and 0 for `--help` and `--version`.
    """
    args = build_parser().parse_args(argv)
    if threading.current_thread() is threading.main_thread():
        # The engine is stopped and its buffers are freed; a service ends like this.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0 if args.run is serve else _TERMINATED))
    log_to_standard_error(_NAME)
    try:
        with warnings.catch_warnings():
            # Those of pynq are for its own developers; what concerns the user is an error of the driver.
            warnings.simplefilter("ignore")
            status: int = args.run(args)
        sys.stdout.flush()
        return status
    except UserError as error:
        return _complain(str(error))
    except ModuleNotFoundError as error:
        extra = "serve" if args.run is serve else "board"
        return _complain(f"{error.name} is not installed; install it with: pip install -e '.[{extra}]'")
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _complain(f"{place}{error.strerror or error}; run as root, with paths that can be used.")


def info(args: argparse.Namespace) -> int:
    """Prints what the build is, and what the board is if there is one."""
    from ..hw.host.folder import read_engine
    from .folder import size_of

    folder = _folder(args)
    build = read_engine(folder)
    program, needs = build.program, build.program.parameters
    copied = size_of(folder)
    _table(
        "Build",
        {
            "folder": f"{folder.resolve()}, {copied:,} bytes to copy without the bitstream",
            "program": f"{sum(map(len, program.lists())):,} instructions",
            "sentences": f"{program.sentences} in a run, of up to {program.max_length} tokens",
            "constants": f"{len(build.image):,} bytes loaded once, {len(build.stream):,} bytes with every run",
            "needs": _engine_line(needs.lanes, needs.weight_depth),
        },
    )
    try:
        with _opened(args) as (_, board):
            _table("Board", _board_lines(board))
    except UserError as error:
        print(f"Board\n  none: {error}")
        return 2
    return 0


def selftest(args: argparse.Namespace) -> int:
    """Runs the vectors, and prints whether all words are equal."""
    from ..files import write_json
    from . import selftest as module
    from .vectors import read_vectors

    with _opened(args) as (build, board):
        vectors = read_vectors(_folder(args), build)
        report = module.selftest(build, board, vectors, _progress("selftest"))
    for line in report.different[:10]:
        print(f"DIFFERENT: {printable(line, 200)}")
    if not report.recovers:
        print(
            "DIFFERENT: the engine does not report an error that was caused on purpose, or not recover from it"
        )
    cycles = f", {report.cycles:,} cycles" if report.cycles else ""
    print(
        f"{'passed' if report.passed else 'FAILED'}: {report.runs} runs, {report.words:,} words of 64 bits, "
        f"{len(report.different)} runs differ{cycles}, {report.seconds:.3f} s"
    )
    _write(args.json, {**vars(report), "passed": report.passed}, write_json)
    return 0 if report.passed else 1


def run(args: argparse.Namespace) -> int:
    """Runs a sentence, and prints the answer, the cycles and the time."""
    from .predict import lines_of

    if len(args.sentences) > 2:
        raise UserError(
            f"expected one or two sentences, got {len(args.sentences)}; put each sentence in quotation marks."
        )
    first, *more = args.sentences
    text: Text = (first, more[0]) if more else first
    with _model(args) as model:
        (answer,) = model.predict([text])
    print(*lines_of(answer), sep="\n")
    cycles = "" if answer.cycles is None else f"{answer.cycles['CYCLES']:,} cycles, "
    print(f"{answer.level}: {cycles}{answer.seconds * 1e3:.2f} ms")
    return 0


def bench(args: argparse.Namespace) -> int:
    """Measures sentences on the board, and the same on the CPU."""
    from ..files import write_json
    from . import bench as module

    with _opened(args) as (build, board):
        texts = list(args.sentences) or module.usual_texts(build)
        times = module.bench(build, board, texts, args.runs, _progress("bench"))
        clock = board.clock_mhz
        virtual = args.virtual is not None
        lines = _times_lines(times, clock, virtual)
    _table("Virtual board: the times are those of the simulation" if virtual else "Board", lines)
    name, seconds = _on_cpu(args, texts, args.runs)
    _table("CPU", {name: f"{seconds * 1e3:.3f} ms per sentence"})
    _write(
        args.json,
        {**vars(times), "clock_mhz": clock, "virtual": virtual, "cpu": {"level": name, "seconds": seconds}},
        write_json,
    )
    return 0


def serve(args: argparse.Namespace) -> int:
    """Serves the web page until it is interrupted or terminated."""
    from . import serve as module

    with _model(args) as model:
        module.serve(model, args.host, args.port, started=lambda address: print(address, flush=True))
    return 0


def _folder(args: argparse.Namespace) -> Path:
    """The folder of the build."""
    folder: Path = args.build if args.virtual is None else args.virtual
    return folder


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """The options of `load` and of what it opens."""
    options: dict[str, Any] = {"interrupt": True if args.interrupt else None}
    if args.timeout is not None:
        options["timeout"] = args.timeout
    if args.bitstream is not None:
        if args.virtual is not None:
            raise UserError("a virtual board has a bitstream of its own; leave --bitstream out.")
        options["bitfile"] = args.bitstream
    return options


@contextmanager
def _opened(args: argparse.Namespace) -> Iterator[tuple[EngineBuild, Board]]:
    """The build, and the board, which has nothing loaded; closed at the end."""
    from ..hw.host.folder import read_engine
    from .model import open_board, open_virtual

    folder = _folder(args)
    build = read_engine(folder)
    options = _options(args)
    if args.virtual is None:
        board = open_board(folder, build, **options)
    else:
        board = open_virtual(build.program.parameters, **options)
    with board:
        yield build, board


def _model(args: argparse.Namespace) -> Model:
    from .model import load

    return load(_folder(args), on="board" if args.virtual is None else "virtual", **_options(args))


def _board_lines(board: Board) -> dict[str, str]:
    clock = board.clock_mhz
    return {
        "device": f"{board.overlay.device.name} ({board.overlay.device.tag})",
        "overlay": Path(board.overlay.bitfile_name).name,
        "engine": _engine_line(board.parameters.lanes, board.parameters.weight_depth),
        "clock": "unknown" if clock is None else f"{clock:g} MHz",
        "transfers": f"up to {board.max_bytes:,} bytes",
        "interrupt": "yes" if board.has_interrupt else "no, the driver polls",
        "pynq": importlib.metadata.version("pynq"),
    }


def _engine_line(lanes: int, weights: int) -> str:
    return f"N = {lanes}, {weights:,} words of WEIGHT"


def _times_lines(times: Times, clock: float | None, virtual: bool) -> dict[str, str]:
    """The lines of a table of times."""
    runs = len(times.latency)
    lines = {
        "latency": f"p50 {times.percentile(50) * 1e3:.3f} ms, p99 {times.percentile(99) * 1e3:.3f} ms",
        "throughput": f"{times.sentences / times.seconds:,.1f} sentences per second",
        "cycles": f"{times.cycles / runs:,.0f} per run",
    }
    engine = times.cycles / (clock * 1e6) if clock and not virtual else 0.0
    if clock:
        lines["cycles"] += f", {times.cycles / runs / clock / 1e3:.3f} ms at {clock:g} MHz"
    if virtual:
        lines["simulation"] = f"{times.cycles / times.parts['run']:,.0f} cycles per second"
    parts = {
        "tokenize": times.parts["tokenize"],
        "pack": times.parts["pack"],
        "driver and DMA" if engine else "driver, DMA and simulation": times.parts["run"] - engine,
        **({"engine": engine} if engine else {}),
        "unpack": times.parts["unpack"],
        "decode": times.parts["decode"],
    }
    for name, seconds in parts.items():
        lines[f"  {name}"] = f"{seconds / runs * 1e3:8.3f} ms  {seconds / times.seconds:6.1%}"
    return lines


def _on_cpu(args: argparse.Namespace, texts: Sequence[Text], count: int) -> tuple[str, float]:
    """Seconds per sentence by the golden model, or by the program simulator where that can't run."""
    from .model import load

    folder = _folder(args)
    level = "golden" if (folder / "model.onnx").exists() else "program"
    try:
        model = load(folder, on=level)
    except UserError:
        level = "program"
        model = load(folder, on=level)
    with model:
        model.predict(texts[:1])
        asked = [texts[at % len(texts)] for at in range(min(count, 20))]
        return level, sum(answer.seconds for answer in model.predict(asked)) / len(asked)


def _table(title: str, lines: dict[str, str]) -> None:
    print(title)
    width = max(map(len, lines))
    for name, text in lines.items():
        print(f"  {name.ljust(width)}  {printable(text, 200)}")


def _write(path: Path | None, report: dict[str, Any], write: Callable[[Path, Any], None]) -> None:
    if path is not None:
        write(path, report)


def _progress(what: str) -> Callable[[int, int], None]:
    """Shows on one line of a terminal how many runs are done."""

    def show(done: int, of: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{what}: {done} of {of}", end="\n" if done == of else "", file=sys.stderr, flush=True)

    return show


def _complain(sentence: str) -> int:
    print(f"{_NAME}: {printable(sentence, LONGEST)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
