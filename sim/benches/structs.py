"""Packed structs of the RTL as Python integers; their layout is read from the SystemVerilog packages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from ..rtl.verilate import RTL

_PACKAGES = ("ng_isa_pkg.sv", "ng_pkg.sv")
_COMMENT = re.compile(r"//[^\n]*")
_PARAMETER = re.compile(r"parameter int unsigned (\w+) = (\S+);")
_TYPEDEF = re.compile(r"typedef\s+(logic[^;{]*?|enum\s+logic\s*(?:\[[^]]*\])?)\s*(?:\{[^}]*\})?\s+(\w+);")
_STRUCT = re.compile(r"typedef struct packed \{(.*?)\}\s*(\w+);", re.DOTALL)
_MEMBER = re.compile(r"([\w:]+)\s*(signed)?\s*((?:\[[^]]*\]\s*)*)(\w+)\s*;")
_RANGE = re.compile(r"\[(\w+)(?:-1)?:(\d+)\]")


@dataclass(frozen=True)
class Member:
    """A member of a packed struct: its lowest bit, its width, whether it is signed."""

    low: int
    width: int
    signed: bool


@dataclass(frozen=True)
class Struct:
    """A packed struct.

    Attributes:
        name: of the type.
        members: by name.
        width: in bits.
    """

    name: str
    members: dict[str, Member]
    width: int

    def pack(self, **values: int) -> int:
        """The struct as an integer; members that are not given are 0.

        Raises:
            ValueError: there is no such member, or a value does not fit it.
        """
        word = 0
        for name, value in values.items():
            member = self.members.get(name)
            if member is None:
                raise ValueError(f"{self.name} has no {name}")
            low = -(1 << (member.width - 1)) if member.signed else 0
            if not low <= value < low + (1 << member.width):
                raise ValueError(f"{self.name}.{name} can't hold {value}")
            word |= (value & ((1 << member.width) - 1)) << member.low
        return word

    def unpack(self, word: int) -> dict[str, int]:
        """The members of the struct that is `word`."""
        values = {}
        for name, member in self.members.items():
            value = word >> member.low & ((1 << member.width) - 1)
            values[name] = (
                value - (1 << member.width) if member.signed and value >> (member.width - 1) else value
            )
        return values


@cache
def _layouts() -> tuple[dict[str, Struct], dict[str, int], dict[str, int]]:
    structs: dict[str, Struct] = {}
    numbers: dict[str, int] = {}
    widths: dict[str, int] = {"logic": 1}
    for name in _PACKAGES:
        text = _COMMENT.sub("", (RTL / name).read_text()).replace("ng_isa_pkg::", "")
        for parameter, value in _PARAMETER.findall(text):
            numbers[parameter] = int(value.replace("32'h", "0x"), 0)
        for kind, typename in _TYPEDEF.findall(text):
            widths[typename] = _width(kind, numbers)
        for body, typename in _STRUCT.findall(text):
            members = _MEMBER.findall(body)
            sizes = [widths[kind] * _width(ranges, numbers) for kind, _, ranges, _ in members]
            low = widths[typename] = sum(sizes)
            fields = {}
            for (_, signed, _, member), size in zip(members, sizes, strict=True):
                low -= size
                fields[member] = Member(low, size, bool(signed))
            structs[typename] = Struct(typename, fields, widths[typename])
    return structs, numbers, widths


def _width(text: str, numbers: dict[str, int]) -> int:
    """The bits of the ranges in `text`, multiplied."""
    width = 1
    for high, low in _RANGE.findall(text):
        # A range starts with a number, or with a parameter minus one.
        width *= numbers[high] if high in numbers else int(high) - int(low) + 1
    return width


def struct(name: str) -> Struct:
    """The packed struct `name` of ng_isa_pkg or ng_pkg."""
    return _layouts()[0][name]


def number(name: str) -> int:
    """The parameter `name` of ng_isa_pkg or ng_pkg."""
    return _layouts()[1][name]
