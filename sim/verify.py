"""Verification: every tensor of every sentence at every level, compared with `==`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from ..fixedpoint import IntArray
from ..graph import QUERIES, Graph, node_outputs
from ..graph.level import Level, Sentence

_T = TypeVar("_T")


@dataclass(frozen=True)
class Difference:
    """One integer, or one shape, that differs.

    Attributes:
        value: name of the tensor.
        sentence: its place among the sentences, from 0; None for a product of constants, which has none.
        index: where in the tensor; empty where the shapes differ.
        got: the integer found, or the shape.
        expected: the integer of the first level, or the shape that the graph states.
    """

    value: str
    sentence: int | None
    index: tuple[int, ...]
    got: int | tuple[int, ...]
    expected: int | tuple[int, ...]

    def __str__(self) -> str:
        where = f"{self.value}[{', '.join(map(str, self.index))}]" if self.index else f"shape of {self.value}"
        sentence = "" if self.sentence is None else f", sentence {self.sentence}"
        return f"{where}{sentence}: {self.got} instead of {self.expected}"


@dataclass(frozen=True)
class LevelResult:
    """What came out for one level.

    Attributes:
        level: its name.
        reference: whether it is what the others were compared with.
        tensors: how many were compared: one a value and sentence, and one a product of constants.
        sentences: how many were run.
        first_difference: the first in the order of computation, in the first sentence that has it; or None.
        missing: values that the level did not give, in the order of computation.
        seconds: that its `run` and `merged` took.
    """

    level: str
    reference: bool
    tensors: int
    sentences: int
    first_difference: Difference | None
    missing: tuple[str, ...]
    seconds: float

    @property
    def equal(self) -> bool:
        """Whether nothing differs and nothing is missing."""
        return self.first_difference is None and not self.missing


def verify_levels(
    graph: Graph,
    levels: Sequence[Level],
    sentences: Sequence[Sentence],
    *,
    chunk: int = 64,
    progress: Callable[[int], Any] | None = None,
) -> list[LevelResult]:
    """Runs all levels on all sentences and compares every tensor with the first level's.

    The first level's own tensors are compared with the graph: all there, and of the right shape.

    Args:
        graph: the model.
        levels: at least one; the first is the reference.
        sentences: inputs.
        chunk: how many sentences are held at a time, with all their tensors at two levels.
        progress: called with the number of sentences that a level has just done; in all, the number of levels
            times that of sentences.
    """
    tallies = [_Tally(level, graph) for level in levels]
    reference, others = tallies[0], tallies[1:]
    report = progress or (lambda done: None)
    expected = reference.merged({})
    for tally in others:
        tally.merged(expected)
    for start in range(0, len(sentences), chunk):
        part = sentences[start : start + chunk]
        wanted = reference.run(part, start, {})
        report(len(part))
        for tally in others:
            tally.run(part, start, wanted)
            report(len(part))
    return [tally.result(tally is reference, len(sentences)) for tally in tallies]


def print_table(results: Sequence[LevelResult], console: Console | None = None) -> None:
    """Prints one row a level: its name, tensors compared, the first difference or "equal", and seconds."""
    table = Table("level", Column("tensors", justify="right"), "result", Column("seconds", justify="right"))
    for result in results:
        table.add_row(result.level, f"{result.tensors:,}", escape(_verdict(result)), f"{result.seconds:.1f}")
    (console or Console()).print(table)


def _verdict(result: LevelResult) -> str:
    if result.first_difference is not None:
        return str(result.first_difference)
    if result.missing:
        return f"{len(result.missing)} values missing, first {result.missing[0]}"
    return "reference" if result.reference else "equal"


_Results = Mapping[str, Sequence[IntArray]]


class _Tally:
    """What is known of one level so far. The reference is compared with nothing but the graph's dims."""

    def __init__(self, level: Level, graph: Graph) -> None:
        self._level = level
        self._graph = graph
        self._order = {
            name: k for k, name in enumerate(n for node in graph.nodes for n in node_outputs(node))
        }
        self._tensors = 0
        self._missing: set[str] = set()
        self._first: Difference | None = None
        self._seconds = 0.0
        self._fused: frozenset[str] = getattr(level, "fused", frozenset())

    def merged(self, expected: Mapping[str, IntArray]) -> Mapping[str, IntArray]:
        """Computes the products of constants and compares them with those of the reference."""
        found = self._timed(self._level.merged)
        for name in self._graph.merged():
            if name in self._fused:
                continue
            if name in found:
                self._compare(name, None, 0, found[name], expected.get(name))
            else:
                self._missing.add(name)
        return found

    def run(self, sentences: Sequence[Sentence], start: int, expected: _Results) -> _Results:
        """Runs sentences, the first of which has the number `start`, and compares them with the reference."""
        found = self._timed(lambda: self._level.run(sentences))
        for name in self._graph.activations():
            if name in self._fused:
                continue
            if name not in found:
                self._missing.add(name)
                continue
            for k, (sentence, data) in enumerate(zip(sentences, found[name], strict=True)):
                wanted = expected[name][k] if name in expected else None
                self._compare(name, start + k, len(sentence.tokens), data, wanted)
        return found

    def result(self, reference: bool, sentences: int) -> LevelResult:
        """All of it."""
        missing = tuple(sorted(self._missing, key=self._order.__getitem__))
        return LevelResult(
            self._level.name, reference, self._tensors, sentences, self._first, missing, self._seconds
        )

    def _timed(self, compute: Callable[[], _T]) -> _T:
        started = time.perf_counter()
        result = compute()
        self._seconds += time.perf_counter() - started
        return result

    def _compare(
        self, name: str, sentence: int | None, length: int, found: IntArray, expected: IntArray | None
    ) -> None:
        self._tensors += 1
        if found.dtype.kind not in "iu":
            raise TypeError(f"the level {self._level.name!r} gave {name!r} as {found.dtype}, not as integers")
        shape = tuple(length if d == QUERIES else int(d) for d in self._graph.values[name].dims)
        if found.shape != shape:
            self._note(Difference(name, sentence, (), found.shape, shape))
        elif expected is not None and expected.shape == shape and not np.array_equal(found, expected):
            index = tuple(int(i) for i in np.argwhere(found != expected)[0])
            self._note(Difference(name, sentence, index, int(found[index]), int(expected[index])))

    def _note(self, difference: Difference) -> None:
        """Keeps the difference that comes first: by value in the order of computation, then by sentence."""

        def place(d: Difference) -> tuple[int, int]:
            return self._order[d.value], d.sentence or 0

        if self._first is None or place(difference) < place(self._first):
            self._first = difference
