"""How the constants of a model are stored in `model.onnx`: those of 2 and 4 bits are packed, several in a byte.

Packed integers follow each other row-major, in two's complement, the first in the lowest bits of the first byte. The
bits that the last one leaves of its byte are 0.
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
    """Whether constants of this format are packed; all others take the bytes of the format's dtype each."""
    return fmt.bits in _PACKED


def stored_bytes(fmt: Format, count: int) -> int:
    """Bytes that `count` integers of a format take in a file."""
    return math.ceil(count * fmt.bits / _BYTE) if is_packed(fmt) else count * fmt.dtype.itemsize


def pack(data: IntArray, fmt: Format) -> npt.NDArray[np.uint8]:
    """The bytes of integers of a packed format, shape (`stored_bytes`,)."""
    each = _BYTE // fmt.bits
    codes = np.zeros((stored_bytes(fmt, data.size), each), np.uint8)
    codes.reshape(-1)[: data.size] = data.reshape(-1).astype(np.uint8) & ((1 << fmt.bits) - 1)
    return np.bitwise_or.reduce(codes << _places(fmt), axis=1)


def unpack(packed: npt.NDArray[np.uint8], fmt: Format, count: int) -> npt.NDArray[Any]:
    """The integers that `pack` gave `packed` of, in the format's dtype, shape (`count`,).

    Raises:
        ValueError: `packed` has another size, or the bits after the last integer are not 0.
    """
    if packed.shape != (stored_bytes(fmt, count),):
        raise ValueError(f"{count} integers of {fmt.bits} bits do not have {packed.size} bytes")
    codes = ((packed[:, None] >> _places(fmt)) & ((1 << fmt.bits) - 1)).reshape(-1)
    if codes[count:].any():
        raise ValueError("the bits after its last integer are not 0")
    # In two's complement the sign bit counts negative.
    sign = np.uint8(1 << (fmt.bits - 1) if fmt.signed else 0)
    return ((codes[:count] ^ sign) - sign).view(fmt.dtype)


def _places(fmt: Format) -> npt.NDArray[np.uint8]:
    """Where in its byte each integer begins, in bits."""
    return np.arange(0, _BYTE, fmt.bits, dtype=np.uint8)
