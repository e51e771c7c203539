"""Plants faults in a module of the RTL and runs its bench against each: a bench checks what it notices.

    python -m narrowgauge.tests.support.faults ng_fifo
    python -m narrowgauge.tests.support.faults ng_drain_lane --bench ng_drain --count 50 --seed 2

A fault is one change of one expression: an operator, a constant, a condition, the branches of `?:`, or a register that
keeps its value. All faults of a module are compiled into one simulation; the plusarg `planted` selects one, so a fault
costs one run of the bench and no compilation. Prints every fault that the bench did not notice (a survivor) with its
line, and exits with 1 if there are any. A survivor is either equivalent to the original or a hole in the bench.

Limits: no faults in packages, parameters, ranges, generate conditions, instances and assertions.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

import pyslang.syntax as ast
from rich.progress import track

from narrowgauge.sim.benches.runner import run_bench
from narrowgauge.sim.benches.setup import Setup, Values
from narrowgauge.sim.rtl.verilate import RTL

PLUSARG = "planted"
"""Selects the fault of a simulation, from 1; 0 is the original."""

_OPERATORS = {
    "+": "-", "-": "+", "&&": "||", "||": "&&", "==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=",
    ">=": ">", "&": "|", "|": "&", "^": "|", "<<": ">>", ">>": "<<", ">>>": ">>", "<<<": ">>>", "*": "+",
}  # fmt: skip

_SKIPPED = (
    "ConcurrentAssertion", "ImmediateAssert", "ElabSystemTask", "ParameterDeclaration", "RangeSelect", "Dimension",
    "MultipleConcatenation", "HierarchyInstantiation", "GenvarDeclaration", "FunctionPrototype",
)  # fmt: skip
"""Kinds of syntax whose content is constant, or no logic."""


@dataclass(frozen=True)
class Fault:
    """A planted fault.

    Attributes:
        start, end: the expression that is replaced, or the statement that is left out, as offsets in the file.
        text: what replaces the expression; "" for a statement that is left out.
        line: its line, from 1.
        what: a description.
    """

    start: int
    end: int
    text: str
    line: int
    what: str


def faults(source: str) -> list[Fault]:
    """All faults of a module, in the order of their places in the file."""
    tree = ast.SyntaxTree.fromText(source)
    # Two changes of one expression may be the same fault, for instance a negated condition.
    found = {(fault.start, fault.end, fault.text): fault for fault in _in_node(tree.root, source)}
    return [found[key] for key in sorted(found)]


def _kind(node: object) -> str:
    return str(getattr(node, "kind", "")).rsplit(".", 1)[-1]


def _span(node: ast.SyntaxNode) -> tuple[int, int]:
    return node.sourceRange.start.offset, node.sourceRange.end.offset


def _children(node: ast.SyntaxNode) -> Iterator[ast.SyntaxNode]:
    for child in node:
        if isinstance(child, ast.SyntaxNode):
            yield child


def _in_node(node: ast.SyntaxNode, source: str) -> Iterator[Fault]:
    """Faults below a node that is no expression."""
    kind = _kind(node)
    if any(word in kind for word in _SKIPPED):
        return
    inner = node.expr if isinstance(node, ast.ExpressionStatementSyntax) else None
    if isinstance(inner, ast.BinaryExpressionSyntax) and _kind(inner).startswith("Nonblocking"):
        start, end = _span(node)
        what = f"{source[slice(*_span(inner.left))]} keeps its value"
        yield Fault(start, end, "", source.count("\n", 0, start) + 1, what)
    if isinstance(node, ast.BinaryExpressionSyntax) and kind.endswith("AssignmentExpression"):
        start, end = _span(node.right)
        yield from _in_expression(node.right, source, start, end)
        return
    if kind == "ConditionalPredicate":
        start, end = _span(node)
        text = source[start:end]
        yield Fault(start, end, f"!({text})", source.count("\n", 0, start) + 1, "the condition is negated")
        yield from _in_expression(node, source, start, end)
        return
    for number, child in enumerate(_children(node)):
        # The header of a loop, and the condition of a generate, are constants.
        if kind in (
            "LoopGenerate",
            "ForLoopStatement",
            "IfGenerate",
            "CaseGenerate",
        ) and "Expression" in _kind(child):
            continue
        if kind == "ForLoopStatement" and number < 3 and "Statement" not in _kind(child):
            continue
        yield from _in_node(child, source)


def _in_expression(node: ast.SyntaxNode, source: str, start: int, end: int) -> Iterator[Fault]:
    """Faults in a node of the expression at `start` to `end`, as replacements of the whole expression."""
    kind = _kind(node)
    if any(word in kind for word in _SKIPPED):
        return

    def fault(at: int, until: int, text: str, what: str) -> Fault:
        whole = source[start:at] + text + source[until:end]
        return Fault(start, end, whole, source.count("\n", 0, at) + 1, what)

    first, last = _span(node)
    text = source[first:last]
    if isinstance(node, ast.BinaryExpressionSyntax):
        operator = node.operatorToken.valueText or str(node.operatorToken).strip()
        if operator in _OPERATORS:
            at = source.index(operator, _span(node.left)[1])
            other = _OPERATORS[operator]
            yield fault(at, at + len(operator), other, f"{operator} is {other}")
    elif kind == "UnaryLogicalNotExpression":
        yield fault(first, last, f"({text[1:]})", f"{text} without !")
    elif isinstance(node, ast.ConditionalExpressionSyntax):
        left, right = (source[slice(*_span(part))] for part in (node.left, node.right))
        at, until = _span(node.left)[0], _span(node.right)[1]
        yield fault(at, until, f"{right} : {left}", f"branches swapped: {text[:40]}")
    elif kind == "UnbasedUnsizedLiteralExpression" and text in ("'0", "'1"):
        yield fault(first, last, "'1" if text == "'0" else "'0", f"{text} inverted")
    elif kind == "IntegerVectorExpression" and (
        literal := re.fullmatch(r"(\d+)'(s?)([bdh])([0-9a-fA-F_]+)", text)
    ):
        bits = int(literal[1])
        value = int(literal[4].replace("_", ""), {"b": 2, "d": 10, "h": 16}[literal[3]])
        more = (value + 1) % (1 << bits)
        yield fault(first, last, f"{bits}'{literal[2]}h{more:x}", f"{text} is {more}")
    for number, child in enumerate(_children(node)):
        if kind == "CastExpression" and number == 0:
            continue
        yield from _in_expression(child, source, start, end)


def planted(source: str, chosen: Sequence[Fault]) -> str:
    """The module with all chosen faults; the plusarg `planted` selects the one with that number, from 1."""
    by_place: dict[tuple[int, int], list[tuple[int, Fault]]] = {}
    for number, fault in enumerate(chosen, 1):
        by_place.setdefault((fault.start, fault.end), []).append((number, fault))
    edits: list[tuple[int, int, str]] = []
    for (start, end), group in by_place.items():
        if not group[0][1].text:
            # Not as a choice of values: the sign of the register would change that of the expression.
            ((number, _),) = group
            edits += [(start, start, f"begin if ({PLUSARG} != {number}) "), (end, end, " end")]
            continue
        chain = f"({source[start:end]})"
        for number, fault in reversed(group):
            chain = f"({PLUSARG} == {number} ? ({fault.text}) : {chain})"
        edits.append((start, end, chain))
    text = source
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    selector = f'initial if (!$value$plusargs("{PLUSARG}=%d", {PLUSARG})) {PLUSARG} = 0;'
    selector = f"\n  int unsigned {PLUSARG};\n  {selector}\n"
    header = re.search(r"^module .*?^\);", text, re.MULTILINE | re.DOTALL)
    assert header, "no module"
    return text[: header.end()] + selector + text[header.end() :]


def notices(number: int, folder: Path, bench: str, runs: Sequence[Values], setup: Setup) -> bool:
    """Whether the bench fails with a fault, in one of its runs."""
    for values in runs:
        try:
            run_bench(bench, values, setup=setup, plusargs=[f"+{PLUSARG}={number}"], rtl=folder)
        except AssertionError:
            return True
    return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the bench against the faults; 1 if it did not notice one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("module", help="a module of the RTL, for instance ng_fifo")
    parser.add_argument("--bench", help="the bench, if it is that of another module")
    parser.add_argument("--count", type=int, help="the number of faults, chosen at random; default: all")
    parser.add_argument("--lines", type=int, nargs="+", help="only faults in these lines")
    parser.add_argument("--seed", type=int, default=1, help="of the choice")
    parser.add_argument("--runs", type=int, help="number of runs of the bench that are used, the first ones")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    bench = options.bench or options.module
    setup: Setup = import_module(f"narrowgauge.sim.benches.bench_{bench}").SETUP
    source = (RTL / f"{options.module}.sv").read_text(encoding="utf-8")
    chosen = [fault for fault in faults(source) if options.lines is None or fault.line in options.lines]
    if options.count is not None and options.count < len(chosen):
        chosen = sorted(random.Random(options.seed).sample(chosen, options.count), key=lambda f: f.start)
    runs = setup.runs[: options.runs]
    survivors: list[Fault] = []
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work, "rtl")
        shutil.copytree(RTL, folder)
        (folder / f"{options.module}.sv").write_text(planted(source, chosen), encoding="utf-8")
        if notices(0, folder, bench, runs, setup):
            raise AssertionError(f"the bench of {bench} fails without a fault")
        with ProcessPoolExecutor(options.workers) as pool:
            check = partial(notices, folder=folder, bench=bench, runs=runs, setup=setup)
            numbers = range(1, len(chosen) + 1)
            found = track(pool.map(check, numbers), f"faults in {options.module}", total=len(chosen))
            for fault, noticed in zip(chosen, found, strict=True):
                if not noticed:
                    survivors.append(fault)
                    text = f": {' '.join(fault.text.split())}" if fault.text else ""
                    print(f"{options.module}.sv:{fault.line}: {fault.what}{text}", flush=True)
    print(
        f"{options.module}: {len(chosen)} faults, {len(chosen) - len(survivors)} noticed, {len(survivors)} survived"
    )
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main())
