"""The storage of constants in `model.onnx`: those of 2 and 4 bits are packed, several to a byte.

Packed integers follow each other row-major, in two's complement, the first in the lowest bits of the first byte.
Unused bits of the last byte are 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..fixedpoint import Format, IntArray

_BYTE = 8
_PACKED = (2, 4)


def is_packed(fmt: Format) -> bool:
    """Whether constants of this format are packed; others are stored in the dtype of the format."""
    return fmt.bits in _PACKED


def stored_bytes(fmt: Format, count: int) -> int:
    """The size of `count` integers of a format in a file, in bytes."""
    return math.ceil(count * fmt.bits / _BYTE) if is_packed(fmt) else count * fmt.dtype.itemsize


def pack(data: IntArray, fmt: Format) -> npt.NDArray[np.uint8]:
    """Packs integers of a format into bytes, shape (`stored_bytes`,)."""
    each = _BYTE // fmt.bits
    codes = np.zeros((stored_bytes(fmt, data.size), each), np.uint8)
    codes.reshape(-1)[: data.size] = data.reshape(-1).astype(np.uint8) & ((1 << fmt.bits) - 1)
    return np.bitwise_or.reduce(codes << _places(fmt), axis=1)


def unpack(packed: npt.NDArray[np.uint8], fmt: Format, count: int) -> npt.NDArray[Any]:
    """Unpacks the result of `pack`: integers in the dtype of the format, shape (`count`,).

    Raises:
        ValueError: the size of `packed` does not fit `count`, or unused bits are not 0.
    """
    if packed.shape != (stored_bytes(fmt, count),):
        raise ValueError(
            f"{count} integers of {fmt.bits} bits must have the shape ({stored_bytes(fmt, count)},) in bytes, "
            f"got {packed.shape}"
        )
    codes = ((packed[:, None] >> _places(fmt)) & ((1 << fmt.bits) - 1)).reshape(-1)
    if codes[count:].any():
        raise ValueError("the bits after the last integer must be 0")
    # In two's complement the weight of the sign bit is negative.
    sign = np.uint8(1 << (fmt.bits - 1) if fmt.signed else 0)
    return ((codes[:count] ^ sign) - sign).view(fmt.dtype)


def _places(fmt: Format) -> npt.NDArray[np.uint8]:
    """The first bit of each integer in its byte."""
    return np.arange(0, _BYTE, fmt.bits, dtype=np.uint8)
