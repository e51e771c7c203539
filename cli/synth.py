"""`narrowgauge synth`: the FPGA resources of an engine, by open-source synthesis; scripts for the vendor's tools."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .common import LANES, Commands, add_command, console, positive_float, refuse_options, write_report

if TYPE_CHECKING:
    from rich.table import Table

    from ..hw.isa import Parameters
    from ..hw.synthesis.boards import Board
    from ..hw.synthesis.paths import Timing
    from ..hw.synthesis.report import Utilization
    from ..hw.synthesis.silicon import Silicon

_MOST_SETTING = (1 << 31) - 1
"""Parameters of a module are integers of 32 bits."""

_SET = re.compile(r"(?:(xcup|xc7):)?([A-Za-z]\w*)=(\d+)")


def add_parser(commands: Commands) -> None:
    """Adds `synth` to the sub-commands."""
    parser = add_command(
        commands,
        "synth",
        run,
        "report the resources of an engine on each board: LUT, DSP, RAM",
        extra="synth",
    )
    parser.add_argument(
        "build",
        type=Path,
        nargs="?",
        metavar="BUILD",
        help="folder of a build, whose engine is used (default: the board's engine, or the default depths)",
    )
    parser.add_argument(
        "--lanes", type=int, choices=LANES, help="lanes, without BUILD (default: the board's engine, or 16)"
    )
    parser.add_argument(
        "--engine", type=Path, metavar="FILE", help="JSON file with the lanes and depths of the engine"
    )
    parser.add_argument(
        "--family",
        choices=("xcup", "xc7"),
        help="only UltraScale+ boards (xcup) or 7-series boards (xc7; takes half the time)",
    )
    parser.add_argument(
        "--board",
        metavar="NAME",
        help="only this board, or that of a .toml file, with its silicon options: packed DSPs, UltraRAM",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=_setting,
        metavar="[FAMILY:]NAME=VALUE",
        help="an additional parameter of the top module, for all families or one; can be repeated",
    )
    parser.add_argument(
        "--flatten", action="store_true", help="also synthesize the engine as one module, which takes long"
    )
    parser.add_argument(
        "--route",
        choices=("ecp5",),
        help="place and route a fixed engine with 8 lanes on a Lattice ECP5 instead; exit status 1 below 65 MHz",
    )
    parser.add_argument(
        "--vivado",
        type=Path,
        metavar="FOLDER",
        help="write a Vivado project for one board (default: pynq-z2) instead of running yosys",
    )
    parser.add_argument(
        "--period", type=_period, metavar="NS", help="clock of the Vivado project (default: the board's)"
    )


def run(args: argparse.Namespace) -> int:
    """Synthesizes, routes or writes scripts; returns 1 if a board is too small or a routed engine too slow, else 0."""
    from ..hw.synthesis.boards import all_boards, find_board
    from ..hw.synthesis.silicon import PLAIN

    if args.route is not None:
        return _route(args)
    if args.vivado is None:
        refuse_options(args, ["period"], "a clock is only used with --vivado")
    else:
        refuse_options(
            args, ["family", "flatten"], "--vivado writes a project for one board and runs no synthesis"
        )
    board = None if args.board is None else find_board(args.board)
    if board is not None and args.family not in (None, board.family):
        raise UserError(f"{board.title} belongs to the family {board.family}; omit --family.")
    parameters = _parameters(args, board)
    if args.vivado is not None:
        return _write_project(args, board or find_board("pynq-z2"), parameters)
    boards = [b for b in all_boards() if args.family in (None, b.family)] if board is None else [board]
    silicon = PLAIN if board is None else board.silicon
    used = _measure(args, parameters, silicon, boards)
    write_report(args, _report(used, boards))
    output = console()
    output.print(_modules(used))
    output.print(_fits(used, boards))
    print(
        f"By {used.yosys}, each module by itself; no vendor tool was used. On UltraScale+ boards DSP, BRAM and URAM "
        "are of xcup, LUT and FF of xc7.\nLevels are LUTs on the longest path over module borders that ends in an "
        "instance and, after +, carry cells on it: a proxy for timing, no delay."
    )
    for family, timing in used.timing.items():
        _print_timing(family, timing)
    for sentence in used.exceeded():
        print(sentence)
    return 0 if board is None or used.fits(board) else 1


def _print_timing(family: str, timing: Timing) -> None:
    """Prints the longest path and the largest enable of a family."""
    path, enable = timing.path, timing.enable
    print(f"{family}: longest path {path.levels}, from {path.start} to {path.end}")
    for step in path.steps:
        print(f"  {step.levels!s:>5}  {step.name}")
    print(f"{family}: largest clock enable {enable.name}, {enable.loads} loads")


def _period(text: str) -> float:
    """An argument type: a clock period in ns."""
    from ..hw.synthesis.boards import PERIODS

    period = positive_float(text)
    if not PERIODS[0] <= period <= PERIODS[1]:
        raise argparse.ArgumentTypeError(f"must be from {PERIODS[0]:g} to {PERIODS[1]:g}, got '{text}'")
    return period


def _setting(text: str) -> tuple[str | None, str, int]:
    """An argument type: a parameter of the top module."""
    match = _SET.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"must be NAME=VALUE or FAMILY:NAME=VALUE with a whole number, got '{text}'"
        )
    if len(match[3]) > 10 or int(match[3]) > _MOST_SETTING:
        raise argparse.ArgumentTypeError(f"a parameter must be from 0 to {_MOST_SETTING}, got {match[3]}")
    return match[1], match[2], int(match[3])


def _parameters(args: argparse.Namespace, board: Board | None) -> Parameters:
    """The engine: from the build, from the file, or with the given number of lanes."""
    from ..hw.host.folder import read_engine, read_parameters
    from ..hw.isa import Parameters

    given = [name for name in ("build", "lanes", "engine") if getattr(args, name) is not None]
    if len(given) > 1:
        raise UserError("the engine comes from one of BUILD, --engine and --lanes; omit the others.")
    if args.build is not None:
        return read_engine(args.build).engine
    if args.engine is not None:
        return read_parameters(args.engine)
    if board is not None and args.lanes is None:
        return board.engine
    return Parameters(lanes=args.lanes or 16)


def _more(args: argparse.Namespace, parameters: Parameters, silicon: Silicon, family: str) -> dict[str, int]:
    """The additions to the parameters of the engine: silicon options, and `--set`."""
    generics = (silicon.without_ultra() if family == "xc7" else silicon).generics(parameters)
    return generics | {name: value for only, name, value in args.set if only in (None, family)}


def _measure(
    args: argparse.Namespace, parameters: Parameters, silicon: Silicon, boards: list[Board]
) -> Utilization:
    from ..hw.synthesis.report import measure

    # LUTs and flip-flops are from xc7 for every board.
    families = sorted({board.family for board in boards} | {"xc7"})
    with _progress("synthesis") as progress:
        return measure(
            parameters,
            families=families,
            more={family: _more(args, parameters, silicon, family) for family in families},
            flatten=args.flatten,
            progress=progress,
        )


def _route(args: argparse.Namespace) -> int:
    """Routes the engine for `--route` and prints its frequency and the path that limits it."""
    from ..hw.synthesis.route import DEVICE, ENGINE, TARGET, route

    if args.build is not None:
        raise UserError("--route routes a fixed engine; leave BUILD out.")
    names = ("lanes", "engine", "family", "board", "set", "flatten", "vivado", "period")
    refuse_options(
        args, [name for name in names if getattr(args, name) != []], "--route routes a fixed engine"
    )
    with _progress("routing") as report:
        routed = route(progress=report)
    fast = routed.frequency >= TARGET
    write_report(
        args, asdict(routed) | {"engine": asdict(ENGINE), "device": DEVICE, "target": TARGET, "reached": fast}
    )
    print(
        f"Lattice ECP5 ({' '.join(DEVICE).replace('--', '')}), engine with {ENGINE.lanes} lanes, out of context:"
    )
    for kind, (used, available) in routed.used.items():
        print(f"  {kind}: {used:,} of {available:,}")
    total = 0.0
    print("The path that limits the clock, in ns:")
    for hop in routed.path:
        total += hop.delay
        if hop.delay:
            print(f"  {total:6.2f}  {hop.delay:5.2f}  {hop.kind:9} {hop.name}")
    print(
        f"{routed.frequency:.1f} MHz, target {TARGET:g} MHz, by {routed.tools}. This is another family of FPGAs: it "
        "is no figure of a Xilinx part."
    )
    return 0 if fast else 1


@contextmanager
def _progress(title: str) -> Iterator[Callable[[str], None]]:
    """Shows a spinner, and yields a function that changes its text."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title)
        yield lambda text: bar.update(task, description=text)


