"""The numeric contract compared with plain Python integers and exact fractions."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.fixedpoint import (
    EXP_MAX,
    MAX_NORM_SIZE,
    NORM_BITS,
    NORM_FRAC,
    Format,
    exp_table,
    function_table,
    integer_sqrt,
    layer_norm,
    quantize,
    requantize,
    shift_round,
    softmax,
)
from narrowgauge.tests.support.oracle import align_sum

HALF = Fraction(1, 2)
formats = st.builds(Format, st.integers(2, 32), st.integers(-40, 40), st.booleans())
accumulators = st.one_of(
    st.integers(-(2**31), 2**31 - 1), st.sampled_from([-(2**31), -1, 0, 1, 2**31 - 1]), st.integers(-200, 200)
)


def clamp(q: int, fmt: Format) -> int:
    return max(fmt.lo, min(fmt.hi, q))


def test_formats() -> None:
    for bits in range(2, 33):
        signed, unsigned = Format(bits, 3), Format(bits, 3, signed=False)
        assert (signed.lo, signed.hi) == (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        assert (unsigned.lo, unsigned.hi) == (0, 2**bits - 1)
        for fmt in (signed, unsigned):
            limits = np.iinfo(fmt.dtype)
            assert limits.min <= fmt.lo and fmt.hi <= limits.max
            assert fmt.scale == 0.125
    assert [Format(b, 0).dtype for b in (8, 9, 16, 17)] == [np.int8, np.int16, np.int16, np.int32]
    assert str(Format(8, -2)) == "s8.-2" and str(Format(16, 20, signed=False)) == "u16.20"


@pytest.mark.parametrize("bits", [-1, 0, 1, 33])
def test_widths_out_of_range(bits: int) -> None:
    with pytest.raises(ValueError, match=str(bits)):
        Format(bits, 0)


@given(accumulators, st.integers(-20, 40))
def test_shift_round_is_half_up(a: int, shift: int) -> None:
    expected = math.floor(Fraction(a) / Fraction(2) ** shift + HALF)
    assert int(shift_round(np.array(a), shift)) == expected


def test_ties_go_up() -> None:
    ties = np.array([-5, -3, -1, 1, 3, 5])
    assert shift_round(ties, 1).tolist() == [-2, -1, 0, 1, 2, 3]


@given(st.lists(accumulators, min_size=1, max_size=8), st.integers(-20, 40), formats)
def test_requantize(values: list[int], shift: int, fmt: Format) -> None:
    expected = [clamp(math.floor(Fraction(a) / Fraction(2) ** shift + HALF), fmt) for a in values]
    assert requantize(np.array(values), shift, fmt).tolist() == expected


@given(st.lists(st.tuples(st.integers(-(2**15), 2**15), st.integers(-10, 20)), min_size=1, max_size=4))
def test_align_sum_is_exact(terms: list[tuple[int, int]]) -> None:
    total, frac = align_sum([(np.array(q), f) for q, f in terms])
    assert int(total) / Fraction(2) ** frac == sum(q / Fraction(2) ** f for q, f in terms)
    assert frac == max(f for _, f in terms)


@given(st.floats(-1e6, 1e6), formats)
def test_quantize(x: float, fmt: Format) -> None:
    # The half is added in float64: below 2^52 the sum is exact except next to a tie.
    scaled = Fraction(x) * Fraction(2) ** fmt.frac
    found = int(quantize(x, fmt))
    assert fmt.lo <= found <= fmt.hi
    expected = clamp(math.floor(scaled + HALF), fmt)
    assert found == expected or abs(scaled + HALF - found) < Fraction(1, 2**20)


@given(st.integers(-(2**20), 2**20), st.integers(2, 20), st.integers(-8, 8))
def test_quantize_gives_back_what_a_format_holds(q: int, bits: int, frac: int) -> None:
    fmt = Format(bits, frac)
    assert int(quantize(math.ldexp(q, -frac), fmt)) == clamp(q, fmt)


@pytest.mark.parametrize("frac", range(-3, 13))
def test_exp_table(frac: int) -> None:
    with localcontext() as context:
        context.prec = 60
        step = Decimal(2) ** -frac
        expected = [
            int((EXP_MAX * (-d * step).exp() + Decimal("0.5")).to_integral_value("ROUND_FLOOR"))
            for d in range(256)
        ]
    table = exp_table(frac)
    assert table.tolist() == expected
    assert table[0] == EXP_MAX == 32767


REAL = {
    "gelu": lambda x: x * NormalDist().cdf(x),
    "relu": lambda x: x if x > 0 else 0.0,
    "tanh": lambda x: 1 - 2 / (math.exp(2 * x) + 1) if x < 300 else 1.0,
}


@pytest.mark.parametrize("function", sorted(REAL))
@pytest.mark.parametrize("source_frac", [-1, 0, 3, 5, 9])
@pytest.mark.parametrize(
    "target", [Format(8, 3), Format(8, 7), Format(8, 6, signed=False), Format(16, 12), Format(4, 1)]
)
def test_function_tables(function: str, source_frac: int, target: Format) -> None:
    source = Format(8, source_frac)
    table = function_table(function, source, target)
    assert table.shape == (256,)
    for q in range(-128, 128):
        exact = REAL[function](math.ldexp(q, -source_frac)) / target.scale
        exact = max(float(target.lo), min(float(target.hi), exact))
        assert abs(int(table[q % 256]) - exact) <= 0.5 + 1e-6


@pytest.mark.parametrize("source", [Format(16, 4), Format(8, 4, signed=False), Format(4, 0)])
def test_tables_are_read_with_signed_bytes(source: Format) -> None:
    with pytest.raises(ValueError, match="8 bits"):
        function_table("gelu", source, Format(8, 4))


def plain_softmax(scores: list[int], table: list[int], valid: list[bool]) -> list[int]:
    largest = max(s for s, v in zip(scores, valid, strict=True) if v)
    e = [table[largest - s] if v else 0 for s, v in zip(scores, valid, strict=True)]
    r = 2**30 // sum(e)
    return [min(255, (x * r + 2**21) // 2**22) for x in e]


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(-128, 127), st.booleans()), min_size=1, max_size=40),
    st.integers(-2, 12),
)
def test_softmax(row: list[tuple[int, bool]], frac: int) -> None:
    scores, valid = [s for s, _ in row], [v for _, v in row]
    valid[len(scores) // 2] = True
    table = exp_table(frac)
    found = softmax(np.array(scores), table, np.array(valid))
    assert found.tolist() == plain_softmax(scores, table.tolist(), valid)
    assert all(p == 0 for p, v in zip(found.tolist(), valid, strict=True) if not v)
    everywhere = softmax(np.array([scores, scores]), table)
    assert everywhere[1].tolist() == plain_softmax(scores, table.tolist(), [True] * len(scores))


def test_softmax_corners() -> None:
    table = exp_table(4)
    assert softmax(np.array([-128]), table).tolist() == [255]
    assert softmax(np.array([127, -128]), table).tolist() == [255, 0]
    assert softmax(np.full(4, 9), table).tolist() == [64] * 4
    assert softmax(np.full(1000, -3), table).tolist() == [0] * 1000


def test_integer_sqrt() -> None:
    rng = np.random.default_rng(5)
    roots = np.concatenate([np.arange(2000), rng.integers(0, 2**26, 20_000), [2**26 - 1]])
    near = np.concatenate([roots * roots + k for k in (-1, 0, 1)])
    values = np.concatenate([near, (roots + 1) ** 2 - 1, rng.integers(0, 2**52, 20_000)])
    values = values[(values >= 0) & (values < 2**52)]
    assert integer_sqrt(values).tolist() == [math.isqrt(v) for v in values.tolist()]


def plain_layer_norm(
    x: list[int], gamma: list[int], beta: list[int], gamma_frac: int, fmt: Format
) -> list[int]:
    size, s1 = len(x), sum(x)
    v = size * sum(a * a for a in x) - s1 * s1
    normalized = [0] * size
    if v:
        t = 0
        while v * Fraction(4) ** t >= 2**32:
            t -= 1
        while v * Fraction(4) ** t < 2**30:
            t += 1
        s = math.isqrt(math.floor(v * Fraction(4) ** t))
        assert 2**15 <= s < 2**16
        r = (2**31 - 1) // s
        centered = [math.floor((size * a - s1) * Fraction(2) ** t + HALF) for a in x]
        wide = Format(NORM_BITS, NORM_FRAC)
        normalized = [clamp((c * r + 2**18) >> 19, wide) for c in centered]
    shift = NORM_FRAC + gamma_frac - fmt.frac
    return [
        clamp(math.floor((n * g + b) / Fraction(2) ** shift + HALF), fmt)
        for n, g, b in zip(normalized, gamma, beta, strict=True)
    ]


def norm_inputs(rng: np.random.Generator, size: int) -> list[np.ndarray]:
    """Tokens with typical, zero, minimum and maximum variance, and with one outlier."""
    lo, hi = -(2**15), 2**15 - 1
    level = int(rng.integers(lo + 1, hi))
    one_off = np.full(size, level)
    one_off[rng.integers(size)] += int(rng.choice([-1, 1]))
    outlier = np.full(size, lo)
    outlier[rng.integers(size)] = hi
    return [
        np.clip(np.round(rng.normal(level / 8, 10 ** rng.uniform(0, 4), size)), lo, hi).astype(np.int64),
        rng.integers(lo, hi + 1, size),
        np.full(size, level),
        one_off,
        outlier,
        np.where(rng.random(size) < 0.5, lo, hi),
        level // 2 + rng.integers(-1, 2, size),
    ]


NORM_SIZES = [1, 2, 3, 4, 5, 7, 16, 31, 64, 96, 255, 256, 257, 384, 511, 768, 1000, 1023, 1024]


@pytest.mark.parametrize("size", NORM_SIZES)
def test_layer_norm_is_plain_integers(size: int) -> None:
    rng = np.random.default_rng(size)
    for x in norm_inputs(rng, size):
        gamma_frac = int(rng.integers(4, 12))
        gamma = rng.integers(-(2**11), 2**11, size)
        beta = rng.integers(-(2**20), 2**20, size)
        fmt = Format(8, int(rng.integers(0, 7)))
        expected = plain_layer_norm(x.tolist(), gamma.tolist(), beta.tolist(), gamma_frac, fmt)
        assert layer_norm(x, gamma, beta, gamma_frac, fmt).tolist() == expected


@pytest.mark.parametrize("size", NORM_SIZES)
def test_layer_norm_is_within_one_step_of_real_layer_norm(size: int) -> None:
    rng = np.random.default_rng(1000 + size)
    for _ in range(5):
        x = np.stack(norm_inputs(rng, size))
        gamma_frac, fmt = 8, Format(8, int(rng.integers(0, 6)))
        gamma = rng.integers(-(2**10), 2**10, size)
        beta = rng.integers(-(2**21), 2**21, size)
        real = x.astype(np.float64)
        deviation = real.std(axis=1, keepdims=True)
        centered = real - real.mean(axis=1, keepdims=True)
        constant = (x == x[:, :1]).all(axis=1, keepdims=True)
        normalized = np.where(constant, 0.0, centered / np.where(constant, 1.0, deviation))
        y = normalized * gamma * 2.0**-gamma_frac + beta * 2.0 ** -(NORM_FRAC + gamma_frac)
        y = np.clip(y / fmt.scale, fmt.lo, fmt.hi)
        assert np.abs(layer_norm(x, gamma, beta, gamma_frac, fmt) - y).max() <= 1.0


def test_layer_norm_takes_at_most_1024_features() -> None:
    size = MAX_NORM_SIZE + 1
    with pytest.raises(ValueError, match="1024"):
        layer_norm(np.zeros(size, int), np.zeros(size, int), np.zeros(size, int), 8, Format(8, 4))
