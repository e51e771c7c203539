"""Sentences through the driver on the virtual board, compared with the golden model: cycles and sentences per second.

    python benchmarks/virtual_board.py [BUILD] [--data DATA] [--limit N]

Without a build, an untrained model of the sizes of the preset `voice`, with the words and classes of the data.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from common import default_data, sized

import narrowgauge
from narrowgauge.graph.onnx_io import write_build
from narrowgauge.hw.compiler.build import compile_build
from narrowgauge.model.freeze import freeze
from narrowgauge.model.transformer import Transformer
from narrowgauge.text import load


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("build", nargs="?", type=Path)
    parser.add_argument("--data", default=default_data())
    parser.add_argument("--limit", type=int, default=200)
    args = parser.parse_args()
    corpus = load(args.data)
    texts = [" ".join(example.words) for example in corpus.test[: args.limit]]
    with tempfile.TemporaryDirectory() as folder:
        build = args.build or untrained_build(Path(folder), args.data)
        with narrowgauge.load(build, on="golden") as golden:
            expected = [(a.label, a.slots, a.logits) for a in golden.predict(texts)]
        with narrowgauge.load(build, on="virtual") as model:
            start = time.perf_counter()
            answers = model.predict(texts)
            seconds = time.perf_counter() - start
    equal = sum((a.label, a.slots, a.logits) == one for a, one in zip(answers, expected, strict=True))
    cycles = sum(a.cycles["CYCLES"] for a in answers if a.cycles is not None)
    print(f"{equal} of {len(texts)} sentences of {Path(args.data).name} are equal to the golden model")
    print(f"{len(texts) / seconds:,.1f} sentences per second, {cycles / seconds:,.0f} cycles per second")
    raise SystemExit(equal != len(texts))


def untrained_build(folder: Path, data: str) -> Path:
    """A compiled build with the words and classes of the data."""
    config, tokenizer, labels = sized("voice", load(data))
    graph = freeze(Transformer(config).eval(), "untrained", tokenizer.to_json(), labels.to_json())
    write_build(graph, folder / "build")
    compile_build(folder / "build")
    return folder / "build"


if __name__ == "__main__":
    main()
