"""Imports run in one direction, only `model` imports torch, and every package is distributed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import grimp
import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LINT = (
    "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True, no_logo=True))"
)
PACKAGES = (
    "errors",
    "arguments",
    "files",
    "folders",
    "compilecache",
    "toolchain",
    "fixedpoint",
    "graph",
    "text",
    "model",
    "hw",
    "hw/isa",
    "hw/host",
    "hw/compiler",
    "hw/synthesis",
    "hls",
    "sim",
    "sim/threads",
    "sim/engine",
    "sim/golden",
    "sim/oracle",
    "sim/rtl",
    "sim/benches",
    "sim/board",
    "sim/formal",
    "sim/levels",
    "deploy",
    "cli",
)
LINES = {
    "__init__.py": "def __getattr__(name):\n    from .deploy import model, predict",
    "deploy/model.py": (
        "from ..graph import onnx_io\nfrom ..hw.compiler import build\nfrom ..sim.golden import model\n"
        "from ..sim.levels import engines\nfrom . import virtual"
    ),
    **dict.fromkeys(
        [f"deploy/{name}.py" for name in ("board", "dma", "interrupt", "overlay", "registers")], "import pynq"
    ),
    **dict.fromkeys(
        [f"deploy/{name}.py" for name in ("bench", "folder", "selftest", "serve", "vectors")], ""
    ),
    "deploy/commands.py": "from . import serve",
    "deploy/predict.py": "from ..hw.host import anything",
    **dict.fromkeys(
        (
            "deploy/virtual.py",
            "graph/onnx_io.py",
            "hw/compiler/build.py",
            "sim/golden/model.py",
            "sim/levels/engines.py",
        ),
        "",
    ),
    "model/__init__.py": "import torch",
    "sim/threads/__init__.py": "def late():\n    import threadpoolctl",
    "text/readers.py": "def late():\n    import datasets",
    "text/train_wordpiece.py": "def late():\n    import tokenizers",
}
"""The imports that the contracts expect."""


def lint(folder: Path, parent: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Checks the contracts of `folder`, a root of narrowgauge; `parent` is where to import it from."""
    environment = dict(os.environ) if parent is None else {**os.environ, "PYTHONPATH": str(parent)}
    return subprocess.run(
        [sys.executable, "-c", LINT], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def skeleton(root: Path, tmp_path: Path) -> Path:
    """A package with the parts of narrowgauge, and nothing in them but the imports that the contracts expect."""
    folder = tmp_path / "narrowgauge"
    for package in PACKAGES:
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").touch()
    for name, line in LINES.items():
        (folder / name).write_text(line + "\n", encoding="utf-8")
    shutil.copy(root / "pyproject.toml", folder)
    return folder


def test_the_contracts_are_kept(root: Path) -> None:
    result = lint(root)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("graph", "from ..model import anything"),
        ("graph", "from .. import sim"),
        ("fixedpoint", "import narrowgauge.graph"),
        ("errors", "from .. import files"),
        ("model", "from .. import sim"),
        ("model", "from .. import hw"),
        ("hw/host", "import narrowgauge.model"),
        ("hls", "from .. import sim"),
        ("sim/levels", "def late():\n    import torch.nn.functional"),
        ("cli", "import torch"),
        ("sim/levels", "import narrowgauge.deploy"),
        ("deploy", "from .. import cli"),
        ("hw/isa", "from .. import host"),
        ("hw/host", "from .. import compiler"),
        ("hw/host", "from .. import synthesis"),
        ("hw/synthesis", "from .. import host"),
        ("sim/engine", "from .. import rtl"),
        ("sim/golden", "from .. import engine"),
        ("sim/rtl", "from .. import levels"),
        ("sim/benches", "from .. import levels"),
        ("hw/isa", "import pydantic"),
        ("hw/host", "def late():\n    import onnx.helper"),
        ("hw/host", "import safetensors"),
        ("text", "import tokenizers"),
        ("text", "def late():\n    from rich import print"),
        ("sim/engine", "import threadpoolctl"),
    ],
)
def test_the_contracts_refuse(skeleton: Path, package: str, line: str) -> None:
    (skeleton / package / "planted.py").write_text(line + "\n", encoding="utf-8")
    result = lint(skeleton, skeleton.parent)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"narrowgauge.{package.replace('/', '.')}.planted" in result.stdout


