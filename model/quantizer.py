"""Fake quantization with learned power-of-two scales, equal to the integers of `fixedpoint`.

A quantized tensor is a float tensor whose every element is q * 2^-frac with an integer q: floating point holds it
exactly, and products and sums of such tensors are exact as long as the integers stay below 2^24 (float32) or 2^53
(float64). Training runs in float32; modules in `eval()` compute in float64, so that evaluation is exact for every
model that the exporter accepts.

The scale is learned as the base-2 logarithm of a threshold (Jain et al., *Trained Quantization Thresholds*, arXiv
1903.08066): frac = bits - signed - ceil(log2 t). The gradient passes through rounding unchanged, is cut off where
the value saturates, and reaches log2 t as the paper's equations 6 and 7 have it.
"""

from __future__ import annotations

import math
from enum import Enum
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..fixedpoint import Format
from .finite import NotFiniteError

MAX_LOG2 = 48
"""Largest magnitude of a log2 threshold: sums of products of two tensors then stay finite in float32."""

_LN2 = math.log(2.0)
_SAMPLES = 1 << 16
_MSE_CANDIDATES = 8


class Mode(Enum):
    """What a quantizer does: nothing, watch what passes, or quantize."""

    FLOAT = "float"
    CALIBRATE = "calibrate"
    QUANTIZED = "quantized"


class _StraightThrough(torch.autograd.Function):
    """Gives `exact` forward; backward is that of a quantizer with input `source` and output `exact`.

    With saturation limits lo, hi: d/d source = 1 inside, 0 outside; d/d log2 t = ln 2 * (exact - source) inside
    and ln 2 * exact outside (TQT, equations 6 and 7; the scale's own factor is in `exact` and `source`).
    """

    @staticmethod
    def forward(ctx: Any, source: Tensor, log2_t: Tensor, exact: Tensor, lo: float, hi: float) -> Tensor:
        ctx.save_for_backward(source, exact)
        ctx.limits = (lo, hi)
        return exact

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor | None, None, None, None]:
        (grad,) = grads
        source, exact = ctx.saved_tensors
        inside = torch.ops.aten.hardtanh_backward(grad, source, *ctx.limits)
        slope = None
        if ctx.needs_input_grad[1]:
            slope = torch.dot(grad.reshape(-1), exact.reshape(-1))
            slope = slope.sub_(torch.dot(inside.reshape(-1), source.reshape(-1))).mul_(_LN2)
        return inside, slope, None, None, None


class _Round(_StraightThrough):
    """Rounds and saturates `source` itself: inside, no graph is recorded, and all works in place."""

    @staticmethod
    def forward(ctx: Any, source: Tensor, log2_t: Tensor, fmt: Any, lo: float, hi: float) -> Tensor:
        exact = _rounded(source, fmt)
        ctx.save_for_backward(source, exact)
        ctx.limits = (lo, hi)
        return exact


def _rounded(x: Tensor, fmt: Format) -> Tensor:
    """floor(x * 2^frac + 1/2) * 2^-frac, saturated, in float32."""
    q = torch.mul(x, 2.0**fmt.frac).add_(0.5).floor_().clamp_(fmt.lo, fmt.hi)
    return q.mul_(fmt.scale).float()


@lru_cache(maxsize=4096)
def _format(bits: int, signed: bool, exponent: int) -> tuple[Format, float, float]:
    """The format of a threshold of 2^exponent, and the reals between which nothing saturates."""
    fmt = Format(bits, bits - signed - exponent, signed)
    return fmt, (fmt.lo - 0.5) * fmt.scale, (fmt.hi + 0.5) * fmt.scale


