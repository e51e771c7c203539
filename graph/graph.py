"""The integer graph: one frozen model, from token ids to logits, with its weights and formats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from ..fixedpoint import Format
from .nodes import Embedding, Linear, Node, Step, TTMEmbedding, linear_steps, node_outputs

Dim = int | str
QUERIES = "T"
"""The symbolic dimension of a value: the number of tokens in a sentence."""


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: activation, constant, or product of constants.

    Attributes:
        name: unique in the graph; the same at every level.
        fmt: its fixed-point format.
        dims: for one sentence. ("T", features) for activations, (heads, "T", "T") for scores, plain integers for
            weights and for activations that have one row per sentence.
    """

    name: str
    fmt: Format
    dims: tuple[Dim, ...]


@dataclass(frozen=True)
class Metadata:
    """What a model carries in addition to its integers.

    Attributes:
        name: of the model.
        max_length: tokens in the longest sentence.
        vocab_size: the number of token ids; a tensor-train matrix may have more rows, as padding. 0: all of its rows.
        tokenizer: the result of `Tokenizer.to_json`.
        labels: the result of `Labels.to_json`.
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
        constants: the integers of weights and tables, in the dtype of their format.
        outputs: names of the logits by task, for instance {"label": .., "slots": ..}.
        metadata: see `Metadata`.
        segments: whether the model reads the second input, the segment of each token.
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
        """The names of all values that are neither constants nor products of constants, in order of computation."""
        merged = set(self.merged())
        return tuple(name for node in self.nodes for name in node_outputs(node) if name not in merged)

    def merged(self) -> tuple[str, ...]:
        """The names of the values that are products of constants, in order of computation."""
        return tuple(
            s.output for n in self.nodes if isinstance(n, Linear) for s in self.steps(n) if s.kind == "merge"
        )

    def step_shift(self, step: Step) -> int:
        """The right shift, in bits, of the requantization after a step that is not the last of its layer."""
        return self.fmt(step.lhs).frac + self.fmt(step.rhs).frac - self.fmt(step.output).frac

    def index_limits(self) -> dict[str, int]:
        """For each index that embeddings read, the number of values it can take: 0 to the limit less 1."""
        limits: dict[str, int] = {}
        for node in self.nodes:
            if isinstance(node, Embedding | TTMEmbedding):
                rows = self._rows(node)
                limits[node.index] = min(rows, limits.get(node.index, rows))
        return limits

    def _rows(self, node: Embedding | TTMEmbedding) -> int:
        """The number of rows of an embedding's table."""
        if isinstance(node, Embedding):
            return int(self.constants[node.table].shape[0])
        return math.prod(int(self.constants[core].shape[1]) for core in node.cores)
