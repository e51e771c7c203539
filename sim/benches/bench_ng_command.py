"""ng_command: programs for every check of PROGRAM; INIT and RUN with the units played by the bench.

The program simulator gives the expected outcome of PROGRAM; the rest follows docs/isa.md, section 2.
"""

from __future__ import annotations

import random
import struct
import zlib
from typing import Any

from cocotb.triggers import FallingEdge, RisingEdge

from ...hw import isa
from ...hw.isa import Error, Memory, Parameters
from ...hw.isa.program import ProgramError
from ..engine.simulator import ProgramSimulator
from . import structs
from .common import STALLS, bench, generator, lanes, pack, start, value
from .programs import NAMES, damaged, program, sealed
from .setup import Setup, depths

ENGINE = Parameters(lanes=8, program_depth=28)

SETUP = Setup(({"Lanes": 8, "ProgDepth": ENGINE.program_depth, "Depths": depths(ENGINE)},))

FAULT = structs.struct("fault_t")
NUMBER_BITS = structs.number("NumberBits")
LENGTH_BITS = structs.number("LengthBits")


def parameters(dut: Any) -> Parameters:
    """The engine that the module belongs to."""
    depths = lanes(dut.Depths, len(Memory), 32)
    return Parameters(
        int(dut.Lanes.value), **{f"{memory.name.lower()}_depth": depths[memory] for memory in Memory}
    )


