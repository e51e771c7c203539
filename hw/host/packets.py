"""The host's side of a RUN: token ids to the packet of index words, and output beats to logits. Needs numpy only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...errors import UserError
from ...fixedpoint import IntArray
from ..isa import INDEX_COLUMNS, MEMORIES, Memory

_LOGIT_BYTES = MEMORIES[Memory.WIDE].lane_bits // 8


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
    """The beats of one STORE, unless it is skipped: one feature per word, one token per lane.

    Attributes:
        task: the key of `Graph.outputs`, for instance "label".
        value: name of the logits in the graph.
        sentence, block: of the STORE.
        words: number of features.
        per_token: whether each token has its logits; otherwise lane 0 has those of the sentence.
    """

    task: str
    value: str
    sentence: int
    block: int
    words: int
    per_token: bool


def run_packet(
    columns: Sequence[IndexColumn], sentences: Sequence[tuple[IntArray, IntArray | None]], stream: bytes
) -> bytes:
    """The packet of a RUN: the index words of each sentence, then the constants that do not fit into the engine.

    Args:
        columns: see `pack_indices`.
        sentences: token ids and segment ids of each.
        stream: of the build, the same in every run.

    Raises:
        UserError: see `pack_indices`.
    """
    return b"".join(pack_indices(columns, tokens, segments) for tokens, segments in sentences) + stream


def id_limits(columns: Iterable[IndexColumn]) -> dict[str, int]:
    """The exclusive upper limit of the ids of each source: the number of ids that its columns distinguish."""
    limits: dict[str, int] = {}
    for column in columns:
        limits[column.source] = max(limits.get(column.source, 0), column.divisor * column.modulus)
    return limits


def pack_indices(columns: Sequence[IndexColumn], tokens: IntArray, segments: IntArray | None) -> bytes:
    """The index words of one sentence, one per token.

    Args:
        columns: at most `isa.INDEX_COLUMNS`; the columns after them are 0.
        tokens: token ids, shape (T,).
        segments: segment ids, shape (T,), or None if no column reads them.

    Raises:
        UserError: a column reads segments and `segments` is None or too short, or an id is out of range.
    """
    words = np.zeros((len(tokens), INDEX_COLUMNS), "<u2")
    sources = {"tokens": tokens, "segments": segments}
    for source, limit in id_limits(columns).items():
        ids = sources[source]
        if ids is None or len(ids) != len(tokens):
            raise UserError(
                f"expected {len(tokens)} {source.removesuffix('s')} ids, one per token, "
                f"got {'none' if ids is None else len(ids)}."
            )
        if ids.min(initial=0) < 0 or ids.max(initial=0) >= limit:
            wrong = next(i for i in ids.tolist() if not 0 <= i < limit)
            raise UserError(
                f"the {source.removesuffix('s')} ids of the model are 0 to {limit - 1}, got {wrong}; use the "
                "vocabulary that it was trained with."
            )
    for number, column in enumerate(columns):
        ids = sources[column.source]
        assert ids is not None
        words[:, number] = ids // column.divisor % column.modulus
    return words.tobytes()


def unpack_outputs(
    outputs: Sequence[Output], lanes: int, lengths: Sequence[int], beats: bytes
) -> list[dict[str, IntArray]]:
    """The logits of each sentence of a RUN, by task: int16, of shape (tokens, features) or (features,).

    Args:
        outputs: of the build, in the order of the STOREs in the list `stream`.
        lanes: N.
        lengths: tokens of each sentence of the run.
        beats: the output stream.

    Raises:
        UserError: the output stream does not have the length of these outputs.
    """
    sent = [o for o in outputs if o.sentence < len(lengths) and o.block * lanes < lengths[o.sentence]]
    size = sum(output.words for output in sent) * lanes * _LOGIT_BYTES
    if len(beats) != size:
        raise UserError(
            f"expected {size} bytes from the engine, got {len(beats)}; load the program of this build."
        )
    logits = np.frombuffer(beats, "<i2").astype(np.int16)
    blocks: list[dict[str, dict[int, IntArray]]] = [{} for _ in lengths]
    at = 0
    for output in sent:
        part = logits[at : at + output.words * lanes].reshape(output.words, lanes).T
        at += part.size
        tokens = min(lanes, lengths[output.sentence] - output.block * lanes)
        part = part[:tokens] if output.per_token else part[0]
        blocks[output.sentence].setdefault(output.task, {})[output.block] = part
    return [
        {task: np.concatenate([parts[b] for b in sorted(parts)]) for task, parts in tasks.items()}
        for tasks in blocks
    ]
