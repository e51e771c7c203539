"""Every operator of the integer graph as an ONNX function, in the domain `narrowgauge`, version 1.

The body of a function is standard ONNX operators, so any runtime executes it. Operators whose number of inputs varies
are assembled here from the blocks of `onnx_blocks`, with one op type per variant: `Add_3`, `TTMEmbedding_4`,
`TTLinear_merged_3_3_bias_residual`. Attributes of such a variant end in the number of their step or input.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import onnx
from onnx import AttributeProto, FunctionProto, NodeProto, TensorProto

from .check import LENGTHS
from .nodes import (
    Add,
    Context,
    Embedding,
    First,
    LayerNorm,
    Linear,
    LinearKind,
    Node,
    Plan,
    Scores,
    Softmax,
    Table,
    TTMEmbedding,
    fields_with,
    linear_steps,
)
from .onnx_blocks import BLOCKS, DOMAIN, DOMAIN_VERSION, OPSET

_VARIANTS = re.compile(
    r"(?P<add>Add)_(?P<terms>[1-9]\d?)"
    r"|(?P<ttm>TTMEmbedding)_(?P<cores>[2-9]|[1-9]\d)"
    r"|(?:(?P<dense>Dense)Linear|(?P<lowrank>LowRank)Linear"
    r"|(?P<tt>TT)Linear_(?P<plan>merged|cores)_(?P<left>[1-9]\d?)_(?P<right>[1-9]\d?))"
    r"(?P<bias>_bias)?(?P<residual>_residual)?"
)
"""Op types of the operators whose number of inputs varies; each number is at most 99."""


FIXED: Mapping[str, type[Node]] = {
    "Embedding": Embedding,
    "IntLayerNorm": LayerNorm,
    "Scores": Scores,
    "IntSoftmax": Softmax,
    "Context": Context,
    "Table": Table,
    "First": First,
}
"""The operators whose number of inputs is fixed, by op type."""

_FIXED_TYPES = {operator: op_type for op_type, operator in FIXED.items()}

_RENAMED: Mapping[tuple[type[Any], str], str] = {(Scores, "shift"): "head_shift"}
"""Attributes of fixed operators that do not have the name of their parameter."""

MORE_INPUTS: Mapping[type[Node], tuple[str, ...]] = {Softmax: (LENGTHS,)}
"""Inputs of the model that the function of an operator reads after the node's own."""


def parameters(operator: type[Any]) -> dict[str, str]:
    """The attribute for each parameter of a fixed operator, by the parameter's name; {} for all others."""
    if operator not in _FIXED_TYPES:
        return {}
    return {name: _RENAMED.get((operator, name), name) for name in fields_with(operator, (None,))}


def op_type(node: Node) -> str:
    """The op type of a node."""
    if isinstance(node, Linear):
        return _linear_op_type(node)
    if isinstance(node, Add):
        return f"Add_{len(node.inputs)}"
    if isinstance(node, TTMEmbedding):
        return f"TTMEmbedding_{len(node.cores)}"
    return _FIXED_TYPES[type(node)]


def _linear_op_type(node: Linear) -> str:
    ends = ("_bias" if node.bias else "") + ("_residual" if node.residual else "")
    if node.kind == "tt":
        return f"TTLinear_{node.plan}_{node.split}_{len(node.cores) - node.split}{ends}"
    return {"dense": "DenseLinear", "lowrank": "LowRankLinear"}[node.kind] + ends


