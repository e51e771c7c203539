"""Data sets in files: what is read, and the error message for invalid input."""

from __future__ import annotations

import csv
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.errors import UserError
from narrowgauge.model.config import RunConfig
from narrowgauge.model.preparation import prepare
from narrowgauge.text import WORD_PATTERNS, Corpus, Example, load, load_split, readers, split_words
from narrowgauge.text.tokenizer import LONGEST_WORD

from ..support.corpora import has_slots

SNIPS_LIKE = {
    "seq.in": "play some  jazz \nadd é\u00a0x\u2028y to my list\nplay some jazz\n",
    "seq.out": "O O B-genre\nO B-song O O O\nO O B-genre \n",
    "label": "Play\nAdd\nPlay \n",
}


def sequences(folder: Path, **splits: dict[str, str]) -> Path:
    for split, files in splits.items():
        (folder / split).mkdir(parents=True)
        for name, content in files.items():
            (folder / split / name).write_text(content, encoding="utf-8")
    return folder


def refused(source: object, *parts: str) -> None:
    """Loading `source` raises one sentence that contains all `parts`."""
    with pytest.raises(UserError) as caught:
        load(str(source))
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".")
    assert sentence.isprintable() and len(sentence) < 300 + len(str(source))
    for part in parts:
        assert part in sentence


def test_sequences(tmp_path):
    unseen = {"seq.in": "stop\n", "seq.out": "B-new\n", "label": "Stop\n"}
    corpus = load(str(sequences(tmp_path / "mine", train=SNIPS_LIKE, dev=SNIPS_LIKE, test=unseen)))
    jazz = Example(("play", "some", "jazz"), "Play", ("O", "O", "B-genre"))
    odd = Example(("add", "é\u00a0x\u2028y", "to", "my", "list"), "Add", ("O", "B-song", "O", "O", "O"))
    assert corpus == Corpus(
        "mine", (jazz, odd, jazz), (jazz, odd, jazz), (Example(("stop",), "Stop", ("B-new",)),), "whitespace"
    )
    assert has_slots(corpus) and not corpus.has_pairs
    assert corpus.split("test") is corpus.test


def test_sequences_without_slots_with_windows_line_ends(tmp_path):
    files = {name: SNIPS_LIKE[name].replace("\n", "\r\n") for name in ("seq.in", "label")}
    corpus = load(str(sequences(tmp_path, train=files)))
    assert [example.slots for example in corpus.train] == [None] * 3
    assert corpus.train[0].words == ("play", "some", "jazz")
    assert not has_slots(corpus) and corpus.test == ()


def test_split_refuses_unknown_and_empty(tmp_path):
    corpus = load(str(sequences(tmp_path, train=SNIPS_LIKE)))
    with pytest.raises(UserError, match="no split 'train2'"):
        corpus.split("train2")
    with pytest.raises(UserError, match=r"test split .* is empty"):
        corpus.split("test")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"seq.out": "O O B-genre\nO B-song O O O\n"}, ["seq.out has 2 lines", "seq.in has 3"]),
        ({"label": "Play\nAdd\nPlay\nPlay\n"}, ["label has 4 lines"]),
        ({"seq.out": "O O\nO B-song O O O\nO O B-genre\n"}, ["seq.out line 1", "2 tags for 3 words"]),
        ({"seq.out": "O O B-genre\nO B-song O X O\nO O B-genre\n"}, ["seq.out line 2", "'X'"]),
        ({"seq.in": "play some jazz\n \nplay some jazz\n"}, ["seq.in line 2 has no words"]),
        ({"label": "Play\n\nPlay\n"}, ["label line 2 has no label"]),
        ({"seq.in": "", "seq.out": "", "label": ""}, ["has no examples"]),
        ({"label": "Play\nAdd\rAdd\nPlay\n"}, ["label line 2 contains a carriage return"]),
        (
            {name: content.replace("\n", "\r") for name, content in SNIPS_LIKE.items()},
            ["seq.in line 1 contains a carriage return", "end every line with a line feed"],
        ),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_sequences_refused(tmp_path, split, change, parts):
    folder = sequences(tmp_path, **{"train": SNIPS_LIKE, "test": SNIPS_LIKE, split: SNIPS_LIKE | change})
    refused(folder, str(folder / split), *parts)


