"""`narrowgauge.load`: one object for every level, with the same answers."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

import narrowgauge
from narrowgauge.deploy.model import LEVELS, Answer, Model, on_engine
from narrowgauge.errors import UserError
from narrowgauge.hw import isa
from narrowgauge.hw.compiler.compile import compile_graph
from narrowgauge.hw.host.folder import read_engine
from narrowgauge.sim.engine.simulator import ProgramSimulator
from narrowgauge.text.frontend import Prediction

from ..support.builds import SmallBuild, small_build
from ..support.graphs import random_graph

WORDS = ("play", "a", "song", "in", "the", "Kitchen", "old", "barn", "jazz", "it's", "naïve", "猫")


def texts(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 14))) for _ in range(count)]


def said(answers: list[Answer]) -> list[Prediction]:
    return [Prediction(a.words, a.label, a.slots, a.logits) for a in answers]


@pytest.fixture(scope="module", params=[1, 2])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SmallBuild:
    return small_build(tmp_path_factory.mktemp("small"), sentences=request.param)


@pytest.mark.parametrize("level", ["golden", "program"])
def test_every_level_gives_the_answers_of_the_program(small: SmallBuild, level: str) -> None:
    asked = texts(21)
    expected = narrowgauge.predict(small.folder, asked)
    with narrowgauge.load(small.folder, on=level) as model:
        answers = model.predict(asked)
        assert model.predict([]) == []
        assert said(model.predict(asked[:3])) == expected[:3]
    assert said(answers) == expected and len({a.logits for a in answers}) > 10
    assert {a.level for a in answers} == {model.level} == {level}
    assert all(a.seconds > 0 and a.cycles is None for a in answers)
    assert model.build == read_engine(small.folder)


def test_the_rtl_counts_cycles(tmp_path: Path) -> None:
    small = small_build(tmp_path)
    asked = texts(3)
    with narrowgauge.load(str(small.folder), on="rtl") as model:
        answers = model.predict(asked)
    assert said(answers) == narrowgauge.predict(small.folder, asked)
    for answer in answers:
        assert answer.cycles is not None and set(answer.cycles) == {name for name, _ in isa.COUNTERS}
        assert 0 < answer.cycles["ARRAY_BUSY"] < answer.cycles["CYCLES"]


def test_the_sentences_of_one_run_have_its_counters(small: SmallBuild) -> None:
    """Every RUN has its own counters, and each answer those of its run."""

    class Counting(ProgramSimulator):
        def run(self, *arguments: Any, **options: Any) -> bytes:
            self.counters["CYCLES"] = self.counters.get("CYCLES", 0) + 1
            return super().run(*arguments, **options)

    build = read_engine(small.folder)
    with on_engine(build, "counting", Counting(build.engine)) as model:
        found = [a.cycles for a in model.predict(texts(7))]
    runs = [one["CYCLES"] for one in found if one is not None]
    per_run = build.program.sentences
    assert sorted(runs) == [1 + at // per_run for at in range(7)]


def test_a_folder_without_a_program_has_a_golden_model(small: SmallBuild, tmp_path: Path) -> None:
    for name in ("model.onnx", "manifest.json"):
        (tmp_path / name).write_bytes((small.folder / name).read_bytes())
    with narrowgauge.load(tmp_path, on="golden") as model:
        assert model.build is None
        assert said(model.predict(["play jazz"])) == narrowgauge.predict(small.folder, ["play jazz"])
    with pytest.raises(UserError, match="has no program for the engine"):
        narrowgauge.load(tmp_path)


def test_threads_take_turns(small: SmallBuild) -> None:
    asked = texts(12)
    expected = narrowgauge.predict(small.folder, asked)
    busy = threading.Lock()

    with narrowgauge.load(small.folder) as model:
        execute = model._execute

        def alone(inputs: object) -> Iterator[object]:
            assert busy.acquire(blocking=False), "two threads use the engine"
            try:
                yield from execute(inputs)  # type: ignore[arg-type]
            finally:
                busy.release()

        model._execute = alone  # type: ignore[assignment]
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda text: model.predict([text])[0], asked))
    assert said(answers) == expected


def test_a_closed_model_answers_nothing_and_closes_once(small: SmallBuild) -> None:
    build = read_engine(small.folder)
    engine = ProgramSimulator(build.engine)
    engine.close = Mock(wraps=engine.close)  # type: ignore[method-assign]
    model: Model = on_engine(build, "program", engine)
    model.close()
    model.close()
    engine.close.assert_called_once()
    with pytest.raises(ValueError, match="the model is closed"):
        model.predict(["play"])


def test_what_can_t_be_loaded_is_one_sentence(small: SmallBuild, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"there is no level 'silicon'; choose from {', '.join(LEVELS)}"):
        narrowgauge.load(small.folder, on="silicon")
    with pytest.raises(UserError, match="is not a folder"):
        narrowgauge.load(tmp_path / "none")
    with pytest.raises(TypeError, match="timeout"):
        narrowgauge.load(small.folder, timeout=3)
    with narrowgauge.load(small.folder) as model, pytest.raises(TypeError, match="list of sentences"):
        model.predict("play a song")


def test_an_engine_is_closed_if_the_build_has_no_names(small: SmallBuild) -> None:
    build = compile_graph(random_graph(np.random.default_rng(0)), lanes=8)
    engine = ProgramSimulator(build.engine)
    engine.close = Mock()  # type: ignore[method-assign]
    with pytest.raises(UserError, match="no vocabulary or labels"):
        on_engine(build, "program", engine)
    engine.close.assert_called_once()
