"""Scenarios for the bench of the engine: commands of a host, with the outcomes that the program simulator gives."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from narrowgauge.hw import isa
from narrowgauge.hw.compiler.compile import compile_graph
from narrowgauge.hw.compiler.timing import simulate
from narrowgauge.hw.host.packets import pack_indices
from narrowgauge.hw.isa import (
    Contract,
    Error,
    Load,
    Memory,
    Parameters,
    Softmax,
    Space,
    Stat,
    Store,
)
from narrowgauge.hw.isa.program import Program, ProgramError, to_bytes
from narrowgauge.sim.benches.scenario import ENGINE, Step
from narrowgauge.sim.engine.simulator import ProgramSimulator

from .engine_programs import Case, random_case
from .graphs import random_graph, random_sentences

STALLS = (0.0, 0.2, 0.5)


class Recorder:
    """Commands as steps; the simulator executes them as well and gives their outcomes.

    Attributes:
        steps: so far.
        stall: of the steps to come.
        results: of the last RUN without an error; steps that are stopped or fail may send some of them.
    """

    def __init__(self, parameters: Parameters = ENGINE) -> None:
        self.steps: list[Step] = []
        self.stall = 0.0
        self.results = ""
        self._engine = ProgramSimulator(parameters)
        self._parameters = parameters

    def program(self, packet: bytes) -> Error:
        """PROGRAM."""
        return self._record(1, packet, (), None)

    def init(self, packet: bytes) -> Error:
        """INIT."""
        return self._record(2, packet, (), None)

    def run(
        self,
        packet: bytes,
        lengths: Sequence[int],
        busy: int | None = None,
        writes: tuple[tuple[str, int], ...] = (),
    ) -> Error:
        """RUN, with register writes during it."""
        error = self._record(3, packet, tuple(lengths), busy)
        self.steps[-1] = replace(self.steps[-1], writes=writes)
        return error

    def stop(
        self, command: int, packet: bytes, lengths: Sequence[int], how: str, after: int, blocked: bool = False
    ) -> None:
        """A command that the host stops by "clear", "abandon" or "reset"."""
        self.steps.append(
            Step(
                command, packet.hex(), tuple(lengths), results=self.results, stop=how, after=after, blocked=blocked,
                stall=self.stall,
            )
        )  # fmt: skip
        if how == "reset":
            self._engine = ProgramSimulator(self._parameters)

    def timeout(self, command: int, packet: bytes, lengths: Sequence[int], where: int) -> None:
        """A command whose packet comes too late."""
        self.steps.append(
            Step(
                command,
                packet.hex(),
                tuple(lengths),
                Error.TIMEOUT,
                where,
                self.results,
                timeout=100,
                stall=self.stall,
            )
        )

    def _record(self, command: int, packet: bytes, lengths: tuple[int, ...], busy: int | None) -> Error:
        results, code, where = self.results, Error.NONE, 0
        engine = self._engine
        try:
            if command == 1:
                engine.load_program(packet)
            elif command == 2:
                engine.init(packet)
            else:
                results = self.results = engine.run(packet, lengths).hex()
        except ProgramError as error:
            code = error.error
            if engine.where is not None:
                unit, number = engine.where
                where = 1 << 31 | unit << 16 | number
            engine.clear()
        self.steps.append(
            Step(
                command, packet.hex(), lengths, code, where, results, None if code else busy, stall=self.stall
            )
        )  # fmt: skip
        return code


def graphs(seed: int, count: int) -> list[Step]:
    """Small models, compiled; each runs sentences of different lengths one after the other."""
    recorder = Recorder()
    rng = np.random.default_rng(seed)
    for number in range(count):
        graph = random_graph(
            rng, features=8, heads=2, layers=number % 2, ffn=9, vocabulary=9, max_length=12, rank=2
        )
        per_run = 1 + number % 2
        compiled = compile_graph(graph, sentences=per_run, engine=ENGINE, tight=True)
        recorder.stall = STALLS[1 + number % 2]
        assert not recorder.program(to_bytes(compiled.program))
        assert not recorder.init(compiled.image)
        sentences = random_sentences(rng, graph, 3 * per_run)
        for first in range(0, len(sentences), per_run):
            part = sentences[first : first + per_run]
            lengths = [len(s.tokens) for s in part]
            packet = b"".join(pack_indices(compiled.inputs, s.tokens, s.segments) for s in part)
            busy = sum(e.busy for e in simulate(compiled.program, lengths).events if e.unit == 0)
            recorder.stall = STALLS[first // per_run % 3]
            assert not recorder.run(packet, lengths, busy)
    return recorder.steps


def sound_case(rng: random.Random) -> Case:
    """A random program that ends without an error and whose results depend on nothing but the program."""
    while True:
        case = random_case(rng, ENGINE, washed=True)
        engine = ProgramSimulator(ENGINE, strict=True)
        try:
            engine.load_program(case.program)
            engine.init(case.image)
            engine.run(case.packet, case.lengths)
        except ProgramError:
            continue
        return case


def random_write(rng: random.Random, ends: bool) -> tuple[str, int]:
    """A register write that must not change the current command; `ends`: the command may end before it."""
    values = {
        "SENTENCES": rng.choice((0, 1, 2, 3, rng.getrandbits(32))),
        "LENGTH0": rng.choice((0, 1, rng.randint(1, 12), rng.getrandbits(32))),
        "LENGTH1": rng.choice((0, 1, rng.randint(1, 12), rng.getrandbits(32))),
        "TIMEOUT": rng.choice((0, 1, 3, rng.getrandbits(32))),
    }
    if not ends:
        # Commands are accepted when idle; bit 31 would stop this one. An interrupt that is disabled at its end is lost.
        values |= {"CONTROL": rng.getrandbits(31), "INTERRUPT": rng.getrandbits(1)}
        values |= {"INTERRUPT_ENABLE": rng.getrandbits(1)}
    # Read-only registers.
    values |= {name: rng.getrandbits(32) for name in ("STATUS", "ERROR_WHERE", "LANES", "CYCLES")}
    register = rng.choice([*values, "SENTENCES", "LENGTH0", "LENGTH1", "TIMEOUT"])
    return register, values[register]


def written_over(seed: int, count: int) -> list[Step]:
    """Models of two sentences; during each run the host writes registers for the next one."""
    recorder = Recorder()
    rng, bits = np.random.default_rng(seed), random.Random(seed)
    for number in range(count):
        graph = random_graph(
            rng, features=8, heads=2, layers=1 - number % 2, ffn=9, vocabulary=9, max_length=12, rank=2
        )
        compiled = compile_graph(graph, sentences=2, engine=ENGINE, tight=True)
        recorder.stall = 0.2
        assert not recorder.program(to_bytes(compiled.program))
        assert not recorder.init(compiled.image)
        for _ in range(5):
            part = random_sentences(rng, graph, bits.randint(1, 2))
            packet = b"".join(pack_indices(compiled.inputs, s.tokens, s.segments) for s in part)
            recorder.stall = bits.choice(STALLS)
            writes = tuple(random_write(bits, ends=at >= 8) for at in range(16))
            assert not recorder.run(packet, [len(s.tokens) for s in part], writes=writes)
    assert sum(len(step.writes) for step in recorder.steps) >= 150
    return recorder.steps


def random_programs(seed: int, count: int) -> list[Step]:
    """Random programs."""
    rng = random.Random(seed)
    recorder = Recorder()
    for _ in range(count):
        case = sound_case(rng)
        recorder.stall = rng.choice(STALLS)
        assert not recorder.program(case.program)
        assert not recorder.init(case.image)
        assert not recorder.run(case.packet, case.lengths)
    return recorder.steps


def interrupted(seed: int) -> list[Step]:
    """Resets and clears in the middle of each command, each followed by a run without an error."""
    rng = random.Random(seed)
    recorder = Recorder()
    small = Tiny()
    good = (small.program(), small.image, small.packet)

    def load() -> None:
        assert not recorder.program(good[0])
        assert not recorder.init(good[1])

    load()
    assert not recorder.run(good[2], small.lengths)
    for how in ("clear", "abandon", "reset"):
        for command in (3, 2, 1):
            for _ in range(3):
                recorder.stall = rng.choice(STALLS)
                lengths = small.lengths if command == 3 else ()
                recorder.stop(command, good[command - 1], lengths, how, rng.randrange(1, 90))
                if how == "reset" and rng.random() < 0.5:
                    # A reset invalidates the program.
                    assert recorder.run(good[2], small.lengths) is Error.COMMAND
                if how == "reset" or command != 3:
                    load()
                assert not recorder.run(good[2], small.lengths)
    return recorder.steps


def streams(seed: int) -> list[Step]:
    """What a host with a DMA must be able to rely on, docs/isa.md, section 2: each step is followed by a good run.

    Clears in each cycle of a RUN whose results wait and of one whose packet stalls, of PROGRAM and INIT; errors and
    done with results that wait; a packet that comes before its command; an interrupt that is enabled late.
    """
    rng = random.Random(seed)
    recorder = Recorder()
    small = Tiny()
    # All of its results fit into the buffers: only the output can delay its end.
    small.stream[-1] = Store(wait_array=2, base=2, count=1)
    program, image, packet, lengths = small.program(), small.image, small.packet, small.lengths

    def load() -> None:
        assert not recorder.program(program)
        assert not recorder.init(image)

    def good() -> None:
        recorder.stall = rng.choice(STALLS)
        assert not recorder.run(packet, lengths)

    load()
    good()
    for after in (*range(1, 40), *range(40, 130, 6)):
        for how, blocked in (("clear", True), ("abandon", False)):
            recorder.stall = rng.choice(STALLS) if after % 2 else 0.0
            recorder.stop(3, packet, lengths, how, after, blocked)
            good()
    recorder.stall = 0.0
    for command, data, few in ((1, program, (3, 15, 18, 19, 20, 60, 71, 72, 73)), (2, image, (3, 30))):
        for after in few:
            recorder.stop(command, data, (), "clear", after)
            load()
            good()
    for blocked, quiet in ((True, False), (False, True), (True, True)):
        for error in (False, True):
            recorder.run(packet + bytes(8 * error), lengths)
            recorder.steps[-1] = replace(recorder.steps[-1], blocked=blocked, quiet=quiet)
            good()
    for how in ("clear", "abandon"):
        recorder.stop(0, packet * 9, (), how, 8)
        good()
    # In the error state, with the rest of the packet still coming or lost.
    for after in (60, 61, 180, 181):
        recorder.stall = 0.5 if after < 100 else 0.0
        recorder.stop(3, packet * 30, lengths, ("clear", "abandon")[after % 2], after)
        recorder.steps[-1] = replace(recorder.steps[-1], code=Error.OVERRUN)
        good()
    return recorder.steps


class Tiny:
    """A small program that uses all units: a product, its softmax (scores of 5 bits: 32 exponentials), another product.

    Attributes:
        image, packet, lengths: that go with it.
    """

    def __init__(self) -> None:
        rng = random.Random(1)
        self.array: list[isa.Instruction] = [
            Contract(
                wait_stream=1, n2=1, nk=3, a_space=Space.WEIGHT, b_space=Space.WEIGHT, b_base=4, b_stridek=1,
                a_stridek=1, rows=5, c_space=Space.SCORE, shift=6, bits=5, stat=Stat.MAX, stat_slot=1,
            ),
            Contract(
                wait_vector=1, n2=1, nk=5, a_space=Space.WEIGHT, a_stridek=1, b_space=Space.VECTOR, b_stridek=1,
                b_unsigned=1, rows=7, c_space=Space.WIDE, c_base=2, shift=3, bits=16, stat=Stat.SUMS, stat_slot=2,
            ),
        ]  # fmt: skip
        self.vector: list[isa.Instruction] = [Softmax(wait_array=1, stat_slot=1, exp_id=1)]
        self.stream: list[isa.Instruction] = [
            Load(memory=Memory.INDEX, count=3),
            Store(wait_array=2, base=2, count=7),
        ]
        self.init: list[isa.Instruction] = [
            Load(memory=Memory.WEIGHT, count=8),
            Load(memory=Memory.EXP, base=256, count=32),
        ]
        self.image = rng.randbytes(8 * 8) + b"".join(
            struct.pack("<Q", rng.getrandbits(15)) for _ in range(32)
        )
        self.packet = rng.randbytes(16 * 3)
        self.lengths = (5,)

    def program(self, **changes: int) -> bytes:
        """The program, with the CRC of the image in its header."""
        program = Program(
            replace(ENGINE, **changes), 9, 1, tuple(self.init), tuple(self.array), tuple(self.vector),
            tuple(self.stream), zlib.crc32(self.image),
        )  # fmt: skip
        return to_bytes(program)


def _header(program: bytes, name: str, value: int) -> bytes:
    """The program with another word in its header and a valid CRC."""
    at = 4 * [word for word, _ in isa.HEADER].index(name)
    changed = program[:at] + struct.pack("<I", value) + program[at + 4 : -8]
    return changed + struct.pack("<Q", zlib.crc32(changed))


def _field(program: bytes, number: int, low: int, value: int) -> bytes:
    """The program with some bits of an instruction inverted and a valid CRC."""
    at = 4 * len(isa.HEADER) + 64 * number
    word = int.from_bytes(program[at : at + 64], "little") ^ value << low
    changed = program[:at] + word.to_bytes(64, "little") + program[at + 64 : -8]
    return changed + struct.pack("<Q", zlib.crc32(changed))


def errors() -> list[Step]:
    """Every error code, in each command that can end with it; then a clear and a run without an error."""
    recorder = Recorder()
    seen: set[Error] = set()
    good, image, packet, lengths = Tiny().program(), Tiny().image, Tiny().packet, Tiny().lengths

    def recover(program: bool, run: bool = True) -> None:
        if program:
            assert not recorder.program(good)
            assert not recorder.init(image)
        if run:
            assert not recorder.run(packet, lengths)

    def bad(found: Error, wanted: Error) -> None:
        assert found is wanted, (found, wanted)
        seen.add(found)

    def broken(part: str, number: int, **changes: int) -> bytes:
        """The program with one instruction changed."""
        tiny = Tiny()
        instructions = getattr(tiny, part)
        instructions[number] = replace(instructions[number], **changes)
        return tiny.program()

    # COMMAND: RUN and INIT before PROGRAM, an unknown one.
    bad(recorder.run(packet, lengths), Error.COMMAND)
    bad(recorder.init(image), Error.COMMAND)
    recover(program=True)
    recorder.steps.append(Step(5, code=Error.COMMAND))
    recover(program=False)

    for stall in (0.0, 0.3):
        recorder.stall = stall
        # PROGRAM.
        for wanted, program in (
            (Error.MAGIC, _header(good, "magic", 1)),
            (Error.VERSION, _header(good, "version", isa.ISA_VERSION + 1)),
            (Error.PARAMETER, _header(good, "lanes", 16)),
            (Error.PARAMETER, _header(good, "kv_depth", ENGINE.kv_depth + 1)),
            (Error.PARAMETER, _header(good, "vector_count", ENGINE.program_depth)),
            (Error.PROGRAM_CRC, good[:-8] + bytes(8)),
            (Error.TRUNCATED, good[:80]),
            (Error.TRUNCATED, good[:-8]),
            (Error.OVERRUN, good + bytes(8)),
        ):
            bad(recorder.program(program), wanted)
            recover(program=True)
        recorder.timeout(1, good, (), 0)
        recover(program=True)
        # INIT.
        for wanted, program, data in (
            (Error.IMAGE_CRC, good, image[:-16] + bytes(8) + image[-8:]),
            (Error.TRUNCATED, good, image[:-8]),
            (Error.OVERRUN, good, image + bytes(8)),
            (Error.ADDRESS, broken("init", 1, base=ENGINE.exp_depth - 31), image),
            (Error.FIELD, _field(good, 1, 511, 1), image),
        ):
            assert not recorder.program(program)
            bad(recorder.init(data), wanted)
            recover(program=True)
        recorder.timeout(2, image, (), 1 << 31 | 2 << 16)
        recover(program=True)
        # RUN. In PROGRAM memory: two instructions of init, two of the array, one of the vector unit, two of the stream.
        for wanted, program, data, many in (
            (Error.LENGTH, good, packet, (10,)),
            (Error.LENGTH, good, packet, ()),
            (Error.LENGTH, good, packet, (5, 5)),
            (Error.FIELD, _field(good, 3, 511, 1), packet, lengths),
            (Error.FIELD, _field(good, 4, 511, 1), packet, lengths),
            (Error.ADDRESS, broken("array", 1, c_base=ENGINE.wide_depth - 6), packet, lengths),
            (Error.ADDRESS, broken("array", 0, b_base=ENGINE.weight_depth - 2), packet, lengths),
            (Error.ADDRESS, broken("vector", 0, target=ENGINE.vector_depth - 4), packet, lengths),
            (Error.ADDRESS, broken("stream", 1, base=ENGINE.wide_depth - 6), packet, lengths),
            (Error.STAT, good, packet, (4,)),
            (Error.STAT, broken("array", 0, stat=Stat.SUMS), packet, lengths),
            (Error.DEADLOCK, broken("vector", 0, wait_stream=2), packet, lengths),
            (Error.TRUNCATED, good, packet[:-8], lengths),
            (Error.OVERRUN, good, packet + bytes(8), lengths),
        ):
            if program is not good:
                assert not recorder.program(program)
                assert not recorder.init(image)
            bad(recorder.run(data, many), wanted)
            recover(program=program is not good)
        recorder.timeout(3, packet, lengths, 1 << 31 | 2 << 16)
        seen.add(Error.TIMEOUT)
        recover(program=False)
    assert seen == set(Error) - {Error.NONE}
    return recorder.steps
