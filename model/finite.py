"""Detection and reporting of values that are not finite."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ..errors import UserError


class NotFiniteError(UserError):
    """A value of a model is infinite or NaN: training diverged, or its weights come from such a training.

    Attributes:
        fact: the problem, a clause without advice. Training adds its stage, its epoch and the option to change.
    """

    def __init__(self, fact: str) -> None:
        super().__init__(f"{fact}; train the model again with a lower learning rate.")
        self.fact = fact


def first_not_finite(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    """The name of the first tensor with an infinite or NaN element, or None."""
    return next((name for name, tensor in tensors if not torch.isfinite(tensor).all()), None)


def check_finite(tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Checks that every element of every tensor is finite.

    Raises:
        NotFiniteError: an element is not finite; the message names the first such tensor.
    """
    name = first_not_finite(tensors)
    if name is not None:
        raise NotFiniteError(f"{name} is not finite")
