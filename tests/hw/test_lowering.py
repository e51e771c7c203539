"""Lowering: one function per operator, no import circle, tasks in an order that can be executed and never changed."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from narrowgauge.errors import UserError
from narrowgauge.graph import Add, Graph, LayerNorm, Node, Scores, Table
from narrowgauge.hw import compiler, isa
from narrowgauge.hw.compiler.image import Image
from narrowgauge.hw.compiler.ir import Buffer, Task
from narrowgauge.hw.compiler.lower import OPERATORS, lower
from narrowgauge.hw.compiler.lowering import Lowering
from narrowgauge.hw.compiler.streaming import STREAMABLE, stream_constants

from ..support.graphs import random_graph

FOLDER = Path(str(compiler.__file__)).parent


def lowered(seed: int) -> Lowering:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, layers=seed % 3)
    return lower(graph, Image(int(rng.choice(isa.LANES))), graph.metadata.max_length, 1 + seed % 2)


def test_each_operator_has_exactly_one_function() -> None:
    assert set(OPERATORS) == set(get_args(Node))
    functions = {function.__name__: function.__module__ for function in OPERATORS.values()}
    defined = {
        node.name
        for path in FOLDER.glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("lower_")
    }
    assert set(functions) == defined, "a function that lowers an operator must be in the table"


def imports(path: Path) -> Iterator[str]:
    """The modules of the same folder that a module imports, those for type checking included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            yield from [node.module] if node.module else [alias.name for alias in node.names]


def test_the_passes_import_each_other_without_a_circle() -> None:
    modules = {path.stem: set(imports(path)) for path in FOLDER.glob("*.py")}
    order = list(graphlib.TopologicalSorter(modules).static_order())
    assert order.index("lowering") < order.index("attention") < order.index("linear") < order.index("lower")
    assert modules["lowering"] <= {"image", "ir"}


def test_each_task_reads_what_earlier_tasks_wrote() -> None:
    reads = 0
    for seed in range(24):
        written: dict[Buffer, set[int]] = {}
        for task in lowered(seed).tasks:
            for read in task.reads:
                assert set(range(read.lo, read.hi)) <= written.get(read.buffer, set()), (seed, task.layer)
                reads += 1
            for write in task.writes:
                written.setdefault(write.buffer, set()).update(range(write.lo, write.hi))
    assert reads > 1500


def test_streaming_leaves_the_tasks_that_it_was_given_as_they_are() -> None:
    """So one lowering serves several attempts at streaming. What is streamed has gone from the image."""
    streamed = 0
    for seed in range(24):
        low = lowered(seed)
        rooms = {memory: low.image.depth.get(memory, 0) * 3 // 4 for memory in STREAMABLE}
        before = [fields(task) for task in low.tasks]
        first, second = (stream_constants(low.tasks, low.image, rooms) for _ in range(2))
        assert [fields(task) for task in low.tasks] == before
        assert len(first.tasks) == len(low.tasks) + len(first.content) == len(second.tasks)
        assert list(first.content.values()) == list(second.content.values())
        assert [t.instruction for t in first.tasks] == [t.instruction for t in second.tasks]
        for memory in first.memories:
            assert first.image.depth[memory] < rooms[memory] < low.image.depth[memory]
        streamed += len(first.content)
    assert streamed > 100


def fields(task: Task) -> tuple[object, ...]:
    return task.instruction, dict(task.bases), task.reads, task.writes, task.parts, task.after, task.behind


def with_node(graph: Graph, node: Table | Add, like: str) -> Graph:
    """The graph with one more node, whose output has the format and shape of a value."""
    values = {**graph.values, node.output: replace(graph.values[like], name=node.output)}
    return replace(graph, nodes=(*graph.nodes, node), values=values)


@pytest.mark.parametrize("lanes", isa.LANES)
def test_what_the_engine_has_no_instruction_for_is_refused(lanes: int) -> None:
    graph = random_graph(np.random.default_rng(lanes), layers=1)
    table = next(node for node in graph.nodes if isinstance(node, Table))
    twice = with_node(graph, replace(table, output="again"), table.output)
    total = with_node(graph, Add((table.output, table.output), "total"), table.output)
    after = with_node(graph, replace(table, input=table.output, output="again"), table.output)
    norm = next(node.output for node in graph.nodes if isinstance(node, LayerNorm))
    scores = next(node for node in graph.nodes if isinstance(node, Scores))
    same = tuple(replace(node, key=scores.query) if node is scores else node for node in graph.nodes)
    for changed, message in (
        (replace(graph, outputs={**graph.outputs, "slots": norm}), "can only be read from WIDE"),
        (
            replace(graph, nodes=same),
            "is read as key and query, which the engine keeps in different memories",
        ),
        (twice, "that nothing else reads"),
        (after, "to the output of a linear layer"),
        (total, "adds embeddings only"),
    ):
        with pytest.raises(UserError, match=message):
            lower(changed, Image(lanes), graph.metadata.max_length, 1)