class Bench:
    """The module, cycle by cycle.

    Attributes:
        stall: chance of a cycle without a beat.
        beats: still to be sent, with their TLAST.
        writes: of PROGRAM memory.
        sentences, lengths, timeout: what the registers hold when the next command starts.
        ends, starts, works: cycles of this command in which these outputs were 1.
        run, flush, lists: outputs as they were last.
        sending: whether a packet of results is open.
        clears: so far.
        opens, closing: packets of this command, and the code with which the last one was closed, if it was.
    """

    def __init__(self, dut: Any, rng: random.Random) -> None:
        self.dut, self.rng = dut, rng
        self.stall = 0.0
        self.beats: list[tuple[int, int]] = []
        self.writes: list[tuple[int, int]] = []
        self.sentences, self.lengths, self.timeout = 0, [0, 0], 0
        self.accepted: list[int] = []
        self.ends = self.starts = self.works = self.run = self.flush = 0
        self.sending, self.opens, self.idle = False, 0, True
        self.clears = 0
        self.closing: int | None = None
        self.lists: tuple[list[int], list[int], bool] = [], [], False
        self._offered = self._ended = False

    def packet(self, data: bytes) -> None:
        """The beats of a packet; the last has TLAST."""
        words = struct.unpack(f"<{len(data) // 8}Q", data)
        self.beats = [(word, int(at == len(words) - 1)) for at, word in enumerate(words)]
        self._offered = False

    async def cycle(self, *, starts: bool = False) -> None:
        """One cycle: a beat is offered; unless a command starts, the host writes its registers."""
        dut = self.dut
        self._offered = bool(self.beats) and (self._offered or self.rng.random() >= self.stall)
        dut.in_valid_i.value = int(self._offered)
        word, last = self.beats[0] if self._offered else (self.rng.getrandbits(64), self.rng.getrandbits(1))
        dut.in_data_i.value, dut.in_last_i.value = word, last
        registers = self.sentences, self.timeout, pack(self.lengths, 32)
        if not starts:
            # A command uses the values from its start.
            registers = (
                self.rng.choice((0, 1, 2, 3)),
                self.rng.choice((0, 1, 2, 99)),
                self.rng.getrandbits(64),
            )
        dut.sentences_i.value, dut.timeout_i.value, dut.lengths_i.value = registers
        dut.sending_i.value = int(self.sending)
        await FallingEdge(dut.clk_i)
        # A RUN opens a packet; its end closes it, which takes some cycles.
        opens, finishes, aborts = value(dut.open_o), value(dut.finish_o), value(dut.abort_o)
        assert not (opens and self.sending) and not (finishes and aborts)
        if aborts and self.sending and self.closing is None:
            self.closing = value(dut.code_o)
        if finishes or aborts:
            self.sending = self.sending and self.rng.random() < 0.5
        self.opens += opens
        self.sending |= bool(opens)
        self.idle = bool(value(dut.idle_o))
        if value(dut.run_o) and not finishes:
            assert value(dut.in_ready_o) == (value(dut.unit_ready_i) and not self._ended)
            assert value(dut.unit_valid_o) == (self._offered and not self._ended)
        else:
            assert not value(dut.unit_valid_o)
        assert not (value(dut.in_ready_o) and self._ended), "a beat of the next packet"
        if self._offered and value(dut.in_ready_o):
            self.accepted.append(self.beats.pop(0)[0])
            self._offered = False
            self._ended |= bool(last)
        if value(dut.prog_we_o):
            self.writes.append((value(dut.prog_addr_o), value(dut.prog_o)))
        assert value(dut.idle_o) or not value(dut.done_o)
        self.ends += value(dut.ends_o)
        self.starts += value(dut.starts_o)
        self.works += value(dut.works_o)
        self.run, self.flush = value(dut.run_o), finishes
        if self.run:
            assert value(dut.sentences_o) == self.sentences % 4
            assert lanes(dut.lengths_o, 2, LENGTH_BITS) == [n % (1 << LENGTH_BITS) for n in self.lengths]
            assert value(dut.timeout_o) == self.timeout
        counts, bases = lanes(dut.counts_o, 3, NUMBER_BITS), lanes(dut.bases_o, 3, NUMBER_BITS)
        self.lists = counts, bases, bool(value(dut.init_o))
        await RisingEdge(dut.clk_i)

    async def begin(self, command: int) -> None:
        """Writes a command."""
        self.writes, self.accepted, self._ended = [], [], False
        self.opens, self.closing = 0, None
        self.ends = self.starts = self.works = self.run = self.flush = 0
        dut = self.dut
        dut.start_i.value, dut.command_i.value = 1, command
        await self.cycle(starts=True)
        dut.start_i.value = 0
        # The register keeps the command, but it must not be read again.
        dut.command_i.value = self.rng.getrandbits(3)
        assert self.opens == (command == 3)

    async def until_end(self, most: int) -> None:
        """Runs cycles until the command ends."""
        for _ in range(most):
            if self.ends:
                break
            await self.cycle()
        else:
            raise AssertionError("the command did not end")
        await self.cycle()

    async def check(self, code: int, where: int = 0) -> None:
        """Checks the outcome. After an error the packet is dropped and commands are ignored until a clear."""
        dut = self.dut

        def state() -> tuple[int, ...]:
            return (
                value(dut.idle_o),
                value(dut.done_o),
                value(dut.error_o),
                value(dut.code_o),
                value(dut.where_o),
            )

        await FallingEdge(dut.clk_i)
        assert self.ends == 1 and self.starts == 1
        if not code:
            assert state() == (1, 1, 0, 0, 0), state()
            assert not self.sending and self.closing is None
            await RisingEdge(dut.clk_i)
            assert not self.beats
            return
        assert state() == (0, 0, 1, code, where), (state(), code, where)
        await RisingEdge(dut.clk_i)
        for _ in range(20 + 20 * len(self.beats)):
            if not self.beats:
                break
            await self.cycle()
        assert not self.beats, "the packet was not dropped"
        dut.start_i.value, dut.command_i.value = 1, self.rng.randint(1, 3)
        await self.cycle()
        dut.start_i.value = 0
        await self.cycle()
        await FallingEdge(dut.clk_i)
        assert state() == (0, 0, 1, code, where) and self.ends == 1 and self.starts == 1
        assert not value(dut.run_o) and not value(dut.works_o)
        # Beats after the packet are not dropped.
        assert value(dut.in_ready_o) == (not self._ended)
        await RisingEdge(dut.clk_i)
        assert self.closing == (code if self.opens else None)
        await self.clear()

    def drop(self) -> None:
        """Forgets the packets of a command, and that it ended: the module was reset."""
        self.ends, self.beats, self.sending = 0, [], False
        self._offered = self._ended = False

    async def clear(self) -> None:
        """CONTROL.clear: idle when the packet of results has ended and the input is at a border, not earlier."""
        dut, rng = self.dut, self.rng
        dut.clear_i.value = 1
        await self.cycle()
        # A packet that an error has closed keeps its code.
        ended = self.closing
        dut.clear_i.value = 0
        self.beats, self._offered, self._ended = [], False, True
        starts, discards, free = self.starts, rng.choice((0, 0, 1, 5)), False
        while not free:
            dut.discards_i.value = int(discards > 0)
            # A second clear, which is also a clear in this state, ends what the input waits for.
            again = rng.random() < 0.2
            free = not self.sending and discards <= 0 and not again
            dut.clear_i.value = int(again)
            dut.start_i.value, dut.command_i.value = int(not again and rng.random() < 0.2), 3
            await self.cycle()
            dut.start_i.value = dut.clear_i.value = 0
            assert not self.idle and not value(dut.run_o) and self.starts == starts
            discards = 0 if again else discards - 1
        await self.cycle()
        assert self.idle and not value(dut.error_o) and not value(dut.run_o)
        assert value(dut.code_o) == value(dut.where_o) == 0
        assert self.closing in ((ended,) if ended is not None else (None, 0))
        self.clears += 1


