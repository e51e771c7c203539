"""The golden model: the integer graph in numpy, exact and fast, on batches of sentences of different lengths.

Sentences are packed, not padded. A chunk of sentences, sorted by length, is one matrix with a row per token for every
operator that works token by token; attention takes the sentences of one length together. Chunks fit the cache of a
core and are spread over threads. `sim.golden.operators` says why floating point is exact here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from ...errors import UserError
from ...fixedpoint import IntArray
from ...graph import POSITIONS, SEGMENTS, TOKENS, Graph, Node, node_inputs
from ...graph.bounds import prove
from ...graph.level import Results, Sentence
from ...graph.merging import merge_cores
from ..threads import thread_count
from .operators import CompiledTTM, Compiler, compile_node
from .packing import Batch, Rows

CHUNK_NUMBERS = 160 * 1024
"""Numbers in the widest activation of a chunk: few enough for a second-level cache, and enough that threads, which
share the interpreter between numpy's operations, seldom wait for each other."""

BUFFER_NUMBERS = 512
"""Numpy's buffer size in the worker threads. With the default, which is larger than most rows, numpy copies an operand
that is broadcast over rows into the buffer; such an operation is then three times slower."""


class GoldenModel:
    """The golden level of a model. Implements `graph.level.Level`.

    Args:
        graph: the model.
        threads: how many chunks are computed in parallel; None for `thread_count()`.

    Raises:
        UserError: an accumulator of the graph could overflow.
    """

    name = "golden"
    on_engine = False

    def __init__(self, graph: Graph, threads: int | None = None) -> None:
        self.graph = graph
        self.threads = threads or thread_count()
        self._merged = merge_cores(graph)
        compiler = Compiler(graph, prove(graph), self._merged)
        self._operators = [compile_node(node, compiler) for node in graph.nodes]
        self._spent = _last_uses(graph)
        self._limits = graph.index_limits()
        self._chunk_tokens = max(1, CHUNK_NUMBERS // max(_width(graph, node) for node in graph.nodes))
        self._blas = ThreadpoolController()

    def execute(self, sentences: Sequence[Sentence]) -> Results:
        """See `Level.execute`.

        Raises:
            UserError: see `run`.
        """
        return Results(self.run(sentences), self.predict(sentences))

    def run(self, sentences: Sequence[Sentence]) -> dict[str, list[IntArray]]:
        """Every activation of every sentence, see `Results.values`.

        Raises:
            UserError: a sentence is empty, too long, or has ids outside the tables of the model.
        """
        return self._execute(sentences, self.graph.activations())

    def predict(self, sentences: Sequence[Sentence]) -> dict[str, list[IntArray]]:
        """The outputs alone, by their names in `Graph.outputs`: fast, since nothing else is kept.

        Raises:
            UserError: a sentence is empty, too long, or has ids outside the tables of the model.
        """
        logits = self._execute(sentences, tuple(self.graph.outputs.values()))
        return {task: logits[value] for task, value in self.graph.outputs.items()}

    def merged(self) -> Mapping[str, IntArray]:
        """The products of constants, see `Level.merged`."""
        return self._merged

    def _execute(self, sentences: Sequence[Sentence], wanted: Sequence[str]) -> dict[str, list[IntArray]]:
        self._check(sentences)
        results: dict[str, list[Any]] = {name: [None] * len(sentences) for name in wanted}
        keep = set(wanted)
        order = sorted(range(len(sentences)), key=lambda i: len(sentences[i].tokens))
        with (
            self._blas.limit(limits=1, user_api="blas"),
            ThreadPoolExecutor(self.threads, initializer=np.setbufsize, initargs=(BUFFER_NUMBERS,)) as pool,
        ):
            tables = self._embed(sentences, keep, pool)

            def compute(chunk: list[int]) -> None:
                batch = Batch.pack([sentences[i] for i in chunk], tables)
                for operator, spent in zip(self._operators, self._spent, strict=True):
                    operator(batch)
                    for name in spent - keep:
                        batch.values.pop(name, None)
                for name in wanted:
                    pieces = batch.split(batch.values.pop(name), self.graph.values[name].dims)
                    dtype = self.graph.fmt(name).dtype
                    for i, piece in zip(chunk, pieces, strict=True):
                        results[name][i] = piece.astype(dtype)

            for _ in pool.map(compute, self._chunks(sentences, order)):
                pass
        return results

    def _chunks(self, sentences: Sequence[Sentence], order: Sequence[int]) -> Iterator[list[int]]:
        """Groups of sentences, none empty, of about `_chunk_tokens` tokens."""
        chunk: list[int] = []
        tokens = 0
        for i in order:
            length = len(sentences[i].tokens)
            if chunk and tokens + length > self._chunk_tokens:
                yield chunk
                chunk, tokens = [], 0
            chunk.append(i)
            tokens += length
        if chunk:
            yield chunk

    def _embed(
        self, sentences: Sequence[Sentence], keep: set[str], pool: ThreadPoolExecutor
    ) -> dict[str, Rows]:
        """The rows of tensor-train embeddings for all distinct tokens, unless intermediates are wanted."""
        tables = {}
        for operator in self._operators:
            if not isinstance(operator, CompiledTTM) or operator.index != TOKENS or not sentences:
                continue
            if keep.intersection(operator.outputs):
                continue
            distinct = np.unique(np.concatenate([sentence.tokens for sentence in sentences]))
            parts = np.array_split(distinct, -(-len(distinct) // self._chunk_tokens))
            dtype = self.graph.fmt(operator.outputs[-1]).dtype
            rows = pool.map(lambda ids, op=operator, dtype=dtype: op.rows(ids)[-1].astype(dtype), parts)
            tables[operator.outputs[-1]] = Rows(distinct, np.concatenate(list(rows)))
        return tables

    def _check(self, sentences: Sequence[Sentence]) -> None:
        longest = min(self.graph.metadata.max_length, self._limits.get(POSITIONS, sys.maxsize))
        for number, sentence in enumerate(sentences):
            length = len(sentence.tokens)
            if not 1 <= length <= longest:
                raise UserError(
                    f"sentence {number} must have 1 to {longest} tokens, got {length}; shorten it."
                )
            _check_ids(number, "token", sentence.tokens, self._limits[TOKENS])
            if self.graph.segments:
                if sentence.segments is None or len(sentence.segments) != length:
                    raise UserError(
                        f"sentence {number}: expected {length} segment ids, one per token, "
                        f"got {'none' if sentence.segments is None else len(sentence.segments)}."
                    )
                _check_ids(number, "segment", sentence.segments, self._limits[SEGMENTS])


def _check_ids(number: int, kind: str, ids: IntArray, limit: int) -> None:
    # As unsigned numbers the negative ones are the largest, so one comparison is enough.
    if ids.astype(np.uint64).max() >= limit:
        wrong = next(i for i in ids.tolist() if not 0 <= i < limit)
        raise UserError(
            f"the {kind} ids of sentence {number} must be 0 to {limit - 1}, got {wrong}; use the vocabulary that the "
            "model was trained with."
        )


def _width(graph: Graph, node: Node) -> int:
    """The number of features of a node's output."""
    last = graph.values[node.output].dims[-1]
    return last if isinstance(last, int) else 1


def _last_uses(graph: Graph) -> list[set[str]]:
    """For each node, the values that it reads and no later node does."""
    spent: list[set[str]] = []
    later: set[str] = set()
    for node in reversed(graph.nodes):
        reads = set(node_inputs(node))
        spent.append(reads - later)
        later |= reads
    return spent[::-1]
