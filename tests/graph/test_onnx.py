"""`model.onnx` in onnxruntime computes the integers of the oracle, and its functions those of the contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from narrowgauge.errors import UserError
from narrowgauge.fixedpoint import (
    GAMMA_BITS,
    NORM_FRAC,
    Format,
    exp_table,
    layer_norm,
    requantize,
    shift_round,
    softmax,
)
from narrowgauge.graph import Graph, Softmax, Table
from narrowgauge.graph.level import Sentence
from narrowgauge.graph.onnx_blocks import DOMAIN, DOMAIN_VERSION, IR_VERSION, OPSET, TYPES, carrier
from narrowgauge.graph.onnx_functions import function, functions
from narrowgauge.graph.onnx_io import MODEL_FILE, model_bytes, read_model
from narrowgauge.sim.levels.levels import make_predictor
from narrowgauge.sim.levels.onnx import OnnxLevel

from ..support.graphs import random_graph, random_sentences
from ..support.oracle import run_oracle

IntArray = npt.NDArray[Any]


def assert_equal_to_oracle(graph: Graph, sentences: Sequence[Sentence]) -> None:
    level = OnnxLevel(model_bytes(graph), graph, threads=1)
    results, merged = level.run(sentences), level.merged()
    logits = level.predict(sentences)
    assert set(results) == set(graph.activations())
    assert set(merged) == set(graph.merged())
    for i, sentence in enumerate(sentences):
        expected = run_oracle(graph, sentence)
        for name in expected:
            found = merged[name] if name in merged else results[name][i]
            assert found.dtype == graph.fmt(name).dtype
            assert found.shape == expected[name].shape
            assert np.array_equal(found, expected[name]), name
        for task, name in graph.outputs.items():
            assert np.array_equal(logits[task][i], expected[name])


@pytest.mark.parametrize("seed", range(8))
def test_every_value_equals_the_oracle(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    assert_equal_to_oracle(graph, random_sentences(rng, graph, 7))


@pytest.mark.parametrize("kind", ["dense", "lowrank", "tt"])
@pytest.mark.parametrize("plan", ["merged", "cores"])
def test_every_kind_of_layer_equals_the_oracle(kind, plan):
    rng = np.random.default_rng(100)
    graph = random_graph(rng, kind=kind, plan=plan, layers=1)
    assert_equal_to_oracle(graph, random_sentences(rng, graph, 4))


@pytest.mark.parametrize("end", ["lo", "hi"])
def test_extreme_weights_equal_the_oracle(end):
    rng = np.random.default_rng(7)
    graph = random_graph(rng, layers=1, kind="tt", bits=8, ttm=True)
    tables = {node.table for node in graph.nodes if isinstance(node, Softmax | Table)}
    # Biases are not changed: at the ends of 32 bits they would overflow every accumulator.
    constants = {
        name: data
        if name in tables or graph.fmt(name).bits == 32
        else np.full_like(data, getattr(graph.fmt(name), end))
        for name, data in graph.constants.items()
    }
    extreme = dataclasses.replace(graph, constants=constants)
    assert_equal_to_oracle(extreme, random_sentences(rng, extreme, 4))


def test_lengths_mixed_in_one_batch_with_any_padding():
    rng = np.random.default_rng(11)
    graph = random_graph(rng, layers=2, max_length=12, segments=True)
    sentences = random_sentences(rng, graph, 9)
    session = onnxruntime.InferenceSession(model_bytes(graph), providers=["CPUExecutionProvider"])
    rows = min(len(graph.constants[name]) for name in graph.constants if name.startswith("embedding"))
    tokens = rng.integers(0, max(rows, 2), (len(sentences), 12)).astype(np.int64)
    segments = rng.integers(0, 2, tokens.shape).astype(np.int64)
    for row, sentence in enumerate(sentences):
        assert sentence.segments is not None
        tokens[row, : len(sentence.tokens)] = sentence.tokens
        segments[row, : len(sentence.tokens)] = sentence.segments
    lengths = np.array([len(sentence.tokens) for sentence in sentences])
    names = list(graph.outputs.values())
    results = session.run(names, {"tokens": tokens, "segments": segments, "lengths": lengths})
    for row, sentence in enumerate(sentences):
        expected = run_oracle(graph, sentence)
        for name, batch in zip(names, results, strict=True):
            valid = batch[row][: lengths[row]] if graph.values[name].dims[0] == "T" else batch[row]
            assert np.array_equal(valid, expected[name])


def test_what_onnxruntime_does_not_take_is_one_sentence():
    graph = random_graph(np.random.default_rng(3), layers=0)
    sound = onnx.load_from_string(model_bytes(graph))
    recursive = next(body for body in sound.functions if body.name == "Align")
    recursive.node.append(onnx.helper.make_node("Align", ["a"], ["b"], domain=DOMAIN))
    other = onnx.load_from_string(model_bytes(graph))
    other.graph.node[-1].op_type = "x\n\x1b[31m" * 50
    short = onnx.load_from_string(model_bytes(graph))
    short.graph.initializer[0].raw_data = b""
    for content in (
        b"",
        b"no model",
        *(model.SerializeToString() for model in (recursive, other, short)),
    ):
        level = OnnxLevel(content, graph, threads=1)
        with pytest.raises(UserError, match="onnxruntime can't execute") as error:
            level.predict(random_sentences(np.random.default_rng(0), graph, 2))
        assert str(error.value).isprintable() and len(str(error.value)) < 300


def test_onnxruntime_is_given_the_model_that_is_written_again(tmp_path, monkeypatch):
    graph = random_graph(np.random.default_rng(3), layers=0)
    # The same message in other bytes: the name of the producer, then the whole message, which has it again.
    content = b"\x12\x0bnarrowgauge" + model_bytes(graph)
    given = []
    (tmp_path / MODEL_FILE).write_bytes(content)
    read = read_model(tmp_path / MODEL_FILE)
    session = onnxruntime.InferenceSession

    def record(model: bytes, *arguments: Any, **options: Any) -> Any:
        given.append(model)
        return session(model, *arguments, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", record)
    make_predictor("onnx", tmp_path, read).predict(random_sentences(np.random.default_rng(0), graph, 1))
    assert given == [model_bytes(graph)] != [content]


# Single functions


def run_function(op_type: str, inputs: Mapping[str, IntArray], **attributes: Any) -> IntArray:
    """The result of one function in onnxruntime."""
    body = function(op_type)
    assert body is not None
    types = {name: onnx.helper.np_dtype_to_tensor_dtype(data.dtype) for name, data in inputs.items()}
    call = onnx.helper.make_node(op_type, list(body.input), ["result"], domain=DOMAIN, **attributes)
    to = attributes.get("to", TensorProto.UINT8 if op_type == "IntSoftmax" else TensorProto.INT64)
    graph = onnx.helper.make_graph(
        [call],
        "one",
        [onnx.helper.make_tensor_value_info(name, types[name], data.shape) for name, data in inputs.items()],
        [onnx.helper.make_tensor_value_info("result", to, None)],
    )
    model = onnx.helper.make_model(
        graph,
        functions=functions([op_type]),
        opset_imports=[onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(DOMAIN, DOMAIN_VERSION)],
        ir_version=IR_VERSION,
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: IntArray = session.run(None, dict(inputs))[0]
    return result


def corners(rng: np.random.Generator, bits: int, count: int = 200) -> IntArray:
    """Integers of every magnitude up to 2^bits: the ends, 0, ties, and their neighbours."""
    powers = np.array([1 << k for k in range(bits + 1)])
    ends = np.concatenate([powers + d for d in (-1, 0, 1)])
    return np.concatenate([ends, -ends, rng.integers(-(1 << bits), 1 << bits, count)])


@pytest.mark.parametrize("shift", [-31, -5, -1, 0, 1, 2, 7, 19, 31])
def test_requantize_equals_the_contract(shift):
    rng = np.random.default_rng(shift & 63)
    a = corners(rng, 30 if shift < 0 else 52)
    for fmt in (Format(8, 0), Format(8, 0, signed=False), Format(16, 3), Format(4, 0), Format(32, 0)):
        to = TYPES[fmt.dtype.name]
        found = run_function("Requantize", {"a": a}, shift=shift, lo=fmt.lo, hi=fmt.hi, to=to)
        assert found.dtype == fmt.dtype
        assert np.array_equal(found, requantize(a, shift, fmt))


def test_shift_round_takes_a_shift_a_row():
    rng = np.random.default_rng(0)
    a = corners(rng, 40)[None, :]
    shifts = np.arange(-16, 17)[:, None]
    found = run_function("ShiftRound", {"a": a, "shift": shifts})
    assert np.array_equal(found, np.concatenate([shift_round(a, int(s)) for s in shifts[:, 0]]))


@pytest.mark.parametrize("size", [1, 2, 3, 31, 256, 768, 1024])
def test_layer_norm_equals_the_contract(size):
    rng = np.random.default_rng(size)
    spike = np.zeros((4, size), np.int64)
    spike[[0, 1], 0] = -32768, 32767
    spike[2, -1] = 1
    halves = np.where(np.arange(size) % 2, -32768, 32767)[None]
    spreads = [rng.integers(-(1 << k), 1 << k, (2, size)) for k in range(16)]
    flat = np.full((2, size), 32767)
    x = np.concatenate([spike, halves, flat, -flat, *spreads])[None].astype(np.int16)
    gamma_fmt, fmt = Format(GAMMA_BITS, 8), Format(8, 4)
    gamma = rng.integers(gamma_fmt.lo, gamma_fmt.hi + 1, size).astype(np.int16)
    beta = rng.integers(-(1 << 22), 1 << 22, size).astype(np.int32)
    found = run_function(
        "IntLayerNorm",
        {"x": x, "gamma": gamma, "beta": beta},
        shift=NORM_FRAC + gamma_fmt.frac - fmt.frac,
        lo=fmt.lo,
        hi=fmt.hi,
        to=TensorProto.INT8,
    )
    assert np.array_equal(found, layer_norm(x, gamma, beta, gamma_fmt.frac, fmt))


@pytest.mark.parametrize("frac", [-3, 2, 5, 12])
def test_softmax_equals_the_contract(frac):
    rng = np.random.default_rng(frac + 10)
    lengths = np.array([1, 3, 40, 17, 2])
    scores = rng.integers(-128, 128, (5, 3, 40, 40)).astype(np.int8)
    scores[:, :, 0], scores[:, :, 1] = -128, 127
    scores[:, :, 2] = np.where(np.arange(40) % 2, -128, 127)
    table = exp_table(frac).astype(np.uint16)
    found = run_function("IntSoftmax", {"scores": scores, "table": table, "lengths": lengths})
    valid = np.arange(40) < lengths[:, None, None, None]
    assert np.array_equal(found, softmax(scores, table, valid))


@pytest.mark.parametrize("inner", [1024, 1025, 5000])
def test_products_are_exact_at_their_bound(inner):
    int8, uint8 = Format(8, 0), Format(8, 0, signed=False)
    a = np.full((3, inner), -128, np.int8)
    a[1] = np.where(np.arange(inner) % 2, -127, -128)
    b = np.full((2, inner), -128, np.int8)
    b[1, ::3] = -127
    assert carrier(int8, int8, inner) == (TensorProto.FLOAT if inner == 1024 else TensorProto.DOUBLE)
    assert carrier(uint8, int8, 515) == TensorProto.DOUBLE
    found = run_function(
        "Apply", {"x": a, "weight": b}, matrix=[2, inner], carrier=carrier(int8, int8, inner)
    )
    assert np.array_equal(found, a.astype(np.int64) @ b.astype(np.int64).T)
