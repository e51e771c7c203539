"""Reads an ONNX model back to the integer graph, at the level of function calls; nothing in it is executed.

Where a model states something twice, one source counts: shifts, ranges and shapes come from the formats and dims in
its header. The graph is then written again and must give the same model, so no attribute, type or function body in
the file can contradict it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from itertools import zip_longest
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt
import pydantic
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from onnx import ModelProto, NodeProto, TensorProto

from ..errors import UserError, printable, refusing, validation_problem
from .check import MAX_AXES, PACKED
from .graph import Graph, Value
from .nodes import (
    OPERAND_ROLES,
    Add,
    Linear,
    LinearKind,
    Node,
    Plan,
    Role,
    TTMEmbedding,
    fields_with,
)
from .onnx_blocks import DOMAIN, DOMAIN_VERSION, IR_VERSION, OPSET, TYPES
from .onnx_functions import FIXED, function, parameters, variant
from .onnx_write import FORMAT_VERSION, HELPERS, PRODUCER, Header, build_model, stored_name
from .storage import is_packed, unpack

_MESSAGE, _STRING = FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_STRING
_DTYPES = {element: np.dtype(name).newbyteorder("<") for name, element in TYPES.items()}
_HEADER = pydantic.TypeAdapter(Header)
_VERSION = re.compile(r"[0-9A-Za-z.+!-]{1,40}")
"""A version of a Python package; any version may have written a file of this format."""

MOST_BYTES = (1 << 31) - 1
"""Size of the largest file: the limit of protobuf."""


def parse_model(content: bytes) -> tuple[Graph, ModelProto]:
    """The graph in the content of an ONNX file, and the result of `build_model` for it.

    Raises:
        UserError: the content is not exactly what this version writes for the graph in it.
    """
    if len(content) > MOST_BYTES:
        raise _defect(f"it must have at most {MOST_BYTES:,} bytes, got {len(content):,}")
    model = ModelProto()
    with refusing("the model file is not an ONNX file", "give one that narrowgauge exported"):
        model.ParseFromString(content)
    _check_text(model)
    header = _header(model)
    _check_versions(model)
    known = _functions(model)
    constants = _constants(model, header.values)
    calls = [node for node in model.graph.node if node.domain != DOMAIN or node.op_type not in HELPERS]
    nodes = tuple(_node(call, known) for call in calls)
    graph = Graph(nodes, header.values, constants, header.outputs, header.metadata, header.segments)
    expected = build_model(graph)
    expected.producer_version = model.producer_version
    if expected.SerializeToString(deterministic=True) != content:
        _compare(model, expected)
    return graph, expected


def _defect(what: str) -> UserError:
    return UserError(
        f"the model file is damaged or was edited: {printable(what, 200)}; export the model again."
    )


def _quoted(name: str) -> str:
    return f"'{printable(name, 60)}'"


def _check_text(message: Message) -> None:
    """Checks that every string is UTF-8: protobuf gives bytes for one that is not."""
    for field, content in message.ListFields():
        if field.type not in (_MESSAGE, _STRING):
            continue
        for part in [content] if isinstance(content, Message | str | bytes) else content:
            if field.type == _MESSAGE:
                _check_text(part)
            elif isinstance(part, bytes):
                raise _defect(f"its {field.name} must be text in UTF-8")


def _header(model: ModelProto) -> Header:
    properties = {entry.key: entry.value for entry in model.metadata_props}
    if model.producer_name != PRODUCER or "format_version" not in properties or "header" not in properties:
        raise UserError(
            "the model file is an ONNX file that narrowgauge did not write; give one that narrowgauge exported."
        )
    if properties["format_version"] != str(FORMAT_VERSION):
        raise UserError(
            f"the format version of the model file must be '{FORMAT_VERSION}', got "
            f"{_quoted(properties['format_version'])}; export the model again."
        )
    text = properties["header"]
    try:
        return _HEADER.validate_json(text, strict=True)
    except pydantic.ValidationError as error:
        problem = validation_problem(error.errors(include_url=False), _loose_json(text), "it")
        raise _defect(f"its header must describe a graph ({problem})") from None


def _loose_json(text: str) -> Any:
    """The value of a JSON text for the path in a message; None if there is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _check_versions(model: ModelProto) -> None:
    """Checks the versions of ONNX and of the operators; `_compare` checks all other fields."""
    if not _VERSION.fullmatch(model.producer_version):
        raise _defect(f"its producer must be a version of narrowgauge, got {_quoted(model.producer_version)}")
    if model.ir_version != IR_VERSION:
        raise _defect(f"its IR version must be {IR_VERSION}, got {model.ir_version}")
    imports = {(entry.domain, entry.version) for entry in model.opset_import}
    for domain, version in (("", OPSET), (DOMAIN, DOMAIN_VERSION)):
        if (domain, version) not in imports:
            raise _defect(f"it must import version {version} of the operators of {domain or 'ONNX'}")


def _functions(model: ModelProto) -> frozenset[str]:
    """The names of the functions in a model, once each is checked to be the one that this version writes."""
    for body in model.functions:
        if body.domain != DOMAIN or function(body.name) != body:
            raise _defect(
                f"the function {_quoted(body.name)} must be the one that this version of narrowgauge writes"
            )
    return frozenset(body.name for body in model.functions)


