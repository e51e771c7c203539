"""Any input that is not a regular file, or is too large, is refused at once, by its kind or size."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from narrowgauge.cli import main

from ..support.builds import small_run
from ..support.mutations import outcome


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(40 << 30)


@dataclass(frozen=True)
class Case:
    """A file, and the command that reads it.

    Attributes:
        file: below the root.
        command: arguments, relative to the root.
    """

    file: str
    command: str


DATA = "--data data"
CASES = (
    *(
        Case(f"run/{name}", "export run --out never")
        for name in ("config.json", "tokenizer.json", "labels.json", "data.json", "quantized.safetensors")
    ),
    Case("run/quantized.safetensors", f"eval run {DATA}"),
    Case("build/manifest.json", f"eval build {DATA}"),
    Case("build/manifest.json", "compile build"),
    *(
        Case(f"build/{name}", command)
        for name in ("model.onnx", "manifest.json")
        for command in ("run build play --on golden", "describe build", "plan build")
    ),
    *(
        Case(f"build/{name}", "run build play")
        for name in ("engine.json", "program.bin", "weights.bin", "stream.bin")
    ),
    Case("build/engine.json", "synth build"),
    Case("build/program.bin", "disasm build"),
    Case("build/program.bin", "disasm build/program.bin"),
    Case("e.json", "compile build --engine e.json"),
    Case("e.json", "synth --engine e.json"),
    Case("c.toml", f"train {DATA} --config c.toml --out never"),
    Case("c.json", f"train {DATA} --config c.json --out never"),
    Case("x.tsv", "eval build --data x.tsv"),
    Case("x.csv", "eval build --data x.csv"),
    *(Case(f"data/test/{name}", f"eval build {DATA}") for name in ("seq.in", "seq.out", "label")),
    Case("data/train/seq.in", f"train {DATA} --preset voice --out never"),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("special")
    small_run(root)
    assert main(["export", str(root / "run"), "--out", str(root / "build"), "--lanes", "8"]) == 0
    return root


@pytest.mark.parametrize("put", [fifo, device, folder, sparse], ids=lambda put: put.__name__)
def test_special_files_are_refused(
    put: Callable[[Path], None],
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(root)
    compared = 0
    for case in CASES:
        path = root / case.file
        kept = path.with_name(f"{path.name}.kept")
        if path.exists():
            path.rename(kept)
        put(path)
        try:
            found = outcome(case.command.split(), capsys.readouterr)
            assert found.status == 2, (case, found)
            name = Path(case.file).name.partition(".")[0]
            assert name in found.err or "build" in found.err or "data" in found.err, (case, found.err)
            compared += 1
        finally:
            shutil.rmtree(path) if put is folder and not path.is_symlink() else path.unlink()
            if kept.exists():
                kept.rename(path)
    assert compared == len(CASES) > 25
    assert not (root / "never").exists()
