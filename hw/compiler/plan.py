"""Contraction plans of tensor-train layers under the engine's cost model: which one a layer should be trained with.

A plan says where a layer rounds, so it is part of the model and the compiler can't change it. What it can do is
count: cycles and weight words of both plans on an engine, and, as a measure of both, the multiply-accumulates of the
best order that a search over all contraction orders finds (opt_einsum), rounding aside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ...graph import Graph, Linear, Plan, linear_steps
from ..isa import Contract
from .timing import cost


@dataclass(frozen=True)
class PlanCost:
    """What a plan costs on an engine.

    Attributes:
        plan: "merged" or "cores".
        cycles: of the array, for one block of N tokens.
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
        plans: both plans.
        free_macs: multiply-accumulates for N tokens in the best of all orders, rounding aside.
        dense_macs: of the dense layer.
    """

    layer: str
    trained: Plan
    plans: tuple[PlanCost, ...]
    free_macs: int
    dense_macs: int

    @property
    def fastest(self) -> PlanCost:
        """The plan of fewer cycles; of fewer words among equals."""
        return min(self.plans, key=lambda p: (p.cycles, p.words))

    @property
    def smallest(self) -> PlanCost:
        """The plan of fewer words; of fewer cycles among equals."""
        return min(self.plans, key=lambda p: (p.words, p.cycles))


def layer_plans(graph: Graph, lanes: int) -> tuple[LayerPlans, ...]:
    """The plans of every tensor-train layer of a graph on an engine of N = `lanes`."""
    found = []
    for node in graph.nodes:
        if not isinstance(node, Linear) or node.kind != "tt":
            continue
        shapes = {core: graph.constants[core].shape for core in node.cores}
        kinds: tuple[Plan, ...] = ("merged", "cores")
        plans = tuple(_cost(node, plan, shapes, lanes) for plan in kinds)
        modes = [shapes[core][1] for core in node.cores]
        dense = lanes * math.prod(modes)
        found.append(LayerPlans(node.output, node.plan, plans, _free(node, shapes, lanes), dense))
    return tuple(found)


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
    """Multiply-accumulates of the best order: x[t, inputs] with all cores to y[t, outputs]."""
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
    # Counted as multiplications and additions.
    return int(path.opt_cost) // 2
