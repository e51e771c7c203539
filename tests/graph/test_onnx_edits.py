"""`model.onnx` with one edited message: every edit is detected, and reported in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto

from narrowgauge.errors import UserError
from narrowgauge.graph.onnx_blocks import DOMAIN
from narrowgauge.graph.onnx_io import model_bytes
from narrowgauge.graph.onnx_read import parse_model

from ..support.graphs import random_graph
from ..support.mutations import assert_one_sentence


@pytest.fixture(scope="module")
def content() -> bytes:
    graph = random_graph(np.random.default_rng(3), layers=1, kind="tt", plan="merged", bits=4, ttm=True)
    return model_bytes(graph)


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
    """A packed core that does not fill its last byte."""
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
    """Renames the value `embedding.sum` everywhere."""
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
    "an older version": (lambda m: _set(m.metadata_props[0], value="1"), "format version .* got '1'"),
    "no version of its writer": (lambda m: _set(m, producer_version="1\x1b[31m"), "version of narrowgauge"),
    "a header of something else": (lambda m: _header(m, dict.clear), "its header"),
    "a header that is no JSON": (lambda m: _set(m.metadata_props[1], value="{"), "its header"),
    "an impossible format": (
        lambda m: _header(m, lambda h: h["values"]["embedding.sum"]["fmt"].update(bits=1)),
        "bits must be 2 to 32",
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
    "a value without a producer": (
        lambda m: _header(
            m, lambda h: h["values"].update(ghost={**h["values"]["embedding.sum"], "name": "ghost"})
        ),
        "ghost",
    ),
    "a value under another name": (
        lambda m: _header(m, lambda h: h["values"]["embedding.sum"].update(name="other")),
        "must be its key",
    ),
    "an output without a producer": (
        lambda m: _header(m, lambda h: h["outputs"].update(intent="ghost")),
        "output",
    ),
    "a further key": (lambda m: _header(m, lambda h: h.update(more=1)), "no more and no less"),
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
    "a missing function": (lambda m: m.functions.remove(_body(m, "Product")), "no more and no less"),
    "no functions": (lambda m: m.ClearField("functions"), "unknown"),
    "a function twice": (lambda m: m.functions.append(_body(m, "Product")), "no more and no less"),
    "a function more": (
        lambda m: m.functions.append(onnx.FunctionProto(name="More", domain=DOMAIN)),
        "function 'More'",
    ),
    "nodes out of order": (_swap_last_nodes, "before|node"),
    "a node twice": (lambda m: m.graph.node.append(m.graph.node[-1]), "computed once"),
    "no nodes": (lambda m: m.graph.ClearField("node"), None),
    "more than 32 axes": (lambda m: _core(m).dims.extend([1] * 40), "integers of at most 32 bits"),
    "axes that multiply to nothing": (
        lambda m: _dims(_core(m), [0, 1 << 62, 1 << 62], b""),
        "integers of at most 32 bits",
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
        "one row per sent",
    ),
    "slots for a sentence": (
        lambda m: _header(m, lambda h: h.update(outputs={"slots": "intent.logits"})),
        "one row per token",
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
    "packed integers in two dims": (lambda m: _core(m).dims.insert(0, 1), "packed correctly"),
    "an unpacked core": (lambda m: _set(_core(m), name=CORE), "described in the header"),
    "packed integers of nothing": (lambda m: _set(_core(m), name="ghost.packed"), "described in the header"),
    "bits of another width": (lambda m: _set(_attribute(m, "ByteTable", "bits"), i=2), "node"),
    "another smallest integer": (lambda m: _set(_attribute(m, "ByteTable", "lo"), i=0), "node"),
    "another table of bytes": (lambda m: _node(m, "Unpack").input.__setitem__(1, "integers.u4"), "node"),
    "a part as a whole": (lambda m: _set(_node(m, "UnpackPart"), op_type="Unpack"), "node"),
    "the name of a table": (lambda m: _renamed(m, "integers.s4"), "must be its key"),
    "a core unpacked to another": (lambda m: _node(m, "Unpack").output.__setitem__(0, "ghost"), "node"),
    "a string as constant": (
        lambda m: _set(_core(m), data_type=TensorProto.STRING),
        "integers of at most 32 bits",
    ),
    "another type of constant": (
        lambda m: _set(_core(m), data_type=TensorProto.FLOAT),
        "integers of at most 32 bits",
    ),
    "an unsigned constant": (lambda m: _set(_bias(m), data_type=TensorProto.UINT32), "dtype"),
    "another shape of constant": (lambda m: _bias(m).dims.append(1), "shape"),
    "a shape below 0": (lambda m: _core(m).dims.__setitem__(0, -1), "integers of at most 32 bits"),
    "a short constant": (lambda m: _set(_core(m), raw_data=b""), "number of integers"),
    "a constant out of range": (
        lambda m: _set(_gamma(m), raw_data=b"\x7f" * len(_gamma(m).raw_data)),
        "in the range of its format",
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
    "an unknown opset": (lambda m: m.opset_import.add(domain="evil", version=1), "no more and no less"),
    "no opset": (lambda m: m.ClearField("opset_import"), "version 18"),
    "another IR version": (lambda m: _set(m, ir_version=3), "IR version must be 10, got 3"),
    "a sparse constant": (lambda m: m.graph.sparse_initializer.add(), "no more and no less"),
    "training information": (lambda m: m.training_info.add(), "no more and no less"),
    "an unknown field": (lambda m: m.MergeFromString(b"\xfa\x3f\x01x"), "no more and no less"),
    "a call's name": (lambda m: _set(_node(m, "First"), name="x" * 1000), "node"),
    "the graph's name": (lambda m: _set(m.graph, name="\x1b[2J"), "no more and no less"),
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
    assert_one_sentence(error.value)
