"""The prose linter finds planted sentences, in text and in code, and nothing in good ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("proselint")

from .support.prose import RULES, findings, prose, tracked

PLANTED = {
    "beside": "The units run beside each other.",
    "anew": "The table is computed anew.",
    "so_many": "It waits for so many cycles.",
    "per": "The array reads a word a\ncycle.",
    "limits": "What it does not: wait for tokens.",
    "older": "A program of before is refused.",
    "range": "The value is out of all reason.",
    "nobody": "A token that nobody sends.",
    "give_them": "There are no segments; give them.",
    "history": "These figures are of an earlier RTL and not current.",
}
"""A sentence for each rule of the project."""

CODE = {
    "x.md": "Some text.\n\n{}\n",
    "x.py": '"""A module.\n\n{}\n"""\n\nX = 1  # {}\n',
    "x.hpp": "/* {} */\nint x;\n",
    "x.sv": 'module x;\n  initial $display("{}");\nendmodule\n',
}
"""A file of each kind, with a place for a sentence."""


@pytest.mark.parametrize("name", CODE)
@pytest.mark.parametrize("rule", [name for name, _, _ in RULES])
def test_a_planted_sentence_is_found(rule: str, name: str) -> None:
    sentence = PLANTED[rule]
    if name != "x.md":
        sentence = sentence.replace("\n", " ")
    text = CODE[name].replace("{}", sentence)
    found = findings(name, text)
    assert len(found) == text.count(sentence)
    line = text[: text.index(sentence)].count("\n") + 1
    assert found[0].startswith(f"{name}:{line}:") and f"narrowgauge.{rule}: " in found[0]


def test_checks_of_proselint_run_on_documents() -> None:
    (found,) = findings("x.md", "This is the the text.\n")
    assert "lexical_illusions" in found


@pytest.mark.parametrize("name", CODE)
def test_good_sentences_pass(name: str) -> None:
    sentence = "One word per cycle; the units run in parallel. A layer gives a tensor a name."
    assert findings(name, CODE[name].replace("{}", sentence)) == []


def test_code_is_not_prose() -> None:
    assert findings("x.py", "anew = nobody = beside = 1\n") == []
    assert findings("x.md", "Text.\n\n```\nnobody beside\n```\n\n    anew\n") == []
    assert findings("x.hpp", "int anew = 1;\n") == []
    text = "x = 'a'  # b\n"
    assert prose("x.py", text).split() == ["'a'", "b"] and len(prose("x.py", text)) == len(text)


def test_the_command_fails_on_a_planted_sentence(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "planted.md"
    path.write_text(PLANTED["beside"], encoding="utf-8")
    command = [sys.executable, "tests/support/prose.py", str(path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "narrowgauge.beside" in done.stdout
    path.write_text("The units run in parallel.", encoding="utf-8")
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout == ""


def test_all_kinds_of_files_are_checked() -> None:
    names = list(tracked())
    assert len(names) > 250 and {"README.md", "docs/isa.md", "errors.py", "hw/rtl/ng_engine.sv"} <= set(names)