@bench(400_000)
async def programs(dut: Any) -> None:
    """Valid and damaged programs, compared with the program simulator."""
    rng = generator()
    engine = parameters(dut)
    await start(dut)
    b = Bench(dut, rng)
    seen: set[Error] = set()
    for at in range(250):
        zero = NAMES[at] if at < len(NAMES) else ""
        data = damaged(rng, engine, zero) if zero or rng.random() < 0.75 else program(rng, engine)[0]
        code = Error.NONE
        try:
            ProgramSimulator(engine).load_program(data)
        except ProgramError as error:
            code = error.error
        seen.add(code)
        b.stall = rng.choice(STALLS[:3])
        b.packet(data)
        await b.begin(1)
        await b.until_end(8 * len(data))
        if code is Error.NONE:
            body = data[4 * len(NAMES) : -8]
            words = [int.from_bytes(body[at : at + 64], "little") for at in range(0, len(body), 64)]
            assert b.writes == list(enumerate(words))
        await b.check(code)
        # Whether a program is loaded.
        await b.begin(2)
        if code is Error.NONE:
            await b.clear()
        else:
            await b.until_end(8)
            await b.check(Error.COMMAND)
    wanted = {
        Error.MAGIC,
        Error.VERSION,
        Error.PARAMETER,
        Error.TRUNCATED,
        Error.OVERRUN,
        Error.PROGRAM_CRC,
        Error.NONE,
    }
    assert seen == wanted, wanted - seen


@bench(20_000)
async def timeouts(dut: Any) -> None:
    """A PROGRAM whose beats stop: in the header, among the instructions, before the CRC."""
    rng = generator()
    engine = parameters(dut)
    await start(dut)
    b = Bench(dut, rng)
    for timeout in (1, 5, 40):
        for at in (0, 7, 16, 20, -1):
            data = program(rng, engine)[0]
            while len(data) < 8 * 30:
                data = program(rng, engine)[0]
            at %= len(data) // 8
            b.timeout = timeout
            b.stall = 0.0
            b.packet(data)
            rest, b.beats = b.beats[at:], b.beats[:at]
            await b.begin(1)
            while b.beats:
                await b.cycle()
            waited = 0
            while not b.ends and waited < timeout + 9:
                await b.cycle()
                waited += 1
            # What is compared and what is found are registered.
            assert timeout + 3 <= waited <= timeout + 5, waited
            await b.cycle()
            b.beats = rest
            await b.check(Error.TIMEOUT)
            # Beats that always arrive in time are no timeout; 0 disables the timeout.
            b.timeout = 0
            b.packet(data)
            b.stall = 0.9
            await b.begin(1)
            await b.until_end(20 * len(data))
            await b.check(Error.NONE)


class Units:
    """The three units: they retire their lists, some wait for a while, one may report a fault."""

    def __init__(self, b: Bench, counts: list[int], init: bool) -> None:
        self.b, self.counts, self.init = b, counts, init
        self.retired = [0, 0, 0]
        self.stuck: set[int] = set()
        self.pause = 0
        self.faults: dict[int, tuple[int, int]] = {}
        self.free_beats = self.written = 0

    async def cycle(self) -> None:
        """One cycle of all units."""
        dut, rng = self.b.dut, self.b.rng
        running = self.b.run
        waits = 0
        self.written = self.written + 1 if len(self.b.beats) <= self.free_beats else 0
        for unit in range(3):
            open_ = self.retired[unit] < self.counts[unit]
            if unit in self.stuck or self.pause:
                waits |= int(open_) << unit
            # The stream unit ends last: it writes the word of its last beat.
            elif (
                running
                and open_
                and rng.random() < 0.4
                and (unit != 2 or self.written > 1 or self.retired[unit] < self.counts[unit] - 1)
            ):
                self.retired[unit] += 1
        if self.pause:
            self.pause -= 1
        elif rng.random() < 0.05 and not self.stuck:
            # One cycle short of a deadlock.
            self.pause = rng.randint(1, 12)
        dut.waits_i.value = waits
        dut.retired_i.value = pack(self.retired, NUMBER_BITS)
        dut.faults_i.value = pack(
            [
                FAULT.pack(valid=1, code=self.faults[unit][0], number=self.faults[unit][1])
                if unit in self.faults
                else FAULT.pack(valid=0, code=rng.randrange(15), number=rng.getrandbits(14))
                for unit in range(3)
            ],
            FAULT.width,
        )
        dut.unit_ready_i.value = int(rng.random() < 0.7 and len(self.b.beats) > self.free_beats)
        await self.b.cycle()


