"""Training on tiny models: bit-exact resumption, selection, thresholds, checkpoints, invalid input."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import narrowgauge.model.training as training_module
from narrowgauge.cli import main
from narrowgauge.errors import UserError
from narrowgauge.model.checkpoint import FILES, LOG_FILE, STAGES, load_run, read_tensors, write_tensors
from narrowgauge.model.config import (
    EmbeddingConfig,
    LinearConfig,
    ModelConfig,
    RunConfig,
    TrainingConfig,
)
from narrowgauge.model.evaluate import evaluate, evaluate_model, predict
from narrowgauge.model.losses import cross_entropy
from narrowgauge.model.optimizer import make_optimizer, rate
from narrowgauge.model.quantizer import calibrate, scale_parameters
from narrowgauge.model.training import EpochRecord, TrainOptions, TrainResult, train
from narrowgauge.text import IGNORED, UNKNOWN, batches, encode_split, load
from narrowgauge.text.scores import Scores

from ..support.configs import write_config
from ..support.corpora import write_verbs

EPOCHS, QAT_EPOCHS = 2, 2

LAYER = LinearConfig(rank=2, modes=2)
MODEL = ModelConfig(
    dim=8,
    layers=1,
    heads=2,
    ffn=12,
    max_length=9,
    embedding=EmbeddingConfig(rank=2, modes=2),
    attention=LAYER,
    feedforward=LAYER,
    pooler=LAYER,
)
TRAINING = TrainingConfig(
    epochs=EPOCHS,
    qat_epochs=QAT_EPOCHS,
    batch_size=8,
    lr=1e-2,
    qat_lr=1e-2,
    scale_lr=0.1,
    dropout=0.2,
    qat_dropout=0.1,
    word_dropout=0.2,
    label_smoothing=0.05,
    calibration_batches=2,
    frozen_share=0.25,
)
CONFIG = RunConfig(name="tiny", model=MODEL, training=TRAINING)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data folder whose test split ends with a sentence that is too long and has an unknown label and tags."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    write_verbs(folder / "train", 1, 20)
    write_verbs(folder / "dev", 2, 10)
    write_verbs(folder / "test", 3, 11, unheard=True)
    return str(folder)


def options(data: str, out: Path, config: RunConfig = CONFIG, **more: Any) -> TrainOptions:
    return TrainOptions(config, data, out, threads=1, quiet=True, **more)


def changed(config: RunConfig = CONFIG, **training: Any) -> RunConfig:
    return replace(config, training=replace(config.training, **training))


@pytest.fixture(scope="module")
def reference(data: str, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """An uninterrupted training."""
    return train(options(data, tmp_path_factory.mktemp("reference") / "run"))


@pytest.fixture
def run_copy(reference: TrainResult, tmp_path: Path) -> Path:
    """A copy of the reference's folder."""
    return Path(shutil.copytree(reference.out, tmp_path / "copy"))


def assert_same_run(out: Path, reference: TrainResult) -> None:
    names = sorted(path.name for path in reference.out.iterdir())
    assert sorted(path.name for path in out.iterdir()) == names
    assert set(names) == FILES
    for name in FILES - {LOG_FILE}:
        assert (out / name).read_bytes() == (reference.out / name).read_bytes(), name


class KilledError(Exception):
    pass


def test_a_training_does_not_depend_on_what_was_random_before(
    data: str, reference: TrainResult, tmp_path: Path
) -> None:
    torch.manual_seed(7)
    state = torch.get_rng_state()
    result = train(options(data, tmp_path / "again"))
    assert_same_run(tmp_path / "again", reference)
    assert result.scores == reference.scores
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()


def test_another_seed_is_another_training(data: str, reference: TrainResult, tmp_path: Path) -> None:
    train(options(data, tmp_path / "run", changed(seed=1, qat_epochs=0)))
    tensors, _ = read_tensors(tmp_path / "run" / "float.safetensors")
    others, _ = read_tensors(reference.out / "float.safetensors")
    assert not torch.equal(
        tensors["encoder.0.attention.query.cores.0"], others["encoder.0.attention.query.cores.0"]
    )


