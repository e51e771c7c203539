"""The golden model against the plain oracle: every value, every sentence, `==`."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from narrowgauge.errors import UserError
from narrowgauge.fixedpoint import layer_norm
from narrowgauge.graph import Graph, LayerNorm, Metadata
from narrowgauge.graph.bounds import prove
from narrowgauge.graph.level import Sentence
from narrowgauge.sim.golden import model as golden
from narrowgauge.sim.golden.model import GoldenModel
from narrowgauge.sim.golden.operators import exact_type
from narrowgauge.sim.golden.packing import Batch
from narrowgauge.tests.support.graphs import random_graph, random_sentences, token_rows
from narrowgauge.tests.support.oracle import run_oracle, saturated_share


def check(
    graph: Graph, sentences: Sequence[Sentence], model: GoldenModel | None = None
) -> list[dict[str, Any]]:
    """Compares all results of the model with the oracle; returns those of the oracle."""
    model = model or GoldenModel(graph, threads=1)
    found, outputs, merged = model.run(sentences), model.predict(sentences), model.merged()
    assert set(found) == set(graph.activations()) and set(merged) == set(graph.merged())
    assert set(outputs) == set(graph.outputs)
    expected = [run_oracle(graph, sentence) for sentence in sentences]
    for i, values in enumerate(expected):
        for name, value in values.items():
            data = merged[name] if name in merged else found[name][i]
            assert data.dtype == graph.fmt(name).dtype, name
            assert data.shape == value.shape and np.array_equal(data, value), (name, i)
        for task, name in graph.outputs.items():
            assert np.array_equal(outputs[task][i], values[name]), (task, i)
    return expected


@pytest.mark.parametrize("seed", range(60))
def test_random_models(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    check(graph, random_sentences(rng, graph, 6))


@pytest.mark.parametrize("kind", ["dense", "lowrank", "tt"])
@pytest.mark.parametrize("plan", ["merged", "cores"])
@pytest.mark.parametrize("bits", [8, 4, 2])
def test_every_kind_plan_and_width(kind: str, plan: str, bits: int) -> None:
    rng = np.random.default_rng(bits)
    graph = random_graph(rng, kind=kind, plan=plan, bits=bits, layers=1)
    check(graph, random_sentences(rng, graph, 4))


@pytest.mark.parametrize("seed", range(10))
def test_extreme_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, extremes=1.0, layers=1)
    check(graph, random_sentences(rng, graph, 3))


def test_accumulators_beyond_float32() -> None:
    rng = np.random.default_rng(0)
    graph = random_graph(rng, features=48, heads=2, kind="dense", bits=8, extremes=1.0, layers=1, ffn=2500)
    types = {exact_type(bound.magnitude) for bound in prove(graph).values()}
    assert types == {np.float32, np.float64}
    check(graph, random_sentences(rng, graph, 3))


def test_exact_types() -> None:
    assert exact_type(2**24) is np.float32 and int(np.float32(2**24 + 1)) != 2**24 + 1
    assert exact_type(2**24 + 1) is np.float64


@pytest.mark.parametrize("size", [1, 2, 3, 6, 45, 256, 257, 640, 768, 1000, 1024])
def test_layer_norm(size: int) -> None:
    """LayerNorm alone on difficult tokens, at sizes and variances that reach every branch of the operator."""
    rng = np.random.default_rng(size)
    graph = random_graph(rng, features=size, heads=1, layers=0, extremes=0.0)
    node = next(node for node in graph.nodes if isinstance(node, LayerNorm))
    operator = GoldenModel(graph)._operators[graph.nodes.index(node)]
    spread = 10.0 ** rng.uniform(-0.5, 4.3, (40, 1))
    level = rng.integers(-(2**15), 2**15, (40, 1))
    x = np.round(rng.normal(0, 1, (40, size)) * spread + level * rng.integers(0, 2, (40, 1)))
    x[0], x[1], x[2] = -(2**15), 2**15 - 1, 0
    x[3], x[4] = 32766, -32768
    x[3, 0], x[4, -1] = 32767, 32767
    x = np.clip(x, -(2**15), 2**15 - 1).astype(np.int64)
    for rows in (x, x[spread[:, 0] > 300], x[:1], x[3:4]):
        batch = Batch({}, [], np.zeros(1, int), {}, {node.input: rows.astype(np.float32)})
        operator(batch)
        gamma, beta = (graph.constants[name] for name in (node.gamma, node.beta))
        expected = layer_norm(rows, gamma, beta, graph.fmt(node.gamma).frac, graph.fmt(node.output))
        assert np.array_equal(batch.values[node.output], expected)


@pytest.mark.parametrize("chunk", [1, 7, 10_000])
def test_neighbours_and_threads_change_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(chunk)
    graph = random_graph(rng, layers=1, max_length=9)
    monkeypatch.setattr(golden, "CHUNK_NUMBERS", chunk * graph.metadata.max_length)
    sentences = random_sentences(rng, graph, 20)
    check(graph, sentences, GoldenModel(graph, threads=2))


def test_shortest_and_longest() -> None:
    rng = np.random.default_rng(8)
    graph = random_graph(rng, layers=2, max_length=40, heads=2)
    shortest, longest = random_sentences(rng, graph, 2)
    assert (len(shortest.tokens), len(longest.tokens)) == (1, 40)
    for sentences in ([shortest], [longest], [longest] * 3, [longest, shortest, longest], []):
        check(graph, sentences)


def test_every_token_of_the_vocabulary() -> None:
    rng = np.random.default_rng(4)
    for ttm in (True, False):
        graph = random_graph(rng, ttm=ttm, layers=0, max_length=8)
        ids = np.arange(token_rows(graph), dtype=np.int32)
        segments = np.zeros(8, np.int32)
        check(
            graph, [Sentence(ids[i : i + 8], segments[: len(ids[i : i + 8])]) for i in range(0, len(ids), 8)]
        )


def test_random_models_are_worth_comparing() -> None:
    """Guards the tests above: values that are mostly saturated or constant would hide differences."""
    ends, spread = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        graph = random_graph(rng)
        sentence = random_sentences(rng, graph, 2)[1]
        results = run_oracle(graph, sentence)
        for name, value in results.items():
            ends.append(saturated_share(graph, results, name))
            spread.append(len(np.unique(value)) > min(3, value.size // 2))
    assert np.mean(ends) < 0.2 and np.mean(spread) > 0.8


def test_bad_sentences() -> None:
    rng = np.random.default_rng(2)
    graph = dataclasses.replace(random_graph(rng, segments=True, layers=0), metadata=Metadata("m", 4))
    model, rows = GoldenModel(graph), token_rows(graph)

    def sentence(tokens: Sequence[int], segments: Sequence[int] | None = None) -> Sentence:
        marks = [0] * len(tokens) if segments is None else segments
        return Sentence(np.array(tokens, np.int32), np.array(marks, np.int32))

    good = sentence([0, rows - 1], [0, 1])
    bad = [
        (sentence([]), "sentence 1 must have 1 to 4 tokens, got 0"),
        (sentence([0] * 5), "sentence 1 must have 1 to 4 tokens, got 5"),
        (sentence([0, rows]), f"token ids of sentence 1 must be 0 to {rows - 1}, got {rows};"),
        (sentence([-1, 0]), f"token ids of sentence 1 must be 0 to {rows - 1}, got -1;"),
        (sentence([0, 0], [0, 2]), "segment ids of sentence 1 must be 0 to 1, got 2;"),
        (sentence([0, 0], [-3, 0]), "segment ids of sentence 1 must be 0 to 1, got -3;"),
        (sentence([0, 0], [0]), "sentence 1: expected 2 segment ids"),
        (Sentence(np.zeros(2, np.int32)), "sentence 1: expected 2 segment ids"),
    ]
    assert len(model.predict([good])["intent"]) == 1
    for (wrong, message), method in itertools.product(bad, (model.run, model.predict)):
        with pytest.raises(UserError, match=message):
            method([good, wrong])