def _write_project(args: argparse.Namespace, board: Board, parameters: Parameters) -> int:
    from ..hw.synthesis.project import write_project

    more = _more(args, parameters, board.silicon, board.family)
    files = write_project(args.vivado, board, parameters, more, period=args.period or board.period)
    write_report(args, {"folder": args.vivado, "board": board.name, "part": board.part, "files": files})
    folder = shlex.quote(str(args.vivado))
    print(f"Wrote {len(files)} files; run it with: cd {folder} && vivado -mode batch -source run.tcl")
    return 0


def _modules(used: Utilization) -> Table:
    """Resources by module."""
    from rich.table import Column, Table

    families = list(used.total)
    heads = ["instance", "module"]
    numbers = [
        f"{name} {family}"
        for family in families
        for name in ("LUT", "FF", "DSP", "BRAM36", *(["URAM"] if family == "xcup" else []), "levels")
    ]
    table = Table(*heads, *(Column(name, justify="right") for name in numbers))
    for row in used.rows:
        cells = []
        for family in families:
            cost, levels = row.cost[family] * row.count, row.levels[family]
            cells += [*_counts(cost, family), f"{levels.lut}+{levels.carry}"]
        name = row.name if row.count == 1 else f"{row.name} and {row.count - 1} more"
        table.add_row(name, row.module, *cells)
    table.add_section()
    for title, costs in (("sum", used.total), ("as one", used.flat)):
        if costs:
            table.add_row(title, "", *(text for f in families for text in (*_counts(costs[f], f), "")))
    return table


