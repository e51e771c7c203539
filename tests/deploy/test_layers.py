"""The cycles of a run by layer add up to those of the cost model, whatever the model and the lengths."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from narrowgauge.deploy.layers import REST, cycles_by_layer
from narrowgauge.hw.compiler.compile import compile_graph
from narrowgauge.hw.compiler.timing import simulate
from narrowgauge.hw.host.folder import read_engine
from narrowgauge.hw.isa import Unit
from narrowgauge.hw.isa.program import ProgramError

from ..support.graphs import random_graph


def test_the_layers_add_up_to_the_run(root: Path) -> None:
    rng = random.Random(0)
    builds = [read_engine(root / "examples" / "voice")]
    builds += [
        compile_graph(random_graph(np.random.default_rng(seed)), lanes=8, sentences=1 + seed % 2)
        for seed in range(4)
    ]
    done = 0
    for build in builds:
        for _ in range(5):
            count = rng.randint(1, build.program.sentences)
            lengths = [rng.randint(1, build.program.max_length) for _ in range(count)]
            timeline = simulate(build.program, lengths)
            parts = cycles_by_layer(build, lengths)
            assert sum(part.cycles for part in parts) == timeline.cycles
            assert sum(part.busy for part in parts) == timeline.usage(Unit.ARRAY).busy
            assert all(0 <= part.busy <= part.cycles for part in parts)
            assert len({part.layer for part in parts}) == len(parts) and parts[-1].layer == REST
            done += 1
    assert done == 25


def test_the_layers_of_the_example(root: Path) -> None:
    build = read_engine(root / "examples" / "voice")
    layers = [part.layer for part in cycles_by_layer(build, [8])]
    assert layers[0] == "embedding.token" and len(layers) == 22
    assert {"encoder.0.attention.scores", "encoder.1.feedforward.outer", "pooler", "label", "slots"} < set(
        layers
    )
    with pytest.raises(ProgramError):
        cycles_by_layer(build, [33])
