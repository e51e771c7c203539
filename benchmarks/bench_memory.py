"""Peak memory of freezing `paper-2enc` and verifying it at three levels, in a separate process."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console


def work(folder: Path) -> None:
    """Exports and verifies a model on the whole test split."""
    from common import corpus_sentences

    from narrowgauge.graph.bounds import prove
    from narrowgauge.graph.level import Level
    from narrowgauge.graph.onnx_io import model_bytes, read_build, write_build
    from narrowgauge.model.freeze import freeze
    from narrowgauge.model.level import TorchLevel
    from narrowgauge.model.untrained import quantized
    from narrowgauge.sim.golden.model import GoldenModel
    from narrowgauge.sim.levels.compare import verify_levels
    from narrowgauge.sim.levels.onnx import OnnxLevel

    name, config, sentences = corpus_sentences()
    model = quantized(config, sentences)
    prove(freeze(model))
    write_build(freeze(model), folder)
    graph = read_build(folder)
    levels: list[Level] = [
        GoldenModel(graph),
        TorchLevel(model, graph),
        OnnxLevel(model_bytes(graph), graph),
    ]
    results = verify_levels(graph, levels, sentences)
    equal = all(result.equal for result in results)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    Console(width=100).print(
        f"paper-2enc, {len(sentences)} sentences of {name}: levels {'equal' if equal else 'NOT EQUAL'}, "
        f"peak memory {peak:.2f} GiB"
    )


def main() -> None:
    """Runs the work in a new process and reads its peak memory."""
    if len(sys.argv) > 1:
        work(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, __file__, str(Path(folder) / "build")], check=True)


if __name__ == "__main__":
    main()
