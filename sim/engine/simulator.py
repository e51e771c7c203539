"""The program simulator: an engine that executes binary programs exactly as `docs/isa.md` says.

It knows neither graph nor compiler and needs numpy only. Each instruction is vectorized (`contract`, `units`); this
module has the commands, the tokens and the errors.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...errors import UserError
from ...fixedpoint import IntArray
from ...hw import isa
from ...hw.host.engine import Closing, OnWrite, packet_of
from ...hw.isa import Contract, Error, Instruction, Parameters, Unit
from ...hw.isa.program import ProgramError, read_header
from ..threads import one_blas_thread
from .contract import ContractPlan, Written, loop_counts
from .hazards import HazardError, Hazards
from .memories import FaultError, Memories, Packet, Place
from .units import LayerNormStep, LoadStep, SoftmaxStep, StoreStep

_HEADER_BYTES = struct.calcsize(f"<{len(isa.HEADER)}I")
_INSTRUCTION_BYTES = isa.INSTRUCTION_BITS // 8
_MOST_PLANS = 4096
_ORDER = "commands must come in the order PROGRAM, INIT, RUN, after clear if there was an error."


class TooLongError(UserError):
    """A command exceeds the limit `most_steps` of the simulator."""


class _List:
    """The instructions of one list, decoded when they are first read."""

    def __init__(self, unit: Unit, data: bytes, only: type[Instruction] | None = None) -> None:
        self.unit = unit
        self._data = data
        self._only = only
        self._decoded: list[Instruction | None] = [None] * (len(data) // _INSTRUCTION_BYTES)

    def __len__(self) -> int:
        return len(self._decoded)

    def read(self, number: int) -> Instruction:
        """The instruction with this number.

        Raises:
            FaultError: FIELD.
        """
        instruction = self._decoded[number]
        if instruction is None:
            start = number * _INSTRUCTION_BYTES
            try:
                instruction = isa.decode(self._data[start : start + _INSTRUCTION_BYTES])
            except isa.FieldError as error:
                raise FaultError(Error.FIELD, f"the instruction is invalid ({error})") from None
            opcode = isa.OPCODES[type(instruction)]
            if isa.UNITS[opcode] is not self.unit or (self._only and not isinstance(instruction, self._only)):
                raise FaultError(Error.FIELD, f"the opcode {opcode.name} is not supported in this list")
            self._decoded[number] = instruction
        return instruction


@dataclass
class _Command:
    """An INIT or a RUN in progress.

    Attributes:
        stream: the packet.
        lengths: tokens of each sentence of a RUN; None in INIT, where nothing is skipped and a length is 0.
        on_write: see `OnWrite`.
        retired: the number of retired instructions by unit.
        accumulators: (N, N), of the last CONTRACT, if that has `keep`.
        results: the bytes that each STORE sent.
        steps: the number of pairs of words multiplied plus words drained.
    """

    stream: Packet
    lengths: Sequence[int] | None = None
    on_write: OnWrite | None = None
    retired: list[int] = field(default_factory=lambda: [0] * len(Unit))
    accumulators: IntArray | None = None
    results: list[bytes] = field(default_factory=list)
    steps: int = 0

    def place(self, instruction: Instruction, lanes: int) -> Place | None:
        """The sentence and the token block of an instruction, or None if it is skipped."""
        if self.lengths is None:
            return Place(instruction.sentence, 0, 0, 0, 0)
        first = lanes * instruction.block
        if instruction.sentence >= len(self.lengths) or first >= self.lengths[instruction.sentence]:
            return None
        length = self.lengths[instruction.sentence]
        return Place(instruction.sentence, first, length, min(lanes, length - first), -(-length // lanes))


class ProgramSimulator(Closing):
    """An engine with its memories, in numpy. Implements `hw.host.engine.Engine`.

    Args:
        parameters: what the engine is built with.
        strict: also raise `HazardError` if a program's result depends on the speed of the units, or on words that
            nothing has written.
        most_steps: pairs of words multiplied plus words drained after which a command raises `TooLongError`. None: no
            limit.

    Attributes:
        parameters, error, where, counters, packet: see `Engine`.
    """

    def __init__(
        self, parameters: Parameters, *, strict: bool = False, most_steps: int | None = None
    ) -> None:
        super().__init__()
        self.parameters = parameters
        self.most_steps = most_steps
        self.error = Error.NONE
        self.where: tuple[Unit, int] | None = None
        self.counters: dict[str, int] = {}
        self.packet = b""
        self._memories = Memories(parameters)
        self._hazards = Hazards(parameters) if strict else None
        self._stopped = False
        self._header: dict[str, int] = {}
        self._init: _List | None = None
        self._lists: tuple[_List, ...] = ()
        self._has_image = False
        self._plans: dict[tuple[object, ...], ContractPlan] = {}

    def clear(self) -> None:
        """See `Engine.clear`."""
        self._check_open()
        self._stopped = False
        self.error = Error.NONE
        self.where = None

    def load_program(self, packet: bytes, *, last: bool = True) -> None:
        """See `Engine.load_program`."""
        self._accept()
        self._init, self._lists, self._has_image = None, (), False
        self._plans.clear()
        if self._hazards:
            self._hazards.forget()
        data = Packet(packet, last).data
        try:
            header = read_header(data, self.parameters)
            complete = not last
        except ProgramError as error:
            complete = not last and error.error is Error.PROGRAM_CRC
            if not complete:
                raise self._stop(error) from None
        if complete:
            raise self._stop(
                ProgramError(Error.OVERRUN, "the packet is longer than the program; send the program alone.")
            )
        lists = []
        at = _HEADER_BYTES
        for name in isa.LISTS:
            end = at + header[f"{name}_count"] * _INSTRUCTION_BYTES
            only = isa.Load if name == "init" else None
            lists.append(_List(Unit.STREAM if name == "init" else Unit[name.upper()], data[at:end], only))
            at = end
        self._header = header
        self._init, *others = lists
        self._lists = tuple(others)

    def init(self, packet: bytes, *, last: bool = True) -> None:
        """See `Engine.init`."""
        self._accept()
        self._require(self._init is not None)
        assert self._init is not None
        self._has_image = False
        stream = Packet(packet, last)
        self._execute((self._init,), _Command(stream))
        if zlib.crc32(stream.data) != self._header["image_crc"]:
            raise self._stop(
                ProgramError(
                    Error.IMAGE_CRC, "the CRC-32 of the image is not the program's; compile the model again."
                )
            )
        self._has_image = True

    def run(
        self, packet: bytes, lengths: Sequence[int], on_write: OnWrite | None = None, *, last: bool = True
    ) -> bytes:
        """See `Engine.run`; `on_write` is called as soon as an instruction has written.

        Raises:
            ProgramError: with the engine's error code.
            TooLongError: see `most_steps`.
        """
        self._accept()
        command = _Command(Packet(packet, last), tuple(lengths), on_write)
        try:
            self._require(self._has_image)
            self._check_lengths(lengths)
            # The products of a tile are too small for threads.
            with one_blas_thread():
                self._execute(self._lists, command)
        except ProgramError as error:
            self.packet = packet_of(b"".join(command.results), error.error)
            raise
        results = b"".join(command.results)
        self.packet = packet_of(results, Error.NONE)
        return results

    def _accept(self) -> None:
        """Accepts a command. In the error state, it is refused, and `error` and `where` stay as they are."""
        self._check_open()
        self.packet = b""
        if self._stopped:
            raise ProgramError(Error.COMMAND, _ORDER)

    def _require(self, ready: bool) -> None:
        if not ready:
            raise self._stop(ProgramError(Error.COMMAND, _ORDER))

    def _check_lengths(self, lengths: Sequence[int]) -> None:
        most = self._header["max_length"]
        if not 1 <= len(lengths) <= self._header["sentences"] or not all(1 <= n <= most for n in lengths):
            raise self._stop(
                ProgramError(
                    Error.LENGTH,
                    f"expected 1 to {self._header['sentences']} sentences of 1 to {most} tokens, "
                    f"got sentences of {list(lengths)} tokens.",
                )
            )

    def _stop(self, error: ProgramError) -> ProgramError:
        """Enters the error state."""
        self._stopped = True
        self.error = error.error
        self.where = None if error.unit is None or error.number is None else (error.unit, error.number)
        return error

    def _execute(self, lists: Sequence[_List], command: _Command) -> None:
        """Executes the lists, one instruction of each unit in turn."""
        retired = command.retired
        if self._hazards:
            self._hazards.begin()
        while any(retired[one.unit] < len(one) for one in lists):
            before = sum(retired)
            for one in lists:
                number = retired[one.unit]
                if number == len(one):
                    continue
                try:
                    retired[one.unit] += self._turn(one, number, command)
                except FaultError as fault:
                    raise self._stop(_named(fault.error, str(fault), one.unit, number)) from None
                except HazardError as hazard:
                    raise self._stop(hazard) from None
            if sum(retired) == before:
                stuck = next(one for one in lists if retired[one.unit] < len(one))
                text = "deadlock: it waits for instructions that can't retire before it"
                raise self._stop(_named(Error.DEADLOCK, text, stuck.unit, retired[stuck.unit]))
        if not command.stream.ended:
            raise self._stop(
                ProgramError(Error.OVERRUN, "the packet is longer than what the program loads; send less.")
            )

    def _turn(self, one: _List, number: int, command: _Command) -> bool:
        """Executes the next instruction of a unit if its waits are met, and returns whether it has retired."""
        instruction = one.read(number)
        place = command.place(instruction, self.parameters.lanes)
        if place is None:
            if self._hazards:
                self._hazards.skip(one.unit, number)
            return True
        if any(has < wants for has, wants in zip(command.retired, isa.waits(instruction), strict=True)):
            return False
        if isinstance(instruction, Contract):
            written = self._contract(instruction, number, place, command)
        else:
            written = self._step(one.unit, instruction, number, place, command)
        if command.on_write is not None and written is not None:
            command.on_write(
                one.unit, number, written.memory, written.addresses, written.words, written.before_table
            )
        return True

    def _contract(self, c: Contract, number: int, place: Place, command: _Command) -> Written | None:
        counts, rows = loop_counts(c, place)
        key = (number, counts, rows)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            plan = self._plans[key] = ContractPlan(c, self.parameters.lanes, counts, rows)
        plan.check(self._memories, place)
        command.steps += plan.steps
        if self.most_steps is not None and command.steps > self.most_steps:
            self._stopped = True
            raise TooLongError(
                f"the program needs more than {self.most_steps} steps; raise the limit, or clear the engine."
            )
        if self._hazards:
            reads = plan.reads(self._memories, place)
            self._hazards.execute(Unit.ARRAY, number, isa.waits(c), reads, plan.writes())
            late = plan.overtaken(self._memories, place)
            if late is not None:
                text, itself = "reads a word that it drains itself", (Unit.ARRAY, number)
                raise HazardError(Unit.ARRAY, number, plan.target, late, text, itself)
        written, command.accumulators = plan.execute(self._memories, place, command.accumulators)
        return written

    def _step(
        self, unit: Unit, instruction: Instruction, number: int, place: Place, command: _Command
    ) -> Written | None:
        step: SoftmaxStep | LayerNormStep | LoadStep | StoreStep
        if isinstance(instruction, isa.Softmax):
            step = SoftmaxStep(instruction, self._memories, place)
        elif isinstance(instruction, isa.LayerNorm):
            step = LayerNormStep(instruction, self._memories)
        elif isinstance(instruction, isa.Load):
            step = LoadStep(instruction, self._memories, place, command.stream)
        else:
            assert isinstance(instruction, isa.Store)
            step = StoreStep(instruction, self._memories, command.results)
        step.check()
        if self._hazards:
            self._hazards.execute(unit, number, isa.waits(instruction), step.reads(), step.writes())
        return step.execute()


def _named(error: Error, text: str, unit: Unit, number: int) -> ProgramError:
    return ProgramError(
        error, f"instruction {number} of the {unit.name} unit: {text}; compile the model again.", unit, number
    )