@pytest.mark.parametrize("missing", ["seq.in", "label"])
def test_sequences_missing_file(tmp_path, missing):
    files = {name: content for name, content in SNIPS_LIKE.items() if name != missing}
    refused(sequences(tmp_path, train=files), missing, "cannot be read")


def test_sequences_not_utf8(tmp_path):
    folder = sequences(tmp_path, train=SNIPS_LIKE)
    (folder / "train" / "seq.in").write_bytes(b"caf\xe9\n")
    refused(folder, "seq.in is not UTF-8 text")


@pytest.mark.parametrize("name", ["dev", "valid", "validation", "val"])
@pytest.mark.parametrize("suffix", ["", ".tsv"])
def test_every_name_of_the_dev_split_is_read(tmp_path, name, suffix):
    one = {"seq.in": "stop\n", "seq.out": "O\n", "label": "Stop\n"}
    if suffix:
        for split, rows in (("train", [["a", "x"]] * 20), (name, [["stop", "Stop"]])):
            write_table(tmp_path / f"{split}{suffix}", [["text", "label"], *rows])
    else:
        sequences(tmp_path, train=SNIPS_LIKE, **{name: one})
    corpus = load(str(tmp_path))
    assert [example.words for example in corpus.dev] == [("stop",)]
    assert len(corpus.train) == (20 if suffix else 3) and corpus.held_out == ()


@pytest.mark.parametrize("other", ["valid", "validation", "dev.tsv", "validation.csv"])
def test_two_names_of_one_split_are_refused(tmp_path, other):
    sequences(tmp_path, train=SNIPS_LIKE, dev=SNIPS_LIKE)
    if "." in other:
        (tmp_path / other).write_text("text,label\na,b\n")
    else:
        sequences(tmp_path, **{other: SNIPS_LIKE})
    refused(tmp_path, f"dev and {other} for the split dev")


def test_what_is_held_out_is_told(tmp_path, caplog):
    write_table(tmp_path / "train.csv", [["text", "label"], *([f"number {n}", "a"] for n in range(1234))])
    write_table(tmp_path / "test.csv", [["text", "label"], ["one", "a"]])
    with caplog.at_level(logging.INFO, "narrowgauge"):
        load_split(str(tmp_path), "test", pairs=False, splitter="punctuation")
        assert not caplog.records
        load_split(str(tmp_path), "dev", pairs=False, splitter="punctuation")
        load_split(str(tmp_path / "train.csv"), "test", pairs=False, splitter="punctuation")
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path.name} has no dev split: of 1,234 sentences, 123 as dev were held out (seed 0).",
        "train has no dev and no test split: of 1,234 sentences, 123 as dev and 123 as test were held out (seed 0).",
    ]


def test_training_tells_and_records_what_was_held_out(tmp_path, caplog):
    files = {name: content * 10 for name, content in SNIPS_LIKE.items()}
    with caplog.at_level(logging.INFO, "narrowgauge"):
        prepared = prepare(
            RunConfig(), str(sequences(tmp_path / "mine", train=files)), tmp_path / "run", False
        )
    assert caplog.messages == ["mine has no dev split: of 30 sentences, 3 as dev were held out (seed 0)."]
    assert prepared.data["held_out"] == ["dev"]
    assert prepared.data["sentences"] == {"train": 27, "dev": 3}


@pytest.mark.parametrize("place", ["seq.in", "label", "seq.out"])
@pytest.mark.parametrize("kind", ["a FIFO", "a folder", "a device", "at most"])
def test_what_is_no_regular_file_is_refused_before_it_is_read(tmp_path, place, kind):
    path = sequences(tmp_path, train=SNIPS_LIKE) / "train" / place
    path.unlink()
    unreadable(path, kind)
    refused(tmp_path, str(path), kind)


