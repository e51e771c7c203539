"""Initial weights and soft targets from a teacher."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from narrowgauge.errors import UserError
from narrowgauge.model.checkpoint import load_run
from narrowgauge.model.config import EmbeddingConfig, LinearConfig, ModelConfig, RunConfig, TrainingConfig
from narrowgauge.model.distillation import inherit
from narrowgauge.model.level import pad
from narrowgauge.model.losses import soft_cross_entropy
from narrowgauge.model.training import TrainOptions, train
from narrowgauge.model.transformer import EncoderLayer, Transformer

from ..support.corpora import write_rooms, write_splits
from ..support.models import random_sentences


def config(kind: str, rank: int) -> ModelConfig:
    linear = LinearConfig(kind=kind, rank=rank, modes=2)  # type: ignore[arg-type]
    return ModelConfig(
        dim=12,
        layers=2,
        heads=3,
        ffn=18,
        max_length=9,
        vocab_size=23,
        labels=4,
        tags=3,
        embedding=EmbeddingConfig(kind="dense" if kind == "dense" else "ttm", rank=rank, modes=2),
        attention=linear,
        feedforward=linear,
        pooler=linear,
        head=linear,
    )


@pytest.mark.parametrize("kind", ["tt", "lowrank", "dense"])
def test_at_full_rank_the_student_is_the_teacher(kind: str) -> None:
    torch.manual_seed(0)
    teacher, student = Transformer(config("dense", 1)).eval(), Transformer(config(kind, 500)).eval()
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    assert inherit(student, teacher)
    batch = pad(random_sentences(np.random.default_rng(0), teacher.config, 5))
    with torch.no_grad():
        for task, logits in teacher(*batch).items():
            torch.testing.assert_close(student(*batch)[task], logits, rtol=1e-3, atol=1e-4)


def test_models_of_other_sizes_inherit_nothing() -> None:
    teacher, student = Transformer(config("dense", 1)), Transformer(replace(config("tt", 4), ffn=12))
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    assert not inherit(student, teacher)
    assert all(torch.equal(tensor, before[name]) for name, tensor in student.state_dict().items())


def test_soft_cross_entropy_is_least_at_the_teacher() -> None:
    torch.manual_seed(0)
    teacher = torch.randn(7, 5)
    assert float(soft_cross_entropy(teacher + 3.0, teacher, 2.0)) == pytest.approx(0.0, abs=1e-6)
    other = torch.randn(7, 5, requires_grad=True)
    loss = soft_cross_entropy(other, teacher, 2.0)
    loss.backward()
    p, q = (teacher / 2).softmax(-1), (other.detach() / 2).softmax(-1)
    torch.testing.assert_close(loss.detach(), 4 * (p * (p / q).log()).sum(-1).mean())
    assert other.grad is not None
    torch.testing.assert_close(other.grad, 2 * (q - p) / 7)


def test_training_with_a_teacher(tmp_path: Path) -> None:
    write_splits(tmp_path / "data", write_rooms, 48, 12, 12)
    for split in ("train", "dev", "test"):
        write_rooms(tmp_path / "other" / split, 9, 5)
    training = TrainingConfig(epochs=2, qat_epochs=0, batch_size=8)
    data = str(tmp_path / "data")

    def options(name: str, kind: str, teacher: Path | None = None, epochs: int = 2) -> TrainOptions:
        model = replace(config(kind, 4), vocab_size=0, labels=0, tags=0, max_length=12)
        run = RunConfig(model=model, training=replace(training, epochs=epochs))
        return TrainOptions(run, data, tmp_path / name, teacher=teacher, threads=1, quiet=True)

    train(options("dense", "dense"))
    train(options("alone", "tt"))
    train(options("taught", "tt", tmp_path / "dense"))
    alone, taught = (load_run(tmp_path / name, "float").model.state_dict() for name in ("alone", "taught"))
    assert any(not torch.equal(alone[name], taught[name]) for name in alone)
    start = options("start", "dense", tmp_path / "dense", epochs=0)
    train(start)
    teacher, copy = (load_run(tmp_path / name, "float").model.state_dict() for name in ("dense", "start"))
    assert all(torch.equal(copy[name], teacher[name]) for name in copy if not name.endswith("log2_t"))
    again = replace(options("again", "tt", tmp_path / "dense", epochs=0), start=tmp_path / "taught")
    train(again)
    queries = []
    for name in ("taught", "again"):
        layer = load_run(tmp_path / name, "float").model.encoder[0]
        assert isinstance(layer, EncoderLayer)
        queries.append(layer.attention.query.to_dense())
    torch.testing.assert_close(*queries)
    wide = options("wide", "tt")
    wide = replace(wide, config=replace(wide.config, model=replace(wide.config.model, ffn=20)))
    with pytest.raises(UserError, match="other sizes"):
        train(replace(wide, start=tmp_path / "taught"))
    with pytest.raises(UserError, match="another start"):
        train(replace(again, start=None, resume=True))
    with pytest.raises(UserError, match="another teacher"):
        train(replace(options("taught", "tt"), resume=True))
    with pytest.raises(UserError, match="another vocabulary"):
        train(replace(options("wrong", "tt", tmp_path / "dense"), data=str(tmp_path / "other")))
    longer = replace(options("wrong", "tt").config, model=replace(config("tt", 4), max_length=13))
    longer = replace(longer, model=replace(longer.model, vocab_size=0, labels=0, tags=0))
    with pytest.raises(UserError, match="must be at least 13, got 12"):
        train(replace(options("wrong", "tt", tmp_path / "dense"), config=longer))
    assert not (tmp_path / "wrong").exists()
