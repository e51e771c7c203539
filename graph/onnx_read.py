"""An ONNX model back to the integer graph, at the level of function calls; nothing in it is executed.

What a model says twice is believed once: shifts, ranges and shapes come from the formats and dims in its
header. The graph is then written once more and must give the same model, so that no attribute, type or
function body in the file can say anything else.
"""

from __future__ import annotations

import math
import re
from itertools import zip_longest
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt
import pydantic
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from onnx import ModelProto, NodeProto, TensorProto

from ..errors import UserError
from .graph import Graph
from .nodes import (
    Add,
    Context,
    Embedding,
    First,
    LayerNorm,
    Linear,
    LinearKind,
    Node,
    Plan,
    Scores,
    Softmax,
    Table,
    TTMEmbedding,
)
from .onnx_blocks import DOMAIN, TYPES
from .onnx_functions import canonical, function, variant
from .onnx_write import FORMAT_VERSION, PRODUCER, Header, build_model

_MESSAGE, _STRING = FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_STRING
_DTYPES = {element: np.dtype(name).newbyteorder("<") for name, element in TYPES.items()}


def parse_model(content: bytes) -> Graph:
    """The graph in the content of an ONNX file.

    Raises:
        UserError: it is not exactly what this version writes for the graph in it.
    """
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        raise _defect("it is not an ONNX file") from None
    _check_text(model)
    header = _header(model)
    constants = {tensor.name: _constant(tensor) for tensor in model.graph.initializer}
    calls = [node for node in model.graph.node if (node.domain, node.op_type) != (DOMAIN, "Positions")]
    nodes = tuple(_node(call) for call in calls)
    graph = Graph(nodes, header.values, constants, header.outputs, header.metadata, header.segments)
    _compare(model, build_model(graph))
    return graph


def _defect(what: str) -> UserError:
    return UserError(f"The model file is damaged or was edited: {what}; export the model again.")


def _check_text(message: Message) -> None:
    """Checks that every string is one: protobuf gives bytes for text that is not UTF-8."""
    for field, content in message.ListFields():
        parts = [content] if isinstance(content, Message | str | bytes) else content
        for part in parts if field.type in (_MESSAGE, _STRING) else ():
            if field.type == _MESSAGE:
                _check_text(part)
            elif isinstance(part, bytes):
                raise _defect(f"its {field.name} is not text")


def _header(model: ModelProto) -> Header:
    properties = {entry.key: entry.value for entry in model.metadata_props}
    if model.producer_name != PRODUCER or "format_version" not in properties or "header" not in properties:
        raise UserError(
            "The model file is an ONNX file that narrowgauge did not write; give one of its exports."
        )
    if properties["format_version"] != str(FORMAT_VERSION):
        raise UserError(
            f"The model file has format version {properties['format_version']!r} and this narrowgauge reads "
            f"{FORMAT_VERSION}; export the model again."
        )
    try:
        return pydantic.TypeAdapter(Header).validate_json(properties["header"], strict=True)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _defect(f"its header says no graph at {place!r} ({first['msg']})") from None


def _constant(tensor: TensorProto) -> npt.NDArray[Any]:
    dtype = _DTYPES.get(tensor.data_type)
    if dtype is None or any(d < 0 for d in tensor.dims):
        raise _defect(f"the constant {tensor.name!r} is not a tensor of narrow integers")
    if len(tensor.raw_data) != math.prod(tensor.dims) * dtype.itemsize:
        raise _defect(f"the constant {tensor.name!r} has not as many integers as its shape states")
    data = np.frombuffer(tensor.raw_data, dtype).reshape(tuple(tensor.dims))
    return data.astype(dtype.newbyteorder("="))


def _node(call: NodeProto) -> Node:
    """The node of a function call; what the call's attributes say beside it is left to `_compare`."""
    inputs, outputs = tuple(call.input), tuple(call.output)
    op_type = call.op_type
    body = function(op_type) if call.domain == DOMAIN else None
    if body is None:
        raise _defect(f"the operator {op_type!r} of the domain {call.domain!r} is unknown")
    if len(inputs) != len(body.input) or len(outputs) != len(body.output):
        raise _defect(
            f"{op_type} has {len(inputs)} inputs and {len(outputs)} outputs instead of {len(body.input)} and "
            f"{len(body.output)}"
        )
    if parts := variant(op_type):
        if parts["add"]:
            return Add(inputs, outputs[0])
        if parts["ttm"]:
            return TTMEmbedding(inputs[:-1], inputs[-1], outputs[:-1], outputs[-1])
        return _linear(call, parts)
    if op_type == "Embedding":
        return Embedding(inputs[0], inputs[1], outputs[0])
    if op_type == "IntLayerNorm":
        return LayerNorm(inputs[0], inputs[1], inputs[2], outputs[0])
    if op_type == "Scores":
        heads, shift = _number(call, "heads"), _number(call, "head_shift")
        return Scores(inputs[0], inputs[1], heads, shift, outputs[0])
    if op_type == "IntSoftmax":
        return Softmax(inputs[0], inputs[1], outputs[0])
    if op_type == "Context":
        return Context(inputs[0], inputs[1], _number(call, "heads"), outputs[0])
    if op_type == "Table":
        return Table(inputs[0], inputs[1], _text(call, "function"), outputs[0])
    if op_type == "First":
        return First(inputs[0], outputs[0])
    raise _defect(f"the function {op_type} is no operator of a graph")


def _linear(call: NodeProto, parts: re.Match[str]) -> Linear:
    x, *others = call.input
    residual = others.pop() if parts["residual"] else None
    bias = others.pop() if parts["bias"] else None
    if parts["tt"]:
        kind: LinearKind = "tt"
        plan, split = parts["plan"], int(parts["left"])
    else:
        kind = "dense" if parts["dense"] else "lowrank"
        plan, split = _text(call, "plan"), _number(call, "split")
    if plan not in get_args(Plan):
        raise _defect(f"there is no plan {plan!r}")
    *mids, output = call.output
    return Linear(kind, x, tuple(others), split, cast("Plan", plan), tuple(mids), output, bias, residual)


def _number(call: NodeProto, name: str) -> int:
    return int(next((a.i for a in call.attribute if a.name == name), 0))


def _text(call: NodeProto, name: str) -> str:
    return next((a.s.decode(errors="replace") for a in call.attribute if a.name == name), "")


def _compare(found: ModelProto, expected: ModelProto) -> None:
    """Compares a model with the one that this version writes for its graph."""
    bodies = {body.name: canonical(body) for body in expected.functions}
    for body in found.functions:
        if bodies.get(body.name) != canonical(body):
            raise _defect(
                f"the function {body.name!r} is not the one that this version of narrowgauge writes"
            )
    for section in ("node", "initializer", "value_info", "input", "output"):
        pairs = zip_longest(getattr(found.graph, section), getattr(expected.graph, section))
        for theirs, ours in pairs:
            if theirs != ours:
                name = (ours or theirs).name
                raise _defect(f"its {section} {name!r} does not say what the graph in it says")
    if _rest(found) != _rest(expected):
        raise _defect("it holds more or less than its graph")


def _rest(model: ModelProto) -> bytes:
    """A model without what may differ between versions of the same format."""
    copy = ModelProto()
    copy.CopyFrom(model)
    copy.ClearField("producer_version")
    names = sorted(body.name for body in copy.functions)
    copy.ClearField("functions")
    copy.doc_string = "\n".join([copy.doc_string, *names])
    return copy.SerializeToString(deterministic=True)
