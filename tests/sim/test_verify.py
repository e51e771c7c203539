"""Verification finds every planted difference, and names the first."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from narrowgauge.fixedpoint import IntArray
from narrowgauge.graph import Graph, node_outputs
from narrowgauge.graph.level import Level, Results, Sentence
from narrowgauge.graph.onnx_io import model_bytes
from narrowgauge.sim.golden.model import GoldenModel
from narrowgauge.sim.levels.compare import Difference, LevelResult, print_table, verify_levels
from narrowgauge.sim.levels.onnx import OnnxLevel

from ..support.graphs import random_graph, random_sentences
from ..support.oracle import run_oracle

Change = Callable[[str, int | None, IntArray], IntArray | None]
"""What a level makes of a value (its name, the number of the sentence, the integers); None leaves it out."""


class OracleLevel:
    """The oracle as a level, with every value changed on its way out."""

    def __init__(self, graph: Graph, name: str, change: Change = lambda name, number, data: data) -> None:
        self.name = name
        self.on_engine = False
        self._graph = graph
        self._change = change
        self._done = 0

    def execute(self, sentences: Sequence[Sentence]) -> Results:
        results: dict[str, list[IntArray]] = {}
        outputs: dict[str, list[IntArray]] = {}
        for sentence in sentences:
            values = run_oracle(self._graph, sentence)
            for name in self._graph.activations():
                data = self._change(name, self._done, values[name].copy())
                if data is not None:
                    results.setdefault(name, []).append(data)
            for task, name in self._graph.outputs.items():
                data = self._change(f"output {task}", self._done, values[name].copy())
                if data is not None:
                    outputs.setdefault(task, []).append(data)
            self._done += 1
        return Results(results, outputs)

    def merged(self) -> Mapping[str, IntArray]:
        segments = np.zeros(1, np.int32) if self._graph.segments else None
        values = run_oracle(self._graph, Sentence(np.zeros(1, np.int32), segments))
        changed = {name: self._change(name, None, values[name].copy()) for name in self._graph.merged()}
        return {name: data for name, data in changed.items() if data is not None}


GRAPH = random_graph(np.random.default_rng(42), layers=1, kind="tt", plan="merged", features=12, heads=2)
SENTENCES = random_sentences(np.random.default_rng(43), GRAPH, 5)
ORDER = (
    *(name for node in GRAPH.nodes for name in node_outputs(node)),
    *(f"output {task}" for task in GRAPH.outputs),
)
TENSORS = len(SENTENCES) * len(GRAPH.activations()) + len(GRAPH.merged())


def verify(change: Change, chunk: int = 2) -> LevelResult:
    """The result of a level with `change` against the oracle itself."""
    levels = [OracleLevel(GRAPH, "reference"), OracleLevel(GRAPH, "other", change)]
    reference, other = verify_levels(GRAPH, levels, SENTENCES, chunk=chunk)
    assert reference.reference and reference.equal
    assert not other.reference
    assert other.level == "other"
    return other


def test_golden_and_onnx_equal_the_oracle():
    onnx = OnnxLevel(model_bytes(GRAPH), GRAPH, threads=1)
    done: list[int] = []
    levels: list[Level] = [OracleLevel(GRAPH, "oracle"), GoldenModel(GRAPH), onnx]
    results = verify_levels(GRAPH, levels, SENTENCES, chunk=2, progress=done.append)
    assert [result.level for result in results] == ["oracle", "golden", "onnx"]
    assert all(result.equal for result in results)
    assert [result.tensors for result in results] == [TENSORS] * 3
    assert [result.required for result in results] == [TENSORS] * 3
    assert [result.answers for result in results] == [len(SENTENCES)] * 3
    assert [result.sentences for result in results] == [len(SENTENCES)] * 3
    assert done == [2, 2, 2, 2, 2, 2, 1, 1, 1]


plants = st.lists(
    st.tuples(
        st.sampled_from(ORDER),
        st.integers(0, len(SENTENCES) - 1),
        st.floats(0, 1, exclude_max=True),
        st.sampled_from([-300, -1, 1, 256]),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda plant: plant[0],
)


@settings(max_examples=40)
@given(plants=plants, chunk=st.integers(1, 6))
def test_the_first_planted_difference_is_named(plants, chunk):
    by_name = {name: (number, place, delta) for name, number, place, delta in plants}
    planted: list[Difference] = []

    def change(name: str, number: int | None, data: IntArray) -> IntArray:
        if name in by_name and number in (None, by_name[name][0]):
            _, place, delta = by_name[name]
            index = tuple(int(i) for i in np.unravel_index(int(place * data.size), data.shape))
            expected = int(data[index])
            data[index] += delta
            planted.append(Difference(name, number, index, expected + delta, expected))
        return data

    result = verify(change, chunk)
    assert not result.equal
    assert not result.missing
    assert result.tensors == TENSORS
    assert result.first_difference == min(planted, key=lambda d: ORDER.index(d.value))


LAST = GRAPH.activations()[-1]


def test_of_one_value_the_first_sentence_is_named():
    def change(name: str, number: int | None, data: IntArray) -> IntArray:
        return data + (name == LAST and number in (1, 3))

    difference = verify(change, chunk=1).first_difference
    assert difference is not None
    assert (difference.value, difference.sentence) == (LAST, 1)
    assert difference.index == (0,) * len(GRAPH.values[LAST].dims)


def test_missing_values_are_named_in_order():
    gone = {ORDER[-1], ORDER[3], GRAPH.merged()[0]}
    result = verify(lambda name, number, data: None if name in gone else data)
    assert result.missing == tuple(name for name in ORDER if name in gone)
    assert result.first_difference is None
    assert not result.equal
    assert result.verdict == f"NOT COMPARED: 3 values missing, first {result.missing[0]}"


def test_what_the_reference_lacks_is_not_equal():
    def change(name: str, number: int | None, data: IntArray) -> IntArray | None:
        return None if name == ORDER[0] else data

    levels = [OracleLevel(GRAPH, "reference", change), OracleLevel(GRAPH, "other")]
    reference, other = verify_levels(GRAPH, levels, SENTENCES)
    assert not reference.equal and not other.equal
    assert reference.missing == other.missing == (ORDER[0],)
    assert reference.tensors == other.tensors == TENSORS - len(SENTENCES)


@pytest.mark.parametrize("level", [0, 1])
def test_a_wrong_shape_is_a_difference(level):
    def change(name: str, number: int | None, data: IntArray) -> IntArray:
        return data[None] if name == ORDER[0] and number == 1 else data

    levels = [OracleLevel(GRAPH, "a"), OracleLevel(GRAPH, "b")]
    levels[level] = OracleLevel(GRAPH, "changed", change)
    results = verify_levels(GRAPH, levels, SENTENCES)
    assert not any(result.equal for result in results[level:])
    result = results[level]
    shape = run_oracle(GRAPH, SENTENCES[1])[ORDER[0]].shape
    assert result.first_difference == Difference(ORDER[0], 1, (), (1, *shape), shape)


def test_other_integer_types_are_equal_and_floats_are_a_defect():
    assert verify(lambda name, number, data: data.astype(np.int32)).equal
    with pytest.raises(TypeError, match="float64"):
        verify(lambda name, number, data: data.astype(np.float64))


def test_a_sentence_too_few_is_a_defect():
    class Short(OracleLevel):
        def execute(self, sentences: Sequence[Sentence]) -> Results:
            found = super().execute(sentences)
            return Results({name: rows[:-1] for name, rows in found.values.items()}, found.outputs)

    with pytest.raises(ValueError, match="shorter"):
        verify_levels(GRAPH, [OracleLevel(GRAPH, "reference"), Short(GRAPH, "short")], SENTENCES)


def test_nothing_compared_is_not_equal():
    levels = [OracleLevel(GRAPH, "reference"), OracleLevel(GRAPH, "other")]
    for result in verify_levels(GRAPH, levels, []):
        assert not result.equal and "NOT COMPARED" in result.verdict
    empty = OracleLevel(GRAPH, "empty", lambda name, number, data: None)
    result = verify_levels(GRAPH, [OracleLevel(GRAPH, "reference"), empty], SENTENCES)[1]
    assert (result.tensors, result.answers) == (0, 0)
    assert set(result.missing) == set(ORDER) and not result.equal


def test_the_names_of_the_answers_are_compared():
    """Names that differ although no logit does: only a level that decodes in another way could give them."""

    def names(sentence: int, outputs: Mapping[str, IntArray]) -> tuple[str, ...]:
        assert set(outputs) == set(GRAPH.outputs)
        calls.append(sentence)
        return "label", f"tag {len(calls)}" if sentence == 2 else "tag"

    calls: list[int] = []
    levels = [OracleLevel(GRAPH, "reference"), OracleLevel(GRAPH, "other")]
    result = verify_levels(GRAPH, levels, SENTENCES, names=names)[1]
    assert sorted(calls) == sorted(2 * [*range(len(SENTENCES))])
    assert result.first_difference == Difference("answer", 2, (1,), "tag 5", "tag 6")


def test_the_table_has_a_row_a_level():
    equal = LevelResult("golden", True, 1200, 1200, 4, 4, None, (), 1.26)
    results = [
        equal,
        dataclasses.replace(equal, level="onnx", reference=False),
        dataclasses.replace(
            equal, level="torch", reference=False, first_difference=Difference("a.b", 3, (0, 7), 5, -6)
        ),
        dataclasses.replace(equal, level="rtl", reference=False, missing=("x", "y")),
        dataclasses.replace(
            equal, level="hls", reference=False, first_difference=Difference("[m]", None, (), (2,), (3,))
        ),
    ]
    output = io.StringIO()
    print_table(results, Console(file=output, width=120, markup=False, emoji=False))
    rows = [line for line in output.getvalue().splitlines() if "1,200" in line]
    expected = [
        ("golden", "reference"),
        ("onnx", "equal"),
        ("torch", "NOT EQUAL: a.b[0, 7], sentence 3: 5 instead of -6"),
        ("rtl", "NOT COMPARED: 2 values missing, first x"),
        ("hls", "NOT EQUAL: shape of [m]: (2,) instead of (3,)"),
    ]
    assert len(rows) == len(expected)
    for row, (level, verdict) in zip(rows, expected, strict=True):
        assert level in row
        assert verdict in row
        assert "1.3" in row