@pytest.mark.parametrize("kind", ["a FIFO", "a folder", "a device", "at most"])
def test_a_table_that_is_no_regular_file_is_refused_before_it_is_read(tmp_path, kind):
    path = tmp_path / "train.csv"
    unreadable(path, kind)
    refused(tmp_path, str(path), kind)
    if kind != "a folder":
        refused(path, str(path), "at most" if kind == "at most" else "is not a data set")


def unreadable(path: Path, kind: str) -> None:
    if kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as stream:
            stream.truncate(40 << 30)


def test_names_from_files_are_told_in_printable_form_and_short(tmp_path):
    evil = "\x1b[31m\u202e" + "x" * 1000
    folder = sequences(tmp_path / "a", train=SNIPS_LIKE | {"seq.out": f"O O {evil}\nO O O O O\nO O O\n"})
    refused(folder, r"must be O, B-name or I-name, got '\x1b[31m\u202exxx")
    for header in (f"text,{evil}", f"{evil},label", f"{evil},{evil},text,label"):
        (tmp_path / "train.csv").write_text(f"{header}\na,b\n")
        refused(tmp_path / "train.csv", r"\x1b[31m\u202exxx")


def test_sequences_slots_in_one_split_only(tmp_path):
    bare = {name: SNIPS_LIKE[name] for name in ("seq.in", "label")}
    refused(sequences(tmp_path, train=SNIPS_LIKE, test=bare), "seq.out", "not in test")


def test_no_such_source(tmp_path):
    (tmp_path / "data.json").write_text("{}")
    refused(tmp_path / "nothing", "is not a data set")
    refused(tmp_path / "data.json", "not a .csv or .tsv")
    refused(tmp_path, "no train")


def write_table(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        if path.suffix == ".csv":
            csv.writer(stream).writerows(rows)
        else:
            stream.writelines("\t".join(row) + "\n" for row in rows)


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("text", ["text", "Sentence", "utterance", "query"])
@pytest.mark.parametrize("label", ["label", "intent", "category", "Class"])
def test_table_directory(tmp_path, suffix, text, label):
    rows = [[f'say "number" {n}, please', f"c{n % 3}"] for n in range(20)]
    write_table(tmp_path / f"train{suffix}", [[text, label], *rows])
    write_table(tmp_path / f"test{suffix}", [[label, text], ["new", "Über allem!"]])
    corpus = load(str(tmp_path))
    assert (len(corpus.train), len(corpus.dev)) == (18, 2)
    assert corpus.test == (Example(("Über", "allem", "!"), "new"),)
    expected = {Example(("say", '"', "number", '"', str(n), ",", "please"), f"c{n % 3}") for n in range(20)}
    assert {*corpus.train, *corpus.dev} == expected
    assert load(str(tmp_path)) == corpus


def test_table_with_lines_inside_quotes(tmp_path):
    write_table(tmp_path / "train.csv", [["text", "label"], ["two\nlines", "a"], ["", ""], ["one", "b"]])
    assert load(str(tmp_path)).train == (Example(("two", "lines"), "a"), Example(("one",), "b"))


@pytest.mark.parametrize(
    "pair", [("sentence1", "sentence2"), ("question1", "question2"), ("premise", "hypothesis")]
)
def test_table_pairs(tmp_path, pair):
    write_table(tmp_path / "train.tsv", [["id", *pair, "label"], ["0", "A cat.", "It's a cat", "1"]])
    corpus = load(str(tmp_path))
    assert corpus.train == (Example(("A", "cat", "."), "1", pair=("It's", "a", "cat")),)
    assert corpus.has_pairs and not has_slots(corpus)


@given(count=st.integers(3, 200))
def test_one_table_is_split(tmp_path_factory, count):
    path = tmp_path_factory.mktemp("table") / "mine.csv"
    write_table(path, [["text", "label"], *([f"number {n}", "c"] for n in range(count))])
    corpus = load(str(path))
    tenth = max(1, count // 10)
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (count - 2 * tenth, tenth, tenth)
    parts = [
        [int(example.words[1]) for example in split] for split in (corpus.train, corpus.dev, corpus.test)
    ]
    assert all(part == sorted(part) for part in parts)
    assert sorted(at for part in parts for at in part) == list(range(count))
    assert load(str(path)) == corpus


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["no text column"]),
        ("text,label\n", ["train.csv has no examples"]),
        ("words,label\nhello,a\n", ["no text column among words, label"]),
        ("text,kind\nhello,a\n", ["no label column among text, kind"]),
        ("text,label\nhello,a,b\n", ["line 2 has 3 fields, expected 2"]),
        ("text,label\nhello,a\nbye\n", ["line 3 has 1 fields"]),
        ("text,label,text\nhello,a,b\n", ["two columns named 'text'"]),
        ("text,label,id, ID \nhello,a,b,c\n", ["two columns named 'id'"]),
        ("text,label\n ,a\n", ["line 2 has no words"]),
        ("text,label\nhello, \n", ["line 2 has no label"]),
        ('text,label\n"hello,a\nbye,b\n', ["malformed"]),
    ],
)
def test_table_refused(tmp_path, content, parts):
    path = tmp_path / "train.csv"
    path.write_text(content)
    refused(tmp_path, str(path), *parts)


