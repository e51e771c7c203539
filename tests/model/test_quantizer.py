"""Quantizers: values compared with the contract, gradients with the paper's formulas in autograd."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.errors import UserError
from narrowgauge.fixedpoint import quantize
from narrowgauge.model.quantizer import Mode, Quantizer, calibrate, freeze_scales


def quantizer(bits: int, signed: bool, log2_t: float) -> Quantizer:
    q = Quantizer(bits, signed)
    q.mode = Mode.QUANTIZED
    q.log2_t.data.fill_(log2_t)
    return q


@given(
    st.sampled_from([2, 4, 8, 16]),
    st.booleans(),
    st.floats(-12, 12),
    st.lists(st.integers(-(2**23), 2**23), min_size=1, max_size=50),
    st.integers(0, 30),
)
def test_values_are_those_of_the_contract(
    bits: int, signed: bool, log2_t: float, integers: list[int], frac: int
) -> None:
    """Products of quantized tensors are integers times a power of two: float32 must round them half up."""
    q = quantizer(bits, signed, log2_t)
    x = np.ldexp(np.array(integers, np.float64), -frac)
    for dtype in (torch.float32, torch.float64):
        # float32 is exact while the accumulator and its rounding half stay below 2^24.
        shift = frac - q.fmt.frac
        if dtype is torch.float32 and shift > 0 and max(map(abs, integers)) + 2 ** (shift - 1) > 2**24:
            continue
        got = q.integers(q(torch.tensor(x, dtype=dtype)))
        assert got.tolist() == quantize(x, q.fmt).tolist()


@given(st.sampled_from([2, 4, 8]), st.booleans(), st.floats(-3, 3, width=16), st.integers(0, 2**31))
def test_gradients_are_those_of_the_paper(bits: int, signed: bool, log2_t: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = (torch.randn(64, generator=generator) * 2.0 ** (log2_t + 0.3)).requires_grad_()
    q = quantizer(bits, signed, log2_t)
    weight = torch.randn(64, generator=generator)
    (q(x) * weight).sum().backward()
    # TQT, equations 6 and 7, by autograd: rounding and the ceiling pass gradients straight through.
    x2 = x.detach().clone().requires_grad_()
    t = torch.tensor(log2_t, requires_grad=True)
    scale = 2.0 ** (t + (math.ceil(log2_t) - t).detach() - (bits - signed))
    scaled = x2 / scale
    rounded = scaled + (torch.floor(scaled + 0.5) - scaled).detach()
    (rounded.clamp(q.fmt.lo, q.fmt.hi) * scale * weight).sum().backward()
    assert x.grad is not None and x2.grad is not None and q.log2_t.grad is not None and t.grad is not None
    torch.testing.assert_close(x.grad, x2.grad)
    torch.testing.assert_close(q.log2_t.grad, t.grad, rtol=1e-3, atol=1e-3 * float(weight.abs().sum()))


def test_frozen_scales_get_no_gradient() -> None:
    q = quantizer(8, True, 0.3)
    freeze_scales(q)
    x = torch.randn(10, requires_grad=True)
    q(x).sum().backward()
    assert q.log2_t.grad is None and x.grad is not None
    assert "frozen" in q.state_dict()


@pytest.mark.parametrize("signed", [True, False])
def test_calibration(signed: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4000, generator=generator).abs() * 0.3
    x[17] = 11.0
    exponents = {}
    for method in ("max", "percentile", "mse"):
        q = Quantizer(4, signed)
        q.mode = Mode.CALIBRATE
        assert torch.equal(q(x), x)
        q.calibrate(method, 99.0)
        exponents[method] = math.ceil(q.log2_t.item())
    assert exponents["max"] == 4
    assert exponents["percentile"] == 0
    errors = {}
    for e in range(-6, 6):
        q = quantizer(4, signed, e)
        errors[e] = float((q(x) - x).double().pow(2).mean())
    assert exponents["mse"] == min(errors, key=lambda e: errors[e])


def test_an_unknown_calibration_is_refused() -> None:
    with pytest.raises(UserError, match="max, percentile or mse"):
        calibrate(Quantizer(8), "best")


def test_nothing_to_calibrate_from_leaves_the_threshold() -> None:
    q = Quantizer(8)
    q.mode = Mode.CALIBRATE
    q(torch.zeros(5))
    q.calibrate("mse")
    assert float(q.log2_t) == 0.0
