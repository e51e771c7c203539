"""`narrowgauge compile`: the integer model of a build to a program for an engine."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .common import LANES, Commands, Parser, add_command, positive_int, refuse_options, write_report

if TYPE_CHECKING:
    from ..hw.compiler.timing import Timeline
    from ..hw.host.build import EngineBuild

LENGTHS = (8, 16, 32, 48)
"""Lengths that the report counts cycles for."""


_MOST_WORDS = 1 << 31
"""More than any engine's memory has."""

ENGINE_OPTIONS = (
    "lanes",
    "engine",
    "board",
    "tight",
    "weight_words",
    "sentences",
    "max_length",
    "vectors",
    "no_hls",
)
"""What `add_engine_options` adds, none of it with a default."""


def add_parser(commands: Commands) -> None:
    """Adds `compile` to the sub-commands."""
    parser = add_command(commands, "compile", run, "compile a build again, for another engine or mode")
    parser.add_argument("build", type=Path, metavar="BUILD", help="folder of a build")
    add_engine_options(parser)


def add_engine_options(parser: Parser) -> None:
    """Adds what describes the engine and what it is to run."""
    parser.add_argument(
        "--lanes",
        type=int,
        choices=LANES,
        help="N of the engine, without --board or --engine (default: 16)",
    )
    parser.add_argument(
        "--engine",
        type=Path,
        metavar="FILE",
        help="JSON file with the lanes and depths of the engine (default: as large as the model needs)",
    )
    parser.add_argument(
        "--board",
        metavar="NAME",
        help="compile for the engine of a board, see `narrowgauge boards`, or of the board of a .toml file",
    )
    parser.add_argument(
        "--tight",
        action="store_true",
        help="compile for the smallest engine that runs the model: memory has priority over time, depths are exact",
    )
    parser.add_argument(
        "--weight-words",
        type=_words,
        metavar="W",
        help="maximum words of WEIGHT memory; weights that do not fit are streamed in every run",
    )
    parser.add_argument(
        "--sentences",
        type=int,
        choices=(1, 2),
        help="sentences per run: 1 for latency, 2 for throughput (default: 1)",
    )
    parser.add_argument(
        "--max-length",
        type=positive_int,
        metavar="T",
        help="maximum number of tokens of a sentence (default: that of the model)",
    )
    parser.add_argument(
        "--vectors",
        metavar="DATA",
        help="data for the test sentences of the HLS project (default: the training data, or random tokens)",
    )
    parser.add_argument("--no-hls", action="store_true", help="write no HLS project")


def _words(text: str) -> int:
    """An argument type: a number of words that a memory may have."""
    value = positive_int(text)
    if value > _MOST_WORDS:
        raise argparse.ArgumentTypeError(f"must be from 1 to {_MOST_WORDS}, got {value}")
    return value


def check_engine_options(args: argparse.Namespace) -> None:
    """Checks that the options that `add_engine_options` added do not contradict each other.

    Raises:
        UserError: they do.
    """
    if args.board is not None and args.engine is not None:
        raise UserError("--board and --engine exclude each other; omit one of them.")
    if (args.board or args.engine) is not None:
        refuse_options(args, ["lanes"], "the lanes are those of --board or --engine")
    if args.no_hls:
        refuse_options(args, ["vectors"], "--no-hls writes no test sentences")


def run(args: argparse.Namespace) -> int:
    """Compiles, writes the HLS project, and prints sizes and cycles."""
    from ..hw.compiler.build import new_build

    check_engine_options(args)
    with new_build(args.build) as folder:
        compiled = compile_into(folder, args.build, args)
        write_deploy_folder(folder, compiled, args)
        write_vivado_project(folder, args)
    write_report(args, engine_report(compiled, LENGTHS))
    finish_board(args.build, args)
    return 0


def compile_into(
    folder: Path, build: Path, args: argparse.Namespace, usual: str | None = None
) -> EngineBuild:
    """Compiles the model of a build, and writes model, program, weights and, without `--no-hls`, the HLS project.

    Args:
        folder: where to; it may be that of the build.
        build: folder of the build.
        args: what `add_engine_options` added.
        usual: where test sentences come from without `--vectors`, see `write_hls_project`.
    """
    from ..hw.compiler.build import compile_build
    from ..hw.host.folder import read_parameters
    from ..hw.synthesis.boards import find_board
    from ..sim.levels.hls_project import write_hls_project

    board = None if args.board is None else find_board(args.board)
    engine = board.engine if board else None if args.engine is None else read_parameters(args.engine)
    compiled = compile_build(
        build,
        into=folder,
        lanes=args.lanes or 16,
        sentences=args.sentences or 1,
        max_length=args.max_length,
        engine=engine,
        tight=args.tight,
        weight_words=args.weight_words,
    )
    if not args.no_hls:
        write_hls_project(folder, compiled, args.vectors, usual, board)
    return compiled


