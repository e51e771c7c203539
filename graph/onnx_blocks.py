# ruff: noqa: N802
"""The building blocks of the integer graph's operators, and the operators with a fixed number of inputs.

They are written in onnxscript, which parses these functions into ONNX and never runs them. Their inputs are tensors,
their attributes the numbers of one layer; their docstrings become part of the file. Arithmetic is int64, except for
integer products: these run as floating-point MatMul on integers, exact as long as every partial sum fits the mantissa,
which `carrier` ensures. (MatMulInteger is not an option: on x86 CPUs without VNNI its 8-bit products saturate at 16
bits.) Numbers that may exceed 32 bits are compared and clipped as double, not as int64: the kernels of onnxruntime
1.31 on x86 are wrong where two int64 numbers agree in their upper 32 bits but not in bit 31.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx import TensorProto
from onnxscript import opset18 as op
from onnxscript import script
from onnxscript.onnx_types import TensorType
from onnxscript.values import Opset

from ..fixedpoint import (
    NORM_BITS,
    NORM_FRAC,
    PROB_BITS,
    RECIPROCAL_BITS,
    Format,
)

DOMAIN = "narrowgauge"
DOMAIN_VERSION = 1
OPSET = 18
IR_VERSION = 10
"""The latest version that onnxruntime 1.18 reads."""

TYPES: dict[str, int] = {
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "int16": TensorProto.INT16,
    "uint16": TensorProto.UINT16,
    "int32": TensorProto.INT32,
    "uint32": TensorProto.UINT32,
}
"""ONNX element types, by the name of the numpy type of a format."""

_ng = Opset(DOMAIN, DOMAIN_VERSION)

# onnxscript takes a plain name for a constant; these are the constants of the bodies below.
_INT32 = TensorProto.INT32
_INT64 = TensorProto.INT64
_UINT64 = TensorProto.UINT64
_DOUBLE = TensorProto.DOUBLE
_UINT8 = TensorProto.UINT8
_OFFSET = 1 << 62
_POWERS_OF_4 = [4**k for k in range(27)]
_NORM = Format(NORM_BITS, NORM_FRAC)
_NORM_LO, _NORM_HI, _NORM_SHIFT = _NORM.lo, _NORM.hi, 31 - NORM_FRAC
_NORM_DIVIDEND = (1 << 31) - 1
_SOFTMAX_DIVIDEND = 1 << RECIPROCAL_BITS
_SOFTMAX_SHIFT = RECIPROCAL_BITS - PROB_BITS
_PROB_HI = (1 << PROB_BITS) - 1


def carrier(a: Format, b: Format, inner: int) -> int:
    """The floating-point type in which sums of `inner` products are exact, in any order of summation.

    It is FLOAT if the bound |a| * |b| * inner is at most 2^24, else DOUBLE, which is exact up to 2^53 and so for every
    accumulator of 32 bits.
    """
    largest = max(a.hi, -a.lo) * max(b.hi, -b.lo) * inner
    return int(TensorProto.FLOAT if largest <= 1 << 24 else TensorProto.DOUBLE)


@script(_ng, default_opset=op)
def ByteTable(bits: int, lo: int, to: int) -> TensorType:
    """The packed integers in each of the 256 byte values, shape (256, 8 / bits).

    An integer has `bits` bits, 2 or 4, in two's complement; the smallest one is `lo`. The first is in the lowest bits.
    """
    zero = op.Constant(value_int=0)
    one = op.Constant(value_int=1)
    width = op.Constant(value_int=bits)
    places = op.Cast(op.Range(zero, op.Constant(value_int=8), width), to=_UINT64)
    numbers = op.Unsqueeze(op.Range(zero, op.Constant(value_int=256), one), op.Constant(value_ints=[-1]))
    shifted = op.Cast(op.BitShift(op.Cast(numbers, to=_UINT64), places, direction="RIGHT"), to=_INT64)
    codes = op.BitShift(op.Cast(one, to=_UINT64), op.Cast(width, to=_UINT64), direction="LEFT")
    smallest = op.Constant(value_int=lo)
    # The integer in lo .. lo + 2^bits - 1 that has these lowest bits.
    integers = op.Add(op.Mod(op.Sub(shifted, smallest), op.Cast(codes, to=_INT64)), smallest)
    return op.Cast(integers, to=to)


@script(_ng, default_opset=op)
def Unpack(packed: TensorType, table: TensorType, shape: Sequence[int]) -> TensorType:
    """Unpacks a constant from its bytes, row-major; `table` is the `ByteTable` of its format."""
    rows = op.Gather(table, op.Cast(packed, to=_INT32), axis=0)
    return op.Reshape(rows, op.Constant(value_ints=shape))


@script(_ng, default_opset=op)
def UnpackPart(packed: TensorType, table: TensorType, shape: Sequence[int]) -> TensorType:
    """Like `Unpack`, for a constant that does not fill its last byte; the unused bits are 0."""
    rows = op.Gather(table, op.Cast(packed, to=_INT32), axis=0)
    flat = op.Reshape(rows, op.Constant(value_ints=[-1]))
    dims = op.Constant(value_ints=shape)
    part = op.Slice(flat, op.Constant(value_ints=[0]), op.ReduceProd(dims, keepdims=1))
    return op.Reshape(part, dims)


@script(_ng, default_opset=op)
def ShiftRound(a: TensorType, shift: TensorType) -> TensorType:
    """floor(a * 2^-shift + 1/2) in int64; a left shift where `shift` is 0 or less. `shift` broadcasts."""
    # BitShift takes unsigned integers only: 2^62 makes `a` positive, and 2^62 >> shift is subtracted afterwards.
    zero = op.Constant(value_int=0)
    one = op.Cast(op.Constant(value_int=1), to=_UINT64)
    offset = op.Constant(value_int=_OFFSET)
    left = op.Cast(op.Max(op.Neg(shift), zero), to=_UINT64)
    right = op.Cast(op.Max(shift, zero), to=_UINT64)
    factor = op.Cast(op.BitShift(one, left, direction="LEFT"), to=_INT64)
    half = op.BitShift(op.BitShift(one, right, direction="LEFT"), one, direction="RIGHT")
    addend = op.Add(op.Cast(half, to=_INT64), offset)
    positive = op.Cast(op.Add(op.Mul(a, factor), addend), to=_UINT64)
    shifted = op.Cast(op.BitShift(positive, right, direction="RIGHT"), to=_INT64)
    shifted_offset = op.BitShift(op.Cast(offset, to=_UINT64), right, direction="RIGHT")
    return op.Sub(shifted, op.Cast(shifted_offset, to=_INT64))


@script(_ng, default_opset=op)
def Requantize(a: TensorType, shift: int, lo: int, hi: int, to: int) -> TensorType:
    """An int64 accumulator, shifted right by `shift` bits, rounded half up, clipped to lo..hi, cast to `to`."""
    rounded = op.Cast(ShiftRound(a, op.Constant(value_int=shift)), to=_DOUBLE)
    smallest = op.Cast(op.Constant(value_int=lo), to=_DOUBLE)
    largest = op.Cast(op.Constant(value_int=hi), to=_DOUBLE)
    return op.Cast(op.Clip(rounded, smallest, largest), to=to)


@script(_ng, default_opset=op)
def Align(a: TensorType, left: int) -> TensorType:
    """Integers times 2^left, in int64."""
    one = op.Cast(op.Constant(value_int=1), to=_UINT64)
    bits = op.Cast(op.Constant(value_int=left), to=_UINT64)
    factor = op.Cast(op.BitShift(one, bits, direction="LEFT"), to=_INT64)
    return op.Mul(op.Cast(a, to=_INT64), factor)


@script(_ng, default_opset=op)
def Product(a: TensorType, b: TensorType, carrier: int) -> TensorType:
    """The matrix product of integers, in int64; `carrier` is a floating-point type in which it is exact."""
    return op.Cast(op.MatMul(op.Cast(a, to=carrier), op.Cast(b, to=carrier)), to=_INT64)


@script(_ng, default_opset=op)
def Merge(a: TensorType, b: TensorType, matrix: Sequence[int], carrier: int) -> TensorType:
    """The product of two weights, a as (-1, K) times b as (K, -1); `matrix` is [-1, K]."""
    rows = op.Reshape(a, op.Constant(value_ints=matrix))
    columns = op.Reshape(b, op.Concat(op.Shape(rows, start=1), op.Constant(value_ints=[-1]), axis=0))
    return Product(rows, columns, carrier=carrier)


@script(_ng, default_opset=op)
def Apply(x: TensorType, weight: TensorType, matrix: Sequence[int], carrier: int) -> TensorType:
    """The last features of each row, x as (.., -1, K) times the transposed weight; `matrix` is [R, K]."""
    rest = op.Constant(value_ints=[-1])
    rows = op.Reshape(weight, op.Constant(value_ints=matrix))
    lead = op.Shape(x, end=-1)
    folded = op.Reshape(x, op.Concat(lead, rest, op.Shape(rows, start=1), axis=0))
    product = Product(folded, op.Transpose(rows, perm=[1, 0]), carrier=carrier)
    return op.Reshape(product, op.Concat(lead, rest, axis=0))


@script(_ng, default_opset=op)
def Expand(x: TensorType, weight: TensorType, matrix: Sequence[int], carrier: int) -> TensorType:
    """The features before the last, the weight as (R, K) times x as (.., K, -1); `matrix` is [R, K]."""
    rest = op.Constant(value_ints=[-1])
    rows = op.Reshape(weight, op.Constant(value_ints=matrix))
    lead = op.Shape(x, end=-1)
    folded = op.Reshape(x, op.Concat(lead, op.Shape(rows, start=1), rest, axis=0))
    product = Product(rows, folded, carrier=carrier)
    return op.Reshape(product, op.Concat(lead, rest, axis=0))


@script(_ng, default_opset=op)
def Digit(index: TensorType, stride: int, size: int) -> TensorType:
    """A digit of a mixed-radix number: (index / stride) mod size."""
    return op.Mod(op.Div(index, op.Constant(value_int=stride)), op.Constant(value_int=size))


@script(_ng, default_opset=op)
def CoreSlice(core: TensorType, digit: TensorType) -> TensorType:
    """The slice of a core (r0, v, d, r1) at one digit (0 to v - 1) per token: (batch, T, r0, d * r1)."""
    rows = op.Gather(op.Transpose(core, perm=[1, 0, 2, 3]), digit, axis=0)
    return op.Reshape(rows, op.Constant(value_ints=[0, 0, 0, -1]))


@script(_ng, default_opset=op)
def FirstSlice(core: TensorType, digit: TensorType) -> TensorType:
    """The slice of the first core of a tensor-train matrix at one digit per token: (batch, T, d * r1)."""
    return op.Reshape(CoreSlice(core, digit), op.Constant(value_ints=[0, 0, -1]))


@script(_ng, default_opset=op)
def SliceProduct(x: TensorType, core: TensorType, digit: TensorType, carrier: int) -> TensorType:
    """The x of a token, (batch, T, -1, r0), times its slice of the core, (batch, T, r0, d * r1); stored flat."""
    columns = CoreSlice(core, digit)
    shape = op.Concat(op.Constant(value_ints=[0, 0, -1]), op.Shape(columns, start=2, end=3), axis=0)
    product = Product(op.Reshape(x, shape), columns, carrier=carrier)
    return op.Reshape(product, op.Constant(value_ints=[0, 0, -1]))


@script(_ng, default_opset=op)
def SplitHeads(x: TensorType, heads: int) -> TensorType:
    """(batch, T, heads * d) as (batch, heads, T, d)."""
    count = op.Reshape(op.Constant(value_int=heads), op.Constant(value_ints=[1]))
    shape = op.Concat(op.Constant(value_ints=[0, 0]), count, op.Constant(value_ints=[-1]), axis=0)
    return op.Transpose(op.Reshape(x, shape), perm=[0, 2, 1, 3])


@script(_ng, default_opset=op)
def Positions(tokens: TensorType) -> TensorType:
    """The position of each token in its sentence, from 0: int64, in the shape of `tokens`."""
    shape = op.Shape(tokens)
    length = op.Squeeze(op.Shape(tokens, start=1))
    places = op.Range(op.Constant(value_int=0), length, op.Constant(value_int=1))
    return op.Expand(places, shape)


@script(_ng, default_opset=op)
def Embedding(table: TensorType, index: TensorType) -> TensorType:
    """table[index]: one row per token."""
    return op.Gather(table, index, axis=0)


@script(_ng, default_opset=op)
def IntLayerNorm(
    x: TensorType, gamma: TensorType, beta: TensorType, shift: int, lo: int, hi: int, to: int
) -> TensorType:
    """Integer LayerNorm over the last axis, with one exact division and one exact square root per token."""
    last = op.Constant(value_ints=[-1])
    zero = op.Constant(value_int=0)
    a = op.Cast(x, to=_INT64)
    size = op.Shape(x, start=-1)
    s1 = op.ReduceSum(a, last, keepdims=1)
    s2 = op.ReduceSum(op.Mul(a, a), last, keepdims=1)
    v = op.Sub(op.Mul(size, s2), op.Mul(s1, s1))
    # t scales V * 4^t into 2^30 .. 2^32: 16 minus the number of base-4 digits of V. V is exact as a double.
    exact = op.Cast(v, to=_DOUBLE)
    powers = op.Cast(op.Constant(value_ints=_POWERS_OF_4), to=_DOUBLE)
    reached = op.Cast(op.GreaterOrEqual(exact, powers), to=_INT64)
    t = op.Sub(op.Constant(value_int=16), op.ReduceSum(reached, last, keepdims=1))
    t2 = op.Add(t, t)
    up = op.BitShift(op.Cast(v, to=_UINT64), op.Cast(op.Max(t2, zero), to=_UINT64), direction="LEFT")
    radicand = op.BitShift(up, op.Cast(op.Max(op.Neg(t2), zero), to=_UINT64), direction="RIGHT")
    # Exact: below 2^52 no correctly rounded root reaches the next integer.
    s = op.Cast(op.Floor(op.Sqrt(op.Cast(radicand, to=_DOUBLE))), to=_INT64)
    quotient = op.Div(op.Constant(value_int=_NORM_DIVIDEND), op.Max(s, op.Constant(value_int=1)))
    r = op.Where(op.Greater(exact, op.Cast(zero, to=_DOUBLE)), quotient, zero)
    centered = ShiftRound(op.Sub(op.Mul(size, a), s1), op.Neg(t))
    n = Requantize(op.Mul(centered, r), shift=_NORM_SHIFT, lo=_NORM_LO, hi=_NORM_HI, to=_INT64)
    y = op.Add(op.Mul(n, op.Cast(gamma, to=_INT64)), op.Cast(beta, to=_INT64))
    return Requantize(y, shift=shift, lo=lo, hi=hi, to=to)


@script(_ng, default_opset=op)
def Scores(
    query: TensorType,
    key: TensorType,
    heads: int,
    head_shift: int,
    carrier: int,
    shift: int,
    lo: int,
    hi: int,
    to: int,
) -> TensorType:
    """Products of queries and keys, per head: (batch, heads, T, T).

    `shift` includes `head_shift`, which replaces the division by the square root of the head size and is given
    separately for the reader only.
    """
    keys = op.Transpose(SplitHeads(key, heads=heads), perm=[0, 1, 3, 2])
    product = Product(SplitHeads(query, heads=heads), keys, carrier=carrier)
    return Requantize(product, shift=shift, lo=lo, hi=hi, to=to)


@script(_ng, default_opset=op)
def IntSoftmax(scores: TensorType, table: TensorType, lengths: TensorType) -> TensorType:
    """Integer softmax over the keys of a sentence; keys from `lengths` on are padding, with probability 0."""
    last = op.Constant(value_ints=[-1])
    zero = op.Constant(value_int=0)
    keys = op.Range(zero, op.Squeeze(op.Shape(scores, start=-1)), op.Constant(value_int=1))
    valid = op.Less(keys, op.Reshape(lengths, op.Constant(value_ints=[-1, 1, 1, 1])))
    a = op.Where(valid, op.Cast(scores, to=_INT64), op.Constant(value_int=-128))
    difference = op.Sub(op.ReduceMax(a, last, keepdims=1), a)
    e = op.Where(valid, op.Gather(op.Cast(table, to=_INT64), difference, axis=0), zero)
    r = op.Div(op.Constant(value_int=_SOFTMAX_DIVIDEND), op.ReduceSum(e, last, keepdims=1))
    return Requantize(op.Mul(e, r), shift=_SOFTMAX_SHIFT, lo=0, hi=_PROB_HI, to=_UINT8)


@script(_ng, default_opset=op)
def Context(
    probabilities: TensorType,
    value: TensorType,
    heads: int,
    carrier: int,
    shift: int,
    lo: int,
    hi: int,
    to: int,
) -> TensorType:
    """Rows of `value` weighted by probabilities, per head: (batch, T, heads * d)."""
    product = Product(probabilities, SplitHeads(value, heads=heads), carrier=carrier)
    rows = op.Reshape(op.Transpose(product, perm=[0, 2, 1, 3]), op.Constant(value_ints=[0, 0, -1]))
    return Requantize(rows, shift=shift, lo=lo, hi=hi, to=to)


@script(_ng, default_opset=op)
def Table(x: TensorType, table: TensorType, function: str) -> TensorType:
    """table[x mod 256], with the table in two's complement order. `function` names it for the reader only."""
    # Gather counts negative indices from the end: x mod 256 for x >= -128.
    return op.Gather(table, op.Cast(x, to=_INT64), axis=0)


@script(_ng, default_opset=op)
def First(x: TensorType) -> TensorType:
    """The row of the first token of a sentence."""
    return op.Gather(x, op.Constant(value_int=0), axis=1)


BLOCKS = {
    block.name: block
    for block in (
        *(
            ByteTable,
            Unpack,
            UnpackPart,
            ShiftRound,
            Requantize,
            Align,
            Product,
            Merge,
            Apply,
            Expand,
            Digit,
            CoreSlice,
            FirstSlice,
        ),
        *(SliceProduct, SplitHeads, Positions, Embedding, IntLayerNorm, Scores, IntSoftmax, Context, Table),
        First,
    )
}
"""Every function of this module, by its op type."""
