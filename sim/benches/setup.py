"""The set-up of a bench: each `bench_X.py` has a `SETUP`, and the tests run all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...hw.isa import Memory, Parameters

Values = Mapping[str, int | str]
"""Values of the parameters of a top module."""


@dataclass(frozen=True)
class Setup:
    """The top module of a bench and the parameters of its runs, which cover the structures of the module.

    Attributes:
        runs: parameters of each run.
        slow: those of further runs, for the slow tests.
        top: the top module, where that is a wrapper; "" for the module that the bench is named after.
        checks: modules in this folder that bind themselves to the design.
    """

    runs: tuple[Values, ...] = field(default_factory=lambda: ({},))
    slow: tuple[Values, ...] = ()
    top: str = ""
    checks: tuple[str, ...] = ()


def each(name: str, *values: int, **others: int | str) -> tuple[Values, ...]:
    """Runs with each value of one parameter, and the same values of the others."""
    return tuple({name: value, **others} for value in values)


def depths(parameters: Parameters) -> str:
    """`ng_pkg::depths_t` of an engine, as a literal."""
    word = sum(parameters.depth(memory) << 32 * memory for memory in Memory)
    return f"{32 * len(Memory)}'h{word:x}"
