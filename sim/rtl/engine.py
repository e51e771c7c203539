"""The engine in SystemVerilog, compiled by Verilator and driven command by command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError
from ...hw import isa
from ...hw.host.engine import OnWrite, length_registers, refused, report_writes, results_of, stopped, where_of
from ...hw.isa import Command, Error, Parameters, Unit
from ...hw.synthesis.silicon import PLAIN, Silicon
from .bus import CLEAR, DONE, ERROR, IDLE, Bus, Until

_STALLS = ((20, 30), (128, 128), (240, 30), (30, 240))
"""For random stalls, `RtlEngine.chances` of one RUN after the other: both streams rarely stall, both stall every other
cycle, and one of them stalls most of the time."""

_PATIENCE = 10_000
"""Cycles after which no further beat is expected."""


class RtlEngine(Bus):
    """The Verilated RTL in this process. Implements `hw.host.engine.Engine`.

    Args:
        parameters, waves, silicon: see `Bus`.
        stalls: let the streams stall at random, differently in every RUN.

    Attributes:
        parameters, error, where, counters, packet: see `Engine`.
        chances: the probabilities, in 256, that a cycle brings no input beat, and that it accepts no output beat. With
            `stalls`, every RUN sets them.
        seed: of the stalls. With `stalls`, every RUN increments it.
        limit: cycles after which a command is given up.

    Raises:
        UserError: see `Bus`.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        waves: Path | None = None,
        stalls: bool = False,
        silicon: Silicon = PLAIN,
    ) -> None:
        super().__init__(parameters, waves=waves, silicon=silicon)
        self.error = Error.NONE
        self.where: tuple[Unit, int] | None = None
        self.counters: dict[str, int] = {}
        self.packet = b""
        self.chances = (0, 0)
        self.seed = 1
        self.limit = 20_000_000
        self._stalls = stalls

    def reset(self) -> None:
        """See `Bus.reset`."""
        super().reset()
        self.error, self.where = Error.NONE, None

    def clear(self) -> None:
        """See `Engine.clear`: the recovery of docs/isa.md, section 2."""
        # A packet that is not sent after an error or the limit will not be.
        self.stop_send()
        for _ in range(3):
            self.write("CONTROL", CLEAR)
        for _ in range(_PATIENCE):
            if self.read("STATUS") & IDLE:
                self.stop_receive()
                self.error, self.where = Error.NONE, None
                return
            if not self.receiving:
                self.receive()
        raise RuntimeError("the engine is not idle after clear")

    def load_program(self, packet: bytes, *, last: bool = True) -> None:
        """See `Engine.load_program`."""
        self._execute(Command.PROGRAM, packet, last, None)

    def init(self, packet: bytes, *, last: bool = True) -> None:
        """See `Engine.init`."""
        self._execute(Command.INIT, packet, last, None)

    def run(
        self, packet: bytes, lengths: Sequence[int], on_write: OnWrite | None = None, *, last: bool = True
    ) -> bytes:
        """See `Engine.run`; `on_write` is called when the command has ended without an error."""
        if self._stalls:
            self.seed += 1
            self.chances = _STALLS[self.seed % len(_STALLS)]
        self.write("SENTENCES", len(lengths))
        for number, length in enumerate(length_registers(lengths)):
            self.write(f"LENGTH{number}", length)
        return results_of(self._execute(Command.RUN, packet, last, on_write))

    def _execute(self, command: Command, packet: bytes, last: bool, on_write: OnWrite | None) -> bytes:
        self.packet = b""
        if self.error:
            before = self.read("STATUS"), self.read("ERROR_WHERE")
            self.write("CONTROL", command)
            if (self.read("STATUS"), self.read("ERROR_WHERE")) != before:
                raise RuntimeError(f"the engine executed {command.name} in the error state")
            raise refused()
        self.stall(self.chances, self.seed)
        self.watch(on_write is not None)
        self.write("INTERRUPT_ENABLE", 1)
        self.write("INTERRUPT", 1)
        if command is Command.RUN:
            self.receive()
        self.write("CONTROL", command)
        self.send(packet, last=last)
        ended = self.step(self.limit, Until.RAISED | Until.SENT)
        if ended and self.receiving and not self.step(_PATIENCE, Until.RECEIVED):
            raise RuntimeError(f"{command.name} has ended and its packet has not")
        beats = self.packet = self.received if command is Command.RUN else b""
        status = self.read("STATUS")
        self.counters = {name: self.read(name) for name, _ in isa.COUNTERS}
        if self.broken is not None:
            raise RuntimeError(f"{command.name}: {self.broken}")
        if status & ERROR:
            self.error = Error(status >> 8 & 0xFF)
            self.where = where_of(self.read("ERROR_WHERE"))
            raise stopped(self.error, self.where)
        if not ended:
            raise UserError(
                f"the RTL has not ended {command.name} after {self.limit:,} cycles; use a smaller model."
            )
        if status != IDLE | DONE:
            raise RuntimeError(f"{command.name} has ended and STATUS is {status:#x}")
        if on_write is not None:
            report_writes(self.records, self.parameters.lanes, on_write)
        # Not `self.packet`: `on_write` may have given the engine another command.
        return beats
