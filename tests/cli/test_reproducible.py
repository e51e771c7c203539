"""Repeated training and export, in other processes, folders and hash orders, give the same files, byte for byte."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from narrowgauge.cli import main
from narrowgauge.graph.onnx_io import read_build
from narrowgauge.model.checkpoint import LOG_FILE, read_tensors, write_tensors

from ..model.test_training import CONFIG, changed
from ..support.configs import write_config
from ..support.corpora import write_splits, write_verbs


def files(folder: Path) -> dict[str, bytes]:
    """All files below a folder, except links and logs."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != LOG_FILE
    }


PROGRAM = """
import json, sys
from narrowgauge.cli import main
for arguments in json.loads(sys.argv[1]):
    assert main(arguments) == 0
"""


def train_and_export(folder: Path, tokenizer: str, hash_seed: str | None) -> None:
    """Runs both commands, with data in the folder; in a separate process if a hash seed is given."""
    write_splits(folder / "data", write_verbs, 20, 6, 6)
    kind = replace(CONFIG.tokenizer, kind=tokenizer, vocab_size=60)  # type: ignore[arg-type]
    write_config(replace(changed(epochs=1, qat_epochs=1), tokenizer=kind), folder / "config.toml")
    data, config, run, build = (str(folder / name) for name in ("data", "config.toml", "run", "build"))
    commands = [
        ["train", "--data", data, "--config", config, "--out", run, "--threads", "1"],
        ["export", run, "--out", build],
    ]
    if hash_seed is None:
        for arguments in commands:
            assert main(arguments) == 0
        return
    subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    train_and_export(folder, "wordpiece", None)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """All files of run and build; the run's record of the data without its path."""
    found = {**files(folder / "run"), **files(folder / "build")}
    data = json.loads(found["data.json"])
    assert data.pop("source") == str(folder / "data")
    return {**found, "data.json": json.dumps(data).encode()}


def assert_same_bytes(one: Path, other: Path) -> None:
    found, wanted = content(one), content(other)
    assert found.keys() == wanted.keys() and len(found) > 25
    assert [name for name in found if found[name] != wanted[name]] == []


def test_the_same_training_and_export_give_the_same_bytes(first: Path, tmp_path: Path) -> None:
    train_and_export(tmp_path / "another folder", "wordpiece", "77")
    assert_same_bytes(tmp_path / "another folder", first)


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", ["word", "wordpiece"])
def test_no_order_of_hashes_changes_a_byte(tokenizer: str, tmp_path: Path) -> None:
    for hash_seed in ("0", "1", "2", "123456"):
        train_and_export(tmp_path / hash_seed, tokenizer, hash_seed)
        assert_same_bytes(tmp_path / hash_seed, tmp_path / "0")


def test_a_build_knows_its_data_by_name_and_digest_and_its_scores_without_times(first: Path) -> None:
    provenance = read_build(first / "build").metadata.provenance
    assert provenance["data"]["name"] == "data" and len(provenance["data"]["sha256"]) == 64
    assert provenance["data"]["sentences"] == {"train": 20, "dev": 6, "test": 6}
    assert set(provenance["scores"]) == {"float", "quantized"}
    assert "seconds" not in json.dumps(dict(provenance))
    for name, written in files(first / "build").items():
        assert str(first).encode() not in written, name
    # The log contains times.
    assert (first / "run" / LOG_FILE).read_text().count(" s") >= 2


def test_the_test_sentences_of_an_export_are_those_of_the_training(first: Path, tmp_path: Path) -> None:
    """The run has the path of the data, the build does not; `compile` needs --vectors."""
    exported = files(first / "build" / "hls")
    build = Path(shutil.copytree(first / "build", tmp_path / "build"))
    assert main(["compile", str(build)]) == 0
    assert files(build / "hls") != exported
    assert main(["compile", str(build), "--vectors", str(first / "data")]) == 0
    assert files(build / "hls") == exported


def test_a_checkpoint_does_not_depend_on_the_order_of_its_tensors(tmp_path: Path) -> None:
    tensors = {f"t{k}": torch.arange(k, dtype=torch.float32 if k % 2 else torch.int64) for k in range(9)}
    for number in range(8):
        order = list(tensors)[number:] + list(tensors)[:number]
        path = tmp_path / f"{number}.safetensors"
        write_tensors(path, {name: tensors[name] for name in order}, {"epoch": 1, "é": "ü"})
        assert path.read_bytes() == (tmp_path / "0.safetensors").read_bytes()
    loaded, state = read_tensors(path)
    assert state == {"epoch": 1, "é": "ü"}
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())
