"""The longest path and the largest clock enable of a design over module borders.

Each module is synthesized once, and its netlist is reduced to arcs between bits (`netlist_of`). `join` copies the arcs
of the modules into every instance and connects the instances at their ports. Only arcs that touch a border are copied:
a path between two registers of one module is found once, in the module.

The result is an upper bound for a synthesis without hierarchy, which optimizes across borders.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .design import Design
from .levels import Arc, Levels, arcs_of, in_order, incoming, is_combinational

_ENABLE = re.compile(r"(REG)?CE\w*|\w+_CE_\w|EN_?[AB]\w*|EN\w+EN")
"""Pins that enable the clock of a flip-flop, a shift register, a DSP or a memory block."""

_NO_END = re.compile(r"GND|VCC|BUFG|\$scopeinfo")


@dataclass(frozen=True)
class Netlist:
    """What the join needs of a module's netlist. Bits are numbers; constants are absent.

    Attributes:
        ports: direction and bits of each port, by name. Each bit of an output has a number of its own.
        outputs: the bit inside the module that drives each bit of an output.
        inner: bits at the ports of each instance, by instance and port; None for a constant.
        arcs: combinational arcs.
        ends: bits that are inputs of registers, memory blocks or DSPs, with the name of one such input.
        enables: number of clock enables at each bit.
        names: names of bits.
    """

    ports: Mapping[str, tuple[str, list[int]]]
    outputs: Mapping[int, int]
    inner: Mapping[str, Mapping[str, list[int | None]]]
    arcs: list[Arc]
    ends: Mapping[int, str]
    enables: Mapping[int, int]
    names: Mapping[int, str]

    def record(self) -> dict[str, Any]:
        """A form that JSON can hold, for `from_record`."""
        return {
            "ports": self.ports,
            "outputs": list(self.outputs.items()),
            "inner": self.inner,
            "arcs": self.arcs,
            "ends": list(self.ends.items()),
            "enables": list(self.enables.items()),
            "names": list(self.names.items()),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Netlist:
        """Reverses `record`."""
        return cls(
            ports={name: (way, bits) for name, (way, bits) in record["ports"].items()},
            outputs=dict(record["outputs"]),
            inner=record["inner"],
            arcs=[(target, source, lut, carry) for target, source, lut, carry in record["arcs"]],
            ends=dict(record["ends"]),
            enables=dict(record["enables"]),
            names=dict(record["names"]),
        )


def netlist_of(module: Mapping[str, Any], instances: set[str]) -> Netlist:
    """The netlist of a module from yosys' `write_json`.

    Args:
        module: ports, cells and names of nets.
        instances: names of the cells that are modules of the design.
    """
    cells = {name: cell for name, cell in module["cells"].items() if name not in instances}
    names = _names(module, cells)
    ends: dict[int, str] = {}
    enables: Counter[int] = Counter()
    for name, cell in cells.items():
        for pin, bit in _registered(cell):
            ends.setdefault(bit, _end_name(name, cell, pin, names))
            if _ENABLE.fullmatch(pin):
                enables[bit] += 1
    ports: dict[str, tuple[str, list[int]]] = {}
    outputs: dict[int, int] = {}
    free = 1 + max((bit for bits in _bits(module) for bit in bits if isinstance(bit, int)), default=0)
    for name, port in module["ports"].items():
        bits = port["bits"]
        if port["direction"] == "output":
            places = range(free, free + len(bits))
            free += len(bits)
            outputs |= {place: bit for place, bit in zip(places, bits, strict=True) if isinstance(bit, int)}
            names |= {place: _indexed(name, at, len(bits)) for at, place in enumerate(places)}
            bits = list(places)
        ports[name] = (port["direction"], bits)
    inner = {
        name: {
            port: [bit if isinstance(bit, int) else None for bit in bits]
            for port, bits in module["cells"][name]["connections"].items()
        }
        for name in sorted(instances & module["cells"].keys())
    }
    return Netlist(ports, outputs, inner, arcs_of({"cells": cells}), ends, enables, names)


def _bits(module: Mapping[str, Any]) -> Iterator[list[Any]]:
    for port in module["ports"].values():
        yield port["bits"]
    for cell in module["cells"].values():
        yield from cell["connections"].values()


def _names(module: Mapping[str, Any], cells: Mapping[str, Any]) -> dict[int, str]:
    """The names of bits: those of the source, of several the shortest; else the cell at which a path begins there."""
    found: dict[int, str] = {}
    for name, net in module.get("netnames", {}).items():
        if net.get("hide_name"):
            continue
        for at, bit in enumerate(net["bits"]):
            text = _indexed(name, at + net.get("offset", 0), len(net["bits"]))
            if isinstance(bit, int) and (bit not in found or len(text) < len(found[bit])):
                found[bit] = text
    for name, cell in cells.items():
        if not is_combinational(cell["type"]):
            for pin, bits in cell["connections"].items():
                for bit in bits if _is_output(cell, pin) else ():
                    if isinstance(bit, int):
                        found.setdefault(bit, f"{_cell_name(name, cell)}.{pin}")
    return found


def _indexed(name: str, at: int, width: int) -> str:
    return name if width == 1 else f"{name}[{at}]"


def _registered(cell: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The pins at which a path ends, with their bits."""
    kind = cell["type"]
    if _NO_END.fullmatch(kind) or (is_combinational(kind) and not kind.startswith("RAM")):
        return
    for pin, bits in cell["connections"].items():
        if not _is_output(cell, pin):
            for bit in bits:
                if isinstance(bit, int):
                    yield pin, bit


