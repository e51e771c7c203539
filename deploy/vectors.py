"""Test vectors of a build: runs with the packets that an engine must send for them. Needs numpy only."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import read_json, write_atomic
from ..fixedpoint import IntArray
from ..hw.host.build import EngineBuild
from ..hw.host.packets import id_limits, run_packet
from ..hw.host.record import checksum
from ..hw.isa.program import to_bytes
from ..sim.engine.simulator import ProgramSimulator

VECTORS_FILE = "vectors.json"

_FORMAT = "narrowgauge-vectors"
_VERSION = 1
_RANDOM = 4
"""Runs of random lengths, in addition to those of chosen lengths."""


@dataclass(frozen=True)
class Vector:
    """One RUN.

    Attributes:
        lengths: tokens of each sentence.
        indices: the start of its packet; the build's `stream` is the end.
        results: the packet that the engine sends.
    """

    lengths: tuple[int, ...]
    indices: bytes
    results: bytes


def make_vectors(build: EngineBuild) -> tuple[Vector, ...]:
    """Random tokens in sentences of the shortest, the longest and other lengths, computed by the program simulator.

    The lengths include those on both sides of a block of N tokens. The same build gives the same vectors.
    """
    rng = np.random.default_rng(0)
    limits = id_limits(build.inputs)

    def ids(source: str, length: int) -> IntArray | None:
        return rng.integers(0, limits[source], length) if source in limits else None

    def sentence(length: int) -> tuple[IntArray, IntArray | None]:
        tokens = ids("tokens", length)
        return np.zeros(length, np.int64) if tokens is None else tokens, ids("segments", length)

    vectors = []
    with ProgramSimulator(build.program.parameters) as simulator:
        simulator.load_program(to_bytes(build.program))
        simulator.init(build.image)
        for lengths in _lengths(build, rng):
            indices = run_packet(build.inputs, [sentence(length) for length in lengths], b"")
            simulator.run(indices + build.stream, lengths)
            vectors.append(Vector(tuple(lengths), indices, simulator.packet))
    return tuple(vectors)


def _lengths(build: EngineBuild, rng: np.random.Generator) -> list[list[int]]:
    lanes, most = build.program.parameters.lanes, build.program.max_length
    chosen = sorted({max(1, min(most, n)) for n in (1, 2, lanes - 1, lanes, lanes + 1, 2 * lanes + 1, most)})
    drawn = rng.integers(1, most + 1, (_RANDOM, build.program.sentences)).tolist()
    return [[length] for length in chosen] + drawn


def write_vectors(folder: Path, build: EngineBuild, vectors: Sequence[Vector]) -> None:
    """Writes the vectors of a build into a folder."""
    content: dict[str, Any] = {
        "format": _FORMAT,
        "version": _VERSION,
        "build": digest(build),
        "runs": [
            {
                "lengths": list(vector.lengths),
                "indices": base64.b64encode(vector.indices).decode(),
                "results": base64.b64encode(vector.results).decode(),
            }
            for vector in vectors
        ],
    }
    content["checksum"] = checksum(content)
    write_atomic(folder / VECTORS_FILE, f"{json.dumps(content, indent=1)}\n".encode("ascii"))


def read_vectors(folder: Path, build: EngineBuild) -> tuple[Vector, ...]:
    """The vectors of a build; they are computed if the folder has none.

    Raises:
        UserError: the file is damaged, or is that of another build.
    """
    path = folder / VECTORS_FILE
    if not path.exists():
        return make_vectors(build)
    content = read_json(path)
    try:
        if (content["format"], content["version"]) != (_FORMAT, _VERSION):
            raise ValueError
        # A damaged vector would look like an error of the board.
        if content.pop("checksum") != checksum(content):
            raise ValueError
        vectors = tuple(
            Vector(
                tuple(int(length) for length in run["lengths"]),
                base64.b64decode(run["indices"], validate=True),
                base64.b64decode(run["results"], validate=True),
            )
            for run in content["runs"]
        )
        wanted = content["build"]
    except (KeyError, TypeError, ValueError, OverflowError):
        raise UserError(
            f"{path} is damaged, or has no test vectors of this version; compile the model again."
        ) from None
    if wanted != digest(build) or not vectors:
        raise UserError(f"{path} has the vectors of another build; compile the model again.")
    return vectors


def digest(build: EngineBuild) -> str:
    """SHA-256 of what the engine of a build receives, in hexadecimal."""
    found = hashlib.sha256()
    for part in (to_bytes(build.program), build.image, build.stream):
        found.update(hashlib.sha256(part).digest())
    return found.hexdigest()
