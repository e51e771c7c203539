"""Text for a terminal: printable, on one line, and short."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.errors import SHOWN, UserError, printable, refusing, validation_problem


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
    """An exception as raised by a package in Rust."""


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


class Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    size: Annotated[int, pydantic.Field(ge=1)] = 1
    rank: int | list[int] = 1
    name: str


@pytest.mark.parametrize(
    ("value", "clause"),
    [
        ({"a": {"name": "x", "size": 0}}, "a.size: must be greater than or equal to 1, got 0"),
        ({"a": {"name": "x", "size": True}}, "a.size: must be a valid integer, got True"),
        ({"a": {"name": "x", "sise": 0}}, "a.sise is not a known key"),
        ({"a": {"name": "x", "rank": [1, "2"]}}, "a.rank.1: must be a valid integer, got '2'"),
        ({"a": {}}, "a.name is missing"),
        ({"a": {"name": ["\x1b"] * 99}}, "a.name: must be a valid string, got ['\\x1b', '\\x1b'"),
        ({"k" * 999 + "\n": 1}, "k" * 69 + "...: must be a valid dictionary or instance of Part, got 1"),
        ([], "the table: must be a valid dictionary"),
    ],
)
def test_a_value_that_pydantic_refuses_gets_one_clause(value: Any, clause: str) -> None:
    with pytest.raises(pydantic.ValidationError) as error:
        pydantic.TypeAdapter(dict[str, Part]).validate_python(value)
    text = validation_problem(error.value.errors(include_url=False), value, "the table")
    assert text.startswith(clause) and text.isprintable() and len(text) < 300
