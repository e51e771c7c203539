"""Accuracy and size side by side: dense float, tensor train float, integers.

python benchmarks/compare.py --data voice --dense runs/demo-dense --run runs/demo --build build/demo
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from narrowgauge.files import write_json
from narrowgauge.graph.describe import describe
from narrowgauge.graph.onnx_io import read_build
from narrowgauge.model.checkpoint import load_run
from narrowgauge.model.evaluate import evaluate as evaluate_run
from narrowgauge.sim.levels.predict import evaluate as evaluate_build
from narrowgauge.text.scores import Scores


def float_parameters(run: Path) -> int:
    """Number of parameters of a run's float model, without thresholds."""
    model = load_run(run, "float").model
    return sum(p.numel() for name, p in model.named_parameters() if not name.endswith("log2_t"))


def main() -> None:
    """Scores all three on the test split and prints the table."""
    parser = argparse.ArgumentParser(description="Accuracy and size side by side.")
    parser.add_argument("--data", required=True, help="as for narrowgauge eval")
    parser.add_argument("--dense", required=True, type=Path, metavar="RUN", help="the dense float run")
    parser.add_argument("--run", required=True, type=Path, metavar="RUN", help="the tensor-train run")
    parser.add_argument(
        "--build", required=True, type=Path, metavar="BUILD", help="the build of the tensor-train run"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    args = parser.parse_args()

    integers = describe(read_build(args.build))
    dense, trains = float_parameters(args.dense), float_parameters(args.run)
    rows: list[tuple[str, Scores, int, int]] = [
        ("dense, float", evaluate_run(args.dense, args.data, stage="float"), dense, 4 * dense),
        ("tensor train, float", evaluate_run(args.run, args.data, stage="float"), trains, 4 * trains),
        (
            "tensor train, integers",
            evaluate_build(args.build, args.data),
            integers.parameters,
            integers.sizes.constants,
        ),
    ]
    table = Table(title=f"{args.data}, test split: {rows[0][1].sentences} sentences", title_justify="left")
    table.add_column("model")
    for heading in ("accuracy", "slot F1", "numbers", "bytes", "times smaller"):
        table.add_column(heading, justify="right")
    figures = []
    for name, scores, numbers, size in rows:
        f1 = "" if scores.slot_f1 is None else f"{scores.slot_f1:.2f}"
        ratio = rows[0][3] / size
        table.add_row(name, f"{scores.accuracy:.2f}", f1, f"{numbers:,}", f"{size:,}", f"{ratio:.1f}")
        figures.append(
            {
                "model": name,
                "accuracy": scores.accuracy,
                "slot_f1": scores.slot_f1,
                "numbers": numbers,
                "bytes": size,
                "times_smaller": ratio,
            }
        )
    Console(width=100).print(table)
    if args.json is not None:
        write_json(args.json, figures)


if __name__ == "__main__":
    main()
