"""Writes the integer graph as an ONNX model: one call of a function of the domain `narrowgauge` per node.

Every value of the graph is a named value of the model, with a leading "batch" axis where it depends on the sentence.
Inputs, all int64: `tokens` (batch, T), `segments` (batch, T) where the model reads them, and `lengths` (batch). The
shorter sentences of a batch are padded at their end with any token; outputs at padded positions are undefined.
Constants of 2 and 4 bits are stored packed, see `storage`. A call of `Unpack` or `UnpackPart` unpacks each of them,
with the `ByteTable` of its format.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass
from functools import singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

from .. import __version__
from ..errors import UserError, printable
from ..fixedpoint import NORM_FRAC, Format
from .check import LENGTHS, PACKED, TABLES, check_graph, check_shift
from .graph import QUERIES, Graph, Metadata, Value
from .nodes import (
    POSITIONS,
    SEGMENTS,
    TOKENS,
    Add,
    Context,
    Embedding,
    First,
    LayerNorm,
    Linear,
    Node,
    Role,
    Scores,
    Softmax,
    Table,
    TTMEmbedding,
    names,
    node_constants,
    node_operands,
    node_outputs,
)
from .onnx_blocks import DOMAIN, DOMAIN_VERSION, IR_VERSION, OPSET, TYPES, carrier
from .onnx_functions import MORE_INPUTS, functions, op_type, parameters
from .onnx_text import input_text, model_text, output_text
from .storage import is_packed, pack

FORMAT_VERSION = 3
"""The version of `model.onnx` and `manifest.json`; files of another version are refused."""

PRODUCER = "narrowgauge"

HELPERS = ("Positions", "ByteTable", "Unpack", "UnpackPart")
"""Functions whose calls are not nodes of the graph."""

BATCH = "batch"
"""The symbolic dimension of a batch: the number of its sentences."""

Attributes = dict[str, Any]


@dataclass(frozen=True)
class Header:
    """The JSON part of a file, in addition to its nodes and constants; see `Graph` for the attributes."""

    values: dict[str, Value]
    outputs: dict[str, str]
    metadata: Metadata
    segments: bool


def build_model(graph: Graph) -> ModelProto:
    """The ONNX model of a graph; equal graphs give equal models.

    Raises:
        UserError: the graph is not valid, see `check_graph`.
    """
    check_graph(graph)
    values = value_infos(graph)
    writer = _Writer(graph)
    constants = dict.fromkeys(name for node in graph.nodes for name in node_constants(node))
    packed = [name for name in constants if is_packed(graph.fmt(name))]
    nodes = [writer.byte_table(fmt) for fmt in dict.fromkeys(_width(graph.fmt(name)) for name in packed)]
    nodes += [writer.unpack(name) for name in packed]
    nodes += [writer.node(node) for node in graph.nodes]
    if any(POSITIONS in names(node, Role.INDEX) for node in graph.nodes):
        nodes.insert(0, onnx.helper.make_node("Positions", [TOKENS], [POSITIONS], domain=DOMAIN))
    inputs: list[tuple[str, tuple[str, ...]]] = [(TOKENS, (BATCH, QUERIES)), (LENGTHS, (BATCH,))]
    if graph.segments:
        inputs.insert(1, (SEGMENTS, (BATCH, QUERIES)))
    outputs = tuple(dict.fromkeys(graph.outputs.values()))
    for name in outputs:
        values[name].doc_string = output_text(graph, name)
    body = onnx.helper.make_graph(
        nodes,
        PRODUCER,
        [
            onnx.helper.make_tensor_value_info(name, TensorProto.INT64, dims, doc_string=input_text(name))
            for name, dims in inputs
        ],
        [values[name] for name in outputs],
        [_constant(graph.values[name], graph.constants[name]) for name in constants],
        value_info=[info for name, info in values.items() if name not in outputs],
    )
    model = onnx.helper.make_model(
        body,
        functions=functions(node.op_type for node in nodes),
        opset_imports=[onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(DOMAIN, DOMAIN_VERSION)],
        ir_version=IR_VERSION,
        producer_name=PRODUCER,
        producer_version=__version__,
        doc_string=model_text(graph),
    )
    header = Header(
        {name: graph.values[name] for name in (*constants, *values)},
        dict(graph.outputs),
        graph.metadata,
        graph.segments,
    )
    properties = {"format_version": str(FORMAT_VERSION), "header": _header_text(header)}
    onnx.helper.set_model_props(model, properties)
    return model


def _header_text(header: Header) -> str:
    try:
        return json.dumps(header, default=_fields, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(
            f"the metadata of the model must be plain JSON with finite numbers ({printable(str(error))}); "
            "train the model again."
        ) from None


def _fields(value: Any) -> Any:
    # `dataclasses.asdict` would copy every word of the vocabulary first.
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} is not a type of JSON")
    return vars(value)


def value_infos(graph: Graph) -> dict[str, ValueInfoProto]:
    """Type and dims, in the ONNX model, of every value that is computed, by name, in order of computation."""
    merged = frozenset(graph.merged())
    infos = {}
    for name in (name for node in graph.nodes for name in node_outputs(node)):
        value = graph.values[name]
        dims = value.dims if name in merged else (BATCH, *value.dims)
        infos[name] = onnx.helper.make_tensor_value_info(name, TYPES[value.fmt.dtype.name], dims)
    return infos


class _Writer:
    """Writes the nodes of a graph, and computes their attributes."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def node(self, node: Node) -> NodeProto:
        """The function call of a node."""
        attributes = {attribute: getattr(node, name) for name, attribute in parameters(type(node)).items()}
        return onnx.helper.make_node(
            op_type(node),
            [*node_operands(node), *MORE_INPUTS.get(type(node), ())],
            node_outputs(node),
            name=node.output,
            domain=DOMAIN,
            **attributes,
            **_attributes(node, self),
        )

    def byte_table(self, fmt: Format) -> NodeProto:
        """The call that computes the integers in each byte, for all constants of this width."""
        attributes: Attributes = {"bits": fmt.bits, "lo": fmt.lo, "to": TYPES[fmt.dtype.name]}
        name = table_name(fmt)
        return onnx.helper.make_node("ByteTable", [], [name], name=name, domain=DOMAIN, **attributes)

    def unpack(self, name: str) -> NodeProto:
        """The call that unpacks a constant."""
        value = self.graph.values[name]
        whole = self.graph.constants[name].size * value.fmt.bits % 8 == 0
        return onnx.helper.make_node(
            "Unpack" if whole else "UnpackPart",
            [stored_name(value), table_name(value.fmt)],
            [name],
            name=name,
            domain=DOMAIN,
            shape=value.dims,
        )

    def frac(self, *names: str) -> int:
        """Fraction bits of the product of values."""
        return sum(self.graph.fmt(name).frac for name in names)

    def carrier(self, a: str, b: str, inner: int) -> int:
        return carrier(self.graph.fmt(a), self.graph.fmt(b), inner)

    def align(self, output: str, fracs: Sequence[int]) -> tuple[int, list[int]]:
        """The fraction bits of an exact sum, and the left shift of each term, in bits."""
        frac = max(fracs)
        return frac, [check_shift(output, frac - term) for term in fracs]

    def requantize(self, frac: int, output: str, suffix: str = "") -> Attributes:
        """The attributes of the requantization of an accumulator with `frac` fraction bits to `output`."""
        fmt = self.graph.fmt(output)
        shift = check_shift(output, frac - fmt.frac)
        numbers = {"shift": shift, "lo": fmt.lo, "hi": fmt.hi, "to": TYPES[fmt.dtype.name]}
        return {f"{name}{suffix}": number for name, number in numbers.items()}


