"""Random programs for ng_command: valid, and damaged in every way that PROGRAM checks."""

from __future__ import annotations

import random
import struct
import zlib

from ...fixedpoint import ACC_BITS
from ...hw import isa
from ...hw.isa import Memory, Parameters

NAMES = [name for name, _ in isa.HEADER]
"""The words of the header, in their order."""


def program(rng: random.Random, engine: Parameters, total: int | None = None) -> tuple[bytes, dict[str, int]]:
    """A program of random instruction bits with its header: `total` instructions, or a few. It is valid if they fit."""
    counts = [rng.choice((0, 1, 2, rng.randint(0, engine.program_depth // 4))) for _ in isa.LISTS]
    if total is not None:
        counts[rng.randrange(len(counts))] += total - sum(counts)
    header = dict.fromkeys(NAMES, 0)
    header |= {
        "magic": isa.PROGRAM_MAGIC,
        "version": isa.ISA_VERSION,
        "lanes": engine.lanes,
        "acc_bits": ACC_BITS,
    }
    for memory in Memory:
        depth = engine.depth(memory)
        header[f"{memory.name.lower()}_depth"] = rng.choice((depth, rng.randrange(2, depth + 1, 2)))
    header |= {
        "max_length": rng.choice((1, isa.MAX_LENGTH, rng.randint(1, 99))),
        "sentences": rng.randint(1, isa.SENTENCES),
    }
    header |= {f"{name}_count": count for name, count in zip(isa.LISTS, counts, strict=True)}
    header["image_crc"] = rng.getrandbits(32)
    return sealed(header, rng.randbytes(64 * sum(counts))), header


def sealed(header: dict[str, int], body: bytes) -> bytes:
    """The packet: header, instructions and their CRC."""
    data = struct.pack(f"<{len(NAMES)}I", *(header[name] for name in NAMES)) + body
    return data + struct.pack("<Q", zlib.crc32(data))


def damaged(rng: random.Random, engine: Parameters, zero: str = "") -> bytes:
    """A damaged program, or one that is at least changed; with `zero`, that word of the header is 0."""
    how = 0 if zero else rng.randrange(7)
    # The memory is exactly full, or one instruction too small.
    data, header = program(rng, engine, engine.program_depth + rng.randrange(2) if how == 6 else None)
    if how == 6:
        return data
    if how < 3:
        name = zero or rng.choice(NAMES)
        old = header[name]
        new = rng.choice((0, 1, old + 1, old - 1, old ^ 1 << rng.randrange(32), 513, 3, rng.getrandbits(32)))
        header[name] = 0 if zero else new % 2**32
        body = data[4 * len(NAMES) : -8]
        if rng.random() < 0.5:
            total = sum(header[f"{name}_count"] for name in isa.LISTS)
            body = (body + bytes(64 * 40))[: 64 * min(total, 40)]
        data = sealed(header, body)
        return data if rng.random() < 0.8 else data[:-8] + bytes(8)
    if how == 3:
        return data[: 8 * rng.randrange(1, len(data) // 8)]
    if how == 4:
        return data + rng.randbytes(8 * rng.randint(1, 3))
    at = rng.choice((rng.randrange(len(data)), len(data) - 1 - rng.randrange(8)))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
