"""Metrics against seqeval and plain counting."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities

from narrowgauge.text import EncodedSplit, Example, Labels
from narrowgauge.text.scores import Scores, decode, score_predictions, span_f1, spans

# Every prefix that conlleval knows, with types that hold hyphens or are missing.
TYPES = ("", "-", "-a", "-b", "-a-b", "--a")
TAGS = st.sampled_from(["O", "O-a", *(prefix + type_ for prefix in "BIES" for type_ in TYPES)])
PLAIN = st.sampled_from(["O", "O", "B-a", "I-a", "B-b", "I-b", "I-c"])


def taggings(tags: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[list[list[str]], list[list[str]]]]:
    """Expected and predicted tags of the same sentences."""
    sentence = st.lists(st.tuples(tags, tags), min_size=1, max_size=9)
    return st.lists(sentence, min_size=1, max_size=6).map(
        lambda rows: ([[a for a, _ in row] for row in rows], [[b for _, b in row] for row in rows])
    )


def oracle_f1(gold: list[list[str]], predicted: list[list[str]]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(f1_score(gold, predicted))


@given(st.lists(TAGS, max_size=12))
def test_spans_are_those_of_seqeval(tags: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert spans(tags) == get_entities(tags)


@given(st.one_of(taggings(PLAIN), taggings(TAGS)))
def test_f1_is_that_of_seqeval(pair: tuple[list[list[str]], list[list[str]]]) -> None:
    gold, predicted = pair
    # Both are quotients of the same integers: they differ by rounding alone.
    assert span_f1(gold, predicted) == pytest.approx(100 * oracle_f1(gold, predicted), abs=1e-9)


def test_a_span_does_not_cross_sentences() -> None:
    assert span_f1([["B-a"], ["I-a"]], [["B-a"], ["I-a"]]) == 100.0
    assert spans(["B-a", "I-a"]) != spans(["B-a"]) + spans(["I-a"])


def test_f1_of_different_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 1 tags, one per word, got 2"):
        span_f1([["O"]], [["O", "O"]])
    with pytest.raises(ValueError, match="zip"):
        span_f1([["O"]], [])


@st.composite
def predictions(draw: st.DrawFn) -> tuple[list[Example], list[str], list[tuple[str, ...]]]:
    """Examples whose labels may be unknown, predicted labels, and tags that may be truncated."""
    examples, labels, slots = [], [], []
    for _ in range(draw(st.integers(1, 8))):
        tags = draw(st.lists(st.one_of(PLAIN, st.just("B-never")), min_size=1, max_size=8))
        examples.append(Example(("w",) * len(tags), draw(st.sampled_from(["x", "y", "never"])), tuple(tags)))
        labels.append(draw(st.sampled_from(["x", "y"])))
        slots.append(tuple(draw(st.lists(PLAIN, max_size=len(tags)))))
    return examples, labels, slots


@given(predictions())
def test_scores_are_plain_counts(case: tuple[list[Example], list[str], list[tuple[str, ...]]]) -> None:
    examples, labels, slots = case
    filled = [
        [*tags, *["O"] * 8][: len(example.words)] for tags, example in zip(slots, examples, strict=True)
    ]
    right = [label == example.label for label, example in zip(labels, examples, strict=True)]
    whole = [
        ok and tuple(tags) == example.slots for ok, tags, example in zip(right, filled, examples, strict=True)
    ]
    count = len(examples)
    scores = score_predictions(labels, slots, examples, ["x", "y"])
    assert scores.accuracy == 100 * right.count(True) / count
    assert scores.exact == 100 * whole.count(True) / count
    assert scores.slot_f1 == pytest.approx(
        100 * oracle_f1([list(example.slots or ()) for example in examples], filled), abs=1e-9
    )
    assert scores.sentences == count
    assert scores.unknown_labels == [example.label for example in examples].count("never")


def test_scores_without_slots() -> None:
    bare = [Example(("a",), "x"), Example(("b",), "y")]
    tagged = [Example(("a",), "x", ("B-a",)), Example(("b",), "y", ("O",))]
    assert score_predictions(["x", "x"], None, tagged) == Scores(50.0, None, 50.0, 2)
    assert score_predictions(["x", "x"], [("B-a",), ("O",)], bare) == Scores(50.0, None, 50.0, 2)
    assert score_predictions([], None, []) == Scores(0.0, None, 0.0, 0)
    assert Scores(50.0, None, 50.0, 2).selection == 50.0
    assert Scores(50.0, 100.0, 50.0, 2).selection == 75.0


def test_scores_refuse_another_number_of_predictions() -> None:
    for labels, slots in ((["x", "x"], None), (["x"], []), ([], None)):
        with pytest.raises(ValueError, match="1 examples"):
            score_predictions(labels, slots, [Example(("a",), "x", ("O",))])


@given(st.lists(st.integers(-2, 2), min_size=3, max_size=3), st.integers(0, 2**32 - 1))
def test_decoding_takes_the_first_of_the_largest(row: list[int], seed: int) -> None:
    logits = np.random.default_rng(seed).integers(-2, 3, (6, 3))
    starts = np.array([1, 2, 4], np.int32)
    empty = np.zeros(0, np.int32)
    split = EncodedSplit(
        (Example(("a", "b", "c"), "x"),), (empty,), (empty,), (starts,), (empty,), np.zeros(1, np.int32), 0
    )
    names = ("p", "q", "r")
    found = decode([np.array(row)], [logits], split, Labels(names, names))
    assert found.labels == (names[row.index(max(row))],)
    assert found.slots == (tuple(names[list(logits[at]).index(max(logits[at]))] for at in starts),)
    assert decode([np.array(row)], None, split, Labels(names, ())).slots is None
