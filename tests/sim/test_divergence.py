"""Trainings with extreme settings: each ends with a checkpoint that can be exported, or in one sentence."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import narrowgauge.model.training as training_module
from narrowgauge.cli import main
from narrowgauge.errors import UserError
from narrowgauge.model.checkpoint import LAST, STAGES, load_run, read_tensors, weights_file, write_tensors
from narrowgauge.model.config import RunConfig, TrainingConfig, to_dict
from narrowgauge.model.evaluate import evaluate
from narrowgauge.model.export import check_exportable
from narrowgauge.model.finite import NotFiniteError, first_not_finite
from narrowgauge.model.freeze import freeze
from narrowgauge.model.quantizer import MAX_LOG2, Mode, Quantizer
from narrowgauge.model.training import EpochRecord, train

from ..model.test_training import CONFIG, changed, options
from ..support.configs import write_config
from ..support.corpora import write_splits, write_verbs
from ..support.models import random_config, random_model
from ..support.mutations import assert_one_sentence

pytestmark = pytest.mark.filterwarnings("ignore:.*sentences are longer.*:UserWarning")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A few sentences: an epoch is two steps."""
    return write_splits(tmp_path_factory.mktemp("data") / "few", write_verbs, 15, 5, 5)


def extreme(rng: np.random.Generator) -> RunConfig:
    """A tiny model of any format with settings from harmless to the ends of their ranges."""

    def pick(usual: float, *ends: float) -> float:
        return usual if rng.random() < 0.5 else float(rng.choice(ends))

    training = TrainingConfig(
        epochs=int(rng.integers(0, 3)),
        qat_epochs=int(rng.integers(1, 3)),
        batch_size=8,
        lr=pick(1e-2, 1e-300, 30, 1000),
        qat_lr=pick(1e-2, 1e-300, 30, 1000),
        core_lr_factor=pick(0.5, 1e-6, 1000),
        ttm_lr_factor=pick(6, 1e-6, 1000),
        scale_lr=pick(0.1, 0, 100, 1000),
        weight_decay=pick(0.01, 0, 1, 1000),
        warmup=pick(0, 1),
        clip=pick(1, 0, 1e-300, 1e6),
        dropout=pick(0, 0.999),
        qat_dropout=pick(0, 0.999),
        word_dropout=pick(0, 1),
        label_smoothing=pick(0, 0.999),
        slot_weight=pick(1, 0, 1000),
        calibration=str(rng.choice(["max", "percentile", "mse"])),  # type: ignore[arg-type]
        percentile=pick(99.9, 1e-9, 100),
        calibration_batches=int(rng.choice([1, 10_000])),
        frozen_share=pick(0.3, 0, 1),
        seed=int(rng.integers(1 << 31)),
    )
    model = replace(random_config(rng), vocab_size=0, labels=0, tags=0)
    return RunConfig(model=model, training=training)


def assert_sound(out: Path) -> None:
    """All existing checkpoints are finite, can be loaded and, if quantized, exported."""
    for stage in STAGES:
        if weights_file(out, stage).exists():
            run = load_run(out, stage)
            assert first_not_finite(run.model.state_dict().items()) is None
            if stage == "quantized":
                check_exportable(run.model)
    if (out / LAST).exists():
        assert first_not_finite(read_tensors(out / LAST)[0].items()) is None


def sweep(data: str, folder: Path, cases: range) -> Counter[str]:
    """The outcomes of many trainings: how many finished, and how many ended in which way."""
    outcomes: Counter[str] = Counter()
    for seed in cases:
        out = folder / str(seed)
        try:
            train(options(data, out, extreme(np.random.default_rng(seed))))
        except UserError as error:
            assert_one_sentence(error)
            outcomes[" ".join(str(error).split()[:3])] += 1
        else:
            assert weights_file(out, "quantized").exists()
            outcomes["finished"] += 1
        assert_sound(out)
    return outcomes


def test_extreme_settings_end_in_a_model_or_in_a_sentence(data: str, tmp_path: Path) -> None:
    outcomes = sweep(data, tmp_path, range(14))
    assert outcomes["finished"] >= 4 and len(outcomes) >= 3, outcomes