@pytest.mark.parametrize("name", ["onnx", "pydantic"])
def test_the_contracts_refuse_what_prediction_would_import_through_others(skeleton: Path, name: str) -> None:
    """One module imports the package inside a function, and what runs a build imports that module."""
    (skeleton / "graph" / "planted.py").write_text(f"def late():\n    import {name}\n", encoding="utf-8")
    (skeleton / "deploy" / "predict.py").write_text("from ..graph import planted\n", encoding="utf-8")
    result = lint(skeleton, skeleton.parent)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "What runs a build needs numpy only BROKEN" in result.stdout


@pytest.mark.parametrize("package", ["hw/compiler", "sim/levels"])
def test_the_contracts_refuse_a_circle_inside_a_package(skeleton: Path, package: str) -> None:
    folder = skeleton / package
    (folder / "one.py").write_text("from . import two\n", encoding="utf-8")
    assert lint(skeleton, skeleton.parent).returncode == 0
    (folder / "two.py").write_text("def late():\n    from . import one\n", encoding="utf-8")
    result = lint(skeleton, skeleton.parent)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"No cycles are allowed in narrowgauge.{package.replace('/', '.')}." in result.stdout


def test_the_contracts_allow_what_each_layer_needs(skeleton: Path) -> None:
    lines = {
        "files": "from .. import errors",
        "model": "from torch import nn",
        "sim/levels": "from ... import model, graph",
    }
    for package, line in lines.items():
        (skeleton / package / "planted.py").write_text(line + "\n", encoding="utf-8")
    result = lint(skeleton, skeleton.parent)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_contracts_refuse_a_layer_that_nobody_named(skeleton: Path) -> None:
    (skeleton / "surprise.py").touch()
    result = lint(skeleton, skeleton.parent)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "narrowgauge.surprise" in result.stdout


def test_what_runs_a_build_imports_no_package_but_numpy(root: Path) -> None:
    """The contract lists forbidden packages; this finds those that it does not list."""
    contracts = project(root)["tool"]["importlinter"]["contracts"]
    contract = next(one for one in contracts if one["id"] == "numpy")
    graph = grimp.build_graph("narrowgauge", include_external_packages=True, cache_dir=None)
    for line in contract["ignore_imports"]:
        importer, imported = line.split(" -> ")
        graph.remove_import(importer=importer, imported=imported)
    used = {
        name
        for one in contract["source_modules"]
        for name in graph.find_upstream_modules(one, as_package=True)
    }
    assert "narrowgauge.fixedpoint" in used
    assert {name for name in used if graph.is_module_squashed(name)} - sys.stdlib_module_names == {"numpy"}


def project(root: Path) -> dict[str, Any]:
    with (root / "pyproject.toml").open("rb") as stream:
        return tomllib.load(stream)


def test_every_package_is_shipped(root: Path) -> None:
    folders = {
        path.parent.relative_to(root)
        for path in root.rglob("__init__.py")
        if not any(part.startswith(".") or part in ("build", "runs") for part in path.relative_to(root).parts)
    }
    names = {".".join(("narrowgauge", *folder.parts)) for folder in folders}
    assert project(root)["tool"]["setuptools"]["packages"] == sorted(names)


def test_every_data_file_is_shipped(root: Path) -> None:
    """Sources of C++ and RTL, scripts and templates are in the wheel: each matches a glob of its package."""
    settings = project(root)["tool"]["setuptools"]
    folders = {name: root.joinpath(*name.split(".")[1:]) for name in settings["packages"]}
    globs = settings["package-data"]
    shipped = {
        path
        for name, folder in folders.items()
        for pattern in (*globs["*"], *globs.get(name, ()))
        for path in folder.glob(pattern)
        if path.is_file()
    }
    data = {
        path
        for name, folder in folders.items()
        if name != "narrowgauge"
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert len(data) > 60
    assert data <= shipped
    assert root / "hls" / "templates" / "Makefile" in shipped
    assert root / "hw" / "synthesis" / "vivado" / "settings.tcl" in shipped


def test_the_core_needs_numpy_only(root: Path) -> None:
    (requirement,) = project(root)["project"]["dependencies"]
    assert requirement.startswith("numpy")


def test_the_version_is_told_in_one_way(root: Path) -> None:
    import narrowgauge

    assert narrowgauge.__version__ == project(root)["project"]["version"]
