"""Linear layers: tensor-train, low-rank and dense.

Tensor trains follow Novikov et al., *Tensorizing Neural Networks* (arXiv 1509.06569), with separate cores for
output and input modes as in Yang et al. (arXiv 2306.01076).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..graph import Linear as LinearNode
from ..graph import LinearKind, Plan, Step, linear_steps
from .config import LinearConfig
from .factorize import (
    balanced_modes,
    check_modes,
    clip_ranks,
    random_cores,
    tt_svd,
    tt_to_dense,
)
from .operators import Sourced, round_to
from .quantizer import Mode, Quantizer

INPUT = "input"


class QuantLinear(Sourced):
    """A linear layer y = x W^T + b whose weight is a product of cores, in the order of `graph.linear_steps`.

    Quantized, each core has its own quantizer, each intermediate of the plan has one in `mids`, and the sum of
    product, bias and residual goes through `output`.

    Args:
        kind, cores, split, plan: as in `graph.Linear`.
        bias: of shape (out_features,), or None.
        bits: width of the cores, one for all or one per core.
        source: the quantizer of the input; only used by a dense layer with a bias.
        out_bits: width of the output; intermediates have `mid_bits`.
    """

    def __init__(
        self,
        kind: LinearKind,
        cores: Sequence[Tensor],
        split: int,
        plan: Plan,
        bias: Tensor | None,
        *,
        bits: int | Sequence[int] = 8,
        source: Quantizer | None = None,
        out_bits: int = 8,
        mid_bits: int = 8,
    ) -> None:
        super().__init__(source)
        widths = [bits] * len(cores) if isinstance(bits, int) else list(bits)
        if len(widths) != len(cores):
            raise UserError(
                f"expected {len(cores)} bit widths, one per core of the layer, got {len(widths)}."
            )
        self.kind: LinearKind = kind
        self.split = split
        self.plan: Plan = plan
        self.cores = nn.ParameterList(
            nn.Parameter(core.detach().float().clone(memory_format=torch.contiguous_format)) for core in cores
        )
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone().float())
        self.weights = nn.ModuleList(Quantizer(width) for width in widths)
        self.mids = nn.ModuleList(Quantizer(mid_bits) for _ in cores[1:])
        self.output = Quantizer(out_bits)
        names = tuple(f"cores.{i}" for i in range(len(cores)))
        mids = tuple(f"mids.{i}" for i in range(len(self.mids)))
        node = LinearNode(kind, INPUT, names, split, plan, mids, "output")
        shapes = {name: tuple(core.shape) for name, core in zip(names, cores, strict=True)}
        self.steps: tuple[Step, ...] = linear_steps(node, shapes)

    @property
    def out_features(self) -> int:
        """Features of the output."""
        return math.prod(core.shape[-2 if self.kind == "tt" else 0] for core in self._out_cores())

    @property
    def in_features(self) -> int:
        """Features of the input."""
        return math.prod(core.shape[-2 if self.kind == "tt" else -1] for core in self._in_cores())

    def _out_cores(self) -> list[Tensor]:
        return list(self.cores)[: self.split] if self.kind == "tt" else [self.cores[0]]

    def _in_cores(self) -> list[Tensor]:
        return list(self.cores)[self.split :] if self.kind == "tt" else [self.cores[-1]]

    def to_dense(self) -> Tensor:
        """The dense weight, (out_features, in_features), from the float cores."""
        if self.kind == "tt":
            return tt_to_dense(list(self.cores)).reshape(self.out_features, self.in_features)
        weight: Tensor = self.cores[0]
        for core in list(self.cores)[1:]:
            weight = weight @ core
        return weight

    def accumulator_frac(self) -> int:
        """Fraction bits of the last product, and of the bias."""
        last = self.steps[-1]
        source = self.source if last.lhs == INPUT else self.quantizer(last.lhs)
        return source.fmt.frac + self.quantizer(last.rhs).fmt.frac

    def quantizer(self, value: str) -> Quantizer:
        """The quantizer of one of the layer's own values: "cores.0", "mids.0" or "output"."""
        module = self.get_submodule(value.replace("cores.", "weights."))
        assert isinstance(module, Quantizer)
        return module

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """x (.., in_features) to (.., out_features), plus `residual` before the output is quantized."""
        exact = self.output.mode is Mode.QUANTIZED and not self.training
        values = {INPUT: x}
        for i, core in enumerate(self.cores):
            values[f"cores.{i}"] = self.weights[i](core)
        bias: Tensor | None = self.bias
        if bias is not None and self.output.mode is Mode.QUANTIZED:
            bias = round_to(bias, self.accumulator_frac())
        for step in self.steps:
            last = step is self.steps[-1]
            product = _product(step, values[step.lhs], values[step.rhs], bias if last else None, exact)
            if last and residual is not None:
                product = product + residual
            values[step.output] = self.quantizer(step.output)(product)
        return values["output"]


