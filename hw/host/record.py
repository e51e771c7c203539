"""`engine.json`: a compiled model except for the bytes of its program and constants.

It is read strictly: a record that does not fit its program is refused. Reading must need numpy only, like all code that
runs on a board, so no schema library is used.
"""

from __future__ import annotations

import hashlib
import json
import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from ...files import FileEntry
from ...text import Labels, tokenizer_from_json
from ...text.frontend import Frontend
from ..isa import (
    INDEX_COLUMNS,
    ISA_VERSION,
    MAX_LENGTH,
    MEMORIES,
    SENTENCES,
    Contract,
    LayerNorm,
    Memory,
    Parameters,
    Softmax,
    Store,
    Unit,
)
from ..isa.program import Program, from_bytes
from .build import IMAGE_FILE, PROGRAM_FILE, STREAM_FILE, EngineBuild, Options
from .packets import IndexColumn, Output, id_limits
from .views import Axis, View

FORMAT = "narrowgauge-engine"
FORMAT_VERSION = 4

_FILES = (PROGRAM_FILE, IMAGE_FILE, STREAM_FILE)
"""The files that a record must list."""

_T = TypeVar("_T")

_CHECKSUM = "checksum"
_HEAD = {"format": FORMAT, "format_version": FORMAT_VERSION, "isa_version": ISA_VERSION}
_PARTS = (
    "options", "engine", "frontend", "inputs", "outputs", "layers", "peak", "model", "files", "views",
)  # fmt: skip
_NAME = 256
"""Most characters in the name of a value or a buffer."""

_INDEX = 1 << 24
"""Largest index in a value, and largest step of one; no model has that many features."""

_BYTES = 1 << 40
_MOST_AXES = 4
_MOST_DIMS = 3


_REPR = reprlib.Repr()
_REPR.maxlevel = _REPR.maxdict = _REPR.maxlist = 2
_shown = _REPR.repr
"""A refused value, shortened to fit into a message."""


class RecordError(ValueError):
    """A record is not valid; the message says why."""


def build_to_json(build: EngineBuild, files: Mapping[str, bytes]) -> dict[str, Any]:
    """The content of `engine.json` in JSON's types, with the checksum of its other fields.

    Args:
        build: a compiled model.
        files: the contents of its other files, by their names.
    """
    frontend = build.frontend
    content = _HEAD | {
        "options": asdict(build.options),
        "engine": asdict(build.engine),
        "frontend": frontend
        and {"tokenizer": frontend.tokenizer.to_json(), "labels": frontend.labels.to_json()},
        "inputs": [asdict(column) for column in build.inputs],
        "outputs": [asdict(output) for output in build.outputs],
        "layers": [list(names) for names in build.layers],
        "peak": {memory.name: list(map(list, parts)) for memory, parts in build.peak.items()},
        "model": build.model,
        "files": {name: FileEntry.of(content).to_json() for name, content in files.items()},
        "views": [_view_row(view) for view in build.views],
    }
    return content | {_CHECKSUM: checksum(content)}


def parse_build(value: Any, read: Callable[[str, FileEntry], bytes]) -> EngineBuild:
    """The compiled model that `build_to_json` gave `value` of.

    Args:
        value: from JSON.
        read: returns the content of a file, by its name, if the file has that size and checksum.

    Raises:
        RecordError: a field is missing, unknown, of another type or out of its range, the checksum is wrong, or the
            fields do not fit each other or the program.
    """
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise RecordError("it does not describe a program")
    for key in ("format_version", "isa_version"):
        if value.get(key) != _HEAD[key] or type(value[key]) is not int:
            raise RecordError(f"{key} must be {_HEAD[key]}, got {_shown(value.get(key))}")
    _keys(value, (*_HEAD, _CHECKSUM, *_PARTS), "engine.json")
    if checksum({key: part for key, part in value.items() if key != _CHECKSUM}) != value[_CHECKSUM]:
        raise RecordError("its checksum does not match its content")

    def part(name: str, parse: Callable[[Any], _T]) -> _T:
        return _within(name, parse, value[name])

    options = part("options", _options)
    engine = part("engine", parse_parameters)
    inputs = part("inputs", lambda columns: _list(columns, _column, INDEX_COLUMNS))
    outputs = part("outputs", lambda outputs: _list(outputs, _output))
    layers = part("layers", lambda units: _list(units, lambda unit: _list(unit, _name), len(Unit), len(Unit)))
    peak = part("peak", _peak)
    views = part("views", lambda views: _list(views, _view))
    model = part("model", _digest)
    files = part("files", _files)
    frontend = part("frontend", lambda frontend: _frontend(frontend, options.max_length, inputs))
    contents = {name: read(name, entry) for name, entry in files.items()}
    program = from_bytes(contents[PROGRAM_FILE], engine)
    image, stream = contents[IMAGE_FILE], contents[STREAM_FILE]
    build = EngineBuild(
        options, program, image, stream, views, inputs, outputs, layers, peak, frontend, model
    )
    if build.engine != engine:
        raise RecordError("engine must be the one that the options ask for")
    _check_build(build)
    return build


