"""The overflow proof: bounds are never too low, exact where possible, and refused from the first bit too many."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from narrowgauge.errors import UserError
from narrowgauge.fixedpoint import NORM_BITS, NORM_FRAC, Format, exp_table, layer_norm, softmax
from narrowgauge.graph import TOKENS, Embedding, Graph, Linear, Metadata, Value, node_outputs
from narrowgauge.graph.bounds import Bound, max_normalized, max_probability_sum, prove
from narrowgauge.tests.support.graphs import random_graph, random_sentences
from narrowgauge.tests.support.oracle import run_oracle

LIMIT = 2**31


@pytest.mark.parametrize("seed", range(60))
def test_accumulators_stay_inside_their_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    bounds = prove(graph)
    for sentence in random_sentences(rng, graph, 3):
        accumulators: dict[str, Any] = {}
        run_oracle(graph, sentence, accumulators)
        assert accumulators
        for name, data in accumulators.items():
            assert bounds[name].lo <= data.min() and data.max() <= bounds[name].hi, name


def dense_graph(table: Any, weight: Any, bias: int = 0, shift: int = 8) -> Graph:
    """An embedding with `table` and one dense layer, whose accumulator is requantized by `shift` bits."""
    table, weight = np.asarray(table, np.int8), np.asarray(weight, np.int8)
    out = len(weight)
    data = {"table": table, "layer.core0": weight, "layer.bias": np.full(out, bias, np.int64)}
    values = {
        "table": Value("table", Format(8, 4), table.shape),
        "layer.core0": Value("layer.core0", Format(8, 6), weight.shape),
        "layer.bias": Value("layer.bias", Format(32, 10), (out,)),
        "x": Value("x", Format(8, 4), ("T", table.shape[1])),
        "layer": Value("layer", Format(16, 10 - shift), ("T", out)),
    }
    nodes = (
        Embedding("table", TOKENS, "x"),
        Linear("dense", "x", ("layer.core0",), 0, "merged", (), "layer", "layer.bias"),
    )
    return Graph(nodes, values, data, {"slots": "layer"}, Metadata("dense", 4))


@pytest.mark.parametrize("seed", range(10))
def test_a_dense_layer_has_the_exact_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-128, 128, (5, 17))
    # The rows of the table reach both ends of every output.
    ends = np.where(weight > 0, 127, -128)
    table = np.concatenate([ends, np.where(weight > 0, -128, 127)])
    bound = prove(dense_graph(table, weight))["layer"]
    sums = table @ weight.T
    assert (bound.lo, bound.hi) == (sums.min(), sums.max() + 128)


@pytest.mark.parametrize("shift", [8, 1, 0, -1, -7])
def test_the_last_accumulator_that_fits(shift: int) -> None:
    half, left = (1 << shift) >> 1 if shift > 0 else 0, max(-shift, 0)
    highest = ((LIMIT - 1) >> left) - half - 100 * 127
    lowest = -(LIMIT >> left) + 100 * 127
    bounds = prove(dense_graph([[100]], [[127]], highest, shift))
    assert LIMIT - (1 << left) <= bounds["layer"].hi < LIMIT and bounds["layer"].bits == 32
    bounds = prove(dense_graph([[-100]], [[127]], lowest, shift))
    assert bounds["layer"].lo == -LIMIT and bounds["layer"].bits == 32
    for table, bias in (([[100]], highest + 1), ([[-100]], lowest - 1)):
        with pytest.raises(UserError, match=r"'layer'.*33 bits.*train"):
            prove(dense_graph(table, [[127]], bias, shift))


def moved(graph: Graph, name: str, by: int) -> Graph:
    """The graph up to the node that writes `name`, with the binary point of that value moved by `by` bits."""
    last = next(i for i, node in enumerate(graph.nodes) if name in node_outputs(node))
    value = graph.values[name]
    fmt = Format(value.fmt.bits, value.fmt.frac + by)
    return dataclasses.replace(
        graph,
        nodes=graph.nodes[: last + 1],
        values={**graph.values, name: Value(name, fmt, value.dims)},
    )


@pytest.mark.parametrize("seed", range(16))
def test_one_bit_more_than_fits_is_refused_in_every_operator(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, max_length=6, extremes=0.0)
    names = [name for name in prove(graph) if not name.endswith("probabilities")]
    refused = 0
    for name in rng.choice(names, 6, replace=False):
        bound = None
        for by in range(1, 80):
            try:
                following = prove(moved(graph, name, by))[name]
            except UserError as error:
                if repr(str(name)) in str(error) and bound is not None:
                    assert 2 * bound.lo < -LIMIT or 2 * bound.hi >= LIMIT
                    refused += 1
                break
            assert -LIMIT <= following.lo <= 0 <= following.hi < LIMIT
            bound = following
    assert refused


def test_scales_too_far_apart_are_refused() -> None:
    for shift in (32, 60, -32, -1100):
        with pytest.raises(UserError, match=f"'layer'.*{shift} bits"):
            prove(dense_graph([[0]], [[0]], 0, shift))


def test_sum_of_exponentials() -> None:
    graph = random_graph(np.random.default_rng(1), layers=1, max_length=8)
    for length, fits in ((65538, True), (65539, False)):
        long = dataclasses.replace(graph, metadata=Metadata("long", length))
        if fits:
            assert prove(long)["encoder.0.attention.probabilities"].hi == 65538 * 32767
        else:
            with pytest.raises(UserError, match=r"'encoder\.0\.attention\.(probabilities|context)'"):
                prove(long)


def test_bits_of_a_bound() -> None:
    for lo, hi, bits in (
        (0, 0, 1),
        (-1, 0, 1),
        (0, 1, 2),
        (-2, 1, 2),
        (-3, 1, 3),
        (-128, 127, 8),
        (0, 128, 9),
    ):
        assert Bound("x", lo, hi).bits == bits
    assert Bound("x", -7, 3).magnitude == 7 and Bound("x", -1, 4).magnitude == 4


def test_normalized_values() -> None:
    wide = Format(NORM_BITS + 6, NORM_FRAC)
    for size in range(1, 1025, 3):
        one_hot = np.zeros((8, size), np.int64)
        one_hot[:, 0] = [1, -1, 2, 3, 4001, -4097, 32767, -32768]
        found = np.abs(layer_norm(one_hot, np.ones(size, int), np.zeros(size, int), 0, wide))
        largest = max_normalized(size)
        assert found.max() <= largest < 1 << (NORM_BITS - 1)
        # The difference is at most that of two roundings of 16-bit numbers.
        assert size == 1 or found.max() >= largest * (1 - 2.0**-13) - 1


def test_probability_sums() -> None:
    rng = np.random.default_rng(3)
    for keys in range(1, 200):
        scores = rng.integers(-128, 128, (20, keys))
        scores[0] = 5
        for frac in (0, 3, 5, 9):
            assert softmax(scores, exp_table(frac)).sum(axis=1).max() <= max_probability_sum(keys)
