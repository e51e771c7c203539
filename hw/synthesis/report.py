"""Resources of an engine by module, its longest path, its largest clock enable, and whether it fits a board."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...toolchain import find_mapper
from ..isa import Parameters
from .boards import Board
from .cells import Cost, cost_of
from .design import Design
from .levels import Levels
from .paths import Timing, join
from .sources import TOP, top_parameters
from .yosys import FAMILIES, Figures, Progress, elaborate, synthesize, synthesize_flat

OPENED = ("ng_core", "ng_memories", "ng_program")
"""Modules whose instances are listed in the report, like those of the top module."""

MOST_LUTS = {"xc7": 8, "xcup": 7}
"""The LUTs that the longest path of an engine may have, by family."""

MOST_LOADS = 512
"""The loads that a clock enable of an engine may have, before the vendor's tools replicate it."""


@dataclass(frozen=True)
class Row:
    """An instance in the engine, or several identical ones.

    Attributes:
        name: path of the instance, or of the first of several.
        module: type of the module.
        count: number of instances.
        cost: cost of one instance with everything inside, by family.
        levels: the longest path over module borders that ends in an instance, by family.
    """

    name: str
    module: str
    count: int
    cost: Mapping[str, Cost]
    levels: Mapping[str, Levels]


@dataclass(frozen=True)
class Utilization:
    """The resources of an engine.

    Attributes:
        parameters: parameters of the top module, by family.
        yosys: version of yosys.
        rows: the instances in the top module and in the modules of `OPENED`, and the own logic of these modules.
        total: sum of the rows, by family.
        timing: the longest path and the largest enable, by family.
        flat: cost of the engine synthesized as one module, by family; empty if not requested.
    """

    parameters: Mapping[str, Mapping[str, int]]
    yosys: str
    rows: tuple[Row, ...]
    total: Mapping[str, Cost]
    timing: Mapping[str, Timing]
    flat: Mapping[str, Cost]

    def used(self, board: Board) -> Mapping[str, float]:
        """The amount of each resource of a board that the engine uses.

        On 7-series everything is from the synthesis for xc7. On UltraScale+ DSPs and memories are from xcup, but
        LUTs and flip-flops from xc7: for xcup yosys packs no accumulator into a DSP and counts extra logic.

        Raises:
            KeyError: the engine was not synthesized for a family that this needs.
        """
        own, logic = self.total[board.family], self.total["xc7"]
        return {
            "lut": logic.lut,
            "ff": logic.ff,
            "dsp": own.dsp,
            "bram36": own.bram36,
            "uram": own.uram,
        }

    def fits(self, board: Board) -> bool:
        """Whether the engine fits the board, within the part of it that an engine may take."""
        return all(used <= board.limit(name) for name, used in self.used(board).items())

    def exceeded(self) -> list[str]:
        """One sentence for each limit of timing that the engine exceeds."""
        found = []
        for family, timing in self.timing.items():
            if timing.path.levels.lut > MOST_LUTS[family]:
                found.append(
                    f"The longest path has {timing.path.levels.lut} LUTs on {family}; the limit is {MOST_LUTS[family]}."
                )
            if timing.enable.loads > MOST_LOADS:
                found.append(
                    f"The clock enable {timing.enable.name} has {timing.enable.loads} loads on {family}; "
                    f"the limit is {MOST_LOADS}."
                )
        return found


def measure(
    parameters: Parameters,
    *,
    families: Sequence[str] = FAMILIES,
    more: Mapping[str, Mapping[str, int]] | None = None,
    flatten: bool = False,
    progress: Progress = lambda _: None,
) -> Utilization:
    """Synthesizes an engine.

    Args:
        parameters: parameters of the engine.
        families: the families to synthesize for.
        more: additional parameters of the top module, by family.
        flatten: whether to synthesize the engine also as one module.
        progress: called with a description of each step.

    Raises:
        UserError: yosys is missing.
    """
    generics = {
        family: top_parameters(parameters) | dict((more or {}).get(family, {})) for family in families
    }
    designs: dict[str, Design] = {}
    for family in families:
        known = [designs[other] for other in designs if generics[other] == generics[family]]
        designs[family] = known[0] if known else elaborate(TOP, generics[family], progress)
    figures = {family: synthesize(designs[family], family, progress) for family in families}
    timing = {
        family: join(designs[family], {name: part.netlist for name, part in figures[family].items()})
        for family in families
    }
    rows = _rows(designs, figures, timing)
    total = {family: sum((row.cost[family] * row.count for row in rows), Cost()) for family in families}
    flat = {
        family: cost_of(synthesize_flat(designs[family], family, progress).cells)
        for family in families
        if flatten
    }
    return Utilization(generics, find_mapper().version, rows, total, timing, flat)


def _rows(
    designs: Mapping[str, Design],
    figures: Mapping[str, Mapping[str, Figures]],
    timing: Mapping[str, Timing],
) -> tuple[Row, ...]:
    """The top module itself, then the instances in it; those that are identical in all families are merged."""
    inside = {family: dict(_instances(design, design.top, "")) for family, design in designs.items()}
    groups: dict[tuple[str | None, ...], list[str]] = {}
    for name in dict.fromkeys(name for names in inside.values() for name in names):
        groups.setdefault(tuple(inside[family].get(name) for family in designs), []).append(name)
    owners = {name: names[0] for names in groups.values() for name in names}
    longest: dict[str, dict[str, Levels]] = {family: {} for family in designs}
    for family in designs:
        for instance, path in timing[family].ends.items():
            row = owners[_owner(instance, inside[family])]
            longest[family][row] = max(path.levels, longest[family].get(row, Levels()))
    rows = []
    for modules, names in groups.items():
        cost, levels = {}, {}
        for (family, design), module in zip(designs.items(), modules, strict=True):
            parts = _parts(design, module)
            known = [figures[family][part] for part in parts]
            cost[family] = sum((cost_of(part.cells) for part in known), Cost())
            levels[family] = longest[family].get(names[0], Levels())
        kind = next(module for module in modules if module).split("$")[0]
        rows.append(Row(names[0] or kind, kind, len(names), cost, levels))
    return tuple(rows)


def _owner(instance: str, rows: Mapping[str, str]) -> str:
    """The row of an instance: its own, or that of the nearest instance around it that has one."""
    while instance not in rows:
        instance = instance.rpartition(".")[0]
    return instance


def _is_open(design: Design, module: str) -> bool:
    """Whether the instances in a module have separate rows."""
    return module == design.top or design.modules[module].type in OPENED


def _instances(design: Design, module: str, path: str) -> Iterator[tuple[str, str]]:
    """Paths and modules of the rows in a module, itself first."""
    yield path, module
    if _is_open(design, module):
        for name, inner in design.modules[module].inner:
            yield from _instances(design, inner, f"{path}.{name}" if path else name)


def _parts(design: Design, module: str | None) -> list[str]:
    """Names of the modules that a row covers, repeated for each instance; empty for no module."""
    if module is None or _is_open(design, module):
        return [module] if module else []
    return [part.name for _, part in design.instances(module)]
