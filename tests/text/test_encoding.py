"""Vocabularies, labels and batches."""

from __future__ import annotations

import json
import logging
import time
import unicodedata
from collections import Counter
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.errors import UserError
from narrowgauge.files import read_json
from narrowgauge.text import (
    IGNORED,
    SPECIALS,
    UNKNOWN,
    EncodedSplit,
    Example,
    Labels,
    Tokenizer,
    WordPieceTokenizer,
    WordTokenizer,
    batches,
    encode_split,
    load,
    tokenizer_from_json,
)
from narrowgauge.text.tokenizer import LONGEST_WORD
from narrowgauge.text.train_wordpiece import train_word_piece

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
sentences = st.lists(words, min_size=1, max_size=12)


def word_piece(examples: tuple[Example, ...] | list[Example], **options: Any) -> WordPieceTokenizer:
    pytest.importorskip("tokenizers")
    return train_word_piece(examples, splitter="whitespace", **options)


@pytest.fixture(scope="module", params=["word", "wordpiece"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    train = load("voice").train[:1500]
    return (
        WordTokenizer.train(train, splitter="whitespace")
        if request.param == "word"
        else word_piece(train, vocab_size=400)
    )


def through_json(tokenizer: Tokenizer) -> Tokenizer:
    return tokenizer_from_json(json.loads(json.dumps(tokenizer.to_json())))


@given(
    corpus=st.lists(sentences, min_size=1, max_size=8), min_count=st.integers(1, 3), lowercase=st.booleans()
)
def test_word_vocabulary(corpus, min_count, lowercase):
    examples = [Example(tuple(sentence), "a") for sentence in corpus]
    tokenizer = WordTokenizer.train(examples, splitter="whitespace", min_count=min_count, lowercase=lowercase)
    tokens = tokenizer.to_json()["tokens"]
    assert tokenizer.vocab_size == len(tokens) + 4
    counts = Counter(tuple(tokenizer.encode([word]).ids)[1] for sentence in corpus for word in sentence)
    known = [counts[index] for index in range(4, tokenizer.vocab_size)]
    assert known == sorted(known, reverse=True)
    assert all(count >= min_count for count in known)
    assert not counts.keys() & {0, 2, 3}
    if min_count == 1 and not set(SPECIALS) & {word for sentence in corpus for word in sentence}:
        assert 1 not in counts
    again = through_json(tokenizer)
    assert again == tokenizer and again.to_json() == tokenizer.to_json()
    for sentence in corpus:
        assert again.encode(sentence).ids.tolist() == tokenizer.encode(sentence).ids.tolist()


def test_word_vocabulary_order_and_case():
    examples = [Example(("b", "A", "a", "c", "C", "d"), "x", pair=("C",))]
    assert WordTokenizer.train(examples, splitter="whitespace", min_count=1).to_json()["tokens"] == [
        "c",
        "a",
        "b",
        "d",
    ]
    assert WordTokenizer.train(examples, splitter="whitespace").to_json()["tokens"] == ["c", "a"]
    cased = WordTokenizer.train(examples, splitter="whitespace", min_count=1, lowercase=False)
    assert cased.to_json()["tokens"] == ["C", "A", "a", "b", "c", "d"]
    assert cased.encode(["D", "[SEP]", "C"]).ids.tolist() == [2, 1, 1, 4]
    assert cased.decode([2, 4, 1, 3, 8, 0, 0]) == "C [UNK] [SEP] c"
    composed = WordTokenizer(["\u00e9"], splitter="whitespace")
    assert composed.encode(["e\u0301", "E\u0301", "\u00c9"]).ids.tolist() == [2, 4, 4, 4]


def test_words_like_specials_are_text(tokenizer):
    for special in SPECIALS:
        encoded = tokenizer.encode(["play", special, "jazz"])
        assert not {0, tokenizer.cls_id, tokenizer.sep_id} & set(encoded.ids[1:].tolist())
        assert len(encoded.word_starts) == 3


@given(sentence=sentences, pair=st.none() | sentences, max_len=st.none() | st.integers(4, 30))
def test_layout(tokenizer, sentence, pair, max_len):
    encoded = tokenizer.encode(sentence, pair, max_len)
    pieces = [tokenizer.encode([word]).ids[1:].tolist() for word in sentence]
    others = [index for word in pair or () for index in tokenizer.encode([word]).ids[1:].tolist()]
    assert all(pieces)
    first = [index for piece in pieces for index in piece]
    whole = [tokenizer.cls_id, *first] + ([] if pair is None else [tokenizer.sep_id, *others])
    ids, segments = encoded.ids.tolist(), encoded.segments.tolist()
    for array in (encoded.ids, encoded.segments, encoded.word_starts):
        assert array.dtype == np.int32
    assert encoded.truncated == (max_len is not None and len(whole) > max_len)
    assert len(ids) == (max_len if encoded.truncated else len(whole)) == len(segments)
    kept = (ids.index(tokenizer.sep_id) if pair is not None else len(ids)) - 1
    assert ids[: kept + 1] == whole[: kept + 1]
    if pair is None:
        assert not any(segments)
    else:
        second = ids[kept + 2 :]
        assert second == others[: len(second)]
        assert segments == [0] * (kept + 2) + [1] * len(second)
        # Cut from the longer one: what lost tokens is at most one token shorter than the other.
        assert second and kept
        assert kept == len(first) or kept >= len(second)
        assert len(second) == len(others) or len(second) >= kept - 1
    starts = np.cumsum([1, *map(len, pieces)])[:-1]
    assert encoded.word_starts.tolist() == [at for at in starts.tolist() if at <= kept]


def test_no_room(tokenizer):
    with pytest.raises(UserError, match="no room"):
        tokenizer.encode(["play"], None, 1)
    with pytest.raises(UserError, match="no room"):
        tokenizer.encode(["play"], ["jazz"], 3)


def test_decode(tokenizer):
    encoded = tokenizer.encode(["Play", "the", "music"], ["in", "the", "kitchen"])
    assert tokenizer.decode([*encoded.ids, 0, 0]) == "play the music [SEP] in the kitchen"
    assert tokenizer.decode([]) == ""
    for outside in (-1, tokenizer.vocab_size):
        with pytest.raises(ValueError, match="token id"):
            tokenizer.decode([outside])


def test_word_piece_round_trip_and_same_vocabulary_again(tmp_path):
    train = load("voice").train[:800]
    tokenizer = word_piece(train, vocab_size=300)
    assert tokenizer.vocab_size <= 300
    assert [tokenizer.to_json()["tokenizer"]["model"]["vocab"][name] for name in SPECIALS] == [0, 1, 2, 3]
    assert word_piece(train, vocab_size=300).to_json() == tokenizer.to_json()
    again = through_json(tokenizer)
    assert again.to_json() == tokenizer.to_json()
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(tokenizer.to_json()["tokenizer"]))
    from_file = WordPieceTokenizer(read_json(path), splitter="whitespace")
    for example in load("voice").test[:200]:
        ids = tokenizer.encode(example.words).ids.tolist()
        assert ids == again.encode(example.words).ids.tolist() == from_file.encode(example.words).ids.tolist()


def test_word_piece_from_an_existing_file_with_other_ids(tmp_path):
    """A file with the vocabulary, specials and template of BERT."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"[PAD]": 0, "play": 1, "##s": 2, "[UNK]": 3, "[CLS]": 4, "[SEP]": 5, "!": 6}
    backend = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    backend.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 5), ("[CLS]", 4))
    backend.add_special_tokens(list(SPECIALS))
    backend.enable_truncation(4)
    backend.enable_padding(length=16)
    path = tmp_path / "tokenizer.json"
    backend.save(str(path))
    tokenizer = WordPieceTokenizer(read_json(path), splitter="whitespace")
    encoded = tokenizer.encode(["plays", "play!", "zzz", "[SEP]"], ["play"])
    assert encoded.ids.tolist() == [4, 1, 2, 1, 6, 3, 3, 5, 1]
    assert encoded.word_starts.tolist() == [1, 3, 5, 6]


def test_word_piece_refused(tmp_path):
    pytest.importorskip("tokenizers")
    for content, match in (
        ("{}", "the tokenizer's model must be a JSON object"),
        ("[", "not valid JSON"),
        ("[]", "JSON object"),
    ):
        path = tmp_path / "tokenizer.json"
        path.write_text(content)
        with pytest.raises(UserError, match=match):
            WordPieceTokenizer(read_json(path), splitter="whitespace")
    definition = word_piece([Example(("a",), "x")], min_count=1).to_json()["tokenizer"]
    definition["model"]["vocab"] = {"[UNK]": 0, "[PAD]": 1, "[CLS]": 2, "[SEP]": 3}
    with pytest.raises(UserError, match="with id 0"):
        WordPieceTokenizer(definition, splitter="whitespace")


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "letters"},
        {"kind": ["word"]},
        {"kind": None},
        {"words": "letters"},
        {"words": ["whitespace"]},
        {"words": "punctuation"},
        {"word_pattern": "(a+)+b"},
        {"word_pattern": None},
        {"tokens": ["a", "a"]},
        {"tokens": ["[UNK]"]},
        {"tokens": ["a", 1]},
        {"tokens": ["a", None]},
        {"tokens": {"a": 4}},
        {"tokens": "abc"},
        {"lowercase": "false"},
        {"lowercase": 1},
        {"kind": "wordpiece"},
        {"kind": "wordpiece", "tokenizer": []},
    ],
)
def test_damaged_tokenizer(change):
    sound = WordTokenizer(["a", "b"], splitter="whitespace").to_json()
    with pytest.raises(UserError, match="damaged") as caught:
        tokenizer_from_json(sound | change)
    assert len(str(caught.value)) < 300
    for key in sound if change == {"kind": None} else ():
        with pytest.raises(UserError):
            tokenizer_from_json({name: entry for name, entry in sound.items() if name != key})


def test_a_tokenizer_without_a_record_of_its_words_is_of_an_older_version():
    for kind in ("word", "wordpiece"):
        with pytest.raises(UserError, match="older narrowgauge"):
            tokenizer_from_json({"kind": kind, "tokens": ["a"], "lowercase": True})


VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    3,
    2**31,
    2**64,
    1e300,
    "",
    "x",
    "[UNK]",
    [],
    {},
    ["a"],
    {"a": 1},
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of the entries of a JSON value, at most 20 per level."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    inner = [place for key, entry in [*entries][:20] for place in places(entry, (*at, key))]
    return [at, *inner] if at else inner


@given(seed=st.integers(0, 10**9))
@settings(max_examples=300)
def test_a_changed_tokenizer_is_sound_or_refused(tokenizer, seed):
    rng = np.random.default_rng(seed)
    value = tokenizer.to_json()
    for _ in range(rng.integers(1, 4)):
        present = places(value)
        *way, last = present[rng.integers(len(present))]
        inner = value
        for key in way:
            inner = inner[key]
        if rng.integers(4):
            inner[last] = deepcopy(VALUES[rng.integers(len(VALUES))])
        else:
            del inner[last]
    try:
        changed = tokenizer_from_json(value)
        ids = changed.encode(["play", "jazz", "zzz", "é", "[SEP]", "##s"], ["a"], 20).ids
    except UserError as error:
        assert len(str(error)) < 300 and "\n" not in str(error)
        return
    assert ids.min() >= 0 and ids.max() < changed.vocab_size


def test_long_words_are_unknown_and_long_sentences_quick(tokenizer):
    """Normalization takes quadratic time in the combining marks of a word: 16 s for 60,000."""
    marks = "a" + "\u0301\u0316" * 30_000
    longest = LONGEST_WORD
    many = " ".join(f"{at:06}" + "\u0301\u0316" * (longest // 2 - 3) for at in range(1_000_000 // longest))
    start = time.process_time()
    assert (
        tokenizer.encode([marks, "x" * (longest + 1), marks + "\u0301"]).ids.tolist()[1:]
        == [tokenizer.unk_id] * 3
    )
    for text in (marks, many, "play " * 200_000, "1.1" * 333_000, "'" * 1_000_000, "a-" * 500_000):
        words = tokenizer.split(text)
        count = len(tokenizer.encode(words, words, 64).ids)
        assert 4 <= count <= 64
    train = WordTokenizer.train if isinstance(tokenizer, WordTokenizer) else train_word_piece
    train([Example(tokenizer.split(marks + " jazz " + many), "a")], splitter="whitespace")
    assert time.process_time() - start < 10


@given(first=sentences, second=st.none() | sentences, max_len=st.integers(4, 12))
def test_truncated_words_have_no_effect(tokenizer, first, second, max_len):
    """Encoding stops at the maximum length with the result of encoding everything."""
    cut, whole = tokenizer.encode(first, second, max_len), tokenizer.encode(first, second)
    assert cut.truncated == (len(whole.ids) > max_len)
    longer = tokenizer.encode([*first, *first * 20], second and [*second, *second * 20], max_len)
    if len(first) >= max_len and (second is None or len(second) >= max_len):
        assert longer.ids.tolist() == cut.ids.tolist()


def test_normal_form(tokenizer):
    """Composed and decomposed letters, in any case, are the same word."""
    composed = tokenizer.encode(["\u00c9t\u00e9"]).ids.tolist()
    assert tokenizer.encode([unicodedata.normalize("NFD", "\u00c9t\u00e9")]).ids.tolist() == composed


def test_labels():
    examples = [
        Example(("a", "b"), "two", ("O", "B-x")),
        Example(("c",), "one", ("B-A",)),
    ]
    labels = Labels.from_examples(examples)
    assert labels == Labels(("one", "two"), ("O", "B-A", "B-x"))
    assert [labels.intent_index(name) for name in ("one", "two", "three")] == [0, 1, UNKNOWN]
    assert [labels.slot_index(tag) for tag in ("O", "B-x", "I-x")] == [0, 2, UNKNOWN]
    assert Labels.from_json(json.loads(json.dumps(labels.to_json()))) == labels
    assert Labels.from_examples([Example(("c",), "one")]).slots == ()
    damaged: list[dict[str, Any]] = [
        {"intents": []},
        {"intents": "ab", "slots": []},
        {"intents": ["a"], "slots": [["O"]]},
        {"intents": ["a", "a"], "slots": []},
        {"intents": {"a": 0}, "slots": []},
    ]
    for value in damaged:
        with pytest.raises(UserError, match="damaged"):
            Labels.from_json(value)


def test_slots_sit_on_first_pieces(tokenizer):
    examples = load("voice").test[:200]
    labels = Labels.from_examples(load("voice").train)
    split = encode_split(examples, tokenizer, labels, 128)
    for at, example in enumerate(examples):
        expected = [IGNORED]
        for word, tag in zip(example.words, example.slots or (), strict=True):
            pieces = len(tokenizer.encode([word]).ids) - 1
            expected += [labels.slots.index(tag)] + [IGNORED] * (pieces - 1)
        assert split.slots[at].tolist() == expected
    assert split.truncated == 0 and len(split) == 200


def test_unseen_labels_and_truncation(caplog):
    labels = Labels(("a",), ("O", "B-x"))
    examples = [
        Example(("x",) * 5, "new", ("B-new", *"OOOO")),
        Example(("x",), "a"),
        Example(("x",) * 9, "a"),
    ]
    tokenizer = WordTokenizer(["x"], splitter="whitespace")
    with caplog.at_level(logging.WARNING, "narrowgauge"):
        split = encode_split(examples, tokenizer, labels, 4)
    assert [record.getMessage() for record in caplog.records] == [
        "2 of 3 sentences are longer than the model's 4 tokens, [CLS] included, and were truncated."
    ]
    caplog.clear()
    with pytest.raises(UserError, match=r"longer than the model's 4 tokens, \[CLS\] included; shorten"):
        encode_split(examples, tokenizer, labels, 4, strict=True)
    with pytest.raises(UserError, match=r"\[CLS\] and \[SEP\] included"):
        encode_split([Example(("x",) * 5, "a", pair=("x",))], tokenizer, labels, 4, strict=True)
    assert split.truncated == 2
    assert split.labels.tolist() == [UNKNOWN, 0, 0]
    assert split.slots[0].tolist() == [IGNORED, UNKNOWN, 0, 0]
    assert split.slots[1].tolist() == [IGNORED] * 2
    assert split.examples == tuple(examples)
    assert encode_split(examples, tokenizer, labels, 10).truncated == 0
    assert not caplog.records


def random_split(lengths: list[int]) -> EncodedSplit:
    examples = [
        Example(
            tuple(f"w{at}" for _ in range(length)), str(at % 3), ("B-x",) * length, ("w0",) * (at % 2 + 1)
        )
        for at, length in enumerate(lengths)
    ]
    return encode_split(
        examples,
        WordTokenizer.train(examples, splitter="whitespace", min_count=1),
        Labels.from_examples(examples),
        max_len=64,
    )


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=60),
    batch_size=st.integers(1, 9),
    seed=st.none() | st.integers(0, 5),
)
def test_batches_cover_everything_once(lengths, batch_size, seed):
    split = random_split(lengths)
    seen: list[int] = []
    for batch in batches(split, batch_size, seed=seed):
        assert 1 <= len(batch.index) <= batch_size
        assert batch.ids.shape == batch.segments.shape == batch.slots.shape
        assert batch.ids.shape == (len(batch.index), max(batch.lengths))
        for array in (batch.ids, batch.lengths, batch.segments, batch.labels, batch.slots, batch.index):
            assert array.dtype == np.int32
        for row, at in enumerate(batch.index):
            size = batch.lengths[row]
            assert batch.labels[row] == split.labels[at]
            for array, source, fill in (
                (batch.ids, split.ids, 0),
                (batch.segments, split.segments, 0),
                (batch.slots, split.slots, IGNORED),
            ):
                assert array[row, :size].tolist() == source[at].tolist()
                assert (array[row, size:] == fill).all()
        seen += batch.index.tolist()
    assert sorted(seen) == list(range(len(split)))
    again = [batch.index.tolist() for batch in batches(split, batch_size, seed=seed)]
    assert [at for index in again for at in index] == seen
    if seed is None:
        sizes = [len(split.ids[at]) for at in seen]
        assert [(size, at) for size, at in zip(sizes, seen, strict=True)] == sorted(
            zip(sizes, seen, strict=True)
        )


def test_batches_are_shuffled_and_padded_little():
    split = random_split(np.random.default_rng(0).integers(1, 40, 2000).tolist())
    orders = [[batch.index.tolist() for batch in batches(split, 16, seed=seed)] for seed in (1, 2)]
    assert orders[0] != orders[1]
    sizes = [batch.ids.size for batch in batches(split, 16, seed=1)]
    assert sum(sizes) < 1.1 * sum(len(ids) for ids in split.ids)
    longest = [batch.ids.shape[1] for batch in batches(split, 16, seed=1)]
    assert longest != sorted(longest)


def test_batch_size_must_be_positive():
    with pytest.raises(ValueError, match="below 1"):
        next(batches(random_split([1]), 0, seed=None))


def test_empty_split_has_no_batches():
    split = encode_split([], WordTokenizer([], splitter="whitespace"), Labels((), ()), 8)
    assert list(batches(split, 4, seed=1)) == list(batches(split, 4, seed=None)) == []
