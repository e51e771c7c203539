"""`run` and `eval` read the same text as the same token ids."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.errors import UserError
from narrowgauge.text import (
    WORD_PATTERNS,
    Corpus,
    Example,
    Labels,
    Splitter,
    WordTokenizer,
    load,
    split_words,
)
from narrowgauge.text.frontend import Frontend
from narrowgauge.text.train_wordpiece import train_word_piece

SPLITTERS: tuple[Splitter, ...] = tuple(WORD_PATTERNS)

SENTENCES = (
    "leave at 5 a.m.",
    "Turn it off .",
    "i'd like lo-fi, please!",
    "play 's\u00a0hits",
    "it costs $1,000.50 (or so)",
    "E\u0301te\u0301 \u00c9t\u00e9",
    "\u200bzero\u200dwidth \u202eabc",
    "\U0001f469\u200d\U0001f4bb \U0001f3b5 music",
    "\u3000\u65e5\u672c\u8a9e\u3002 \uff01",
    "a\x01b \x1b[31mred \x7f",
    "[SEP] [PAD] ##s [UNK]",
)

odd = st.text(
    st.sampled_from(
        "ab5.,:'-!\u2019 \t\u00a0\u200b\u0301\u0316\u3000\u2028\x1c\x85\ufeff\U0001f3b5\u00c9\u0130\u1e9e"
    )
    | st.characters(exclude_categories=["Cs"]),
    min_size=1,
)


@dataclass(frozen=True)
class Source:
    """A data set, and its test sentences as written in the file."""

    name: str
    texts: Sequence[tuple[str, str | None]]


def sequences(folder: Path, texts: Sequence[str]) -> Source:
    lines = [" ".join(text.split(" ")) for text in texts]
    for split in ("train", "dev", "test"):
        (folder / split).mkdir(parents=True)
        (folder / split / "seq.in").write_text("\n".join(lines) + "\n", encoding="utf-8")
        tags = (" ".join("B-x" for _ in split_words(line, "whitespace")) for line in lines)
        (folder / split / "seq.out").write_text("\n".join(tags) + "\n", encoding="utf-8")
        (folder / split / "label").write_text("one\n" * len(lines), encoding="utf-8")
    return Source(str(folder), [(line, None) for line in lines])


def table(folder: Path, texts: Sequence[tuple[str, ...]], suffix: str) -> Source:
    names = ["text"] if len(texts[0]) == 1 else ["sentence1", "sentence2"]
    rows = [[*names, "label"], *([*text, "one"] for text in texts)]
    folder.mkdir(parents=True)
    for split in ("train", "dev", "test"):
        with (folder / f"{split}{suffix}").open("w", newline="", encoding="utf-8") as stream:
            if suffix == ".csv":
                csv.writer(stream).writerows(rows)
            else:
                stream.writelines("\t".join(row) + "\n" for row in rows)
    return Source(str(folder), [(text[0], text[1] if len(text) > 1 else None) for text in texts])


def public(folder: Path) -> Source:
    """A public data set; its test sentences are read without narrowgauge."""
    if (folder / "test.csv").exists():
        with (folder / "test.csv").open(newline="", encoding="utf-8") as stream:
            return Source(str(folder), [(row["text"], None) for row in csv.DictReader(stream)])
    lines = (folder / "test" / "seq.in").read_bytes().decode().split("\n")
    return Source(str(folder), [(line, None) for line in lines if line])


def make(kind: str, folder: Path, request: pytest.FixtureRequest) -> Source:
    if kind == "voice":
        return Source("voice", [(" ".join(example.words), None) for example in load("voice").test])
    if kind == "seq.in":
        return sequences(folder / "sequences", SENTENCES)
    if kind in ("tsv", "csv"):
        return table(folder / kind, [(text,) for text in SENTENCES], f".{kind}")
    if kind == "pairs":
        return table(folder / kind, [*pairwise(SENTENCES)], ".tsv")
    return public(request.getfixturevalue("real_data") / kind)


def frontends(corpus: Corpus) -> list[Frontend]:
    labels = Labels.from_examples(corpus.train)
    train = corpus.train[:2000]
    words = WordTokenizer.train(train, splitter=corpus.splitter, min_count=1)
    pieces = train_word_piece(train, splitter=corpus.splitter, vocab_size=500)
    return [Frontend(tokenizer, labels, 24, corpus.has_pairs) for tokenizer in (words, pieces)]


def same(frontend: Frontend, source: Source) -> int:
    """Compares all test sentences; returns their number."""
    data = frontend.read(source.name, "test", None)
    assert len(data) == len(source.texts)
    for at, (text, second) in enumerate(source.texts):
        typed = frontend.encode([text if second is None else (text, second)])
        assert typed.examples[0].words == data.examples[at].words
        assert typed.examples[0].pair == data.examples[at].pair
        for field in ("ids", "segments", "word_starts"):
            assert getattr(typed, field)[0].tolist() == getattr(data, field)[at].tolist()
    return len(source.texts)


@pytest.mark.parametrize("splitter", [None, *SPLITTERS])
@pytest.mark.parametrize(
    ("kind", "own", "count"),
    [
        ("voice", "whitespace", 700),
        ("seq.in", "whitespace", len(SENTENCES)),
        ("tsv", "punctuation", len(SENTENCES)),
        ("csv", "punctuation", len(SENTENCES)),
        ("pairs", "punctuation", len(SENTENCES) - 1),
        ("snips", "whitespace", 700),
        ("hwu64", "whitespace", 1076),
        ("banking77", "punctuation", 3080),
    ],
)
def test_every_test_sentence_is_read_as_a_user_types_it(
    kind: str,
    own: Splitter,
    count: int,
    splitter: Splitter | None,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    pytest.importorskip("tokenizers")
    source = make(kind, tmp_path, request)
    corpus = load(source.name, splitter)
    assert corpus.splitter == (splitter or own)
    for frontend in frontends(corpus):
        assert frontend.tokenizer.splitter == corpus.splitter
        assert same(frontend, source) == count


@given(texts=st.lists(odd, min_size=1, max_size=6), splitter=st.sampled_from(SPLITTERS), layout=st.booleans())
def test_odd_characters_are_read_as_a_user_types_them(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], splitter: Splitter, layout: bool
) -> None:
    # A line end ends a line of seq.in, a mark of order at its start is no text; and tables may not begin with one.
    lines = [text.replace("\n", " ").replace("\r", " ").strip("\ufeff \t") for text in texts]
    lines = [
        line for line in lines if all(split_words(line, cut) for cut in SPLITTERS) and "\x00" not in line
    ]
    if not lines:
        return
    folder = tmp_path_factory.mktemp("odd") / "data"
    source = sequences(folder, lines) if layout else table(folder, [(line,) for line in lines], ".csv")
    corpus = load(source.name, splitter)
    tokenizer = WordTokenizer.train(corpus.train, splitter=splitter, min_count=1)
    frontend = Frontend(tokenizer, Labels.from_examples(corpus.train), 24, False)
    assert same(frontend, source) == len(lines)


@given(text=st.text(st.characters(exclude_categories=["Cs"])) | odd, splitter=st.sampled_from(SPLITTERS))
def test_words_are_cut_once(text: str, splitter: Splitter) -> None:
    """Splitting the joined words again gives the same words; only white space is lost."""
    words = split_words(text, splitter)
    assert split_words(" ".join(words), splitter) == words
    assert all(words)
    lost = (
        "".join(text.split())
        if splitter == "punctuation"
        else text.translate(dict.fromkeys(map(ord, " \t\r\n")))
    )
    assert "".join(words) == lost


def test_white_space_alone_cuts_at_spaces_tabs_and_line_ends() -> None:
    assert split_words(" turn it\toff.\r\nnow\u00a0please ", "whitespace") == (
        "turn",
        "it",
        "off.",
        "now\u00a0please",
    )


def test_the_span_of_a_word_goes_on_to_the_last_of_its_parts(tmp_path: Path) -> None:
    for split, line, tags in (
        ("train", "leave at 5 a.m. from st. louis", "O O B-time I-time O B-city I-city"),
        ("test", "no. stop!", "O B-x"),
    ):
        (tmp_path / split).mkdir()
        (tmp_path / split / "seq.in").write_text(line)
        (tmp_path / split / "seq.out").write_text(tags)
        (tmp_path / split / "label").write_text("one")
    corpus = load(str(tmp_path), "punctuation")
    assert corpus.train[0] == Example(
        ("leave", "at", "5", "a", ".", "m", ".", "from", "st", ".", "louis"),
        "one",
        ("O", "O", "B-time", *["I-time"] * 4, "O", "B-city", "I-city", "I-city"),
    )
    assert corpus.test[0] == Example(("no", ".", "stop", "!"), "one", ("O", "O", "B-x", "I-x"))


@pytest.mark.parametrize(
    ("splitter", "text", "second", "words"),
    [
        ("punctuation", "", None, "in the sentence"),
        ("punctuation", " \u00a0\t", None, "in the sentence"),
        ("whitespace", " \t\r\n", None, "in the sentence"),
        ("whitespace", " ", "jazz", "in the first sentence"),
        ("whitespace", "jazz", "", "in the second sentence"),
    ],
)
def test_a_sentence_without_words_is_refused(
    splitter: Splitter, text: str, second: str | None, words: str
) -> None:
    frontend = Frontend(
        WordTokenizer(["jazz"], splitter=splitter), Labels(("one",), ()), 8, second is not None
    )
    with pytest.raises(UserError, match=f"no word {words}"):
        frontend.encode([text if second is None else (text, second)])


def test_a_long_sentence_is_cut_or_refused(caplog: pytest.LogCaptureFixture) -> None:
    frontend = Frontend(WordTokenizer(["jazz"], splitter="whitespace"), Labels(("one",), ()), 8, False)
    frontend.encode(["jazz " * 7], strict=True)
    assert not caplog.records
    frontend.encode(["jazz " * 8])
    assert "1 of 1 sentences are longer than the model's 8 tokens" in caplog.text
    with pytest.raises(UserError, match=r"longer than the model's 8 tokens, \[CLS\] included"):
        frontend.encode(["jazz " * 8], strict=True)
