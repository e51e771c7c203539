"""Verification: every tensor and every answer of every sentence at every level, compared with `==`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.table import Column, Table

from ...fixedpoint import IntArray
from ...graph import QUERIES, Graph, node_outputs
from ...graph.level import Level, Results, Sentence
from ...hw.host.views import never_held

_T = TypeVar("_T")


Names = Callable[[int, Mapping[str, IntArray]], tuple[str, ...]]
"""The label and the tags that `narrowgauge run` prints for a sentence, given its number and its logits by task."""


@dataclass(frozen=True)
class Difference:
    """One integer, one shape or one name that differs.

    Attributes:
        value: name of the tensor; "output TASK" for decoded logits, "answer" for label and tags.
        sentence: its number, from 0; None for a product of constants, which belongs to no sentence.
        index: in the tensor; empty if the shapes differ.
        got: the integer, the shape or the name of the level under test.
        expected: the integer or the name of the reference, or the shape that the graph states.
    """

    value: str
    sentence: int | None
    index: tuple[int, ...]
    got: int | tuple[int, ...] | str
    expected: int | tuple[int, ...] | str

    def __str__(self) -> str:
        where = f"{self.value}[{', '.join(map(str, self.index))}]" if self.index else f"shape of {self.value}"
        sentence = "" if self.sentence is None else f", sentence {self.sentence}"
        return f"{where}{sentence}: {self.got} instead of {self.expected}"


@dataclass(frozen=True)
class LevelResult:
    """The result of one level.

    Attributes:
        level: its name.
        reference: whether the others were compared with it.
        required: the number of tensors that must be compared: one per value and sentence, and one per product of
            constants. At a level that runs on an engine, the values that no engine holds are excluded.
        tensors: the number of tensors that were compared.
        answers: the number of sentences of which all decoded logits were compared.
        sentences: the number of sentences that were run.
        first_difference: the first in the order of computation, in the first sentence that has it; or None.
        missing: the values that the level does not give, in the order of computation, outputs last.
        seconds: the time of its `execute` and `merged`.
    """

    level: str
    reference: bool
    required: int
    tensors: int
    answers: int
    sentences: int
    first_difference: Difference | None
    missing: tuple[str, ...]
    seconds: float

    @property
    def compared(self) -> bool:
        """Whether all required tensors and all answers were compared, at least one of each."""
        return not self.missing and self.tensors == self.required > 0 and self.answers == self.sentences > 0

    @property
    def equal(self) -> bool:
        """Whether everything was compared and nothing differs."""
        return self.compared and self.first_difference is None

    @property
    def verdict(self) -> str:
        """The result in words."""
        if self.first_difference is not None:
            return f"NOT EQUAL: {self.first_difference}"
        if self.missing:
            return f"NOT COMPARED: {len(self.missing)} values missing, first {self.missing[0]}"
        if not self.compared:
            return f"NOT COMPARED: {self.tensors:,} of {self.required:,} tensors compared"
        return "reference" if self.reference else "equal"


def verify_levels(
    graph: Graph,
    levels: Sequence[Level],
    sentences: Sequence[Sentence],
    *,
    names: Names | None = None,
    chunk: int = 64,
    progress: Callable[[int], Any] | None = None,
) -> list[LevelResult]:
    """Runs all levels on all sentences and compares every tensor and every answer with the first level's.

    What must be compared follows from the graph. A level that does not give all of it is not equal, and neither is one
    whose reference does not.

    Args:
        graph: the model.
        levels: at least one; the first is the reference. Its own tensors must be complete and have the shapes that the
            graph states.
        sentences: inputs.
        names: also compares label and tags.
        chunk: the number of sentences in memory at a time, with all their tensors at two levels.
        progress: called with the number of sentences that a level has just run; the sum is the number of levels times
            that of sentences.
    """
    tallies = [_Tally(level, graph, names) for level in levels]
    reference, others = tallies[0], tallies[1:]
    report = progress or (lambda done: None)
    expected = reference.merged(None)
    for tally in others:
        tally.merged(expected)
    for start in range(0, len(sentences), chunk):
        part = sentences[start : start + chunk]
        wanted = reference.run(part, start, None)
        report(len(part))
        for tally in others:
            tally.run(part, start, wanted)
            report(len(part))
    return [tally.result(tally is reference, len(sentences)) for tally in tallies]


def print_table(results: Sequence[LevelResult], console: Console | None = None) -> None:
    """Prints one row per level: its name, the numbers of tensors and answers compared, the result, and seconds."""
    right = [Column(name, justify="right") for name in ("tensors", "answers", "seconds")]
    table = Table("level", *right[:2], "result", right[2])
    for result in results:
        table.add_row(
            result.level,
            f"{result.tensors:,}",
            f"{result.answers:,}",
            result.verdict,
            f"{result.seconds:.1f}",
        )
    (console or Console(markup=False, emoji=False)).print(table)


class _Tally:
    """The comparison of one level so far. The reference is compared with the graph's dims alone."""

    def __init__(self, level: Level, graph: Graph, names: Names | None) -> None:
        self._level = level
        self._graph = graph
        self._names = names
        unheld = never_held(graph) if level.on_engine else frozenset()
        self._constants = [name for name in graph.merged() if name not in unheld]
        self._activations = [name for name in graph.activations() if name not in unheld]
        values = (name for node in graph.nodes for name in node_outputs(node))
        places = (*values, *map(_output, graph.outputs), _ANSWER)
        self._order = {name: k for k, name in enumerate(places)}
        self._required = len(self._constants)
        self._tensors = 0
        self._answers = 0
        self._missing: set[str] = set()
        self._first: Difference | None = None
        self._seconds = 0.0

    def merged(self, expected: Mapping[str, IntArray] | None) -> Mapping[str, IntArray]:
        """Computes the products of constants and compares them with the reference."""
        found = self._timed(self._level.merged)
        for name in self._constants:
            if name not in found or (expected is not None and name not in expected):
                self._missing.add(name)
                continue
            wanted = None if expected is None else expected[name]
            self._tensors += self._compare(name, name, None, 0, found[name], wanted)
        return found

    def run(self, sentences: Sequence[Sentence], start: int, expected: Results | None) -> Results:
        """Runs sentences, numbered from `start`, and compares their values and outputs with the reference."""
        found = self._timed(lambda: self._level.execute(sentences))
        self._required += len(self._activations) * len(sentences)
        for name in self._activations:
            if name not in found.values or (expected is not None and name not in expected.values):
                self._missing.add(name)
                continue
            for k, (sentence, data) in enumerate(zip(sentences, found.values[name], strict=True)):
                wanted = None if expected is None else expected.values[name][k]
                length = len(sentence.tokens)
                self._tensors += self._compare(name, name, start + k, length, data, wanted)
        lacking = [
            task
            for task in self._graph.outputs
            if task not in found.outputs or (expected is not None and task not in expected.outputs)
        ]
        self._missing.update(map(_output, lacking))
        if not lacking:
            for k, sentence in enumerate(sentences):
                self._answer(start + k, k, len(sentence.tokens), found, expected)
        return found

    def result(self, reference: bool, sentences: int) -> LevelResult:
        """The result for all sentences."""
        missing = tuple(sorted(self._missing, key=self._order.__getitem__))
        return LevelResult(
            self._level.name,
            reference,
            self._required,
            self._tensors,
            self._answers,
            sentences,
            self._first,
            missing,
            self._seconds,
        )

    def _timed(self, compute: Callable[[], _T]) -> _T:
        started = time.perf_counter()
        result = compute()
        self._seconds += time.perf_counter() - started
        return result

    def _answer(self, sentence: int, k: int, length: int, found: Results, expected: Results | None) -> None:
        """Compares the decoded logits, the label and the tags of a sentence, the `k`-th of its chunk."""
        compared = True
        for task, value in self._graph.outputs.items():
            wanted = None if expected is None else expected.outputs[task][k]
            compared &= self._compare(_output(task), value, sentence, length, found.outputs[task][k], wanted)
        self._answers += compared
        if self._names is None or expected is None or not compared:
            return
        got, wanted_names = (
            self._names(sentence, {task: results.outputs[task][k] for task in self._graph.outputs})
            for results in (found, expected)
        )
        for place, (one, other) in enumerate(zip(got, wanted_names, strict=True)):
            if one != other:
                self._note(Difference(_ANSWER, sentence, (place,), one, other))
                return

    def _compare(
        self,
        name: str,
        value: str,
        sentence: int | None,
        length: int,
        found: IntArray,
        expected: IntArray | None,
    ) -> bool:
        """Compares a tensor with the dims of `value` and with the reference; returns whether that was possible."""
        if found.dtype.kind not in "iu":
            raise TypeError(
                f"the level {self._level.name!r} must give integers, got {found.dtype} for {name!r}"
            )
        shape = tuple(length if d == QUERIES else int(d) for d in self._graph.values[value].dims)
        if found.shape != shape:
            self._note(Difference(name, sentence, (), found.shape, shape))
            return False
        if expected is not None and expected.shape != shape:
            # The row of the reference reports the wrong shape.
            self._missing.add(name)
            return False
        if expected is not None and not np.array_equal(found, expected):
            index = tuple(int(i) for i in np.argwhere(found != expected)[0])
            self._note(Difference(name, sentence, index, int(found[index]), int(expected[index])))
        return True

    def _note(self, difference: Difference) -> None:
        """Keeps the first difference: by value in the order of computation, then by sentence."""

        def place(d: Difference) -> tuple[int, int]:
            return self._order[d.value], d.sentence or 0

        if self._first is None or place(difference) < place(self._first):
            self._first = difference


_ANSWER = "answer"


def _output(task: str) -> str:
    return f"output {task}"
