"""Training losses: cross entropy with the targets, and with the predictions of a teacher.

Hinton et al., *Distilling the Knowledge in a Neural Network* (arXiv 1503.02531), for the teacher's soft targets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, targets: np.ndarray[Any, Any], smoothing: float) -> Tensor:
    """Mean cross entropy over the non-negative targets; 0 if there are none.

    Args:
        logits: (.., classes).
        targets: (..), negative where the target is ignored or unknown.
        smoothing: label smoothing.
    """
    wanted = torch.from_numpy(targets).long().reshape(-1)
    total = F.cross_entropy(
        logits.reshape(len(wanted), -1),
        wanted.clamp(min=-1),
        ignore_index=-1,
        reduction="sum",
        label_smoothing=smoothing,
    )
    return total / max(1, int((wanted >= 0).sum()))


def soft_cross_entropy(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Cross entropy with the teacher's probabilities minus their entropy, times the squared temperature.

    Args:
        logits, teacher: (cases, classes).
        temperature: divisor of both; the squared factor preserves the size of the gradients.
    """
    target = F.log_softmax(teacher / temperature, dim=-1)
    predicted = F.log_softmax(logits / temperature, dim=-1)
    return F.kl_div(predicted, target, reduction="batchmean", log_target=True) * temperature**2