def _constants(model: ModelProto, values: Mapping[str, Value]) -> dict[str, npt.NDArray[Any]]:
    """The constants, unpacked."""
    stored = {tensor.name: _tensor(tensor) for tensor in model.graph.initializer}
    constants = {}
    for name, data in stored.items():
        value = values.get(name.removesuffix(PACKED))
        if value is None or stored_name(value) != name:
            raise _defect(f"the constant {_quoted(name)} must be described in the header")
        if is_packed(value.fmt):
            data = _unpacked(value, data)
        constants[value.name] = data
    return constants


def _unpacked(value: Value, data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    dims = [d for d in value.dims if isinstance(d, int) and d >= 0]
    if data.dtype != np.uint8 or len(dims) < len(value.dims):
        raise _defect(f"the constant {_quoted(value.name)} must have packed integers and a shape")
    try:
        return unpack(data, value.fmt, math.prod(dims)).reshape(dims)
    except ValueError as error:
        raise _defect(f"the constant {_quoted(value.name)} must be packed correctly ({error})") from None


def _tensor(tensor: TensorProto) -> npt.NDArray[Any]:
    """The integers of an initializer. References to other files are refused."""
    dtype = _DTYPES.get(tensor.data_type)
    if tensor.data_location != TensorProto.DEFAULT or tensor.external_data:
        raise _defect(f"the constant {_quoted(tensor.name)} is in another file, which is not supported")
    if dtype is None or len(tensor.dims) > MAX_AXES or any(d < 1 for d in tensor.dims):
        raise _defect(
            f"the constant {_quoted(tensor.name)} must be a tensor of integers of at most 32 bits, with 1 to "
            f"{MAX_AXES} axes"
        )
    if len(tensor.raw_data) != math.prod(tensor.dims) * dtype.itemsize:
        raise _defect(
            f"the constant {_quoted(tensor.name)} does not have the number of integers that its shape states"
        )
    data = np.frombuffer(tensor.raw_data, dtype).reshape(tuple(tensor.dims))
    return data.astype(dtype.newbyteorder("="))


def _node(call: NodeProto, known: Collection[str]) -> Node:
    """The node of a call of a known function; `_compare` checks the attributes that it does not use."""
    inputs, outputs = tuple(call.input), tuple(call.output)
    op_type = call.op_type
    body = function(op_type) if call.domain == DOMAIN and op_type in known else None
    if body is None:
        raise _defect(f"the operator {_quoted(op_type)} of the domain {_quoted(call.domain)} is unknown")
    if len(inputs) != len(body.input) or len(outputs) != len(body.output):
        raise _defect(
            f"{op_type} must have {len(body.input)} inputs and {len(body.output)} outputs, got {len(inputs)} and "
            f"{len(outputs)}"
        )
    if parts := variant(op_type):
        if parts["add"]:
            return Add(inputs, outputs[0])
        if parts["ttm"]:
            return TTMEmbedding(inputs[:-1], inputs[-1], outputs[:-1], outputs[-1])
        return _linear(call, parts)
    if op_type in FIXED:
        return _fixed(call, FIXED[op_type])
    raise _defect(f"the function {_quoted(op_type)} is not an operator of a graph")


def _fixed(call: NodeProto, operator: type[Any]) -> Node:
    """The node of a call of an operator whose number of inputs is fixed: the call lists its fields in order."""
    # A call may have further inputs, see `MORE_INPUTS`.
    content: dict[str, Any] = dict(zip(fields_with(operator, OPERAND_ROLES), call.input, strict=False))
    content |= zip(fields_with(operator, (Role.OUTPUT,)), call.output, strict=True)
    types = {field.name: field.type for field in fields(operator)}
    for name, attribute in parameters(operator).items():
        content[name] = (_number if types[name] == "int" else _text)(call, attribute)
    node: Node = operator(**content)
    return node


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
        raise _defect(f"the plan must be one of {', '.join(get_args(Plan))}, got {_quoted(plan)}")
    *mids, output = call.output
    return Linear(kind, x, tuple(others), split, cast("Plan", plan), tuple(mids), output, bias, residual)


def _number(call: NodeProto, name: str) -> int:
    return int(next((a.i for a in call.attribute if a.name == name), 0))


def _text(call: NodeProto, name: str) -> str:
    return next((a.s.decode(errors="replace") for a in call.attribute if a.name == name), "")


def _compare(model: ModelProto, expected: ModelProto) -> None:
    """Compares a model with the one that this version writes for its graph; `_functions` compares the functions."""
    for section in ("node", "initializer", "value_info", "input", "output"):
        pairs = zip_longest(getattr(model.graph, section), getattr(expected.graph, section))
        for theirs, ours in pairs:
            if theirs != ours:
                name = (ours or theirs).name
                raise _defect(f"its {section} {_quoted(name)} contradicts its graph")
    if model.SerializeToString(deterministic=True) != expected.SerializeToString(deterministic=True):
        raise _defect("it must hold its graph, no more and no less")
