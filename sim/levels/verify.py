"""The verification ladder: a build's levels, run on the sentences of a data set and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...fixedpoint import IntArray
from ...graph.onnx_io import damaged_files, read_build
from ...hw.compiler.build import check_model, recompile
from ...hw.compiler.frontend import frontend_of
from ...hw.host.folder import read_engine
from ...text.scores import decode
from ..golden.model import GoldenModel
from . import ENGINES, LEVELS
from .compare import LevelResult, verify_levels
from .levels import make_level
from .predict import sentences


@dataclass(frozen=True)
class VerifyOptions:
    """What is verified.

    Attributes:
        build: folder of an export.
        data: where the sentences come from, see `text.load`.
        run: the training run that the build was frozen from: for the level torch.
        split, limit: which sentences, and how many of them at most.
        levels: names in `LEVELS`; the golden model runs in any case.
        stalls: let the streams of the RTL stall at random.
        recompile: compile the model again, where a level runs its program, and compare the bytes.
    """

    build: Path
    data: str
    run: Path | None = None
    split: str = "test"
    limit: int | None = None
    levels: Sequence[str] = LEVELS
    stalls: bool = False
    recompile: bool = True


@dataclass(frozen=True)
class VerifyReport:
    """What a verification found.

    Attributes:
        build: the folder.
        sentences: how many were run.
        levels: one result a level, the reference first.
        recompiled: the files that are not what the compiler makes of the model; None where they were not compared,
            because that was not wanted or no level runs a program.
        damaged: the files that are not what the manifest says.
    """

    build: Path
    sentences: int
    levels: tuple[LevelResult, ...]
    recompiled: tuple[str, ...] | None
    damaged: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether there was something to compare, all of it was compared and is equal, the compiled files too."""
        files = (*(self.recompiled or ()), *self.damaged)
        return len(self.levels) > 1 and all(level.equal for level in self.levels) and not files

    @property
    def verdict(self) -> str:
        """The result in words."""
        if self.equal:
            return "equal at every level"
        different = (
            self.recompiled
            or self.damaged
            or any(level.first_difference is not None for level in self.levels)
        )
        return "NOT EQUAL" if different else "NOT COMPARED"


def verify(options: VerifyOptions, progress: Callable[[int, int], Any] | None = None) -> VerifyReport:
    """Runs sentences at every level and compares all tensors and all answers with `==`.

    Args:
        options: what is compared.
        progress: called with (sentences done, sentences to do), counted over all levels.

    Raises:
        UserError: build, run or data can't be read, there is no sentence, or the run is not the build's.
    """
    build = options.build
    graph = read_build(build)
    frontend = frontend_of(graph)
    others = [name for name in options.levels if name != "golden"]
    recompiled = None
    if any(name in ENGINES for name in others):
        check_model(build, read_engine(build), graph)
        recompiled = recompile(build, graph) if options.recompile else None
    chosen = [
        GoldenModel(graph),
        *(make_level(name, build, graph, run=options.run, stalls=options.stalls) for name in others),
    ]
    encoded = frontend.read(options.data, options.split, options.limit)
    inputs = sentences(encoded, graph.segments)
    if not inputs:
        raise UserError(
            f"there is no sentence in the split {options.split} of {options.data}; give at least one to compare."
        )
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, len(inputs) * len(chosen))

    def names(sentence: int, logits: Mapping[str, IntArray]) -> tuple[str, ...]:
        one = replace(encoded, word_starts=encoded.word_starts[sentence : sentence + 1])
        found = decode(
            [logits["label"]], [logits["slots"]] if "slots" in logits else None, one, frontend.labels
        )
        return (*found.labels, *(found.slots[0] if found.slots is not None else ()))

    results = verify_levels(graph, chosen, inputs, names=names, progress=advance)
    return VerifyReport(build, len(inputs), tuple(results), recompiled, damaged_files(build))
