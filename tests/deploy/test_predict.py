"""`narrowgauge.predict`: the answers of a build's program are those of its model, in any number of sentences."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import narrowgauge
from narrowgauge.errors import UserError
from narrowgauge.graph.onnx_io import read_build
from narrowgauge.hw.compiler.build import checked_frontend
from narrowgauge.hw.compiler.compile import compile_graph
from narrowgauge.hw.compiler.frontend import frontend_of
from narrowgauge.hw.host.folder import read_engine
from narrowgauge.sim.engine.simulator import ProgramSimulator
from narrowgauge.sim.levels.predict import predict as predict_by_model
from narrowgauge.text.frontend import Text

from ..support.builds import SmallBuild, small_build
from ..support.graphs import random_graph

WORDS = (
    "play",
    "a",
    "song",
    "in",
    "the",
    "Kitchen",
    "old",
    "barn",
    "jazz",
    "it's",
    "naïve",
    "猫",
    "a" * 300,
    "-",
)


def sentence(rng: random.Random, longest: int = 14) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(1, longest)))


def texts(count: int, pairs: bool, seed: int = 0) -> list[Text]:
    rng = random.Random(seed)
    return [(sentence(rng, 8), sentence(rng, 8)) if pairs else sentence(rng) for _ in range(count)]


@pytest.fixture(scope="module", params=["words", "pieces", "pairs"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SmallBuild:
    if request.param == "pieces":
        pytest.importorskip("tokenizers")
    return small_build(
        tmp_path_factory.mktemp("small"),
        pieces=request.param == "pieces",
        pairs=request.param == "pairs",
        sentences=1 + (request.param == "pieces"),
    )


def test_predictions_are_those_of_the_golden_model(small: SmallBuild) -> None:
    asked = texts(40, small.graph.segments)
    expected = predict_by_model(small.folder, asked)
    assert len(expected) == 40 and len({answer.logits for answer in expected}) > 20
    assert narrowgauge.predict(small.folder, asked) == expected
    build = read_engine(small.folder)
    with ProgramSimulator(build.engine, strict=True) as engine:
        assert narrowgauge.predict(build, asked[:9], engine=engine) == expected[:9]
        # The engine stays open, and may be given another program.
        assert narrowgauge.predict(str(small.folder), asked[9:11], engine=engine) == expected[9:11]
    assert narrowgauge.predict(build, []) == []


def test_what_the_compiler_gives_is_what_a_folder_holds(small: SmallBuild) -> None:
    options = read_engine(small.folder).options
    compiled = compile_graph(
        read_build(small.folder), lanes=options.lanes, sentences=options.sentences, tight=options.tight
    )
    read = read_engine(small.folder)
    assert replace(compiled, model=read.model) == read
    assert read.frontend == frontend_of(small.graph) == checked_frontend(small.folder, small.graph)


def test_a_build_runs_without_its_model(small: SmallBuild, tmp_path: Path) -> None:
    asked = texts(5, small.graph.segments)
    expected = narrowgauge.predict(small.folder, asked)
    for name in ("program.bin", "weights.bin", "stream.bin", "engine.json"):
        shutil.copy(small.folder / name, tmp_path)
    assert narrowgauge.predict(tmp_path, asked) == expected


def test_sentences_are_cut_at_the_length_of_the_program(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small = small_build(tmp_path, max_length=6)
    asked = texts(20, False)
    answers = narrowgauge.predict(small.folder, asked)
    cut = sum(len(str(text).split()) > 5 for text in asked)
    assert 5 < cut < 20
    assert f"{cut} of 20 sentences are longer than the model's 6 tokens" in caplog.text
    assert max(len(answer.words) for answer in answers) == 5
    assert answers == predict_by_model(small.folder, asked)
    with pytest.raises(UserError, match="longer than the model's 6 tokens"):
        narrowgauge.predict(small.folder, asked, strict=True)


def test_what_can_t_be_answered_is_one_sentence(small: SmallBuild) -> None:
    pairs = small.graph.segments
    build = read_engine(small.folder)
    wrong: list[tuple[Text, str]] = [
        ("one" if pairs else ("one", "two"), "this model takes"),
        (("", "two") if pairs else "", "there is no word in the"),
    ]
    for text, words in wrong:
        with pytest.raises(UserError, match=words):
            narrowgauge.predict(build, [text])
    with pytest.raises(TypeError, match="list of sentences"):
        narrowgauge.predict(build, "play a song")
    for other in (
        3,
        None,
        b"ab",
        (),
        ("a",),
        ("a", None),
        ("a", 3),
        ("a", "b", "c"),
        (b"a", b"b"),
        ["a", ["b"]],
    ):
        with pytest.raises(TypeError, match="a text must be a string or a pair of strings, got"):
            narrowgauge.predict(build, [other])  # type: ignore[list-item]


def test_a_graph_without_names_has_no_answers() -> None:
    build = compile_graph(random_graph(np.random.default_rng(0)), lanes=8)
    assert build.frontend is None
    with pytest.raises(UserError, match="no vocabulary or labels"):
        narrowgauge.predict(build, ["play"])
