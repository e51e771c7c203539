"""Random and damaged programs: every engine against the interpreter in `sim.oracle`.

The same output, the same words, or the same error at the same instruction; and after an error the engine, cleared, runs
a sound program as if nothing had been.
"""

from __future__ import annotations

import contextlib
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from narrowgauge.errors import UserError
from narrowgauge.fixedpoint import IntArray
from narrowgauge.hls.runner import HlsEngine
from narrowgauge.hw.host.engine import Engine
from narrowgauge.hw.isa import BEAT_BYTES, Error, Memory, Unit, closing_beat
from narrowgauge.hw.isa.assembler import assemble
from narrowgauge.hw.isa.program import ProgramError, to_bytes
from narrowgauge.sim.engine.simulator import ProgramSimulator
from narrowgauge.sim.oracle.engine import Oracle, TooLong

from ..support.engine_programs import SMALL, Case, damaged, random_case

Words = dict[tuple[Unit, int], dict[tuple[Memory, int], list[int]]]


@dataclass
class Outcome:
    """The outcome of a case: the results, or the command that failed, with its error and instruction.

    `packet` is what the last command sent.
    """

    command: str = "done"
    error: Error | None = None
    where: tuple[Unit | None, int | None] = (None, None)
    output: bytes = b""
    packet: bytes = b""
    writes: Words = field(default_factory=dict)
    before: Words = field(default_factory=dict)


def judge(case: Case, oracle: Oracle) -> Outcome:
    """The outcome that docs/isa.md requires.

    Raises:
        TooLong: too much to be said of this case.
    """
    command = "program"
    try:
        oracle.load_program(case.program)
        command = "init"
        oracle.init(case.image)
    except ProgramError as error:
        return Outcome(command, error.error, (error.unit, error.number))
    return judge_run(case, oracle)


def judge_run(case: Case, oracle: Oracle) -> Outcome:
    """The outcome that docs/isa.md requires of another RUN."""
    try:
        output = oracle.run(case.packet, case.lengths)
    except ProgramError as error:
        return Outcome("run", error.error, (error.unit, error.number), packet=oracle.packet)
    return Outcome(output=output, packet=oracle.packet, writes=oracle.writes, before=oracle.before)


def execute(case: Case, engine: Engine) -> Outcome:
    """The outcome on an engine, which is cleared after an error."""
    command = "program"
    try:
        engine.load_program(case.program)
        command = "init"
        engine.init(case.image)
    except ProgramError as error:
        packet = engine.packet
        engine.clear()
        return Outcome(command, error.error, (error.unit, error.number), packet=packet)
    return execute_run(case, engine)


def execute_run(case: Case, engine: Engine) -> Outcome:
    """The outcome of another RUN on an engine."""
    found = Outcome()

    def on_write(
        unit: Unit,
        number: int,
        memory: Memory,
        addresses: IntArray,
        words: IntArray,
        before: IntArray | None,
    ) -> None:
        at = Unit(unit), int(number)
        for i, address in enumerate(np.asarray(addresses).tolist()):
            place = Memory(memory), address
            found.writes.setdefault(at, {})[place] = np.asarray(words[i]).tolist()
            if before is not None:
                found.before.setdefault(at, {})[place] = (
                    np.asarray(before[i]).astype(np.int64) % 256
                ).tolist()

    try:
        found.output = engine.run(case.packet, list(case.lengths), on_write)
    except ProgramError as error:
        packet = engine.packet
        engine.clear()
        return Outcome("run", error.error, (error.unit, error.number), packet=packet)
    found.packet = engine.packet
    return found


def simulator() -> Engine:
    return ProgramSimulator(SMALL)


def hls_native() -> Engine:
    return _hls(True)


def hls_ap_int() -> Engine:
    return _hls(False)


def _hls(native: bool) -> Engine:
    try:
        return HlsEngine(SMALL, native=native)
    except UserError as error:
        pytest.skip(str(error))


ENGINES = [simulator, hls_native]


def random_cases(seed: int, count: int) -> Iterator[Case]:
    """Sound and damaged cases, some damaged twice."""
    for i in range(count):
        rng = random.Random(1_000_003 * seed + i)
        case = random_case(rng, washed=rng.random() < 0.3)
        for _ in range(rng.choice([0, 0, 1, 1, 2])):
            case = damaged(rng, case)
        yield case


