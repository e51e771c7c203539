"""The verification ladder: a build's levels, run on the sentences of a data set and compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..graph import Graph
from ..graph.level import Level
from ..graph.onnx_io import MODEL_FILE, read_build
from ..hw.build import read_engine
from .evaluate import read_sentences
from .golden import GoldenModel
from .onnx_level import OnnxLevel
from .verify import LevelResult, verify_levels

LEVELS = ("golden", "torch", "onnx", "program", "hls", "rtl")
"""All levels. The golden model comes first and is what the others are compared with."""


@dataclass(frozen=True)
class VerifyReport:
    """What a verification found.

    Attributes:
        build: the folder.
        sentences: how many were run.
        levels: one result a level, the reference first.
    """

    build: Path
    sentences: int
    levels: tuple[LevelResult, ...]

    @property
    def equal(self) -> bool:
        """Whether every tensor of every level is equal to the golden model's."""
        return all(level.equal for level in self.levels)


def verify(
    build: Path,
    data: str,
    *,
    run: Path | None = None,
    split: str = "test",
    limit: int | None = None,
    levels: Sequence[str] = LEVELS,
    progress: Callable[[int, int], Any] | None = None,
) -> VerifyReport:
    """Runs sentences of `data` at every level and compares all tensors with `==`.

    Args:
        build: folder of an export.
        data: where the sentences come from, see `model.data.load`.
        run: the training run that the build was frozen from: for the level torch.
        split, limit: which sentences, and how many of them at most.
        levels: names in `LEVELS`; the golden model runs in any case.
        progress: called with (sentences done, sentences to do), counted over all levels.

    Raises:
        UserError: build, run or data can't be read, there is no sentence, or the run is not the build's.
    """
    graph = read_build(build)
    chosen = [GoldenModel(graph), *(_level(name, build, run, graph) for name in levels if name != "golden")]
    sentences = read_sentences(graph, data, split, limit)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, len(sentences) * len(chosen))

    return VerifyReport(
        build, len(sentences), tuple(verify_levels(graph, chosen, sentences, progress=advance))
    )


def _level(name: str, build: Path, run: Path | None, graph: Graph) -> Level:
    if name == "onnx":
        return OnnxLevel(build / MODEL_FILE, graph)
    if name == "program":
        from .program_level import ProgramLevel

        return ProgramLevel(graph, read_engine(build))
    if name == "rtl":
        from .rtl_level import RtlLevel

        return RtlLevel(graph, read_engine(build))
    if name == "hls":
        from .hls_level import HlsLevel

        return HlsLevel(graph, read_engine(build))
    if name != "torch":
        raise UserError(f"there is no level {name!r}; choose from {', '.join(LEVELS)}.")
    if run is None:
        raise UserError("the level torch needs the training run; give it with --run.")
    from ..model.checkpoint import load_run
    from ..model.freeze import freeze
    from ..model.level import TorchLevel

    loaded = load_run(run, "quantized")
    if loaded.tokenizer.to_json() != dict(graph.metadata.tokenizer):
        raise UserError(f"{run} has another vocabulary than {build}; give the run that it was exported from.")
    if _structure(freeze(loaded.model)) != _structure(graph):
        raise UserError(f"{run} is another model than {build}; give the run that it was exported from.")
    return TorchLevel(loaded.model, graph)


def _structure(graph: Graph) -> tuple[Any, ...]:
    """Layers and sizes of a model: what must agree before integers can be compared."""
    return graph.nodes, {name: value.dims for name, value in graph.values.items()}
