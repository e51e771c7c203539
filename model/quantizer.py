"""Fake quantization with learned power-of-two scales, equal to the integers of `fixedpoint`.

A quantized tensor is a float tensor whose elements are q * 2^-frac with integers q. Floating point represents them
exactly, and products and sums of such tensors are exact as long as the integers stay below 2^24 (float32) or 2^53
(float64). Training runs in float32; modules in `eval()` compute in float64, so that evaluation is exact for every
model that the exporter accepts.

The scale is learned as the base-2 logarithm of a threshold (Jain et al., *Trained Quantization Thresholds*, arXiv
1903.08066): frac = bits - signed - ceil(log2 t). The gradient passes through rounding unchanged, is zero where
the value saturates, and is propagated to log2 t by equations 6 and 7 of the paper.
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
"""Largest magnitude of a log2 threshold. Sums of products of two tensors stay finite in float32."""

_LN2 = math.log(2.0)
_SAMPLES = 1 << 16
_MSE_CANDIDATES = 8


class Mode(Enum):
    """What a quantizer does: pass its input through, collect statistics, or quantize."""

    FLOAT = "float"
    CALIBRATE = "calibrate"
    QUANTIZED = "quantized"


class _StraightThrough(torch.autograd.Function):
    """Returns `exact`; the gradient is that of a quantizer with input `source` and output `exact`.

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
    """Rounds and saturates `source` itself, in place and without recording a graph."""

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
    """The format for a threshold of 2^exponent, and the bounds of the values that do not saturate."""
    fmt = Format(bits, bits - signed - exponent, signed)
    return fmt, (fmt.lo - 0.5) * fmt.scale, (fmt.hi + 0.5) * fmt.scale


class Quantizer(nn.Module):
    """Converts a tensor to a fixed-point format.

    Attributes:
        bits, signed: width and signedness of the format.
        log2_t: the learned threshold, from -MAX_LOG2 to MAX_LOG2; its ceiling sets the scale.
        mode: see `Mode`.
        capture: if set, a dictionary that receives the integers under `name`.
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
        """The current format.

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
        """`x` quantized: floor(x * 2^frac + 1/2) * 2^-frac, saturated. In float and calibrate mode, `x` itself."""
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
        """`exact`, computed elsewhere in this format, with the gradient of quantizing `source`."""
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
        # An odd stride: with a power of two, the samples would always come from the same few features.
        stride = max(1, flat.numel() // 4096)
        self._samples.append(flat[:: stride | 1].clone())

    def calibrate(self, method: str, percentile: float = 99.9) -> None:
        """Sets the threshold from the collected statistics, and clears them.

        Args:
            method: `max`; `percentile` of the magnitudes; `mse`: the power of two with the smallest mean
                squared error.
            percentile: for the method `percentile`, in percent.

        Raises:
            NotFiniteError: the values are too large for any threshold.
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
        # Values smaller than any threshold become 0.
        top = max(top, -MAX_LOG2 + 1)
        # Halfway between two scales, so that one step of the optimizer does not change the scale.
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
    """Sets the name of every quantizer to its path in the model."""
    for name, module in model.named_modules():
        if isinstance(module, Quantizer):
            module.name = name


def set_mode(model: nn.Module, mode: Mode) -> None:
    """Sets the mode of all quantizers."""
    for quantizer in quantizers(model):
        quantizer.mode = mode


def calibrate(model: nn.Module, method: str, percentile: float = 99.9) -> None:
    """Sets all thresholds from the statistics of `Mode.CALIBRATE`, see `Quantizer.calibrate`."""
    if method not in ("max", "percentile", "mse"):
        raise UserError(f"calibration must be max, percentile or mse, got {method!r}.")
    for quantizer in quantizers(model):
        quantizer.calibrate(method, percentile)


def scale_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The log2 thresholds of a model."""
    return [quantizer.log2_t for quantizer in quantizers(model)]


def freeze_scales(model: nn.Module, frozen: bool = True) -> None:
    """Freezes (or unfreezes) all thresholds; this state is saved with the model."""
    for quantizer in quantizers(model):
        quantizer.frozen.fill_(frozen)
