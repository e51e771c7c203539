"""The cost of the contraction plans of tensor-train layers: which plan a layer should be trained with.

A plan determines where a layer rounds, so it is part of the model and the compiler can't change it. This module counts
cycles and weight words of both plans on an engine. For comparison it also counts the multiply-accumulates of the best
contraction order that opt_einsum finds, which ignores rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ...graph import Graph, Linear, Plan, linear_steps
from ..isa import Contract
from .timing import cost


@dataclass(frozen=True)
class PlanCost:
    """The cost of a plan on an engine.

    Attributes:
        plan: "merged" or "cores".
        cycles: of the array, for a block of N tokens.
        words: of WEIGHT memory.
    """

    plan: Plan
    cycles: int
    words: int


@dataclass(frozen=True)
class LayerPlans:
    """The plans of a tensor-train layer.

    Attributes:
        layer: its name.
        trained: the plan that it was trained with.
        plans: the cost of both plans.
        free_macs: multiply-accumulates for N tokens in the best contraction order, which ignores rounding.
        dense_macs: multiply-accumulates for N tokens of the dense layer.
    """

    layer: str
    trained: Plan
    plans: tuple[PlanCost, ...]
    free_macs: int
    dense_macs: int

    @property
    def fastest(self) -> PlanCost:
        """The plan with fewer cycles, then fewer words."""
        return min(self.plans, key=lambda p: (p.cycles, p.words))

    @property
    def smallest(self) -> PlanCost:
        """The plan with fewer words, then fewer cycles."""
        return min(self.plans, key=lambda p: (p.words, p.cycles))


def layer_plans(graph: Graph, lanes: int) -> tuple[LayerPlans, ...]:
    """The plans of every tensor-train layer of a graph on an engine with N = `lanes`."""
    layers = []
    for node in graph.nodes:
        if not isinstance(node, Linear) or node.kind != "tt":
            continue
        shapes = {core: graph.constants[core].shape for core in node.cores}
        kinds: tuple[Plan, ...] = ("merged", "cores")
        plans = tuple(_cost(node, plan, shapes, lanes) for plan in kinds)
        modes = [shapes[core][1] for core in node.cores]
        dense = lanes * math.prod(modes)
        layers.append(LayerPlans(node.output, node.plan, plans, _free(node, shapes, lanes), dense))
    return tuple(layers)


def _cost(node: Linear, plan: Plan, shapes: dict[str, tuple[int, ...]], lanes: int) -> PlanCost:
    mids = tuple(f"{k}" for k in range(len(node.cores) - 1))
    width = math.prod(shapes[core][1] for core in node.cores[node.split :])
    cycles = words = 0
    for step in linear_steps(replace(node, plan=plan, mids=mids), shapes):
        if step.kind == "merge":
            continue
        tiles = -(-step.rows // lanes)
        contract = Contract(n1=width // step.inner, n2=tiles, nk=step.inner, rows=step.rows)
        cycles += cost(contract, [lanes], lanes).occupied
        words += tiles * step.inner
        width = width // step.inner * step.rows
    return PlanCost(plan, cycles, words)


def _free(node: Linear, shapes: dict[str, tuple[int, ...]], lanes: int) -> int:
    """Multiply-accumulates of the best order to contract x[t, inputs] with all cores to y[t, outputs]."""
    import opt_einsum

    count = len(node.cores)
    symbol = opt_einsum.get_symbol
    modes, ranks, token = range(count), range(count, 2 * count + 1), 2 * count + 1
    terms = [(ranks[k], modes[k], ranks[k + 1]) for k in range(count)]
    source = (token, *modes[node.split :])
    target = (token, *modes[: node.split], ranks[0], ranks[count])
    equation = ",".join("".join(map(symbol, term)) for term in (source, *terms))
    equation += "->" + "".join(map(symbol, target))
    inputs = (lanes, *(shapes[core][1] for core in node.cores[node.split :]))
    path = opt_einsum.contract_path(
        equation, inputs, *(shapes[core] for core in node.cores), shapes=True, optimize="optimal"
    )[1]
    # opt_einsum counts a multiply-accumulate as two operations.
    return int(path.opt_cost) // 2