class _Body:
    """A function under construction. A node's attribute "@name" refers to that attribute of the function."""

    def __init__(self, name: str, description: str, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self.proto = FunctionProto(
            name=name, domain=DOMAIN, doc_string=description, input=inputs, output=outputs
        )

    def call(
        self, op_type: str, inputs: Sequence[str], output: str, domain: str = DOMAIN, **attributes: Any
    ) -> str:
        """Adds a node; returns the name of its output."""
        node = NodeProto(op_type=op_type, domain=domain, input=inputs, output=[output])
        for name, value in sorted(attributes.items()):
            if isinstance(value, str):
                kind = AttributeProto.INTS if name in ("matrix", "value_ints") else AttributeProto.INT
                node.attribute.append(AttributeProto(name=name, ref_attr_name=value[1:], type=kind))
                self.declare(value[1:])
            else:
                node.attribute.append(onnx.helper.make_attribute(name, value))
        self.proto.node.append(node)
        return output

    def declare(self, name: str) -> None:
        """Adds an attribute that a node of this op type must have."""
        if name not in self.proto.attribute:
            self.proto.attribute.append(name)

    def standard(self, op_type: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Adds a node of the standard domain; returns the name of its output."""
        return self.call(op_type, inputs, output, domain="", **attributes)

    def requantize(self, source: str, output: str, suffix: str = "") -> str:
        """Adds a `Requantize` whose attributes are those of the function that end in `suffix`."""
        attributes = {name: f"@{name}{suffix}" for name in ("shift", "lo", "hi", "to")}
        return self.call("Requantize", [source], output, **attributes)

    def finish(self) -> FunctionProto:
        """The function."""
        return _with_imports(self.proto)


def _add(name: str, terms: int) -> FunctionProto:
    inputs = [f"x_{k}" for k in range(1, terms + 1)]
    body = _Body(name, "The sum of values, aligned exactly and requantized once.", inputs, ["y"])
    aligned = [body.call("Align", [x], f"aligned_{k}", left=f"@left_{k}") for k, x in enumerate(inputs, 1)]
    total = aligned[0]
    for k, term in enumerate(aligned[1:], 2):
        total = body.standard("Add", [total, term], f"sum_{k}")
    body.requantize(total, "y")
    return body.finish()


def _ttm_embedding(name: str, cores: int) -> FunctionProto:
    core_names = [f"core_{k}" for k in range(1, cores + 1)]
    outputs = [*(f"mid_{k}" for k in range(1, cores - 1)), "y"]
    description = (
        "One row of a tensor-train matrix per token, contracted from one slice of each core, left to right."
    )
    body = _Body(name, description, [*core_names, "index"], outputs)
    digits = [
        body.call("Digit", ["index"], f"digit_{k}", stride=f"@stride_{k}", size=f"@size_{k}")
        for k in range(1, cores + 1)
    ]
    row = body.call("FirstSlice", [core_names[0], digits[0]], "row")
    for k, output in enumerate(outputs, 1):
        inputs = [row, core_names[k], digits[k]]
        product = body.call("SliceProduct", inputs, f"product_{k}", carrier=f"@carrier_{k}")
        row = body.requantize(product, output, f"_{k}")
    return body.finish()


def _linear(
    name: str, kind: LinearKind, plan: Plan, left: int, right: int, bias: bool, residual: bool
) -> FunctionProto:
    cores = tuple(f"core_{k}" for k in range(1, left + right + 1))
    mids = tuple(f"mid_{k}" for k in range(1, len(cores)))
    inputs = ["x", *cores, *(["bias"] if bias else []), *(["residual"] if residual else [])]
    description = "A linear layer: every product but the last is requantized to mid_1, mid_2, .. in turn."
    body = _Body(name, description, inputs, [*mids, "y"])
    if kind != "tt":
        for attribute in ("plan", "split"):
            body.declare(attribute)
    # The names and kinds of the steps do not depend on the shapes; the attributes of a node have the sizes.
    shape = (1, 1, 1) if kind == "tt" else (1, 1)
    steps = linear_steps(Linear(kind, "x", cores, left, plan, mids, "y"), dict.fromkeys(cores, shape))
    for k, step in enumerate(steps, 1):
        blocks = {"merge": "Merge", "apply": "Apply", "expand": "Expand"}
        total = body.call(
            blocks[step.kind],
            [step.lhs, step.rhs],
            f"product_{k}",
            matrix=f"@matrix_{k}",
            carrier=f"@carrier_{k}",
        )
        if step.kind == "merge":
            dims = body.standard("Constant", [], f"dims_{k}", value_ints=f"@dims_{k}")
            total = body.standard("Reshape", [total, dims], f"merged_{k}")
        if k == len(steps) and bias:
            wide = body.standard("Cast", ["bias"], "wide_bias", to=TensorProto.INT64)
            total = body.standard("Add", [total, wide], "biased")
        if k == len(steps) and residual:
            aligned = body.call("Align", [total], "aligned", left="@left")
            total = body.standard(
                "Add",
                [aligned, body.call("Align", ["residual"], "aligned_residual", left="@left_residual")],
                "sum",
            )
        body.requantize(total, step.output, f"_{k}")
    return body.finish()


def _block(name: str) -> FunctionProto:
    """A function of `onnx_blocks`, the same for every version of onnxscript.

    Values and nodes inside are named by operator and position; anything else that a version may add is left out.
    """
    parsed = BLOCKS[name].to_function_proto()
    proto = FunctionProto(
        name=name,
        domain=DOMAIN,
        doc_string=inspect.cleandoc(parsed.doc_string),
        input=parsed.input,
        attribute=parsed.attribute,
    )
    names = {value: value for value in parsed.input}
    for k, node in enumerate(parsed.node, 1):
        (output,) = node.output
        label = names[output] = f"{node.op_type}_{k}"
        attributes: list[AttributeProto] = sorted(node.attribute, key=lambda attribute: attribute.name)
        proto.node.append(
            NodeProto(
                name=label,
                op_type=node.op_type,
                domain=node.domain,
                input=[names[value] for value in node.input],
                output=[label],
                attribute=attributes,
            )
        )
    proto.output.extend(names[value] for value in parsed.output)
    return _with_imports(proto)


def _with_imports(proto: FunctionProto) -> FunctionProto:
    proto.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    proto.opset_import.append(onnx.helper.make_opsetid(DOMAIN, DOMAIN_VERSION))
    return proto


def variant(op_type: str) -> re.Match[str] | None:
    """The parts of the op type of an operator whose number of inputs varies, by name; None for any other op type."""
    return _VARIANTS.fullmatch(op_type)


@cache
def function(op_type: str) -> FunctionProto | None:
    """The function of an op type in the domain `narrowgauge`; None if there is no such op type.

    The result is cached: callers must not change it.
    """
    if op_type in BLOCKS:
        return _block(op_type)
    match = variant(op_type)
    if match is None:
        return None
    if match["add"]:
        return _add(op_type, int(match["terms"]))
    if match["ttm"]:
        return _ttm_embedding(op_type, int(match["cores"]))
    bias, residual = bool(match["bias"]), bool(match["residual"])
    if match["tt"]:
        plan: Plan = "merged" if match["plan"] == "merged" else "cores"
        return _linear(op_type, "tt", plan, int(match["left"]), int(match["right"]), bias, residual)
    kind: LinearKind = "dense" if match["dense"] else "lowrank"
    return _linear(op_type, kind, "merged", 0, 1 if match["dense"] else 2, bias, residual)


def functions(op_types: Iterable[str]) -> tuple[FunctionProto, ...]:
    """The functions of these op types and all functions that they call, sorted by name."""
    protos: dict[str, FunctionProto] = {}
    waiting = list(op_types)
    while waiting:
        name = waiting.pop()
        proto = function(name)
        if name in protos or proto is None:
            continue
        protos[name] = proto
        waiting.extend(node.op_type for node in proto.node if node.domain == DOMAIN)
    return tuple(protos[name] for name in sorted(protos))
