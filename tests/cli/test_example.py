"""The build in `examples/voice`: small, complete, and what the code writes of its model."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from narrowgauge.cli import main
from narrowgauge.graph.onnx_io import read_build
from narrowgauge.text import Labels, tokenizer_from_json

MOST_BYTES = 1_000_000
"""Size of the example, so that a clone of the repository stays small."""

FILES = {"engine.json", "manifest.json", "model.onnx", "program.bin", "stream.bin", "weights.bin"}


@pytest.fixture
def example(root: Path) -> Path:
    return root / "examples" / "voice"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_example_is_small_and_complete(example: Path) -> None:
    files = contents(example)
    assert set(files) == FILES
    assert sum(map(len, files.values())) < MOST_BYTES


def test_the_example_is_what_the_code_writes(example: Path, tmp_path: Path) -> None:
    """Compiled again from its model, every file has the same bytes, `model.onnx` and the manifest included."""
    copy = tmp_path / "voice"
    shutil.copytree(example, copy)
    for name in FILES - {"model.onnx", "manifest.json"}:
        (copy / name).write_bytes(b"")
    assert main(["compile", str(copy), "--no-hls"]) == 0
    assert contents(copy) == contents(example)


def test_the_example_has_the_layers_of_its_configuration(example: Path, root: Path) -> None:
    pytest.importorskip("torch")
    from narrowgauge.model.config import read_config
    from narrowgauge.model.freeze import freeze
    from narrowgauge.model.transformer import Transformer

    graph = read_build(example)
    tokenizer = tokenizer_from_json(dict(graph.metadata.tokenizer))
    labels = Labels.from_json(dict(graph.metadata.labels))
    config = read_config(root / "examples" / "voice.toml")
    model = replace(
        config.model,
        vocab_size=tokenizer.vocab_size,
        labels=len(labels.intents),
        tags=len(labels.slots),
    )
    fresh = freeze(Transformer(model).eval())
    assert fresh.nodes == graph.nodes
    assert {name: value.dims for name, value in fresh.values.items()} == {
        name: value.dims for name, value in graph.values.items()
    }


def test_the_example_verifies(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["verify", str(example), "--data", "voice", "--limit", "20"]
    assert main([*command, "--levels", "golden,onnx,program"]) == 0
    assert "20 sentences of voice: equal at every level" in capsys.readouterr().out


@pytest.mark.slow
def test_the_example_is_what_its_commands_write(
    example: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands of `make example`, trained from the start. The same bytes hold for one kind of processor."""
    lines = [
        line.split("$(NARROWGAUGE) ")[1]
        for line in (root / "Makefile").read_text(encoding="utf-8").split("\nexample:")[1].splitlines()[1:]
        if line.startswith("\t$(NARROWGAUGE)")
    ][:3]
    assert [line.split()[0] for line in lines] == ["train", "train", "export"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").mkdir()
    shutil.copy(root / "examples" / "voice.toml", tmp_path / "examples")
    for line in lines:
        assert main(line.split()) == 0, line
    assert contents(tmp_path / "examples" / "voice") == contents(example)