def _product(step: Step, lhs: Tensor, rhs: Tensor, bias: Tensor | None, exact: bool) -> Tensor:
    """One step of `graph.linear_steps` on float tensors; in float64 when it must be exact."""
    if exact:
        lhs, rhs, bias = lhs.double(), rhs.double(), None if bias is None else bias.double()
    if step.kind == "merge":
        product = lhs.reshape(-1, step.inner) @ rhs.reshape(step.inner, -1)
        return product.reshape(lhs.shape[0], -1, rhs.shape[-1])
    weight = rhs.reshape(step.rows, step.inner)
    tokens = lhs.shape[:-1]
    if step.kind == "apply":
        if lhs.shape[-1] == step.inner:
            return F.linear(lhs, weight, None if bias is None else bias.to(lhs.dtype))
        product = F.linear(lhs.reshape(*tokens, -1, step.inner), weight)
    else:
        product = torch.matmul(weight, lhs.reshape(*tokens, step.inner, -1))
    product = product.reshape(*tokens, -1)
    return product if bias is None else product + bias.to(product.dtype)


class TTLinear(QuantLinear):
    """A linear layer in tensor-train format.

    Args:
        in_features, out_features: sizes; modes that are not configured are balanced.
        config: ranks, modes, plan and bits.
        bias: whether the layer has a bias; its initial value is 0.
        source, out_bits, mid_bits: see `QuantLinear`.
        variance: initial variance of the weight's entries; None: that of `torch.nn.Linear`.

    Raises:
        UserError: modes whose product is not the size, or a list of ranks of the wrong length.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        config: LinearConfig | None = None,
        *,
        bias: bool = True,
        source: Quantizer | None = None,
        out_bits: int = 8,
        mid_bits: int = 8,
        variance: float | None = None,
        cores: Sequence[Tensor] | None = None,
    ) -> None:
        config = config or LinearConfig()
        out_modes, in_modes = tt_modes(in_features, out_features, config)
        if cores is None:
            cores = random_cores(
                tt_shapes(out_modes, in_modes, config.rank),
                1 / (3 * in_features) if variance is None else variance,
            )
        super().__init__(
            "tt",
            cores,
            len(out_modes),
            config.plan,
            torch.zeros(out_features) if bias else None,
            bits=config.bits,
            source=source,
            out_bits=out_bits,
            mid_bits=mid_bits,
        )

    @classmethod
    def from_dense(
        cls,
        weight: Tensor,
        bias: Tensor | None = None,
        config: LinearConfig | None = None,
        *,
        error: float | None = None,
        source: Quantizer | None = None,
        out_bits: int = 8,
        mid_bits: int = 8,
    ) -> TTLinear:
        """The approximation of a dense weight (out_features, in_features) by TT-SVD.

        Args:
            config: its rank limits the ranks, unless `error` is given.
            error: bound on the relative Frobenius norm of the difference; it determines the ranks.
        """
        config = config or LinearConfig()
        out_features, in_features = weight.shape
        out_modes, in_modes = tt_modes(in_features, out_features, config)
        rank = None if error is not None else config.rank
        cores = tt_svd(weight.detach().reshape(*out_modes, *in_modes), rank, error)
        layer = cls(
            in_features,
            out_features,
            config,
            bias=bias is not None,
            source=source,
            out_bits=out_bits,
            mid_bits=mid_bits,
            cores=cores,
        )
        if bias is not None and layer.bias is not None:
            layer.bias.data.copy_(bias)
        return layer


def tt_modes(
    in_features: int, out_features: int, config: LinearConfig
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(output modes, input modes) of a tensor train: from the configuration, or balanced.

    Balanced output modes decrease and input modes increase, so that the large modes are at the ends, where ranks are 1.
    """
    out_modes = config.out_modes or balanced_modes(out_features, config.modes)
    in_modes = config.in_modes or balanced_modes(in_features, config.modes)[::-1]
    return check_modes(out_modes, out_features, "the output"), check_modes(in_modes, in_features, "the input")


