"""The WordPiece encoder gives the ids of `tokenizers`, the library that defines the format."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from narrowgauge.errors import UserError
from narrowgauge.text import SPECIALS, WordPieceTokenizer, load
from narrowgauge.text.wordpiece import BEHAVIORS, WordPiece

from ..support.characters import module

tokenizers = pytest.importorskip("tokenizers")

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789éßıσςжあ日한क'-.!"
"""Characters that are pieces of every vocabulary, both at the start of a word and inside it."""


def bert(**options: object) -> dict[str, Any]:
    default = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
    return {"type": "BertNormalizer", **default, **options}


def sequence(part: str, *kinds: str | dict[str, Any]) -> dict[str, Any]:
    entries = [{"type": kind} if isinstance(kind, str) else kind for kind in kinds]
    return {
        "type": "Sequence",
        {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers"}[part]: entries,
    }


def added(content: str, index: int = 0, **options: bool) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": index, "content": content, **flags, **options}


def vocabulary(prefix: str) -> dict[str, int]:
    """A WordPiece vocabulary: specials, letters, and pieces of words of the voice corpus."""
    words = sorted({word for example in load("voice").train[:300] for word in example.words})
    pieces = [word[:cut] for word in words for cut in (2, 4)] + [
        prefix + word[cut:] for word in words for cut in (2, 4) if word[cut:]
    ]
    letters = [*LETTERS, *(prefix + letter for letter in LETTERS)]
    return {piece: index for index, piece in enumerate(dict.fromkeys([*SPECIALS, *letters, *pieces]))}


VOCABULARIES = {prefix: vocabulary(prefix) for prefix in ("##", "@@", "")}


def definition(
    normalizer: Any = None,
    pre_tokenizer: Any = None,
    added_tokens: Any = (),
    prefix: str = "##",
    longest: int = 100,
) -> dict[str, Any]:
    vocab = VOCABULARIES[prefix]
    ids = dict(vocab)
    tokens = [entry | {"id": ids.setdefault(entry["content"], len(ids))} for entry in added_tokens]
    model = {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": prefix,
        "max_input_chars_per_word": longest,
        "vocab": vocab,
    }
    return {
        "version": "1.0",
        "added_tokens": tokens,
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "model": model,
    }


ADDED = (
    *(added(name, special=True) for name in SPECIALS),
    added("a!", single_word=True),
    added("new york", lstrip=True, rstrip=True),
    added("É", normalized=True),
    added("Ab C", normalized=True, single_word=True),
    added("ab", normalized=True, rstrip=True),
    added("日", normalized=True, lstrip=True),
    added(" x "),
    added("\u3000", lstrip=True, rstrip=True),
    added(" z", lstrip=True),
)

DEFINITIONS = {
    "bert": definition(bert(), {"type": "BertPreTokenizer"}),
    "bert cased": definition(bert(lowercase=False), {"type": "BertPreTokenizer"}),
    "bert as it is": definition(
        bert(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False),
        {"type": "BertPreTokenizer"},
        longest=5,
    ),
    "bert strips": definition(bert(lowercase=False, strip_accents=True), {"type": "WhitespaceSplit"}),
    "bert keeps": definition(bert(clean_text=False, strip_accents=False), {"type": "Whitespace"}, prefix=""),
    "added": definition(bert(), {"type": "BertPreTokenizer"}, ADDED),
    "added, as it is": definition(None, {"type": "WhitespaceSplit"}, ADDED),
    "nothing": definition(),
    "stripped": definition({"type": "StripAccents"}, {"type": "Whitespace"}, prefix="@@"),
    "lower": definition({"type": "Lowercase"}, {"type": "Punctuation"}),
    "two steps": definition(
        sequence("normalizer", "NFD", "Lowercase", sequence("normalizer", "StripAccents", "NFC")),
        sequence("pre_tokenizer", "WhitespaceSplit", sequence("pre_tokenizer", "Punctuation", "Whitespace")),
        ADDED,
    ),
    **{form: definition({"type": form}, {"type": "Whitespace"}) for form in ("NFC", "NFD", "NFKC", "NFKD")},
    **{
        behavior: definition(bert(), {"type": "Punctuation", "behavior": behavior}, ADDED[:6])
        for behavior in BEHAVIORS
    },
}

SCRIPTS = (
    (0x20, 0x7F),
    (0x20, 0x7F),
    (0xA0, 0x250),
    (0x300, 0x370),
    (0x370, 0x530),
    (0x590, 0x700),
    (0x900, 0xE00),
    (0x1100, 0x1200),
    (0x1E00, 0x2070),
    (0x2070, 0x2C00),
    (0x3000, 0x3400),
    (0x4E00, 0x4F00),
    (0xAC00, 0xAD00),
    (0xF900, 0x10000),
    (0x1F1E6, 0x1FB00),
    (0x0, 0x20),
    (0x0, 0xD800),
    (0xE000, 0x110000),
)
"""Ranges of code points for random words: scripts, marks, control characters, emoji, and all of Unicode."""

MIXED = "aZé\u0301\u0316\u0345 \t\n\u00a0\u200b\u3000.!-'’σΣςİıßǅ日\u3099が한\u11a8\U0001f469\u200d\ufeff\x00\x7f\ufffd"


def characters(rng: random.Random, count: int) -> str:
    low, high = rng.choice(SCRIPTS)
    return "".join(chr(rng.randrange(low, high)) for _ in range(count))


def random_words(seed: int) -> Iterator[str]:
    """An endless series of words: from the voice corpus, of one or several scripts, long, and with added tokens."""
    rng = random.Random(seed)
    corpus = sorted({word for example in load("voice").train for word in example.words})
    contents = [entry["content"] for entry in ADDED]
    while True:
        kind = rng.randrange(8)
        count = rng.randrange(1, 9)
        if kind == 0:
            yield rng.choice(corpus)
        elif kind == 1:
            yield "".join(rng.choice((str.upper, str.title, str))(rng.choice(corpus)) for _ in range(2))
        elif kind == 2:
            yield characters(rng, count)
        elif kind == 3:
            yield "".join(characters(rng, 1) for _ in range(count))
        elif kind == 4:
            yield "".join(rng.choice(MIXED) for _ in range(count))
        elif kind == 5:
            yield "".join(rng.choice(LETTERS) for _ in range(count))
        elif kind == 6:
            yield "".join(
                rng.choice((rng.choice(contents), rng.choice(MIXED), " ", "x")) for _ in range(count)
            )
        else:
            yield "".join(
                characters(rng, 3) for _ in range(rng.randrange(1, 60) if rng.random() < 0.1 else 2)
            )


def compare(names: list[str], count: int, seed: int) -> int:
    """Compares the ids of `count` words, with each definition in turn; returns the number of comparisons."""
    pairs = [
        (WordPiece(DEFINITIONS[name]), tokenizers.Tokenizer.from_str(json.dumps(DEFINITIONS[name])))
        for name in names
    ]
    compared = unknown = 0
    for at, word in zip(range(count), random_words(seed), strict=False):
        ours, library = pairs[at % len(pairs)]
        ids = ours.encode(word)
        assert ids == library.encode(word, add_special_tokens=False).ids, (names[at % len(pairs)], word)
        compared += 1
        unknown += ids == [ours.unk_id]
    assert compared / 20 < unknown < compared * 0.8
    return compared


def test_100_000_words_as_the_library_encodes_them() -> None:
    assert compare(list(DEFINITIONS), 100_000, 1) == 100_000


@pytest.mark.slow
@pytest.mark.parametrize("name", DEFINITIONS)
def test_more_words_with_each_definition(name: str) -> None:
    assert compare([name], 100_000, 2) == 100_000


NORMALIZERS = (
    bert(),
    bert(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False),
    *({"type": kind} for kind in ("Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents")),
)
PRE_TOKENIZERS = tuple(
    {"type": kind} for kind in ("BertPreTokenizer", "Punctuation", "Whitespace", "WhitespaceSplit")
)


def compare_characters(low: int, high: int) -> int:
    """Compares normalization and splitting of the characters in [low, high); returns their number."""
    rows = [[*range(start, min(start + 61, high))] for start in range(low, high, 61)]
    texts = ["".join(chr(code) for code in row if not 0xD800 <= code < 0xE000) for row in rows]
    for normalizer in NORMALIZERS:
        ours = WordPiece(definition(normalizer))._normalize
        library = tokenizers.Tokenizer.from_str(json.dumps(definition(normalizer))).normalizer
        for text in texts:
            assert ours(text) == library.normalize_str(text), (normalizer, text)
            if normalizer["type"] == "NFC":
                # A mark of the lowest class and one of the highest class show the classes of all others.
                between = "e\u0334\u0345".join(text)
                assert ours(between) == library.normalize_str(between), (normalizer, between)
    for pre_tokenizer in PRE_TOKENIZERS:
        cut = WordPiece(definition(None, pre_tokenizer))._cut
        library = tokenizers.Tokenizer.from_str(json.dumps(definition(None, pre_tokenizer))).pre_tokenizer
        for text in texts:
            assert [*cut(text)] == [piece for piece, _ in library.pre_tokenize_str(text)], (
                pre_tokenizer,
                text,
            )
    return sum(map(len, texts))


def test_each_character_that_has_properties() -> None:
    assert compare_characters(0, 0x3400) + compare_characters(0xA000, 0x20000) == 0x19400 - 0x800


@pytest.mark.slow
def test_each_character_of_unicode() -> None:
    assert compare_characters(0, 0x110000) == 0x110000 - 0x800


@pytest.mark.slow
def test_the_tables_are_those_of_the_library(root: Path) -> None:
    assert module() == (root / "text" / "character_tables.py").read_text()


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_definition_is_recorded_as_the_library_writes_it(name: str) -> None:
    library = tokenizers.Tokenizer.from_str(json.dumps(DEFINITIONS[name]))
    ours = WordPiece(DEFINITIONS[name]).definition()
    assert json.dumps(ours) == json.dumps(json.loads(library.to_str()))
    assert WordPiece(ours).definition() == ours
    shuffled = {**DEFINITIONS[name]["model"], "vocab": dict(reversed(ours["model"]["vocab"].items()))}
    again = WordPiece({**DEFINITIONS[name], "model": shuffled, "padding": {"length": 3}, "decoder": {}})
    assert json.dumps(again.definition()) == json.dumps(ours)


def test_defaults_of_a_definition() -> None:
    """Missing options have the defaults of the library."""
    partial = definition(bert(), {"type": "Punctuation"})
    del partial["normalizer"]["strip_accents"], partial["version"], partial["added_tokens"]
    library = tokenizers.Tokenizer.from_str(json.dumps(partial))
    assert json.dumps(WordPiece(partial).definition()) == json.dumps(json.loads(library.to_str()))


TOKEN = added("new")

REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"version": "2.0"}, """the tokenizer's version must be "1.0", got "2.0"."""),
    ({"model": None}, "the tokenizer's model must be a JSON object, got null."),
    ({"model": {"type": "BPE"}}, """the tokenizer's model must be WordPiece, got "BPE"."""),
    ({"model": {"type": "WordPiece"}}, "the tokenizer's WordPiece must have the option 'unk_token'"),
    ({"normalizer": "NFC"}, """the tokenizer's normalizer must be a JSON object, got "NFC"."""),
    ({"normalizer": {"type": "Replace"}}, """NFKC or NFKD or StripAccents or Sequence, got "Replace"."""),
    ({"normalizer": {"type": ["NFC"]}}, 'got ["NFC"].'),
    ({"normalizer": {}}, "the tokenizer's normalizer must be BertNormalizer or Lowercase or NFC"),
    (
        {"normalizer": bert(lowercase=None)},
        "the option 'lowercase' of the tokenizer's BertNormalizer must be true or false, got null.",
    ),
    (
        {"normalizer": bert(strip_accents="no")},
        """the option 'strip_accents' of the tokenizer's BertNormalizer must be true or false or null, got "no".""",
    ),
    ({"normalizer": bert(clean_text=1)}, "must be true or false, got 1."),
    (
        {"normalizer": {"type": "NFC", "form": "D"}},
        """the option "form" of the tokenizer's NFC is not supported, got "D".""",
    ),
    ({"normalizer": sequence("normalizer", "Prepend")}, """or Sequence, got "Prepend"."""),
    (
        {"normalizer": {"type": "Sequence", "normalizers": [None]}},
        "the option 'normalizers' of the tokenizer's Sequence must be a list of JSON objects, got [null].",
    ),
    ({"pre_tokenizer": {"type": "Split"}}, "the tokenizer's pre_tokenizer must be BertPreTokenizer or"),
    (
        {"pre_tokenizer": {"type": "Punctuation", "behavior": "isolated"}},
        """the option 'behavior' of the tokenizer's Punctuation must be "Removed" or "Isolated" or""",
    ),
    ({"added_tokens": None}, "the tokenizer's added_tokens must be a list, got null."),
    ({"added_tokens": [{"id": 4}]}, "the tokenizer's added token must have the option 'content'"),
    (
        {"added_tokens": [{**TOKEN, "id": 7}]},
        """the tokenizer's added token "new" must have the id 4, got 7.""",
    ),
    (
        {"added_tokens": [{**TOKEN, "id": 4, "score": 1}]},
        """the option "score" of the tokenizer's added token is not supported, got 1.""",
    ),
    (
        {"added_tokens": [added("[UNK]", 1), added("[UNK]", 1)]},
        """the tokenizer's added tokens must differ and not be empty, got "[UNK]".""",
    ),
    ({"added_tokens": [added("", 4)]}, """must differ and not be empty, got ""."""),
    (
        {"normalizer": {"type": "StripAccents"}, "added_tokens": [added("\u0301", 4, normalized=True)]},
        "the normalized contents of the tokenizer's added tokens must differ and not be empty",
    ),
)


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_what_is_not_supported_is_refused(change: dict[str, Any], message: str) -> None:
    model = {**definition()["model"], "vocab": {special: index for index, special in enumerate(SPECIALS)}}
    with pytest.raises(UserError) as caught:
        WordPieceTokenizer({"model": model, **change}, splitter="whitespace")
    assert message in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("unk_token", None, "must be a string of Unicode characters, got null"),
        ("unk_token", "[NONE]", "must contain its unk_token"),
        ("continuing_subword_prefix", 2, "must be a string of Unicode characters, got 2"),
        ("continuing_subword_prefix", "\ud800", "must be a string of Unicode characters"),
        ("max_input_chars_per_word", -1, "must be a whole number of at least 0, got -1"),
        ("max_input_chars_per_word", True, "must be a whole number of at least 0, got true"),
        ("max_input_chars_per_word", 2.0, "must be a whole number of at least 0, got 2.0"),
        ("vocab", ["[PAD]"], "must be a JSON object"),
        ("vocab", {}, "must have tokens"),
        ("vocab", {"[PAD]": 0, "\udfff": 1}, "each a string of Unicode characters"),
        ("vocab", {"[PAD]": 0, "[UNK]": 1.0}, "with an integer for each token"),
        ("vocab", {"[PAD]": 0, "[UNK]": 0}, "must be 0 to 1, each once"),
        ("vocab", {"[PAD]": 0, "[UNK]": 2}, "must be 0 to 1, each once"),
        ("vocab", {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2}, "must have the tokens [PAD], with id 0"),
        ("dropout", 0.1, """the option "dropout" of the tokenizer's WordPiece is not supported, got 0.1."""),
    ],
)
def test_a_model_that_is_not_sound_is_refused(option: str, value: object, message: str) -> None:
    model = {**definition()["model"], option: value}
    with pytest.raises(UserError) as caught:
        WordPieceTokenizer({"model": model}, splitter="whitespace")
    assert message in str(caught.value) and len(str(caught.value)) < 300


def test_deep_nesting_is_refused() -> None:
    normalizer: dict[str, Any] = {"type": "NFC"}
    for _ in range(5000):
        normalizer = {"type": "Sequence", "normalizers": [normalizer]}
    with pytest.raises(UserError, match="nested too deeply"):
        WordPiece({**definition(), "normalizer": normalizer})


ALONE = """
import json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "numpy", "narrowgauge"}:
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
from narrowgauge.text import WordPieceTokenizer, load
tokenizer = WordPieceTokenizer(json.load(sys.stdin), splitter="whitespace")
print(*tokenizer.encode(load("voice").test[0].words).ids)
"""


def test_encoding_needs_numpy_alone() -> None:
    """In a process that refuses to import any other package."""
    text = json.dumps(DEFINITIONS["bert"])
    done = subprocess.run(
        [sys.executable, "-c", ALONE], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    tokenizer = WordPieceTokenizer(DEFINITIONS["bert"], splitter="whitespace")
    assert [*map(int, done.stdout.split())] == tokenizer.encode(load("voice").test[0].words).ids.tolist()