def _is_output(cell: Mapping[str, Any], pin: str) -> bool:
    return bool(cell["port_directions"][pin] == "output")


def _cell_name(name: str, cell: Mapping[str, Any]) -> str:
    return str(cell["type"]) if name.startswith("$") else name


def _end_name(name: str, cell: Mapping[str, Any], pin: str, names: Mapping[int, str]) -> str:
    """The name of an input: of a flip-flop, that of its output; the pin is added unless it is D."""
    (output,) = cell["connections"].get("Q", [None])[:1] or [None]
    text = names.get(output, "") if isinstance(output, int) else ""
    text = text or _cell_name(name, cell)
    return text if pin == "D" else f"{text}.{pin}"


@dataclass(frozen=True)
class Step:
    """A net on a path: its name with the instances that it is in, and the length of the path up to it."""

    name: str
    levels: Levels


@dataclass(frozen=True)
class Path:
    """A combinational path.

    Attributes:
        levels: its length.
        start: the register, memory block, DSP or port of the top module at which it begins.
        end: the one at which it ends.
        steps: the named nets on it, without the end.
    """

    levels: Levels
    start: str
    end: str
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Enable:
    """A net that enables clocks, and the number of its loads."""

    name: str = ""
    loads: int = 0


@dataclass(frozen=True)
class Timing:
    """Figures of a design over module borders.

    Attributes:
        path: its longest path.
        enable: the enable with the most loads.
        ends: the longest path that ends in each instance itself, by the path of the instance.
    """

    path: Path
    enable: Enable
    ends: Mapping[str, Path]


@dataclass(frozen=True)
class _Reduced:
    """A module without the parts that touch no border.

    Attributes:
        net: the whole module.
        inner: instance and module of the instances in it.
        arcs: arcs from bits that depend on an input of the module or on an output of an instance in it.
        kept: bits at borders and those of `arcs`.
        into: all arcs, by their targets.
        lengths: the longest path to each bit from a register of the module itself, if there is one.
        end: the end of the longest path inside, if there is one.
        enable: of the bits that are not kept, the one with most clock enables, if there is one.
    """

    net: Netlist
    inner: tuple[tuple[str, str], ...]
    arcs: list[Arc]
    kept: set[int]
    into: Mapping[int, list[Arc]]
    lengths: Mapping[int, Levels]
    end: int | None
    enable: int | None

    def trace(self, bit: int) -> Iterator[tuple[int, Levels]]:
        """The bits on the longest path to a bit from a register of the module, from the end, with the lengths."""
        here: int | None = bit
        while here is not None:
            length = self.lengths[here]
            yield here, length
            here = next(
                (
                    source
                    for _, source, lut, carry in self.into.get(here, ())
                    if source in self.lengths and self.lengths[source] + Levels(lut, carry) == length
                ),
                None,
            )