def _check_build(build: EngineBuild) -> None:
    """Checks that a record fits its program: the views, for instance, must be of what the instructions write.

    Raises:
        RecordError: it is not.
    """
    options, program = build.options, build.program
    needs = program.parameters
    for name, found, told in (
        ("lanes", needs.lanes, options.lanes),
        ("sentences", program.sentences, options.sentences),
        ("max_length", program.max_length, options.max_length),
    ):
        if found != told:
            raise RecordError(f"options: {name} must be that of the program, {found}, got {told}")
    for unit, layers in zip(Unit, build.layers, strict=True):
        if len(layers) != len(program.of(unit)):
            raise RecordError(
                f"layers must name one for each of the {len(program.of(unit))} instructions of the {unit.name} unit, "
                f"got {len(layers)}"
            )
    for memory, buffers in build.peak.items():
        if sum(words for _, words in buffers) > needs.depth(memory):
            raise RecordError(f"peak: the buffers must fit {memory.name} memory")
    _check_outputs(build)
    for number, view in enumerate(build.views):
        _within(f"views {number}", lambda view: _check_view(view, program), view)


def _check_outputs(build: EngineBuild) -> None:
    """Checks that the outputs are those that the program stores, and that vocabulary and labels fit their sizes.

    Raises:
        RecordError: they are not.
    """
    stores = [i for i in build.program.stream if isinstance(i, Store)]
    if [(output.sentence, output.block, output.words) for output in build.outputs] != [
        (store.sentence, store.block, store.count) for store in stores
    ]:
        raise RecordError("outputs must be those that the program stores")
    tasks: dict[str, Output] = {}
    for output in build.outputs:
        first = tasks.setdefault(output.task, output)
        if (first.value, first.words, first.per_token) != (output.value, output.words, output.per_token):
            raise RecordError(f"outputs must agree on what {output.task[:40]!r} is")
    if build.frontend is None:
        return
    labels = build.frontend.labels
    named = {"label": (len(labels.intents), False), "slots": (len(labels.slots), True)}
    if {task: (output.words, output.per_token) for task, output in tasks.items()} != {
        task: kind for task, kind in named.items() if kind[0]
    }:
        raise RecordError(
            "labels must name the features of the outputs label and slots, one name per feature"
        )
    size, limit = build.frontend.tokenizer.vocab_size, id_limits(build.inputs).get("tokens", 0)
    if size > limit:
        raise RecordError(f"tokenizer must have at most {limit} tokens, got {size}")


def parse_parameters(value: Any, *, partial: bool = False) -> Parameters:
    """The parameters of an engine.

    Args:
        value: from JSON.
        partial: whether fields may be omitted; the default engine's are used for these.

    Raises:
        RecordError: they are not the parameters of an engine.
    """
    names = tuple(field.name for field in fields(Parameters))
    _keys(value, names, "an engine", partial)
    try:
        return Parameters(**value)
    except ValueError as error:
        raise RecordError(str(error)) from None


