"""AdamW for the training stages: the learning rate of each parameter, and the optimizer state as tensors."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError, printable
from .checkpoint import Stage
from .config import TrainingConfig
from .embedding import TTMEmbedding
from .linear import QuantLinear
from .quantizer import scale_parameters
from .transformer import Transformer

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def make_optimizer(model: Transformer, training: TrainingConfig, stage: Stage) -> torch.optim.AdamW:
    """AdamW for a stage, with groups for weights, for vectors and scalars (no decay), and for thresholds (own rate).

    Each group has its peak learning rate in "peak".
    """
    scales = scale_parameters(model)
    apart = {id(parameter) for parameter in scales}
    others = [parameter for parameter in model.parameters() if id(parameter) not in apart]
    rate = training.lr if stage == "float" else training.qat_lr
    factors: dict[int, float] = {}
    for module in model.modules():
        if isinstance(module, TTMEmbedding):
            factors.update((id(core), training.ttm_lr_factor) for core in module.cores)
        elif isinstance(module, QuantLinear) and module.kind != "dense":
            factors.update((id(core), training.core_lr_factor) for core in module.cores)
    matrices = [parameter for parameter in others if parameter.dim() > 1]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in others if p.dim() <= 1], "peak": rate, "weight_decay": 0.0}
    ]
    for factor in sorted({factors.get(id(parameter), 1.0) for parameter in matrices}):
        params = [parameter for parameter in matrices if factors.get(id(parameter), 1.0) == factor]
        # AdamW multiplies decay by the rate; all matrices must have the same decay.
        decay = training.weight_decay / factor
        groups.append({"params": params, "peak": rate * factor, "weight_decay": decay})
    if stage == "quantized":
        groups.append({"params": scales, "peak": training.scale_lr, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, fused=True)


def moments(optimizer: torch.optim.AdamW) -> dict[str, Tensor]:
    """The state of an optimizer, with names "optimizer.NUMBER.MOMENT"."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{index}.{key}": entry[key] for index, entry in state.items() for key in sorted(entry)}


def restore_moments(optimizer: torch.optim.AdamW, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Restores a new optimizer to the state returned by `moments`, which is among the tensors read from `path`.

    Raises:
        UserError: the state does not fit the optimizer.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if not name.startswith("optimizer."):
            continue
        match = re.fullmatch(r"optimizer\.(\d{1,9})\.(" + "|".join(_MOMENTS) + ")", name)
        index = int(match[1]) if match else len(parameters)
        if match is None or index >= len(parameters):
            raise UserError(
                f"{path} holds {printable(name)}, which is not a state of AdamW; restore it or train again."
            )
        # The fused step requires moments with the memory layout of their parameter.
        like = torch.zeros(()) if match[2] == "step" else torch.empty_like(parameters[index])
        if like.shape != tensor.shape or like.dtype != tensor.dtype:
            raise UserError(f"{path}: {name} has the wrong shape or type; restore it or train again.")
        if match[2] != "exp_avg" and float(tensor.min()) < 0:
            raise UserError(f"{path}: {name} must not be negative; restore it or train again.")
        states.setdefault(index, {})[match[2]] = like.copy_(tensor)
    if any(len(state) != len(_MOMENTS) for state in states.values()):
        raise UserError(f"{path} has an incomplete state of AdamW; restore it or train again.")
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})


def rate(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate at `step` (from 0) of `steps`: linear warm-up, then a cosine to zero."""
    rising = round(steps * warmup)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
