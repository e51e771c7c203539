"""Embeddings: tensor-train matrix and dense table.

The tensor-train matrix follows Hrinchuk et al., *Tensorized Embedding Layers* (arXiv 1901.10787).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from .config import EmbeddingConfig
from .factorize import (
    balance,
    balanced_modes,
    check_modes,
    clip_ranks,
    padded_modes,
    random_cores,
    tt_svd,
    tt_to_dense,
)
from .quantizer import Mode, Quantizer

EMBEDDING_DEVIATION = 0.05
"""Initial standard deviation of the entries of an embedding."""


class DenseEmbedding(nn.Module):
    """A dense table. Only the rows that are looked up are quantized, which gives the same result as quantizing all."""

    def __init__(self, count: int, size: int, bits: int = 8) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count, size) * EMBEDDING_DEVIATION)
        self.output = Quantizer(bits)

    def forward(self, index: Tensor) -> Tensor:
        """Rows (.., size) of the table at `index` (..)."""
        rows: Tensor = self.output(F.embedding(index, self.weight))
        return rows


class TTMEmbedding(nn.Module):
    """An embedding in tensor-train-matrix format; see `graph.TTMEmbedding`. The dense table is never built.

    Args:
        count: number of rows. The product of the vocabulary modes may be larger; the excess is padding.
        size: features.
        config: ranks, modes and bits.
        out_bits: of the rows; intermediates have `mid_bits`.

    Raises:
        UserError: modes that do not fit, or a list of ranks or bits of the wrong length.
    """

    def __init__(
        self,
        count: int,
        size: int,
        config: EmbeddingConfig | None = None,
        *,
        out_bits: int = 8,
        mid_bits: int = 8,
        cores: Sequence[Tensor] | None = None,
    ) -> None:
        super().__init__()
        config = config or EmbeddingConfig()
        self.count, self.size = count, size
        self.vocab_modes, self.dim_modes = ttm_modes(count, size, config)
        if cores is None:
            joint = [v * d for v, d in zip(self.vocab_modes, self.dim_modes, strict=True)]
            ranks = clip_ranks(joint, config.rank, "the embedding")
            shapes = [
                (ranks[k], v, d, ranks[k + 1])
                for k, (v, d) in enumerate(zip(self.vocab_modes, self.dim_modes, strict=True))
            ]
            cores = random_cores(shapes, EMBEDDING_DEVIATION**2)
        widths = [config.bits] * len(cores) if isinstance(config.bits, int) else list(config.bits)
        if len(widths) != len(cores):
            raise UserError(
                f"expected {len(cores)} bit widths, one per core of the embedding, got {len(widths)}."
            )
        self.cores = nn.ParameterList(
            nn.Parameter(core.detach().float().clone(memory_format=torch.contiguous_format)) for core in cores
        )
        self.weights = nn.ModuleList(Quantizer(width) for width in widths)
        self.mids = nn.ModuleList(Quantizer(mid_bits) for _ in range(len(cores) - 2))
        self.output = Quantizer(out_bits)

    @classmethod
    def from_dense(
        cls,
        table: Tensor,
        config: EmbeddingConfig | None = None,
        *,
        error: float | None = None,
        out_bits: int = 8,
        mid_bits: int = 8,
    ) -> TTMEmbedding:
        """The approximation of a dense table (count, size) by TT-SVD with a given rank or error bound."""
        config = config or EmbeddingConfig()
        count, size = table.shape
        vocab, dims = ttm_modes(count, size, config)
        padded = F.pad(table.detach(), (0, 0, 0, math.prod(vocab) - count))
        order = len(vocab)
        interleaved = [axis for k in range(order) for axis in (k, order + k)]
        joint = padded.reshape(*vocab, *dims).permute(interleaved)
        joint = joint.reshape([v * d for v, d in zip(vocab, dims, strict=True)])
        train = tt_svd(joint, None if error is not None else config.rank, error)
        cores = [
            core.reshape(core.shape[0], v, d, core.shape[-1])
            for core, v, d in zip(train, vocab, dims, strict=True)
        ]
        return cls(count, size, config, out_bits=out_bits, mid_bits=mid_bits, cores=balance(cores))

    def to_dense(self) -> Tensor:
        """The dense table, (count, size), from the float cores, for tests and comparisons."""
        full = tt_to_dense(list(self.cores))
        order = len(self.vocab_modes)
        axes = [*range(0, 2 * order, 2), *range(1, 2 * order, 2)]
        return full.permute(axes).reshape(-1, self.size)[: self.count]

    def digits(self, index: Tensor) -> list[Tensor]:
        """The mixed-radix digits of `index`, most significant first."""
        digits = []
        for mode in reversed(self.vocab_modes):
            digits.append(index % mode)
            index = torch.div(index, mode, rounding_mode="floor")
        return digits[::-1]

    def forward(self, index: Tensor) -> Tensor:
        """Rows (.., size) at `index` (..).

        Each distinct prefix of digits is contracted once. In a vocabulary sorted by frequency, frequent words have
        common prefixes and share most of the work.
        """
        exact = self.output.mode is Mode.QUANTIZED and not self.training
        cores = [quantizer(core) for quantizer, core in zip(self.weights, self.cores, strict=True)]
        if exact:
            cores = [core.double() for core in cores]
        digits = self.digits(index.reshape(-1))
        prefix, at = torch.unique(digits[0], return_inverse=True)
        value = cores[0][0].index_select(0, prefix)
        for k in range(1, len(cores)):
            mode = self.vocab_modes[k]
            prefix, following = torch.unique(at * mode + digits[k], return_inverse=True)
            parent, digit = torch.div(prefix, mode, rounding_mode="floor"), prefix % mode
            r0, _, d, r1 = cores[k].shape
            slices = cores[k].transpose(0, 1).reshape(mode, r0, d * r1).index_select(0, digit)
            product = torch.bmm(value.to(slices.dtype).index_select(0, parent), slices)
            product = product.reshape(len(prefix), -1)
            at = following
            quantizer = self.output if k == len(cores) - 1 else self.mids[k - 1]
            assert isinstance(quantizer, Quantizer)
            value = quantizer(product)
            if quantizer.capture is not None:
                kept = quantizer.capture[quantizer.name]
                quantizer.capture[quantizer.name] = kept[at].reshape(*index.shape, -1)
            value = value.reshape(len(prefix), -1, r1)
        rows = value.reshape(-1, self.size)
        return rows.index_select(0, at).reshape(*index.shape, self.size)


def ttm_modes(count: int, size: int, config: EmbeddingConfig) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(vocabulary modes, feature modes) of a tensor-train matrix: from the configuration, or balanced."""
    dims = config.dim_modes or balanced_modes(size, len(config.vocab_modes) or config.modes)
    vocab = config.vocab_modes or padded_modes(count, len(dims))
    check_modes(dims, size, "the embedding's features")
    check_modes(vocab, count, "the vocabulary", padded=True)
    if len(dims) != len(vocab):
        raise UserError(
            f"the embedding must have one vocabulary mode and one feature mode per core, "
            f"got {len(vocab)} and {len(dims)}."
        )
    if len(dims) < 2:
        raise UserError("a tensor-train matrix must have at least two cores; use a dense embedding instead.")
    return vocab, dims