def checksum(content: Mapping[str, Any]) -> str:
    """The SHA-256 of a record without its checksum, independent of the layout of the JSON text.

    Raises:
        RecordError: it is nested too deeply.
    """
    try:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    except RecursionError:
        raise RecordError("its lists are nested too deeply") from None
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _within(where: str, read: Callable[[Any], _T], value: Any) -> _T:
    try:
        return read(value)
    except RecordError as error:
        raise RecordError(f"{where}: {error}") from None


def _keys(value: Any, names: tuple[str, ...], what: str, partial: bool = False) -> None:
    if not isinstance(value, dict):
        raise RecordError(f"{what} must be an object, got {_shown(value)}")
    unknown = [name for name in value if name not in names]
    missing = [] if partial else [name for name in names if name not in value]
    if unknown or missing:
        if missing:
            raise RecordError(f"{what} must have the field {missing[0]!r}")
        raise RecordError(f"{what} has no field {_shown(unknown[0])}")


def _integer(value: Any, lo: int, hi: int, name: str) -> int:
    if type(value) is not int or not lo <= value <= hi:
        raise RecordError(f"{name} must be a whole number from {lo} to {hi}, got {_shown(value)}")
    return value


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise RecordError(f"{name} must be true or false, got {_shown(value)}")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= _NAME:
        raise RecordError(f"a name must have 1 to {_NAME} characters, got {_shown(value)}")
    return value


def _list(value: Any, read: Callable[[Any], _T], most: int | None = None, least: int = 0) -> tuple[_T, ...]:
    if not isinstance(value, list):
        raise RecordError(f"there must be a list, got {_shown(value)}")
    if len(value) < least or (most is not None and len(value) > most):
        raise RecordError(f"there must be {least} to {most} entries, got {len(value)}")
    return tuple(_within(str(number), read, entry) for number, entry in enumerate(value))


def _options(value: Any) -> Options:
    _keys(value, tuple(field.name for field in fields(Options)), "the options")
    engine, words = value["engine"], value["weight_words"]
    return Options(
        _integer(value["lanes"], 1, 1 << 10, "lanes"),
        _integer(value["sentences"], 1, SENTENCES, "sentences"),
        _integer(value["max_length"], 1, MAX_LENGTH, "max_length"),
        None if engine is None else parse_parameters(engine),
        _flag(value["tight"], "tight"),
        None if words is None else _integer(words, 1, _BYTES, "weight_words"),
    )


def _frontend(value: Any, max_length: int, inputs: tuple[IndexColumn, ...]) -> Frontend | None:
    if value is None:
        return None
    _keys(value, ("tokenizer", "labels"), "the front end")
    for name, part in value.items():
        if not isinstance(part, dict):
            raise RecordError(f"{name} must be an object, got {_shown(part)}")
    tokenizer = tokenizer_from_json(value["tokenizer"])
    labels = Labels.from_json(value["labels"])
    for name, part in (("tokenizer", tokenizer.to_json()), ("labels", labels.to_json())):
        # As text: in Python 1, 1.0 and True are equal.
        if json.dumps(part, sort_keys=True) != json.dumps(value[name], sort_keys=True):
            raise RecordError(f"{name} must be as this narrowgauge writes it")
    pairs = any(column.source == "segments" for column in inputs)
    return Frontend(tokenizer, labels, max_length, pairs)


def _column(value: Any) -> IndexColumn:
    _keys(value, ("source", "divisor", "modulus"), "a column")
    if value["source"] not in ("tokens", "segments"):
        raise RecordError(f"source must be tokens or segments, got {_shown(value['source'])}")
    return IndexColumn(
        value["source"],
        _integer(value["divisor"], 1, (1 << 31) - 1, "divisor"),
        _integer(value["modulus"], 1, 1 << 16, "modulus"),
    )


def _output(value: Any) -> Output:
    _keys(value, tuple(field.name for field in fields(Output)), "an output")
    return Output(
        _name(value["task"]),
        _name(value["value"]),
        _integer(value["sentence"], 0, SENTENCES - 1, "sentence"),
        _integer(value["block"], 0, MAX_LENGTH, "block"),
        _integer(value["words"], 1, MEMORIES[Memory.WIDE].max_depth, "words"),
        _flag(value["per_token"], "per_token"),
    )


