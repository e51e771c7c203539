"""The layers of a frozen model: shapes, ranks, widths, bytes, and the size that other formats would have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch

from .graph import Graph
from .nodes import Linear, Node, Role, Softmax, Table, TTMEmbedding, names, node_constants
from .storage import stored_bytes

_BIAS_BYTES = 4


@dataclass(frozen=True)
class ModelSizes:
    """The size of a model, in bytes.

    Attributes:
        cores: cores, dense weights and embedding tables, packed as in `model.onnx`.
        constants: all constants as in `model.onnx`: cores, biases, LayerNorms and function tables.
        dense_fp32: the dense model in FP32, without function tables.
        lowrank: the constants, with low-rank layers of the same middle ranks and mean widths.
    """

    cores: int
    constants: int
    dense_fp32: int
    lowrank: int


@dataclass(frozen=True)
class LayerSize:
    """One row of the description.

    Attributes:
        name: of the layer: the common path of its values.
        kind: operator, with the format and plan of a linear layer.
        shape: (outputs, inputs) of the weight, (rows, features) of a table.
        ranks: inner ranks of a tensor train or low-rank layer.
        modes: one entry per core: the mode of a tensor train, (rows, features) of a tensor-train matrix.
        bits: width of each core.
        parameters: how many numbers are stored, bias included.
        bytes: size in `model.onnx`: cores packed; biases and LayerNorm's beta 4 bytes, gamma 2, tables 1 or 2 per
            entry.
        dense_parameters: of a dense layer of the same shape.
        merged_parameters: of the two merged factors, bias included; equal to `parameters` where nothing is merged.
        lowrank_bytes: of a low-rank layer with the middle rank and the mean width of the cores. For a tensor train,
            these are its merged factors.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    ranks: tuple[int, ...]
    modes: tuple[int | tuple[int, int], ...]
    bits: tuple[int, ...]
    parameters: int
    bytes: int
    dense_parameters: int
    merged_parameters: int
    lowrank_bytes: int

    @property
    def dense_bytes(self) -> int:
        """Size in bytes of the dense layer in FP32."""
        return 4 * self.dense_parameters

    @property
    def pointless(self) -> bool:
        """Whether a tensor train is no smaller than its two merged factors."""
        return self.kind.startswith("tt ") and self.bytes >= self.lowrank_bytes


@dataclass(frozen=True)
class Description:
    """The layers of a model, and the size of the whole."""

    name: str
    layers: tuple[LayerSize, ...]
    sizes: ModelSizes

    @property
    def parameters(self) -> int:
        """How many numbers all layers store."""
        return sum(layer.parameters for layer in self.layers)


def describe(graph: Graph) -> Description:
    """The description of a frozen model, with one row per node that reads constants."""
    layers = tuple(_row(node, graph) for node in graph.nodes if node_constants(node))
    sizes = ModelSizes(
        _stored(graph, {name for node in graph.nodes for name in names(node, Role.WEIGHT)}),
        _stored(graph, graph.constants),
        sum(layer.dense_bytes for layer in layers),
        sum(layer.lowrank_bytes for layer in layers),
    )
    return Description(graph.metadata.name, layers, sizes)


def _stored(graph: Graph, names: Iterable[str]) -> int:
    return sum(stored_bytes(graph.fmt(name), graph.constants[name].size) for name in names)


@singledispatch
def _row(node: Node, graph: Graph) -> LayerSize:
    """The row of an operator whose constants are all trained, and stored in no other format."""
    constants = node_constants(node)
    numbers = sum(graph.constants[name].size for name in constants)
    stored = _stored(graph, constants)
    return LayerSize(
        name=node.output.removesuffix(".output"),
        kind=type(node).__name__.lower(),
        shape=tuple(graph.constants[constants[0]].shape),
        ranks=(),
        modes=(),
        bits=tuple(graph.fmt(name).bits for name in constants),
        parameters=numbers,
        bytes=stored,
        dense_parameters=numbers,
        merged_parameters=numbers,
        lowrank_bytes=stored,
    )


_trained = _row.dispatch(object)


@_row.register
def _softmax(node: Softmax, graph: Graph) -> LayerSize:
    return replace(_trained(node, graph), parameters=0, dense_parameters=0)


@_row.register
def _table(node: Table, graph: Graph) -> LayerSize:
    return replace(_trained(node, graph), kind=f"table {node.function}", parameters=0, dense_parameters=0)


@_row.register
def _ttm_embedding(node: TTMEmbedding, graph: Graph) -> LayerSize:
    shapes = [graph.constants[core].shape for core in node.cores]
    features = math.prod(shape[2] for shape in shapes)
    used = graph.metadata.vocab_size or math.prod(shape[1] for shape in shapes)
    ranks = tuple(shape[3] for shape in shapes[:-1])
    row = _trained(node, graph)
    return replace(
        row,
        kind="ttm",
        shape=(used, features),
        ranks=ranks,
        modes=tuple((shape[1], shape[2]) for shape in shapes),
        dense_parameters=used * features,
        lowrank_bytes=_bytes((used + features) * max(ranks), row.bits),
    )


@_row.register
def _linear(node: Linear, graph: Graph) -> LayerSize:
    shapes = [graph.constants[core].shape for core in node.cores]
    bits = tuple(graph.fmt(core).bits for core in node.cores)
    modes: tuple[int, ...] = ()
    if node.kind == "tt":
        modes = tuple(shape[1] for shape in shapes)
        outputs, inputs = math.prod(modes[: node.split]), math.prod(modes[node.split :])
        ranks: tuple[int, ...] = tuple(shape[2] for shape in shapes[:-1])
        middle = ranks[node.split - 1]
    else:
        outputs, inputs = shapes[0][0], shapes[-1][1]
        ranks = (shapes[0][1],) if node.kind == "lowrank" else ()
        middle = ranks[0] if ranks else 0
    bias = graph.constants[node.bias].size if node.bias is not None else 0
    factors = (outputs + inputs) * middle
    row = _trained(node, graph)
    return replace(
        row,
        kind=f"tt {node.plan}" if node.kind == "tt" else node.kind,
        shape=(outputs, inputs),
        ranks=ranks,
        modes=modes,
        bits=bits,
        dense_parameters=outputs * inputs + bias,
        merged_parameters=factors + bias if node.kind == "tt" else row.parameters,
        lowrank_bytes=_bytes(factors, bits) + _BIAS_BYTES * bias if middle else row.bytes,
    )


def _bytes(numbers: int, bits: Sequence[int]) -> int:
    """The bytes of numbers at the mean of these widths."""
    return math.ceil(numbers * sum(bits) / len(bits) / 8)