class Quantizer(nn.Module):
    """Where a tensor is brought to a fixed-point format.

    Attributes:
        bits, signed: of the format.
        log2_t: the learned threshold, from -MAX_LOG2 to MAX_LOG2; its ceiling sets the scale.
        mode: see `Mode`.
        capture: a dictionary that receives the integers under `name` while it is set.
        name: the name of the value in the integer graph; set by `name_quantizers`.
    """

    frozen: Tensor

    def __init__(self, bits: int, signed: bool = True) -> None:
        super().__init__()
        self.bits = bits
        self.signed = signed
        self.log2_t = nn.Parameter(torch.zeros(()))
        self.register_buffer("frozen", torch.zeros((), dtype=torch.bool))
        self.mode = Mode.FLOAT
        self.name = ""
        self.capture: dict[str, Tensor] | None = None
        self._largest = 0.0
        self._samples: list[Tensor] = []

    @property
    def fmt(self) -> Format:
        """The present format.

        Raises:
            NotFiniteError: the threshold is out of range.
        """
        return self._format()[0]

    def _format(self) -> tuple[Format, float, float]:
        log2_t = self.log2_t.item()
        if not abs(log2_t) <= MAX_LOG2:
            raise NotFiniteError(
                f"the log2 threshold of {self.name} must be from {-MAX_LOG2} to {MAX_LOG2}, got {log2_t:g}"
            )
        return _format(self.bits, self.signed, math.ceil(log2_t))

    def _threshold(self) -> Tensor:
        return self.log2_t.detach() if self.frozen else self.log2_t

    def forward(self, x: Tensor) -> Tensor:
        """`x` quantized: floor(x * 2^frac + 1/2) * 2^-frac, saturated. In float mode, `x`."""
        if self.mode is Mode.FLOAT:
            return x
        if self.mode is Mode.CALIBRATE:
            self._watch(x)
            return x
        if self.capture is not None or not torch.is_grad_enabled():
            return self.exact(x, self.round(x))
        return _Round.apply(x, self._threshold(), *self._format())  # type: ignore[no-any-return]

    def round(self, x: Tensor) -> Tensor:
        """The quantized values of `x`, without a gradient."""
        with torch.no_grad():
            return _rounded(x, self.fmt)

    def exact(self, source: Tensor, exact: Tensor) -> Tensor:
        """`exact`, which another algorithm computed in this format, with the gradient of quantizing `source`."""
        if self.capture is not None:
            self.capture[self.name] = self.integers(exact)
        if not torch.is_grad_enabled():
            return exact
        _, lo, hi = self._format()
        return _StraightThrough.apply(source, self._threshold(), exact, lo, hi)  # type: ignore[no-any-return]

    def integers(self, x: Tensor) -> Tensor:
        """The integers of a tensor that this quantizer has quantized."""
        return torch.mul(x.detach().double(), 2.0**self.fmt.frac).to(torch.int64)

    def _watch(self, x: Tensor) -> None:
        flat = x.detach().reshape(-1)
        if not flat.numel():
            return
        if not self.signed:
            flat = flat.clamp(min=0)
        largest = float(flat.abs().max())
        if not math.isfinite(largest):
            raise NotFiniteError(f"{self.name} is not finite in calibration")
        self._largest = max(self._largest, largest)
        # An odd stride, or sizes that are powers of two would show the same few features again and again.
        stride = max(1, flat.numel() // 4096)
        self._samples.append(flat[:: stride | 1].clone())

    def calibrate(self, method: str, percentile: float = 99.9) -> None:
        """Sets the threshold from what was watched, and forgets it.

        Args:
            method: `max`; `percentile` of the magnitudes; `mse`: the power of two with the smallest mean
                squared error.
            percentile: for that method, in percent.

        Raises:
            NotFiniteError: what was watched is too large for any threshold.
        """
        if not self._samples or self._largest == 0.0:
            self._samples = []
            return
        sample = torch.cat(self._samples)[:_SAMPLES]
        top = math.ceil(math.log2(self._largest))
        if method == "percentile":
            value = float(torch.quantile(sample.abs(), percentile / 100))
            top = math.ceil(math.log2(value)) if value > 0 else top
        elif method == "mse":
            top = min(range(top, top - _MSE_CANDIDATES, -1), key=lambda e: self._error(sample, e))
        if top > MAX_LOG2:
            raise NotFiniteError(
                f"{self.name} must stay below 2^{MAX_LOG2} in calibration, got {self._largest:g}"
            )
        # What is smaller than any threshold becomes 0.
        top = max(top, -MAX_LOG2 + 1)
        # Half way between two scales: neither is one step of the optimizer away.
        with torch.no_grad():
            self.log2_t.fill_(top - 0.5)
        self._samples, self._largest = [], 0.0

    def _error(self, sample: Tensor, exponent: int) -> float:
        fmt = Format(self.bits, self.bits - self.signed - exponent, self.signed)
        q = torch.floor(sample * 2.0**fmt.frac + 0.5).clamp(fmt.lo, fmt.hi) * fmt.scale
        return float(torch.mean((q - sample).double() ** 2))


def quantizers(model: nn.Module) -> list[Quantizer]:
    """All quantizers of a model."""
    return [module for module in model.modules() if isinstance(module, Quantizer)]


def name_quantizers(model: nn.Module) -> None:
    """Gives every quantizer its path in the model as its name."""
    for name, module in model.named_modules():
        if isinstance(module, Quantizer):
            module.name = name


def set_mode(model: nn.Module, mode: Mode) -> None:
    """Sets the mode of all quantizers."""
    for quantizer in quantizers(model):
        quantizer.mode = mode


def calibrate(model: nn.Module, method: str, percentile: float = 99.9) -> None:
    """Sets all thresholds from what `Mode.CALIBRATE` has watched, see `Quantizer.calibrate`."""
    if method not in ("max", "percentile", "mse"):
        raise UserError(f"there is no calibration {method!r}; choose max, percentile or mse.")
    for quantizer in quantizers(model):
        quantizer.calibrate(method, percentile)


def scale_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The log2 thresholds of a model."""
    return [quantizer.log2_t for quantizer in quantizers(model)]


def freeze_scales(model: nn.Module, frozen: bool = True) -> None:
    """Stops (or resumes) the training of all thresholds; the state is saved with the model."""
    for quantizer in quantizers(model):
        quantizer.frozen.fill_(frozen)
