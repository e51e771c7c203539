"""Runs a model on sentences and scores its predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..text import Batch, EncodedSplit, Labels, batches, encode_split, load_split
from ..text.scores import Array, Predictions, Scores, decode, score_predictions
from .checkpoint import Stage, load_run
from .finite import check_finite
from .transformer import Transformer

EVAL_BATCH = 64


def outputs(model: Transformer, batch: Batch) -> dict[str, torch.Tensor]:
    """The model's forward on a batch of arrays."""
    segments = torch.from_numpy(batch.segments).long() if model.config.segments else None
    result: dict[str, torch.Tensor] = model(
        torch.from_numpy(batch.ids).long(), torch.from_numpy(batch.lengths).long(), segments
    )
    return result


def predict(
    model: Transformer, split: EncodedSplit, labels: Labels, batch_size: int = EVAL_BATCH
) -> Predictions:
    """The predictions of `model`, in `eval()` and without gradients, for the examples of `split`, in order.

    Raises:
        NotFiniteError: a logit is not finite.
    """
    label_logits: list[Array] = [np.empty(0)] * len(split)
    slot_logits: list[Array] = [np.empty((0, 0))] * len(split)
    training = model.training
    model.eval()
    with torch.no_grad():
        for batch in batches(split, batch_size, seed=None):
            logits = outputs(model, batch)
            check_finite((f"a logit of {name!r}", tensor) for name, tensor in logits.items())
            result = {name: tensor.numpy() for name, tensor in logits.items()}
            for row, at in enumerate(batch.index):
                label_logits[at] = result["label"][row]
                if "slots" in result:
                    slot_logits[at] = result["slots"][row]
    model.train(training)
    return decode(label_logits, slot_logits if model.config.tags else None, split, labels)


def evaluate_model(
    model: Transformer, split: EncodedSplit, labels: Labels, batch_size: int = EVAL_BATCH
) -> Scores:
    """The scores of `model`, in the current mode of its quantizers, on the examples of `split`."""
    predictions = predict(model, split, labels, batch_size)
    return score_predictions(predictions.labels, predictions.slots, split.examples, labels.intents)


def evaluate(
    path: Path, data: str, split: str = "test", limit: int | None = None, stage: Stage | None = None
) -> Scores:
    """The scores of a run.

    Args:
        path: folder of the run.
        data: source of the sentences, see `data.load`.
        split: name of the split.
        limit: number of sentences to use, from the first; None: all.
        stage: "float" or "quantized"; None: "quantized" if it exists.

    Raises:
        UserError: the run or the data cannot be read.
    """
    run = load_run(path, stage)
    examples = load_split(
        data, split, limit, pairs=run.config.model.segments, splitter=run.tokenizer.splitter
    )
    encoded = encode_split(examples, run.tokenizer, run.labels, run.config.model.max_length)
    return evaluate_model(run.model, encoded, run.labels)
