"""The integer graph: one frozen model, from token ids to logits, with its weights and formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from ..fixedpoint import Format
from .nodes import (
    Add,
    Context,
    Embedding,
    First,
    LayerNorm,
    Linear,
    Node,
    Scores,
    Softmax,
    Step,
    Table,
    TTMEmbedding,
    linear_steps,
)

Dim = int | str
QUERIES = "T"
"""The symbolic dimension of a value: the tokens of a sentence."""


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: activation, constant, or product of constants.

    Attributes:
        name: unique in the graph; the same at every level.
        fmt: its fixed-point format.
        dims: of one sentence. ("T", features) for activations, (heads, "T", "T") for scores, plain integers for
            weights and for what is one row a sentence.
    """

    name: str
    fmt: Format
    dims: tuple[Dim, ...]


@dataclass(frozen=True)
class Metadata:
    """What travels with a model beside its integers.

    Attributes:
        name: of the model.
        max_length: tokens of the longest sentence.
        vocab_size: token ids that exist; a tensor-train matrix has rows of padding beyond them. 0: all of its rows.
        tokenizer: as `Tokenizer.to_json` gives it.
        labels: as `Labels.to_json` gives it.
        provenance: configuration, data, seeds, versions: for the reader.
    """

    name: str
    max_length: int
    vocab_size: int = 0
    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """A frozen model.

    Attributes:
        nodes: in an order in which they can run.
        values: every tensor by name, constants and intermediates of linear layers included.
        constants: the integers of the weights and tables, in the dtype of their format.
        outputs: names of the logits by task, for instance {"intent": .., "slots": ..}.
        metadata: see `Metadata`.
        segments: whether the second input, the segment of each token, is read.
    """

    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    constants: Mapping[str, npt.NDArray[Any]]
    outputs: Mapping[str, str]
    metadata: Metadata
    segments: bool = False

    def steps(self, node: Linear) -> tuple[Step, ...]:
        """The products of a linear layer, see `nodes.linear_steps`."""
        return linear_steps(node, {core: self.constants[core].shape for core in node.cores})

    def fmt(self, name: str) -> Format:
        """The format of a value."""
        return self.values[name].fmt

    def activations(self) -> tuple[str, ...]:
        """Names of all values that are neither constants nor products of constants, in order of computation."""
        merged = set(self.merged())
        return tuple(name for node in self.nodes for name in node_outputs(node) if name not in merged)

    def merged(self) -> tuple[str, ...]:
        """Names of the values that are products of constants, in order of computation."""
        return tuple(
            s.output for n in self.nodes if isinstance(n, Linear) for s in self.steps(n) if s.kind == "merge"
        )

    def step_shift(self, step: Step) -> int:
        """Bits that a step which is not the last of its layer is requantized by."""
        return self.fmt(step.lhs).frac + self.fmt(step.rhs).frac - self.fmt(step.output).frac


def node_outputs(node: Node) -> tuple[str, ...]:
    """Every value that a node writes, intermediates first, in order of computation."""
    if isinstance(node, Linear | TTMEmbedding):
        return (*node.mids, node.output)
    return (node.output,)


def node_inputs(node: Node) -> tuple[str, ...]:
    """Every activation that a node reads; the index inputs of embeddings are not values and are left out."""
    if isinstance(node, Add):
        return node.inputs
    if isinstance(node, Linear):
        return (node.input,) if node.residual is None else (node.input, node.residual)
    if isinstance(node, Scores):
        return (node.query, node.key)
    if isinstance(node, Context):
        return (node.probabilities, node.value)
    if isinstance(node, LayerNorm | Softmax | Table | First):
        return (node.input,)
    return ()


def node_constants(node: Node) -> tuple[str, ...]:
    """Every constant that a node reads."""
    if isinstance(node, Embedding | Softmax | Table):
        return (node.table,)
    if isinstance(node, TTMEmbedding):
        return node.cores
    if isinstance(node, LayerNorm):
        return (node.gamma, node.beta)
    if isinstance(node, Linear):
        return node.cores if node.bias is None else (*node.cores, node.bias)
    return ()