def test_the_document_names_what_is_read(root):
    text = (root / "docs" / "data.md").read_text(encoding="utf-8")
    pairs = [name for pair in readers._PAIR_COLUMNS for name in pair]
    splits = [name for names in readers._SPLIT_NAMES.values() for name in names]
    for name in (*readers._TEXT_COLUMNS, *pairs, *readers._LABEL_COLUMNS, *splits, *WORD_PATTERNS):
        assert f"`{name}`" in text, name
    sentence = "leave at 5 a.m., it's late"
    for splitter in WORD_PATTERNS:
        assert " · ".join(split_words(sentence, splitter)) in text
    assert f"at most {readers.MOST_BYTES >> 30} GiB" in text
    assert f"at most {csv.field_size_limit() >> 10} KiB" in text
    assert f"more than {LONGEST_WORD} characters" in text


def test_small_and_double_tables(tmp_path):
    path = tmp_path / "train.csv"
    write_table(path, [["text", "label"], ["a", "x"], ["b", "y"]])
    refused(path, "2 examples", "at least 3")
    (tmp_path / "train.tsv").write_text("text\tlabel\na\tx\n")
    refused(tmp_path, "train.csv and train.tsv")


def test_split_words():
    assert split_words("Play lo-fi, please!", "punctuation") == ("Play", "lo-fi", ",", "please", "!")
    assert split_words(" it’s 3:30pm -- $1,000.5 ", "punctuation") == (
        "it’s",
        "3:30",
        "pm",
        "-",
        "-",
        "$",
        "1,000.5",
    )
    assert split_words("नमस्ते दुनिया", "punctuation") == ("नमस्ते", "दुनिया")
    assert split_words(" \t\u00a0", "punctuation") == ()


@given(st.text())
def test_split_words_loses_nothing_but_white_space(text):
    words = split_words(text, "punctuation")
    assert "".join(words) == "".join(text.split())
    assert all(words)
    assert split_words(" ".join(words), "punctuation") == words


def hub(tmp_path: Path, build: Callable[..., object]) -> str:
    datasets = pytest.importorskip("datasets", exc_type=ImportError)
    build(datasets).save_to_disk(str(tmp_path / "saved"))  # type: ignore[attr-defined]
    return f"hf:{tmp_path / 'saved'}"


