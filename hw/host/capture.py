"""The values of the graph, extracted from the words that an engine writes, by the views of the compiler."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from ...errors import UserError
from ...fixedpoint import IntArray
from ...graph import QUERIES, Graph
from ..isa import Memory, Unit
from .views import View


class Capture:
    """Collects the values of one RUN, as its `on_write`: `engine.run(packet, lengths, capture)`.

    Args:
        graph: the model.
        views: of the program.
        lengths: tokens of each sentence of the run.
    """

    def __init__(self, graph: Graph, views: Iterable[View], lengths: Sequence[int]) -> None:
        self._graph = graph
        self._lengths = lengths
        self._views: dict[tuple[Unit, int], list[View]] = defaultdict(list)
        for view in views:
            if view.sentence < len(lengths):
                self._views[view.unit, view.number].append(view)
        self._found: list[dict[str, tuple[IntArray, IntArray]]] = [{} for _ in lengths]

    def __call__(
        self,
        unit: Unit,
        number: int,
        memory: Memory,
        addresses: IntArray,
        words: IntArray,
        before_table: IntArray | None,
    ) -> None:
        """Collects the words that an instruction wrote; see `hw.host.engine.OnWrite`."""
        views = self._views.get((unit, number))
        if not views:
            return
        # If an address was written twice, the last word counts.
        order = np.argsort(addresses, kind="stable")
        ordered = addresses[order]
        for view in views:
            source = before_table if view.before_table else words
            data, filled = self._value(view)
            index, at, lanes = _places(view, data.shape)
            row = np.searchsorted(ordered, at, side="right") - 1
            written = bool(len(ordered)) and (ordered[row] == at).all()
            if view.memory is not memory or source is None or not written:
                raise UserError(
                    f"the views do not fit the program: instruction {number} of the {unit.name} unit does not write "
                    f"all words that they name for {view.value[:60]!r}; compile the model again."
                )
            part = source[order[row], lanes]
            # Memories hold two's complement, also of unsigned values.
            held = part.astype(f"i{data.dtype.itemsize}")
            if (held != part).any():
                raise UserError(
                    f"a lane of {memory.name} must be in the range of {held.dtype}, got {part[held != part][0]} from "
                    f"instruction {number} of the {unit.name} unit."
                )
            data[index] = held.astype(data.dtype)
            filled[index] = True

    def values(self) -> list[dict[str, IntArray]]:
        """The complete values of each sentence by name, with their dims."""
        return [
            {name: data for name, (data, filled) in found.items() if filled.all()} for found in self._found
        ]

    def _value(self, view: View) -> tuple[IntArray, IntArray]:
        found = self._found[view.sentence]
        if view.value not in found:
            value = self._graph.values[view.value]
            length = self._lengths[view.sentence]
            shape = tuple(length if d == QUERIES else int(d) for d in value.dims)
            found[view.value] = np.zeros(shape, value.fmt.dtype), np.zeros(shape, bool)
        return found[view.value]


@lru_cache(maxsize=4096)
def _places(view: View, dims: tuple[int, ...]) -> tuple[tuple[IntArray, ...], IntArray, IntArray]:
    """`View.places`, which depends on the length of the sentence alone."""
    return view.places(dims)
