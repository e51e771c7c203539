"""Where the integers of a graph's values lie in the words that an engine writes: for captures and comparisons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...fixedpoint import IntArray
from ...graph import Embedding, Graph
from ..isa import Memory, Unit


@dataclass(frozen=True)
class Axis:
    """One loop over a view.

    Attributes:
        count: number of iterations.
        address: words from one iteration to the next.
        lane: lanes from one iteration to the next.
        steps: steps of the value's index, one per dimension of the value.
    """

    count: int
    address: int
    lane: int
    steps: tuple[int, ...]


@dataclass(frozen=True)
class View:
    """The part of a value that one instruction writes.

    Attributes:
        value: its name in the graph.
        unit, number: the instruction, by its position in the list of its unit.
        sentence: the number of the sentence in the run.
        memory: the memory that is written.
        base: address of the word with the index `origin`.
        origin: index in the value, one number per dimension.
        axes: nested loops that cover the part.
        before_table: whether the value is the instruction's result before its table is applied.
    """

    value: str
    unit: Unit
    number: int
    sentence: int
    memory: Memory
    base: int
    origin: tuple[int, ...]
    axes: tuple[Axis, ...]
    before_table: bool = False

    def places(self, dims: tuple[int, ...]) -> tuple[tuple[IntArray, ...], IntArray, IntArray]:
        """Where each element of the part is, for a value of the shape `dims`.

        Elements beyond `dims`, for instance tokens past the length of a sentence, are omitted.

        Returns:
            (indices in the value, one array per dimension; addresses; lanes), flat arrays of the same length.
        """
        counts = [axis.count for axis in self.axes]
        grids = np.indices(counts, sparse=True) if counts else []
        address = np.full(counts, self.base, np.int64)
        lane = np.zeros(counts, np.int64)
        index = [np.full(counts, start, np.int64) for start in self.origin]
        for axis, grid in zip(self.axes, grids, strict=True):
            address = address + axis.address * grid
            lane = lane + axis.lane * grid
            for dim, step in enumerate(axis.steps):
                if step:
                    index[dim] = index[dim] + step * grid
        inside = np.ones(counts, bool)
        for dim, size in enumerate(dims):
            inside &= index[dim] < size
        return tuple(i[inside] for i in index), address[inside], lane[inside]


def never_held(graph: Graph) -> frozenset[str]:
    """Values of a graph that no engine holds in memory, independently of the program.

    These are the products of constants, which the compiler computes, and the rows of dense embeddings, which are added
    as they are read.
    """
    rows = (node.output for node in graph.nodes if isinstance(node, Embedding))
    return frozenset((*graph.merged(), *rows))
