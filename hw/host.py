"""The host's side of a RUN: token ids to the packet of index words, and output beats to logits. Needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import UserError
from ..fixedpoint import IntArray
from .isa import INDEX_COLUMNS

COLUMN_LIMIT = 1 << 16
"""An index column is an unsigned number of 16 bits."""


@dataclass(frozen=True)
class IndexColumn:
    """One index column of a token: (id // divisor) % modulus, with the id of its source.

    Attributes:
        source: what the id is: of the token, or of its segment.
        divisor, modulus: the weight of the digit in the mixed radix, and its base; from 1.
    """

    source: Literal["tokens", "segments"]
    divisor: int
    modulus: int


@dataclass(frozen=True)
class Output:
    """What one STORE sends, unless it is skipped: one feature a word, one token a lane.

    Attributes:
        task: key of the answer, one of `Graph.outputs`.
        value: name of the logits in the graph.
        sentence, block: of the STORE.
        words: features.
        per_token: whether each token has an answer; otherwise the answer is lane 0.
    """

    task: str
    value: str
    sentence: int
    block: int
    words: int
    per_token: bool


def pack_indices(columns: Sequence[IndexColumn], tokens: IntArray, segments: IntArray | None) -> bytes:
    """The index words of one sentence, one a token; the packet of a RUN is one sentence's after the other's.

    Args:
        columns: at most `isa.INDEX_COLUMNS`; the columns after them are 0.
        tokens: token ids, shape (T,).
        segments: segment ids, shape (T,), or None if no column reads them.

    Raises:
        UserError: a column reads segments and there are none, or an index does not fit 16 bits.
    """
    words = np.zeros((len(tokens), INDEX_COLUMNS), "<u2")
    for number, column in enumerate(columns):
        ids = tokens if column.source == "tokens" else segments
        if ids is None or len(ids) != len(tokens):
            raise UserError(f"the model reads a segment for each of {len(tokens)} tokens; give them.")
        index = np.asarray(ids, np.int64) // column.divisor % column.modulus
        if column.modulus > COLUMN_LIMIT and index.max(initial=0) >= COLUMN_LIMIT:
            raise UserError(
                f"an index column holds numbers below {COLUMN_LIMIT}, not {index.max()}; "
                "use a model whose embeddings have fewer rows a table."
            )
        words[:, number] = index
    return words.tobytes()


def unpack_outputs(
    outputs: Sequence[Output], lanes: int, lengths: Sequence[int], beats: bytes
) -> list[dict[str, IntArray]]:
    """The logits in what a RUN sent: for each sentence a matrix (tokens, features) or a row (features) by task.

    Args:
        outputs: the STOREs in their order in the list `stream`.
        lanes: N.
        lengths: tokens of each sentence of the run.
        beats: the output stream.

    Raises:
        UserError: the stream is shorter or longer than these outputs are.
    """
    words = np.frombuffer(beats, "<i2") if len(beats) % 2 == 0 else np.zeros(0, "<i2")
    parts: list[dict[str, list[IntArray]]] = [{} for _ in lengths]
    found: list[dict[str, IntArray]] = [{} for _ in lengths]
    at = 0
    for output in outputs:
        if output.sentence >= len(lengths) or output.block * lanes >= lengths[output.sentence]:
            continue
        size = output.words * lanes
        part = words[at : at + size]
        at += size
        if len(part) < size:
            break
        lane_rows = part.reshape(output.words, lanes).T.astype(np.int16)
        if output.per_token:
            tokens = min(lanes, lengths[output.sentence] - output.block * lanes)
            parts[output.sentence].setdefault(output.task, []).append(lane_rows[:tokens])
        else:
            found[output.sentence][output.task] = lane_rows[0]
    if 2 * at != len(beats):
        raise UserError(
            f"the engine sent {len(beats)} bytes instead of {2 * at}; load the program of this build."
        )
    for logits, blocks in zip(found, parts, strict=True):
        logits.update({task: np.concatenate(rows) for task, rows in blocks.items()})
    return found
