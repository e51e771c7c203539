"""What a frozen model consists of: layers, shapes, ranks, widths, bytes, and what other formats would take."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .graph import Graph, node_constants
from .nodes import Embedding, LayerNorm, Linear, Node, Table, TTMEmbedding

_BIAS_BYTES = 4


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
        bytes: cores packed at their widths; biases and LayerNorm's beta 4 bytes, gamma 2, tables 1 or 2 an entry.
        dense_parameters: of the dense layer in its place.
        merged_parameters: of its two merged factors, bias included; equal to `parameters` where nothing is merged.
        lowrank_bytes: of a low-rank layer with the layer's middle rank at the cores' mean width.
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
        """Whether a tensor train holds at least as many numbers as its two merged factors: it buys nothing."""
        return self.kind.startswith("tt ") and self.parameters >= self.merged_parameters


@dataclass(frozen=True)
class Description:
    """The layers of a model and their sums."""

    name: str
    layers: tuple[LayerSize, ...]

    @property
    def parameters(self) -> int:
        """Numbers stored in all layers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def bytes(self) -> int:
        """Bytes of all layers, packed."""
        return sum(layer.bytes for layer in self.layers)

    @property
    def dense_bytes(self) -> int:
        """Bytes of the dense model in FP32 (it has no tables)."""
        return sum(layer.dense_bytes for layer in self.layers)

    @property
    def lowrank_bytes(self) -> int:
        """Bytes of the model with low-rank layers of the same ranks and widths."""
        return sum(layer.lowrank_bytes for layer in self.layers)


def describe(graph: Graph) -> Description:
    """The description of a frozen model, one row a node that holds constants."""
    rows = tuple(_row(graph, node) for node in graph.nodes if node_constants(node))
    return Description(graph.metadata.name, rows)


def _packed(graph: Graph, name: str) -> int:
    value = graph.values[name]
    return math.ceil(
        graph.constants[name].size
        * (value.fmt.bits if value.fmt.bits <= 8 else 8 * value.fmt.dtype.itemsize)
        / 8
    )


def _row(graph: Graph, node: Node) -> LayerSize:
    constants = node_constants(node)
    numbers = sum(graph.constants[name].size for name in constants)
    stored = sum(_packed(graph, name) for name in constants)
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
