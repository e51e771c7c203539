"""The compiler: random graphs through all passes, executed by the program simulator, equal to the golden model."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from narrowgauge.errors import UserError
from narrowgauge.fixedpoint import ACC_BITS
from narrowgauge.graph import Graph, Table, node_outputs
from narrowgauge.graph.bounds import prove
from narrowgauge.graph.check import check_graph
from narrowgauge.graph.level import Sentence
from narrowgauge.hw import isa
from narrowgauge.hw.compiler.compile import compile_graph, emit_program, memory_bits
from narrowgauge.hw.compiler.image import Image
from narrowgauge.hw.compiler.lower import lower
from narrowgauge.hw.compiler.streaming import STREAMABLE
from narrowgauge.hw.compiler.timing import simulate
from narrowgauge.hw.host.build import EngineBuild, engine_for
from narrowgauge.hw.host.views import never_held
from narrowgauge.hw.isa import Load, Memory, Parameters, Unit
from narrowgauge.hw.synthesis.boards import built_in_boards
from narrowgauge.model.freeze import freeze
from narrowgauge.model.presets import preset
from narrowgauge.model.untrained import tables_of_their_own
from narrowgauge.sim.engine.simulator import ProgramSimulator
from narrowgauge.sim.golden.model import GoldenModel
from narrowgauge.sim.levels.compare import verify_levels
from narrowgauge.sim.levels.engine import EngineLevel

from ..support.graphs import random_graph, random_sentences
from ..support.models import random_model


def strict_level(graph: Graph, compiled: EngineBuild) -> EngineLevel:
    return EngineLevel(graph, compiled, ProgramSimulator(compiled.program.parameters, strict=True))


def assert_equal(graph: Graph, compiled: EngineBuild, sentences: list[Sentence]) -> None:
    """Compares every value that the engine holds, and checks that no word is used without a token."""
    level = strict_level(graph, compiled)
    _, program = verify_levels(graph, [GoldenModel(graph, threads=1), level], sentences)
    assert program.equal, program.first_difference or program.missing
    # The graph determines what must be compared; the views must show all of it.
    held = set(graph.activations()) - never_held(graph)
    assert {view.value for view in compiled.views} == held
    assert program.tensors == len(sentences) * len(held) > 0
    assert program.answers == len(sentences)


def check_seed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    lanes, sentences = int(rng.choice(isa.LANES)), int(rng.integers(1, 3))
    compiled = compile_graph(graph, lanes=lanes, sentences=sentences, tight=seed % 3 == 0)
    assert_equal(graph, compiled, random_sentences(rng, graph, 4))


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_give_the_golden_integers_without_hazards(seed: int) -> None:
    check_seed(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_many_random_graphs_give_the_golden_integers_without_hazards(seed: int) -> None:
    check_seed(seed)


def rewired(rng: np.random.Generator, graph: Graph) -> Graph:
    """The graph with one operand of one node, or one output, replaced by another value of the same shape."""
    number = int(rng.integers(len(graph.nodes) + 1))
    known = [name for node in graph.nodes[:number] for name in node_outputs(node)]
    if number == len(graph.nodes):
        task = str(rng.choice(list(graph.outputs)))
        return replace(graph, outputs={**graph.outputs, task: str(rng.choice(known))})
    node = graph.nodes[number]
    names = [f.name for f in fields(node) if isinstance(getattr(node, f.name), str)]
    field = str(rng.choice(names))
    dims = graph.values[getattr(node, field)].dims if getattr(node, field) in graph.values else None
    alike = [name for name in known if graph.values[name].dims == dims]
    if not alike:
        return graph
    change: dict[str, Any] = {field: str(rng.choice(alike))}
    nodes = (*graph.nodes[:number], replace(node, **change), *graph.nodes[number + 1 :])
    return replace(graph, nodes=nodes)


def test_an_unusual_graph_is_refused_or_gives_the_golden_integers() -> None:
    """The compiler must not give a program that computes something else."""
    rng = np.random.default_rng(0)
    refused = equal = 0
    while refused + equal < 80:
        graph = random_graph(rng, layers=int(rng.integers(1, 3)), max_length=9, features=12, heads=2)
        changed = rewired(rng, graph)
        try:
            check_graph(changed)
            if changed == graph or any(bound.bits > ACC_BITS for bound in prove(changed).values()):
                continue
        except UserError:
            continue
        try:
            compiled = compile_graph(changed, lanes=8)
        except UserError as error:
            assert "too large for an instruction" not in str(error)
            refused += 1
            continue
        assert_equal(changed, compiled, random_sentences(rng, changed, 3))
        equal += 1
    assert refused > 40 and equal > 5, (refused, equal)


@pytest.mark.parametrize("lanes", isa.LANES)
@pytest.mark.parametrize("plan", ["merged", "cores"])
def test_lengths_at_and_around_every_block_boundary(lanes: int, plan: str) -> None:
    rng = np.random.default_rng(lanes)
    graph = random_graph(rng, plan=plan, max_length=2 * lanes + 1, kind="tt", segments=False)
    compiled = compile_graph(graph, lanes=lanes)
    lengths = (1, 2, lanes - 1, lanes, lanes + 1, 2 * lanes - 1, 2 * lanes, 2 * lanes + 1)
    ids = random_sentences(rng, graph, 2)[1].tokens
    assert_equal(graph, compiled, [Sentence(ids[:length]) for length in lengths])


def test_a_shorter_program_takes_the_same_sentences() -> None:
    rng = np.random.default_rng(3)
    graph = random_graph(rng, max_length=30, segments=False)
    sentence = Sentence(random_sentences(rng, graph, 2)[1].tokens[:9])
    short = compile_graph(graph, lanes=8, max_length=9)
    assert short.program.max_length == 9
    assert short.program.parameters.depth(Memory.PROGRAM) < compile_graph(
        graph, lanes=8
    ).program.parameters.depth(Memory.PROGRAM)
    assert_equal(graph, short, [sentence])


def test_no_buffer_is_shared_while_both_are_in_use() -> None:
    """Strict simulation would report such a word: it does so for a program without waits."""
    rng = np.random.default_rng(11)
    graph = random_graph(rng, layers=2, segments=False, max_length=12)
    compiled = compile_graph(graph, lanes=8)
    lists = [tuple(isa.wait(i, 0, 0, 0) for i in compiled.program.of(unit)) for unit in Unit]
    array, vector, stream = lists
    careless = replace(compiled, program=replace(compiled.program, array=array, vector=vector, stream=stream))
    with pytest.raises(UserError, match=r"token|written"):
        strict_level(graph, careless).run(random_sentences(rng, graph, 2))


@pytest.mark.parametrize("memory", [Memory.KV, Memory.VECTOR, Memory.PROGRAM, Memory.INDEX])
def test_what_does_not_fit_names_the_memory_and_a_way_out(memory: Memory) -> None:
    graph = random_graph(np.random.default_rng(5), layers=1, max_length=9)
    needs = compile_graph(graph, lanes=8, tight=True).program.parameters
    name = f"{memory.name.lower()}_depth"
    # INDEX has two halves.
    small = replace(needs, **{name: needs.depth(memory) - (2 if memory is Memory.INDEX else 1)})
    compile_graph(graph, engine=needs)
    with pytest.raises(
        UserError,
        match=f"needs {needs.depth(memory)} words of {memory.name} memory and the engine has [0-9]+; "
        ".*would make it fit",
    ):
        compile_graph(graph, engine=small)


def test_a_program_that_fits_is_taken_even_if_it_needs_more_bits() -> None:
    """An engine that has exactly what the tight order needs runs the model, whatever the fast order needs in total."""
    compared = 0
    for seed in range(12):
        graph = random_graph(np.random.default_rng(seed), layers=1, max_length=20)
        fast = compile_graph(graph, lanes=8).program.parameters
        low = lower(graph, Image(8), 20, 1)
        tight = emit_program(low.tasks, low.image, 20, 1, tight=True).program.parameters
        if memory_bits(fast) < memory_bits(tight) and any(fast.depth(m) > tight.depth(m) for m in Memory):
            assert compile_graph(graph, engine=tight).program.parameters == tight
            compared += 1
    assert compared >= 2


def streamed(graph: Graph, engine: Parameters, **options: Any) -> EngineBuild | None:
    """A program for an engine with little room for constants, or None if streaming is not enough."""
    try:
        return compile_graph(graph, engine=engine, **options)
    except UserError as error:
        assert "even if all" in str(error)
        return None


@pytest.mark.parametrize("memories", [[memory] for memory in STREAMABLE] + [list(STREAMABLE)], ids=str)
@pytest.mark.parametrize("seed", range(12))
def test_constants_that_do_not_fit_are_streamed(seed: int, memories: list[Memory]) -> None:
    """The integers stay the same, and no constant is overwritten before its last use."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, layers=1 + seed % 2)
    options: dict[str, Any] = {"sentences": int(rng.integers(1, 3)), "tight": seed % 2 == 0}
    full = compile_graph(graph, lanes=int(rng.choice(isa.LANES)), **options)
    needs = full.program.parameters
    for share in (0.99, 0.8, 0.6):
        rooms = {f"{memory.name.lower()}_depth": int(needs.depth(memory) * share) for memory in memories}
        # The other memories are roomy: LOADs take words of PROGRAM, and tasks that wait keep their operands longer.
        engine = replace(Parameters(needs.lanes), **rooms)
        compiled = streamed(graph, engine, **options)
        if compiled is None:
            continue
        assert all(compiled.program.parameters.depth(memory) <= engine.depth(memory) for memory in memories)
        loads = [i for i in compiled.program.stream if isinstance(i, Load)]
        assert {load.memory for load in loads} == {Memory.INDEX, *memories}
        # A table that several layers share comes once for each of them.
        moved = len(compiled.image) + len(compiled.stream) - len(full.image)
        assert moved == 0 or (moved > 0 and {Memory.TABLE, Memory.EXP} & set(memories))
        assert_equal(graph, compiled, random_sentences(rng, graph, 4))


