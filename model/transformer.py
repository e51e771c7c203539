"""A BERT-style encoder with heads for labels and slots, quantization-aware from token ids to logits.

Post-LayerNorm, learned positions (Devlin et al., arXiv 1810.04805). Each place where a tensor is reduced to fewer
bits is a `Quantizer`, and its path in the module tree is the name of that tensor at every level.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from .config import LinearConfig, ModelConfig
from .embedding import EMBEDDING_DEVIATION, DenseEmbedding, TTMEmbedding
from .linear import QuantLinear, make_linear
from .operators import IntLayerNorm, IntSoftmax, TableFunction
from .quantizer import Mode, Quantizer, name_quantizers


def score_shift(head_size: int) -> int:
    """Bits of the shift that replaces the division by sqrt(head size): the nearest power of two."""
    return math.floor(math.log2(head_size) / 2 + 0.5)


def sinusoids(count: int, size: int, deviation: float) -> Tensor:
    """Initial values of learned positions: sines and cosines (Vaswani et al., arXiv 1706.03762), one row per position.

    A step by a fixed distance is a linear map of low rank, so attention of low rank can learn to attend to neighbors.
    With random rows it rarely does. Frequencies decrease geometrically from 1 to 1/count.
    """
    half = (size + 1) // 2
    frequency = count ** -(torch.arange(half) / max(1, half - 1))
    angle = torch.arange(count)[:, None] * frequency
    rows = torch.stack((angle.sin(), angle.cos()), dim=-1).reshape(count, -1)[:, :size]
    return rows * (deviation * math.sqrt(2))


class Embeddings(nn.Module):
    """Token, position and segment rows, summed to 16 bits and normalized."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        bits = config.activation_bits
        token = config.embedding
        if token.kind == "ttm":
            self.token: TTMEmbedding | DenseEmbedding = TTMEmbedding(
                config.vocab_size, config.dim, token, out_bits=bits, mid_bits=bits
            )
        else:
            width = token.bits if isinstance(token.bits, int) else token.bits[0]
            self.token = DenseEmbedding(config.vocab_size, config.dim, width)
        self.position = DenseEmbedding(config.max_length, config.dim)
        self.position.weight.data.copy_(sinusoids(config.max_length, config.dim, EMBEDDING_DEVIATION))
        self.segment = DenseEmbedding(2, config.dim) if config.segments else None
        self.sum = Quantizer(config.residual_bits)
        self.norm = IntLayerNorm(config.dim, self.sum, bits)

    def forward(self, ids: Tensor, segments: Tensor | None) -> Tensor:
        """ids (B, L) to features (B, L, dim)."""
        positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        rows = [self.token(ids), self.position(positions)]
        if self.segment is not None:
            rows.append(self.segment(torch.zeros_like(ids) if segments is None else segments))
        if self.sum.mode is Mode.QUANTIZED and not self.training:
            # If the scales differ by much, the sum needs more than the 24 bits of float32.
            rows = [row.double() for row in rows]
        total = sum(rows[1:], start=rows[0])
        features: Tensor = self.norm(self.sum(total))
        return features


