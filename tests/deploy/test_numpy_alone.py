"""A build is loaded and run where nothing but numpy is installed: no onnx, no torch, no other package."""

from __future__ import annotations

import json
import shutil
import subprocess
import venv
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy
import pytest

from narrowgauge.cli import main
from narrowgauge.sim.levels.predict import predict

from ..support.builds import SmallBuild, small_build

SENTENCES = [
    "play a song in the old barn",
    "jazz, please",
    "switch on the light in the attic " * 3,
    "猫 naïve",
]

ASK = """
import json, sys
from dataclasses import asdict
from pathlib import Path

import narrowgauge

assert "numpy" not in sys.modules, "import narrowgauge is cheap"
answers = [asdict(answer) for answer in narrowgauge.predict(sys.argv[1], json.loads(sys.argv[2]))]
installed = {
    Path(module.__file__).relative_to(part).parts[0]
    for module in list(sys.modules.values())
    for part in map(Path, sys.path)
    if getattr(module, "__file__", None) and part.name == "site-packages" and part in Path(module.__file__).parents
}
print(json.dumps({"answers": answers, "installed": sorted(installed)}))
"""

Python = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def python(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Python:
    """Runs an interpreter whose site-packages holds numpy and the project, and nothing else."""
    folder = tmp_path_factory.mktemp("alone") / "environment"
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    source = Path(numpy.__file__).parent
    for place in (source, source.parent / "numpy.libs"):
        if place.exists():
            (packages / place.name).symlink_to(place)
    (packages / "narrowgauge").symlink_to(root)

    def execute(*arguments: str) -> subprocess.CompletedProcess[str]:
        # -I: neither the current folder nor the environment's variables add packages.
        command = [str(folder / "bin" / "python"), "-I", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    return execute


@pytest.fixture(scope="module", params=["words", "pieces"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SmallBuild:
    return small_build(tmp_path_factory.mktemp("small"), pieces=request.param == "pieces")


def test_the_environment_has_numpy_alone(python: Python) -> None:
    for name in ("onnx", "torch", "pydantic", "rich", "tokenizers", "threadpoolctl", "pytest", "pip"):
        assert "ModuleNotFoundError" in python("-c", f"import {name}").stderr
    assert python("-c", "import numpy, narrowgauge").returncode == 0


def test_predictions_are_those_of_the_golden_model(small: SmallBuild, python: Python) -> None:
    expected = predict(small.folder, SENTENCES)
    result = python("-c", ASK, str(small.folder), json.dumps(SENTENCES))
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["answers"] == json.loads(json.dumps([vars(answer) for answer in expected]))
    assert said["installed"] == ["narrowgauge", "numpy"]


def test_run_and_disasm_print_the_same(
    small: SmallBuild, python: Python, capsys: pytest.CaptureFixture[str]
) -> None:
    # The engine in C++ needs a compiler as well, but no package.
    levels = [[], ["--on", "hls"]] if shutil.which("g++") else [[]]
    for sentence, options in product(SENTENCES[:2], levels):
        assert main(["run", str(small.folder), sentence, "--on", "golden"]) == 0
        expected = capsys.readouterr()
        result = python("-m", "narrowgauge.cli", "run", str(small.folder), sentence, *options)
        assert (result.returncode, result.stdout, result.stderr) == (0, expected.out, expected.err)
    assert main(["disasm", str(small.folder)]) == 0
    result = python("-m", "narrowgauge.cli", "disasm", str(small.folder))
    assert (result.returncode, result.stdout) == (0, capsys.readouterr().out)


@pytest.mark.parametrize("level", ["golden", "onnx"])
def test_what_needs_more_says_so(small: SmallBuild, python: Python, level: str) -> None:
    result = python("-m", "narrowgauge.cli", "run", str(small.folder), "play", "--on", level)
    assert result.returncode == 2 and result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert f"--on {level} needs the package" in line and "pip install -e '.[sim]'" in line
