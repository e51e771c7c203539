"""The integer operators of `fixedpoint` on float tensors, with straight-through gradients.

In the forward pass each operator computes the integers of the contract, in float64 where they exceed 24 bits. In the
backward pass it has the gradient of its float counterpart. Without quantization, only the float operator runs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..fixedpoint import (
    GAMMA_BITS,
    NORM_BITS,
    NORM_FRAC,
    PROB_BITS,
    RECIPROCAL_BITS,
    Format,
    exp_table,
    function_table,
)
from .quantizer import Mode, Quantizer

FLOAT_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "relu": F.relu,
    "tanh": torch.tanh,
}
"""The float counterparts of `fixedpoint.FUNCTIONS`, by the same names."""

_FLOAT_EPSILON = 1e-5


class Sourced(nn.Module):
    """A module that depends on the format of its input.

    `source` is the quantizer that produces the input. It is not a submodule: the quantizer belongs to another
    module, and its parameters must not be counted twice.
    """

    def __init__(self, source: Quantizer | None) -> None:
        super().__init__()
        self._source = (source,)

    @property
    def source(self) -> Quantizer:
        """The quantizer that produces the input."""
        (source,) = self._source
        if source is None:
            raise ValueError(f"{type(self).__name__} needs the quantizer of its input; pass it as source")
        return source


@lru_cache(maxsize=256)
def _function_table(function: str, source: Format, target: Format) -> Tensor:
    return torch.from_numpy(function_table(function, source, target) * target.scale).float()


@lru_cache(maxsize=64)
def _exp_table(frac: int) -> Tensor:
    return torch.from_numpy(exp_table(frac)).double()


class TableFunction(Sourced):
    """GELU, tanh or ReLU through a table of 256 integers; see `fixedpoint.function_table`.

    Args:
        function: a name in `FLOAT_FUNCTIONS`.
        source: the quantizer of the input, signed 8 bits.
        bits: width of the output; the output of ReLU is unsigned.
    """

    def __init__(self, function: str, source: Quantizer, bits: int = 8) -> None:
        super().__init__(source)
        self.function = function
        self.output = Quantizer(bits, signed=function != "relu")

    def forward(self, x: Tensor) -> Tensor:
        """f(x), elementwise."""
        surrogate = FLOAT_FUNCTIONS[self.function](x)
        if self.output.mode is not Mode.QUANTIZED:
            return self.output(surrogate)
        source = self.source.fmt
        table = _function_table(self.function, source, self.output.fmt)
        with torch.no_grad():
            index = torch.mul(x, 2.0**source.frac).to(torch.int32).bitwise_and_(255)
            exact = table.index_select(0, index.reshape(-1)).reshape(x.shape)
        return self.output.exact(surrogate, exact)


class IntSoftmax(Sourced):
    """`fixedpoint.softmax` over the last axis.

    Args:
        source: the quantizer of the scores, signed 8 bits.
    """

    def __init__(self, source: Quantizer) -> None:
        super().__init__(source)
        self.output = Quantizer(PROB_BITS, signed=False)
        # A threshold of 1 gives the format that the contract specifies.
        self.output.log2_t.requires_grad_(False)

    def forward(self, scores: Tensor, valid: Tensor) -> Tensor:
        """Probabilities. `valid` is a mask that broadcasts to `scores`; invalid keys have probability 0."""
        surrogate = torch.softmax(scores.masked_fill(~valid, float("-inf")), dim=-1)
        if self.output.mode is not Mode.QUANTIZED:
            return surrogate
        frac = self.source.fmt.frac
        table = _exp_table(frac)
        with torch.no_grad():
            q = torch.mul(scores, 2.0**frac).masked_fill_(~valid, -128.0)
            difference = (q.amax(dim=-1, keepdim=True) - q).to(torch.int32)
            e = table.index_select(0, difference.reshape(-1)).reshape(q.shape).mul_(valid)
            shift = RECIPROCAL_BITS - PROB_BITS
            r = torch.div(2.0**RECIPROCAL_BITS, e.sum(dim=-1, keepdim=True)).floor_().mul_(2.0**-shift)
            p = e.mul_(r).add_(0.5).floor_().clamp_(max=2**PROB_BITS - 1).mul_(2.0**-PROB_BITS).float()
        return self.output.exact(surrogate, p)


class IntLayerNorm(Sourced):
    """`fixedpoint.layer_norm` over the features.

    Args:
        size: number of features.
        source: the quantizer of the input, signed 16 bits.
        bits: width of the output.
    """

    def __init__(self, size: int, source: Quantizer, bits: int = 8) -> None:
        super().__init__(source)
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))
        self.gamma = Quantizer(GAMMA_BITS)
        self.output = Quantizer(bits)

    def quantized_beta(self) -> Tensor:
        """The bias rounded to the fraction bits of gamma times the normalized value, straight-through."""
        return round_to(self.bias, NORM_FRAC + self.gamma.fmt.frac)

    def forward(self, x: Tensor) -> Tensor:
        """x (.., size) normalized, in the same shape."""
        weight: Tensor = self.gamma(self.weight)
        bias: Tensor = self.bias
        quantized = self.output.mode is Mode.QUANTIZED
        if quantized:
            bias = self.quantized_beta()
        surrogate = F.layer_norm(x, weight.shape, weight, bias.float(), _FLOAT_EPSILON)
        if not quantized:
            return self.output(surrogate)
        with torch.no_grad():
            q = torch.mul(x.double(), 2.0**self.source.fmt.frac)
            fmt = self.output.fmt
            exact = _layer_norm(q, weight.double(), bias.double(), fmt)
        return self.output.exact(surrogate, exact.mul_(fmt.scale).float())


def _layer_norm(q: Tensor, weight: Tensor, bias: Tensor, fmt: Format) -> Tensor:
    """The integers of `fixedpoint.layer_norm` in float64, in which all its intermediate values are exact.

    `weight` and `bias` are the real values of gamma and beta. They differ from their integers by powers of two, which
    do not affect the result.
    """
    size = q.shape[-1]
    s1 = q.sum(dim=-1, keepdim=True)
    s2 = torch.linalg.vecdot(q, q).unsqueeze(-1)
    v = s2.mul_(size).sub_(s1 * s1)
    t = ((32 - torch.frexp(v).exponent) >> 1).double()
    s = v.mul(torch.exp2(2 * t)).floor_().sqrt_().floor_()
    r = torch.div(2.0**31 - 1, s.clamp_(min=1)).floor_().mul_(v > 0)
    scale = torch.exp2(t)
    centered = torch.addcmul(0.5 - s1 * scale, q, scale * size).floor_()
    n = torch.addcmul(q.new_tensor(0.5), centered, r.mul_(2.0 ** (NORM_FRAC - 31))).floor_()
    top = 2.0 ** (NORM_BITS - 1)
    n.clamp_(-top, top - 1)
    step = 2.0**fmt.frac
    return (
        torch.addcmul(bias * step + 0.5, n, weight * (step * 2.0**-NORM_FRAC)).floor_().clamp_(fmt.lo, fmt.hi)
    )


class _RoundTo(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor, frac: int) -> Tensor:
        return torch.mul(x.double(), 2.0**frac).add_(0.5).floor_().mul_(2.0**-frac)

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0].float(), None


def round_to(x: Tensor, frac: int) -> Tensor:
    """x rounded half up to `frac` fraction bits, in float64, with the gradient of the identity."""
    rounded: Tensor = _RoundTo.apply(x, frac)
    return rounded
