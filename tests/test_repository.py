"""Files for people and services around the package: they agree with the package and with each other."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def workflows(root: Path) -> list[Path]:
    found = sorted((root / ".github" / "workflows").glob("*.yml"))
    assert found
    return found


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_the_citation_is_of_this_version(root: Path, project: dict[str, Any]) -> None:
    citation = read(root / "CITATION.cff")
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert citation["title"] == project["project"]["name"]
    assert citation["version"] == project["project"]["version"]
    assert citation["license"] == project["project"]["license"]
    (paper,) = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == [
        "Yang",
        "Choudhary",
        "Kunzmann",
        "Zhang",
    ]
    assert paper["url"] == project["project"]["urls"]["Paper"]
    assert paper["url"] in (root / "README.md").read_text(encoding="utf-8")
    for entry in (citation, paper):
        assert entry["authors"] and all(isinstance(value, str) for value in entry["authors"][0].values())


def test_workflows_run_what_is_there(root: Path, project: dict[str, Any]) -> None:
    """Every version of Python that the package supports, targets of make that exist, actions of a pinned version."""
    prefix = "Programming Language :: Python :: 3."
    versions = [
        f"3.{c.removeprefix(prefix)}" for c in project["project"]["classifiers"] if c.startswith(prefix)
    ]
    assert len(versions) == 3
    for path in workflows(root):
        text = path.read_text(encoding="utf-8")
        assert "secrets." not in text
        workflow = read(path)
        assert workflow["permissions"] == {"contents": "read"}
        for job in workflow["jobs"].values():
            assert job["strategy"]["matrix"]["python"] == versions
        for step in steps(workflow):
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) if "uses" in step else step["run"]
            command = step.get("run", "").split()
            if command[:1] == ["make"]:
                done = subprocess.run(
                    ["make", "-n", *command[1:]], cwd=root, capture_output=True, check=False
                )
                assert done.returncode == 0, step
            if command[:1] == ["python"] and command[1] != "-m":
                assert (root / command[1]).is_file(), step


def test_issue_forms_ask_for_what_finds_a_defect(root: Path) -> None:
    folder = root / ".github" / "ISSUE_TEMPLATE"
    forms = {path.stem: read(path) for path in folder.glob("*.yml") if path.stem != "config"}
    assert sorted(forms) == ["bug", "feature", "integers"]
    for form in forms.values():
        assert form["name"] and form["description"]
        fields = [field for field in form["body"] if field["type"] != "markdown"]
        names = [field["id"] for field in fields]
        assert len(set(names)) == len(names) >= 3
        assert all(field["attributes"]["label"] for field in fields)
    for name in ("bug", "integers"):
        text = (folder / f"{name}.yml").read_text(encoding="utf-8")
        assert "narrowgauge doctor" in text and "manifest.json" in text


def test_editors_and_linters_have_the_same_lengths_of_lines(root: Path, project: dict[str, Any]) -> None:
    parser = configparser.ConfigParser()
    parser.read_string("[top]\n" + (root / ".editorconfig").read_text(encoding="utf-8"))
    assert int(parser["*.py"]["max_line_length"]) == project["tool"]["ruff"]["line-length"]
    clang = read(root / ".clang-format")
    assert int(parser["*.{cpp,hpp,h}"]["max_line_length"]) == clang["ColumnLimit"]
    assert int(parser["*"]["indent_size"]) == clang["IndentWidth"]


def test_make_and_pre_commit_run_the_same_linters(root: Path) -> None:
    hooks = [
        hook["entry"] for repo in read(root / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]
    ]
    lint = subprocess.run(["make", "-n", "lint"], cwd=root, capture_output=True, text=True, check=True).stdout
    for hook in hooks:
        tool = hook.split()[0]
        assert tool == "make" or f"/{tool} " in lint, hook