def test_hugging_face_splits(tmp_path):
    def build(datasets):
        features = datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["off", "on"])}
        )

        def split(rows):
            columns = {"text": [row[0] for row in rows], "label": [row[1] for row in rows]}
            return datasets.Dataset.from_dict(columns, features=features)

        return datasets.DatasetDict(
            train=split([("Light on!", 1), ("light off", 0)]),
            validation=split([("on", 1)]),
            test=split([("off", 0), ("not told", -1)]),
        )

    corpus = load(hub(tmp_path, build))
    assert corpus.train == (Example(("Light", "on", "!"), "on"), Example(("light", "off"), "off"))
    assert (corpus.dev, corpus.test) == ((Example(("on",), "on"),), (Example(("off",), "off"),))


def test_hugging_face_single_split_of_pairs(tmp_path):
    def build(datasets):
        texts = [f"number {n}" for n in range(30)]
        return datasets.Dataset.from_dict(
            {"premise": texts, "hypothesis": texts[::-1], "label": [0, 1, 2] * 10}
        )

    corpus = load(hub(tmp_path, build))
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (24, 3, 3)
    assert corpus.has_pairs
    for example in (*corpus.train, *corpus.dev, *corpus.test):
        assert example.pair is not None
        assert int(example.words[1]) + int(example.pair[1]) == 29
        assert example.label == str(int(example.words[1]) % 3)


def test_hugging_face_refused(tmp_path):
    def build(datasets):
        return datasets.DatasetDict(train=datasets.Dataset.from_dict({"words": ["a"], "label": [0]}))

    source = hub(tmp_path, build)
    refused(source, "no text column among words, label")

    def twice(datasets):
        data = datasets.Dataset.from_dict({"text": ["a"], "label": [0]})
        return datasets.DatasetDict(train=data, validation=data, valid=data)

    refused(hub(tmp_path / "twice", twice), "validation and valid for the split dev")

    def numbers(datasets):
        data = datasets.Dataset.from_dict({"text": [1, 2], "label": [0, 1]})
        return datasets.DatasetDict(train=data)

    refused(hub(tmp_path / "numbers", numbers), "row 0: the column text must hold text")
    (tmp_path / "empty").mkdir()
    refused(f"hf:{tmp_path / 'empty'}", "cannot be loaded")


def test_hugging_face_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    refused("hf:anything", "package datasets")


@pytest.mark.parametrize(
    ("name", "sizes", "labels", "tags"),
    [
        ("snips", (13084, 700, 700), 7, 72),
        ("hwu64", (8964, 996, 1076), 64, 105),
        ("banking77", (9003, 1000, 3080), 77, 0),
    ],
)
def test_public_data_sets(real_data, name, sizes, labels, tags):
    corpus = load(str(real_data / name))
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == sizes
    assert len({example.label for example in corpus.train}) == labels
    assert len({tag for example in corpus.train for tag in example.slots or ()}) == tags


ODD_BYTES = (
    b"\x00",
    b"\xff",
    b"\r",
    b"\n",
    b"\t",
    b",",
    b'"',
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"",
    b"text",
    b" ",
)


@pytest.mark.parametrize("layout", ["seq.in", "seq.out", "label", "train.csv", "train.tsv"])
@given(seed=st.integers(0, 10**9))
def test_changed_files_are_read_or_refused_in_a_sentence(layout, seed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("changed")
    if layout.startswith("train"):
        path = folder / layout
        write_table(path, [["text", "label"], *([f'say "{n}", please', f"c{n}"] for n in range(4))])
    else:
        path = sequences(folder, train=SNIPS_LIKE) / "train" / layout
    rng = np.random.default_rng(seed)
    content = path.read_bytes()
    for _ in range(rng.integers(1, 4)):
        start = rng.integers(len(content) + 1)
        stop = start + rng.integers(3)
        content = content[:start] + ODD_BYTES[rng.integers(len(ODD_BYTES))] + content[stop:]
    path.write_bytes(content)
    for splitter in (None, *WORD_PATTERNS):
        try:
            corpus = load(str(folder), splitter)
        except UserError as error:
            assert str(error).isprintable() and len(str(error)) < 300 + len(str(path))
        else:
            for example in corpus.train:
                assert example.words and example.label
                assert example.slots is None or len(example.slots) == len(example.words)
