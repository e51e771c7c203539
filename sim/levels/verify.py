"""The verification ladder: a build's levels, run on the sentences of a data set and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...fixedpoint import IntArray
from ...graph import Graph
from ...graph.level import Level
from ...graph.onnx_io import damaged_files, read_build
from ...hw.compiler.build import checked_frontend, recompile
from ...hw.compiler.frontend import frontend_of
from ...hw.host.engine import Engine
from ...hw.host.folder import read_engine
from ...hw.isa import Parameters
from ...text.scores import decode
from ..golden.model import GoldenModel
from . import ENGINES, LEVELS
from .compare import LevelResult, verify_levels
from .engine import EngineLevel
from .levels import make_level
from .predict import sentences


@dataclass(frozen=True)
class VerifyOptions:
    """What is verified.

    Attributes:
        build: folder of an export.
        data: the source of the sentences, see `text.load`.
        run: the training run that the build was frozen from: for the level torch.
        split, limit: which sentences, and their largest number.
        levels: names in `LEVELS`; the golden model always runs.
        stalls: let the streams of the RTL stall at random.
        recompile: compile the model again, if a level runs its program, and compare the bytes.
        engines: further engines, by the names of their levels, which are not in `LEVELS`: functions that open one for
            the parameters of a program. `verify` closes what they open.
    """

    build: Path
    data: str
    run: Path | None = None
    split: str = "test"
    limit: int | None = None
    levels: Sequence[str] = LEVELS
    stalls: bool = False
    recompile: bool = True
    engines: Mapping[str, Callable[[Parameters], Engine]] = field(default_factory=dict)


@dataclass(frozen=True)
class VerifyReport:
    """The result of a verification.

    Attributes:
        build: the folder.
        sentences: the number of sentences that were run.
        levels: one result per level, the reference first.
        recompiled: the files that differ from what the compiler writes for the model; None if they were not compared:
            `recompile` was off, or no level runs a program.
        damaged: the files whose size or checksum differs from the manifest.
    """

    build: Path
    sentences: int
    levels: tuple[LevelResult, ...]
    recompiled: tuple[str, ...] | None
    damaged: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether at least two levels were compared in full and everything is equal, the compiled files included."""
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
        UserError: build, run or data can't be read, there is no sentence, the run is not the build's, or an engine has
            the name of a level.
    """
    for name in options.engines:
        if name in LEVELS:
            raise UserError(f"{name} is the name of a level; give the engine another name.")
    build = options.build
    graph = read_build(build)
    programs = bool(options.engines) or any(name in ENGINES for name in options.levels)
    frontend = checked_frontend(build, graph) if programs else frontend_of(graph)
    encoded = frontend.read(options.data, options.split, options.limit)
    inputs = sentences(frontend, encoded)
    if not inputs:
        raise UserError(
            f"the split {options.split} of {options.data} has no sentence; at least one is needed to compare levels."
        )
    recompiled = recompile(build, graph) if programs and options.recompile else None

    def names(sentence: int, logits: Mapping[str, IntArray]) -> tuple[str, ...]:
        one = replace(encoded, word_starts=encoded.word_starts[sentence : sentence + 1])
        found = decode(
            [logits["label"]], [logits["slots"]] if "slots" in logits else None, one, frontend.labels
        )
        return (*found.labels, *(found.slots[0] if found.slots is not None else ()))

    with ExitStack() as stack:
        levels: list[Level] = [GoldenModel(graph)]
        for level in _others(options, graph):
            if isinstance(level, AbstractContextManager):
                stack.enter_context(level)
            levels.append(level)
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            if progress is not None:
                progress(done, len(inputs) * len(levels))

        results = verify_levels(graph, levels, inputs, names=names, progress=advance)
    return VerifyReport(build, len(inputs), tuple(results), recompiled, damaged_files(build))


def _others(options: VerifyOptions, graph: Graph) -> Iterator[Level]:
    """The levels that are compared with the golden model, each opened when it is asked for."""
    for name in options.levels:
        if name != "golden":
            yield make_level(name, options.build, graph, run=options.run, stalls=options.stalls)
    if options.engines:
        compiled = read_engine(options.build)
        for name, opened in options.engines.items():
            yield EngineLevel(graph, compiled, opened(compiled.program.parameters), name)
