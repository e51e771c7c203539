"""The roles of the fields of operators, and the functions that every operator must have."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints

import numpy as np
import pytest

from narrowgauge.graph import POSITIONS, SEGMENTS, TOKENS, bounds, check, onnx_write
from narrowgauge.graph.check import LENGTHS
from narrowgauge.graph.nodes import (
    OPERATORS,
    Node,
    Role,
    Softmax,
    fields_with,
    names,
    node_constants,
    node_inputs,
    node_operands,
    node_outputs,
)
from narrowgauge.graph.onnx_functions import op_type
from narrowgauge.graph.onnx_write import HELPERS, build_model
from narrowgauge.hw.compiler import lower
from narrowgauge.sim.golden import operators
from narrowgauge.tests.support.graphs import random_graph

PER_OPERATOR: dict[str, Any] = {
    "rules": check._check_node,
    "proof": bounds._propagate,
    "ONNX attributes": onnx_write._attributes,
    "golden model": operators.compile_node,
}


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("concern", PER_OPERATOR)
def test_every_operator_has_its_functions(operator: type[Node], concern: str) -> None:
    function = PER_OPERATOR[concern]
    assert function.dispatch(operator) is not function.dispatch(object)
    with pytest.raises(TypeError, match=r"expected an operator .*, got str"):
        function("no operator", None)


def test_the_compiler_has_every_operator() -> None:
    assert set(lower.OPERATORS) == set(OPERATORS)


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_field_is_a_name_with_a_role_or_a_parameter(operator: type[Node]) -> None:
    """A field without a role counts as a parameter, and these are all parameters."""
    parameters = set(fields_with(operator, (None,)))
    assert parameters <= {"kind", "split", "plan", "heads", "shift", "function"}
    hints = get_type_hints(operator)
    for field in fields(operator):
        assert field.name in parameters or hints[field.name] in (str, str | None, tuple[str, ...])
    outputs = fields_with(operator, (Role.OUTPUT,))
    assert outputs[-1] == "output" and set(outputs[:-1]) <= {"mids"}


def test_roles_agree_with_random_graphs() -> None:
    """Every name of a node is what its role says, and the calls in the file list the same names."""
    seen: dict[type[Node], int] = {}
    for seed in range(60):
        graph = random_graph(np.random.default_rng(seed))
        calls = [call for call in build_model(graph).graph.node if call.op_type not in HELPERS]
        activations = set(graph.activations())
        for node, call in zip(graph.nodes, calls, strict=True):
            seen[type(node)] = seen.get(type(node), 0) + 1
            assert set(node_inputs(node)) <= activations
            assert set(node_constants(node)) <= set(graph.constants)
            assert set(names(node, Role.INDEX)) <= {TOKENS, SEGMENTS, POSITIONS}
            assert set(node_operands(node)) == {
                *node_inputs(node), *node_constants(node), *names(node, Role.INDEX)
            }  # fmt: skip
            more = (LENGTHS,) if isinstance(node, Softmax) else ()
            assert tuple(call.input) == (*node_operands(node), *more)
            assert tuple(call.output) == node_outputs(node)
            assert call.op_type == op_type(node)
    assert set(seen) == set(OPERATORS) and min(seen.values()) >= 20
