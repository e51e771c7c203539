"""The prose linter of `make lint`: proselint and this project's own rules.

    python tests/support/prose.py [FILE ...]

checks Markdown with proselint and the project's rules, and the comments and strings of Python, C++ and SystemVerilog
with the project's rules; without arguments, every file of the repository. It prints one line per finding and exits
with 1 if there are any. `.proselintrc.json` enables and disables the checks of proselint.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

from proselint.checks import __register__
from proselint.config import Config
from proselint.registry import CheckRegistry
from proselint.registry.checks import Check, CheckFlags, engine, types
from proselint.tools import LintFile

ROOT = Path(__file__).resolve().parents[2]

SUFFIXES = (".md", ".py", ".hpp", ".cpp", ".h", ".sv", ".svh", ".v")

EXCLUDED = ("text/voice/", "tests/support/prose.py", "tests/test_prose.py")
"""The built-in corpus, whose sentences are data, and the files that contain the rules."""

_COUNTED = (
    "beats?|bits?|bytes?|column|counter|DSP|element|integers?|instructions?|items?|lanes?|multiplications?|"
    "one|operands?|pairs?|products?|rows?|sentences|tasks?|tokens?|values?|words?"
)
_PER = (
    "beat|bit|block|board|byte|column|command|core|cycle|feature|file|head|kernel|kind|lane|layer|line|list|memory|"
    "model|operator|parameter|pass|port|role|row|run|sentence|step|tile|token|unit|value|word"
)

RULES = (
    ("beside", r"beside", 'Write "next to", "in parallel" or "in addition to".'),
    ("anew", r"anew", 'Write "again".'),
    ("so_many", r"so many|so much as", "State the number, or name it."),
    ("per", rf"(?:{_COUNTED}) an? (?:{_PER})", 'Write "one word per cycle".'),
    ("limits", r"what it does not:", 'Write "Limits:".'),
    ("older", r"(?:program|results?|version|one|figures) of before", 'Write "older" or "previous".'),
    ("range", r"out of all reason", 'Write "out of range".'),
    ("nobody", r"nobody", "Name the subject, or use the passive."),
    ("give_them", r"; give (?:them|as many)", "State the rule: expected X, got Y."),
    ("history", r"as of today|until now|an earlier RTL", "Describe what is, without history."),
)
"""Name, pattern and advice of each rule of the project. Patterns match whole words, in any case."""


def register() -> None:
    """Registers the checks of proselint and of the project, once."""
    registry = CheckRegistry()
    if not registry.checks:
        registry.register_many(__register__)
        for name, pattern, advice in RULES:
            # Text may be wrapped.
            spaced = pattern.replace(" ", r"\s+")
            registry.register(
                Check(
                    check_type=types.ExistenceSimple(pattern=rf"\b(?:{spaced})(?:\W)"),
                    path=f"narrowgauge.{name}",
                    message=advice,
                    engine=engine.Fancy(),
                    flags=CheckFlags(allow_quotes=True),
                )
            )


def config(suffix: str) -> Config:
    """The checks for files with this suffix. More specific names come first, as proselint requires."""
    content = json.loads((ROOT / ".proselintrc.json").read_text(encoding="utf-8"))
    checks = {"narrowgauge": True, **(content["checks"] if suffix == ".md" else {})}
    ordered = sorted(checks.items(), key=lambda item: -item[0].count("."))
    return Config(max_errors=content["max_errors"], checks=dict(ordered))


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _of_markdown(text: str) -> str:
    text = re.sub(r"^```.*?^```", lambda m: _blank(m[0]), text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^ {4}.*", lambda m: _blank(m[0]), text, flags=re.MULTILINE)
    return text.replace("`", "_")


def _of_python(text: str) -> str:
    kept = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    lines = [[" "] * (len(line) - 1) + ["\n"] for line in text.splitlines(keepends=True)]
    source = text.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kept:
            (first, start), (last, end) = token.start, token.end
            for row in range(first, last + 1):
                left = start if row == first else 0
                right = end if row == last else len(source[row - 1]) - 1
                lines[row - 1][left:right] = source[row - 1][left:right].replace("#", " ")
    return "".join("".join(line) for line in lines)


def _of_c(text: str) -> str:
    kept = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
    parts, at = [], 0
    for match in kept.finditer(text):
        parts += [_blank(text[at : match.start()]), match[0].replace("/", " ")]
        at = match.end()
    return "".join([*parts, _blank(text[at:])])


def prose(name: str, text: str) -> str:
    """`text` with everything except prose replaced by blanks, which preserves lines and columns."""
    suffix = Path(name).suffix
    return _of_markdown(text) if suffix == ".md" else _of_python(text) if suffix == ".py" else _of_c(text)


def findings(name: str, text: str) -> list[str]:
    """The findings in a file, as lines `NAME:LINE:COLUMN: CHECK: ADVICE`."""
    register()
    if not (content := prose(name, text)).strip():
        return []
    results = LintFile(name, content).lint(config(Path(name).suffix))
    return [
        f"{name}:{r.pos[0]}:{r.pos[1]}: {r.check_result.check_path}: {r.check_result.message}"
        for r in results
    ]


def tracked() -> Iterator[str]:
    """Every tracked file with prose."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.split("\0"):
        if name.endswith(SUFFIXES) and not name.startswith(EXCLUDED) and (ROOT / name).is_file():
            yield name


def main(names: Sequence[str]) -> int:
    """Checks files, given relative to the root of the repository."""
    found = [
        line
        for name in names or list(tracked())
        if not name.startswith(EXCLUDED)
        for line in findings(name, (ROOT / name).read_text(encoding="utf-8"))
    ]
    print("\n".join(found), end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
