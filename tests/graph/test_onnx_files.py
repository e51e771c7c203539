"""`model.onnx` and `manifest.json`: written, read back, and damaged in many ways."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.errors import UserError
from narrowgauge.fixedpoint import EXP_MAX, Format
from narrowgauge.graph import Graph, Linear, Softmax, Value
from narrowgauge.graph.bounds import prove
from narrowgauge.graph.onnx_blocks import BLOCKS
from narrowgauge.graph.onnx_functions import function
from narrowgauge.graph.onnx_io import (
    MANIFEST_FILE,
    MODEL_FILE,
    model_bytes,
    read_build,
    read_manifest,
    read_model,
    write_build,
    write_model,
)
from narrowgauge.graph.onnx_read import parse_model
from narrowgauge.graph.onnx_write import FORMAT_VERSION

from ..support.graphs import random_graph
from ..support.mutations import assert_one_sentence


def assert_same_graph(a: Graph, b: Graph) -> None:
    assert (a.nodes, a.values, a.outputs, a.segments) == (b.nodes, b.values, b.outputs, b.segments)
    assert a.metadata == b.metadata
    assert set(a.constants) == set(b.constants)
    for name, data in a.constants.items():
        assert data.dtype == b.constants[name].dtype
        assert np.array_equal(data, b.constants[name])


@pytest.mark.parametrize("seed", range(20))
def test_what_is_written_is_read_back(seed, tmp_path):
    graph = random_graph(np.random.default_rng(seed))
    metadata = dataclasses.replace(
        graph.metadata,
        name="Ünïcode \U0001f600",
        tokenizer={"tokens": ["a", "é", "\U0001f600"], "lowercase": True},
        labels={"intents": ["x"], "slots": []},
        provenance={"seed": seed, "loss": 0.1, "none": None, "config": {"rank": [1, 2]}},
    )
    graph = dataclasses.replace(graph, metadata=metadata)
    write_model(graph, tmp_path / MODEL_FILE)
    assert_same_graph(read_model(tmp_path / MODEL_FILE), graph)
    onnx.checker.check_model(tmp_path / MODEL_FILE, full_check=True)


def test_the_same_graph_gives_the_same_bytes():
    graph = random_graph(np.random.default_rng(5))
    shuffled = dataclasses.replace(
        graph,
        values=dict(reversed(list(graph.values.items()))),
        constants=dict(reversed(list(graph.constants.items()))),
    )
    content = model_bytes(graph)
    assert model_bytes(shuffled) == content
    assert model_bytes(parse_model(content)[0]) == content


def test_a_build_holds_its_bounds_and_is_read_back(tmp_path):
    graph = random_graph(np.random.default_rng(6), extremes=0.0)
    bounds = prove(graph)
    write_build(graph, tmp_path / "new" / "build", bounds)
    folder = tmp_path / "new" / "build"
    assert_same_graph(read_build(folder), graph)
    assert sorted(path.name for path in folder.iterdir()) == [MANIFEST_FILE, MODEL_FILE]
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    assert manifest["bounds"] == {name: dataclasses.asdict(bound) for name, bound in bounds.items()}
    assert manifest["files"][MODEL_FILE]["bytes"] == (folder / MODEL_FILE).stat().st_size
    assert [layer["values"][-1]["name"] for layer in manifest["layers"]] == [n.output for n in graph.nodes]
    assert set(read_manifest(folder).files) == {MODEL_FILE}


# Damage


@pytest.fixture(scope="module")
def graph() -> Graph:
    return random_graph(np.random.default_rng(3), layers=1, kind="tt", plan="merged", bits=4, ttm=True)


@pytest.fixture(scope="module")
def content(graph) -> bytes:
    return model_bytes(graph)


@pytest.fixture(scope="module")
def build(graph, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    write_build(graph, folder)
    return folder


edits = st.lists(
    st.tuples(
        st.sampled_from(["cut", "flip", "delete", "replace"]),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=3,
)


def damaged(content: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    for change, place, data in changes:
        at = int(place * len(content))
        if change == "cut":
            content = content[:at]
        elif change == "flip":
            content = content[:at] + bytes(b ^ 1 for b in content[at : at + 1]) + content[at + 1 :]
        elif change == "delete":
            content = content[:at] + content[at + len(data) :]
        else:
            content = content[:at] + data + content[at + len(data) :]
    return content


@settings(max_examples=100)
@given(changes=edits)
def test_any_damage_to_a_build_is_found(changes, build, content, tmp_path_factory):
    changed = damaged(content, changes)
    if changed == content:
        return
    folder = tmp_path_factory.mktemp("damaged")
    (folder / MODEL_FILE).write_bytes(changed)
    (folder / MANIFEST_FILE).write_bytes((build / MANIFEST_FILE).read_bytes())
    with pytest.raises(UserError, match=r"checksum.*export"):
        read_build(folder)


@settings(max_examples=200)
@given(changes=edits)
def test_damage_past_the_checksum_gives_a_sound_graph_or_one_sentence(changes, content):
    try:
        graph, _ = parse_model(damaged(content, changes))
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert_same_graph(parse_model(model_bytes(graph))[0], graph)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("[1", "not valid JSON"),
        ("[]", "not the manifest"),
        ('{"format": "other"}', "not the manifest"),
        ('{"format": "narrowgauge-build", "format_version": 99}', "must be 3, got 99"),
        ('{"format": "narrowgauge-build", "format_version": 1}', "must be 3, got 1"),
        ('{"format": "narrowgauge-build", "format_version": 3}', "damaged .narrowgauge is missing."),
    ],
)
def test_a_damaged_manifest_is_found(text, message, content, tmp_path):
    (tmp_path / MODEL_FILE).write_bytes(content)
    (tmp_path / MANIFEST_FILE).write_text(text)
    with pytest.raises(UserError, match=message):
        read_build(tmp_path)


def test_missing_files_are_found(content, tmp_path):
    for read in (read_model, read_build):
        with pytest.raises(UserError, match="can't be read"):
            read(tmp_path / "nowhere")
    (tmp_path / MODEL_FILE).write_bytes(content)
    with pytest.raises(UserError, match="does not exist"):
        read_build(tmp_path)


def test_text_that_is_no_text_is_found(content):
    with pytest.raises(UserError, match="must be text"):
        parse_model(content.replace(b"IntLayerNorm", b"IntLayer\xff\xff\xff\xff"))


def test_another_version_of_narrowgauge_may_have_written_the_file(graph, content):
    model = onnx.load_from_string(content)
    model.producer_version = "0.0.1.dev2+local"
    assert_same_graph(parse_model(model.SerializeToString())[0], graph)


def test_another_order_of_the_same_fields_is_the_same_model(graph, content):
    # Protobuf accepts repeated fields: the name of the producer, then the whole message, which has it again.
    assert_same_graph(parse_model(b"\x12\x0bnarrowgauge" + content)[0], graph)


def test_what_is_no_model_is_refused_in_one_sentence():
    deep = b""
    for _ in range(20_000):  # graph within node within attribute within graph
        deep = b"\x3a" + _varint(len(deep)) + deep if len(deep) < 10_000 else deep
    for content in (b"", b"\0", b"not a model", b"\x3a\xff\xff\xff\xff\x0f", deep, b"\x08\x0a" * 1000):
        with pytest.raises(UserError) as error:
            parse_model(content)
        assert_one_sentence(error.value)


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def test_a_model_of_more_than_two_gigabytes_is_refused_before_it_is_read(content, build, tmp_path):
    with (tmp_path / MODEL_FILE).open("wb") as file:
        file.write(content)
        file.truncate(1 << 31)
    shutil.copy(build / MANIFEST_FILE, tmp_path)
    for read in (lambda: read_model(tmp_path / MODEL_FILE), lambda: read_build(tmp_path)):
        with pytest.raises(UserError, match="at most"):
            read()


def test_memory_that_runs_out_is_one_sentence(build, monkeypatch):
    def fails(content: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr("narrowgauge.graph.onnx_io.parse_model", fails)
    with pytest.raises(UserError, match="memory"):
        read_build(build)


def test_functions_are_those_of_this_format_version():
    """If this fails, the functions in a file have changed: increase FORMAT_VERSION, or older files count as edited."""
    digest = hashlib.sha256()
    names = [*BLOCKS, "Add_3", "TTMEmbedding_3", "DenseLinear", "LowRankLinear_bias"]
    for name in (*names, "TTLinear_merged_3_3_bias_residual", "TTLinear_cores_1_2"):
        body = function(name)
        assert body is not None
        digest.update(body.SerializeToString(deterministic=True))
    assert (FORMAT_VERSION, digest.hexdigest()[:16]) == (3, "520dac8efa33de0f")


# Graphs that are refused before they are written


def _value(graph: Graph, name: str, **changes: Any) -> Graph:
    value = dataclasses.replace(graph.values[name], **changes)
    return dataclasses.replace(graph, values={**graph.values, name: value})


def _linear(graph: Graph, **changes: Any) -> Graph:
    at = next(i for i, node in enumerate(graph.nodes) if isinstance(node, Linear))
    node = dataclasses.replace(graph.nodes[at], **changes)
    return dataclasses.replace(graph, nodes=(*graph.nodes[:at], node, *graph.nodes[at + 1 :]))


def _exponentials(graph: Graph, first: int) -> Graph:
    name = next(node.table for node in graph.nodes if isinstance(node, Softmax))
    table = np.concatenate([[first], graph.constants[name][1:]]).astype(np.uint16)
    return dataclasses.replace(graph, constants={**graph.constants, name: table})


REFUSED: dict[str, Callable[[Graph], Graph]] = {
    "a split at the end": lambda g: _linear(g, split=0),
    "a core less": lambda g: _linear(g, cores=("nothing",)),
    "too few intermediates": lambda g: _linear(g, mids=()),
    "an unknown residual": lambda g: _linear(g, residual="later"),
    "no exponentials": lambda g: _exponentials(g, 0),
    "wide exponentials": lambda g: _exponentials(g, EXP_MAX + 1),
    "segments that no node reads": lambda g: dataclasses.replace(g, segments=not g.segments),
    "no sentence fits": lambda g: dataclasses.replace(
        g, metadata=dataclasses.replace(g.metadata, max_length=0)
    ),
    "more positions than rows": lambda g: dataclasses.replace(
        g, metadata=dataclasses.replace(g.metadata, max_length=10**6)
    ),
    "a reserved name": lambda g: dataclasses.replace(
        g, values={**g.values, "tokens": Value("tokens", Format(8, 0), ("T",))}
    ),
    "scores of 16 bits": lambda g: _value(g, "encoder.0.attention.scores", fmt=Format(16, 3)),
    "signed probabilities": lambda g: _value(g, "encoder.0.attention.probabilities", fmt=Format(8, 8)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_unsound_graph_is_not_written(name, graph, tmp_path):
    with pytest.raises(UserError, match="export the model again"):
        write_build(REFUSED[name](graph), tmp_path / "build")
    assert not (tmp_path / "build").exists()
