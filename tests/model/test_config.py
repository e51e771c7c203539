"""Configurations: presets, files, and invalid ones."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from narrowgauge.errors import UserError
from narrowgauge.model.config import (
    EmbeddingConfig,
    LinearConfig,
    ModelConfig,
    RunConfig,
    TokenizerConfig,
    TrainingConfig,
    from_dict,
    read_config,
    to_dict,
)
from narrowgauge.model.config_reference import EXAMPLE, PAGE, meanings, render
from narrowgauge.model.presets import PRESETS, preset
from narrowgauge.model.transformer import Transformer

from ..support.configs import write_config


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("ending", [".toml", ".json"])
def test_presets_survive_files(name: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"config{ending}"
    write_config(preset(name), path)
    assert read_config(path) == preset(name)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_build(name: str) -> None:
    config = replace(preset(name).model, vocab_size=5000, labels=7, tags=9)
    model = Transformer(config)
    numbers = sum(parameter.numel() for parameter in model.parameters())
    dense = 5000 * config.dim + config.layers * (4 * config.dim**2 + 2 * config.dim * config.ffn)
    # The demo's model is so narrow that ranks which learn well in minutes save less.
    assert numbers < dense / (3 if name == "voice" else 4)


def test_hw_presets_have_ranks_and_outer_modes_that_fill_an_array_of_16() -> None:
    for name in (name for name in PRESETS if name.endswith("-hw")):
        model = Transformer(replace(preset(name).model, vocab_size=5000, labels=7, tags=9))
        cores = model.encoder[0].attention.query.cores  # type: ignore[union-attr, index]
        assert all(rank % 16 == 0 for core in list(cores)[:-1] for rank in core.shape[2:])  # type: ignore[arg-type]
        assert cores[0].shape[1] % 16 == 0 and cores[-1].shape[1] % 16 == 0  # type: ignore[index]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"model": {"dimm": 3}}, "model.dimm"),
        ({"model": {"dim": 30}}, "heads (4) must divide dim (30)"),
        ({"model": {"dim": 0}}, "model.dim"),
        ({"model": {"dim": 1028}}, "model.dim"),
        ({"model": {"attention": {"modes": 1000}}}, "model.attention.modes"),
        ({"training": {"batch_size": 0}}, "training.batch_size"),
        ({"training": {"warmup": -0.5}}, "training.warmup"),
        ({"training": {"lr": "fast"}}, "training.lr"),
        ({"model": {"attention": {"bits": 3}}}, "model.attention.bits"),
        ({"model": {"attention": {"rank": 0}}}, "model.attention.rank"),
        ({"nodel": {}}, "nodel"),
        ([], "the file"),
        ({"model": {"layers": 10**6}}, "model.layers: must be less than or equal to 64, got 1000000"),
        (
            {"model": {"attention": {"rank": [4, 0]}}},
            "model.attention.rank.1: must be greater than or equal to 1, got 0",
        ),
        (
            {"model": {"overrides": {"encoder.0.x": {"bits": True}}}},
            "model.overrides.encoder.0.x.bits: must be 2, 4 or 8",
        ),
        ({"name": "two\nlines"}, "name must consist of printable characters"),
        ({"k" * 5000: 1}, "is not a known key"),
    ],
)
def test_wrong_values_get_one_sentence(value: object, words: str) -> None:
    with pytest.raises(UserError) as error:
        from_dict(value, "x.toml")
    assert (
        words in str(error.value) and str(error.value).startswith("x.toml") and "\n" not in str(error.value)
    )
    assert len(str(error.value)) < 300


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key of a configuration that is not a table, with its value."""
    for key, entry in value.items():
        if isinstance(entry, dict):
            yield from leaves(entry, (*path, key))
        else:
            yield (*path, key), entry


def with_leaf(path: tuple[str, ...], entry: Any) -> dict[str, Any]:
    for key in reversed(path):
        entry = {key: entry}
    result: dict[str, Any] = entry
    return result


WRONG: tuple[Any, ...] = (
    True,
    "1",
    "",
    None,
    1.5,
    math.nan,
    math.inf,
    -math.inf,
    -1,
    10**12,
    10**400,
    1e300,
    [],
    [0],
)
WRONG += ([True], ["8"], [10**12], [2] * 100, {}, {"a": 1}, "x" * 10_000, "\ud800", "a\x1b[31mb", b"x")


