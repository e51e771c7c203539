"""A host that does everything to an engine that docs/isa.md, section 2, allows a host to do, in a random order.

A sequence is made of commands with sound and unsound packets, register writes, clears, and resets of either channel of
the DMA, at any time. Then come the documented recovery and a good sentence.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from narrowgauge.hw import isa
from narrowgauge.hw.isa import (
    BEAT_BYTES,
    CLOSING_MAGIC,
    INDEX_COLUMNS,
    Command,
    Contract,
    Count,
    Error,
    Indexed,
    Instruction,
    Load,
    Memory,
    Softmax,
    Space,
    Store,
)
from narrowgauge.hw.isa.program import Program, to_bytes
from narrowgauge.sim.engine.simulator import ProgramSimulator
from narrowgauge.sim.rtl.bus import CLEAR, DONE, ERROR, IDLE, Bus, Until

from .engine_programs import SMALL

MOST_TOKENS = 12
STALLS = ((0, 0), (100, 150), (240, 30), (30, 240))
IMAGE = random.Random(1).randbytes(BEAT_BYTES * SMALL.weight_depth)

_HANG = 30_000
"""Cycles after which a host gives up waiting."""

_DRAIN = 3000
"""Cycles in which a packet of this file is sent, whatever the stalls."""


def _product(sentence: int, base: int, wait: int) -> Contract:
    """Rows of WEIGHT that the tokens choose, with biases of the packet."""
    return Contract(
        sentence=sentence, wait_stream=wait, nk_source=Count.TOKENS, a_space=Space.IDENTITY, b_space=Space.WEIGHT,
        b_indexed=Indexed.LOOPK, b_index_stride=1, bias=1, bias_base=base % 16, rows=8, c_space=Space.WIDE,
        c_base=base, c_stridew=1, bits=16,
    )  # fmt: skip


def _program(*, last: Store | None = None, vector: tuple[Instruction, ...] = ()) -> Program:
    """A program that stores results, loads again, and stores more."""
    index = Load(memory=Memory.INDEX, count_source=Count.LENGTH)
    stream = (
        index,
        replace(index, sentence=1),
        Load(memory=Memory.BIAS, count=8),
        Store(wait_array=2, count=8),
        Store(sentence=1, wait_array=2, base=16, count=8),
        Load(memory=Memory.BIAS, base=8, count=8),
        last or Store(wait_array=3, base=8, count=8),
    )
    array = (_product(0, 0, 3), _product(1, 16, 3), _product(0, 8, 6))
    init = (Load(memory=Memory.WEIGHT, count=SMALL.weight_depth),)
    return Program(SMALL, MOST_TOKENS, 2, init, array, vector, stream, zlib.crc32(IMAGE))


def _sealed(program: bytes) -> bytes:
    return program[:-BEAT_BYTES] + struct.pack("<Q", zlib.crc32(program[:-BEAT_BYTES]))


def _with_word(name: str, value: int) -> bytes:
    at = 4 * [word for word, _ in isa.HEADER].index(name)
    return _sealed(GOOD[:at] + struct.pack("<I", value) + GOOD[at + 4 :])


GOOD = to_bytes(_program())
UNSOUND = (
    _with_word("magic", 7),
    _with_word("version", 7),
    _with_word("kv_depth", 1 << 20),
    GOOD[:-1] + b"\x01",
)
"""Programs that PROGRAM refuses."""

FAILING = (
    to_bytes(_program(last=Store(wait_array=3, base=80, count=9))),
    _sealed(GOOD[: -BEAT_BYTES - 1] + b"\x80" + GOOD[-BEAT_BYTES:]),
    to_bytes(_program(vector=(Softmax(wait_stream=4),))),
    to_bytes(_program(last=Store(wait_vector=1))),
)
"""Programs whose RUN stops at an instruction, the last one or a SOFTMAX: with ADDRESS, FIELD, STAT and DEADLOCK."""


@dataclass(frozen=True)
class Sentences:
    """A RUN of the good program: its packet, its registers, its results."""

    packet: bytes
    lengths: tuple[int, ...]
    results: bytes


@cache
def _simulator() -> ProgramSimulator:
    engine = ProgramSimulator(SMALL, strict=True)
    engine.load_program(GOOD)
    engine.init(IMAGE)
    return engine


def sentences(rng: random.Random) -> Sentences:
    """One or two random sentences."""
    lengths = tuple(rng.randint(1, MOST_TOKENS) for _ in range(rng.randint(1, 2)))
    columns = [rng.randrange(SMALL.weight_depth) for _ in range(INDEX_COLUMNS * sum(lengths))]
    biases = [rng.randint(-20000, 20000) for _ in range(16)]
    packet = struct.pack(f"<{len(columns)}H", *columns) + struct.pack("<16q", *biases)
    return Sentences(packet, lengths, _simulator().run(packet, lengths))


class RandomHost:
    """Drives an engine through random sequences.

    Args:
        bus: the engine.

    Attributes:
        seen: how often each thing happened: actions, states, and error codes by their names.
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.seen: Counter[str] = Counter()
        self._rng = random.Random(0)
        self._log: list[str] = []
        self._first = False
        # Whether the good program and its image are in the engine.
        self._loaded = False
        # Whether a packet had no TLAST, or a clear or a reset may have split one.
        self._split = False
        # RUNs that were written while the engine was idle, and those that it may have accepted.
        self._sure = self._maybe = 0
        # The number of packets that were looked at, and the error that was seen last.
        self._looked = self._error = 0
        # Of the RUN that is executed: its results if they are known, whether no command or clear came after it,
        # and whether the receive channel received its packet from the first beat.
        self._results: bytes | None = None
        self._current = self._whole = False

    def sequence(self, seed: int) -> None:
        """A random sequence, the recovery, and a good sentence.

        Raises:
            AssertionError: with the actions of the sequence.
        """
        rng = self._rng = random.Random(seed)
        try:
            if rng.random() < 0.3:
                self._load(rng.choice(FAILING))
            elif not self._loaded:
                self._load(GOOD)
            self._log, self._first = [], True
            self._stall()
            for number in range(rng.randint(2, 9)):
                actions, weights = zip(*self._actions().items(), strict=True)
                (self._command if number == 0 else rng.choices(actions, weights)[0])()
                self._look()
            self._recover()
            self._stall()
            if not self._loaded:
                self._load(GOOD)
            for _ in range(rng.choice((1, 1, 2))):
                self._sentence()
        except AssertionError as error:
            raise AssertionError("\n".join((str(error), f"in sequence {seed}:", *self._log))) from error
        self.seen["sequence"] += 1

    def _actions(self) -> dict[Callable[[], None], int]:
        return {
            self._command: 7, self._wait: 5, self._pause: 6, self._register: 3, self._clear: 3, self._clears: 1,
            self._clear_border: 1,
            self._stop_send: 1, self._stop_receive: 2, self._receive: 2, self._stall: 1,
        }  # fmt: skip

    def _note(self, name: str, more: object = "") -> None:
        self.seen[name] += 1
        self._log.append(f"{self.bus.cycles}: {name} {more}")

    # Actions

    def _command(self) -> None:
        """A command with its packet, in any order, or without one."""
        rng = self._rng
        kind = rng.choices(("PROGRAM", "INIT", "RUN", "unknown"), (2, 2, 12, 1))[0]
        code = int(Command[kind]) if kind != "unknown" else rng.choice((0, 4, 5, 6, 7))
        results = None
        if kind == "PROGRAM":
            packet = rng.choice(rng.choice(((GOOD,), UNSOUND, UNSOUND, FAILING)))
        elif kind == "INIT":
            packet = IMAGE if rng.random() < 0.7 else bytes([IMAGE[0] ^ 1]) + IMAGE[1:]
        else:
            run = sentences(rng)
            packet, lengths, results = run.packet, run.lengths, run.results
            if rng.random() < 0.1:
                lengths = rng.choice(
                    ((), (0,), (MOST_TOKENS + 1,), (1, 0), (1, 1, 1), (1,), (MOST_TOKENS, 3))
                )
                results = None
            self._registers(lengths)
        last, how = True, rng.random()
        if how < 0.2:
            packet = packet[: BEAT_BYTES * rng.randint(1, len(packet) // BEAT_BYTES)]
            last = rng.random() < 0.5
        elif how < 0.4:
            packet += bytes(BEAT_BYTES * rng.randint(1, 9))
        self.bus.write("TIMEOUT", rng.choice((0, 0, 40, 400)))
        self.bus.write("INTERRUPT_ENABLE", rng.randrange(2))
        if last and not self._first and rng.random() < 0.5:
            # Commands are ignored while the engine is busy.
            self.bus.step(1000, Until.RAISED)
        steps = rng.sample(("send", "receive", "command"), 3)
        if rng.random() < 0.2:
            steps.remove(rng.choice(("send", "receive")))
        for step in steps:
            if step == "receive":
                self._receive()
            elif step == "command":
                self._start(code, results if last and "send" in steps and self._first else None)
            elif not self.bus.sending:
                self._log.append(f"{self.bus.cycles}: {len(packet) // BEAT_BYTES} beats, TLAST {last}")
                self._split = self._split or not last
                self.bus.send(packet, last=last)
            self.bus.step(rng.choice((0, 0, 1, 3, 30)))
        self._first = False

    def _registers(self, lengths: Sequence[int]) -> None:
        self.bus.write("SENTENCES", len(lengths))
        for number, length in enumerate(lengths[: isa.SENTENCES]):
            self.bus.write(f"LENGTH{number}", length)

    def _start(self, code: int, results: bytes | None) -> None:
        status = self.bus.read("STATUS")
        self._packet()
        self.bus.write("CONTROL", code)
        self._note("command", f"{code}, STATUS was {status:#x}")
        if status & ERROR:
            self.seen["command in the error state"] += 1
            return
        self._results = results if self._loaded else None
        self._current = self._whole = status & IDLE != 0 and code == Command.RUN
        if code == Command.RUN:
            self._sure += self._current
            self._maybe += not self._current
        elif code in (Command.PROGRAM, Command.INIT):
            self._loaded = False

    def _wait(self) -> None:
        """Waits for an end, as a driver does."""
        until = Until.RECEIVED if self.bus.receiving and self._rng.random() < 0.7 else Until.RAISED
        self.bus.step(self._rng.choice((300, 1500)), until)
        self._note("wait")

    def _pause(self) -> None:
        if self._rng.random() < 0.3:
            self._first_beat()
        self.bus.step(self._rng.choice((1, 2, 3, 5, 10, 20, 50, 100, 200)))
        self._note("pause")

    def _first_beat(self) -> None:
        """Waits until a packet is being received."""
        for _ in range(400):
            if self.bus.receiving and self.bus.received:
                return
            self.bus.step(1)

    def _register(self) -> None:
        rng = self._rng
        name = rng.choice(("LENGTH0", "LENGTH1", "SENTENCES", "INTERRUPT_ENABLE", "INTERRUPT", "TIMEOUT"))
        value = rng.choice((0, 1, 2, 3, 1 << 31, rng.getrandbits(32)))
        self.bus.write(name, value)
        self._note("register", f"{name} = {value}")

    def _clear(self) -> None:
        state = self.bus.read("STATUS")
        self.bus.write("CONTROL", CLEAR | self._rng.randrange(8))
        self._current, self._split = False, True
        self._note("clear", f"STATUS was {state:#x}")
        name = "idle" if state & IDLE else "in the error state" if state & ERROR else "busy"
        self.seen[f"clear while {name}"] += 1

    def _clear_border(self) -> None:
        """A clear close to the first or the last beat of a short packet."""
        if self.bus.sending:
            return
        beats = self._rng.randint(1, 4)
        self._note("clear at a border", f"of {beats} beats")
        self.bus.send(bytes(BEAT_BYTES * beats))
        for cycle in sorted(self._rng.sample(range(10), self._rng.choice((1, 1, 2)))):
            self.bus.write_later(cycle, "CONTROL", CLEAR)
        self.bus.step(self._rng.choice((10, 15)))
        self._current, self._split, self._results = False, True, None

    def _clears(self) -> None:
        for _ in range(self._rng.choice((2, 2, 3))):
            self._clear()
        self.seen["several clears"] += 1

    def _stop_send(self) -> None:
        if self.bus.sending:
            self.seen["reset of the send channel in mid-packet"] += 1
            self._split, self._results = True, None
        self.bus.stop_send()
        self._note("reset of the send channel")

    def _stop_receive(self) -> None:
        if self._rng.random() < 0.7:
            self._first_beat()
        if self.bus.receiving and self.bus.received:
            self.seen["reset of the receive channel in mid-packet"] += 1
            self._whole = False
        self.bus.stop_receive()
        self._note("reset of the receive channel")

    def _receive(self) -> None:
        self._packet()
        if not self.bus.receiving:
            self.bus.receive()
            self._note("receive")

    def _stall(self) -> None:
        self.bus.stall(self._rng.choice(STALLS), self._rng.getrandbits(30))

    # What always holds

    def _look(self) -> int:
        """Reads STATUS, and checks what can be said at any time."""
        status = self.bus.read("STATUS")
        assert self.bus.broken is None, self.bus.broken
        self._packet()
        if status & ERROR:
            assert status == ERROR | status & 0xFF00 and status >> 8, f"STATUS is {status:#x}"
            if status != self._error:
                self.seen[Error(status >> 8).name] += 1
        else:
            assert status in (0, IDLE, IDLE | DONE), f"STATUS is {status:#x}"
        self._error = status & ERROR and status
        return status

    def _packet(self) -> None:
        """Looks at the packet that was received, if any."""
        if self.bus.packets == self._looked:
            return
        assert self.bus.packets == self._looked + 1, "two packets in one receive"
        self._looked += 1
        assert self._looked <= self._sure + self._maybe, "a packet without a RUN"
        beats = self.bus.received
        last = int.from_bytes(beats[-BEAT_BYTES:], "little")
        closed = last >> 32 == CLOSING_MAGIC
        if closed:
            assert last & 0xFFFFFFFF in list(Error), f"the closing beat is {last:#x}"
            self.seen["closing beat"] += 1
        status = self.bus.read("STATUS")
        if self._current and status & ERROR:
            assert closed and last & 0xFF == status >> 8, f"STATUS {status:#x}, closing beat {last:#x}"
        if self._current and status & DONE:
            assert not closed, "a closing beat after done"
        if self._results is not None and self._whole:
            if closed:
                beats = beats[:-BEAT_BYTES]
                self.seen["results before a closing beat"] += bool(beats)
            good = beats == self._results[: len(beats)] if closed else beats == self._results
            assert good, "the packet is no prefix of the results"
            self.seen["packet compared with the results"] += 1
        self._results = None

    def _raised(self) -> bool:
        return self.bus.interrupt

    # The end of a sequence

    def _recover(self) -> None:
        """The recovery of docs/isa.md."""
        # One clear suffices inside a packet whose end comes, and at its end.
        inside = not self.bus.sending or self.bus.sent > 0
        simple = not self._split and inside and not self._look() & IDLE
        self._clear()
        for _ in range(_DRAIN // 10):
            if self.bus.step(10, Until.SENT):
                break
            if not self._look() & IDLE:
                self._receive()
        if simple:
            assert not self.bus.sending, "the engine does not discard a packet"
            self.seen["recovery with one clear"] += 1
        else:
            self._stop_send()
            self._clear()
            self._clear()
        assert self._until_idle(_HANG), "the engine does not become idle"
        self._split = False
        self._note("recovery")
        assert not (self.bus.receiving and self.bus.received), "idle in the middle of a packet"
        assert self._sure <= self.bus.packets, f"{self.bus.packets} packets of {self._sure} RUNs"
        self.seen["sequence whose packets are not known exactly"] += self._maybe > 0
        self._sure, self._maybe = self.bus.packets, 0
        if self._rng.random() < 0.5:
            self.bus.stop_receive()

    def _until_idle(self, limit: int) -> bool:
        end = self.bus.cycles + limit
        while not self._look() & IDLE:
            if self.bus.cycles > end:
                return False
            self._receive()
            self.bus.step(self._rng.choice((1, 10)))
        return True

    def _load(self, program: bytes) -> None:
        for command, packet in ((Command.PROGRAM, program), (Command.INIT, IMAGE)):
            self.bus.write("TIMEOUT", 0)
            self.bus.write("INTERRUPT_ENABLE", 1)
            self.bus.write("CONTROL", int(command))
            self.bus.step(2)
            self.bus.send(packet)
            assert self.bus.step(_HANG, Until.RAISED), f"{command.name} does not end"
            assert self._look() == IDLE | DONE, command.name
            assert not self.bus.sending
        self._loaded = program == GOOD

    def _sentence(self) -> None:
        """A good RUN: right results, no sign of done before its last beat is taken, one packet."""
        rng, bus = self._rng, self.bus
        run = sentences(rng)
        enabled = rng.random() < 0.7
        self._note("sentence", f"of {run.lengths}, interrupt {enabled}")
        self._registers(run.lengths)
        bus.write("TIMEOUT", rng.choice((0, _DRAIN)))
        bus.write("INTERRUPT_ENABLE", int(enabled))
        late = rng.random() < 0.3
        early = not late and rng.random() < 0.5
        if early:
            self._receive()
        before = rng.random() < 0.5
        if before:
            bus.send(run.packet)
        self._start(Command.RUN, run.results)
        start = bus.cycles
        assert self._current, "the engine is not idle"
        bus.step(2)
        assert not bus.interrupt, "an interrupt of an earlier command"
        if not before:
            bus.send(run.packet)
        if late:
            bus.stop_receive()
            bus.step(rng.choice((100, 1000)))
            assert not self._look() & (DONE | IDLE), "done while the host has received nothing"
        self._receive()
        limit = bus.cycles + _HANG
        while not bus.interrupt and bus.packets < self._sure:
            assert bus.cycles < limit, "a good RUN does not end"
            if rng.random() < 0.1:
                name = rng.choice(("LENGTH0", "LENGTH1", "SENTENCES", "TIMEOUT"))
                bus.write(name, rng.choice((0, 1, 5, 1 << 31)))
            bus.step(rng.choice((1, 7, 40)))
            status = bus.read("STATUS")
            assert not status & (DONE | IDLE) or bus.packets == self._sure, (
                "done before the last beat was taken"
            )
        bus.step(4)
        assert self._look() == IDLE | DONE, f"STATUS is {bus.read('STATUS'):#x}"
        assert bus.read("ERROR_WHERE") == 0
        assert bus.packets == self._sure and bus.received == run.results, "the results differ"
        assert abs(bus.ended - start - bus.read("CYCLES")) <= 2, "CYCLES does not count to the last beat"
        assert self._raised() is enabled
        if enabled:
            assert bus.raised > bus.ended, "the interrupt came before the last beat was taken"
            bus.write("INTERRUPT", 1)
        else:
            bus.write("INTERRUPT_ENABLE", 1)
            assert bus.read("INTERRUPT") == 0
        bus.step(3)
        assert not bus.interrupt
        self.seen["good sentence"] += 1
