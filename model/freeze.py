"""Converts a trained, quantized model to the integer graph, by reading off its formats and integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import UserError
from ..fixedpoint import ACC_BITS, NORM_FRAC, Format, exp_table, function_table
from ..graph import (
    POSITIONS,
    QUERIES,
    SEGMENTS,
    TOKENS,
    Add,
    Context,
    Dim,
    Embedding,
    First,
    Graph,
    LayerNorm,
    Linear,
    Metadata,
    Node,
    Scores,
    Softmax,
    Table,
    TTMEmbedding,
    Value,
)
from .embedding import DenseEmbedding
from .embedding import TTMEmbedding as TorchTTMEmbedding
from .finite import check_finite
from .linear import QuantLinear
from .operators import IntLayerNorm, TableFunction
from .quantizer import Quantizer
from .transformer import EncoderLayer, Transformer

EXP_FORMAT = Format(16, 15)
"""Format of the exponential table's entries, of which 15 bits are used."""


class _Freezer:
    """Traverses a model and collects nodes, values and constants."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.values: dict[str, Value] = {}
        self.constants: dict[str, npt.NDArray[Any]] = {}

    def value(self, quantizer: Quantizer, dims: tuple[Dim, ...]) -> str:
        """Registers the output of a quantizer."""
        return self._value(Value(quantizer.name, quantizer.fmt, dims))

    def _value(self, value: Value) -> str:
        self.values[value.name] = value
        return value.name

    def constant(self, name: str, data: npt.NDArray[Any], fmt: Format) -> str:
        """Registers integers of a weight or table.

        Raises:
            UserError: an integer is out of range of the format (only possible for a bias).
        """
        if data.size and (data.min() < fmt.lo or data.max() > fmt.hi):
            raise UserError(
                f"{name} does not fit {fmt.bits} bits with {fmt.frac} fraction bits; train with weight decay or "
                "calibrate the layer again."
            )
        self._value(Value(name, fmt, tuple(data.shape)))
        self.constants[name] = np.ascontiguousarray(data.astype(fmt.dtype))
        return name

    def weight(self, name: str, weight: Tensor, quantizer: Quantizer) -> str:
        """Registers a weight in the format of its quantizer."""
        integers = quantizer.integers(quantizer.round(weight.detach()))
        return self.constant(name, integers.numpy(), quantizer.fmt)

    def bias(self, name: str, bias: Tensor, frac: int) -> str:
        """Registers a bias with the fraction bits of its accumulator."""
        integers = np.floor(np.ldexp(bias.detach().double().numpy(), frac) + 0.5)
        return self.constant(name, integers, Format(ACC_BITS, frac))

    def embedding(self, name: str, module: DenseEmbedding | TorchTTMEmbedding, index: str) -> str:
        """An embedding; returns the name of its rows."""
        if isinstance(module, DenseEmbedding):
            table = self.weight(f"{name}.weight", module.weight, module.output)
            output = self.value(module.output, (QUERIES, module.weight.shape[1]))
            self.nodes.append(Embedding(table, index, output))
            return output
        cores = tuple(
            self.weight(f"{name}.cores.{k}", core, quantizer)  # type: ignore[arg-type]
            for k, (core, quantizer) in enumerate(zip(module.cores, module.weights, strict=True))
        )
        features, mids = module.dim_modes[0], []
        for k, quantizer in enumerate(module.mids, start=1):
            features *= module.dim_modes[k]
            assert isinstance(quantizer, Quantizer)
            mids.append(self.value(quantizer, (QUERIES, features * module.cores[k].shape[-1])))
        output = self.value(module.output, (QUERIES, module.size))
        self.nodes.append(TTMEmbedding(cores, index, tuple(mids), output))
        return output

    def norm(self, name: str, module: IntLayerNorm, source: str) -> str:
        """A LayerNorm; returns the name of its output."""
        gamma = self.weight(f"{name}.weight", module.weight, module.gamma)
        beta = self.bias(f"{name}.bias", module.bias, NORM_FRAC + module.gamma.fmt.frac)
        output = self.value(module.output, (QUERIES, module.weight.shape[0]))
        self.nodes.append(LayerNorm(source, gamma, beta, output))
        return output

    def table(self, name: str, module: TableFunction, source: str) -> str:
        """A function table; returns the name of its output."""
        data = function_table(module.function, module.source.fmt, module.output.fmt)
        table = self.constant(f"{name}.table", data, module.output.fmt)
        output = self.value(module.output, self.values[source].dims)
        self.nodes.append(Table(source, table, module.function, output))
        return output

    def linear(self, name: str, module: QuantLinear, source: str, residual: str | None = None) -> str:
        """A linear layer; returns the name of its output."""
        cores = tuple(
            self.weight(f"{name}.cores.{k}", core, quantizer)  # type: ignore[arg-type]
            for k, (core, quantizer) in enumerate(zip(module.cores, module.weights, strict=True))
        )
        bias = None
        if module.bias is not None:
            bias = self.bias(f"{name}.bias", module.bias, module.accumulator_frac())
        tokens = self.values[source].dims[:-1]
        shapes: dict[str, tuple[int, ...]] = {
            f"cores.{k}": tuple(c.shape) for k, c in enumerate(module.cores)
        }
        features = {"input": module.in_features}
        for step in module.steps:
            if step.kind == "merge":
                left, right = shapes[step.lhs], shapes[step.rhs]
                shapes[step.output] = (left[0], left[1] * right[1], right[2])
                dims: tuple[Dim, ...] = shapes[step.output]
            else:
                features[step.output] = features[step.lhs] // step.inner * step.rows
                dims = (*tokens, features[step.output])
            self.value(module.quantizer(step.output), dims)
        output = module.output.name
        mids = tuple(q.name for q in module.mids if isinstance(q, Quantizer))
        self.nodes.append(
            Linear(module.kind, source, cores, module.split, module.plan, mids, output, bias, residual)
        )
        return output

    def encoder(self, name: str, layer: EncoderLayer, x: str, heads: int, dim: int) -> str:
        """One encoder layer; returns the name of its output."""
        attention, block = layer.attention, layer.feedforward
        query, key, value = (
            self.linear(f"{name}.attention.{part}", module, x)
            for part, module in (
                ("query", attention.query),
                ("key", attention.key),
                ("value", attention.value),
            )
        )
        scores = self.value(attention.scores, (heads, QUERIES, QUERIES))
        self.nodes.append(Scores(query, key, heads, attention.shift, scores))
        exp = exp_table(attention.scores.fmt.frac)
        table = self.constant(f"{name}.attention.softmax.table", exp, EXP_FORMAT)
        probabilities = self.value(attention.softmax.output, (heads, QUERIES, QUERIES))
        self.nodes.append(Softmax(scores, table, probabilities))
        context = self.value(attention.context, (QUERIES, dim))
        self.nodes.append(Context(probabilities, value, heads, context))
        total = self.linear(f"{name}.attention.out", attention.out, context, residual=x)
        x = self.norm(f"{name}.norm1", layer.norm1, total)
        inner = self.linear(f"{name}.feedforward.inner", block.inner, x)
        hidden = self.table(f"{name}.feedforward.function", block.function, inner)
        total = self.linear(f"{name}.feedforward.outer", block.outer, hidden, residual=x)
        return self.norm(f"{name}.norm2", layer.norm2, total)


@torch.no_grad()
def freeze(
    model: Transformer,
    name: str = "model",
    tokenizer: Mapping[str, Any] | None = None,
    labels: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Graph:
    """The integer graph of a quantized model. It computes the same integers as the model in `eval()`.

    Args:
        model: calibrated or trained; its thresholds determine the formats.
        name, tokenizer, labels, provenance: see `graph.Metadata`.

    Raises:
        UserError: a bias does not fit its accumulator.
        NotFiniteError: a parameter is not finite, or a threshold is out of range.
    """
    check_finite(model.named_parameters())
    config, freezer = model.config, _Freezer()
    embedding = model.embedding
    rows = [
        freezer.embedding("embedding.token", embedding.token, TOKENS),
        freezer.embedding("embedding.position", embedding.position, POSITIONS),
    ]
    if embedding.segment is not None:
        rows.append(freezer.embedding("embedding.segment", embedding.segment, SEGMENTS))
    total = freezer.value(embedding.sum, (QUERIES, config.dim))
    freezer.nodes.append(Add(tuple(rows), total))
    x = freezer.norm("embedding.norm", embedding.norm, total)
    for i, layer in enumerate(model.encoder):
        assert isinstance(layer, EncoderLayer)
        x = freezer.encoder(f"encoder.{i}", layer, x, config.heads, config.dim)
    first = Value("first", freezer.values[x].fmt, (config.dim,))
    freezer.values[first.name] = first
    freezer.nodes.append(First(x, first.name))
    pooled = freezer.table("pooled", model.pooled, freezer.linear("pooler", model.pooler, first.name))
    outputs = {"label": freezer.linear("label", model.label, pooled)}
    if model.slots is not None:
        outputs["slots"] = freezer.linear("slots", model.slots, x)
    return Graph(
        nodes=tuple(freezer.nodes),
        values=freezer.values,
        constants=freezer.constants,
        outputs=outputs,
        metadata=Metadata(
            name, config.max_length, config.vocab_size, tokenizer or {}, labels or {}, provenance or {}
        ),
        segments=config.segments,
    )
