"""`model.onnx` and `manifest.json`: written and read back, and damaged in every way."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, TensorProto

from narrowgauge.errors import UserError
from narrowgauge.fixedpoint import EXP_MAX, Format
from narrowgauge.graph import Graph, Linear, Softmax, Value
from narrowgauge.graph.bounds import prove
from narrowgauge.graph.onnx_blocks import BLOCKS, DOMAIN
from narrowgauge.graph.onnx_functions import function
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
from narrowgauge.graph.onnx_write import FORMAT_VERSION

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
    assert model_bytes(parse_model(content)[0]) == content


def test_a_build_holds_its_bounds_and_is_read_back(tmp_path):
    graph = random_graph(np.random.default_rng(6), extremes=0.0)
    bounds = prove(graph)
    write_build(graph, tmp_path / "new" / "build", bounds)
    folder = tmp_path / "new" / "build"
    assert_same_graph(read_build(folder), graph)
    assert sorted(path.name for path in folder.iterdir()) == [MANIFEST_FILE, MODEL_FILE]
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    assert manifest["bounds"] == {name: dataclasses.asdict(bound) for name, bound in bounds.items()}
    assert manifest["files"][MODEL_FILE]["bytes"] == (folder / MODEL_FILE).stat().st_size
    assert [layer["values"][-1]["name"] for layer in manifest["layers"]] == [n.output for n in graph.nodes]
    assert set(read_manifest(folder).files) == {MODEL_FILE}


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
        graph, _ = parse_model(damaged(content, changes))
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert_same_graph(parse_model(model_bytes(graph))[0], graph)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("[1", "not valid JSON"),
        ("[]", "not the manifest"),
        ('{"format": "other"}', "not the manifest"),
        ('{"format": "narrowgauge-build", "format_version": 99}', "format version 99"),
        ('{"format": "narrowgauge-build", "format_version": 1}', "format version 1"),
        ('{"format": "narrowgauge-build", "format_version": 2}', "damaged at 'narrowgauge'"),
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


CORE = "encoder.0.attention.query.core0"


def _initializer(model: ModelProto, end: str) -> TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name.endswith(end))


def _core(model: ModelProto) -> TensorProto:
    return _initializer(model, f"{CORE}.packed")


def _bias(model: ModelProto) -> TensorProto:
    return _initializer(model, ".bias")


def _gamma(model: ModelProto) -> TensorProto:
    return _initializer(model, ".gamma")


def _odd_core(model: ModelProto) -> TensorProto:
    """A packed core that leaves bits of its last byte."""
    header = json.loads(next(entry.value for entry in model.metadata_props if entry.key == "header"))
    return next(
        tensor
        for tensor in model.graph.initializer
        if tensor.name.endswith(".packed")
        and np.prod(header["values"][tensor.name.removesuffix(".packed")]["dims"]) % 2
    )


def _pad(tensor: TensorProto) -> None:
    tensor.raw_data = tensor.raw_data[:-1] + bytes([tensor.raw_data[-1] | 0x80])


def _dims(tensor: TensorProto, dims: list[int], raw_data: bytes) -> None:
    tensor.dims[:] = dims
    tensor.raw_data = raw_data


def _renamed(model: ModelProto, name: str) -> None:
    """Gives the value `embedding.sum` another name wherever it stands."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [name if n == "embedding.sum" else n for n in names]
        node.name = name if node.name == "embedding.sum" else node.name
    for info in model.graph.value_info:
        info.name = name if info.name == "embedding.sum" else info.name

    def change(header: dict[str, Any]) -> None:
        values = header["values"]
        header["values"] = {
            name if key == "embedding.sum" else key: {**value, "name": name}
            if key == "embedding.sum"
            else value
            for key, value in values.items()
        }

    _header(model, change)


def _rename_a_value(model: ModelProto) -> None:
    body = _body(model, "Requantize")
    body.node[0].output[0] = body.node[1].input[1] = "renamed"


