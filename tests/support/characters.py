"""Measures how the library `tokenizers` classifies characters, and writes `text/character_tables.py`.

python -m narrowgauge.tests.support.characters
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

from tokenizers import normalizers, pre_tokenizers

CODES = [code for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
"""Every character; surrogates are none."""

HEAD = '''"""Ranges of code points for `characters.py`, hexadecimal.

Generated from version 0.23 of `tokenizers` by `python -m narrowgauge.tests.support.characters`; do not edit.
"""
'''


def ranges(codes: Iterable[int]) -> str:
    """Code points as ranges `first-last`."""
    found: list[list[int]] = []
    for code in sorted(codes):
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return " ".join(f"{a:x}" if a == b else f"{a:x}-{b:x}" for a, b in found)


def offsets(lower: Mapping[int, int]) -> str:
    """A map of code points as runs `first-last/step+offset` (`~` for a negative offset), step 1 left out."""
    runs: list[tuple[int, int, int, int]] = []
    for code, other in sorted(lower.items()):
        offset = other - code
        if runs:
            first, last, step, of = runs[-1]
            if of == offset and (code - last == step or (first == last and code - last == 2)):
                runs[-1] = (first, code, code - last, of)
                continue
        runs.append((code, code, 1, offset))
    return " ".join(
        f"{first:x}"
        + (f"-{last:x}" if last > first else "")
        + (f"/{step:x}" if step > 1 else "")
        + f"{'+' if offset > 0 else '~'}{abs(offset):x}"
        for first, last, step, offset in runs
    )


def outputs(normalizer: normalizers.Normalizer) -> dict[int, str]:
    """What the normalizer gives for each character by itself."""
    return {code: normalizer.normalize_str(chr(code)) for code in CODES}


def bert(**options: bool) -> normalizers.Normalizer:
    off = dict.fromkeys(("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), False)
    return normalizers.BertNormalizer(**{**off, **options})


def pieces(pre_tokenizer: pre_tokenizers.PreTokenizer) -> dict[int, int]:
    """Into how many pieces the pre-tokenizer cuts "a", a character and "b"."""
    return {code: len(pre_tokenizer.pre_tokenize_str(f"a{chr(code)}b")) for code in CODES}


def normalized() -> set[int]:
    """Characters that decompose, are reordered, or may compose with another one."""
    nfd = normalizers.NFD()
    active = {code for code, text in outputs(normalizers.NFKD()).items() if text != chr(code)}
    parts = (nfd.normalize_str(chr(code)) for code in list(active))
    active |= {ord(inner) for text in parts if len(text) > 1 for inner in text}
    # A mark of class 1 moves before a character of a higher class, one of class 230 behind one of a lower.
    for code in CODES:
        for text in (f"a{chr(code)}\u0334", f"a\u0301{chr(code)}"):
            if code not in active and nfd.normalize_str(text) != text:
                active.add(code)
    return active


def tables() -> dict[str, str]:
    """Each table, by its name."""
    lower = {code: text for code, text in outputs(normalizers.Lowercase()).items() if text != chr(code)}
    assert {code for code, text in lower.items() if len(text) != 1} == {0x130}
    words = pieces(pre_tokenizers.Whitespace())
    return {
        "SPACE": ranges(
            code for code, count in pieces(pre_tokenizers.WhitespaceSplit()).items() if count == 2
        ),
        "CONTROL": ranges(code for code, text in outputs(bert(clean_text=True)).items() if not text),
        "NONSPACING": ranges(code for code, text in outputs(bert(strip_accents=True)).items() if not text),
        "MARK": ranges(code for code, text in outputs(normalizers.StripAccents()).items() if not text),
        "PUNCTUATION": ranges(
            code for code, count in pieces(pre_tokenizers.Punctuation()).items() if count == 3
        ),
        "WORD": ranges(code for code, count in words.items() if count == 1),
        "CHINESE": ranges(
            code
            for code, text in outputs(bert(handle_chinese_chars=True)).items()
            if text == f" {chr(code)} "
        ),
        "NORMALIZED": ranges(normalized()),
        "LOWER": offsets({code: ord(text) for code, text in lower.items() if len(text) == 1}),
    }


def module() -> str:
    """The text of `text/character_tables.py`."""
    parts = [
        f'{name} = """\n{textwrap.fill(table, 100, break_on_hyphens=False)}\n"""\n'
        for name, table in tables().items()
    ]
    return "\n".join([HEAD, *parts])


if __name__ == "__main__":
    (Path(__file__).resolve().parents[2] / "text" / "character_tables.py").write_text(
        module(), encoding="utf-8"
    )
