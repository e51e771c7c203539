"""What Vitis HLS refuses or cannot schedule (UG1399), as far as it can be read from the sources: clang's syntax tree.

Templates are read as written, before they are instantiated.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clang.cindex import Cursor, CursorKind, TranslationUnit, Type, TypeKind

from .hls_rules import FUNCTIONS, callee, parse, place, walk

__all__ = ["MOST_BITS", "stream_widths", "vendor_offences"]

MOST_BITS = 4096
"""Bits of an element of the widest stream that Vitis HLS accepts."""

_POINTERS = {TypeKind.POINTER, TypeKind.MEMBERPOINTER}
_REFERENCES = {TypeKind.LVALUEREFERENCE, TypeKind.RVALUEREFERENCE}
_ARRAYS = {
    TypeKind.CONSTANTARRAY,
    TypeKind.INCOMPLETEARRAY,
    TypeKind.VARIABLEARRAY,
    TypeKind.DEPENDENTSIZEDARRAY,
}
_VARIABLES = {CursorKind.PARM_DECL, CursorKind.VAR_DECL, CursorKind.FIELD_DECL}
_PORTS = 2
_READS = {"read", "read_nb"}
_WRITES = {"write", "write_nb"}


@dataclass
class _Function:
    """A function with a body, and the directions, `r` and `w`, in which it uses its streams."""

    cursor: Cursor
    body: Cursor
    words: list[str]
    parameters: list[Cursor]
    streams: dict[str, set[str]]

    @property
    def name(self) -> str:
        return str(self.cursor.spelling)

    @property
    def is_dataflow(self) -> bool:
        text = " ".join(self.words)
        return re.search(r"# pragma HLS dataflow\b", text) is not None


def vendor_offences(
    path: Path, folders: list[Path], flags: list[str], tops: tuple[str, ...] = ()
) -> list[str]:
    """What breaks the rules in `path` and in what it includes from `folders`, as lines for the reader.

    Lambdas, pointers to pointers and to functions, members that are references, dataflow regions whose processes share
    an array or take anything but arrays and streams by reference, streams with several producers or consumers,
    pipelined loops that access a memory at more places than it has ports, and functions of `tops` in a namespace or
    with an argument that has no interface.
    """
    unit, cursors = parse(path, folders, flags)
    found: list[str] = []
    functions: list[_Function] = []
    for cursor in cursors:
        for node, _ in walk(cursor, ""):
            found += [f"{place(node)}: {text}" for text in _node_offences(node)]
            if node.kind in FUNCTIONS:
                functions += _function(unit, node)
    _infer_directions(functions)
    for function in functions:
        found += [f"{place(function.cursor)}: {text}" for text in _stream_offences(function)]
        found += [f"{place(function.cursor)}: {text}" for text in _port_offences(function)]
        if function.is_dataflow:
            found += [f"{place(function.cursor)}: {text}" for text in _region_offences(function, functions)]
    for top in tops:
        found += _top_offences(top, functions)
    return sorted(set(found))


def _node_offences(node: Cursor) -> Iterator[str]:
    if node.kind == CursorKind.LAMBDA_EXPR:
        yield "a lambda"
    if node.kind in _VARIABLES:
        for kind in _levels(node.type):
            if kind == "function":
                yield "a pointer to a function"
            if kind == "pointer":
                yield "a pointer to a pointer"
    if node.kind == CursorKind.FIELD_DECL and node.type.kind in _REFERENCES:
        yield "a member that is a reference"


def _levels(found: Type) -> Iterator[str]:
    """What the pointers of a type point to, where that is a pointer or a function."""
    found = found.get_canonical()
    below = False
    while True:
        if found.kind in _REFERENCES:
            found = found.get_pointee().get_canonical()
        elif found.kind in _ARRAYS:
            found, below = found.element_type.get_canonical(), True
        elif found.kind in _POINTERS:
            if below:
                yield "pointer"
            found, below = found.get_pointee().get_canonical(), True
            if found.kind in (TypeKind.FUNCTIONPROTO, TypeKind.FUNCTIONNOPROTO):
                yield "function"
        else:
            return


def _function(unit: TranslationUnit, cursor: Cursor) -> Iterator[_Function]:
    children = list(cursor.get_children())
    bodies = [child for child in children if child.kind == CursorKind.COMPOUND_STMT]
    if bodies:
        parameters = [child for child in children if child.kind == CursorKind.PARM_DECL]
        words = [token.spelling for token in unit.get_tokens(extent=cursor.extent)]
        local = [node for node in bodies[0].walk_preorder() if node.kind == CursorKind.VAR_DECL]
        streams = {node.spelling: set[str]() for node in [*parameters, *local] if _is_stream(node.type)}
        yield _Function(cursor, bodies[0], words, parameters, streams)


def _is_stream(found: Type) -> bool:
    return re.match(r"(const )?(hls::)?stream<", found.spelling) is not None


def _arguments(call: Cursor) -> list[str]:
    """The variables that are the arguments of a call, "" for other expressions."""
    names = []
    for argument in call.get_arguments():
        node = argument
        while node is not None and node.kind == CursorKind.UNEXPOSED_EXPR:
            node = next(node.get_children(), None)
        names.append(node.spelling if node is not None and node.kind == CursorKind.DECL_REF_EXPR else "")
    return names


def _calls(function: _Function) -> list[Cursor]:
    return [node for node in function.body.walk_preorder() if node.kind == CursorKind.CALL_EXPR]


def _called(functions: list[_Function], call: Cursor) -> list[_Function]:
    """The functions that a call may mean: those with its name and number of arguments."""
    count = len(list(call.get_arguments()))
    return [f for f in functions if f.name == callee(call) and len(f.parameters) == count]


def _infer_directions(functions: list[_Function]) -> None:
    """Fills in `streams`: what a function does itself, and what the functions that it calls do."""
    for function in functions:
        for name, dot, method in zip(function.words, function.words[1:], function.words[2:], strict=False):
            if name in function.streams and dot == ".":
                function.streams[name] |= {"r"} if method in _READS else {"w"} if method in _WRITES else set()
    passed = [
        (function, _arguments(call), _called(functions, call))
        for function in functions
        for call in _calls(function)
    ]
    changed = True
    while changed:
        changed = False
        for function, names, targets in passed:
            for name, more in _directions(names, targets):
                if name in function.streams and not more <= function.streams[name]:
                    function.streams[name] |= more
                    changed = True


def _directions(names: list[str], targets: list[_Function]) -> Iterator[tuple[str, set[str]]]:
    """What the called functions do with the variables that are handed to them."""
    for target in targets:
        for name, parameter in zip(names, target.parameters, strict=True):
            yield name, target.streams.get(parameter.spelling, set())


def _stream_offences(function: _Function) -> Iterator[str]:
    parameters = {parameter.spelling for parameter in function.parameters}
    for name, directions in function.streams.items():
        if name in parameters and directions == {"r", "w"}:
            yield f"{function.name} reads and writes the stream {name}"
        if name not in parameters and not function.is_dataflow:
            yield f"the stream {name} is outside a dataflow region"


def _port_offences(function: _Function) -> Iterator[str]:
    """Memories that a pipelined loop accesses at more places than a memory has ports."""
    memories = [p.spelling for p in function.parameters if p.type.get_canonical().kind in _ARRAYS | _POINTERS]
    for loop in _pipelines(function.words):
        for name in memories:
            places = sum(word == name and after == "[" for word, after in itertools.pairwise(loop))
            if places > _PORTS:
                yield f"{function.name} accesses {name} at {places} places of a pipelined loop"


def _pipelines(words: list[str]) -> Iterator[list[str]]:
    """The words of every pipelined loop: from its pragma to the end of its block."""
    for start in range(len(words)):
        if words[start : start + 3] == ["pragma", "HLS", "pipeline"]:
            depth = 1
            for end in range(start, len(words)):
                depth += (words[end] == "{") - (words[end] == "}")
                if depth == 0:
                    yield words[start:end]
                    break


def _region_offences(function: _Function, functions: list[_Function]) -> Iterator[str]:
    arrays: dict[str, list[str]] = defaultdict(list)
    ends: dict[str, list[str]] = defaultdict(list)
    variables = {
        node.spelling: node.type for node in function.cursor.walk_preorder() if node.kind in _VARIABLES
    }
    for statement in function.body.get_children():
        if statement.kind == CursorKind.DECL_STMT:
            continue
        call = statement
        while call.kind == CursorKind.UNEXPOSED_EXPR:
            call = next(call.get_children())
        if call.kind != CursorKind.CALL_EXPR:
            yield f"{function.name}: a statement of a dataflow region is no call of a process"
            continue
        names, targets = _arguments(call), _called(functions, call)
        for name in set(names) & set(variables):
            if variables[name].get_canonical().kind in _ARRAYS | _POINTERS:
                arrays[name].append(callee(call))
        found = {(name, tuple(sorted(more))) for name, more in _directions(names, targets)}
        for name, directions in found:
            if name in function.streams:
                ends[name] += directions
        for target in targets:
            for parameter in target.parameters:
                if parameter.type.kind in _REFERENCES and not _is_stream(parameter.type):
                    yield f"{target.name} takes {parameter.spelling} by reference"
    parameters = {parameter.spelling for parameter in function.parameters}
    for name, processes in arrays.items():
        # A local array is a channel from one process to another.
        if len(processes) > (1 if name in parameters else 2):
            yield f"the array {name} is in {len(processes)} processes: {', '.join(processes)}"
    for name in function.streams:
        wanted = 1 if name in parameters else 2
        if len(ends[name]) != wanted or len(set(ends[name])) != wanted:
            yield f"the stream {name} has {ends[name].count('w')} producers and {ends[name].count('r')} consumers"


def _top_offences(top: str, functions: list[_Function]) -> Iterator[str]:
    found = [function for function in functions if function.name == top]
    if len(found) != 1:
        yield f"{top}: {len(found)} functions instead of one"
        return
    function = found[0]
    parent = function.cursor.semantic_parent
    if parent.kind != CursorKind.TRANSLATION_UNIT and function.cursor.mangled_name != top:
        yield f"{top}: in the namespace {parent.spelling}"
    text = " ".join(function.words)
    ports = re.findall(r"# pragma HLS interface mode = \w+ port = (\w+)", text)
    names = [parameter.spelling for parameter in function.parameters]
    for name in [*names, "return"]:
        if ports.count(name) != 1:
            yield f"{top}: {name} has {ports.count(name)} interfaces"
    for name in set(ports) - {*names, "return"}:
        yield f"{top}: an interface of {name}, which is no argument"


def stream_widths(path: Path, folders: list[Path], flags: list[str], probe: Path) -> dict[str, int]:
    """The bits of an element of every stream, by the type as it is written.

    Args:
        path, folders, flags: the sources, for engines with the lanes of `ng::Config`.
        probe: a file to write, which names the types with `C` as the configuration and `N` as its lanes.
    """
    _, cursors = parse(path, folders, flags)
    elements = set()
    for cursor in cursors:
        for node, _ in walk(cursor, ""):
            if node.kind in _VARIABLES and _is_stream(node.type):
                elements.add(_first_argument(node.type.spelling))
    ordered = sorted(elements)
    # The size makes the compiler instantiate a template.
    lines = [
        f"using Probe{n} = {element};\nstatic_assert(sizeof(Probe{n}) > 0);"
        for n, element in enumerate(ordered)
    ]
    names = "using C = Config;\nconstexpr int N = Config::lanes;\n"
    source = path.read_text(encoding="utf-8")
    probe.write_text(f"{source}\nnamespace ng {{\n{names}" + "\n".join(lines) + "\n}\n", encoding="utf-8")
    _, cursors = parse(probe, [], [*flags, f"-I{path.parent}"])
    widths = {}
    for cursor in cursors:
        for node, _ in walk(cursor, ""):
            if node.kind == CursorKind.TYPE_ALIAS_DECL and node.spelling.startswith("Probe"):
                element = ordered[int(node.spelling.removeprefix("Probe"))]
                widths[element] = _bits(node.underlying_typedef_type.get_canonical())
    return widths


def _first_argument(spelling: str) -> str:
    """The first argument of a template: its commas outside brackets separate arguments."""
    depth, start = 0, spelling.index("<") + 1
    for at, letter in enumerate(spelling[start:], start):
        if depth == 0 and letter in ",>":
            return spelling[start:at]
        depth += letter in "<([{"
        depth -= letter in ">)]}"
    raise ValueError(spelling)


def _bits(found: Type) -> int:
    if found.kind in _ARRAYS:
        return int(found.element_count) * _bits(found.element_type.get_canonical())
    if found.kind == TypeKind.RECORD:
        number = re.search(r"\bap_u?int<(\d+)>$", found.spelling)
        return (
            int(number[1])
            if number
            else sum(_bits(field.type.get_canonical()) for field in found.get_fields())
        )
    size = int(found.get_size())
    assert size > 0, found.spelling
    return 8 * size