class Attention(nn.Module):
    """Multi-head self-attention up to the sum with the residual, 16 bits."""

    def __init__(self, config: ModelConfig, name: str, source: Quantizer) -> None:
        super().__init__()
        bits = config.activation_bits
        self.heads = config.heads
        self.shift = score_shift(config.dim // config.heads)

        def projection(part: str, origin: Quantizer, out_bits: int) -> QuantLinear:
            layer = config.linear(f"{name}.{part}", config.attention)
            return make_linear(config.dim, config.dim, layer, source=origin, out_bits=out_bits, mid_bits=bits)

        self.query = projection("query", source, bits)
        self.key = projection("key", source, bits)
        self.value = projection("value", source, bits)
        self.scores = Quantizer(8)
        self.softmax = IntSoftmax(self.scores)
        self.context = Quantizer(bits)
        self.out = projection("out", self.context, config.residual_bits)
        self.dropout = nn.Dropout(0.0)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x (B, L, dim) to the 16-bit sum of x and its attention; `valid` (B, 1, 1, L) marks the keys."""
        batch, length, dim = x.shape
        q, k, v = (
            layer(x).view(batch, length, self.heads, -1).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        if self.scores.mode is Mode.FLOAT:
            context = F.scaled_dot_product_attention(
                q,
                k,
                v,
                attn_mask=valid,
                dropout_p=self.dropout.p if self.training else 0.0,
                scale=2.0**-self.shift,
            )
        else:
            if self.scores.mode is Mode.QUANTIZED and not self.training:
                q, k, v = q.double(), k.double(), v.double()
            scores = self.scores((q @ k.transpose(-1, -2)).mul(2.0**-self.shift))
            probabilities = self.dropout(self.softmax(scores, valid))
            context = probabilities.to(v.dtype) @ v
        context = self.context(context.transpose(1, 2).reshape(batch, length, dim))
        return self.out(context, residual=x)  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two linear layers with a function between them, up to the sum with the residual, 16 bits."""

    def __init__(self, config: ModelConfig, name: str, source: Quantizer) -> None:
        super().__init__()
        bits = config.activation_bits
        inner = config.linear(f"{name}.inner", config.feedforward)
        outer = config.linear(f"{name}.outer", config.feedforward)
        outer = _flipped(outer) if outer is config.feedforward and config.ffn != config.dim else outer
        # The table that follows reads signed 8-bit integers.
        self.inner = make_linear(config.dim, config.ffn, inner, source=source, out_bits=8, mid_bits=bits)
        self.function = TableFunction(config.activation, self.inner.output, bits)
        self.outer = make_linear(
            config.ffn,
            config.dim,
            outer,
            source=self.function.output,
            out_bits=config.residual_bits,
            mid_bits=bits,
        )

    def forward(self, x: Tensor) -> Tensor:
        """x (B, L, dim) to the 16-bit sum of x and its feed-forward block."""
        return self.outer(self.function(self.inner(x)), residual=x)  # type: ignore[no-any-return]


def _flipped(config: LinearConfig) -> LinearConfig:
    """The configuration of the opposite projection: the same cores, transposed and in reverse order."""
    bits = config.bits
    if not isinstance(bits, int):
        bits = bits[: {"dense": 1, "lowrank": 2}.get(config.kind)][::-1]
    return replace(
        config,
        out_modes=config.in_modes[::-1],
        in_modes=config.out_modes[::-1],
        rank=config.rank if isinstance(config.rank, int) else config.rank[::-1],
        bits=bits,
    )


class EncoderLayer(nn.Module):
    """Attention and feed-forward block, each followed by LayerNorm."""

    def __init__(self, config: ModelConfig, name: str, source: Quantizer) -> None:
        super().__init__()
        bits = config.activation_bits
        self.attention = Attention(config, f"{name}.attention", source)
        self.norm1 = IntLayerNorm(config.dim, self.attention.out.output, bits)
        self.feedforward = FeedForward(config, f"{name}.feedforward", self.norm1.output)
        self.norm2 = IntLayerNorm(config.dim, self.feedforward.outer.output, bits)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x (B, L, dim) to the same shape."""
        x = self.norm1(self.attention(x, valid))
        x = self.norm2(self.feedforward(x))
        return x


class Transformer(nn.Module):
    """The whole model.

    Args:
        config: with `vocab_size` and `labels` set.
        dropout: on embeddings and attention probabilities while training.

    Raises:
        UserError: the configuration has no vocabulary or labels, or an override for a layer that does not exist.
    """

    def __init__(self, config: ModelConfig, dropout: float = 0.0) -> None:
        super().__init__()
        if config.vocab_size < 1 or config.labels < 1:
            raise UserError(
                "the model's vocab_size and labels are not set; training takes them from the data."
            )
        self.config = config
        self.embedding = Embeddings(config)
        source = self.embedding.norm.output
        self.encoder = nn.ModuleList()
        for i in range(config.layers):
            layer = EncoderLayer(config, f"encoder.{i}", source)
            self.encoder.append(layer)
            source = layer.norm2.output
        self.pooler = make_linear(
            config.dim,
            config.dim,
            config.linear("pooler", config.pooler),
            source=source,
            out_bits=8,
            mid_bits=config.activation_bits,
        )
        self.pooled = TableFunction("tanh", self.pooler.output, config.activation_bits)
        self.label = self._head("label", config.labels, self.pooled.output)
        self.slots = self._head("slots", config.tags, source) if config.tags else None
        self.dropout = nn.Dropout(0.0)
        self.set_dropout(dropout)
        name_quantizers(self)
        layers = {name for name, module in self.named_modules() if isinstance(module, QuantLinear)}
        for name in config.overrides:
            if name not in layers:
                raise UserError(
                    f"there is no linear layer {name!r} to override; choose one of {', '.join(sorted(layers))}."
                )

    def _head(self, name: str, size: int, source: Quantizer) -> QuantLinear:
        config = self.config
        return make_linear(
            config.dim,
            size,
            config.linear(name, config.head),
            source=source,
            out_bits=config.residual_bits,
            mid_bits=config.activation_bits,
        )

    def set_dropout(self, p: float) -> None:
        """Sets the probability of all dropout."""
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = p

    def forward(self, ids: Tensor, lengths: Tensor, segments: Tensor | None = None) -> dict[str, Tensor]:
        """Logits of a padded batch.

        Args:
            ids: (B, L) token ids; values past a sentence's length are ignored.
            lengths: (B,) number of tokens of each sentence, at least 1.
            segments: (B, L) or None.

        Returns:
            "label": (B, labels) and, where the model has tags, "slots": (B, L, tags).
        """
        valid = (torch.arange(ids.shape[1], device=ids.device) < lengths[:, None])[:, None, None, :]
        x = self.dropout(self.embedding(ids, segments))
        for layer in self.encoder:
            x = layer(x, valid)
        x = self.dropout(x)
        logits = {"label": self.label(self.dropout(self.pooled(self.pooler(x[:, 0]))))}
        if self.slots is not None:
            logits["slots"] = self.slots(x)
        return logits
