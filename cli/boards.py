"""`narrowgauge boards`: the boards that a model can be compiled for, and the presets that fit them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .common import Commands, add_command, console, write_report

if TYPE_CHECKING:
    from rich.table import Table

    from ..hw.synthesis.boards import Board

VOCABULARY, LABELS, TAGS = 4394, 7, 72
"""Sizes of the presets for `--presets`: those of the SNIPS data."""

LENGTHS = (64, 48, 32, 16)
"""Lengths that `--presets` tries, the longest first."""


def add_parser(commands: Commands) -> None:
    """Adds `boards` to the sub-commands."""
    parser = add_command(
        commands, "boards", run, "list the boards, their engines, and the presets that fit them"
    )
    parser.add_argument(
        "board", nargs="?", metavar="NAME", help="only this board, in detail, or that of a .toml file"
    )
    parser.add_argument(
        "--presets",
        action="store_true",
        help="also compile every preset for each board, which takes up to half a minute per board (extra train)",
    )


def run(args: argparse.Namespace) -> int:
    """Prints one row per board, or the details of one."""
    from ..hw.synthesis.boards import all_boards, find_board

    boards = all_boards() if args.board is None else (find_board(args.board),)
    fits = _fits(boards) if args.presets else {}
    records = [_record(board) | ({"presets": fits[board.engine]} if args.presets else {}) for board in boards]
    write_report(args, records)
    output = console()
    output.print(_list(boards) if args.board is None else _details(boards[0]))
    if args.presets:
        output.print(_presets(boards, fits))
        print(
            f"The longest of {', '.join(map(str, LENGTHS))} tokens that a preset without training can be compiled for, "
            f"with {VOCABULARY:,} words, {LABELS} classes and {TAGS} tags; weights are streamed where needed."
        )
    if args.board is None:
        print(
            "BRAM36, URAM and DSP are of the engine, by formula, and of what an engine may take. A board of your own "
            "is a file: see docs/synthesis.md."
        )
    return 0


def _used(board: Board) -> dict[str, float]:
    """What the engine of a board takes, by formula."""
    from ..hw.synthesis.memories import engine_blocks

    made = engine_blocks(board.engine, board.silicon)
    return {"bram36": made.bram18 / 2, "uram": made.uram, "dsp": board.silicon.dsps(board.engine)}


def _of(board: Board, resource: str) -> str:
    limit = board.limit(resource)
    return f"{_used(board)[resource]:,g} of {limit:,}" if limit else ""


def _list(boards: Sequence[Board]) -> Table:
    from rich.table import Column, Table

    table = Table("name", "board", "part", Column("LUT", justify="right"))
    for head in ("BRAM36", "URAM", "DSP", "N", "MHz"):
        table.add_column(head, justify="right")
    table.add_column("PYNQ")
    table.add_column("status")
    for board in boards:
        table.add_row(
            board.name,
            board.title,
            board.part,
            f"{board.lut:,}",
            *(_of(board, resource) for resource in ("bram36", "uram", "dsp")),
            str(board.engine.lanes),
            f"{1000 / board.period:g}",
            board.pynq,
            board.status,
        )
    return table


def _details(board: Board) -> Table:
    from rich.table import Table

    from ..hw.isa import Memory

    table = Table(title=board.title, title_justify="left", show_header=False)
    depths = ", ".join(f"{memory.name} {board.engine.depth(memory):,}" for memory in Memory)
    silicon = board.silicon
    made_of = {
        "UltraRAM": sorted(silicon.ultra),
        "LUTs": sorted(silicon.luts),
    }
    options = [
        *(["two products per DSP"] if silicon.pack_dsp else []),
        *([f"columns of the array in LUTs: {silicon.lut_columns}"] if silicon.lut_columns else []),
        *(
            f"in {name}: {', '.join(m.name for m in memories)}"
            for name, memories in made_of.items()
            if memories
        ),
    ]
    processor = board.processor
    rows = {
        "part": board.part,
        "board part": board.board_part,
        "device": ", ".join(
            f"{getattr(board, name):,} {name.upper()}" for name in ("lut", "ff", "dsp", "bram36", "uram")
        ),
        "source": board.source,
        "engine": f"N = {board.engine.lanes}, words: {depths}",
        "silicon": "; ".join(options),
        "takes, by formula": ", ".join(
            f"{_of(board, name)} {name.upper()}" for name in ("bram36", "uram", "dsp") if _of(board, name)
        ),
        "clock": f"{1000 / board.period:g} MHz",
        "processor": f"{processor.kind}: DMA by {processor.memory_port}, registers by {processor.register_port}"
        if processor
        else "none: no block design",
        "PYNQ": board.pynq or "none",
        "status": board.status,
    }
    for name, text in rows.items():
        if text:
            table.add_row(name, text)
    return table


def _record(board: Board) -> dict[str, Any]:
    """A board, for JSON."""
    silicon = board.silicon
    processor = board.processor
    return {
        "name": board.name,
        "title": board.title,
        "part": board.part,
        "board_part": board.board_part,
        "family": board.family,
        "capacity": {name: getattr(board, name) for name in ("lut", "ff", "dsp", "bram36", "uram")},
        "source": board.source,
        "engine": asdict(board.engine),
        "silicon": {
            "pack_dsp": silicon.pack_dsp,
            "lut_columns": silicon.lut_columns,
            "ultra": [memory.name for memory in sorted(silicon.ultra)],
            "luts": [memory.name for memory in sorted(silicon.luts)],
        },
        "used": _used(board),
        "limit": {name: board.limit(name) for name in _used(board)},
        "period": board.period,
        "pynq": board.pynq,
        "status": board.status,
        "processor": None
        if processor is None
        else {
            "family": processor.kind,
            "memory_port": processor.memory_port,
            "register_port": processor.register_port,
            "preset": processor.preset,
            "settings": dict(processor.settings),
        },
    }


def _fits(boards: Sequence[Board]) -> dict[Any, dict[str, int | None]]:
    """For each engine, the longest of `LENGTHS` that each preset can be compiled for; None if it does not fit."""
    from rich.console import Console
    from rich.progress import Progress

    from ..hw.compiler.compile import compile_graph
    from ..model.presets import PRESETS
    from ..model.untrained import untrained

    engines = dict.fromkeys(board.engine for board in boards)
    fits: dict[Any, dict[str, int | None]] = {engine: {} for engine in engines}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("compile", total=len(PRESETS) * len(engines))
        for name, preset in PRESETS.items():
            progress.update(task, description=name)
            config = replace(preset.model, vocab_size=VOCABULARY, labels=LABELS, tags=TAGS)
            graph = untrained(config)
            for engine in engines:
                fits[engine][name] = None
                for length in (n for n in LENGTHS if n <= config.max_length):
                    try:
                        compile_graph(graph, engine=engine, max_length=length)
                    except UserError:
                        continue
                    fits[engine][name] = length
                    break
                progress.advance(task)
    return fits


def _presets(boards: Sequence[Board], fits: Mapping[Any, Mapping[str, int | None]]) -> Table:
    from rich.table import Column, Table

    table = Table("preset", *(Column(board.title, justify="right") for board in boards))
    for name in next(iter(fits.values())):
        lengths = (fits[board.engine][name] for board in boards)
        table.add_row(name, *("no" if length is None else str(length) for length in lengths))
    return table
