"""The longest combinational path of a netlist, in LUT levels: a proxy for timing, without any delay.

A path begins and ends at flip-flops, block RAMs, DSPs, shift registers and ports. Along it, a LUT counts one level,
and so does the asynchronous read of a memory in LUTs; carry chains and wide multiplexers count none, but
the carry cells on the path are reported separately. The delay of a DSP or block RAM without registers is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any


@dataclass(frozen=True, order=True)
class Levels:
    """The length of a path: LUTs, and carry cells (of 4 bits on xc7, of 8 on xcup)."""

    lut: int = 0
    carry: int = 0


def longest_path(module: Mapping[str, Any]) -> Levels:
    """The longest path in a module from yosys' `write_json`, by LUTs, then by carry cells.

    Raises:
        ValueError: the module has a combinational loop.
    """
    arcs: dict[int, list[tuple[int, int, int]]] = {}
    for cell in module["cells"].values():
        for target, source, lut, carry in _arcs(cell["type"], cell["connections"]):
            # Constants are strings.
            if isinstance(target, int) and isinstance(source, int):
                arcs.setdefault(target, []).append((source, lut, carry))
    sorter = TopologicalSorter({target: [arc[0] for arc in incoming] for target, incoming in arcs.items()})
    lengths: dict[int, tuple[int, int]] = {}
    try:
        for bit in sorter.static_order():
            lengths[bit] = max(
                (
                    (lengths[source][0] + lut, lengths[source][1] + carry)
                    for source, lut, carry in arcs.get(bit, ())
                ),
                default=(0, 0),
            )
    except CycleError as error:
        raise ValueError("the module has a combinational loop") from error
    return Levels(*max(lengths.values(), default=(0, 0)))


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
        for place, (carry, result) in enumerate(zip(ports["CO"], ports["O"], strict=True)):
            for name in ("CI", "CYINIT", "CI_TOP"):
                for bit in ports.get(name, ()):
                    yield carry, bit, 0, 1
                    yield result, bit, 0, 1
            for below in range(place + 1):
                for name in ("S", "DI"):
                    yield carry, ports[name][below], 0, 1
                    if below < place or name == "S":
                        yield result, ports[name][below], 0, 1
    elif re.fullmatch(r"RAM\d+(M\d*|X\d+[SD]\w*)", kind):
        for data, address in _reads(ports):
            for output in ports.get(data, ()):
                for bit in ports[address]:
                    yield output, bit, 1, 0


def _reads(ports: Mapping[str, list[Any]]) -> Iterator[tuple[str, str]]:
    """The data port, which may be unconnected, and the address port of each read of a memory in LUTs."""
    for name in ports:
        if name.startswith("ADDR"):
            yield f"DO{name.removeprefix('ADDR')}", name
        elif name.startswith("DPRA"):
            yield "DPO", name
        elif re.fullmatch(r"A\d*", name):
            yield "SPO" if "SPO" in ports else "O", name