def write_deploy_folder(folder: Path, compiled: EngineBuild, args: argparse.Namespace) -> None:
    """With `--board`, writes what is copied to the board, and prints its size.

    Args:
        folder: where to: a new build.
        compiled: what is in it.
        args: what `add_engine_options` added.
    """
    from ..deploy.folder import write_deploy
    from ..hw.host.build import DEPLOY_FOLDER
    from ..hw.synthesis.boards import find_board

    if args.board is not None:
        board = find_board(args.board)
        size = write_deploy(folder, compiled, board.title)
        print(f"{DEPLOY_FOLDER}/ is what is copied to {board.title}: {size:,} bytes without the bitstream.")


def write_vivado_project(folder: Path, args: argparse.Namespace) -> None:
    """With `--board`, writes the Vivado project of the board.

    Args:
        folder: where to: a new build.
        args: what `add_engine_options` added.
    """
    from ..hw.host.build import VIVADO_FOLDER
    from ..hw.synthesis.boards import find_board
    from ..hw.synthesis.project import write_board_project

    board = None if args.board is None else find_board(args.board)
    if board is not None and board.processor is not None:
        write_board_project(folder / VIVADO_FOLDER, board, board.processor)


def finish_board(build: Path, args: argparse.Namespace) -> None:
    """With `--board`, takes over the bitstream that the build already has for the engine, or prints how to get one.

    Args:
        build: the folder of the build.
        args: what `add_engine_options` added.
    """
    from ..hw.host.build import DEPLOY_FOLDER, VIVADO_FOLDER
    from ..hw.synthesis.boards import find_board
    from ..hw.synthesis.project import BITSTREAM_FOLDER, keep_bitstream

    board = None if args.board is None else find_board(args.board)
    if board is None:
        return
    if board.processor is None:
        print(f"There is no block design for {board.title}, so no Vivado project was written.")
    elif keep_bitstream(build / BITSTREAM_FOLDER, build / VIVADO_FOLDER, build / DEPLOY_FOLDER):
        print(f"The bitstream in {build / DEPLOY_FOLDER} is that of this engine.")
    else:
        folder = shlex.quote(str(build / VIVADO_FOLDER))
        print(f"For the bitstream of {board.title}: cd {folder} && vivado -mode batch -source build.tcl")


def engine_report(compiled: EngineBuild, lengths: Sequence[int]) -> dict[str, Any]:
    """Prints what a program is and how long it takes at these lengths; the same, and more, for JSON."""
    from ..hw.compiler.compile import memory_bits
    from ..hw.compiler.timing import simulate
    from ..hw.isa import Unit

    program = compiled.program
    lanes = program.parameters.lanes
    size = memory_bits(program.parameters)
    counts = {
        name: len(part) for name, part in zip(("array", "vector", "stream"), program.lists()[1:], strict=True)
    }
    cycles = {}
    for length in sorted({min(length, program.max_length) for length in lengths}):
        line = simulate(program, [length] * program.sentences)
        cycles[length] = {
            "cycles": line.cycles,
            "array_busy": round(line.utilization, 4),
            "units": {unit.name.lower(): asdict(line.usage(unit)) for unit in Unit},
            "layers": _busy_by_layer(compiled, line),
        }
    print(
        f"The program has {sum(counts.values())} instructions for N = {lanes} and needs {size // 8:,} bytes on chip; "
        f"weights.bin, {len(compiled.image):,} bytes, is loaded once."
    )
    if compiled.stream:
        print(
            f"The constants that do not fit, stream.bin, {len(compiled.stream):,} bytes, are streamed in every run."
        )
    each = ", ".join(f"{length}: {c['cycles']:,} ({c['array_busy']:.1%})" for length, c in cycles.items())
    print(f"Cycles by tokens, by the cost model (array busy): {each}.")
    return {
        "engine": asdict(compiled.engine),
        "needs": asdict(program.parameters),
        "instructions": counts,
        "bits_on_chip": size,
        "image_bytes": len(compiled.image),
        "stream_bytes": len(compiled.stream),
        "cycles": cycles,
        "peak": {memory.name: parts for memory, parts in compiled.peak.items()},
    }


def _busy_by_layer(compiled: EngineBuild, line: Timeline) -> dict[str, dict[str, int]]:
    """Cycles that each unit works for each layer."""
    found: dict[str, dict[str, int]] = {}
    for event in line.events:
        units = found.setdefault(compiled.layers[event.unit][event.number], {})
        name = event.unit.name.lower()
        units[name] = units.get(name, 0) + event.busy
    return found
