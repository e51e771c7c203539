"""Products of cores: the two factors that the plan "merged" multiplies a tensor-train layer with."""

from __future__ import annotations

import numpy as np

from ..fixedpoint import IntArray, requantize
from .graph import Graph
from .nodes import Linear


def merge_cores(graph: Graph) -> dict[str, IntArray]:
    """The values of `Graph.merged`, computed from the cores: integers in the format and dims of each value."""
    merged: dict[str, IntArray] = {}
    for node in graph.nodes:
        if not isinstance(node, Linear):
            continue
        for step in graph.steps(node):
            if step.kind != "merge":
                continue
            lhs, rhs = (
                (merged[name] if name in merged else graph.constants[name]).astype(np.int64)
                for name in (step.lhs, step.rhs)
            )
            product = lhs.reshape(-1, step.inner) @ rhs.reshape(step.inner, -1)
            value = graph.values[step.output]
            data = requantize(product, graph.step_shift(step), value.fmt)
            merged[step.output] = data.astype(value.fmt.dtype).reshape([int(d) for d in value.dims])
    return merged