@singledispatch
def _attributes(node: Node, writer: _Writer) -> Attributes:
    """The attributes of a node's call, in addition to the parameters of a fixed operator."""
    raise TypeError(f"expected an operator with an ONNX function, got {type(node).__name__}")


@_attributes.register(Embedding)
@_attributes.register(Softmax)
@_attributes.register(Table)
@_attributes.register(First)
def _no_more(node: Node, writer: _Writer) -> Attributes:
    return {}


@_attributes.register
def _ttm_embedding(node: TTMEmbedding, writer: _Writer) -> Attributes:
    shapes = [writer.graph.constants[core].shape for core in node.cores]
    attributes: Attributes = {}
    for k, shape in enumerate(shapes, 1):
        attributes[f"size_{k}"] = shape[1]
        attributes[f"stride_{k}"] = math.prod(later[1] for later in shapes[k:])
    row = node.cores[0]
    for k, output in enumerate((*node.mids, node.output), 1):
        core = node.cores[k]
        attributes[f"carrier_{k}"] = writer.carrier(row, core, shapes[k][0])
        attributes |= writer.requantize(writer.frac(row, core), output, f"_{k}")
        row = output
    return attributes


@_attributes.register
def _add(node: Add, writer: _Writer) -> Attributes:
    frac, lefts = writer.align(node.output, [writer.frac(name) for name in node.inputs])
    numbered = {f"left_{k}": left for k, left in enumerate(lefts, 1)}
    return numbered | writer.requantize(frac, node.output)


