"""Text for a terminal: printable, on one line, and short."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.errors import SHOWN, UserError, printable, refusing


def test_what_a_terminal_would_obey_is_escaped() -> None:
    assert printable("\x1b[2Jplay\r\n\u202ejazz\ud800") == r"\x1b[2Jplay\r\n\u202ejazz\ud800"
    assert printable("ein Wort: größer als 日本") == "ein Wort: größer als 日本"
    assert printable("x" * 10**7, 5) == "xx..."


@given(text=st.text(st.characters(), max_size=200), longest=st.integers(3, 120) | st.just(SHOWN))
def test_every_text_is_printable_and_short(text: str, longest: int) -> None:
    shown = printable(text, longest)
    assert shown.isprintable() and len(shown) <= longest
    if text.isprintable() and len(text) <= longest:
        assert shown == text


class Panic(BaseException):
    """As a package in Rust raises it."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Panic("index out of\nbounds"), "index out of"),
        (RuntimeError(), "RuntimeError"),
        (OSError(2, "no file", "x\x1b"), r"[Errno 2] no file: 'x\x1b'"),
        (ValueError("x" * 500), "x" * 77 + "..."),
    ],
)
def test_what_a_package_raises_becomes_a_sentence(error: BaseException, reason: str) -> None:
    with pytest.raises(UserError) as caught, refusing("it is damaged", "restore it"):
        raise error
    assert str(caught.value) == f"it is damaged ({reason}); restore it."


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), SystemExit(1), UserError("said.")])
def test_what_is_no_fault_of_the_input_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, refusing("it is damaged", "restore it"):
        raise error
    assert caught.value is error
