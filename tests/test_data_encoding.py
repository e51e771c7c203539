"""Vocabularies, labels and batches."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.errors import UserError
from narrowgauge.model.data import (
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

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
sentences = st.lists(words, min_size=1, max_size=12)


def word_piece(examples: tuple[Example, ...] | list[Example], **options: Any) -> WordPieceTokenizer:
    pytest.importorskip("tokenizers")
    return WordPieceTokenizer.train(examples, **options)


@pytest.fixture(scope="module", params=["word", "wordpiece"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    train = load("voice").train[:1500]
    return WordTokenizer.train(train) if request.param == "word" else word_piece(train, vocab_size=400)


def through_json(tokenizer: Tokenizer) -> Tokenizer:
    return tokenizer_from_json(json.loads(json.dumps(tokenizer.to_json())))


@given(
    corpus=st.lists(sentences, min_size=1, max_size=8), min_count=st.integers(1, 3), lowercase=st.booleans()
)
def test_word_vocabulary(corpus, min_count, lowercase):
    examples = [Example(tuple(sentence), "a") for sentence in corpus]
    tokenizer = WordTokenizer.train(examples, min_count=min_count, lowercase=lowercase)
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
    assert WordTokenizer.train(examples, min_count=1).to_json()["tokens"] == ["c", "a", "b", "d"]
    assert WordTokenizer.train(examples).to_json()["tokens"] == ["c", "a"]
    cased = WordTokenizer.train(examples, min_count=1, lowercase=False)
    assert cased.to_json()["tokens"] == ["C", "A", "a", "b", "c", "d"]
    assert cased.encode(["D", "[SEP]", "C"]).ids.tolist() == [2, 1, 1, 4]
    assert cased.decode([2, 4, 1, 3, 8, 0, 0]) == "C [UNK] [SEP] c"
    composed = WordTokenizer(["\u00e9"])
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
    from_file = WordPieceTokenizer.from_file(path)
    for example in load("voice").test[:200]:
        ids = tokenizer.encode(example.words).ids.tolist()
        assert ids == again.encode(example.words).ids.tolist() == from_file.encode(example.words).ids.tolist()


def test_word_piece_from_an_existing_file_with_other_ids(tmp_path):
    """Vocabulary, specials and template as BERT's files have them."""
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
    tokenizer = WordPieceTokenizer.from_file(path)
    encoded = tokenizer.encode(["plays", "play!", "zzz", "[SEP]"], ["play"])
    assert encoded.ids.tolist() == [4, 1, 2, 1, 6, 3, 3, 5, 1]
    assert encoded.word_starts.tolist() == [1, 3, 5, 6]


def test_word_piece_refused(tmp_path):
    pytest.importorskip("tokenizers")
    for content, match in (("{}", "not valid"), ("[", "not valid JSON")):
        path = tmp_path / "tokenizer.json"
        path.write_text(content)
        with pytest.raises(UserError, match=match):
            WordPieceTokenizer.from_file(path)
    definition = word_piece([Example(("a",), "x")], min_count=1).to_json()["tokenizer"]
    definition["model"]["vocab"] = {"[UNK]": 0, "[PAD]": 1, "[CLS]": 2, "[SEP]": 3}
    with pytest.raises(UserError, match="as id 0"):
        WordPieceTokenizer(definition)


@pytest.mark.parametrize(
    "value", [{}, {"kind": "letters"}, {"kind": "word", "tokens": ["a", "a"], "lowercase": True}]
)
def test_damaged_tokenizer(value):
    with pytest.raises(UserError, match="damaged"):
        tokenizer_from_json(value)


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


def test_unseen_labels_and_truncation():
    labels = Labels(("a",), ("O", "B-x"))
    examples = [
        Example(("x",) * 5, "new", ("B-new", *"OOOO")),
        Example(("x",), "a"),
        Example(("x",) * 9, "a"),
    ]
    with pytest.warns(UserWarning, match="2 of 3 sentences are longer than 4 tokens") as caught:
        split = encode_split(examples, WordTokenizer(["x"]), labels, 4)
    assert len(caught) == 1
    assert split.truncated == 2
    assert split.labels.tolist() == [UNKNOWN, 0, 0]
    assert split.slots[0].tolist() == [IGNORED, UNKNOWN, 0, 0]
    assert split.slots[1].tolist() == [IGNORED] * 2
    assert split.examples == tuple(examples)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert encode_split(examples, WordTokenizer(["x"]), labels, 10).truncated == 0


def random_split(lengths: list[int]) -> EncodedSplit:
    examples = [
        Example(
            tuple(f"w{at}" for _ in range(length)), str(at % 3), ("B-x",) * length, ("w0",) * (at % 2 + 1)
        )
        for at, length in enumerate(lengths)
    ]
    return encode_split(
        examples, WordTokenizer.train(examples, min_count=1), Labels.from_examples(examples), max_len=64
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
    split = encode_split([], WordTokenizer([]), Labels((), ()), 8)
    assert list(batches(split, 4, seed=1)) == list(batches(split, 4, seed=None)) == []
