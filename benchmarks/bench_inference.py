"""Sentences per second with `paper-2enc`: golden model, dense float PyTorch, onnxruntime on `model.onnx`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from common import THREADS, corpus_sentences, medians, report

from narrowgauge.graph.level import Sentence
from narrowgauge.graph.onnx_io import model_bytes
from narrowgauge.model.freeze import freeze
from narrowgauge.model.level import pad
from narrowgauge.model.transformer import Transformer
from narrowgauge.model.untrained import quantized
from narrowgauge.sim.golden.model import GoldenModel
from narrowgauge.sim.levels.onnx import OnnxLevel

TORCH_BATCHES = (16, 32, 64, 128)


def torch_run(model: Transformer, sentences: Sequence[Sentence], batch: int) -> None:
    """Runs all sentences through PyTorch, sorted by length to minimize padding."""
    ordered = sorted(sentences, key=lambda sentence: len(sentence.tokens))
    with torch.inference_mode():
        for at in range(0, len(ordered), batch):
            model(*pad(ordered[at : at + batch]))


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(THREADS)
    name, config, sentences = corpus_sentences()
    model = quantized(config, sentences)
    graph = freeze(model)
    golden = GoldenModel(graph, threads=THREADS)
    dense = Transformer(config.with_kind("dense")).eval()
    # PyTorch runs with its best batch size.
    sizes = medians({str(b): (lambda b=b: torch_run(dense, sentences, b)) for b in TORCH_BATCHES}, 3)
    batch = int(min(sizes, key=lambda size: sizes[size]))
    onnx = OnnxLevel(model_bytes(graph), graph)
    runs = {
        f"dense float PyTorch, batches of {batch}": lambda: torch_run(dense, sentences, batch),
        "onnxruntime on model.onnx": lambda: onnx.predict(sentences),
        "golden model": lambda: golden.predict(sentences),
    }
    seconds = medians(runs, 5)
    title = f"paper-2enc, {len(sentences)} sentences of {name}"
    report(title, seconds, next(iter(runs)), len(sentences))
    report(title, seconds, "onnxruntime on model.onnx", len(sentences))


if __name__ == "__main__":
    main()