def sound_case(seed: int) -> Case:
    """A case without an error, whose results do not depend on the earlier contents of memories."""
    for i in range(100):
        rng = random.Random(1_000_003 * seed + i)
        case = random_case(rng, washed=True)
        outcomes = []
        for junk in (False, True):
            oracle = Oracle(SMALL)
            if junk:
                oracle.fill(rng)
            outcomes.append(judge(case, oracle))
        if outcomes[0] == outcomes[1] and any(outcomes[0].output) and not oracle.hazards:
            return case
    raise AssertionError("no random case is sound")


def sweep(make: Callable[[], Engine], seed: int, count: int) -> None:
    """Compares `count` cases, each on an engine of its own, and runs a sound one after every error."""
    sound = sound_case(seed)
    good = judge(sound, Oracle(SMALL))
    for number, case in enumerate(random_cases(seed, count)):
        oracle = Oracle(SMALL)
        try:
            expected = judge(case, oracle)
            # A CONTRACT that reads what it writes itself may see the old word or the new.
            if oracle.hazards:
                continue
            engine = make()
            assert execute(case, engine) == expected, f"case {number} of {seed}"
            if expected.error is None:
                # Memories keep their content from one run to the next.
                again = judge_run(case, oracle)
                assert execute_run(case, engine) == again, f"second run of case {number} of {seed}"
        except TooLong:
            continue
        if expected.error is not None:
            assert execute(sound, engine) == good, f"after case {number} of {seed}"


@pytest.mark.parametrize("make", ENGINES)
@pytest.mark.parametrize("seed", range(4))
def test_random_and_damaged_programs(make: Callable[[], Engine], seed: int) -> None:
    sweep(make, seed, 100)


@pytest.mark.slow
@pytest.mark.parametrize("make", [*ENGINES, hls_ap_int])
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_random_and_damaged_programs(make: Callable[[], Engine], seed: int) -> None:
    sweep(make, seed, 2000 if make is not hls_ap_int else 300)


@pytest.mark.parametrize("make", ENGINES)
def test_a_run_after_an_error_needs_no_new_program(make: Callable[[], Engine]) -> None:
    rng = random.Random(5)
    case = sound_case(7)
    oracle, engine = Oracle(SMALL), make()
    assert execute(case, engine) == judge(case, oracle)
    codes = set()
    for _ in range(300):
        bad = damaged(rng, case)
        if (bad.program, bad.image) != (case.program, case.image):
            continue
        expected = judge_run(bad, oracle)
        assert execute_run(bad, engine) == expected
        codes.add(expected.error)
        assert execute_run(case, engine) == judge_run(case, oracle)
    assert {Error.LENGTH, Error.TRUNCATED, Error.OVERRUN} <= codes


@pytest.mark.parametrize("make", ENGINES)
def test_commands_in_the_wrong_order(make: Callable[[], Engine]) -> None:
    case = sound_case(8)
    engine = make()

    def refused(command: Callable[..., Any], *arguments: Any) -> None:
        with pytest.raises(ProgramError) as stop:
            command(*arguments)
        assert stop.value.error is Error.COMMAND
        assert (stop.value.unit, stop.value.number) == (None, None)
        assert engine.packet == (closing_beat(Error.COMMAND) if command == engine.run else b"")
        with pytest.raises(ProgramError, match=r"error state|in the order"):
            engine.run(case.packet, list(case.lengths))
        assert engine.packet == b""
        engine.clear()

    refused(engine.init, case.image)
    refused(engine.run, case.packet, list(case.lengths))
    engine.load_program(case.program)
    refused(engine.run, case.packet, list(case.lengths))
    with pytest.raises(ProgramError):
        engine.init(case.image[:-8])
    engine.clear()
    refused(engine.run, case.packet, list(case.lengths))
    engine.init(case.image)
    assert engine.run(case.packet, list(case.lengths)) == judge(case, Oracle(SMALL)).output
    with pytest.raises(ProgramError):
        engine.load_program(case.program[:-8])
    engine.clear()
    refused(engine.init, case.image)