@_attributes.register
def _layer_norm(node: LayerNorm, writer: _Writer) -> Attributes:
    return writer.requantize(NORM_FRAC + writer.frac(node.gamma), node.output)


@_attributes.register
def _linear(node: Linear, writer: _Writer) -> Attributes:
    attributes: Attributes = {} if node.kind == "tt" else {"plan": node.plan, "split": node.split}
    for k, step in enumerate(writer.graph.steps(node), 1):
        rows = -1 if step.kind == "merge" else step.rows
        attributes[f"matrix_{k}"] = [rows, step.inner]
        attributes[f"carrier_{k}"] = writer.carrier(step.lhs, step.rhs, step.inner)
        if step.kind == "merge":
            attributes[f"dims_{k}"] = list(writer.graph.values[step.output].dims)
        frac = writer.frac(step.lhs, step.rhs)
        if step.output == node.output and node.residual is not None:
            frac, lefts = writer.align(node.output, [frac, writer.frac(node.residual)])
            attributes["left"], attributes["left_residual"] = lefts
        attributes |= writer.requantize(frac, step.output, f"_{k}")
    return attributes


@_attributes.register
def _scores(node: Scores, writer: _Writer) -> Attributes:
    width = int(writer.graph.values[node.query].dims[-1]) // node.heads
    return {
        "carrier": writer.carrier(node.query, node.key, width),
        **writer.requantize(writer.frac(node.query, node.key) + node.shift, node.output),
    }


@_attributes.register
def _context(node: Context, writer: _Writer) -> Attributes:
    return {
        "carrier": writer.carrier(node.probabilities, node.value, writer.graph.metadata.max_length),
        **writer.requantize(writer.frac(node.probabilities, node.value), node.output),
    }


def stored_name(value: Value) -> str:
    """The name of the initializer of a constant: that of the constant unless it is packed."""
    return value.name + PACKED if is_packed(value.fmt) else value.name


def table_name(fmt: Format) -> str:
    """The name of the table of integers in each byte, for constants of this width."""
    return TABLES[fmt.bits, fmt.signed]


def _width(fmt: Format) -> Format:
    return Format(fmt.bits, 0, fmt.signed)


def _constant(value: Value, data: npt.NDArray[Any]) -> TensorProto:
    stored = pack(data, value.fmt) if is_packed(value.fmt) else data
    little_endian = np.ascontiguousarray(stored, stored.dtype.newbyteorder("<"))
    return TensorProto(
        name=stored_name(value),
        dims=stored.shape,
        data_type=TYPES[stored.dtype.name],
        raw_data=little_endian.tobytes(),
    )
