"""The combinational arcs of primitives, in LUT levels.

Along a path, a LUT counts one level, and so does the asynchronous read of a memory in LUTs; carry chains and wide
multiplexers count none, but the carry cells on the path are reported separately. Every other cell ends a path: the
delay of a DSP or block RAM without registers is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

Arc = tuple[int, int, int, int]
"""A target and a source, which are bits of nets, and the LUTs and carry cells between them."""


@dataclass(frozen=True, order=True)
class Levels:
    """The length of a path: LUTs, and carry cells (of 4 bits on xc7, of 8 on xcup)."""

    lut: int = 0
    carry: int = 0

    def __add__(self, other: Levels) -> Levels:
        return Levels(self.lut + other.lut, self.carry + other.carry)

    def __str__(self) -> str:
        return f"{self.lut}+{self.carry}"


def arcs_of(module: Mapping[str, Any]) -> list[Arc]:
    """All combinational arcs in a module from yosys' `write_json`, except those of constants."""
    return [
        (target, source, lut, carry)
        for cell in module["cells"].values()
        for target, source, lut, carry in _arcs(cell["type"], cell["connections"])
        # Constants are strings.
        if isinstance(target, int) and isinstance(source, int)
    ]


def incoming(arcs: Iterable[Arc]) -> dict[int, list[Arc]]:
    """The arcs by their targets."""
    found: dict[int, list[Arc]] = {}
    for arc in arcs:
        found.setdefault(arc[0], []).append(arc)
    return found


def in_order(into: Mapping[int, list[Arc]]) -> Iterator[int]:
    """The bits of arcs, which are given by their targets, each bit after the sources of its arcs.

    Raises:
        ValueError: the arcs form a loop.
    """
    try:
        yield from TopologicalSorter(
            {bit: [arc[1] for arc in arcs] for bit, arcs in into.items()}
        ).static_order()
    except CycleError as error:
        raise ValueError("the module has a combinational loop") from error


def is_combinational(kind: str) -> bool:
    """Whether paths go through a cell, or through some of its pins, instead of ending there."""
    return re.fullmatch(r"LUT[1-6]|INV|MUXF[789]|CARRY[48]|RAM\d+(M\d*|X\d+[SD]\w*)", kind) is not None


def _arcs(kind: str, ports: Mapping[str, list[Any]]) -> Iterator[tuple[Any, Any, int, int]]:
    """Combinational paths from an input to an output of a cell, with the LUTs and carry cells on them."""
    if re.fullmatch(r"LUT[1-6]|INV", kind):
        (output,) = ports["O"]
        for name in ports.keys() - {"O"}:
            yield output, ports[name][0], 1, 0
    elif re.fullmatch(r"MUXF[789]", kind):
        for name in ("I0", "I1", "S"):
            yield ports["O"][0], ports[name][0], 0, 0
    elif re.fullmatch(r"CARRY[48]", kind):
        yield from _carry_arcs(int(kind[5:]), ports)
    elif re.fullmatch(r"RAM\d+(M\d*|X\d+[SD]\w*)", kind):
        for data, address in _reads(ports):
            for output in ports.get(data, ()):
                for bit in ports[address]:
                    yield output, bit, 1, 0


def _carry_arcs(size: int, ports: Mapping[str, list[Any]]) -> Iterator[tuple[Any, Any, int, int]]:
    """The arcs of a carry cell; yosys may leave out ports that nothing is connected to."""
    unused = ["x"] * size
    inputs = {name: ports.get(name, unused) for name in ("S", "DI")}
    for place, (carry, result) in enumerate(
        zip(ports.get("CO", unused), ports.get("O", unused), strict=True)
    ):
        for name in ("CI", "CYINIT", "CI_TOP"):
            for bit in ports.get(name, ()):
                yield carry, bit, 0, 1
                yield result, bit, 0, 1
        for below in range(place + 1):
            for name in ("S", "DI"):
                yield carry, inputs[name][below], 0, 1
                if below < place or name == "S":
                    yield result, inputs[name][below], 0, 1


def _reads(ports: Mapping[str, list[Any]]) -> Iterator[tuple[str, str]]:
    """The data port, which may be unconnected, and the address port of each read of a memory in LUTs."""
    for name in ports:
        if name.startswith("ADDR"):
            yield f"DO{name.removeprefix('ADDR')}", name
        elif name.startswith("DPRA"):
            yield "DPO", name
        elif re.fullmatch(r"A\d*", name):
            yield "SPO" if "SPO" in ports else "O", name
