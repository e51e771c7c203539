"""Random small models through every level: PyTorch, golden, ONNX, program, HLS C++."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from narrowgauge.errors import UserError
from narrowgauge.graph import Graph, Linear
from narrowgauge.graph.level import Level
from narrowgauge.graph.onnx_io import model_bytes
from narrowgauge.hls.runner import HlsEngine
from narrowgauge.hw import isa
from narrowgauge.hw.compiler.compile import compile_graph
from narrowgauge.hw.compiler.streaming import STREAMABLE
from narrowgauge.hw.host.build import EngineBuild
from narrowgauge.hw.isa import Parameters
from narrowgauge.model.freeze import freeze
from narrowgauge.model.level import TorchLevel
from narrowgauge.sim.engine.simulator import ProgramSimulator
from narrowgauge.sim.golden.model import GoldenModel
from narrowgauge.sim.levels.compare import verify_levels
from narrowgauge.sim.levels.engine import EngineLevel
from narrowgauge.sim.levels.onnx import OnnxLevel

from ..support.models import random_config, random_model, random_sentences


@cache
def engine(lanes: int) -> Parameters:
    """One engine per number of lanes, large enough for all of these models, so that its C++ is compiled once."""
    return Parameters(lanes=lanes)


def crowded(graph: Graph, compiled: EngineBuild, per_run: int) -> EngineBuild:
    """The program for an engine with too few words for constants, in each memory that can be loaded during a run."""
    needs = compiled.program.parameters
    room = engine(needs.lanes)
    for memory in STREAMABLE:
        smaller = replace(room, **{f"{memory.name.lower()}_depth": max(1, needs.depth(memory) * 4 // 5)})
        try:
            compiled = compile_graph(graph, sentences=per_run, engine=smaller)
            room = smaller
        except UserError:
            continue
    return compiled


def check_seed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    model = random_model(rng, config, extremes=0.1)
    graph = freeze(model)
    lanes, per_run = int(rng.choice(isa.LANES)), int(rng.integers(1, 3))
    compiled = compile_graph(graph, sentences=per_run, engine=engine(lanes))
    if seed % 2:
        compiled = crowded(graph, compiled, per_run)
    levels: list[Level] = [
        GoldenModel(graph, threads=1),
        TorchLevel(model, graph),
        OnnxLevel(model_bytes(graph), graph, threads=1),
        EngineLevel(graph, compiled, ProgramSimulator(engine(lanes), strict=True), "program"),
        EngineLevel(graph, compiled, HlsEngine(engine(lanes)), "hls"),
    ]
    results = verify_levels(graph, levels, random_sentences(rng, config, 4))
    for result in results:
        assert result.equal, f"{result.level}: {result.first_difference or result.missing}"
        assert result.tensors


@pytest.mark.parametrize("seed", range(15))
def test_a_random_model_is_equal_at_every_level(seed: int) -> None:
    check_seed(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 300))
def test_two_hundred_random_models_are_equal_at_every_level(seed: int) -> None:
    check_seed(seed)


def test_a_wrong_weight_is_seen_at_the_level_that_has_it() -> None:
    rng = np.random.default_rng(4)
    config = random_config(rng)
    graph = freeze(random_model(rng, config))
    compiled = compile_graph(graph, engine=engine(8))
    sentences = random_sentences(rng, config, 3)
    level = EngineLevel(graph, compiled, HlsEngine(engine(8)), "hls")
    golden = GoldenModel(graph, threads=1)
    wrong = GoldenModel(_changed(graph), threads=1)
    assert verify_levels(graph, [golden, level], sentences)[1].equal
    assert not verify_levels(graph, [wrong, level], sentences)[1].equal


def _changed(graph: Graph) -> Graph:
    """The graph with the bias of the first logits changed by one step of their format."""
    value = next(iter(graph.outputs.values()))
    node = next(n for n in graph.nodes if isinstance(n, Linear) and n.output == value)
    assert node.bias is not None
    step = 1 << max(0, graph.fmt(node.bias).frac - graph.fmt(value).frac)
    moved = graph.constants[node.bias] + np.int32(step)
    return replace(graph, constants={**graph.constants, node.bias: moved})
