"""Places and routes a small engine on a Lattice ECP5 with open tools: a check of the paths with real delays.

It is another family of FPGAs: the frequency says nothing about Xilinx parts. It shows whether long wires, large
enables or unregistered multipliers limit the clock, which counts of LUTs do not show.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...files import read_json
from ...toolchain import find_mapper, find_nextpnr
from ..isa import Parameters
from .sources import WRAPPER, top_parameters
from .yosys import Progress, elaborate, run_tool

FAMILIES = ("ecp5",)
"""Families that an engine can be routed on."""

DEVICE = ("--85k", "--package", "CABGA756", "--speed", "6")
"""LFE5U-85F, the slowest speed grade."""

ENGINE = Parameters(
    lanes=8, weight_depth=8192, kv_depth=512, act_depth=1024, vector_depth=512, score_depth=64, wide_depth=512,
    stat_depth=16, bias_depth=2048, norm_depth=1024, table_depth=2048, exp_depth=1024, index_depth=64,
    program_depth=512,
)  # fmt: skip
"""The engine that is routed: with these depths it leaves half of the block RAMs of the device free."""

TARGET = 65.0
"""The clock frequency, in MHz, that the routed engine must reach."""

_SEED = 1

_PLACER = ("--placer-heap-timingweight", "30", "--placer-heap-critexp", "3")
"""Timing counts more than by default in nextpnr's placer; the frequency in docs/synthesis.md is with these."""


@dataclass(frozen=True)
class Hop:
    """A part of a routed path.

    Attributes:
        kind: "clk-to-q", "logic", "routing" or "setup", as nextpnr names them.
        name: the net, or the cell with its port.
        delay: in ns.
    """

    kind: str
    name: str
    delay: float


@dataclass(frozen=True)
class Routed:
    """A placed and routed engine.

    Attributes:
        tools: versions of yosys and nextpnr.
        frequency: highest clock frequency in MHz.
        path: the path between registers that limits it.
        used: number of cells of each kind, and those that the device has.
    """

    tools: str
    frequency: float
    path: tuple[Hop, ...]
    used: Mapping[str, tuple[int, int]]


def route(parameters: Parameters = ENGINE, progress: Progress = lambda _: None) -> Routed:
    """Synthesizes, places and routes an engine on an ECP5, out of context, with the same seed each time.

    Args:
        parameters: of the engine.
        progress: called with a description of each step.

    Raises:
        UserError: yosys or nextpnr-ecp5 is missing.
        RuntimeError: a tool failed, for instance because the engine does not fit.
    """
    # The wrapper leaves the probes unconnected, so that only the engine itself remains.
    return route_module(WRAPPER.stem, top_parameters(parameters), progress)


def route_module(top: str, parameters: Mapping[str, int], progress: Progress = lambda _: None) -> Routed:
    """Synthesizes, places and routes a module and those in it, see `route`.

    Args:
        top: a module of the RTL with one clock.
        parameters: of the module.
        progress: called with a description of each step.
    """
    yosys, nextpnr = find_mapper(), find_nextpnr()
    design = elaborate(top, parameters, progress)
    with tempfile.TemporaryDirectory() as folder:
        text = "".join(module.text() for module in design.modules.values())
        Path(folder, "design.il").write_text(text, encoding="utf-8")
        script = f"read_rtlil design.il\nsynth_ecp5 -top {design.top} -json netlist.json\n"
        Path(folder, "script.ys").write_text(script, encoding="utf-8")
        run_tool(yosys, ["-Q", "-T", "-s", "script.ys"], Path(folder), lambda step: progress(f"ecp5: {step}"))
        arguments = [
            *DEVICE, "--out-of-context", "--seed", str(_SEED), "--freq", f"{TARGET:g}", "--timing-allow-fail", *_PLACER,
            "--json", "netlist.json", "--report", "report.json",
        ]  # fmt: skip
        run_tool(nextpnr, arguments, Path(folder), lambda step: progress(f"ecp5: {step}"))
        report = read_json(Path(folder, "report.json"))
    return read_report(report, f"{yosys.version}, {nextpnr.version}")


def read_report(report: Mapping[str, Any], tools: str) -> Routed:
    """The figures in a report of nextpnr.

    Args:
        report: the content of the JSON file.
        tools: versions of yosys and nextpnr.
    """
    # One clock, whose path starts and ends at it; the others start or end at the ports.
    (clock,) = report["fmax"]
    (path,) = (
        found["path"]
        for found in report["critical_paths"]
        if found["from"] == found["to"] == f"posedge {clock}"
    )
    return Routed(
        tools,
        report["fmax"][clock]["achieved"],
        tuple(Hop(part["type"], _name(part), part["delay"]) for part in path),
        {
            kind: (used["used"], used["available"])
            for kind, used in report["utilization"].items()
            if used["used"]
        },
    )


def _name(part: Mapping[str, Any]) -> str:
    return str(part.get("net") or f"{part['to']['cell']}.{part['to']['port']}")