def _recursion(model: ModelProto) -> None:
    body = _body(model, "Align")
    body.node.append(NodeProto(op_type="Align", domain=DOMAIN, input=["a"], output=["b"]))


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
    "an older version": (lambda m: _set(m.metadata_props[0], value="1"), "format version '1'"),
    "no version of its writer": (lambda m: _set(m, producer_version="1\x1b[31m"), "version of narrowgauge"),
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
        "must be its own",
    ),
    "an output that nobody computes": (
        lambda m: _header(m, lambda h: h["outputs"].update(intent="ghost")),
        "output",
    ),
    "a further key": (lambda m: _header(m, lambda h: h.update(more=1)), "more or less"),
    "an unknown operator": (lambda m: _set(_node(m, "Scores"), op_type="Attention"), "unknown"),
    "a helper as operator": (lambda m: _set(_node(m, "First"), op_type="Positions"), None),
    "a building block as operator": (
        lambda m: _set(_node(m, "First"), op_type="Align"),
        "operator of a graph|inputs",
    ),
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
    "a node's name in a function": (lambda m: _set(_body(m, "Align").node[0], name="x"), "function 'Align'"),
    "a value's name in a function": (_rename_a_value, "function 'Requantize'"),
    "a description in a function": (
        lambda m: _set(_body(m, "Align"), doc_string="other"),
        "function 'Align'",
    ),
    "a function that calls itself": (_recursion, "function 'Align'"),
    "a function of another domain": (lambda m: _set(_body(m, "Align"), domain=""), "function 'Align'"),
    "a function of one core": (lambda m: _set(_body(m, "Align"), name="TTMEmbedding_1"), "function"),
    "a missing function": (lambda m: m.functions.remove(_body(m, "Product")), "more or less"),
    "no functions": (lambda m: m.ClearField("functions"), "unknown"),
    "a function twice": (lambda m: m.functions.append(_body(m, "Product")), "more or less"),
    "a function more": (
        lambda m: m.functions.append(onnx.FunctionProto(name="More", domain=DOMAIN)),
        "function 'More'",
    ),
    "nodes out of order": (_swap_last_nodes, "before|node"),
    "a node twice": (lambda m: m.graph.node.append(m.graph.node[-1]), "twice"),
    "no nodes": (lambda m: m.graph.ClearField("node"), None),
    "more than 32 axes": (lambda m: _core(m).dims.extend([1] * 40), "narrow integers"),
    "axes that multiply to nothing": (
        lambda m: _dims(_core(m), [0, 1 << 62, 1 << 62], b""),
        "narrow integers",
    ),
    "huge axes": (lambda m: _dims(_core(m), [1 << 62, 1 << 62], b""), "number of integers"),
    "huge dims": (
        lambda m: _header(m, lambda h: h["values"]["embedding.sum"].update(dims=["T", 1 << 62])),
        "below",
    ),
    "dims of a packed core": (
        lambda m: _header(m, lambda h: h["values"][CORE].update(dims=[2, 1 << 30, 3])),
        "bytes",
    ),
    "dims of no constant": (lambda m: _header(m, lambda h: h["values"][CORE].update(dims=["T", 5])), "shape"),
    "many dims": (
        lambda m: _header(m, lambda h: h["values"]["embedding.sum"].update(dims=[1] * 999)),
        "dims",
    ),
    "no dims": (lambda m: _header(m, lambda h: h["values"]["embedding.sum"].update(dims=[])), "dims"),
    "a long name": (lambda m: _renamed(m, "n" * 100_000), "characters"),
    "a name with an escape sequence": (lambda m: _renamed(m, "\x1b[31m"), "printable"),
    "a name of packed bytes": (lambda m: _renamed(m, "a.packed"), "end in"),
    "a longest sentence of 10^30 tokens": (
        lambda m: _header(m, lambda h: h["metadata"].update(max_length=10**30)),
        "max_length",
    ),
    "fewer than no token ids": (
        lambda m: _header(m, lambda h: h["metadata"].update(vocab_size=-1)),
        "vocab_size",
    ),
    "a number that is not finite": (
        lambda m: _header(m, lambda h: h["metadata"]["provenance"].update(loss=float("nan"))),
        "finite",
    ),
    "a deep header": (
        lambda m: _set(m.metadata_props[1], value="[" * 100_000 + "]" * 100_000),
        "its header",
    ),
    "a label a token": (
        lambda m: _header(m, lambda h: h.update(outputs={"intent": "slots.logits"})),
        "one row a sent",
    ),
    "slots for a sentence": (
        lambda m: _header(m, lambda h: h.update(outputs={"slots": "intent.logits"})),
        "one row a token",
    ),
    "two tasks on one value": (
        lambda m: _header(m, lambda h: h["outputs"].update(label=h["outputs"]["intent"])),
        "value of its own",
    ),
    "a task with an escape sequence": (
        lambda m: _header(m, lambda h: h["outputs"].update({"a\nb": h["outputs"].pop("intent")})),
        "printable",
    ),
    "an unknown function": (lambda m: _set(_attribute(m, "Table", "function"), s=b"[bold]x[/bold]"), "gelu"),
    "padding bits that are not 0": (lambda m: _pad(_odd_core(m)), "bits after"),
    "packed integers of another type": (lambda m: _set(_core(m), data_type=TensorProto.INT8), "packed"),
    "packed integers in two dims": (lambda m: _core(m).dims.insert(0, 1), "packed well"),
    "an unpacked core": (lambda m: _set(_core(m), name=CORE), "nothing says"),
    "packed integers of nothing": (lambda m: _set(_core(m), name="ghost.packed"), "nothing says"),
    "bits of another width": (lambda m: _set(_attribute(m, "Unpack", "bits"), i=2), "node"),
    "a core unpacked to another": (lambda m: _node(m, "Unpack").output.__setitem__(0, "ghost"), "node"),
    "a string as constant": (lambda m: _set(_core(m), data_type=TensorProto.STRING), "narrow integers"),
    "another type of constant": (lambda m: _set(_core(m), data_type=TensorProto.FLOAT), "narrow integers"),
    "an unsigned constant": (lambda m: _set(_bias(m), data_type=TensorProto.UINT32), "dtype"),
    "another shape of constant": (lambda m: _bias(m).dims.append(1), "shape"),
    "a shape below 0": (lambda m: _core(m).dims.__setitem__(0, -1), "narrow integers"),
    "a short constant": (lambda m: _set(_core(m), raw_data=b""), "number of integers"),
    "a constant out of range": (
        lambda m: _set(_gamma(m), raw_data=b"\x7f" * len(_gamma(m).raw_data)),
        "outside its format",
    ),
    "a constant in another file": (
        lambda m: _set(_core(m), data_location=TensorProto.EXTERNAL),
        "another file",
    ),
    "the name of another file": (
        lambda m: _core(m).external_data.add(key="location", value="/etc/passwd"),
        "another file",
    ),
    "a constant twice": (lambda m: m.graph.initializer.append(_core(m)), "initializer"),
    "another type of value": (
        lambda m: _set(m.graph.value_info[0].type.tensor_type, elem_type=TensorProto.FLOAT),
        "value_info",
    ),
    "an output less": (lambda m: m.graph.output.pop(), "output"),
    "an input more": (lambda m: m.graph.input.append(m.graph.input[0]), "input"),
    "another opset": (lambda m: _set(m.opset_import[0], version=13), "version 18 of the operators of ONNX"),
    "an unknown opset": (lambda m: m.opset_import.add(domain="evil", version=1), "more or less"),
    "no opset": (lambda m: m.ClearField("opset_import"), "version 18"),
    "another IR version": (lambda m: _set(m, ir_version=3), "IR version must be 10, got 3"),
    "a sparse constant": (lambda m: m.graph.sparse_initializer.add(), "more or less"),
    "training information": (lambda m: m.training_info.add(), "more or less"),
    "an unknown field": (lambda m: m.MergeFromString(b"\xfa\x3f\x01x"), "more or less"),
    "a call's name": (lambda m: _set(_node(m, "First"), name="x" * 1000), "node"),
    "the graph's name": (lambda m: _set(m.graph, name="\x1b[2J"), "more or less"),
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
    assert str(error.value).isprintable() and len(str(error.value)) < 300