@bench(100_000)
async def clears(dut: Any) -> None:
    """A clear in every state, each followed by a good PROGRAM."""
    rng = generator()
    engine = parameters(dut)
    await start(dut)
    b = Bench(dut, rng)
    states: set[int] = set()
    data, header = program(rng, engine)
    while not 2 <= sum(header[f"{name}_count"] for name in isa.LISTS) <= 4 or not header["init_count"]:
        data, header = program(rng, engine)
    counts = [0, 0, header["init_count"]]
    for command in (1, 2, 1, 3):
        for at in range(60):
            b.stall = 0.0
            b.packet(data)
            await b.begin(1)
            await b.until_end(8 * len(data))
            await b.check(Error.NONE)
            # RUN has no image and fails.
            units = Units(b, counts, True)
            b.packet(data if command == 1 else rng.randbytes(80))
            if at:
                await b.begin(command)
            for _ in range(at - 1):
                await units.cycle()
            states.add(value(dut.state_q))
            await b.clear()
    # Every state but Flush (4), which a damaged image does not reach and the engine's scenario "streams" clears,
    # and the one in which a clear waits (5).
    assert states | {4, 5} == {*range(6), 16, *range(32, 36)}, sorted(states)


@bench(100_000)
async def resets(dut: Any) -> None:
    """A reset in each cycle of PROGRAM and INIT, and after its end: no command ends, program and image are gone."""
    rng = generator()
    engine = parameters(dut)
    await start(dut)
    b = Bench(dut, rng)
    data, header = program(rng, engine)
    while not 1 <= sum(header[f"{name}_count"] for name in isa.LISTS) <= 3 or not header["init_count"]:
        data, header = program(rng, engine)
    image = rng.randbytes(8)
    header["image_crc"] = zlib.crc32(image)
    data = sealed(header, data[4 * len(NAMES) : -8])
    ended = running = failed = done = 0
    for at in (*range(2, 120), *range(60)):
        b.stall = 0.0
        b.packet(data)
        await b.begin(1)
        if not ended:
            for _ in range(at):
                await b.cycle()
            ended = b.ends
        else:
            # Units that are stuck are a deadlock after some cycles.
            await b.until_end(8 * len(data))
            await b.check(Error.NONE)
            units = Units(b, [0, 0, header["init_count"]], True)
            units.stuck = {0, 1, 2} if at % 2 else set()
            b.packet(image)
            await b.begin(2)
            for _ in range(at):
                await units.cycle()
            running += b.run
            failed += value(dut.where_o) != 0
            done += value(dut.done_o)
        dut.rst_ni.value = 0
        await b.cycle()
        dut.rst_ni.value = 1
        b.drop()
        await b.cycle()
        assert not b.ends and not b.run and b.idle and not value(dut.ended_o)
        assert value(dut.where_o) == value(dut.code_o) == value(dut.done_o) == 0
        for command in (2, 3):
            await b.begin(command)
            await b.until_end(8)
            await b.check(Error.COMMAND)
    assert ended and running and failed and done