def _reduced(design: Design, netlists: Mapping[str, Netlist], name: str) -> _Reduced:
    net, inner = netlists[name], design.modules[name].inner
    into = incoming([*net.arcs, *((port, bit, 0, 0) for port, bit in net.outputs.items())])
    roots = {bit for way, bits in net.ports.values() if way != "output" for bit in bits}
    kept = {bit for _, bits in net.ports.values() for bit in bits} | set(net.outputs.values())
    for instance, module in inner:
        for port, bits in net.inner.get(instance, {}).items():
            known = {bit for bit in bits if bit is not None}
            kept |= known
            if netlists[module].ports[port][0] == "output":
                roots |= known
    late = set(roots)
    lengths: dict[int, Levels] = {}
    arcs: list[Arc] = []
    for bit in in_order({bit: into.get(bit, []) for bit in [*kept, *net.ends, *into]}):
        mine = into.get(bit, [])
        if bit in roots:
            continue
        outer = [arc for arc in mine if arc[1] in late]
        if outer:
            late.add(bit)
            arcs += outer
        local = [lengths[source] + Levels(lut, carry) for _, source, lut, carry in mine if source in lengths]
        if local or not mine:
            lengths[bit] = max(local, default=Levels())
    end = max((bit for bit in net.ends if bit in lengths), key=lambda bit: lengths[bit], default=None)
    kept |= late
    inside = net.enables.keys() - kept
    enable = max(inside, key=lambda bit: (net.enables[bit], -bit), default=None)
    return _Reduced(net, inner, arcs, kept, into, lengths, end, enable)


