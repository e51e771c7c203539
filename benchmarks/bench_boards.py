"""Engines of boards by formula, and streamed bytes and cycles of models on them: `python benchmarks/bench_boards.py`.

The models are untrained, and all their function tables differ, which is the worst case after training.
"""

from __future__ import annotations

from bench_engine import LENGTHS, frozen, sized
from rich.console import Console
from rich.table import Table

from narrowgauge.errors import UserError
from narrowgauge.graph import Graph
from narrowgauge.hw.compiler.compile import compile_graph
from narrowgauge.hw.compiler.timing import simulate
from narrowgauge.hw.synthesis.boards import Board, built_in_boards
from narrowgauge.hw.synthesis.memories import engine_blocks
from narrowgauge.model.presets import preset
from narrowgauge.model.untrained import tables_of_their_own

MODELS = ("paper-2enc-hw", "paper-6enc-hw", "bert-base")
LONGEST = (48, 32, 16)
"""Maximum lengths to try; the first one that fits is used."""


def main() -> None:
    """Prints one row per board, and one per model and board."""
    console = Console(width=150)
    console.print(boards_table())
    table = Table(title="cycles by the cost model", title_justify="left")
    for heading in ("model", "board", "N", "longest", "bytes streamed", *(f"{n} tokens" for n in LENGTHS)):
        table.add_column(heading, justify="right" if len(table.columns) > 1 else "left")
    for name in MODELS:
        graph = tables_of_their_own(frozen(sized(preset(name).model)))
        for board in built_in_boards():
            table.add_row(name, board.title, str(board.engine.lanes), *cells(graph, board))
    console.print(table)


def boards_table() -> Table:
    """What the engine of each board takes of its limits, by the formulas of `hw/synthesis`."""
    table = Table(title="engines by formula, of what they may take", title_justify="left")
    for heading in ("board", "N", "BRAM36", "URAM", "DSP"):
        table.add_column(heading, justify="right" if table.columns else "left")
    for board in built_in_boards():
        made = engine_blocks(board.engine, board.silicon)
        used = {"bram36": made.bram18 / 2, "uram": made.uram, "dsp": board.silicon.dsps(board.engine)}
        row = (
            f"{amount:,g} of {board.limit(name):,} ({getattr(board, name):,})" if getattr(board, name) else ""
            for name, amount in used.items()
        )
        table.add_row(board.title, str(board.engine.lanes), *row)
    return table


def cells(graph: Graph, board: Board) -> list[str]:
    """The maximum length, streamed and total bytes, and cycles; or which memory is too small."""
    reason = ""
    for longest in LONGEST:
        try:
            build = compile_graph(graph, engine=board.engine, max_length=longest)
        except UserError as error:
            reason = str(error).partition(";")[0].partition(" (")[0]
            continue
        total = len(build.stream) + len(build.image)
        cycles = [f"{simulate(build.program, [n]).cycles:,}" for n in LENGTHS if n <= longest]
        return [str(longest), f"{len(build.stream):,} of {total:,}", *cycles]
    return ["no", reason]


if __name__ == "__main__":
    main()