@bench(400_000)
async def runs(dut: Any) -> None:
    """INIT and RUN with every possible end."""
    rng = generator()
    engine = parameters(dut)
    await start(dut)
    b = Bench(dut, rng)
    outcomes: set[Any] = set()
    for _ in range(110):
        _, header = program(rng, engine)
        if not header["stream_count"] or not header["init_count"]:
            continue
        image = rng.randbytes(8 * rng.randint(1, 12))
        header["image_crc"] = zlib.crc32(image)
        b.stall = 0.0
        total = sum(header[f"{name}_count"] for name in isa.LISTS)
        b.packet(sealed(header, rng.randbytes(64 * total)))
        await b.begin(1)
        await b.until_end(10_000)
        await b.check(Error.NONE)
        has_image = False
        for _ in range(12):
            command = rng.choice((2, 2, 3, 3, 3, 0, 4, 7))
            init = command == 2
            names = ("init",) if init else isa.LISTS[1:]
            counts = [header[f"{name}_count"] for name in names]
            counts = [0, 0, *counts] if init else counts
            data = image if init else rng.randbytes(8 * rng.randint(1, 12))
            # Registers are wider than their meaningful bits.
            most = header["max_length"]
            lengths = [
                rng.choice((1, most, rng.randint(0, most + 1), 1 | 1 << rng.randrange(10, 32)))
                for _ in range(2)
            ]
            sentences = rng.choice(
                (header["sentences"], 0, rng.randint(1, 3), header["sentences"] | 1 << rng.randrange(2, 32))
            )
            if rng.random() < 0.7:
                # The length of an unused sentence may be anything.
                sentences = rng.randint(1, header["sentences"])
                lengths[:sentences] = [rng.randint(1, most) for _ in range(sentences)]
            b.sentences, b.lengths = sentences, lengths
            how = rng.choice(("good", "good", "fault", "deadlock", "overrun", "crc", "clear"))
            if how == "crc" and init:
                data = data[:-1] + bytes([data[-1] ^ 1])
            units = Units(b, counts, init)
            b.stall = rng.choice(STALLS[:3])
            b.packet(data)
            refused = Error.NONE
            if command not in (2, 3) or (command == 3 and not has_image):
                refused = Error.COMMAND
            elif command == 3 and not (
                1 <= sentences <= header["sentences"]
                and all(1 <= n <= header["max_length"] for n in lengths[:sentences])
            ):
                refused = Error.LENGTH
            await b.begin(command)
            if refused is not Error.NONE:
                await b.until_end(8)
                await b.check(refused)
                outcomes.add(refused)
                continue
            code, where = Error.NONE, 0
            if how == "overrun":
                units.free_beats = rng.randint(1, len(b.beats))
                code = Error.OVERRUN
            elif how == "crc" and init:
                code = Error.IMAGE_CRC
            elif how == "deadlock":
                units.stuck = set(range(3))
                first = next(unit for unit in range(3) if counts[unit])
                for unit in range(3):
                    units.retired[unit] = rng.randint(0, counts[unit])
                units.retired[first] = rng.randrange(counts[first])
                first = next(unit for unit in range(3) if units.retired[unit] < counts[unit])
                code, where = Error.DEADLOCK, 1 << 31 | first << 16 | units.retired[first]
            stop = rng.randint(1, 15)
            cycles = 0
            while not b.ends:
                await units.cycle()
                cycles += 1
                if b.run:
                    bases = [header["init_count"], header["init_count"] + header["array_count"], 0]
                    bases[2] = 0 if init else bases[1] + header["vector_count"]
                    assert b.lists == (counts, bases, init)
                if how == "clear" and cycles == stop:
                    break
                if how == "fault" and cycles >= stop and b.run and not b.flush and not code:
                    faulty = rng.sample(range(3), rng.randint(1, 2))
                    units.faults = {
                        unit: (rng.choice((7, 8, 9, 11, 14)), rng.getrandbits(14)) for unit in faulty
                    }
                    unit = min(faulty)
                    fault_code, fault_number = units.faults[unit]
                    await units.cycle()
                    units.faults = {}
                    await units.cycle()
                    # A fault is accepted until all units have retired.
                    if b.run and not b.flush:
                        code, where = Error(fault_code), 1 << 31 | unit << 16 | fault_number
                assert cycles < 2000, "the command did not end"
            if not b.ends:
                await b.clear()
                outcomes.add("clear")
                # Whether it ended in the cycle of the clear.
                has_image = bool(b.ends) if init else has_image
                continue
            if code is Error.DEADLOCK:
                assert cycles >= 16
            await b.cycle()
            await b.check(code, where)
            outcomes.add(code)
            if init:
                has_image = code is Error.NONE
    wanted = {
        "clear",
        Error.NONE,
        Error.COMMAND,
        Error.LENGTH,
        Error.OVERRUN,
        Error.IMAGE_CRC,
        Error.DEADLOCK,
    }
    assert outcomes >= wanted | {Error.FIELD, Error.STAT, Error.ADDRESS}, wanted - outcomes
    assert b.clears > 500, b.clears