def tt_shapes(
    out_modes: Sequence[int], in_modes: Sequence[int], rank: int | Sequence[int]
) -> list[tuple[int, int, int]]:
    """Shapes (r[k-1], mode, r[k]) of a tensor train's cores, ranks clipped to the limits of the unfoldings."""
    modes = (*out_modes, *in_modes)
    ranks = clip_ranks(modes, rank)
    return [(ranks[k], mode, ranks[k + 1]) for k, mode in enumerate(modes)]


class _MatrixLinear(QuantLinear):
    """Common base of low-rank and dense layers: a product of matrices."""

    kind_name: LinearKind

    def __init__(
        self,
        in_features: int,
        out_features: int,
        config: LinearConfig | None = None,
        *,
        bias: bool = True,
        source: Quantizer | None = None,
        out_bits: int = 8,
        mid_bits: int = 8,
    ) -> None:
        config = config or LinearConfig(kind=self.kind_name)
        shapes = self._shapes(in_features, out_features, config)
        super().__init__(
            self.kind_name,
            random_cores(shapes, 1 / (3 * in_features)),
            1,
            "merged",
            torch.zeros(out_features) if bias else None,
            # Of the widths of a longer tensor train, the first ones are used.
            bits=config.bits if isinstance(config.bits, int) else config.bits[: len(shapes)],
            source=source,
            out_bits=out_bits,
            mid_bits=mid_bits,
        )

    @staticmethod
    def _shapes(in_features: int, out_features: int, config: LinearConfig) -> list[tuple[int, int]]:
        """Shapes of the matrices, from the output to the input."""
        return [(out_features, in_features)]


class LowRankLinear(_MatrixLinear):
    """A linear layer with two dense factors, (out_features, rank) and (rank, in_features)."""

    kind_name: LinearKind = "lowrank"

    @staticmethod
    def _shapes(in_features: int, out_features: int, config: LinearConfig) -> list[tuple[int, int]]:
        wanted = config.rank if isinstance(config.rank, int) else max(config.rank)
        rank = min(wanted, in_features, out_features)
        return [(out_features, rank), (rank, in_features)]


class DenseLinear(_MatrixLinear):
    """A linear layer with one dense weight."""

    kind_name: LinearKind = "dense"


def make_linear(
    in_features: int,
    out_features: int,
    config: LinearConfig,
    *,
    source: Quantizer | None = None,
    out_bits: int = 8,
    mid_bits: int = 8,
) -> QuantLinear:
    """The layer described by a configuration."""
    kinds: dict[str, type[TTLinear] | type[LowRankLinear] | type[DenseLinear]] = {
        "tt": TTLinear,
        "lowrank": LowRankLinear,
        "dense": DenseLinear,
    }
    return kinds[config.kind](
        in_features, out_features, config, source=source, out_bits=out_bits, mid_bits=mid_bits
    )
