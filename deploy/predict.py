"""Predictions of a build from text, on any engine. With the program simulator it needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError, printable
from ..hw.host.build import EngineBuild
from ..hw.host.engine import Engine
from ..hw.host.folder import read_engine
from ..hw.host.session import Session
from ..sim.engine.simulator import ProgramSimulator
from ..text.frontend import Frontend, Prediction, Text

_WIDEST = 40
"""Characters of a word in a table."""


def predict(
    build: str | Path | EngineBuild,
    texts: Sequence[Text],
    *,
    engine: Engine | None = None,
    strict: bool = False,
) -> list[Prediction]:
    """Runs sentences through a compiled model.

    Args:
        build: the folder of a build, or what `hw.host.folder.read_engine` gave for it.
        texts: strings; for a model of pairs, pairs of strings.
        engine: what executes the program; it stays open. None for the program simulator.
        strict: refuse a sentence that is too long; otherwise it is cut, with a warning.

    Returns:
        One prediction for each text.

    Raises:
        UserError: the build can't be read or has no vocabulary, a sentence has no word, is one of a pair where the
            model takes single sentences or the other way round, or is too long with `strict`.
        TypeError: `texts` is one string, or one of them is neither a string nor a pair of strings.
    """
    if not isinstance(build, EngineBuild):
        build = read_engine(Path(build))
    frontend = frontend_of(build)
    split = frontend.encode(texts, strict=strict)
    inputs = frontend.inputs(split)
    if engine is not None:
        return frontend.predictions(split, Session(build, engine).predict(inputs))
    with ProgramSimulator(build.program.parameters) as simulator:
        return frontend.predictions(split, Session(build, simulator).predict(inputs))


def frontend_of(build: EngineBuild) -> Frontend:
    """The front end of a compiled model.

    Raises:
        UserError: it has none.
    """
    if build.frontend is None:
        raise UserError("this model carries no vocabulary or labels; export it from a training run.")
    return build.frontend


def lines_of(prediction: Prediction) -> list[str]:
    """An answer in printable form: the class, and one line for each word with its tag."""
    lines = [printable(prediction.label)]
    if prediction.slots is not None:
        words = [printable(word, _WIDEST) for word in prediction.words]
        width = max(map(len, words))
        lines += [
            f"  {word.ljust(width)}  {printable(tag)}"
            for word, tag in zip(words, prediction.slots, strict=True)
        ]
    return lines
