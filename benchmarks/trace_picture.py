"""Draws the activity of array and vector unit during a run, by the cost model.

`python benchmarks/trace_picture.py BUILD --tokens 32 --out docs/images/overlap.svg` needs matplotlib (extra `plots`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from narrowgauge.hw.compiler.timing import Timeline, simulate
from narrowgauge.hw.host.build import EngineBuild
from narrowgauge.hw.host.folder import read_engine
from narrowgauge.hw.isa import Unit

KINDS = {
    "embedding": ("embedding",),
    "query, key, value": ("query", "key", "value"),
    "scores, context": ("scores", "context"),
    "output of attention": ("attention.out",),
    "feed-forward": ("feedforward",),
    "softmax": ("probabilities", "softmax"),
    "LayerNorm": ("norm",),
    "heads": ("",),
}
"""Layers drawn in one color, by parts of their names; the first match counts."""


def main() -> None:
    """Draws the whole run and, below, one encoder layer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    build = read_engine(args.build)
    line = simulate(build.program, [args.tokens] * build.program.sentences)
    # For reproducible files.
    mpl.rcParams["svg.hashsalt"] = "narrowgauge"
    figure, axes = plt.subplots(2, 1, figsize=(12, 4.6), layout="constrained")
    draw(axes[0], build, line, (0, line.cycles))
    axes[0].set_title(
        f"{args.tokens} tokens, N = {line.lanes}: {line.cycles:,} cycles, array busy {line.utilization:.1%}"
    )
    draw(axes[1], build, line, busiest(line, line.cycles // 8))
    axes[1].set_title("the eighth of it in which the vector unit is busiest")
    axes[1].set_xlabel("cycles, by the cost model")
    handles = [Rectangle((0, 0), 1, 1, color=f"C{k}") for k in range(len(KINDS))]
    figure.legend(handles, list(KINDS), loc="outside lower center", ncols=len(KINDS) // 2)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, metadata={"Date": None})


def busiest(line: Timeline, width: int) -> tuple[int, int]:
    """The span of `width` cycles in which the vector unit is busiest."""
    vector = [event for event in line.events if event.unit is Unit.VECTOR]

    def work(start: int) -> int:
        return sum(max(0, min(e.free, start + width) - max(e.start, start)) for e in vector)

    start = max(range(0, line.cycles - width, max(1, width // 16)), key=work)
    return start, start + width


def draw(axis: Axes, build: EngineBuild, line: Timeline, span: tuple[int, int]) -> None:
    """One bar per instruction."""
    for event in line.events:
        if event.skipped or event.end < span[0] or event.start > span[1]:
            continue
        colour = kind(build.layers[event.unit][event.number], event.unit)
        axis.broken_barh(
            [(event.start, event.free - event.start)], (-int(event.unit) - 0.4, 0.8), color=f"C{colour}"
        )
    axis.set_xlim(span)
    axis.set_yticks([-int(unit) for unit in Unit], [unit.name.lower() for unit in Unit])


def kind(layer: str, unit: Unit) -> int:
    """The index of a layer's kind."""
    for number, parts in enumerate(KINDS.values()):
        if any(part in layer for part in parts) and not (unit is Unit.VECTOR and number < 5):
            return number
    return len(KINDS) - 1


if __name__ == "__main__":
    main()