def test_an_engine_of_few_weights_streams_the_rest() -> None:
    graph = random_graph(np.random.default_rng(5), layers=2, max_length=9, features=32, heads=2)
    full = compile_graph(graph, lanes=8)
    assert full.stream == b""
    needs = full.program.parameters
    engine = engine_for(full.program)
    for memory, what in STREAMABLE.items():
        name = f"{memory.name.lower()}_depth"
        few = {name: needs.depth(memory) * 9 // 10}
        compiled = compile_graph(graph, engine=replace(engine, **few, program_depth=4096))
        assert compiled.stream and compiled.program.parameters.depth(memory) <= few[name]
        with pytest.raises(
            UserError, match=f"8 words of {memory.name} memory even if all {what} are streamed"
        ):
            compile_graph(graph, engine=replace(engine, **{name: 8}))


@pytest.mark.parametrize("tables", [1, 2, 3])
@pytest.mark.parametrize("lanes", isa.LANES)
def test_tables_that_do_not_fit_are_streamed(lanes: int, tables: int) -> None:
    """Also a table that two layers share, with the table of another layer between them."""
    rng = np.random.default_rng(lanes + tables)
    graph = random_graph(rng, layers=3, max_length=9)
    constants = dict(graph.constants)
    for number, node in enumerate(node for node in graph.nodes if isinstance(node, Table)):
        table = constants[node.table].copy()
        table[200] = number % 3
        constants[node.table] = table
    graph = replace(graph, constants=constants)
    full = compile_graph(graph, lanes=lanes)
    needs = full.program.parameters
    assert needs.table_depth >= 3 * 256
    engine = replace(Parameters(lanes), table_depth=256 * tables, exp_depth=256)
    compiled = compile_graph(graph, engine=engine)
    brought = {load.memory for load in compiled.program.stream if isinstance(load, Load)}
    short = {memory for memory in (Memory.TABLE, Memory.EXP) if needs.depth(memory) > engine.depth(memory)}
    assert brought == {Memory.INDEX} | short and short
    assert_equal(graph, compiled, random_sentences(rng, graph, 6))


@pytest.mark.parametrize("board", built_in_boards(), ids=lambda board: board.name)
def test_the_demos_model_fits_every_board(board: Any) -> None:
    """A model with its sizes and formats, random weights, and no two equal tables."""
    graph = voice_graph()
    for length in (None, 32):
        compiled = compile_graph(graph, engine=board.engine, max_length=length)
        assert compiled.program.parameters.table_depth == 3 * 256


@cache
def voice_graph() -> Graph:
    config = replace(preset("voice").model, vocab_size=1353, labels=39, tags=135)
    graph = tables_of_their_own(freeze(random_model(np.random.default_rng(0), config)))
    assert len({graph.constants[n.table].tobytes() for n in graph.nodes if isinstance(n, Table)}) == 3
    return graph


@pytest.mark.parametrize("share", [0.9, 0.7])
def test_weights_take_no_more_words_than_they_are_given(share: float) -> None:
    """With an engine or without: the smaller of the two limits applies."""
    graph = random_graph(np.random.default_rng(5), layers=2, max_length=9, features=32, heads=2)
    full = compile_graph(graph, lanes=8)
    words = int(full.program.parameters.weight_depth * share)
    compiled = compile_graph(graph, lanes=8, weight_words=words)
    assert compiled.stream and compiled.program.parameters.weight_depth <= words
    engine = replace(engine_for(full.program), program_depth=4096)
    for depth, most in ((engine.weight_depth, words), (words, 10 * words)):
        limited = compile_graph(graph, engine=replace(engine, weight_depth=depth), weight_words=most)
        assert limited.program == compiled.program


@pytest.mark.parametrize("words", [0, isa.MEMORIES[Memory.WEIGHT].max_depth + 1, 10**30])
def test_words_that_no_engine_has_are_refused_before_anything_is_written(words: int) -> None:
    graph = random_graph(np.random.default_rng(5), layers=1, max_length=9, features=16, heads=2)
    with pytest.raises(UserError, match=f"must be from 1 to .*, got {words}"):
        compile_graph(graph, weight_words=words)


def test_memory_is_saved_where_an_engine_has_little() -> None:
    """The fastest program is preferred; if it does not fit, the one with less memory is taken."""
    graph = random_graph(
        np.random.default_rng(1), layers=2, max_length=16, features=64, heads=4, segments=False, plan="merged"
    )
    fast, small = (compile_graph(graph, lanes=8, tight=tight) for tight in (False, True))
    assert small.program.parameters.act_depth < fast.program.parameters.act_depth
    tight = engine_for(small.program, tight=True)
    compiled = compile_graph(graph, engine=tight)
    assert compiled.program == small.program
    assert compile_graph(graph, engine=engine_for(fast.program)).program == fast.program
    assert_equal(graph, compiled, random_sentences(np.random.default_rng(1), graph, 3))
    assert all(0 <= tight.depth(m) - small.program.parameters.depth(m) < 16 for m in Memory)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("lanes", 12, "N must be one of 8, 16, 32, got 12."),
        ("sentences", 3, "the sentences per run must be from 1 to 2, got 3."),
        ("sentences", 0, "the sentences per run must be from 1 to 2, got 0."),
        ("max_length", 99, "the maximum length must be from 1 to 9 tokens for this model, got 99."),
        ("max_length", 0, "the maximum length must be from 1 to 9 tokens for this model, got 0."),
    ],
)
def test_options_out_of_range_are_refused(field: str, value: int, message: str) -> None:
    graph = random_graph(np.random.default_rng(5), max_length=9)
    with pytest.raises(UserError) as refused:
        compile_graph(graph, **{field: value})  # type: ignore[arg-type]
    assert str(refused.value) == message


def test_the_vector_unit_works_while_the_array_does() -> None:
    graph = random_graph(
        np.random.default_rng(2), layers=2, max_length=32, features=32, heads=4, segments=False
    )
    events = simulate(compile_graph(graph, lanes=8).program, [32]).events
    array = [(e.start, e.free) for e in events if e.unit is Unit.ARRAY and e.busy]
    vector = [(e.start, e.free) for e in events if e.unit is Unit.VECTOR and e.busy]
    assert any(a < d and c < b for a, b in array for c, d in vector)


def test_blocks_past_the_length_cost_next_to_nothing() -> None:
    graph = random_graph(np.random.default_rng(7), layers=1, max_length=64, segments=False)
    program = compile_graph(graph, lanes=8).program
    cycles = [simulate(program, [length]).cycles for length in (8, 16, 32, 64)]
    assert cycles == sorted(cycles)
    assert cycles[0] < cycles[-1] / 2
