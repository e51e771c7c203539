"""What a frozen model consists of: layers, shapes, ranks, widths, bytes, and what other formats would take."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .graph import Graph, node_constants
from .nodes import Embedding, LayerNorm, Linear, Node, Table, TTMEmbedding
from .storage import stored_bytes

_BIAS_BYTES = 4


@dataclass(frozen=True)
class ModelSizes:
    """Bytes of a model.

    Attributes:
        cores: of cores, dense weights and tables of embeddings, packed as `model.onnx` holds them.
        constants: of all constants as `model.onnx` holds them: cores, biases, LayerNorms and tables.
        dense_fp32: what the dense model would take in FP32; it has no tables.
        lowrank: what the constants would take with low-rank layers of the same middle ranks and mean widths.
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
        modes: one entry a core: the mode of a tensor train, (rows, features) of a tensor-train matrix.
        bits: width of each core.
        parameters: numbers stored, bias included.
        bytes: as `model.onnx` holds them: cores packed; biases and LayerNorm's beta 4 bytes, gamma 2, tables 1 or 2 an
            entry.
        dense_parameters: of the dense layer in its place.
        merged_parameters: of its two merged factors, bias included; equal to `parameters` where nothing is merged.
        lowrank_bytes: of a low-rank layer with the layer's middle rank at the cores' mean width: of the merged factors
            of a tensor train.
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
        """Bytes of the dense layer in FP32."""
        return 4 * self.dense_parameters

    @property
    def pointless(self) -> bool:
        """Whether a tensor train takes no fewer bytes than its two merged factors: it saves nothing."""
        return self.kind.startswith("tt ") and self.bytes >= self.lowrank_bytes


@dataclass(frozen=True)
class Description:
    """The layers of a model, and its sizes as a whole."""

    name: str
    layers: tuple[LayerSize, ...]
    sizes: ModelSizes

    @property
    def parameters(self) -> int:
        """Numbers stored in all layers."""
        return sum(layer.parameters for layer in self.layers)


def describe(graph: Graph) -> Description:
    """The description of a frozen model, one row a node that holds constants."""
    layers = tuple(_row(graph, node) for node in graph.nodes if node_constants(node))
    sizes = ModelSizes(
        _stored(graph, {core for node in graph.nodes for core in _cores(node)}),
        _stored(graph, graph.constants),
        sum(layer.dense_bytes for layer in layers),
        sum(layer.lowrank_bytes for layer in layers),
    )
    return Description(graph.metadata.name, layers, sizes)


def _cores(node: Node) -> tuple[str, ...]:
    if isinstance(node, Linear | TTMEmbedding):
        return node.cores
    return (node.table,) if isinstance(node, Embedding) else ()


def _stored(graph: Graph, names: Iterable[str]) -> int:
    return sum(stored_bytes(graph.fmt(name), graph.constants[name].size) for name in names)


def _row(graph: Graph, node: Node) -> LayerSize:
    constants = node_constants(node)
    numbers = sum(graph.constants[name].size for name in constants)
    stored = _stored(graph, constants)
    bits = tuple(graph.fmt(name).bits for name in constants)
    name = node.output.removesuffix(".output")
    if isinstance(node, Linear):
        return _linear(graph, node, name, numbers, stored)
    if isinstance(node, TTMEmbedding):
        shapes = [graph.constants[core].shape for core in node.cores]
        rows = math.prod(shape[1] for shape in shapes)
        features = math.prod(shape[2] for shape in shapes)
        used = graph.metadata.vocab_size or rows
        ranks = tuple(shape[3] for shape in shapes[:-1])
        modes = tuple((shape[1], shape[2]) for shape in shapes)
        lowrank = math.ceil((used + features) * max(ranks) * sum(bits) / len(bits) / 8)
        dense = used * features
        return LayerSize(
            name, "ttm", (used, features), ranks, modes, bits, numbers, stored, dense, numbers, lowrank
        )
    shape = tuple(graph.constants[constants[0]].shape)
    kind = type(node).__name__.lower()
    is_table = not isinstance(node, Embedding | LayerNorm)
    if isinstance(node, Table):
        kind = f"table {node.function}"
    dense = 0 if is_table else numbers
    return LayerSize(
        name, kind, shape, (), (), bits, 0 if is_table else numbers, stored, dense, numbers, stored
    )


def _linear(graph: Graph, node: Linear, name: str, numbers: int, stored: int) -> LayerSize:
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
    dense = outputs * inputs + bias
    factors = (outputs + inputs) * middle
    merged = factors + bias if node.kind == "tt" else numbers
    lowrank = math.ceil(factors * sum(bits) / len(bits) / 8) + _BIAS_BYTES * bias if middle else stored
    kind = f"tt {node.plan}" if node.kind == "tt" else node.kind
    return LayerSize(
        name, kind, (outputs, inputs), ranks, modes, bits, numbers, stored, dense, merged, lowrank
    )