def _peak(value: Any) -> dict[Memory, tuple[tuple[str, int], ...]]:
    _keys(value, tuple(memory.name for memory in Memory), "the peak", partial=True)

    def buffer(part: Any) -> tuple[str, int]:
        if not isinstance(part, list) or len(part) != 2:
            raise RecordError(f"there must be a name and a number of words, got {_shown(part)}")
        return _name(part[0]), _integer(part[1], 0, 1 << 31, "words")

    return {
        Memory[memory]: _within(memory, lambda parts: _list(parts, buffer), parts)
        for memory, parts in value.items()
    }


def _digest(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise RecordError(f"a SHA-256 must be 64 hexadecimal digits, got {_shown(value)}")
    return value


def _files(value: Any) -> dict[str, FileEntry]:
    _keys(value, _FILES, "the files")

    def entry(part: Any) -> FileEntry:
        try:
            return FileEntry.from_json(part)
        except ValueError as error:
            raise RecordError(str(error)) from None

    return {name: _within(name, entry, value[name]) for name in _FILES}


def _view_row(view: View) -> list[Any]:
    return [
        view.value,
        int(view.unit),
        view.number,
        view.sentence,
        int(view.memory),
        view.base,
        list(view.origin),
        [[axis.count, axis.address, axis.lane, list(axis.steps)] for axis in view.axes],
        view.before_table,
    ]


def _view(row: Any) -> View:
    if not isinstance(row, list) or len(row) != len(fields(View)):
        raise RecordError(f"there must be {len(fields(View))} numbers and lists, got {_shown(row)}")
    value, unit, number, sentence, memory, base, origin, axes, before_table = row

    def index(part: Any) -> int:
        return _integer(part, 0, _INDEX, "an index")

    def axis(part: Any) -> Axis:
        if not isinstance(part, list) or len(part) != len(fields(Axis)):
            raise RecordError(f"an axis must have {len(fields(Axis))} parts, got {_shown(part)}")
        count, address, lane, steps = part
        return Axis(
            _integer(count, 1, _INDEX, "count"),
            _integer(address, 0, _INDEX, "address"),
            _integer(lane, 0, _INDEX, "lane"),
            _list(steps, index, _MOST_DIMS, 1),
        )

    return View(
        _name(value),
        Unit(_integer(unit, 0, len(Unit) - 1, "unit")),
        _integer(number, 0, MEMORIES[Memory.PROGRAM].max_depth, "number"),
        _integer(sentence, 0, SENTENCES - 1, "sentence"),
        Memory(_integer(memory, 0, len(Memory) - 1, "memory")),
        _integer(base, 0, _INDEX, "base"),
        _list(origin, index, _MOST_DIMS, 1),
        _list(axes, axis, _MOST_AXES, 1),
        _flag(before_table, "before_table"),
    )


def _check_view(view: View, program: Program) -> None:
    instructions = program.of(view.unit)
    if view.number >= len(instructions):
        raise RecordError(f"number must be below {len(instructions)}, got {view.number}")
    instruction = instructions[view.number]
    written: int | None = None
    if isinstance(instruction, Contract):
        written = instruction.c_space
    elif isinstance(instruction, Softmax | LayerNorm):
        written = Memory.VECTOR
    if (view.sentence, view.memory) != (instruction.sentence, written):
        raise RecordError(
            f"sentence and memory must be those of instruction {view.number} of the {view.unit.name} unit"
        )
    if view.before_table and not (isinstance(instruction, Contract) and instruction.has_table):
        raise RecordError("before_table must be false where the instruction has no table")
    words = 1 + sum((axis.count - 1) * axis.address for axis in view.axes)
    lanes = 1 + sum((axis.count - 1) * axis.lane for axis in view.axes)
    depth = program.parameters.depth(view.memory)
    if view.base + words > depth or lanes > program.parameters.lanes:
        raise RecordError(f"the words must lie in {depth} of {program.parameters.lanes} lanes")
    if math.prod(axis.count for axis in view.axes) > words * lanes:
        raise RecordError("no place in a memory may be shown twice")
    if any(len(axis.steps) != len(view.origin) for axis in view.axes):
        raise RecordError("an axis must have one step for each index of the origin")