@pytest.mark.slow
def test_many_extreme_settings_end_in_a_model_or_in_a_sentence(data: str, tmp_path: Path) -> None:
    outcomes = sweep(data, tmp_path, range(1000, 1400))
    assert outcomes["finished"] >= 100 and outcomes["the training diverged"] >= 100, outcomes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"lr": 1000.0, "warmup": 0.0},
            ("epoch 1 of the float stage", "lower --lr (now 1000) and train again."),
        ),
        (
            {"scale_lr": 100.0, "frozen_share": 0.0},
            (
                "epoch 1 of the quantized stage",
                "training.scale_lr (now 100)",
                "log2 threshold of",
                "--epochs 0",
            ),
        ),
        ({"qat_lr": 1e30}, ("training.qat_lr: must be less than or equal to 1000, got 1e+30",)),
    ],
)
def test_a_diverged_training_ends_in_a_sentence_and_can_be_begun_again(
    change: dict[str, float],
    words: tuple[str, ...],
    data: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    value = to_dict(CONFIG)
    value["training"].update(change)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(value))
    out = tmp_path / "run"
    arguments = ["train", "--data", data, "--config", str(config), "--out", str(out), "--threads", "1"]
    assert main(arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert all(word in error for word in words), error
    assert_sound(out)
    write_config(CONFIG, config)
    # The float stage is complete unless it diverged.
    again = ["--epochs", "0"] if weights_file(out, "float").exists() else []
    assert main([*arguments, *again]) == 0
    assert_sound(out)
    assert load_run(out).stage == "quantized"


VALUES = (math.nan, math.inf, -math.inf)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("core", math.nan),
        ("bias", math.inf),
        ("gamma", -math.inf),
        ("beta", math.nan),
        ("threshold", -math.inf),
        ("mean", math.nan),
        ("square", math.inf),
    ],
)
def test_what_is_not_finite_is_never_saved(
    stage: str, kind: str, value: float, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sets a value to infinity or NaN at the end of the second epoch of a stage."""
    kept: dict[str, bytes] = {}
    out = tmp_path / "run"

    def keep(record: EpochRecord) -> None:
        kept.update({path.name: path.read_bytes() for path in out.iterdir()})

    job = training_module._Training(options(data, out, changed(scale_lr=1e-3), on_epoch=keep))
    learn = job._learn

    def poisoned(at: Any, epoch: int, *rest: Any) -> float:
        loss = learn(at, epoch, *rest)
        if (at, epoch) == (stage, 1):
            layer = job.model.encoder[0]
            parameter = {
                "core": layer.attention.query.cores[0],  # type: ignore[union-attr,index]
                "bias": layer.attention.out.bias,  # type: ignore[union-attr]
                "gamma": layer.norm1.weight,  # type: ignore[union-attr]
                "beta": layer.norm1.bias,  # type: ignore[union-attr]
                "threshold": layer.norm1.output.log2_t,  # type: ignore[union-attr]
                "mean": job.model.label.cores[0],
                "square": job.model.label.cores[0],
            }[kind]
            with torch.no_grad():
                if kind in ("mean", "square"):
                    job.optimizer.state[parameter]["exp_avg" if kind == "mean" else "exp_avg_sq"].fill_(value)
                else:
                    parameter.fill_(value)
        return loss

    monkeypatch.setattr(job, "_learn", poisoned)
    with pytest.raises(UserError, match=f"diverged in epoch 2 of the {stage} stage") as caught:
        job.run()
    assert_one_sentence(caught.value)
    assert "the best epoch so far is kept" in str(caught.value)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == kept
    assert_sound(out)


@pytest.mark.parametrize("value", VALUES)
def test_freezing_names_what_is_not_finite(value: float) -> None:
    rng = np.random.default_rng(3)
    named = 0
    for _ in range(3):
        model = random_model(rng)
        for name, parameter in model.named_parameters():
            before = parameter.detach().clone()
            with torch.no_grad():
                parameter.reshape(-1)[-1] = value
            with pytest.raises(NotFiniteError, match=f"^{re.escape(name)} is not finite"):
                freeze(model)
            with torch.no_grad():
                parameter.copy_(before)
            named += 1
        freeze(model)
    assert named > 60


@pytest.mark.parametrize("log2_t", [MAX_LOG2 + 1.0, -MAX_LOG2 - 1.0, 1e30, *VALUES])
def test_a_threshold_out_of_range_is_told_with_its_name(log2_t: float) -> None:
    quantizer = Quantizer(8)
    quantizer.name, quantizer.mode = "layer.output", Mode.QUANTIZED
    with torch.no_grad():
        quantizer.log2_t.fill_(log2_t)
    for use in (lambda: quantizer(torch.ones(2)), lambda: quantizer.fmt):
        with pytest.raises(NotFiniteError, match=r"threshold of layer\.output must be from -48 to 48, got "):
            use()


@pytest.mark.parametrize("method", ["max", "percentile", "mse"])
@pytest.mark.parametrize("magnitude", [0.0, 1e-45, 1e-30, 1.0, 1e14, 1e16, 3e38, *VALUES])
def test_calibration_gives_thresholds_in_range_or_a_name(method: str, magnitude: float) -> None:
    quantizer = Quantizer(8)
    quantizer.name, quantizer.mode = "layer.output", Mode.CALIBRATE
    try:
        quantizer(torch.full((100,), magnitude))
        quantizer.calibrate(method)
    except NotFiniteError as error:
        assert "layer.output" in str(error)
        assert not abs(magnitude) < 1e15
        return
    assert magnitude <= 1e14
    assert abs(quantizer.log2_t.item()) <= MAX_LOG2
    quantizer.mode = Mode.QUANTIZED
    assert torch.isfinite(quantizer(torch.full((100,), magnitude))).all()


def overflowing(path: Path, stage: str = "float") -> None:
    """Makes the weights of a run finite, but their products infinite."""
    tensors, state = read_tensors(path / f"{stage}.safetensors")
    large = {name: torch.full_like(t, 1e30) if ".cores." in name else t for name, t in tensors.items()}
    write_tensors(path / f"{stage}.safetensors", large, state)


def test_weights_that_overflow_are_told_wherever_they_are_used(data: str, tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    train(options(data, run, changed(qat_epochs=0)))
    overflowing(run)
    with pytest.raises(NotFiniteError, match="a logit of 'label' is not finite"):
        evaluate(run, data)
    dense = replace(CONFIG, model=CONFIG.model.with_kind("dense"))
    with pytest.raises(
        UserError, match=r"cannot be used as a start, the weight of .* is not finite"
    ) as caught:
        train(options(data, other, dense, start=run))
    assert_one_sentence(caught.value)
    wider = replace(CONFIG, model=replace(CONFIG.model, ffn=16))
    with pytest.raises(UserError, match="a logit of the teacher is not finite"):
        train(options(data, other, wider, teacher=run))
    assert not list(other.glob("*.safetensors"))


def test_a_training_none_of_whose_models_can_be_exported_says_so(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(model: torch.nn.Module) -> None:
        raise UserError("the accumulator of 'x' is too small; make it larger.")

    with monkeypatch.context() as patch:
        patch.setattr(training_module, "check_exportable", refuse)
        with pytest.raises(
            UserError, match=r"no epoch of the quantized stage can be exported.* 'x' is too small; lower"
        ):
            train(options(data, tmp_path / "run"))
        assert not (tmp_path / "run" / "quantized.safetensors").exists()
        with pytest.raises(UserError, match="no epoch of the quantized stage"):
            train(options(data, tmp_path / "run", resume=True))
    result = train(options(data, tmp_path / "again", changed(epochs=0)))
    assert [record.best for record in result.history].count(True) >= 1


def test_an_epoch_that_can_not_be_exported_is_not_the_best(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []

    def refuse_the_last(model: Any) -> None:
        refused.append(model)
        if len(refused) == 2:
            raise UserError("no; do something.")

    monkeypatch.setattr(training_module, "check_exportable", refuse_the_last)
    result = train(options(data, tmp_path / "run"))
    assert [record.best for record in result.history][2:] == [True, False]
    assert read_tensors(tmp_path / "run" / "quantized.safetensors")[1]["epoch"] == 1
    assert "cannot be exported: no" in (tmp_path / "run" / "train.log").read_text()