HEAD = """
.lanes 8
.weight_depth 160
.kv_depth 96
.act_depth 96
.vector_depth 72
.score_depth 40
.wide_depth 88
.stat_depth 6
.bias_depth 80
.norm_depth 48
.table_depth 600
.exp_depth 512
.index_depth 40
.program_depth 64
.max_length 40
.sentences 2
.init
LOAD memory=WEIGHT count=160
LOAD memory=BIAS count=80
LOAD memory=NORM count=48
LOAD memory=TABLE count=600
LOAD memory=EXP count=512
"""
LOAD = "\n.stream\nLOAD memory=INDEX count_source=LENGTH\n"
STORE_WIDE = "\n.stream\nSTORE wait_array=1 count=88\n"
SUM = "nk=3 a_stridek=1 b_space=WEIGHT b_base=9 b_stridek=2"
CORNERS = {
    "a count beyond what STAT holds": f".array\nCONTRACT n1=257 rows=8 c_space=WIDE {SUM} bits=16 stat=SUMS\n"
    ".vector\nLAYERNORM size=8 wait_array=1",
    "a statistic of another count, and a source out of range": f".array\nCONTRACT rows=8 {SUM} stat=MAX\n"
    ".vector\nSOFTMAX wait_array=1 source=39 target=71",
    "a table out of range, and a statistic of another kind": ".vector\nSOFTMAX exp_id=2",
    "a slot out of range": ".vector\nLAYERNORM stat_slot=6",
    "no statistic, and a target out of range": ".vector\nLAYERNORM target=72",
    "the largest of wide numbers": f".array\nCONTRACT rows=5 c_space=WIDE {SUM} bits=16 shift=2 stat=MAX\n"
    "CONTRACT rows=5 c_space=SCORE nk=2 a_stridek=1 b_space=WEIGHT b_stridek=1 shift=9 wait_array=1\n"
    ".vector\nSOFTMAX wait_array=2",
    "the largest of unsigned numbers": f".array\nCONTRACT rows=5 c_space=SCORE {SUM} is_unsigned=1 shift=7 stat=MAX\n"
    ".vector\nSOFTMAX wait_array=1",
    "sums of unsigned numbers": f".array\nCONTRACT rows=8 c_space=WIDE {SUM} bits=16 is_unsigned=1 shift=-1 stat=SUMS\n"
    ".vector\nLAYERNORM size=8 count=8 wait_array=1 shift=18",
    "sums of unsigned bytes": f".array\nCONTRACT rows=8 {SUM} is_unsigned=1 shift=7 stat=SUMS\n"
    f"CONTRACT rows=8 c_space=WIDE {SUM} bits=16 shift=4\n"
    ".vector\nLAYERNORM size=8 count=8 wait_array=2 shift=18",
    "a table's entries in WIDE": f".array\nCONTRACT rows=8 c_space=WIDE {SUM} shift=8 has_table=1 stat=SUMS"
    + STORE_WIDE,
    "a table out of range, and no words": f".array\nCONTRACT rows=0 {SUM} has_table=1 table_id=2",
    "a table that ends out of range": f".array\nCONTRACT {SUM} has_table=1 table_id=2",
    "a slot out of range, and a kept tile": f".array\nCONTRACT keep=1 {SUM} stat=SUMS stat_slot=6\nCONTRACT {SUM}",
    "a kept tile gathers nothing": f".array\nCONTRACT keep=1 {SUM} stat=MAX\nCONTRACT rows=5 c_space=SCORE {SUM}\n"
    ".vector\nSOFTMAX wait_array=2",
    "a kept tile, and a skipped instruction": f".array\nCONTRACT keep=1 {SUM}\nCONTRACT sentence=1 {SUM}\n"
    f"CONTRACT n2=2 rows=16 c_stride2=8 c_space=WIDE {SUM} bits=16" + STORE_WIDE,
    "a kept tile, and no tile": f".array\nCONTRACT keep=1 {SUM}\nCONTRACT n0=0 {SUM}\n"
    f"CONTRACT rows=8 c_space=WIDE {SUM} bits=16" + STORE_WIDE,
    "a kept tile out of range": ".array\nCONTRACT keep=1 c_base=500 bias=1 bias_base=500 b_space=WEIGHT\nCONTRACT",
    "operands out of range, and no words": ".array\nCONTRACT rows=0 nk=9 b_base=88 b_stridek=1",
    "no operands": ".array\nCONTRACT rows=0 nk=0 a_base=4000000 b_base=4000000 c_base=1000000",
    "no tiles": ".array\nCONTRACT n1=0 a_base=4000000 b_base=4000000 c_base=1000000 rows=8",
    "no tiles to gather": ".array\nCONTRACT n1=0 stat=MAX\n.vector\nSOFTMAX wait_array=1",
    "an index at the end of its half": ".array\nCONTRACT n0=20 b_indexed=LOOP0 wait_stream=1" + LOAD,
    "an index past its half": ".array\nCONTRACT n0=21 b_indexed=LOOP0 wait_stream=1" + LOAD,
    "an index of the reduction past its half": ".array\nCONTRACT nk=21 a_indexed=LOOPK wait_stream=1" + LOAD,
    "an index of nothing past its half": ".array\nCONTRACT a_space=IDENTITY nk=21 a_indexed=LOOPK" + LOAD,
    "more indices than a half has": ".stream\nLOAD memory=INDEX count=21",
    "a residual in place": f".array\nCONTRACT rows=8 c_space=WIDE {SUM} bits=16\n"
    f"CONTRACT rows=8 c_space=WIDE {SUM} bits=16 residual_space=WIDE shift=1\n"
    ".stream\nSTORE wait_array=2 count=88",
    "nothing loaded out of range": ".stream\nLOAD memory=INDEX count_source=LENGTH\nLOAD count=0 base=200",
    "nothing loaded at the end": ".stream\nLOAD count=0 base=160\nLOAD memory=INDEX count_source=LENGTH",
    "nothing loaded past the end": ".stream\nLOAD count=0 base=161\nLOAD memory=INDEX count_source=LENGTH",
    "nothing stored at the end": LOAD + "STORE base=88 count=0",
    "nothing stored past the end": LOAD + "STORE base=89 count=0",
    "nothing stored out of range": LOAD + "STORE base=200 count=0",
    "one word too many stored": LOAD + "STORE base=80 count=9",
    "an instruction that waits for itself": f".array\nCONTRACT {SUM}\nCONTRACT wait_array=2\n"
    ".vector\nSOFTMAX wait_array=2",
    "an instruction that waits for the next": ".array\nCONTRACT wait_vector=1\n.vector\nSOFTMAX wait_array=1",
    "a skipped instruction that waits forever": ".array\nCONTRACT block=63 wait_array=99\nCONTRACT wait_array=1",
    "a skipped instruction out of range": ".array\nCONTRACT block=63 a_base=4000000 stat=SUMS stat_slot=60",
}
"""Programs for rare cases: the text after `HEAD`."""