def test_text_that_is_no_text_is_found(content):
    with pytest.raises(UserError, match="not text"):
        parse_model(content.replace(b"IntLayerNorm", b"IntLayer\xff\xff\xff\xff"))


def test_another_version_of_narrowgauge_may_have_written_the_file(graph, content):
    model = onnx.load_from_string(content)
    model.producer_version = "0.0.1.dev2+local"
    assert_same_graph(parse_model(model.SerializeToString())[0], graph)


def test_another_order_of_the_same_fields_is_the_same_model(graph, content):
    # Protobuf takes fields in any order: the producer's name comes first, then all, in which it stands again.
    assert_same_graph(parse_model(b"\x12\x0bnarrowgauge" + content)[0], graph)


def test_what_is_no_model_is_refused_in_one_sentence():
    deep = b""
    for _ in range(20_000):  # graph within node within attribute within graph
        deep = b"\x3a" + _varint(len(deep)) + deep if len(deep) < 10_000 else deep
    for content in (b"", b"\0", b"not a model", b"\x3a\xff\xff\xff\xff\x0f", deep, b"\x08\x0a" * 1000):
        with pytest.raises(UserError) as error:
            parse_model(content)
        assert str(error.value).isprintable() and len(str(error.value)) < 300


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def test_a_model_of_more_than_two_gigabytes_is_refused_before_it_is_read(content, build, tmp_path):
    with (tmp_path / MODEL_FILE).open("wb") as file:
        file.write(content)
        file.truncate(1 << 31)
    shutil.copy(build / MANIFEST_FILE, tmp_path)
    for read in (lambda: read_model(tmp_path / MODEL_FILE), lambda: read_build(tmp_path)):
        with pytest.raises(UserError, match="at most"):
            read()


def test_memory_that_runs_out_is_one_sentence(build, monkeypatch):
    def fails(content: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr("narrowgauge.graph.onnx_io.parse_model", fails)
    with pytest.raises(UserError, match="memory"):
        read_build(build)


def test_functions_are_those_of_this_format_version():
    """What a file must hold changed: then FORMAT_VERSION goes up, or older files are called edited."""
    digest = hashlib.sha256()
    names = [*BLOCKS, "Add_3", "TTMEmbedding_3", "DenseLinear", "LowRankLinear_bias"]
    for name in (*names, "TTLinear_merged_3_3_bias_residual", "TTLinear_cores_1_2"):
        body = function(name)
        assert body is not None
        digest.update(body.SerializeToString(deterministic=True))
    assert (FORMAT_VERSION, digest.hexdigest()[:16]) == (2, "d705a2c324a8bad2")


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