def _counts(cost: Any, family: str) -> list[str]:
    names = ("lut", "ff", "dsp", "bram36", "uram")[: 5 if family == "xcup" else 4]
    return [f"{getattr(cost, name):,g}" if name == "bram36" else f"{getattr(cost, name):,}" for name in names]


def _fits(utilization: Utilization, boards: list[Board]) -> Table:
    """What the engine uses, of the part of each board that it may take; in parentheses, the share of the device."""
    from rich.table import Column, Table

    names = ("LUT", "FF", "DSP", "BRAM36", "URAM")
    table = Table("board", "part", *(Column(name, justify="right") for name in names), "fits")
    for board in boards:
        cells = []
        lacking = []
        for name, used in utilization.used(board).items():
            most = board.limit(name)
            share = f" ({used / getattr(board, name):.0%})" if most else ""
            cells.append(
                f"{used:,g} of {most:,}{share}" if most < 1000 else f"{used:,.0f} of {most:,}{share}"
            )
            if used > most:
                lacking.append(f"{used - most:,g} {name.upper()}")
        table.add_row(
            board.title, board.part, *cells, f"no: lacks {', '.join(lacking)}" if lacking else "yes"
        )
    return table


def _report(utilization: Utilization, boards: list[Board]) -> Mapping[str, Any]:
    """All figures, for JSON."""
    return {
        "yosys": utilization.yosys,
        "parameters": utilization.parameters,
        "modules": [
            {
                "instance": row.name,
                "module": row.module,
                "count": row.count,
                "each": {f: asdict(cost) | {"bram36": cost.bram36} for f, cost in row.cost.items()},
                "levels": {f: asdict(levels) for f, levels in row.levels.items()},
            }
            for row in utilization.rows
        ],
        "total": {f: asdict(cost) | {"bram36": cost.bram36} for f, cost in utilization.total.items()},
        "as_one": {f: asdict(cost) | {"bram36": cost.bram36} for f, cost in utilization.flat.items()},
        "timing": {
            family: {
                "path": asdict(timing.path),
                "enable": asdict(timing.enable),
            }
            for family, timing in utilization.timing.items()
        },
        "exceeded": utilization.exceeded(),
        "boards": [
            {
                "name": board.name,
                "part": board.part,
                "used": utilization.used(board),
                "limit": {name: board.limit(name) for name in utilization.used(board)},
                "fits": utilization.fits(board),
            }
            for board in boards
        ],
    }
