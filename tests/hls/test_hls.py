"""The C++ engine: `ap_int` and native types, against the simulator and against whole models; projects and builds."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from narrowgauge.errors import UserError
from narrowgauge.graph.level import Level
from narrowgauge.hls.build import ap_include, build_library, build_testbench, flags
from narrowgauge.hls.config import config_header
from narrowgauge.hls.export import Run, write_project
from narrowgauge.hls.runner import HlsEngine
from narrowgauge.hls.vectors import unit_vectors
from narrowgauge.hw import isa
from narrowgauge.hw.compiler.compile import compile_graph
from narrowgauge.hw.host.engine import Engine
from narrowgauge.hw.isa import Contract, Error, Memory, Space, Store, Unit
from narrowgauge.hw.isa.program import Program, ProgramError, to_bytes
from narrowgauge.sim.engine.simulator import ProgramSimulator
from narrowgauge.sim.golden.model import GoldenModel
from narrowgauge.sim.levels.compare import verify_levels
from narrowgauge.sim.levels.engine import EngineLevel
from narrowgauge.sim.levels.engines import roomy

from ..support.engine_programs import SMALL, Case, damaged, random_case
from ..support.graphs import random_graph, random_sentences
from ..support.vivado import run_stand_ins

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")

HAS_AP = importlib.util.find_spec("hls4ml") is not None
needs_ap = pytest.mark.skipif(not HAS_AP, reason="the ap_int headers are not installed")
TYPES = [pytest.param(True, id="native"), pytest.param(False, id="ap_int", marks=needs_ap)]
# Testbenches with ap_int take a minute to compile.
TESTBENCH_TYPES = [TYPES[0], pytest.param(False, id="ap_int", marks=[needs_ap, pytest.mark.slow])]


def outcome(engine: Engine, case: Case) -> Any:
    """The outcome of a case, with every written word."""
    writes: list[Any] = []

    def on_write(unit: Unit, number: int, memory: Memory, at: Any, words: Any, before: Any) -> None:
        writes.append(
            (unit, number, memory, at.tolist(), words.tolist(), None if before is None else before.tolist())
        )

    try:
        engine.load_program(case.program)
        engine.init(case.image)
        return engine.run(case.packet, case.lengths, on_write), writes
    except ProgramError as error:
        where = engine.where
        engine.clear()
        return error.error, error.unit, error.number, where


def cases(seed: int, count: int) -> list[Case]:
    found = []
    for i in range(count):
        rng = random.Random(7919 * seed + i)
        case = random_case(rng)
        for _ in range(rng.choice([0, 0, 0, 1])):
            case = damaged(rng, case)
        found.append(case)
    return found


@needs_ap
def test_native_types_give_what_ap_int_gives() -> None:
    errors = set()
    for case in cases(1, 150):
        native, ap_int = (outcome(HlsEngine(SMALL, native=native), case) for native in (True, False))
        assert native == ap_int
        errors.add(native[0] if isinstance(native[0], Error) else None)
    assert len(errors) > 6


@pytest.mark.parametrize("native", TYPES)
def test_random_programs_end_as_in_the_simulator(native: bool) -> None:
    """Results and errors; the words of single instructions are compared by the sweeps of test_fuzz_engine."""
    same = 0
    for case in cases(2, 120):
        strict = outcome(ProgramSimulator(SMALL, strict=True), case)
        if strict[0] is Error.NONE:
            # A hazard: the result depends on what memories held or on the order of units.
            continue
        found = outcome(HlsEngine(SMALL, native=native), case)
        if isinstance(strict[0], Error):
            assert found == strict
        else:
            assert found[0] == strict[0]
        same += 1
    assert same > 15


EXTREMES = sorted(
    {
        sign * ((1 << bits) + more)
        for bits in (0, 1, 7, 8, 15, 16, 25, 31, 32, 40, 50)
        for more in (-1, 0, 1)
        for sign in (1, -1)
    }
)


@pytest.mark.parametrize("native", TYPES)
@pytest.mark.parametrize("width", [1, 3, 8, 9, 13, 16, 18, 26, 32, 33, 41, 52])
def test_the_functions_that_drop_bits(native: bool, width: int, tmp_path: Path) -> None:
    """Sums, products and shifts modulo a power of two, of numbers at the limits of their ranges."""
    numbers = [wrapped(v, 52) for v in EXTREMES]
    program = f"""
        #include <cstdio>
        #include "types.hpp"
        using namespace ng;
        int main() {{
            const long long numbers[] = {{{", ".join(f"{v}LL" for v in numbers)}}};
            for (long long x : numbers) {{
                const Signed<52> a = x;
                for (long long y : numbers) {{
                    const Signed<52> b = y;
                    std::printf("%lld %lld %lld %llu %llu %llu\\n",
                        (long long)plus<{width}>(a, b), (long long)minus<{width}>(a, b),
                        (long long)times<{width}>(a, b),
                        (unsigned long long)uplus<{width}>(a, b), (unsigned long long)uminus<{width}>(a, b),
                        (unsigned long long)utimes<{width}>(a, b));
                }}
                for (int n = 0; n < {32 if width <= 32 else 64}; ++n) {{
                    std::printf("%lld %llu\\n", (long long)shift_left<{width}>(wrap<{width}>(a), n),
                        (unsigned long long)ushift_left<{width}>(low<{width}>(a), n));
                }}
            }}
        }}
    """
    (tmp_path / "functions.cpp").write_text(program, encoding="utf-8")
    made = tmp_path / "functions"
    options = [option for option in flags(native) if not option.startswith("-O")]
    subprocess.run(["g++", *options, str(tmp_path / "functions.cpp"), "-o", str(made)], check=True)
    found = subprocess.run([str(made)], capture_output=True, text=True, check=True).stdout.split()
    mask = (1 << width) - 1
    expected: list[int] = []
    for a in numbers:
        for b in numbers:
            results = (a + b, a - b, a * b)
            expected += [wrapped(r, width) for r in results] + [r & mask for r in results]
        for n in range(32 if width <= 32 else 64):
            expected += [wrapped(a << n, width), (a << n) & mask]
    assert [int(text) for text in found] == expected


def wrapped(value: int, bits: int) -> int:
    """Two's complement with `bits` bits."""
    half = 1 << (bits - 1)
    return ((value + half) & ((1 << bits) - 1)) - half


