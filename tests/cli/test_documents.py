"""Every command in README and docs: all of them parse, and all except those that take hours are run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from narrowgauge.cli import build_parser, main
from narrowgauge.deploy.commands import build_parser as build_board_parser
from narrowgauge.hw.synthesis.boards import find_board
from narrowgauge.text import Corpus, load

WORDS = {
    "BUILD": "build/demo",
    "RUN": "runs/demo",
    "DATA": "data",
    "NAME": "pynq-z2",
    "FILE": "file.json",
    "FOLDER": "folder",
    "N": "16",
}
"""Values for the placeholders in commands."""

PROGRAMS = ("narrowgauge", "narrowgauge-board", "make", "python", "pytest", "pip")

TOOLS_OF_THE_READER = ("pip", "python -m venv")
"""Commands that would change the environment of the tests; `make test` itself runs them."""


def documents(root: Path) -> list[Path]:
    top = [root / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md")]
    return [*top, *sorted((root / "docs").glob("*.md"))]


def commands(path: Path) -> Iterator[str]:
    """Commands in code blocks and inline code of a document, without comments and environment variables."""
    prose, code, fenced = [], [], False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            code.append(line)
        else:
            prose.append(line)
    # Inline code may be wrapped.
    code += [" ".join(part.split()) for part in re.findall(r"`([^`]+)`", "\n".join(prose))]
    for part in code:
        for command in re.split(r"; | && ", part.strip()):
            bare = re.sub(r"^(?:[A-Z_]+=\S+ )+", "", re.sub(r"\s+#.*", "", command))
            if bare.split(" ")[0] in PROGRAMS and " " in bare:
                yield bare


def words_of(command: str) -> list[str]:
    """The words of a command, with placeholders replaced."""
    return [
        "/".join(WORDS.get(part, part) for part in word.split("/"))
        for word in shlex.split(command, posix=True)
    ]


def everything(root: Path) -> list[tuple[str, str]]:
    return [(path.name, command) for path in documents(root) for command in commands(path)]


def test_documents_have_commands(root: Path) -> None:
    """The rules above find the commands; a document in another form would not be checked."""
    found = everything(root)
    assert len(found) > 60
    assert {program for _, command in found for program in [command.split()[0]]} == set(PROGRAMS)
    assert len([name for name, _ in found if name == "README.md"]) > 20
    assert len([name for name, _ in found if name == "CONTRIBUTING.md"]) > 12


def test_every_command_can_be_typed(root: Path) -> None:
    """Sub-commands, options, targets of make, scripts and tests exist."""
    parsers = {"narrowgauge": build_parser(), "narrowgauge-board": build_board_parser()}
    for name, command in everything(root):
        program, *rest = words_of(command)
        where = f"{name}: {command}"
        if parser := parsers.get(program):
            try:
                # A sub-command without arguments is only a name in a sentence.
                parser.parse_args(rest if len(rest) > 1 or rest == ["doctor"] else [*rest, "--help"])
            except SystemExit as stopped:
                assert stopped.code == 0, where
        elif program == "make" and "-C" not in rest:
            done = subprocess.run(
                ["make", "-n", *rest], cwd=root, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{where}: {done.stderr}"
        elif program == "python" and rest[0] == "-m":
            module = rest[1].removeprefix("narrowgauge.").replace(".", "/")
            assert rest[1] == "venv" or (root / f"{module}.py").is_file(), where
        elif program == "python":
            assert (root / rest[0]).is_file(), where
        elif program == "pytest":
            files = [word for word in rest if word.startswith("tests/")]
            assert files and all((root / file.split("::")[0]).is_file() for file in files), where


def section(root: Path, heading: str) -> str:
    """A section of the README."""
    text = (root / "README.md").read_text(encoding="utf-8")
    part = text[text.index(f"## {heading}") :]
    return part[: part.index("\n## ", 3)]


def tour(root: Path) -> list[str]:
    """The commands of the README's tour, in order."""
    part = section(root, "A short tour")
    lines = [re.sub(r"\s+#.*", "", line).strip() for line in part.splitlines() if line.startswith("    ")]
    assert len(lines) > 12
    return lines


def test_the_first_screen_of_the_readme(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands on the example run, and the first prints what the README shows."""
    assert len((root / "README.md").read_text(encoding="utf-8").splitlines()) < 150
    monkeypatch.chdir(root)
    lines = [
        line.strip() for line in section(root, "Try it").splitlines() if line.startswith("    narrowgauge")
    ]
    assert lines == ['narrowgauge run examples/voice "play some jazz in the kitchen"']
    assert main(shlex.split(lines[0])[1:]) == 0
    shown = "".join(f"    {line}\n" for line in capsys.readouterr().out.splitlines())
    assert shown in section(root, "Try it")


def test_the_python_of_the_readme(root: Path) -> None:
    """The snippet prints what its comment shows."""
    (snippet,) = re.findall(
        r"```python\n(.*?)```", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    result = subprocess.run(
        [sys.executable, "-c", snippet], cwd=root, capture_output=True, text=True, check=True
    )
    (shown,) = re.findall(r"# prints (.*)", snippet)
    assert result.stdout == f"{shown}\n"


def write_corpus(corpus: Corpus, folder: Path, count: int) -> None:
    """The first sentences of each part in the layout of files that `--data` takes."""
    for split, examples in (("train", corpus.train), ("dev", corpus.dev), ("test", corpus.test)):
        part = folder / split
        part.mkdir(parents=True)
        chosen = examples[:count]
        (part / "seq.in").write_text("".join(" ".join(e.words) + "\n" for e in chosen), encoding="utf-8")
        (part / "seq.out").write_text(
            "".join(" ".join(e.slots or ()) + "\n" for e in chosen), encoding="utf-8"
        )
        (part / "label").write_text("".join(e.label + "\n" for e in chosen), encoding="utf-8")


# Ends of lines of the tour whose work takes minutes; the slow test has them.
MINUTES = ("csim", "synth", "--waves")


def test_the_tour_of_the_readme(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line that takes seconds, in order, on a model that has seen few sentences once."""
    monkeypatch.chdir(tmp_path)
    write_corpus(load("voice"), tmp_path / "few", 200)
    done = 0
    for line in tour(root):
        if any(word in line for word in MINUTES):
            continue
        program, command, *rest = shlex.split(line)
        assert program == "narrowgauge", line
        if command == "train":
            rest = [
                "few" if word == "voice" and rest[at - 1] == "--data" else word
                for at, word in enumerate(rest)
            ]
            rest += ["--epochs", "1"] + ([] if "--qat-epochs" in rest else ["--qat-epochs", "1"])
        elif command in ("verify", "eval"):
            rest += ["--limit", "2"]
        assert main([command, *rest]) == 0, line
        if command == "compile" and "--board" in rest:
            board = find_board(rest[rest.index("--board") + 1])
            project = (tmp_path / rest[0] / "hls" / "hls_config.cfg").read_text()
            assert f"part={board.part}\n" in project and f"clock={board.period:g}ns\n" in project
        done += 1
    assert done > 10


@pytest.mark.slow
def test_the_tour_of_the_readme_as_it_is_written(root: Path, tmp_path: Path) -> None:
    """Every line, in a shell, unchanged."""
    script = "\n".join(["set -e", *tour(root)])
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(Path.home()),
    }
    result = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    assert "equal at every level" in result.stdout