@pytest.mark.parametrize("epochs", range(1, EPOCHS + QAT_EPOCHS + 1))
def test_resuming_after_an_epoch_gives_the_same_bits(
    epochs: int, data: str, reference: TrainResult, tmp_path: Path
) -> None:
    left = count(1)

    def kill(record: EpochRecord) -> None:
        if next(left) == epochs:
            raise KilledError

    with pytest.raises(KilledError):
        train(options(data, tmp_path / "run", on_epoch=kill))
    torch.manual_seed(epochs)
    result = train(options(data, tmp_path / "run", resume=True))
    assert_same_run(tmp_path / "run", reference)
    assert result.scores == reference.scores
    assert result.history == reference.history


@pytest.mark.parametrize(("writes", "again"), [(1, False), (2, True), (5, False)])
def test_resuming_after_being_killed_while_writing_gives_the_same_bits(
    writes: int,
    again: bool,
    data: str,
    reference: TrainResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = count(1)

    def write(path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        if next(left) == writes:
            raise KilledError
        write_tensors(path, tensors, state)

    with monkeypatch.context() as patch:
        patch.setattr(training_module, "write_tensors", write)
        with pytest.raises(KilledError):
            train(options(data, tmp_path / "run"))
        if again:
            left = count(writes)
            with pytest.raises(KilledError):
                train(options(data, tmp_path / "run", resume=True))
    train(options(data, tmp_path / "run", resume=True))
    assert_same_run(tmp_path / "run", reference)


def test_the_quantized_stage_from_a_float_checkpoint_is_that_of_one_training(
    data: str, reference: TrainResult, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    result = train(options(data, out, changed(qat_epochs=0)))
    assert set(result.scores) == {"float"}
    assert not (out / "quantized.safetensors").exists()
    train(options(data, out, changed(epochs=0)))
    for name in ("quantized.safetensors", "float.safetensors"):
        assert (out / name).read_bytes() == (reference.out / name).read_bytes()


def test_the_quantized_stage_may_change_widths_but_not_the_float_model(run_copy: Path, data: str) -> None:
    narrow = replace(MODEL, attention=replace(LAYER, bits=4), activation_bits=4)
    for model in (replace(MODEL, heads=4), replace(MODEL, attention=replace(LAYER, rank=1))):
        with pytest.raises(UserError, match="may differ only in"):
            train(options(data, run_copy, changed(replace(CONFIG, model=model), epochs=0)))
    train(options(data, run_copy, changed(replace(CONFIG, model=narrow), epochs=0, qat_epochs=1)))
    assert load_run(run_copy).config.model.attention.bits == 4


def test_without_epochs_the_initial_weights_are_the_float_checkpoint(data: str, tmp_path: Path) -> None:
    result = train(options(data, tmp_path / "run", changed(epochs=0, qat_epochs=0)))
    assert result.history == ()
    assert set(result.scores) == {"float"}
    assert load_run(tmp_path / "run").stage == "float"


def test_the_best_epoch_is_kept_and_of_equal_ones_the_later(reference: TrainResult, data: str) -> None:
    for stage in STAGES:
        best, kept = -math.inf, 0
        records = [record for record in reference.history if record.stage == stage]
        for record in records:
            assert record.dev is not None
            score = record.dev.accuracy / 2 + (record.dev.slot_f1 or 0) / 2
            assert record.best == (score >= best)
            if score >= best:
                best, kept = score, record.epoch
        _, state = read_tensors(reference.out / f"{stage}.safetensors")
        chosen = records[kept - 1].dev
        assert chosen is not None
        assert (state["stage"], state["epoch"], state["dev"]) == (stage, kept, asdict(chosen))
        assert reference.scores[stage]["dev"] == chosen
        assert evaluate(reference.out, data, "dev", stage=stage) == chosen


@pytest.mark.parametrize(
    ("scores", "best", "killed_after"),
    [
        ([3.0, 1.0, 2.0, 1.0, 0.5], (1, 1), 1),
        ([1.0, 2.0, 2.0, 2.0, 2.0], (3, 2), 0),
        ([1.0, 2.0, 1.0, 3.0, 0.0], (2, 1), 4),
    ],
)
def test_selection(
    scores: list[float],
    best: tuple[int, int],
    killed_after: int,
    data: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    snapshots: list[dict[str, Tensor]] = []
    calibrated: list[dict[str, Tensor]] = []

    def snapshot(model: torch.nn.Module) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def evaluate_fake(model: torch.nn.Module, *_: Any) -> Scores:
        snapshots.append(snapshot(model))
        # Later calls score the finished checkpoints.
        return Scores([*scores, 0.0, 0.0, 0.0, 0.0][len(snapshots) - 1], None, 0.0, 10)

    def watch(model: torch.nn.Module, *arguments: Any) -> None:
        calibrated.append(snapshot(model))
        calibrate(model, *arguments)

    def kill(_: EpochRecord) -> None:
        if len(snapshots) == killed_after:
            raise KilledError

    monkeypatch.setattr(training_module, "evaluate_model", evaluate_fake)
    monkeypatch.setattr(training_module, "calibrate", watch)
    wanted = options(data, tmp_path / "run", changed(epochs=3, qat_epochs=2), on_epoch=kill)
    if killed_after:
        with pytest.raises(KilledError):
            train(wanted)
        wanted = replace(wanted, resume=True)
    train(wanted)
    for stage, epoch, earlier in zip(STAGES, best, (0, 3), strict=True):
        tensors, state = read_tensors(tmp_path / "run" / f"{stage}.safetensors")
        assert state["epoch"] == epoch
        chosen = snapshots[earlier + epoch - 1]
        assert all(torch.equal(tensor, chosen[name]) for name, tensor in tensors.items())
    (start,) = calibrated
    assert all(torch.equal(tensor, snapshots[best[0] - 1][name]) for name, tensor in start.items())


def thresholds(path: Path) -> tuple[dict[str, Tensor], bool]:
    """The thresholds in a training state, and whether they are all frozen."""
    tensors, _ = read_tensors(path)
    frozen = [bool(tensor) for name, tensor in tensors.items() if name.endswith(".frozen")]
    assert len(set(frozen)) == 1
    return {name: tensor for name, tensor in tensors.items() if name.endswith("log2_t")}, frozen[0]


@pytest.mark.parametrize(
    ("share", "frozen"), [(0.0, (False, False)), (0.5, (False, True)), (1.0, (True, True))]
)
def test_thresholds_learn_until_they_are_frozen(
    share: float, frozen: tuple[bool, bool], run_copy: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start: list[list[float]] = []

    def watch(model: torch.nn.Module, *arguments: Any) -> None:
        calibrate(model, *arguments)
        start.append([float(scale) for scale in scale_parameters(model)])

    states = []
    monkeypatch.setattr(training_module, "calibrate", watch)
    train(
        options(
            data,
            run_copy,
            changed(epochs=0, frozen_share=share),
            on_epoch=lambda _: states.append(thresholds(run_copy / "last.safetensors")),
        )
    )
    (first, first_frozen), (second, second_frozen) = states
    assert (first_frozen, second_frozen) == frozen
    assert (sorted(map(float, first.values())) == sorted(start[0])) == frozen[0]
    assert (first == second) == frozen[1]


def test_weights_thresholds_and_their_decay_are_apart(data: str, tmp_path: Path) -> None:
    job = training_module._Training(options(data, tmp_path / "run"))
    scales = {id(scale) for scale in scale_parameters(job.model)}
    factors = {
        id(parameter): TRAINING.ttm_lr_factor
        if name.startswith("embedding.token")
        else TRAINING.core_lr_factor
        for name, parameter in job.model.named_parameters()
        # The heads are dense layers.
        if ".cores." in name and not name.startswith(("label", "slots"))
    }
    groups = make_optimizer(job.model, TRAINING, "quantized").param_groups
    seen = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(seen) == sorted(id(parameter) for parameter in job.model.parameters())
    for group in groups:
        for parameter in group["params"]:
            factor = factors.get(id(parameter), 1.0)
            scale = id(parameter) in scales
            assert group["peak"] == (TRAINING.scale_lr if scale else TRAINING.qat_lr * factor)
            assert group["weight_decay"] == (TRAINING.weight_decay / factor if parameter.dim() > 1 else 0.0)
    floats = {
        id(p) for group in make_optimizer(job.model, TRAINING, "float").param_groups for p in group["params"]
    }
    assert floats == set(seen) - scales


@given(st.integers(1, 200), st.floats(0, 1))
def test_the_rate_rises_to_its_peak_and_falls_to_nothing(steps: int, warmup: float) -> None:
    rates = [rate(step, steps, warmup) for step in range(steps)]
    peak = round(steps * warmup)
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[:peak] == [(step + 1) / peak for step in range(peak)]
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    if peak < steps:
        assert rates[peak] == 1.0
        assert rate(steps, steps, warmup) == 0.0


@given(
    st.lists(st.sampled_from([IGNORED, UNKNOWN, 0, 1, 2]), min_size=1, max_size=8), st.integers(0, 2**32 - 1)
)
def test_the_loss_is_the_mean_over_what_is_known(targets: list[int], seed: int) -> None:
    logits = np.random.default_rng(seed).normal(size=(len(targets), 3))
    known = [
        -row[target] + math.log(sum(math.exp(value) for value in row))
        for row, target in zip(logits.tolist(), targets, strict=True)
        if target >= 0
    ]
    tensor = torch.tensor(logits, requires_grad=True)
    loss = cross_entropy(tensor[None], np.array([targets], np.int32), 0.0)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(sum(known) / max(1, len(known)))
    assert tensor.grad is not None
    assert torch.isfinite(tensor.grad).all()
    assert [bool(row.any()) for row in tensor.grad] == [target >= 0 for target in targets]


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_word_dropout_leaves_structure_alone(share: float, data: str, tmp_path: Path) -> None:
    job = training_module._Training(options(data, tmp_path / "run", changed(word_dropout=share)))
    unknown, cls = job.tokenizer.unk_id, job.tokenizer.cls_id
    words = dropped = 0
    for batch in batches(job.splits["train"], 8, seed=0):
        seen = job._drop_words(batch, np.random.default_rng(5)).ids
        assert seen.dtype == batch.ids.dtype
        structure = (batch.ids == 0) | (batch.ids == cls)
        assert (seen[structure] == batch.ids[structure]).all()
        assert ((seen == batch.ids) | (seen == unknown)).all()
        words += int((~structure).sum())
        dropped += int((seen != batch.ids).sum())
    # Far beyond random variation for 100 words; exact at 0 and 1.
    assert abs(dropped - share * words) <= (0 if share in (0.0, 1.0) else 0.2 * words)


def test_unheard_labels_and_words_that_were_cut_off_are_errors(reference: TrainResult, data: str) -> None:
    run = load_run(reference.out, "float")
    example = load(data).split("test")[-1]
    split = encode_split([example], run.tokenizer, run.labels, 9)
    assert split.truncated == 1
    (slots,) = predict(run.model, split, run.labels).slots or ()
    assert len(slots) == 8
    scores = evaluate_model(run.model, split, run.labels)
    assert (scores.accuracy, scores.slot_f1, scores.unknown_labels) == (0.0, 0.0, 1)
    assert reference.scores["float"]["test"].unknown_labels == 1


def test_predictions_do_not_depend_on_the_batches(reference: TrainResult, data: str) -> None:
    run = load_run(reference.out)
    assert run.stage == "quantized"
    split = encode_split(load(data).split("test"), run.tokenizer, run.labels, 9)
    alone = predict(run.model, split, run.labels, 1)
    assert predict(run.model, split, run.labels, 5) == alone
    for at, example in enumerate(split.examples):
        (single,) = [run.tokenizer.encode(example.words, None, 9)]
        ids = torch.from_numpy(single.ids).long()[None]
        with torch.no_grad():
            logits = run.model(ids, torch.tensor([ids.shape[1]]))
        assert alone.labels[at] == run.labels.intents[int(np.argmax(logits["label"][0]))]
        tags = [run.labels.slots[int(np.argmax(row))] for row in logits["slots"][0, 1:]]
        assert alone.slots is not None
        assert list(alone.slots[at]) == tags


def test_the_mode_of_training_outlives_an_evaluation(reference: TrainResult, data: str) -> None:
    run = load_run(reference.out)
    split = encode_split(load(data).split("dev"), run.tokenizer, run.labels, 9)
    for mode in (True, False):
        run.model.train(mode)
        predict(run.model, split, run.labels)
        assert run.model.training == mode


def test_pairs_without_slots_and_without_dev(tmp_path: Path) -> None:
    rows = [f"is {a} big,{b} is big,{'same' if a == b else 'other'}" for a in "xyz" for b in "xy"]
    folder = tmp_path / "pairs"
    folder.mkdir()
    (folder / "train.csv").write_text("\n".join(["sentence1,sentence2,label", *rows]) + "\n")
    result = train(options(str(folder), tmp_path / "run", changed(qat_epochs=1)))
    assert result.config.model.segments
    assert result.config.model.tags == 0
    assert result.scores == {"float": {}, "quantized": {}}
    assert [record.best for record in result.history] == [True] * 3
    assert evaluate(tmp_path / "run", str(folder), "train").slot_f1 is None


def test_a_word_piece_vocabulary_travels_with_the_run(data: str, tmp_path: Path) -> None:
    tokenizer = replace(CONFIG.tokenizer, kind="wordpiece", vocab_size=40)
    result = train(
        options(data, tmp_path / "run", changed(replace(CONFIG, tokenizer=tokenizer), epochs=1, qat_epochs=0))
    )
    assert evaluate(tmp_path / "run", data) == result.scores["float"]["test"]
    with pytest.raises(UserError, match="too small"):
        train(options(data, tmp_path / "other", replace(CONFIG, tokenizer=replace(tokenizer, vocab_size=4))))
    assert not (tmp_path / "other").exists()


def test_a_run_is_not_overwritten_or_resumed_with_something_else(
    run_copy: Path, data: str, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in run_copy.iterdir()}
    other = tmp_path / "other"
    shutil.copytree(data, other)
    (other / "dev" / "label").write_text("play\n" * 10)
    cases: list[tuple[str, TrainOptions]] = [
        ("already holds a run", options(data, run_copy)),
        ("already holds a run", options(data, run_copy, changed(seed=3))),
        ("another configuration", options(data, run_copy, changed(seed=3), resume=True)),
        ("other data", options(str(other), run_copy, resume=True)),
    ]
    for sentence, wrong in cases:
        with pytest.raises(UserError, match=sentence):
            train(wrong)
    assert {path.name: path.read_bytes() for path in run_copy.iterdir()} == before
    with pytest.raises(UserError, match="is not a folder"):
        train(options(data, run_copy / "config.json"))
    with pytest.raises(UserError):
        train(options(str(tmp_path / "nowhere"), tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_a_loss_that_is_no_number_ends_the_training(data: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="diverged in epoch 1 of the float stage"):
        train(options(data, tmp_path / "run", changed(lr=1000, warmup=0.0)))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_version(path: Path) -> None:
    if path.suffix == ".json":
        path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 2}))
    else:
        path.write_bytes(path.read_bytes().replace(b'"format_version":"1"', b'"format_version":"2"'))


def other_shape(path: Path) -> None:
    tensors, state = read_tensors(path)
    name = next(name for name, tensor in tensors.items() if tensor.dim() == 3)
    write_tensors(path, {**tensors, name: tensors[name][:-1]}, state)


def other_type(path: Path) -> None:
    tensors, state = read_tensors(path)
    name = next(name for name, tensor in tensors.items() if tensor.dim() == 3)
    write_tensors(path, {**tensors, name: tensors[name].half()}, state)


def one_less(path: Path) -> None:
    tensors, state = read_tensors(path)
    write_tensors(path, dict(list(tensors.items())[1:]), state)


def one_more(path: Path) -> None:
    tensors, state = read_tensors(path)
    write_tensors(path, {**tensors, "more": torch.zeros(1)}, state)


@pytest.mark.parametrize(
    ("name", "damage", "sentence"),
    [
        *[
            (name, damage, sentence)
            for name in ("config.json", "tokenizer.json", "labels.json")
            for damage, sentence in (
                (Path.unlink, "does not exist"),
                (truncate, "not valid JSON"),
                (other_version, "got 2"),
                (lambda path: path.write_text("[]"), "JSON object"),
                (lambda path: path.write_text("{}"), "got none"),
            )
        ],
        *[
            ("quantized.safetensors", damage, sentence)
            for damage, sentence in (
                (truncate, "is damaged"),
                (empty, "is damaged"),
                (other_version, "got 2"),
                (other_shape, "another configuration"),
                (other_type, "another configuration"),
                (one_less, "has no tensor"),
                (one_more, "unexpected tensor more"),
            )
        ],
    ],
)
def test_a_damaged_run_is_told_in_one_sentence(
    name: str, damage: Callable[[Path], None], sentence: str, run_copy: Path
) -> None:
    load_run(run_copy)
    damage(run_copy / name)
    with pytest.raises(UserError, match=sentence) as caught:
        load_run(run_copy)
    assert str(run_copy / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_whose_files_are_not_of_one_training_is_told(run_copy: Path, tmp_path: Path) -> None:
    (run_copy / "quantized.safetensors").unlink()
    with pytest.raises(UserError, match=r"quantized\.safetensors does not exist"):
        load_run(run_copy, "quantized")
    assert load_run(run_copy).stage == "float"
    labels = json.loads((run_copy / "labels.json").read_text())
    (run_copy / "labels.json").write_text(json.dumps({**labels, "intents": ["play"]}))
    with pytest.raises(UserError, match="do not fit"):
        load_run(run_copy)
    config = json.loads((run_copy / "config.json").read_text())
    config["config"]["model"]["wings"] = 2
    (run_copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="wings"):
        load_run(run_copy)
    with pytest.raises(UserError, match="is not a folder"):
        load_run(tmp_path / "nothing")


def test_a_damaged_state_is_not_resumed(run_copy: Path, data: str) -> None:
    truncate(run_copy / "last.safetensors")
    with pytest.raises(UserError, match=r"last\.safetensors is damaged"):
        train(options(data, run_copy, resume=True))


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "other"},
        {"stage": None},
        {"epoch": 0},
        {"epoch": QAT_EPOCHS + 1},
        {"epoch": "last"},
        {"best": None},
        {"history": None},
        {"history": [{"stage": "float"}]},
    ],
)
def test_a_state_of_something_else_is_not_resumed(change: dict[str, Any], run_copy: Path, data: str) -> None:
    tensors, state = read_tensors(run_copy / "last.safetensors")
    write_tensors(run_copy / "last.safetensors", tensors, {**state, **change})
    with pytest.raises(UserError, match=r"last\.safetensors does not hold a state of this training"):
        train(options(data, run_copy, resume=True))


@pytest.mark.parametrize(
    ("name", "moment", "sentence"),
    [
        ("optimizer.0.other", torch.zeros(1), "not a state of AdamW"),
        ("optimizer.9999.exp_avg", torch.zeros(1), "not a state of AdamW"),
        ("optimizer.0.exp_avg", torch.zeros(3, 3, 3, 3), "wrong shape"),
        ("optimizer.0.exp_avg", None, "incomplete state"),
    ],
)
def test_the_state_of_another_optimizer_is_not_resumed(
    name: str, moment: Tensor | None, sentence: str, run_copy: Path, data: str
) -> None:
    tensors, state = read_tensors(run_copy / "last.safetensors")
    tensors.pop(name, None)
    more = {} if moment is None else {name: moment}
    write_tensors(run_copy / "last.safetensors", {**tensors, **more}, state)
    with pytest.raises(UserError, match=sentence):
        train(options(data, run_copy, resume=True))


def test_the_configuration_of_a_run_trains_the_same_once_more(
    reference: TrainResult, data: str, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    config = reference.out / "config.json"
    assert main(["train", "--data", data, "--config", str(config), "--out", str(out), "--threads", "1"]) == 0
    assert_same_run(out, reference)


def test_the_commands(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_config(changed(epochs=1, qat_epochs=1), tmp_path / "tiny.toml")
    run, report = tmp_path / "run", tmp_path / "report.json"
    arguments = ["train", "--data", data, "--config", str(tmp_path / "tiny.toml"), "--out", str(run)]
    assert main([*arguments, "--threads", "1", "--json", str(report)]) == 0
    told = capsys.readouterr()
    assert len([line for line in told.err.splitlines() if " 1/1 " in line]) == 2
    trained = json.loads(report.read_text())
    assert trained["scores"]["quantized"]["test"]["sentences"] == 12
    assert main(["eval", str(run), "--data", data, "--json", str(report)]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert json.loads(report.read_text()) == trained["scores"]["quantized"]["test"]
    assert main(["eval", str(run), "--data", data, "--stage", "float", "--json", str(report)]) == 0
    assert json.loads(report.read_text()) == trained["scores"]["float"]["test"]
    capsys.readouterr()
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main([*arguments, "--resume"]) == 0
    assert (
        main(["eval", str(run), "--data", data, "--split", "dev", "--limit", "4", "--json", str(report)]) == 0
    )
    assert json.loads(report.read_text())["sentences"] == 4