class _Joined:
    """The arcs of all instances of a design between numbered nets."""

    def __init__(self, design: Design, netlists: Mapping[str, Netlist]) -> None:
        self.parts = {name: _reduced(design, netlists, name) for name in design.modules}
        self.instances: list[tuple[str, _Reduced, dict[int, int]]] = []
        self.names: list[str] = []
        """Name of each net; "" if it has none."""
        self.into: dict[int, list[Arc]] = {}
        self.base: dict[int, tuple[Levels, int, int]] = {}
        """The longest path to a net that is inside an instance, the instance, and the bit in it."""
        self.loads: list[int] = []
        """Clock enables at each net, without those behind an output that it drives."""
        self.constant: set[int] = set()
        """Nets at inputs that are connected to a constant: what they enable is always enabled."""
        self.driver: dict[int, int] = {}
        """For nets at outputs of an instance, the net inside that drives it."""
        self._add(design.top, "", {})
        _, top, nets = self.instances[0]
        for way, bits in top.net.ports.values():
            for bit in bits if way != "output" else ():
                self.base[nets[bit]] = Levels(), 0, bit

    def _net(self, name: str) -> int:
        self.names.append(name)
        self.loads.append(0)
        return len(self.names) - 1

    def _add(self, module: str, path: str, nets: dict[int, int]) -> None:
        """Adds an instance, whose ports are connected to nets, and the instances in it."""
        part = self.parts[module]
        number = len(self.instances)
        self.instances.append((path, part, nets))
        inputs = {bit for way, bits in part.net.ports.values() if way == "input" for bit in bits}
        unconnected = inputs - nets.keys() if number else set()
        for bit in sorted(part.kept - nets.keys()):
            nets[bit] = self._net(_inside(path, part.net.names.get(bit, "")))
        self.constant |= {nets[bit] for bit in unconnected}
        for bit in part.kept:
            if bit in part.lengths:
                self.base[nets[bit]] = part.lengths[bit], number, bit
            self.loads[nets[bit]] += part.net.enables.get(bit, 0)
        self.driver |= {nets[port]: nets[bit] for port, bit in part.net.outputs.items()}
        for target, source, lut, carry in part.arcs:
            self.into.setdefault(nets[target], []).append((nets[target], nets[source], lut, carry))
        for instance, inner in part.inner:
            connections = part.net.inner.get(instance, {})
            outer: dict[int, int] = {}
            for port, (_, bits) in self.parts[inner].net.ports.items():
                for bit, place in zip(bits, connections.get(port, ()), strict=False):
                    if place is not None:
                        outer[bit] = nets[place]
            self._add(inner, _inside(path, instance), outer)

    def timing(self) -> Timing:
        """The longest paths and the largest enable."""
        lengths = {net: base[0] for net, base in self.base.items()}
        before: dict[int, int] = {}
        for net in in_order(self.into):
            for _, source, lut, carry in self.into.get(net, ()):
                if source in lengths:
                    length = lengths[source] + Levels(lut, carry)
                    if net not in lengths or length > lengths[net]:
                        lengths[net], before[net] = length, source
        ends = {}
        for number, (path, part, nets) in enumerate(self.instances):
            last = dict(part.net.ends)
            if number == 0:
                last |= {bit: part.net.names[bit] for bit in part.net.outputs}
            late = [bit for bit in last if nets.get(bit) in lengths]
            end = max(late, key=lambda bit: lengths[nets[bit]], default=None)
            if part.end is not None and (end is None or part.lengths[part.end] > lengths[nets[end]]):
                ends[path] = self._path(self._steps(number, part.end), _inside(path, last[part.end]))
            elif end is not None:
                ends[path] = self._path(self._trace(nets[end], lengths, before), _inside(path, last[end]))
        longest = max(ends.values(), key=lambda path: path.levels, default=Path(Levels(), "", ""))
        return Timing(longest, self._enable(), ends)

    def _steps(self, number: int, bit: int) -> list[Step]:
        """The path to a bit inside an instance, from the end."""
        path, part, _ = self.instances[number]
        return [Step(_inside(path, part.net.names.get(here, "")), length) for here, length in part.trace(bit)]

    def _trace(self, net: int, lengths: Mapping[int, Levels], before: Mapping[int, int]) -> list[Step]:
        """The path to a net, from the end."""
        steps = []
        while net in before:
            steps.append(Step(self.names[net], lengths[net]))
            net = before[net]
        steps.append(Step(self.names[net], lengths[net]))
        _, number, bit = self.base[net]
        top = number == 0 and bit not in self.instances[0][1].lengths
        return steps if top else steps + self._steps(number, bit)

    @staticmethod
    def _path(steps: list[Step], end: str) -> Path:
        named = tuple(dict.fromkeys(step for step in reversed(steps) if step.name))
        return Path(steps[0].levels, named[0].name if named else "", end, named)

    def _enable(self) -> Enable:
        """The net with most loads: those outside an output belong to the bit inside that drives it."""
        totals: Counter[int] = Counter()
        for net, loads in enumerate(self.loads):
            while net in self.driver:
                net = self.driver[net]
            totals[net] += loads
        enables = [
            Enable(self.names[net], loads) for net, loads in totals.items() if net not in self.constant
        ]
        for path, part, _ in self.instances:
            if part.enable is not None:
                name = part.net.names.get(part.enable, "")
                enables.append(Enable(_inside(path, name), part.net.enables[part.enable]))
        return max(enables, key=lambda enable: enable.loads, default=Enable())


def _inside(path: str, name: str) -> str:
    """The name of something in an instance; "" if it has no name."""
    return f"{path}.{name}" if path and name else name


def join(design: Design, netlists: Mapping[str, Netlist]) -> Timing:
    """The longest paths and the largest enable of a design over module borders.

    Args:
        design: the modules and their instances.
        netlists: the netlist of each module.

    Raises:
        ValueError: the design has a combinational loop.
    """
    return _Joined(design, netlists).timing()
