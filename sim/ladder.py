"""The verification ladder: a build's levels, run on the sentences of a data set and compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..graph.onnx_io import read_build
from .evaluate import read_sentences
from .golden import GoldenModel
from .levels import LEVELS, make_level
from .verify import LevelResult, verify_levels


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
    stalls: bool = False,
    progress: Callable[[int, int], Any] | None = None,
) -> VerifyReport:
    """Runs sentences of `data` at every level and compares all tensors with `==`.

    Args:
        build: folder of an export.
        data: where the sentences come from, see `model.data.load`.
        run: the training run that the build was frozen from: for the level torch.
        split, limit: which sentences, and how many of them at most.
        levels: names in `LEVELS`; the golden model runs in any case.
        stalls: let the streams of the RTL stall at random.
        progress: called with (sentences done, sentences to do), counted over all levels.

    Raises:
        UserError: build, run or data can't be read, there is no sentence, or the run is not the build's.
    """
    graph = read_build(build)
    others = [name for name in levels if name != "golden"]
    chosen = [
        GoldenModel(graph),
        *(make_level(name, build, graph, run=run, stalls=stalls) for name in others),
    ]
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
