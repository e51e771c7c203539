"""Training: a float stage, calibration, a quantization-aware stage; selection on dev; bit-exact resumption.

All random numbers depend only on the seed of the configuration, the stage and the epoch, so an epoch gives the same
result in any process. The state after an epoch (weights, thresholds, AdamW's moments, the best score) is one file. A
resumed training continues from it and gives the same bits as an uninterrupted one.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from ..errors import UserError, printable, refusing
from ..files import append_text, locked_folder, sha256
from ..text import IGNORED, Batch, batches
from ..text.scores import Scores
from ..text.tokenizer import PAD
from .checkpoint import (
    DATA,
    HISTORY,
    LAST,
    LOG_FILE,
    METRICS,
    MODES,
    STAGES,
    Stage,
    check_tensors,
    load_run,
    load_tensors,
    load_weights,
    read_record,
    read_tensors,
    weights_file,
    write_description,
    write_record,
    write_tensors,
)
from .config import RunConfig, TrainingConfig
from .distillation import inherit
from .evaluate import evaluate_model, outputs
from .export import check_exportable
from .finite import NotFiniteError, check_finite, first_not_finite
from .losses import cross_entropy, soft_cross_entropy
from .optimizer import make_optimizer, moments, rate, restore_moments
from .preparation import Start, prepare
from .quantizer import Mode, calibrate, freeze_scales, scale_parameters, set_mode
from .reproducible import reproducible
from .transformer import Transformer


class _Draw(IntEnum):
    """The purposes of random numbers. Each has a separate stream."""

    WEIGHTS = 0
    ORDER = 1
    DROPOUT = 2
    WORDS = 3
    CALIBRATION = 4


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    Attributes:
        stage: "float" or "quantized".
        epoch: counted from 1 in each stage.
        loss: mean over the sentences.
        dev: scores on the dev split after the epoch; None without a dev split.
        best: whether this is the best exportable epoch of its stage so far. Among equal ones the later is taken.
    """

    stage: Stage
    epoch: int
    loss: float
    dev: Scores | None
    best: bool


@dataclass(frozen=True)
class _State:
    """The training state apart from the tensors: the last epoch, the best score, all records."""

    stage: Stage
    epoch: int
    best: float
    history: tuple[EpochRecord, ...]


_STATE = TypeAdapter(_State)


@dataclass(frozen=True)
class TrainOptions:
    """The arguments of `train`.

    Attributes:
        config: of model, training and tokenizer; `vocab_size`, `labels`, `tags`, `segments` are set from the data.
        data: source, see `data.load`.
        out: folder of the run. It must not hold a run, except with `resume`, or if `epochs` is 0 and it has a float
            checkpoint, which the quantization-aware stage then starts from.
        teacher: folder of a float run with the same vocabulary and labels, whose logits are soft targets; see
            `distillation`.
        start: folder of a float run with a model of the same sizes, whose weights are the initial weights; None: the
            teacher.
        resume: continue after the last complete epoch in `out`, or start if there is none.
        threads: number of threads of PyTorch; None: unchanged. The same bits require the same number.
        quiet: print nothing.
        on_epoch: called after each epoch, when its files are on disk.
    """

    config: RunConfig
    data: str
    out: Path
    teacher: Path | None = None
    start: Path | None = None
    resume: bool = False
    threads: int | None = None
    quiet: bool = False
    on_epoch: Callable[[EpochRecord], None] | None = None


@dataclass(frozen=True)
class TrainResult:
    """The result of a training.

    Attributes:
        out: folder of the run.
        config: with the sizes of the data.
        history: all epochs.
        scores: of the best weights, by stage, then by split: "dev" and "test", where they have sentences.
    """

    out: Path
    config: RunConfig
    history: tuple[EpochRecord, ...]
    scores: dict[Stage, dict[str, Scores]]


