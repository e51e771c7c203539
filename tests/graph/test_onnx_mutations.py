"""Random damage to `model.onnx` and `manifest.json`: refused in one sentence, or read as the graph in the file.

A mutated file that is accepted is run by onnxruntime as it is, and must give the integers of the golden model.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from onnx import ModelProto

from narrowgauge.errors import UserError
from narrowgauge.graph import Graph
from narrowgauge.graph.bounds import prove
from narrowgauge.graph.onnx_io import MANIFEST_FILE, MODEL_FILE, model_bytes, read_build, write_build
from narrowgauge.graph.onnx_read import parse_model
from narrowgauge.sim.golden.model import GoldenModel
from narrowgauge.sim.levels.compare import verify_levels
from narrowgauge.sim.levels.onnx import OnnxLevel

from ..support.graphs import random_graph, random_sentences
from ..support.mutations import MOST_LETTERS, mutated_bytes, mutated_json, time_limit

_INTEGERS = (0, 1, -1, 2, 7, 31, 127, 255, 1 << 31, -(1 << 31), (1 << 62), (1 << 63) - 1, -(1 << 63))
_TEXTS = (
    "",
    "x",
    "tokens",
    "a\x1b[31mb",
    "\n",
    "n" * 5000,
    "[red]",
    "../../etc/passwd",
    "é\u202e",
    "narrowgauge",
    "\0",
)
_SECTIONS = ("graph.node", "graph.initializer", "graph.value_info", "functions", "all", "all")
_RUNS = 12
"""How many accepted files are executed; all are compared message for message."""


@dataclass
class Place:
    """A field of a message, or an entry of a repeated field."""

    message: Any
    field: FieldDescriptor
    index: int | None

    def get(self) -> Any:
        value = getattr(self.message, self.field.name)
        return value if self.index is None else value[self.index]

    def put(self, value: Any) -> None:
        if self.index is None:
            setattr(self.message, self.field.name, value)
        else:
            getattr(self.message, self.field.name)[self.index] = value


def places(message: Message) -> Iterator[Place]:
    """All fields that are set in a message and the messages in it."""
    for field, value in message.ListFields():
        repeated = not isinstance(value, Message | str | bytes | int | float)
        for index, part in enumerate(value if repeated else [value]):
            yield Place(message, field, index if repeated else None)
            if isinstance(part, Message):
                yield from places(part)


def mutated_model(rng: random.Random, model: ModelProto) -> tuple[str, ModelProto]:
    """A copy of a model with one change to one field, and a description of the change."""
    copy = ModelProto()
    copy.CopyFrom(model)
    section = rng.choice(_SECTIONS)
    part: Any = copy
    for name in section.split(".") if section != "all" else ():
        part = getattr(part, name)
    root: Message = rng.choice(part) if section != "all" and part else copy
    root = root if root.ListFields() else copy
    if rng.random() < 0.1:
        field = rng.choice([field for field, _ in root.ListFields()])
        root.ClearField(field.name)
        return f"{field.full_name} cleared", copy
    place = rng.choice(list(places(root)))
    what = f"{place.field.full_name}[{place.index}]"
    if place.index is not None and rng.random() < 0.4:
        return f"{what} {_repeated(rng, getattr(place.message, place.field.name), place.index)}", copy
    return f"{what} {_changed(rng, place, copy)}", copy


def _repeated(rng: random.Random, entries: Any, index: int) -> str:
    kind = rng.choice(("remove", "twice", "again", "swap"))
    listed = list(entries)
    if kind == "remove":
        del listed[index]
    elif kind == "twice":
        listed.insert(index, listed[index])
    elif kind == "again":
        listed.append(listed[index])
    else:
        other = rng.randrange(len(listed))
        listed[index], listed[other] = listed[other], listed[index]
    copies = [
        type(entry).FromString(entry.SerializeToString()) if isinstance(entry, Message) else entry
        for entry in listed
    ]
    del entries[:]
    entries.extend(copies)
    return kind


def _changed(rng: random.Random, place: Place, model: ModelProto) -> str:
    old = place.get()
    kind = place.field.type
    if isinstance(old, Message):
        others = [p.get() for p in places(model) if p.field.type == kind and type(p.get()) is type(old)]
        new = rng.choice(others)
        content = new.SerializeToString()
        old.Clear()
        old.MergeFromString(content)
        return "another message"
    if isinstance(old, str):
        names = [name for node in model.graph.node for name in (*node.input, *node.output, node.op_type)] or [
            "x"
        ]
        new = rng.choice((rng.choice(_TEXTS), rng.choice(names), old + "_", old[:-1]))
    elif isinstance(old, bytes):
        new = mutated_bytes(rng, old, 1)[1]
    elif isinstance(old, float):
        new = rng.choice((0.0, -old, float("nan"), 1e30))
    else:
        new = rng.choice((rng.choice(_INTEGERS), old + 1, old - 1, -old, old ^ (1 << rng.randrange(8))))
        if kind == FieldDescriptor.TYPE_INT32 or kind == FieldDescriptor.TYPE_ENUM:
            new = max(-(1 << 31), min((1 << 31) - 1, new))
        new = max(-(1 << 63), min((1 << 63) - 1, new))
        if kind == FieldDescriptor.TYPE_ENUM:
            assert place.field.enum_type is not None
            new = rng.choice([value.number for value in place.field.enum_type.values])
    place.put(new)
    return f"to {new!r:.60}"


def mutated_header(rng: random.Random, model: ModelProto) -> tuple[str, ModelProto]:
    """A copy of a model with one change to its header, in the JSON format of the writer."""
    copy = ModelProto()
    copy.CopyFrom(model)
    entry = next(entry for entry in copy.metadata_props if entry.key == "header")
    what, value = mutated_json(rng, json.loads(entry.value))
    entry.value = json.dumps(value)
    return f"header: {what}", copy


@dataclass(frozen=True)
class Original:
    """The file that is damaged."""

    graph: Graph
    model: ModelProto
    content: bytes
    build: Path


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    rng = np.random.default_rng(8)
    graph = random_graph(rng, layers=1, features=8, heads=2, ffn=9, plan="merged", ttm=True, extremes=0.0)
    graph = type(graph)(
        graph.nodes,
        graph.values,
        graph.constants,
        graph.outputs,
        type(graph.metadata)(
            "model", graph.metadata.max_length, 0, {"tokens": ["a", "b"]}, {"intents": []}, {"seed": 1}
        ),
        graph.segments,
    )
    assert {graph.fmt(name).bits for name in graph.constants} >= {2, 4, 8}
    folder = tmp_path_factory.mktemp("build")
    write_build(graph, folder, prove(graph))
    content = (folder / MODEL_FILE).read_bytes()
    return Original(graph, onnx.load_from_string(content), content, folder)


def refusal(error: UserError) -> None:
    """A refusal is one sentence."""
    text = str(error)
    assert text.isprintable() and len(text) < MOST_LETTERS and text.endswith("."), text


def judge(original: Original, what: str, content: bytes, found: Counter[str]) -> None:
    """Refused in one sentence, or read as the graph in the file, message for message and integer for integer."""
    try:
        with time_limit(20):
            graph, _ = parse_model(content)
    except UserError as error:
        refusal(error)
        found["refused"] += 1
        return
    said = ModelProto.FromString(content)
    said.producer_version = original.model.producer_version
    assert said.SerializeToString(deterministic=True) == model_bytes(graph), what
    if model_bytes(graph) == original.content:
        found["unchanged"] += 1
        return
    found["accepted"] += 1
    if found["executed"] < _RUNS:
        sentences = random_sentences(np.random.default_rng(0), graph, 3)
        try:
            golden = GoldenModel(graph)
        except UserError as error:  # an accumulator of the changed weights could overflow
            refusal(error)
            return
        found["executed"] += 1
        results = verify_levels(graph, [golden, OnnxLevel(content, graph, threads=1)], sentences)
        assert all(result.equal for result in results), what


def sweep(original: Original, seed: int, count: int) -> Counter[str]:
    rng, found = random.Random(seed), Counter[str]()
    for number in range(count):
        kind = number % 8
        if kind < 4:
            what, model = mutated_model(rng, original.model)
            content = model.SerializeToString()
        elif kind < 6:
            what, model = mutated_header(rng, original.model)
            content = model.SerializeToString()
        elif kind < 7:
            what, content = mutated_bytes(rng, original.content)
        else:
            # A second change on top of the first.
            what, model = mutated_model(rng, mutated_model(rng, original.model)[1])
            what, content = mutated_bytes(rng, model.SerializeToString(), 1)
        judge(original, what, content, found)
    assert found["refused"] + found["accepted"] + found["unchanged"] == count
    return found


def manifests(original: Original, folder: Path, seed: int, count: int) -> Counter[str]:
    """Damaged manifests: refused, or everything that is read is unchanged."""
    shutil.copy(original.build / MODEL_FILE, folder)
    text = (original.build / MANIFEST_FILE).read_text()
    sound, rng, found = json.loads(text), random.Random(seed), Counter[str]()
    for number in range(count):
        if number % 3:
            what, value = mutated_json(rng, sound)
            content = json.dumps(value).encode()
        else:
            what, content = mutated_bytes(rng, text.encode(), 4)
        (folder / MANIFEST_FILE).write_bytes(content)
        try:
            with time_limit(20):
                graph = read_build(folder)
        except UserError as error:
            refusal(error)
            found["refused"] += 1
            continue
        found["accepted"] += 1
        assert model_bytes(graph) == original.content, what
        value = json.loads(content)
        assert value.keys() == sound.keys(), what
        for key in value.keys() - {"bounds", "narrowgauge", "files"}:
            assert json.dumps(value[key]) == json.dumps(sound[key]), what
        assert value["files"][MODEL_FILE] == sound["files"][MODEL_FILE]
    assert found["refused"] + found["accepted"] == count
    return found


def test_damaged_models(original: Original) -> None:
    found = sweep(original, 1, 240)
    assert found["refused"] > 180 and found["executed"] >= 5, found


def test_damaged_manifests(original: Original, tmp_path: Path) -> None:
    found = manifests(original, tmp_path, 1, 60)
    assert found["refused"] >= 40, found


@pytest.mark.slow
def test_many_damaged_models(original: Original) -> None:
    found = sweep(original, 2, 2400)
    assert found["refused"] > 1800 and found["executed"] == _RUNS, found


@pytest.mark.slow
def test_many_damaged_manifests(original: Original, tmp_path: Path) -> None:
    found = manifests(original, tmp_path, 2, 600)
    assert found["refused"] >= 400, found


def test_what_is_no_protobuf_is_refused(original: Original) -> None:
    """The cases for which protobuf has an exception of its own."""
    rng, refused = random.Random(3), 0
    while refused < 20:
        content = mutated_bytes(rng, original.content)[1]
        try:
            ModelProto.FromString(content)
        except DecodeError:
            refused += 1
            with pytest.raises(UserError, match="not an ONNX file"):
                parse_model(content)
