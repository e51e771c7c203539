"""Faults of a board, injected into one transfer or one access after another."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

MM2S = "MM2S"
"""The channel from memory to the engine."""

S2MM = "S2MM"
"""The channel from the engine to memory."""


class DmaError(IntFlag):
    """The error bits of DMASR (PG021, tables of MM2S_DMASR and S2MM_DMASR)."""

    INTERNAL = 0x10
    SLAVE = 0x20
    DECODE = 0x40


@dataclass(frozen=True)
class Fault:
    """What goes wrong in a transfer of the DMA.

    Attributes:
        channel: `MM2S` or `S2MM`.
        skip: transfers of the channel that are right, before the one that is not.
    """

    channel: str
    skip: int = 0


@dataclass(frozen=True)
class Fails(Fault):
    """The channel halts with an error.

    Attributes:
        error: the bit.
        after: beats that are transferred first.
    """

    error: DmaError = DmaError.INTERNAL
    after: int = 0


@dataclass(frozen=True)
class Stalls(Fault):
    """The stream stops, until the DMA is reset.

    Attributes:
        after: beats that are transferred first.
    """

    after: int = 0


@dataclass(frozen=True)
class Corrupts(Fault):
    """Bits of a beat are inverted.

    Attributes:
        beat: its number in the packet; from the end, if negative.
        mask: the bits.
    """

    beat: int = 0
    mask: int = 1


@dataclass(frozen=True)
class Truncates(Fault):
    """The packet ends early: TLAST is on an earlier beat, and those behind it are not in the packet.

    Attributes:
        beats: how many the packet has.
    """

    beats: int = 1


@dataclass(frozen=True)
class LosesLast(Fault):
    """The last beat of the packet comes without TLAST."""


class Faults:
    """The faults that a virtual board will have: none, until a test adds one.

    Attributes:
        registers: values that registers of the engine show, by their names, whatever they hold.
        no_interrupt: the interrupt of the engine does not reach the processor.
        happened: the faults of transfers that took place, in their order.
    """

    def __init__(self) -> None:
        self.registers: dict[str, int] = {}
        self.no_interrupt = False
        self.happened: list[Fault] = []
        self._waiting: list[tuple[Fault, int]] = []

    def add(self, *faults: Fault) -> None:
        """Adds faults of transfers to come; each happens once."""
        self._waiting += [(fault, fault.skip) for fault in faults]

    def clear(self) -> None:
        """Removes all faults that have not happened."""
        self.registers.clear()
        self.no_interrupt = False
        self._waiting.clear()

    def take(self, channel: str) -> list[Fault]:
        """The faults of the transfer that starts on a channel."""
        taken = [fault for fault, skip in self._waiting if fault.channel == channel and skip == 0]
        self._waiting = [
            (fault, skip - (fault.channel == channel))
            for fault, skip in self._waiting
            if fault.channel != channel or skip > 0
        ]
        self.happened += taken
        return taken
