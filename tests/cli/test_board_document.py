"""docs/board.md: its commands run, on the virtual board where they need a board; its errors are those of the code."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("pynq")
pytest.importorskip("flask")
pytest.importorskip("waitress")

from narrowgauge.cli import main
from narrowgauge.deploy.commands import main as board_main
from narrowgauge.deploy.serve import HOST, PORT, Limits
from narrowgauge.hw.synthesis.boards import all_boards


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "docs" / "board.md").read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """A section of the document, with the sections below it."""
    level = heading.partition(" ")[0]
    part = text[text.index(f"\n{heading}\n") + 1 :]
    ends = [at for mark in range(2, len(level) + 1) if (at := part.find(f"\n{'#' * mark} ", 3)) > 0]
    return part[: min(ends, default=len(part))]


def lines(part: str) -> list[list[str]]:
    """The commands in its code blocks."""
    return [shlex.split(line) for line in part.splitlines() if line.startswith("    ")]


def on_virtual_board(command: list[str]) -> list[str]:
    """The arguments of a command of `narrowgauge-board`, for the virtual board with the example."""
    assert command[0] == "narrowgauge-board"
    virtual = ["--virtual", "examples/voice"]
    rest = command[1:]
    return rest if rest[:2] == virtual else [*virtual, *rest]


def test_the_virtual_board(
    root: Path, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the first command after the installation to the page."""
    monkeypatch.chdir(root)
    found = lines(section(text, "## On the virtual board"))
    assert [command[0] for command in found] == [
        "python",
        "pip",
        "narrowgauge",
        "narrowgauge-board",
        "narrowgauge-board",
    ]
    assert main(found[2][1:]) == 0
    assert capsys.readouterr().out.startswith("play_music\n")
    assert board_main(on_virtual_board(found[3])) == 0
    with page(root, on_virtual_board(found[4])) as address:
        said = urllib.request.urlopen(f"{address}health", timeout=60).read()
        assert json.loads(said) == {"status": "ok", "level": "virtual", "answered": 0}


class page:  # noqa: N801, used as a function
    """`narrowgauge-board serve` as a process, on a free port; it ends with status 0 on SIGTERM."""

    def __init__(self, root: Path, arguments: list[str]) -> None:
        command = [sys.executable, "-m", "narrowgauge.deploy.commands", *arguments, "--port", "0"]
        self._process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> str:
        assert self._process.stdout is not None
        (address,) = re.findall(r"http://127\.0\.0\.1:\d+/", self._process.stdout.readline())
        return str(address)

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(60) == 0


def test_the_commands_on_a_board(
    root: Path, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command on the board, except those that change its environment, with the virtual board instead."""
    monkeypatch.chdir(root)
    found = [
        command
        for heading in ("## Install on the board ◇", "## The first sentence ◇")
        for command in lines(section(text, heading))
        if command[0] == "narrowgauge-board"
    ]
    assert [command[1] for command in found] == ["info", "selftest", "run", "bench"]
    for command in found:
        # On a simulation, the usual number of runs would take seconds.
        few = ["--runs", "3"] if command[1] == "bench" else []
        assert board_main([*on_virtual_board(command), *few]) == 0, command
        out = capsys.readouterr().out
        assert ("play_music" in out) == (command[1] == "run")


def test_the_python_of_the_document(root: Path, text: str) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    there = snippet.replace('".", on="board"', '"examples/voice", on="virtual"')
    assert there != snippet
    done = subprocess.run([sys.executable, "-c", there], cwd=root, capture_output=True, text=True, check=True)
    label, cycles, seconds = done.stdout.split()
    assert label == "play_music" and int(cycles) > 1000 and float(seconds) > 0


def test_limits_of_the_page_are_those_of_the_server(text: str) -> None:
    limits = Limits()
    words = {4: "four"}
    told = " ".join(section(text, "## The page ◇").split())
    for sentence in (
        f"{words[limits.waiting]} more requests wait",
        f"at most {limits.body // 1024} KiB, a sentence at most {limits.letters:,} characters",
        f"send {limits.burst} sentences at once and {limits.rate:g} per second",
        f"http://{HOST}:{PORT}/",
    ):
        assert sentence in told, sentence


def test_errors_of_the_table_are_errors_of_the_code(root: Path, text: str) -> None:
    """A message that changes is looked up by its old words."""
    told = re.findall(r'^\| "([^"]+)" \|', section(text, "## Troubleshooting"), re.MULTILINE)
    sources = [path.read_text(encoding="utf-8") for path in sorted((root / "deploy").glob("*.py"))]
    # Literals that continue on the next line are one sentence.
    code = re.sub(r'"\s*\n\s*f?"', "", "\n".join(sources))
    assert len(told) > 10
    for words in told:
        assert words in code, words


def test_boards_of_the_table_are_the_project_s(text: str) -> None:
    part = section(text, "## What a board needs")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", part, re.MULTILINE)
    images = {name: line for names, line in rows[2:] for name in names.split(", ")}
    boards = {board.title: board for board in all_boards() if board.pynq}
    assert set(images) == set(boards)
    for name, line in images.items():
        assert re.findall(r"\b\d\.\d\b", line) == re.findall(r"\b\d\.\d\b", boards[name].pynq)
