"""Strict mode: reads of words that were never written, and accesses of two units to one word without a token.

Hardware detects neither. Each instruction gets a vector clock: the number of instructions of each unit that have
retired before it starts, as its waits, their waits, and so on guarantee. An access to a word is sound if the clock
covers the last instruction that wrote it and, for a write, all that read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ...fixedpoint import IntArray
from ...hw.isa import Error, Memory, Parameters, Unit
from ...hw.isa.program import ProgramError
from .contract import Words

_Clock = tuple[int, int, int]

_PERSISTENT = (Memory.WEIGHT, Memory.BIAS, Memory.NORM, Memory.TABLE, Memory.EXP)
"""The memories that INIT loads, for all runs. The words of the others are not valid in the next run."""


class HazardError(ProgramError):
    """The result of a program depends on the speed of the units, or on earlier contents of memories.

    The engine has no code for it: `error` is NONE.

    Attributes:
        other: the instruction that the named one must wait for; None if it reads a word that was never written.
        memory, address: the word.
    """

    def __init__(
        self,
        unit: Unit,
        number: int,
        memory: Memory,
        address: int,
        text: str,
        other: tuple[Unit, int] | None = None,
    ) -> None:
        super().__init__(
            Error.NONE,
            f"instruction {number} of the {unit.name} unit {text}: word {address} of {memory.name} memory; "
            "compile the model again.",
            unit,
            number,
        )
        self.other = other
        self.memory = memory
        self.address = address


class Hazards:
    """The last writer and the readers of each word in this run, and the clock of each instruction."""

    def __init__(self, parameters: Parameters) -> None:
        depths: dict[Memory, int] = {memory: parameters.depth(memory) for memory in Memory}
        del depths[Memory.PROGRAM]
        self._written = {memory: np.zeros(depth, bool) for memory, depth in depths.items()}
        self._writer_unit = {memory: np.zeros(depth, np.intp) for memory, depth in depths.items()}
        self._writer = {memory: np.full(depth, -1) for memory, depth in depths.items()}
        self._reader = {memory: np.full((len(Unit), depth), -1) for memory, depth in depths.items()}
        self._retired: tuple[list[_Clock], ...] = ([], [], [])
        self._started: list[_Clock] = [(0, 0, 0)] * len(Unit)

    def forget(self) -> None:
        """PROGRAM: no word is written."""
        for written in self._written.values():
            written[:] = False

    def begin(self) -> None:
        """INIT or RUN starts."""
        for memory in self._written:
            if memory not in _PERSISTENT:
                self._written[memory][:] = False
            self._writer[memory][:] = -1
            self._reader[memory][:] = -1
        self._retired = ([], [], [])
        self._started = [(0, 0, 0)] * len(Unit)

    def execute(
        self, unit: Unit, number: int, waits: Sequence[int], reads: Iterable[Words], writes: Iterable[Words]
    ) -> None:
        """Checks an instruction before it is executed, and records its accesses.

        Raises:
            HazardError: it may read a word too early, or overwrite one that another instruction still reads.
        """
        clock = self._started[unit]
        for other, count in zip(Unit, waits, strict=True):
            if count:
                clock = _join(clock, self._retired[other][count - 1])
        if unit is not Unit.ARRAY and number:
            clock = _join(clock, self._retired[unit][number - 1])
        self._started[unit] = clock
        reads, writes = list(reads), list(writes)
        known = np.array(clock)
        for memory, addresses in reads:
            self._check_read(unit, number, memory, addresses, known)
        for memory, addresses in writes:
            self._check_write(unit, number, memory, addresses, known)
        for memory, addresses in reads:
            self._reader[memory][unit, addresses] = number
        for memory, addresses in writes:
            self._written[memory][addresses] = True
            self._writer[memory][addresses] = number
            self._writer_unit[memory][addresses] = unit
        self._retire(unit, number, clock)

    def skip(self, unit: Unit, number: int) -> None:
        """A skipped instruction retires; its clock covers the earlier instructions of its unit."""
        self._retire(unit, number, (0, 0, 0))

    def _retire(self, unit: Unit, number: int, clock: _Clock) -> None:
        if number:
            clock = _join(clock, self._retired[unit][number - 1])
        self._retired[unit].append(_join(clock, tuple(number + 1 if u == unit else 0 for u in Unit)))

    def _check_read(
        self, unit: Unit, number: int, memory: Memory, addresses: IntArray, known: IntArray
    ) -> None:
        unwritten = ~self._written[memory][addresses]
        if unwritten.any():
            raise HazardError(
                unit, number, memory, int(addresses[unwritten][0]), "reads a word that was never written"
            )
        self._check_writer(unit, number, memory, addresses, known, "reads")

    def _check_write(
        self, unit: Unit, number: int, memory: Memory, addresses: IntArray, known: IntArray
    ) -> None:
        everything = known.copy()
        # Words leave the array in the order of its instructions, and after it has read its earlier operands.
        everything[unit] = number
        self._check_writer(unit, number, memory, addresses, everything, "overwrites")
        readers = self._reader[memory][:, addresses]
        unseen = readers >= everything[:, None]
        if unseen.any():
            other, at = (int(i) for i in np.argwhere(unseen)[0])
            self._raise(
                unit,
                number,
                memory,
                int(addresses[at]),
                "overwrites",
                "reads",
                Unit(other),
                readers[other, at],
            )

    def _check_writer(
        self, unit: Unit, number: int, memory: Memory, addresses: IntArray, known: IntArray, verb: str
    ) -> None:
        writers, units = self._writer[memory][addresses], self._writer_unit[memory][addresses]
        unseen = writers >= known[units]
        if unseen.any():
            at = int(unseen.argmax())
            self._raise(
                unit, number, memory, int(addresses[at]), verb, "writes", Unit(int(units[at])), writers[at]
            )

    def _raise(
        self,
        unit: Unit,
        number: int,
        memory: Memory,
        address: int,
        verb: str,
        other_verb: str,
        other: Unit,
        other_number: int,
    ) -> None:
        text = (
            f"{verb} a word that instruction {other_number} of the {other.name} unit {other_verb}, "
            "without a wait for it"
        )
        raise HazardError(unit, number, memory, address, text, (other, int(other_number)))


def _join(a: _Clock, b: Sequence[int]) -> _Clock:
    return max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2])
