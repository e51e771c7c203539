"""The elaborated design in yosys' text format (RTLIL), with identical modules merged.

The front end creates one module per instance, with the values of its parameters. Modules that differ only in generated
names are merged here, so that each is synthesized once, or not at all if its result is cached.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

_MODULE = re.compile(r"^module (\\\S+)\n(.*?)^end\n", re.MULTILINE | re.DOTALL)
_SOURCE = re.compile(r'^ *attribute \\src ".*"\n', re.MULTILINE)
_CELL = re.compile(r"^  cell \\(\S+) \\(\S+)$", re.MULTILINE)
_NUMBER = re.compile(r"(\$(?:[^\s$]+\$)*)(\d+)")
_PORT = re.compile(r"^  wire .*\b(?:input|output|inout) .*$", re.MULTILINE)


@dataclass(frozen=True)
class Module:
    """A module of the design.

    Attributes:
        name: its type in the source, and a digest of its content, including the modules inside.
        body: its lines between `module` and `end`.
        inner: the instances in it: name, and name of the module.
        digest: digest of its own lines, which determine its own cells.
    """

    name: str
    body: str
    inner: tuple[tuple[str, str], ...]
    digest: str

    @property
    def type(self) -> str:
        """The module's name in the source."""
        return self.name.split("$")[0]

    def text(self) -> str:
        """The module in RTLIL."""
        return f"module \\{self.name}\n{self.body}end\n"

    def shell(self) -> str:
        """The module as a black box with its ports, in RTLIL."""
        ports = "".join(f"{line}\n" for line in _PORT.findall(self.body))
        return f"attribute \\blackbox 1\nmodule \\{self.name}\n{ports}end\n"


@dataclass(frozen=True)
class Design:
    """Modules by name, each once.

    Attributes:
        top: name of the top module.
        modules: the top module and all modules below it.
    """

    top: str
    modules: dict[str, Module]

    def instances(self, name: str | None = None, path: str = "") -> Iterator[tuple[str, Module]]:
        """Path and module of all instances in a module, starting with the module itself at the given path."""
        module = self.modules[name or self.top]
        yield path, module
        for instance, inner in module.inner:
            yield from self.instances(inner, f"{path}.{instance}" if path else instance)


def read_design(rtlil: str, top: str) -> Design:
    """Reads a design written by `write_rtlil`.

    Args:
        rtlil: the text.
        top: name of the top module in it.
    """
    bodies = {match[1]: _SOURCE.sub("", match[2]) for match in _MODULE.finditer(rtlil)}
    modules: dict[str, Module] = {}
    names: dict[str, str] = {}

    def visit(old: str) -> str:
        """Adds a module, after the modules in it, and returns its new name."""
        if old not in names:
            own = _renumbered(bodies[old])
            inner = [(match[2], visit(f"\\{match[1]}")) for match in _CELL.finditer(bodies[old])]
            # The module's own lines, with the types but not the content of the modules inside.
            plain = _CELL.sub(lambda match: f"  cell \\{match[1].split('$')[0]} \\{match[2]}", own)
            kind = old[1:].split("$")[0]
            identity = hashlib.sha256(
                "\0".join([kind, plain, *(name for _, name in inner)]).encode()
            ).hexdigest()
            name = names[old] = f"{kind}$x{identity[:16]}"
            types = iter(inner)
            body = _CELL.sub(lambda match: f"  cell \\{next(types)[1]} \\{match[2]}", own)
            digest = hashlib.sha256(plain.encode()).hexdigest()
            modules.setdefault(name, Module(name, body, tuple(inner), digest))
        return names[old]

    return Design(visit(f"\\{top}"), modules)


def _renumbered(body: str) -> str:
    """`body` with the numbers in generated names renumbered: they differ between copies, but their order does not."""
    order: dict[str, int] = {}
    return _NUMBER.sub(lambda match: f"{match[1]}{order.setdefault(match[0], len(order) + 1)}", body)
