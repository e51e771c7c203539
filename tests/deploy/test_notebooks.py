"""The notebooks run from the first cell to the last, on the virtual board, and are stored without outputs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nbmake")
pytest.importorskip("matplotlib")

NOTEBOOKS = ("board.ipynb", "laptop.ipynb")


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_there_are_no_other_notebooks(root: Path) -> None:
    assert sorted(path.name for path in (root / "notebooks").iterdir() if path.suffix) == list(NOTEBOOKS)


@pytest.mark.parametrize("name", ["board.ipynb", pytest.param("laptop.ipynb", marks=pytest.mark.slow)])
def test_a_notebook_runs(root: Path, name: str) -> None:
    """nbmake runs it in a kernel; in board.ipynb it replaces the device, as the metadata of its first cell says."""
    pytest.importorskip("pynq")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--nbmake",
        "--nbmake-timeout=400",
    ]
    done = subprocess.run(
        [*command, f"notebooks/{name}"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_stored_without_outputs(root: Path, name: str) -> None:
    notebook = read(root / "notebooks" / name)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) >= 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert not re.search(r'"/(?!/)|file:|https?:', json.dumps(notebook))
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}


def test_the_board_s_notebook_needs_what_the_image_has(root: Path) -> None:
    """narrowgauge, which needs numpy and pynq, and matplotlib."""
    notebook = read(root / "notebooks" / "board.ipynb")
    source = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    imported = set()
    for node in ast.walk(ast.parse(source)):
        names = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        imported |= {name.split(".")[0] for name in names}
    assert imported == {"narrowgauge", "matplotlib"}
    first = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert 'ON = "board"' in "".join(first["source"])
    assert first["metadata"]["nbmake"]["mock"] == {"BUILD": "../examples/voice", "ON": "virtual"}