@pytest.mark.parametrize("seed", range(12))
def test_random_models_give_the_golden_integers(seed: int) -> None:
    check_model(seed, native=True)


@needs_ap
def test_a_random_model_with_ap_int() -> None:
    check_model(1000, native=False)


def check_model(seed: int, native: bool) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    lanes, sentences = int(rng.choice(isa.LANES)), int(rng.integers(1, 3))
    compiled = compile_graph(graph, lanes=lanes, sentences=sentences)
    engine = HlsEngine(roomy(compiled.program.parameters), native=native)
    levels: list[Level] = [GoldenModel(graph, threads=1), EngineLevel(graph, compiled, engine, "hls")]
    golden, hls = verify_levels(graph, levels, random_sentences(rng, graph, 3))
    assert hls.equal, hls.first_difference or hls.missing
    assert hls.tensors > golden.tensors // 2


# The turns of the array's loop

TURNS = """
    #include <cstdio>
    #include <cstring>
    #include <random>
    #include "config.h"
    #include "array.hpp"
    using namespace ng;
    static Memories<Config> m;
    int main() {
        std::mt19937 random(5);
        const auto below = [&](unsigned n) { return unsigned(random() % n); };
        for (int n = 0; n < 2000; ++n) {
            Contract c;
            std::memset(static_cast<void*>(&c), 0, sizeof c);
            const unsigned n0 = below(3), n1 = below(3), n2 = 1 + below(4), nk = below(20), rows = below(40);
            const bool columns = below(2) != 0, bias = below(2) != 0, residual = below(3) == 0;
            c.n0 = n0, c.n1 = n1, c.n2 = n2, c.nk = nk, c.rows = rows;
            c.columns = columns, c.bias = bias;
            c.a_space = isa::SPACE_KV, c.c_space = isa::SPACE_WIDE;
            c.b_space = below(2) != 0 ? isa::SPACE_WEIGHT : isa::SPACE_VECTOR;
            c.residual_space = residual ? unsigned(c.b_space) : unsigned(isa::SPACE_NONE);
            Context context;
            context.init = false;
            context.sentences = 1;
            context.length[0] = context.length[1] = 1;
            csim::turns = 0;
            contract<Config>(resolve<Config>(c, context, false), m.weight, m.kv, m.act, m.vector, m.score, m.wide,
                             m.stat, m.bias, m.table, m.index);
            std::printf("%u %u %u %u %d %d %llu\\n", n0 * n1, n2, nk, rows, columns && bias, residual,
                        (unsigned long long)csim::turns);
        }
    }
"""


