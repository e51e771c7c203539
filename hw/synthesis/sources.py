"""The engine's RTL for tools: files in order, the top module, its parameters."""

from __future__ import annotations

from pathlib import Path

from ..isa import Memory, Parameters
from .silicon import PLAIN, Silicon

RTL = Path(__file__).parents[1] / "rtl"
"""Folder of the SystemVerilog sources."""

TOP = "ng_engine"

WRAPPER = RTL / "narrowgauge.v"
"""The top module for a block design: plain Verilog, with the vendor's port names."""


def sources() -> list[Path]:
    """The files of the design below `WRAPPER`, packages first."""
    packages = [RTL / "ng_isa_pkg.sv", RTL / "ng_pkg.sv"]
    return packages + sorted(p for p in RTL.glob("ng_*.sv") if p not in packages)


def top_parameters(parameters: Parameters, silicon: Silicon = PLAIN) -> dict[str, int]:
    """The parameters of the top module, by their names in SystemVerilog."""
    depths = {f"{memory.name.capitalize()}Depth": parameters.depth(memory) for memory in Memory}
    return {"Lanes": parameters.lanes, **depths, **silicon.generics(parameters)}