def train(options: TrainOptions) -> TrainResult:
    """Trains a model and writes a run folder, see `checkpoint`.

    The folder is locked during training. If training diverges, the best checkpoint so far is kept.

    Raises:
        UserError: the data or the configuration is invalid, `out` already holds a run or does not fit, another
            training is using it, or the training diverges.
    """
    if options.out.exists() and not options.out.is_dir():
        raise UserError(f"{options.out} is not a folder; give another one for the run.")
    with locked_folder(options.out, "training"), reproducible(options.threads):
        return _Training(options).run()


class _Training:
    """One call of `train`."""

    def __init__(self, options: TrainOptions) -> None:
        self.out = options.out
        self.on_epoch = options.on_epoch
        self.console = Console(
            stderr=True, quiet=options.quiet, highlight=False, markup=False, soft_wrap=True
        )
        prepared = prepare(options.config, options.data, options.out, options.resume)
        self.config, self.tokenizer, self.labels = prepared.config, prepared.tokenizer, prepared.labels
        self.splits = prepared.splits
        self.steps = math.ceil(len(self.splits["train"]) / self.training.batch_size)
        torch.manual_seed(self._seed(_Draw.WEIGHTS))
        self.model = Transformer(self.config.model, self.training.dropout)
        self.teacher = None if options.teacher is None else self._load_other(options.teacher)
        start = options.start or options.teacher
        if start is not None and not self._inherit(start) and options.start is not None:
            raise UserError(
                f"the model of {start} has other sizes; give a run with a model of the same sizes."
            )
        self.optimizer = make_optimizer(self.model, self.training, "float")
        self.history: list[EpochRecord] = []
        self.best = -1.0
        others = {
            role: None if path is None else sha256(weights_file(path, "float"))
            for role, path in (("teacher", options.teacher), ("start", start))
        }
        if prepared.start is Start.RESUME:
            begun = read_record(self.out / DATA)
            for role, digest in others.items():
                if begun.get(role) != digest:
                    raise UserError(
                        f"{self.out} was started with another {role} or none; resume with the original."
                    )
        # Nothing is written before all of the above has been validated.
        if prepared.start is Start.FLOAT:
            load_weights(self.model, weights_file(self.out, "float"))
            self._forget()
        if prepared.start is not Start.RESUME:
            write_record(self.out / DATA, {**prepared.data, **others})
            write_description(self.out, self.config, self.tokenizer, self.labels)

    @property
    def training(self) -> TrainingConfig:
        return self.config.training

    def _epochs(self, stage: Stage) -> int:
        return self.training.epochs if stage == "float" else self.training.qat_epochs

    def _load_other(self, path: Path) -> Transformer:
        run = load_run(path, "float")
        longest = self.config.model.max_length
        if run.config.model.max_length < longest:
            raise UserError(
                f"the maximum length of {path} must be at least {longest}, got "
                f"{run.config.model.max_length}; give another teacher, or lower --max-len."
            )
        if run.tokenizer.to_json() != self.tokenizer.to_json() or run.labels != self.labels:
            raise UserError(
                f"{path} has another vocabulary or other labels; give a run trained on this data."
            )
        return run.model

    def _inherit(self, path: Path) -> bool:
        """Takes the initial weights from the run `path`, if its model has the same sizes."""
        other = self._load_other(path)
        try:
            with refusing(f"the weights of {path} cannot be factorized", "give another run to start from"):
                taken = inherit(self.model, other)
            check_finite(self.model.state_dict().items())
        except NotFiniteError as error:
            raise UserError(
                f"{path} cannot be used as a start, {error.fact}; give a run trained with a lower learning rate."
            ) from None
        return taken

    def run(self) -> TrainResult:
        """Both stages, from the state of the folder, then the scores."""
        done_stage, done_epochs = self._restore()
        for stage in STAGES[STAGES.index(done_stage) :]:
            epochs = self._epochs(stage)
            done = done_epochs if stage == done_stage else 0
            if not done:
                self._begin(stage, epochs)
            for epoch in range(done, epochs):
                with self._divergence(stage, f"epoch {epoch + 1} of the {stage} stage"):
                    self._epoch(stage, epoch, epochs)
            if epochs and not weights_file(self.out, stage).exists():
                raise UserError(
                    f"no epoch of the {stage} stage can be exported; reason for the last one: "
                    f"{self._obstacle(stage)}; {self._advice(stage)}."
                )
        return self._finish()

    @contextmanager
    def _divergence(self, stage: Stage, where: str) -> Iterator[None]:
        """Reports a value that is not finite as divergence at `where`, with advice."""
        try:
            yield
        except NotFiniteError as error:
            kept = "; the best epoch so far is kept" if weights_file(self.out, stage).exists() else ""
            raise UserError(
                f"the training diverged in {where}: {error.fact}; {self._advice(stage)}{kept}."
            ) from None

    def _advice(self, stage: Stage) -> str:
        """Advice after a stage without a usable epoch."""
        training = self.training
        if stage == "quantized":
            rates = f"--qat-lr (now {training.qat_lr:g}) or training.scale_lr (now {training.scale_lr:g})"
            return f"lower {rates} and train again with --epochs 0"
        elsewhere = " into another folder" if weights_file(self.out, stage).exists() else ""
        return f"lower --lr (now {training.lr:g}) and train again{elsewhere}"

    def _restore(self) -> tuple[Stage, int]:
        """Restores the state on disk; returns the stage and the number of its completed epochs."""
        path = self.out / LAST
        if not path.exists():
            return STAGES[0], 0
        tensors, content = read_tensors(path)
        state = self._state(path, content)
        for stage in {record.stage for record in state.history if record.best}:
            # The best weights are used only at the end, but errors in them must be reported now.
            best = weights_file(self.out, stage)
            check_tensors(self.model, read_tensors(best)[0], best)
        weights = {
            name.removeprefix("model."): tensor
            for name, tensor in tensors.items()
            if name.startswith("model.")
        }
        load_tensors(self.model, weights, path)
        self._configure(state.stage)
        self.optimizer = make_optimizer(self.model, self.training, state.stage)
        restore_moments(self.optimizer, tensors, path)
        self.best = state.best
        self.history = list(state.history)
        self._tell(f"continuing after epoch {state.epoch} of the {state.stage} stage")
        return state.stage, state.epoch

    def _state(self, path: Path, content: Mapping[str, Any]) -> _State:
        """The counters in `last.safetensors`, checked."""
        try:
            state = _STATE.validate_json(json.dumps(content), strict=True)
        except ValidationError:
            state = None
        if (
            state is None
            or not 1 <= state.epoch <= self._epochs(state.stage)
            or [(state.stage, state.epoch)] != [(record.stage, record.epoch) for record in state.history[-1:]]
        ):
            raise UserError(f"{path} does not hold a state of this training; restore it or train again.")
        return state

    def _begin(self, stage: Stage, epochs: int) -> None:
        """Prepares the model and the optimizer for the first epoch of a stage, if it has any."""
        path = weights_file(self.out, "float")
        if stage == "float" and not epochs and not path.exists():
            write_tensors(path, self.model.state_dict(), {"stage": stage, "epoch": 0, "dev": None})
        if not epochs:
            return
        if stage == "quantized":
            load_weights(self.model, path)
            with self._divergence("float", "the calibration after the float stage"):
                self._calibrate()
        self.best = -1.0
        self._configure(stage)
        self.optimizer = make_optimizer(self.model, self.training, stage)

    def _configure(self, stage: Stage) -> None:
        set_mode(self.model, MODES[stage])
        self.model.set_dropout(self.training.dropout if stage == "float" else self.training.qat_dropout)

    def _calibrate(self) -> None:
        """Sets the thresholds from the activations of the float model on some training batches."""
        order = batches(self.splits["train"], self.training.batch_size, seed=self._seed(_Draw.CALIBRATION))
        self.model.eval()
        set_mode(self.model, Mode.CALIBRATE)
        with torch.no_grad(), self.console.status("calibrating"):
            for batch in islice(order, self.training.calibration_batches):
                outputs(self.model, batch)
            calibrate(self.model, self.training.calibration, self.training.percentile)

    def _epoch(self, stage: Stage, epoch: int, epochs: int) -> None:
        """Trains one epoch and writes its files; `epoch` counts from 0."""
        start = time.perf_counter()
        title = f"{stage:9} {epoch + 1:{len(str(epochs))}}/{epochs}"
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}"),
            TimeRemainingColumn(),
        )
        hidden = not self.console.is_terminal
        with Progress(*columns, console=self.console, transient=True, disable=hidden) as progress:
            bar = progress.add_task(title, total=self.steps, loss=math.nan)

            def show(loss: float) -> None:
                progress.update(bar, advance=1, loss=loss)

            loss = self._learn(stage, epoch, epochs, show)
            check_finite(self._tensors().items())
            obstacle = self._obstacle(stage)
            progress.update(bar, description=f"{title} dev")
            scores = (
                evaluate_model(self.model, self.splits["dev"], self.labels) if "dev" in self.splits else None
            )
        score = 0.0 if scores is None else scores.selection
        best = obstacle is None and score >= self.best
        record = EpochRecord(stage, epoch + 1, loss, scores, best)
        self.history.append(record)
        if best:
            self.best = score
            state = {"stage": stage, "epoch": record.epoch, "dev": scores and asdict(scores)}
            write_tensors(weights_file(self.out, stage), self.model.state_dict(), state)
        self._save(record)
        seconds = time.perf_counter() - start
        mark = " *" if best else ""
        dev = "" if scores is None else f"  dev {scores}"
        self._tell(f"{title}  loss {loss:.4f}{dev}  {seconds:.1f} s{mark}")
        if obstacle is not None:
            self._tell(f"{title}  cannot be exported: {obstacle}")
        if self.on_epoch is not None:
            self.on_epoch(record)

    def _tensors(self) -> dict[str, Tensor]:
        """The tensors of `last.safetensors`: model and optimizer."""
        model = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        return model | moments(self.optimizer)

    def _obstacle(self, stage: Stage) -> str | None:
        """The reason why the quantized model cannot be exported, a clause without advice, or None."""
        if stage == "float":
            return None
        try:
            check_exportable(self.model)
        except NotFiniteError:
            raise
        except UserError as error:
            return printable(str(error).partition(";")[0], 140)
        return None

    def _tell(self, line: str) -> None:
        """Prints a line and appends it, with the time, to the log of the run."""
        self.console.print(line)
        append_text(self.out / LOG_FILE, f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}\n")

    def _learn(self, stage: Stage, epoch: int, epochs: int, show: Callable[[float], None]) -> float:
        """All steps of one epoch; returns the mean loss."""
        key = (STAGES.index(stage), epoch)
        torch.manual_seed(self._seed(_Draw.DROPOUT, *key))
        words = np.random.default_rng(self._seed(_Draw.WORDS, *key))
        order = batches(self.splits["train"], self.training.batch_size, seed=self._seed(_Draw.ORDER, *key))
        apart = {id(parameter) for parameter in scale_parameters(self.model)}
        weights = [parameter for parameter in self.model.parameters() if id(parameter) not in apart]
        steps = epochs * self.steps
        freezing = round(steps * (1 - self.training.frozen_share))
        self.model.train()
        total = 0.0
        for step, batch in enumerate(order, start=epoch * self.steps):
            if stage == "quantized" and step == freezing:
                freeze_scales(self.model)
            factor = rate(step, steps, self.training.warmup)
            for group in self.optimizer.param_groups:
                group["lr"] = group["peak"] * factor
            seen = self._drop_words(batch, words)
            result = outputs(self.model, seen)
            loss = self._loss(result, seen)
            if self.teacher is not None:
                share = self.training.distill_weight
                loss = (1 - share) * loss + share * self._soft_loss(result, seen, self.teacher)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise NotFiniteError(f"the loss is {value}")
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            # Thresholds are excluded: their gradients are sums over whole tensors and would dominate the norm.
            # AdamW is insensitive to their scale.
            norm = torch.nn.utils.clip_grad_norm_(weights, self.training.clip or math.inf)
            if not torch.isfinite(norm):
                raise NotFiniteError(f"the norm of the gradients is {float(norm)}")
            self.optimizer.step()
            total += value * len(batch.index)
            show(value)
        return total / len(self.splits["train"])

    def _loss(self, result: dict[str, Tensor], batch: Batch) -> Tensor:
        smoothing = self.training.label_smoothing
        loss = cross_entropy(result["label"], batch.labels, smoothing)
        if "slots" in result:
            loss = loss + self.training.slot_weight * cross_entropy(result["slots"], batch.slots, smoothing)
        return loss

    def _soft_loss(self, result: dict[str, Tensor], batch: Batch, teacher: Transformer) -> Tensor:
        with torch.no_grad():
            targets = outputs(teacher, batch)
        if first_not_finite(targets.items()) is not None:
            raise UserError("a logit of the teacher is not finite; give another teacher.")
        temperature = self.training.distill_temperature
        loss = soft_cross_entropy(result["label"], targets["label"], temperature)
        if "slots" in result:
            words = torch.from_numpy(batch.slots != IGNORED)
            soft = soft_cross_entropy(result["slots"][words], targets["slots"][words], temperature)
            loss = loss + self.training.slot_weight * soft
        return loss

    def _drop_words(self, batch: Batch, generator: np.random.Generator) -> Batch:
        """`batch` with a random share `word_dropout` of its tokens, except special ones, set to the unknown token."""
        tokenizer = self.tokenizer
        drawn = generator.random(batch.ids.shape) < self.training.word_dropout
        drawn &= ~np.isin(batch.ids, (PAD, tokenizer.cls_id, tokenizer.sep_id))
        return replace(batch, ids=np.where(drawn, np.int32(tokenizer.unk_id), batch.ids))

    def _save(self, record: EpochRecord) -> None:
        history = [asdict(entry) for entry in self.history]
        state = _State(record.stage, record.epoch, self.best, tuple(self.history))
        write_tensors(self.out / LAST, self._tensors(), asdict(state))
        write_record(self.out / HISTORY, {"epochs": history})

    def _forget(self) -> None:
        """Removes the files of a previous quantization-aware stage."""
        weights_file(self.out, "quantized").unlink(missing_ok=True)
        for name in (LAST, HISTORY, METRICS):
            (self.out / name).unlink(missing_ok=True)

    def _finish(self) -> TrainResult:
        """The scores of the best weights of each stage."""
        scores: dict[Stage, dict[str, Scores]] = {}
        for stage in STAGES:
            path = weights_file(self.out, stage)
            if not path.exists():
                continue
            load_weights(self.model, path)
            set_mode(self.model, MODES[stage])
            scores[stage] = {}
            for name in ("dev", "test"):
                if name in self.splits:
                    with self.console.status(f"{stage}: scoring {name}"):
                        scores[stage][name] = evaluate_model(self.model, self.splits[name], self.labels)
                    self._tell(f"{stage:9} {name:4}  {scores[stage][name]}")
        result = TrainResult(self.out, self.config, tuple(self.history), scores)
        write_record(self.out / METRICS, {"scores": asdict(result)["scores"]})
        return result

    def _seed(self, draw: _Draw, *key: int) -> int:
        """The seed of a stream of random numbers."""
        sequence = np.random.SeedSequence(self.training.seed % 2**64, spawn_key=(draw, *key))
        return int(sequence.generate_state(1)[0])