def turns_of(outer: int, n2: int, nk: int, rows: int, fetches: int, shares: int) -> int:
    """Cycles with one operand pair, one drained word and one bias per cycle, and two tiles.

    A residual from the memory of B (`shares`) takes the turn of a pair, if there is a pair.
    """
    lanes = SMALL.lanes
    free = drained = 0
    for _ in range(outer):
        for i2 in range(n2):
            words = min(lanes, max(0, rows - i2 * lanes))
            start = max(free, drained) if shares and nk else free
            pairs = max(nk, 1, lanes if fetches and words else 0)
            if fetches and words and shares and nk:
                # Biases are read while the pairs wait.
                pairs = max(max(nk, 1), lanes - (start - free))
            free = start + pairs
            if words:
                free = max(free, drained)
                drained = free + words
    return max(free, drained)


def test_the_loop_of_the_array_takes_the_larger_of_pairs_and_words(tmp_path: Path) -> None:
    (tmp_path / "config.h").write_text(config_header(SMALL), encoding="utf-8")
    (tmp_path / "turns.cpp").write_text(TURNS, encoding="utf-8")
    made = tmp_path / "turns"
    options = [option for option in flags(True) if not option.startswith("-O")]
    subprocess.run(
        ["g++", *options, f"-I{tmp_path}", str(tmp_path / "turns.cpp"), "-o", str(made)], check=True
    )
    lines = subprocess.run([str(made)], capture_output=True, text=True, check=True).stdout.splitlines()
    cases = [tuple(map(int, line.split())) for line in lines]
    assert len(cases) == 2000
    assert len(set(cases)) > 500
    for *case, turns in cases:
        assert turns == turns_of(*case), case


# The engine's commands

IMAGE = np.arange(-8, 8, dtype=np.int8).repeat(8).reshape(16, 8)
WIDE_ROWS = Contract(
    a_space=Space.IDENTITY, b_space=Space.WEIGHT, b_stridek=1, nk=8, rows=8, c_space=Space.WIDE, bits=16
)


def program(*array: Contract) -> Program:
    stream = (
        isa.Load(memory=Memory.INDEX, count_source=isa.Count.LENGTH),
        Store(wait_array=len(array), count=8),
    )
    init = (isa.Load(memory=Memory.WEIGHT, count=16),)
    return Program(SMALL, 20, 1, init, array, (), stream, zlib.crc32(IMAGE.tobytes()))


def ready(*array: Contract, most_steps: int = 1 << 20) -> HlsEngine:
    engine = HlsEngine(SMALL, native=True, most_steps=most_steps)
    engine.load_program(to_bytes(program(*array)))
    engine.init(IMAGE.tobytes())
    return engine


def test_a_run_gives_what_was_stored() -> None:
    beats = ready(WIDE_ROWS).run(bytes(16), [1])
    assert np.frombuffer(beats, "<i2").reshape(8, 8).tolist() == IMAGE[:8].tolist()


