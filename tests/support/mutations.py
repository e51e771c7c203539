"""Seeded damage to files, and what a command makes of it: for sweeps over everything that is read from outside."""

from __future__ import annotations

import copy
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from narrowgauge.cli import main
from narrowgauge.errors import UserError

SECONDS = 60
"""A command that takes longer hangs; those that are swept here take a second."""

MOST_LETTERS = 300
"""Of an error message."""

_OTHERS: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 255, 256, 1 << 31, 10**9, 1 << 63, -(1 << 63), 10**30, 0.5, 1.0, 8192.5, -0.0,
    1e300, "", "0", "x", "tokens", "../model.onnx", "/dev/zero", "a\nb\x1b[31m", "é" * 300, "\0",
    [], {}, [[]], [0], {"x": 0},
)  # fmt: skip
"""What stands in place of another value: of every type, at the ends of ranges, and long."""


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    Attributes:
        status: the exit status.
        out, err: what it printed.
    """

    status: int
    out: str
    err: str


def mutated_json(rng: random.Random, value: Any) -> tuple[str, Any]:
    """A copy of a JSON value with one change, and the change in words."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    container, key, path = rng.choice(places)
    # Long lists have most places; half of the changes are made near the top.
    if rng.random() < 0.5:
        container, key, path = rng.choice([place for place in places if place[2].count("/") <= 2])
    old = container[key]
    kind = rng.choice(
        ("remove", "replace", "replace", "near", "near", "rename", "add", "repeat", "turn", "swap")
    )
    if kind == "remove":
        del container[key]
    elif kind == "near" and type(old) is int:
        container[key] = rng.choice((old + 1, old - 1, 2 * old + 1, old ^ (1 << rng.randrange(24)), -old - 1))
    elif kind == "near" and isinstance(old, str) and old:
        at = rng.randrange(len(old))
        container[key] = old[:at] + rng.choice(("", chr(ord(old[at]) ^ 1), "\n", old)) + old[at + 1 :]
    elif kind == "near" and isinstance(old, bool):
        container[key] = not old
    elif kind == "rename" and isinstance(container, dict):
        container[str(key) + rng.choice(("_", " ", "\n", "x" * 400))] = container.pop(key)
    elif kind == "add" and isinstance(old, dict):
        old[rng.choice(("extra", "__class__", "", "x" * 400))] = rng.choice(_OTHERS)
    elif kind == "repeat" and isinstance(old, list):
        container[key] = old * rng.choice((2, 3)) if rng.random() < 0.5 else old[: len(old) // 2]
    elif kind == "turn" and isinstance(old, list):
        container[key] = old[::-1]
    elif kind == "swap" and isinstance(old, list) and len(old) > 1:
        i, j = rng.sample(range(len(old)), 2)
        old[i], old[j] = old[j], old[i]
    else:
        kind = "replace"
        container[key] = copy.deepcopy(rng.choice(_OTHERS))
    return f"{kind} {path}", value


def _places(value: Any, path: str = "") -> Iterator[tuple[Any, Any, str]]:
    """(container, key, path) of everything within a JSON value."""
    entries: Any = ()
    if isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
    for key, entry in entries:
        yield value, key, f"{path}/{key}"
        yield from _places(entry, f"{path}/{key}")


def mutated_bytes(rng: random.Random, content: bytes, word: int = 8) -> tuple[str, bytes]:
    """A copy of a file with one change, and the change in words.

    Args:
        rng: what is changed follows from it.
        content: of the file.
        word: bytes of the units that the file is made of, for changes that keep it in step.
    """
    if not content:
        return "something in place of nothing", rng.randbytes(word)
    at = rng.randrange(len(content))
    aligned = at - at % word
    kind = rng.choice(
        ("bit", "bit", "bit", "byte", "word", "zero", "cut", "end", "drop", "double", "swap", "all")
    )
    if kind == "bit":
        changed = content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
    elif kind == "byte":
        changed = content[:at] + bytes([rng.choice((0, 0x7F, 0x80, 0xFF))]) + content[at + 1 :]
    elif kind == "word":
        changed = content[:aligned] + rng.randbytes(word) + content[aligned + word :]
    elif kind == "zero":
        changed = (
            content[:aligned]
            + bytes(len(content[aligned : aligned + 8 * word]))
            + content[aligned + 8 * word :]
        )
    elif kind == "cut":
        changed = content[: rng.choice((at, aligned))]
    elif kind == "end":
        changed = content + rng.choice((b"\0", bytes(word), rng.randbytes(word), content))
    elif kind == "drop":
        changed = content[:aligned] + content[aligned + word :]
    elif kind == "double":
        changed = content[:aligned] + content[aligned : aligned + word] + content[aligned:]
    elif kind == "swap":
        other = rng.randrange(len(content)) // word * word
        low, high = sorted((aligned, other))
        middle = content[low + word : high]
        changed = (
            content[:low]
            + content[high : high + word]
            + middle
            + content[low : low + word]
            + content[high + word :]
            if low != high
            else content
        )
    else:
        changed = rng.randbytes(len(content))
    return f"{kind} at {at}", changed


def assert_one_sentence(error: UserError) -> None:
    """It is one printable sentence that the command line shows whole."""
    text = str(error)
    assert text.isprintable() and text.endswith("."), text
    assert len(f"narrowgauge: {text}\n") <= MOST_LETTERS, text


class HangError(BaseException):
    """A command does not end. It is no `OSError`, as TimeoutError is: the command line would tell that as bad input."""


@contextmanager
def time_limit(seconds: int = SECONDS) -> Iterator[None]:
    """Raises HangError where what is within it hangs."""

    def stop(*_: Any) -> None:
        raise HangError(f"no end after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(arguments: list[str], captured: Callable[[], tuple[str, str]]) -> Outcome:
    """Runs a command in this process: it ends, without a traceback, and what it refuses it refuses in one short line.

    Args:
        arguments: of `narrowgauge`.
        captured: gives what was printed since the last call: `capsys.readouterr`.
    """
    captured()
    with time_limit():
        status = main(arguments)
    out, err = captured()
    assert status in (0, 1, 2), (status, err)
    if status == 2:
        assert out == "" and len(err.splitlines()) == 1, (out, err)
        assert err.startswith("narrowgauge: ") and err.strip().isprintable(), err
        assert len(err) <= MOST_LETTERS, err
    return Outcome(status, out, err)
