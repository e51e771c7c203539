"""Run folders that are damaged, foreign, in use, or of another run are refused in one sentence at the start."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import narrowgauge.model.training as training_module
from narrowgauge.cli import main
from narrowgauge.errors import UserError
from narrowgauge.model.checkpoint import LAST, load_run, read_tensors, write_tensors
from narrowgauge.model.finite import NotFiniteError
from narrowgauge.model.training import TrainResult, train

from ..support.configs import write_config
from ..support.corpora import write_splits, write_verbs
from ..support.mutations import assert_one_sentence, mutated_bytes
from .test_training import CONFIG, MODEL, changed, options

CHECKPOINTS = ("float.safetensors", "quantized.safetensors", LAST)
RECORDS = ("config.json", "tokenizer.json", "labels.json", "data.json")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_splits(tmp_path_factory.mktemp("data") / "few", write_verbs, 12, 4, 4)


@pytest.fixture(scope="module")
def finished(data: str, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(options(data, tmp_path_factory.mktemp("finished") / "run", changed(epochs=1, qat_epochs=2)))


@pytest.fixture
def run(finished: TrainResult, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.out, tmp_path / "run"))


def read_all(run: Path, data: str) -> None:
    """Reads a folder in every way that commands do, up to the first training step."""
    load_run(run)
    load_run(run, "float")
    training_module._Training(options(data, run, changed(epochs=1, qat_epochs=2), resume=True))._restore()


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A file with one change, mostly near its beginning, where the descriptions are, and often in a number."""
    head = len(content) if rng.random() < 0.3 else min(len(content), 1500)
    digits = [place for place in range(head) if chr(content[place]).isdigit()]
    if digits and rng.random() < 0.2:
        at = rng.choice(digits)
        return content[:at] + bytes([rng.choice(b"0123456789-eE.")]) + content[at + 1 :]
    return mutated_bytes(rng, content[:head])[1] + content[head:]


def fuzz(run: Path, data: str, cases: range) -> int:
    """Damages one file of a run at a time; returns how many were refused."""
    refused = 0
    whole = {name: (run / name).read_bytes() for name in (*CHECKPOINTS, *RECORDS)}
    for case in cases:
        rng = random.Random(case)
        name = rng.choice(list(whole))
        (run / name).write_bytes(damaged(whole[name], rng))
        try:
            read_all(run, data)
        except UserError as error:
            assert_one_sentence(error)
            refused += 1
        (run / name).write_bytes(whole[name])
    read_all(run, data)
    return refused


def test_damaged_files_are_read_or_refused(run: Path, data: str) -> None:
    assert fuzz(run, data, range(150)) > 75


@pytest.mark.slow
def test_many_damaged_files_are_read_or_refused(run: Path, data: str) -> None:
    assert fuzz(run, data, range(1000, 6000)) > 2500