def test_every_key_refuses_values_of_another_type_or_out_of_range() -> None:
    keys = list(leaves(to_dict(RunConfig(model=ModelConfig(overrides={"pooler": LinearConfig()})))))
    assert len(keys) > 70
    refused = 0
    for path, good in keys:
        assert from_dict(with_leaf(path, good)) is not None
        for wrong in WRONG:
            value = with_leaf(path, wrong)
            try:
                taken = to_dict(from_dict(value, "x.toml"))
            except UserError as error:
                told = str(error)
                assert told.startswith("x.toml: ") and told.isprintable() and len(told) < 300
                refused += 1
                continue
            for key in path:
                taken = taken[key]
            # Values are not converted, and have the type of the default.
            assert taken == wrong
            kinds = {type(good), int} if isinstance(good, float) else {type(good)}
            kinds |= {list} if path[-1] in ("rank", "bits") else set()
            assert type(wrong) in kinds, (path, wrong)
    assert refused > 20 * len(keys)


def test_limits_are_far_above_every_preset_and_below_what_no_memory_holds() -> None:
    for key, most in (("ffn", 1 << 14), ("layers", 64), ("max_length", 4096)):
        assert getattr(from_dict({"model": {key: most}}).model, key) == most
        assert all(4 * getattr(run.model, key) <= most for run in PRESETS.values())
        with pytest.raises(UserError, match=f"less than or equal to {most}"):
            from_dict({"model": {key: most + 1}})


@pytest.mark.parametrize(
    "text", ['{"name": "a", "name": "b"}', '{"training": {"lr": 1, "lr": 1}}', '{"training": {"lr": NaN}}']
)
def test_json_that_is_ambiguous_or_not_json_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=r"can't be read \((duplicate name|NaN)"):
        read_config(tmp_path / "a.json")


def test_keys_that_stand_twice_in_toml_are_refused(tmp_path: Path) -> None:
    for text in ("name = 'a'\nname = 'b'\n", "[training]\nlr = 1\n[training]\nepochs = 1\n", "name = nan\n"):
        (tmp_path / "a.toml").write_text(text)
        with pytest.raises(UserError, match=r"a\.toml"):
            read_config(tmp_path / "a.toml")


def test_folders_and_other_files_are_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        read_config(tmp_path)
    os.mkfifo(tmp_path / "fifo.toml")
    with pytest.raises(UserError, match="is a FIFO"):
        read_config(tmp_path / "fifo.toml")
    with (tmp_path / "large.json").open("wb") as stream:
        stream.truncate(1 << 35)
    with pytest.raises(UserError, match="at most"):
        read_config(tmp_path / "large.json")


def test_the_reference_of_keys_is_current_and_complete(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == render(), "run: python -m narrowgauge.model.config_reference"
    for table in (RunConfig, ModelConfig, LinearConfig, EmbeddingConfig, TrainingConfig, TokenizerConfig):
        assert list(meanings(table)) == [entry.name for entry in fields(table)]
    (tmp_path / "example.toml").write_text(EXAMPLE)
    config = read_config(tmp_path / "example.toml")
    assert config.model.feedforward.rank == (8, 16, 8)
    Transformer(replace(config.model, vocab_size=50, labels=2, tags=3))
    assert EXAMPLE in text


@pytest.mark.parametrize("ending", ["toml", "json"])
def test_a_byte_order_mark_is_no_part_of_a_configuration(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    write_config(preset("voice"), path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_config(path) == preset("voice")


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_config(tmp_path / "none.toml")
    for name in ("a.toml", "a.json"):
        for content in (b"{ = ", b"\xff\xfe", b"a = " + b"[" * 100_000, b"[" * 100_000):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(UserError, match="can't be read"):
                read_config(tmp_path / name)
    with pytest.raises(UserError, match="choose one of bert-base"):
        preset("none")


def test_another_format_keeps_everything_else() -> None:
    model = preset("snips-2enc").model
    dense = model.with_kind("dense")
    assert dense.embedding.kind == "dense" and dense.attention.kind == "dense"
    assert replace(dense, embedding=model.embedding).with_kind("tt") == model
    assert model.with_kind("lowrank").embedding == model.embedding


def test_overrides_name_layers() -> None:
    value = to_dict(preset("snips-2enc"))
    value["model"].update(vocab_size=50, labels=2, tags=3)
    value["model"]["overrides"] = {"encoder.1.feedforward.outer": {"kind": "lowrank", "rank": 4, "bits": 4}}
    model = Transformer(from_dict(value).model)
    assert model.encoder[1].feedforward.outer.kind == "lowrank"  # type: ignore[union-attr]
    assert model.encoder[0].feedforward.outer.kind == "tt"  # type: ignore[union-attr]
    value["model"]["overrides"] = {"encoder.7.feedforward.outer": {}}
    with pytest.raises(UserError, match="there is no linear layer"):
        Transformer(from_dict(value).model)