@pytest.mark.parametrize("make", ENGINES)
@pytest.mark.parametrize("corner", CORNERS)
def test_corners(make: Callable[[], Engine], corner: str) -> None:
    text = CORNERS[corner]
    if ".stream" not in text:
        text += LOAD
    elif "INDEX" not in text:
        text = text.replace(".stream", LOAD)
    rng = random.Random(corner)
    image = rng.randbytes(8 * (160 + 80 + 48 + 600 + 512))
    program = replace(assemble(HEAD + text), image_crc=zlib.crc32(image))
    case = Case(to_bytes(program), image, rng.randbytes(16 * 5), (5,))
    assert execute(case, make()) == judge(case, Oracle(SMALL))


def test_the_random_cases_meet_every_error_and_every_way_through() -> None:
    """The generator covers the cases that the sweeps rely on."""
    codes, partial = set(), set()
    changed = 0
    for case in random_cases(0, 400):
        with contextlib.suppress(TooLong):
            outcome = judge(case, Oracle(SMALL))
            codes.add(outcome.error)
            changed += any(outcome.output)
            if outcome.error is not None and len(outcome.packet) > BEAT_BYTES:
                partial.add(outcome.error)
    # Nothing here waits for a beat in vain.
    assert codes == {None, *Error} - {Error.NONE, Error.TIMEOUT, Error.COMMAND}
    assert changed > 40
    assert {Error.ADDRESS, Error.OVERRUN} <= partial
