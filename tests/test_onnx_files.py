"""`model.onnx` and `manifest.json`: written and read back, and damaged in every way."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto

from narrowgauge.errors import UserError
from narrowgauge.fixedpoint import EXP_MAX, Format
from narrowgauge.graph import Graph, Linear, Softmax, Value
from narrowgauge.graph.onnx_blocks import DOMAIN
from narrowgauge.graph.onnx_functions import canonical, function
from narrowgauge.graph.onnx_io import (
    MANIFEST_FILE,
    MODEL_FILE,
    model_bytes,
    read_build,
    read_manifest,
    read_model,
    write_build,
    write_model,
)
from narrowgauge.graph.onnx_read import parse_model

from .graphs import random_graph


def assert_same_graph(a: Graph, b: Graph) -> None:
    assert (a.nodes, a.values, a.outputs, a.segments) == (b.nodes, b.values, b.outputs, b.segments)
    assert a.metadata == b.metadata
    assert set(a.constants) == set(b.constants)
    for name, data in a.constants.items():
        assert data.dtype == b.constants[name].dtype
        assert np.array_equal(data, b.constants[name])


@pytest.mark.parametrize("seed", range(20))
def test_what_is_written_is_read_back(seed, tmp_path):
    graph = random_graph(np.random.default_rng(seed))
    metadata = dataclasses.replace(
        graph.metadata,
        name="Ünïcode \U0001f600",
        tokenizer={"tokens": ["a", "é", "\U0001f600"], "lowercase": True},
        labels={"intents": ["x"], "slots": []},
        provenance={"seed": seed, "loss": 0.1, "none": None, "config": {"rank": [1, 2]}},
    )
    graph = dataclasses.replace(graph, metadata=metadata)
    write_model(graph, tmp_path / MODEL_FILE)
    assert_same_graph(read_model(tmp_path / MODEL_FILE), graph)
    onnx.checker.check_model(tmp_path / MODEL_FILE, full_check=True)


def test_the_same_graph_gives_the_same_bytes():
    graph = random_graph(np.random.default_rng(5))
    shuffled = dataclasses.replace(
        graph,
        values=dict(reversed(list(graph.values.items()))),
        constants=dict(reversed(list(graph.constants.items()))),
    )
    content = model_bytes(graph)
    assert model_bytes(shuffled) == content
    assert model_bytes(parse_model(content)) == content


def test_a_build_holds_its_extras_and_is_read_back(tmp_path):
    graph = random_graph(np.random.default_rng(6))
    write_build(graph, tmp_path / "new" / "build", {"bounds": {"x": {"lo": -1, "hi": 2}}})
    folder = tmp_path / "new" / "build"
    assert_same_graph(read_build(folder), graph)
    assert sorted(path.name for path in folder.iterdir()) == [MANIFEST_FILE, MODEL_FILE]
    manifest = read_manifest(folder)
    assert manifest["bounds"] == {"x": {"lo": -1, "hi": 2}}
    assert manifest["files"][MODEL_FILE]["bytes"] == (folder / MODEL_FILE).stat().st_size
    assert [layer["values"][-1]["name"] for layer in manifest["layers"]] == [n.output for n in graph.nodes]


# Damage


@pytest.fixture(scope="module")
def graph() -> Graph:
    return random_graph(np.random.default_rng(3), layers=1, kind="tt", plan="merged", bits=4, ttm=True)


@pytest.fixture(scope="module")
def content(graph) -> bytes:
    return model_bytes(graph)


@pytest.fixture(scope="module")
def build(graph, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    write_build(graph, folder)
    return folder


edits = st.lists(
    st.tuples(
        st.sampled_from(["cut", "flip", "delete", "replace"]),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=3,
)


def damaged(content: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    for change, place, data in changes:
        at = int(place * len(content))
        if change == "cut":
            content = content[:at]
        elif change == "flip":
            content = content[:at] + bytes(b ^ 1 for b in content[at : at + 1]) + content[at + 1 :]
        elif change == "delete":
            content = content[:at] + content[at + len(data) :]
        else:
            content = content[:at] + data + content[at + len(data) :]
    return content


@settings(max_examples=100)
@given(changes=edits)
def test_any_damage_to_a_build_is_found(changes, build, content, tmp_path_factory):
    changed = damaged(content, changes)
    if changed == content:
        return
    folder = tmp_path_factory.mktemp("damaged")
    (folder / MODEL_FILE).write_bytes(changed)
    (folder / MANIFEST_FILE).write_bytes((build / MANIFEST_FILE).read_bytes())
    with pytest.raises(UserError, match=r"checksum.*export"):
        read_build(folder)


@settings(max_examples=200)
@given(changes=edits)
def test_damage_past_the_checksum_gives_a_sound_graph_or_one_sentence(changes, content):
    try:
        graph = parse_model(damaged(content, changes))
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert_same_graph(parse_model(model_bytes(graph)), graph)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("[1", "not valid JSON"),
        ("[]", "not the manifest"),
        ('{"format": "other"}', "not the manifest"),
        ('{"format": "narrowgauge-build", "format_version": 99}', "format version 99"),
        ('{"format": "narrowgauge-build", "format_version": 1}', "lists no files"),
        ('{"format": "narrowgauge-build", "format_version": 1, "files": {}}', "checksum"),
    ],
)
def test_a_damaged_manifest_is_found(text, message, content, tmp_path):
    (tmp_path / MODEL_FILE).write_bytes(content)
    (tmp_path / MANIFEST_FILE).write_text(text)
    with pytest.raises(UserError, match=message):
        read_build(tmp_path)


def test_missing_files_are_found(content, tmp_path):
    for read in (read_model, read_build):
        with pytest.raises(UserError, match="can't be read"):
            read(tmp_path / "nowhere")
    (tmp_path / MODEL_FILE).write_bytes(content)
    with pytest.raises(UserError, match="does not exist"):
        read_build(tmp_path)


def _header(model: ModelProto, change: Callable[[dict[str, Any]], Any]) -> None:
    entry = next(entry for entry in model.metadata_props if entry.key == "header")
    header = json.loads(entry.value)
    change(header)
    entry.value = json.dumps(header)


def _node(model: ModelProto, start: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type.startswith(start))


def _attribute(model: ModelProto, start: str, name: str) -> onnx.AttributeProto:
    return next(a for a in _node(model, start).attribute if a.name == name)


def _core(model: ModelProto) -> TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name.endswith("query.core0"))


def _body(model: ModelProto, name: str) -> onnx.FunctionProto:
    return next(body for body in model.functions if body.name == name)


def _set(message: Any, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(message, name, value)


def _swap_last_nodes(model: ModelProto) -> None:
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes[1:], nodes[0]])


STRUCTURAL: dict[str, tuple[Callable[[ModelProto], Any], str | None]] = {
    "another producer": (lambda m: _set(m, producer_name="pytorch"), "narrowgauge did not write"),
    "no header": (lambda m: m.ClearField("metadata_props"), "narrowgauge did not write"),
    "another version": (lambda m: _set(m.metadata_props[0], value="2"), "format version '2'"),
    "a header of something else": (lambda m: _header(m, dict.clear), "its header"),
    "a header that is no JSON": (lambda m: _set(m.metadata_props[1], value="{"), "its header"),
    "an impossible format": (
        lambda m: _header(m, lambda h: h["values"]["embedding.sum"]["fmt"].update(bits=1)),
        "2 to 32 bits",
    ),
    "another scale": (
        lambda m: _header(m, lambda h: h["values"]["embedding.sum"]["fmt"].update(frac=-3)),
        "node|value_info",
    ),
    "a scale out of range": (
        lambda m: _header(m, lambda h: h["values"]["embedding.sum"]["fmt"].update(frac=10**9)),
        "fraction bits",
    ),
    "a scale too far off": (
        lambda m: _header(m, lambda h: h["values"]["embedding.sum"]["fmt"].update(frac=200)),
        "shift",
    ),
    "another range": (
        lambda m: _header(m, lambda h: h["values"]["embedding.sum"]["fmt"].update(bits=15)),
        "node",
    ),
    "other dims": (
        lambda m: _header(m, lambda h: h["values"]["embedding.sum"].update(dims=["T", 5])),
        "dims",
    ),
    "dims below 1": (
        lambda m: _header(m, lambda h: h["values"]["embedding.sum"].update(dims=["T", 0])),
        "positive",
    ),
    "a value without a format": (lambda m: _header(m, lambda h: h["values"].pop("embedding.sum")), "format"),
    "a value that nobody computes": (
        lambda m: _header(
            m, lambda h: h["values"].update(ghost={**h["values"]["embedding.sum"], "name": "ghost"})
        ),
        "ghost",
    ),
    "a value under another name": (
        lambda m: _header(m, lambda h: h["values"]["embedding.sum"].update(name="other")),
        "not its own",
    ),
    "an output that nobody computes": (
        lambda m: _header(m, lambda h: h["outputs"].update(intent="ghost")),
        "output",
    ),
    "a further key": (lambda m: _header(m, lambda h: h.update(more=1)), "more or less"),
    "an unknown operator": (lambda m: _set(_node(m, "Scores"), op_type="Attention"), "unknown"),
    "a helper as operator": (lambda m: _set(_node(m, "First"), op_type="Positions"), None),
    "an unknown domain": (lambda m: _set(_node(m, "Scores"), domain="evil"), "unknown"),
    "a standard operator": (lambda m: _set(_node(m, "First"), op_type="Identity", domain=""), "unknown"),
    "an input less": (lambda m: _node(m, "Scores").input.pop(), "inputs"),
    "an output more": (lambda m: _node(m, "Scores").output.append("more"), "outputs"),
    "another input": (lambda m: _node(m, "First").input.__setitem__(0, "embedding.sum"), "format"),
    "a constant as input": (lambda m: _node(m, "First").input.__setitem__(0, _core(m).name), "before"),
    "a missing constant": (lambda m: m.graph.initializer.remove(_core(m)), "missing"),
    "another shift": (lambda m: _set(_attribute(m, "Scores", "shift"), i=3), "node"),
    "another range in a call": (lambda m: _set(_attribute(m, "Scores", "hi"), i=100), "node"),
    "other heads": (lambda m: _set(_attribute(m, "Scores", "heads"), i=10**6), "heads"),
    "no heads": (lambda m: _set(_attribute(m, "Context", "heads"), i=0), "heads"),
    "a missing attribute": (lambda m: _node(m, "Context").ClearField("attribute"), "heads"),
    "a changed function body": (
        lambda m: _set(_body(m, "ShiftRound").node[0].attribute[0], i=1),
        "function 'ShiftRound'",
    ),
    "a function body with more in it": (
        lambda m: _body(m, "Requantize").node.append(onnx.helper.make_node("Neg", ["a"], ["unused"])),
        "function 'Requantize'",
    ),
    "a missing function": (lambda m: m.functions.remove(_body(m, "Product")), "more or less"),
    "a function twice": (lambda m: m.functions.append(_body(m, "Product")), "more or less"),
    "a function more": (
        lambda m: m.functions.append(onnx.FunctionProto(name="More", domain=DOMAIN)),
        "function 'More'",
    ),
    "nodes out of order": (_swap_last_nodes, "before|node"),
    "a node twice": (lambda m: m.graph.node.append(m.graph.node[-1]), "twice"),
    "no nodes": (lambda m: m.graph.ClearField("node"), None),
    "another type of constant": (lambda m: _set(_core(m), data_type=TensorProto.FLOAT), "narrow integers"),
    "an unsigned constant": (lambda m: _set(_core(m), data_type=TensorProto.UINT8), "dtype"),
    "another shape of constant": (lambda m: _core(m).dims.append(1), "shape"),
    "a shape below 0": (lambda m: _core(m).dims.__setitem__(0, -1), "narrow integers"),
    "a short constant": (lambda m: _set(_core(m), raw_data=b""), "as many integers"),
    "a constant out of range": (
        lambda m: _set(_core(m), raw_data=b"\x7f" * len(_core(m).raw_data)),
        "outside its format",
    ),
    "a constant in another file": (
        lambda m: _set(_core(m), data_location=TensorProto.EXTERNAL),
        "initializer",
    ),
    "a constant twice": (lambda m: m.graph.initializer.append(_core(m)), "initializer"),
    "another type of value": (
        lambda m: _set(m.graph.value_info[0].type.tensor_type, elem_type=TensorProto.FLOAT),
        "value_info",
    ),
    "an output less": (lambda m: m.graph.output.pop(), "output"),
    "an input more": (lambda m: m.graph.input.append(m.graph.input[0]), "input"),
    "another opset": (lambda m: _set(m.opset_import[0], version=13), "more or less"),
    "another IR version": (lambda m: _set(m, ir_version=3), "more or less"),
}


@pytest.mark.parametrize("name", STRUCTURAL)
def test_structural_edits_are_found(name, content):
    edit, message = STRUCTURAL[name]
    model = onnx.load_from_string(content)
    edit(model)
    changed = model.SerializeToString()
    assert changed != content
    with pytest.raises(UserError, match=message) as error:
        parse_model(changed)
    assert "\n" not in str(error.value)


def test_text_that_is_no_text_is_found(content):
    with pytest.raises(UserError, match="not text"):
        parse_model(content.replace(b"IntLayerNorm", b"IntLayer\xff\xff\xff\xff"))


def test_descriptions_and_names_inside_functions_do_not_count(graph, content):
    model = onnx.load_from_string(content)
    model.producer_version = "0.0.0"
    body = _body(model, "Requantize")
    body.doc_string = "other words"
    body.node[0].output[0] = body.node[1].input[1] = "renamed"
    assert_same_graph(parse_model(model.SerializeToString()), graph)
    body.node[0].output[0] = "loose"
    original = function("Requantize")
    assert original is not None
    assert canonical(body) != canonical(original)


# Graphs that are refused before they are written


def _value(graph: Graph, name: str, **changes: Any) -> Graph:
    value = dataclasses.replace(graph.values[name], **changes)
    return dataclasses.replace(graph, values={**graph.values, name: value})


def _linear(graph: Graph, **changes: Any) -> Graph:
    at = next(i for i, node in enumerate(graph.nodes) if isinstance(node, Linear))
    node = dataclasses.replace(graph.nodes[at], **changes)
    return dataclasses.replace(graph, nodes=(*graph.nodes[:at], node, *graph.nodes[at + 1 :]))


def _exponentials(graph: Graph, first: int) -> Graph:
    name = next(node.table for node in graph.nodes if isinstance(node, Softmax))
    table = np.concatenate([[first], graph.constants[name][1:]]).astype(np.uint16)
    return dataclasses.replace(graph, constants={**graph.constants, name: table})


REFUSED: dict[str, Callable[[Graph], Graph]] = {
    "a split at the end": lambda g: _linear(g, split=0),
    "a core less": lambda g: _linear(g, cores=("nothing",)),
    "too few intermediates": lambda g: _linear(g, mids=()),
    "an unknown residual": lambda g: _linear(g, residual="later"),
    "no exponentials": lambda g: _exponentials(g, 0),
    "wide exponentials": lambda g: _exponentials(g, EXP_MAX + 1),
    "segments that nobody reads": lambda g: dataclasses.replace(g, segments=not g.segments),
    "no sentence fits": lambda g: dataclasses.replace(
        g, metadata=dataclasses.replace(g.metadata, max_length=0)
    ),
    "more positions than rows": lambda g: dataclasses.replace(
        g, metadata=dataclasses.replace(g.metadata, max_length=10**6)
    ),
    "a reserved name": lambda g: dataclasses.replace(
        g, values={**g.values, "tokens": Value("tokens", Format(8, 0), ("T",))}
    ),
    "scores of 16 bits": lambda g: _value(g, "encoder.0.attention.scores", fmt=Format(16, 3)),
    "signed probabilities": lambda g: _value(g, "encoder.0.attention.probabilities", fmt=Format(8, 8)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_unsound_graph_is_not_written(name, graph, tmp_path):
    with pytest.raises(UserError, match="export the model again"):
        write_build(REFUSED[name](graph), tmp_path / "build")
    assert not (tmp_path / "build").exists()
