"""`load`: a compiled model on one of the levels, answering sentences; the same object for every level.

Needs numpy only, and what the level itself needs: its modules are imported when it is asked for.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UserError
from ..fixedpoint import IntArray
from ..hw.host.build import EngineBuild
from ..hw.host.engine import Engine
from ..hw.host.folder import has_engine, read_engine
from ..hw.host.session import Session
from ..hw.isa import Parameters
from ..sim.engine.simulator import ProgramSimulator
from ..sim.levels import ENGINES, VIRTUAL
from ..text.frontend import Frontend, Prediction, Text
from .predict import frontend_of

if TYPE_CHECKING:
    from .board import Board

LEVELS = ("board", VIRTUAL, *ENGINES, "golden")
"""The levels of `load`."""

Inputs = Sequence[tuple[IntArray, "IntArray | None"]]
"""Token ids and segment ids of each sentence."""


@dataclass(frozen=True)
class Answer(Prediction):
    """The answer of a model for one sentence, or for one pair.

    Attributes:
        words, label, slots, logits: see `Prediction`.
        level: what computed it, one of `LEVELS`.
        seconds: wall time of the run that computed it, without tokenization.
        cycles: the engine's counters of that run, by the names of `isa.COUNTERS`; None without a clock. The sentences
            that share a run have its time and its counters in common.
    """

    level: str
    seconds: float
    cycles: Mapping[str, int] | None


@dataclass(frozen=True)
class Run:
    """One run of a level.

    Attributes:
        numbers: the positions of its sentences.
        logits: of each of these sentences, by task.
        seconds, cycles: see `Answer`.
    """

    numbers: Sequence[int]
    logits: Sequence[Mapping[str, IntArray]]
    seconds: float
    cycles: Mapping[str, int] | None


class Model:
    """A model that answers sentences. Close it after use, with `close` or as a context manager.

    Several threads may share it: their calls take turns.

    Args:
        level: name of what computes.
        build: the compiled model; None for the golden model of a build without a program.
        frontend: of the model.
        execute: runs sentences and yields each run.
        close: frees what computes.

    Attributes:
        level, build: as given.
    """

    def __init__(
        self,
        level: str,
        build: EngineBuild | None,
        frontend: Frontend,
        execute: Callable[[Inputs], Iterator[Run]],
        close: Callable[[], object] = lambda: None,
    ) -> None:
        self.level = level
        self.build = build
        self._frontend = frontend
        self._execute = execute
        self._close: Callable[[], object] | None = close
        self._lock = threading.Lock()

    def predict(self, texts: Sequence[Text], *, strict: bool = False) -> list[Answer]:
        """Answers sentences.

        Args:
            texts: strings; for a model of pairs, pairs of strings.
            strict: refuse a sentence that is too long; otherwise it is cut, with a warning.

        Returns:
            One answer for each text.

        Raises:
            UserError: a sentence has no word, is one of a pair where the model takes single sentences or the other way
                round, or is too long with `strict`; or the engine gave no answer.
            TypeError: `texts` is one string, or one of them is neither a string nor a pair of strings.
            ValueError: the model is closed.
        """
        split = self._frontend.encode(texts, strict=strict)
        with self._lock:
            if self._close is None:
                raise ValueError("the model is closed")
            runs = list(self._execute(self._frontend.inputs(split)))
        of = {
            number: (run, logits)
            for run in runs
            for number, logits in zip(run.numbers, run.logits, strict=True)
        }
        every = [of[number] for number in range(len(texts))]
        tasks = every[0][1] if every else ("label",)
        names = self._frontend.predictions(
            split, {task: [logits[task] for _, logits in every] for task in tasks}
        )
        return [
            Answer(**vars(name), level=self.level, seconds=run.seconds, cycles=run.cycles)
            for name, (run, _) in zip(names, every, strict=True)
        ]

    async def predict_async(self, texts: Sequence[Text], *, strict: bool = False) -> list[Answer]:
        """`predict` in another thread, for use in an event loop, which runs other tasks meanwhile."""
        return await asyncio.to_thread(self.predict, texts, strict=strict)

    def close(self) -> None:
        """Frees what computes; closing it again does nothing."""
        with self._lock:
            close, self._close = self._close, None
        if close is not None:
            close()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def load(build: str | Path, on: str = "program", **options: Any) -> Model:
    """A build on one of the levels.

    Args:
        build: the folder of a build, or its part that was copied to a board.
        on: what computes. "board" is the engine on this board; "virtual" is a virtual board, on which the same driver
            runs; both need the extra `board`. "program" is the program simulator, which needs numpy only. "hls" and
            "rtl" are the engine's sources in simulation. "golden" is the golden model, which needs `model.onnx` and the
            extra `sim`.
        options: `twice` of all levels but "golden", see `on_engine`; `timeout` and `interrupt` of "board" and
            "virtual", see `deploy.board.Board`; `bitfile` and `device` of "board", see `Board.open`; `family`,
            `faults` and `waves` of "virtual", see `deploy.virtual.VirtualBoard`.

    Raises:
        UserError: the build can't be read or has no vocabulary, there is no such level, or something that it needs is
            missing.
        TypeError: the level has no such option.
    """
    folder = Path(build)
    if on == "golden":
        return _golden(folder, **options)
    if on not in LEVELS:
        raise UserError(f"there is no level {on!r}; choose from {', '.join(LEVELS)}.")
    twice = bool(options.pop("twice", False))
    compiled = read_engine(folder)
    engine: Engine
    if on == "board":
        engine = open_board(folder, compiled, **options)
    elif on == VIRTUAL:
        engine = open_virtual(compiled.program.parameters, **options)
    else:
        engine = _simulated(compiled, on, **options)
    return on_engine(compiled, on, engine, twice=twice)


def on_engine(build: EngineBuild, level: str, engine: Engine, *, twice: bool = False) -> Model:
    """A model on an engine, which it owns: closing the model closes the engine.

    After an error, the next sentence clears the engine and loads the build again.

    Args:
        build: what it runs.
        level: see `Model`.
        engine: what runs it.
        twice: run every sentence twice, and refuse the answer if the logits differ. The packets of a RUN have no
            checksum: this finds a word that was corrupted once between memory and engine.

    Raises:
        UserError: the build has no vocabulary or labels.
        ProgramError: the engine refuses the program or its constants.
    """
    try:
        frontend = frontend_of(build)
        session: Session | None = Session(build, engine)
    except BaseException:
        engine.close()
        raise

    def execute(inputs: Inputs) -> Iterator[Run]:
        nonlocal session
        if session is None:
            # After an error, neither the state of the engine nor what it has loaded is relied on.
            engine.clear()
            session = Session(build, engine)
        try:
            start = time.perf_counter()
            for numbers, logits in session.runs(inputs):
                if twice:
                    _compare(logits, session.run([inputs[number] for number in numbers]))
                yield Run(numbers, logits, time.perf_counter() - start, dict(engine.counters) or None)
                start = time.perf_counter()
        except BaseException:
            session = None
            raise

    return Model(level, build, frontend, execute, engine.close)


def _compare(one: Sequence[Mapping[str, IntArray]], other: Sequence[Mapping[str, IntArray]]) -> None:
    """Checks that two runs of the same sentences have the same logits.

    Raises:
        UserError: they have not.
    """
    for first, second in zip(one, other, strict=True):
        if any(not np.array_equal(first[task], second[task]) for task in first):
            raise UserError(
                "two runs of a sentence gave different results; repeat it, and if this happens again, run "
                "narrowgauge-board selftest."
            )


def _simulated(build: EngineBuild, level: str) -> Engine:
    if level == "program":
        return ProgramSimulator(build.program.parameters)
    from ..sim.levels.engines import open_engine

    return open_engine(level, build.program.parameters)


def open_board(
    folder: Path,
    build: EngineBuild,
    *,
    bitfile: str | Path | None = None,
    device: Any = None,
    **options: Any,
) -> Board:
    """The engine on this board, which fits a build.

    Args:
        folder: of the build, where the bitstream is searched.
        build: it is not loaded.
        bitfile: see `Board.open`; None for the one in the folder.
        device, options: see `Board.open`.

    Raises:
        UserError: pynq is missing, or the engine does not fit the build; and see `Board.open`.
    """
    with _needs("board", "a board"):
        from .board import Board
    board = Board.open(bitfile or folder, device, **options)
    try:
        check_fits(build, board.parameters)
    except BaseException:
        board.close()
        raise
    return board


def open_virtual(needs: Parameters, **options: Any) -> Board:
    """A virtual board with the driver of real ones, as an engine.

    Args:
        needs: the parameters of the programs that it is to run.
        options: of `deploy.virtual.VirtualBoard`.

    Raises:
        UserError: a package, Verilator or a compiler is missing.
    """
    with _needs("board", "a virtual board"):
        from .virtual import VirtualBoard
    return VirtualBoard(needs, **options)


def check_fits(build: EngineBuild, engine: Parameters) -> None:
    """Checks that an engine has the lanes and the memories that a program needs.

    Raises:
        UserError: it has not.
    """
    needs = build.program.parameters
    for name, needed in vars(needs).items():
        found = getattr(engine, name)
        if found < needed or (name == "lanes" and found != needed):
            least = "" if name == "lanes" else "at least "
            raise UserError(
                f"the program needs an engine with {name} {least}{needed}, and this one has {found}; compile for the "
                "engine of this board, with --board or --engine."
            )


@contextmanager
def _needs(extra: str, what: str) -> Iterator[None]:
    """Turns a missing package into the way to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(
            f"{what} needs the package {error.name}; install it with: pip install -e '.[{extra}]'"
        ) from None


def _golden(folder: Path) -> Model:
    with _needs("sim", "the golden model"):
        from ..graph.level import Sentence
        from ..graph.onnx_io import read_build
        from ..hw.compiler.build import checked_frontend
        from ..sim.golden.model import GoldenModel
    graph = read_build(folder)
    frontend = checked_frontend(folder, graph)
    golden = GoldenModel(graph)

    def execute(inputs: Inputs) -> Iterator[Run]:
        # One at a time, as on an engine: the time of a sentence is its own.
        for number, (tokens, segments) in enumerate(inputs):
            start = time.perf_counter()
            logits = golden.predict([Sentence(tokens, segments)])
            alone = {task: values[0] for task, values in logits.items()}
            yield Run([number], [alone], time.perf_counter() - start, None)

    build = read_engine(folder) if has_engine(folder) else None
    return Model("golden", build, frontend, execute)