def test_engines_have_memories_of_their_own() -> None:
    first, second = ready(WIDE_ROWS), HlsEngine(SMALL, native=True)
    with pytest.raises(ProgramError) as caught:
        second.init(IMAGE.tobytes())
    assert caught.value.error is Error.COMMAND
    assert any(first.run(bytes(16), [1]))


def test_an_error_stands_until_it_is_cleared() -> None:
    engine = ready(WIDE_ROWS)
    with pytest.raises(ProgramError) as caught:
        engine.run(bytes(16), [21])
    assert (caught.value.error, engine.error, engine.where) == (Error.LENGTH, Error.LENGTH, None)
    with pytest.raises(ProgramError) as caught:
        engine.run(bytes(16), [1])
    assert caught.value.error is Error.COMMAND
    engine.clear()
    assert (engine.error, engine.where) == (Error.NONE, None)
    with pytest.raises(ProgramError) as caught:
        engine.run(bytes(16), [2])
    assert caught.value.error is Error.TRUNCATED
    assert engine.where == (Unit.STREAM, 0)
    engine.clear()
    assert any(engine.run(bytes(16), [1]))


@pytest.mark.parametrize(("length", "error"), [(1, Error.OVERRUN), (2, Error.TRUNCATED)])
def test_a_packet_without_its_end(length: int, error: Error) -> None:
    with pytest.raises(ProgramError) as caught:
        ready(WIDE_ROWS).run(bytes(16), [length], last=False)
    assert caught.value.error is error


@pytest.mark.parametrize("native", TESTBENCH_TYPES)
def test_the_streams_between_commands(native: bool, tmp_path: Path) -> None:
    """A clear discards a packet that has begun, up to its end, and every packet of a RUN has one end."""
    program = """
        #include <cstdio>
        #include "stream.hpp"
        using namespace ng;
        void put(hls::stream<Beat>& to, int beats, bool last) {
            for (int n = 0; n < beats; ++n) send(n, last && n + 1 == beats, to);
        }
        void show(hls::stream<Beat>& from) {
            while (!from.empty()) {
                const Beat beat = from.read();
                std::printf("%llx%s ", (unsigned long long)beat.data, beat.last != 0 ? "!" : "");
            }
            std::printf("\\n");
        }
        int main() {
            for (int timeout : {0, 3}) {
                hls::stream<Beat> in;
                drop_begun(timeout, in);
                put(in, 3, true);
                put(in, 2, true);
                drop_begun(timeout, in);
                show(in);
                put(in, 3, false);
                drop_begun(timeout, in);
                show(in);
            }
            for (isa::Error error : {isa::ERROR_NONE, isa::ERROR_STAT}) {
                for (bool holding : {false, true}) {
                    hls::stream<Beat> out;
                    StreamState state = start_stream(0);
                    state.holding = holding;
                    state.held = 5;
                    end_packet(state, out, error);
                    show(out);
                }
            }
        }
    """
    (tmp_path / "streams.cpp").write_text(program, encoding="utf-8")
    made = tmp_path / "streams"
    options = [option for option in flags(native) if not option.startswith("-O")]
    subprocess.run(["g++", *options, str(tmp_path / "streams.cpp"), "-o", str(made)], check=True)
    found = subprocess.run([str(made)], capture_output=True, text=True, check=True).stdout.splitlines()
    dropped = ["0 1! ", ""] * 2
    assert found == [*dropped, "4e47455200000000! ", "5! ", "4e47455200000009! ", "4e47455200000009! "]


def test_a_program_without_end_is_refused() -> None:
    forever = replace(WIDE_ROWS, n0=4095, n1=4095, n2=4095, nk=8, rows=1)
    engine = ready(forever)
    with pytest.raises(UserError, match="1048576 steps"):
        engine.run(bytes(16), [1])
    engine.load_program(to_bytes(program(WIDE_ROWS)))
    engine.init(IMAGE.tobytes())
    assert any(engine.run(bytes(16), [1]))


