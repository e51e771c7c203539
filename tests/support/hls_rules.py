"""What synthesizable C++ must not contain, found in clang's syntax tree."""

from __future__ import annotations

import itertools
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from clang.cindex import Cursor, CursorKind, Index, TranslationUnit, TypeKind

__all__ = ["FUNCTIONS", "callee", "offences", "parse", "place", "walk"]

_FLOATS = {
    getattr(TypeKind, name)
    for name in ("FLOAT", "DOUBLE", "LONGDOUBLE", "FLOAT128", "HALF")
    if hasattr(TypeKind, name)
}
_DYNAMIC = {CursorKind.CXX_NEW_EXPR, CursorKind.CXX_DELETE_EXPR}
_ALLOCATORS = {"malloc", "calloc", "realloc", "free", "alloca"}
_LOOPS = {CursorKind.WHILE_STMT, CursorKind.DO_STMT, CursorKind.GOTO_STMT}
FUNCTIONS = {
    CursorKind.FUNCTION_DECL,
    CursorKind.FUNCTION_TEMPLATE,
    CursorKind.CXX_METHOD,
    CursorKind.CONSTRUCTOR,
}
_STANDARD = {"conditional_t", "conditional", "make_unsigned_t", "make_signed_t", "is_same_v"}
_COMPARISONS = {"<", "<=", ">", ">="}
_STEPS = {"++", "--"}


@cache
def _builtin_headers() -> str:
    """g++'s own headers: libclang comes without clang's."""
    command = ["g++", "-print-file-name=include"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def offences(path: Path, folders: list[Path], flags: list[str]) -> list[str]:
    """What breaks the rules in `path` and in what it includes from `folders`, as lines for the reader.

    Floating point, dynamic memory, a loop that is no bounded `for`, recursion (by names: overloads count as one
    function), and anything of namespace std but integers and type traits.
    """
    unit, cursors = parse(path, folders, flags)
    found: list[str] = []
    calls: dict[str, set[str]] = defaultdict(set)
    for cursor in cursors:
        for node, function in walk(cursor, ""):
            found += [f"{place(node)}: {text}" for text in _node_offences(unit, node)]
            if function and node.kind == CursorKind.CALL_EXPR:
                calls[function].add(callee(node))
    found += [f"recursion: {' -> '.join(cycle)}" for cycle in _cycles(calls)]
    return sorted(set(found))


def parse(path: Path, folders: list[Path], flags: list[str]) -> tuple[TranslationUnit, list[Cursor]]:
    """The declarations of `path` and of what it includes from `folders`.

    Raises:
        AssertionError: clang finds an error.
    """
    unit = Index.create().parse(str(path), args=["-std=c++17", *flags, f"-isystem{_builtin_headers()}"])
    errors = [str(d) for d in unit.diagnostics if d.severity >= 3]
    if errors:
        raise AssertionError("\n".join(errors[:5]))
    roots = (*(str(folder.resolve()) for folder in folders), str(path.resolve()))
    children = [child for child in unit.cursor.get_children() if child.location.file is not None]
    return unit, [
        child for child in children if str(Path(child.location.file.name).resolve()).startswith(roots)
    ]


def walk(node: Cursor, function: str) -> Iterator[tuple[Cursor, str]]:
    """Every node, with the name of the function that it stands in."""
    if node.kind in FUNCTIONS:
        function = node.spelling
    yield node, function
    for child in node.get_children():
        yield from walk(child, function)


def place(node: Cursor) -> str:
    """File and line."""
    return f"{Path(node.location.file.name).name}:{node.location.line}" if node.location.file else "?"


def callee(call: Cursor) -> str:
    """The name that is called; inside templates it may not be resolved yet."""
    if call.spelling:
        return str(call.spelling)
    for child in call.get_children():
        for node in child.walk_preorder():
            if node.spelling and node.kind != CursorKind.NAMESPACE_REF:
                return str(node.spelling)
    return ""


def _node_offences(unit: TranslationUnit, node: Cursor) -> Iterator[str]:
    kind = node.type.get_canonical().kind
    if kind in _FLOATS or node.kind == CursorKind.FLOATING_LITERAL:
        yield "floating point"
    if node.kind in _DYNAMIC:
        yield "dynamic memory"
    if node.kind == CursorKind.CALL_EXPR and callee(node) in _ALLOCATORS:
        yield "dynamic memory"
    if node.kind in _LOOPS:
        yield "a loop that is no `for`"
    if node.kind == CursorKind.FOR_STMT and not _is_bounded(unit, node):
        yield "a `for` without a bound"
    target = node.referenced
    if target is not None and node.kind.is_reference() and _in_std(target):
        name = target.spelling
        if name not in _STANDARD and not name.endswith("_t") and target.kind != CursorKind.NAMESPACE:
            yield f"std::{name}"


def _in_std(cursor: Cursor) -> bool:
    parent = cursor.semantic_parent
    while parent is not None and parent.kind != CursorKind.TRANSLATION_UNIT:
        if parent.kind == CursorKind.NAMESPACE and parent.spelling == "std":
            return True
        parent = parent.semantic_parent
    return False


def _is_bounded(unit: TranslationUnit, loop: Cursor) -> bool:
    """Whether the loop declares a variable, compares it with something, and steps it by one."""
    parts: list[list[str]] = [[]]
    depth = 0
    for token in unit.get_tokens(extent=loop.extent):
        text = token.spelling
        if text == "for" and depth == 0:
            continue
        depth += text in ("(", "[", "{")
        depth -= text in (")", "]", "}")
        if depth == 0:
            break
        if text == ";" and depth == 1:
            parts.append([])
        else:
            parts[-1].append(text)
    if len(parts) != 3:
        return False
    start, condition, step = parts
    if "=" not in start:
        return False
    variable = start[start.index("=") - 1]
    compares = any(a == variable and b in _COMPARISONS for a, b in itertools.pairwise(condition))
    return compares and variable in step and bool(_STEPS & set(step)) and "||" not in condition


def _cycles(calls: dict[str, set[str]]) -> Iterator[list[str]]:
    """Functions that call themselves, directly or through others."""
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> Iterator[list[str]]:
        if name in trail:
            yield [*trail[trail.index(name) :], name]
        elif name not in done:
            for callee in sorted(calls.get(name, ())):
                yield from visit(callee, [*trail, name])
            done.add(name)

    for name in sorted(calls):
        yield from visit(name, [])