def header(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the header of a safetensors file."""
    content = path.read_bytes()
    (size,) = struct.unpack_from("<Q", content)
    value = json.loads(content[8 : 8 + size])
    change(value)
    text = json.dumps(value).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])


def set_tensor(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    """Changes the largest tensor, bypassing the check on writing."""

    def edit(path: Path) -> None:
        tensors, state = read_tensors(path)
        name = max(tensors, key=lambda name: (tensors[name].numel(), name))
        from safetensors.torch import save_file

        metadata = {"format_version": "1", "state": json.dumps(state)}
        save_file({**tensors, name: change(tensors[name])}, path, metadata=metadata)

    return edit


def state(**entries: str) -> Callable[[Path], None]:
    return lambda path: header(path, lambda value: value["__metadata__"].update(entries))


def whole(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


NAN = float("nan")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (set_tensor(lambda t: torch.full_like(t, NAN)), "that are not finite"),
        (set_tensor(lambda t: torch.full_like(t, -float("inf"))), "that are not finite"),
        (set_tensor(lambda t: t[:-1].clone()), "another configuration|wrong shape"),
        (set_tensor(lambda t: t.double()), "another configuration|wrong shape or type"),
        (set_tensor(lambda t: t.to(torch.int8)), "another configuration|wrong shape or type"),
        (whole(b""), "is damaged"),
        (whole(b"\xff" * 8), "is damaged"),
        (whole(struct.pack("<Q", 1 << 62) + b"{}"), "is damaged"),
        (whole(struct.pack("<Q", 90_000_000) + b" " * 1000), "is damaged"),
        (whole(struct.pack("<Q", 200_000) + b"[" * 200_000), "is damaged"),
        (whole(struct.pack("<Q", 2) + b"{}"), "got none"),
        (state(state="["), "no valid metadata"),
        (state(state="[" * 100_000), "no valid metadata"),
        (state(state='{"a": NaN}'), "no valid metadata"),
        (state(state='{"a": 1, "a": 2}'), "no valid metadata"),
        (state(format_version="2" * 1000), "got 222"),
        (sparse, "must have at most"),
        (fifo, "is a FIFO"),
        (folder, "is a folder"),
        (device, "is a device"),
    ],
)
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_what_is_wrong_with_a_checkpoint_is_said(
    name: str, damage: Callable[[Path], None], words: str, run: Path, data: str
) -> None:
    damage(run / name)
    with pytest.raises(UserError, match=words) as caught:
        read_all(run, data)
    assert_one_sentence(caught.value)
    assert str(run / name) in str(caught.value)


@pytest.mark.parametrize("damage", [fifo, folder, device, sparse])
@pytest.mark.parametrize("name", RECORDS)
def test_records_are_regular_files(name: str, damage: Callable[[Path], None], run: Path, data: str) -> None:
    damage(run / name)
    with pytest.raises(UserError) as caught:
        read_all(run, data)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize("log2_t", [49.0, -1000.0])
def test_a_threshold_out_of_range_is_no_checkpoint(log2_t: float, run: Path) -> None:
    tensors, content = read_tensors(run / "quantized.safetensors")
    name = "encoder.0.norm1.output.log2_t"
    write_tensors(run / "quantized.safetensors", {**tensors, name: torch.tensor(log2_t)}, content)
    with pytest.raises(UserError, match=f"{name} must be from -48 to 48, got {log2_t:g}"):
        load_run(run)


def test_numbers_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for value in (NAN, float("inf")):
        with pytest.raises(NotFiniteError, match=r"^b is not finite"):
            write_tensors(path, {"a": torch.ones(2), "b": torch.tensor([0.0, value])}, {})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_tensors(path, {"a": torch.ones(2)}, {"best": NAN})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("moment", "tensor", "words"),
    [
        ("step", torch.zeros(3), "wrong shape or type"),
        ("step", torch.tensor(1), "wrong shape or type"),
        ("step", torch.tensor(-1.0), "must not be negative"),
        ("exp_avg_sq", None, "must not be negative"),
    ],
)
def test_moments_that_adamw_can_not_have_are_refused(
    moment: str, tensor: torch.Tensor | None, words: str, run: Path, data: str
) -> None:
    tensors, content = read_tensors(run / LAST)
    name = f"optimizer.0.{moment}"
    write_tensors(
        run / LAST, {**tensors, name: -torch.ones_like(tensors[name]) if tensor is None else tensor}, content
    )
    with pytest.raises(UserError, match=words):
        read_all(run, data)


def test_best_weights_that_are_gone_or_damaged_are_told_before_the_first_step(run: Path, data: str) -> None:
    (run / "quantized.safetensors").unlink()
    resumed = options(data, run, changed(epochs=1, qat_epochs=2), resume=True, on_epoch=pytest.fail)
    with pytest.raises(UserError, match=r"quantized\.safetensors does not exist"):
        train(resumed)
    (run / "float.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"\.safetensors (is damaged|does not exist)"):
        train(resumed)


def test_resuming_names_what_differs(run: Path, data: str) -> None:
    begun = changed(epochs=1, qat_epochs=2)
    for config, words in (
        (changed(begun, lr=0.5), r"training\.lr = 0\.01 instead of 0\.5"),
        (replace(begun, name="other"), "name = 'tiny' instead of 'other'"),
        (
            replace(begun, model=replace(MODEL, attention=replace(MODEL.attention, rank=(1, 2, 1)))),
            r"attention\.rank",
        ),
        (replace(begun, model=replace(MODEL, overrides={"pooler": MODEL.pooler})), "overrides"),
    ):
        with pytest.raises(UserError, match=f"another configuration .*{words}") as caught:
            train(options(data, run, config, resume=True))
        assert_one_sentence(caught.value)


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_something_else_is_left_alone(resume: bool, data: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis\n.tex").write_text("x")
    with pytest.raises(UserError, match=r"it holds thesis\\n\.tex") as caught:
        train(options(data, other, resume=resume))
    assert_one_sentence(caught.value)
    assert [path.name for path in other.iterdir()] == ["thesis\n.tex"]
    with pytest.raises(UserError, match="is not a folder"):
        train(options(data, other / "thesis\n.tex", resume=resume))


@pytest.mark.parametrize("names", [(), ("data.json",), ("data.json", "tokenizer.json", ".labels.json.x7")])
def test_what_an_interrupted_start_left_is_no_obstacle(
    names: tuple[str, ...], data: str, tmp_path: Path, finished: TrainResult
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    for name in names:
        (out / name).write_text("{")
    train(options(data, out, changed(epochs=1, qat_epochs=0)))
    # Killed in the first epoch: a configuration without a checkpoint.
    for path in out.iterdir():
        if path.suffix == ".safetensors" or path.name == "history.json":
            path.unlink()
    result = train(options(data, out, changed(epochs=1, qat_epochs=2)))
    assert result.scores == finished.scores


HOLDER = """
import sys
from pathlib import Path
from narrowgauge.files import locked_folder
with locked_folder(Path(sys.argv[1]), "training"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("resume", [False, True])
def test_one_training_works_in_a_folder(resume: bool, run: Path, data: str, tmp_path: Path) -> None:
    out = run if resume else tmp_path / "new"
    config = changed(epochs=1, qat_epochs=2)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"another training is running in {out}"):
            train(options(data, out, config, resume=resume))
        assert {path.name: path.read_bytes() for path in run.iterdir()} == before
        holder.send_signal(signal.SIGKILL)
    train(options(data, out, config, resume=resume))


def test_a_training_locks_its_folder(data: str, tmp_path: Path) -> None:
    refused = []

    def again(_: object) -> None:
        with pytest.raises(UserError, match="another training is running"):
            train(options(data, tmp_path / "run", changed(epochs=1), resume=True))
        refused.append(True)

    train(options(data, tmp_path / "run", changed(epochs=1, qat_epochs=0), on_epoch=again))
    assert refused == [True]


def test_what_can_be_known_at_the_start_is_said_there(
    run: Path, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(CONFIG, tmp_path / "tiny.toml")
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr(training_module._Training, "run", lambda _: pytest.fail("the training began"))
    usual = {"--data": data, "--config": str(tmp_path / "tiny.toml"), "--out": str(tmp_path / "new")}
    cases: list[tuple[dict[str, str], str]] = [
        ({"--out": str(tmp_path / "file")}, str(tmp_path / "file")),
        ({"--out": str(tmp_path / "file" / "run")}, "file"),
        ({"--out": "/proc/run"}, "/proc/run"),
        ({"--data": str(tmp_path / "none")}, "none"),
        ({"--data": str(tmp_path)}, str(tmp_path)),
        ({"--teacher": str(tmp_path / "none")}, "is not a folder"),
        ({"--start": str(tmp_path)}, "config.json does not exist"),
        ({"--config": str(tmp_path / "none.toml")}, "does not exist"),
        ({"--lr": "nan"}, "--lr: must be a number above 0, got 'nan'"),
        ({"--qat-lr": "inf"}, "--qat-lr: must be a number above 0, got 'inf'"),
        ({"--lr": "1e9"}, "training.lr: must be less than or equal to 1000, got 1000000000.0"),
        ({"--epochs": "1e3"}, "--epochs: must be a whole number"),
        ({"--epochs": str(10**9)}, "training.epochs: must be less than or equal to 100000"),
        ({"--batch-size": str(10**30)}, "training.batch_size"),
        ({"--seed": str(2**63)}, "training.seed"),
        ({"--max-len": "0"}, "--max-len"),
        ({"--vocab-size": str(10**9)}, "tokenizer.vocab_size"),
        ({"--threads": "0"}, "--threads"),
        ({"--threads": "nan"}, "--threads"),
        ({"--threads": str(10**6)}, "--threads: must be from 1 to 1024, got 1000000"),
    ]
    for change, words in cases:
        arguments = [word for option in {**usual, **change}.items() for word in option]
        try:
            status = main(["train", *arguments])
        except SystemExit as stopped:
            status = int(str(stopped.code))
        error = capsys.readouterr().err
        assert status == 2 and error.count("\n") == 1 and len(error) < 400, (change, error)
        assert words in error, (change, error)
        assert not (tmp_path / "new").exists(), change