def test_a_length_that_no_register_holds() -> None:
    for length in (-1, 1 << 32, (1 << 32) + 1):
        with pytest.raises(ProgramError) as caught:
            ready(WIDE_ROWS).run(bytes(16), [length])
        assert caught.value.error is Error.LENGTH


# Testbenches and projects


@pytest.mark.parametrize("native", TESTBENCH_TYPES)
@pytest.mark.parametrize("unit", ["array", "vector", "stream"])
def test_unit_testbenches(unit: str, native: bool, tmp_path: Path) -> None:
    bench = build_testbench(unit, SMALL, native)
    for seed in range(20):
        data = unit_vectors(SMALL, seed)[unit]
        (tmp_path / f"{unit}.bin").write_bytes(data)
        result = subprocess.run([str(bench), str(tmp_path)], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
    # The last number of the first test that is not a count: another one must be noticed.
    numbers = np.frombuffer(data, "<i8").copy()
    caught = 0
    for place in range(len(numbers) // 2, len(numbers), max(1, len(numbers) // 40)):
        wrong = numbers.copy()
        wrong[place] ^= 1
        (tmp_path / f"{unit}.bin").write_bytes(wrong.tobytes())
        again = subprocess.run([str(bench), str(tmp_path)], capture_output=True, check=False, timeout=60)
        caught += again.returncode != 0
    assert caught > 5


@pytest.mark.parametrize("lanes", [16, 32])
def test_unit_testbenches_of_other_widths(lanes: int, tmp_path: Path) -> None:
    parameters = replace(SMALL, lanes=lanes)
    for unit, data in unit_vectors(parameters, lanes).items():
        (tmp_path / f"{unit}.bin").write_bytes(data)
        bench = build_testbench(unit, parameters, native=True)
        subprocess.run([str(bench), str(tmp_path)], check=True)


def tiny_project(out: Path, expected: Callable[[bytes], bytes] = lambda beats: beats) -> None:
    engine = ProgramSimulator(SMALL)
    made = program(WIDE_ROWS)
    engine.load_program(to_bytes(made))
    engine.init(IMAGE.tobytes())
    runs = [
        Run((length,), bytes(16 * length), expected(engine.run(bytes(16 * length), [length])))
        for length in (1, 8)
    ]
    write_project(out, to_bytes(made), IMAGE.tobytes(), SMALL, runs, part="xczu3eg-sfvc784-2-e", clock_ns=4)


@pytest.mark.parametrize(
    ("step", "steps"),
    [
        ("csim", ["csim_design"]),
        ("synth", ["csynth_design"]),
        (None, ["csynth_design"]),
        ("cosim", ["csynth_design", "cosim_design"]),
        ("export", ["csynth_design", "export_design"]),
    ],
)
def test_the_script_for_vitis_hls(step: str | None, steps: list[str], tmp_path: Path) -> None:
    """Its commands have the syntax of UG1399, its files exist, and the steps are those that were asked for."""
    tiny_project(tmp_path / "hls")
    facts = tmp_path / "facts.txt"
    script = tmp_path / "hls" / "run_hls.tcl"
    done = run_stand_ins("vitis_hls", "", facts, script, *([] if step is None else [step]))
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, list[str]] = {}
    for line in facts.read_text(encoding="utf-8").splitlines():
        kind, _, rest = line.partition("\t")
        found.setdefault(kind, []).append(rest)
    flags = "-std=c++17 -Isrc"
    assert found == {
        "project": ["project"],
        "top": ["engine"],
        "source": [f"src/engine.cpp\t{flags}"],
        "bench": [
            f"src/tb_engine.cpp\t{flags}",
            *(f"vectors/{name}.bin\t" for name in ("program", "weights", "runs")),
        ],
        "solution": ["solution"],
        "part": ["xczu3eg-sfvc784-2-e"],
        "clock": ["4"],
        "step": steps,
    }


def make(folder: Path, target: str, **variables: str) -> subprocess.CompletedProcess[str]:
    words = [f"{name}={value}" for name, value in variables.items()]
    # A make that runs the tests hands its options down, and then this one prints the folders it enters.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    return subprocess.run(
        ["make", target, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@needs_make
@pytest.mark.parametrize("native", TESTBENCH_TYPES)
def test_a_project_passes_its_own_simulation(native: bool, tmp_path: Path) -> None:
    out = tmp_path / "build" / "hls"
    tiny_project(out)
    result = make(out, "csim", AP_INCLUDE="" if native else str(ap_include()), CXXFLAGS=CXXFLAGS)
    assert result.returncode == 0, result.stderr
    assert "engine: 2 of 2 runs pass" in result.stdout
    assert result.stdout.count("tests pass") == 3
    assert ("-DNG_NATIVE_TYPES" in result.stdout) == native
    assert (
        f"csim: with {'native types with' if native else f'ap_int types of {ap_include()}'}" in result.stdout
    )
    assert ("install hls4ml" in result.stdout) == native


# Not optimized: these programs are small, and compiling is most of the time.
CXXFLAGS = "-std=c++17 -Wall -Wextra -Werror -Wno-unknown-pragmas -Isrc -Icsim"


@needs_make
def test_a_wrong_result_fails_the_simulation(tmp_path: Path) -> None:
    tiny_project(tmp_path / "hls", lambda beats: beats[:-1] + bytes([beats[-1] ^ 1]))
    result = make(tmp_path / "hls", "csim", AP_INCLUDE="", CXXFLAGS=CXXFLAGS)
    assert result.returncode != 0
    assert "run 0: beat 15 of the results differs" in result.stderr


@needs_make
@pytest.mark.parametrize("target", ["synth", "cosim", "export"])
def test_a_missing_vendor_tool_is_named(target: str, tmp_path: Path) -> None:
    tiny_project(tmp_path / "hls")
    if shutil.which("vitis-run") or shutil.which("vitis_hls"):
        pytest.skip("the vendor's tools are installed")
    result = make(tmp_path / "hls", target)
    assert result.returncode != 0
    assert f"source the settings64.sh of Vitis, then make {target}" in result.stderr


@needs_make
def test_the_vendor_tools_are_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_project(tmp_path / "hls")
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools), prepend=":")

    def tool(name: str) -> None:
        (tools / name).write_text(f'#!/bin/sh\necho {name} "$@"\n', encoding="utf-8")
        (tools / name).chmod(0o755)

    tool("vitis_hls")
    assert "vitis_hls -f run_hls.tcl -tclargs cosim" in make(tmp_path / "hls", "cosim").stdout.splitlines()
    tool("vitis-run")
    tool("v++")
    said = make(tmp_path / "hls", "cosim").stdout.splitlines()
    assert said[-2:] == [
        "v++ -c --mode hls --config hls_config.cfg --work_dir work",
        "vitis-run --mode hls --config hls_config.cfg --work_dir work --cosim",
    ]


def test_a_project_has_the_files_that_it_names_and_is_not_mixed_with_another(tmp_path: Path) -> None:
    out = tmp_path / "hls"
    tiny_project(out)
    with pytest.raises(FileExistsError):
        tiny_project(out)
    assert [path.name for path in tmp_path.iterdir()] == ["hls"]
    for config in out.glob("*.cfg"):
        text = config.read_text(encoding="utf-8").splitlines()
        named = [line.split("=", 1)[1] for line in text if line.startswith(("syn.file", "tb.file"))]
        assert len(named) >= 3
        assert all((out / name).is_file() for name in named)


# The build


def test_an_engine_is_compiled_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = build_library(SMALL, native=True)
    assert made.is_relative_to(tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it compiles again"))
    assert build_library(SMALL, native=True) == made
    with pytest.raises(pytest.fail.Exception):
        build_library(replace(SMALL, kv_depth=97), native=True)


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UserError, match="g\\+\\+ is missing"):
        HlsEngine(SMALL, native=True)


def test_missing_headers_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install narrowgauge\[hls4ml\]"):
        HlsEngine(SMALL, native=False)
    assert flags(native=True)
