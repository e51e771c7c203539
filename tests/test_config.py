"""Configurations: presets, files, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from narrowgauge.errors import UserError
from narrowgauge.model.config import from_dict, read_config, to_dict, write_config
from narrowgauge.model.presets import PRESETS, preset
from narrowgauge.model.transformer import Transformer


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
    assert numbers < dense / 4


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
    ],
)
def test_wrong_values_get_one_sentence(value: object, words: str) -> None:
    with pytest.raises(UserError) as error:
        from_dict(value, "x.toml")
    assert (
        words in str(error.value) and str(error.value).startswith("x.toml") and "\n" not in str(error.value)
    )


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
    with pytest.raises(UserError, match="names no linear layer"):
        Transformer(from_dict(value).model)
