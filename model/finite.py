"""Numbers that are not finite: where they are found, and how they are told."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ..errors import UserError


class NotFiniteError(UserError):
    """A number of a model overflowed or is not a number: a training that diverged, or weights of one.

    Attributes:
        fact: what was found, a clause without advice; training adds its stage, its epoch and the option to change.
    """

    def __init__(self, fact: str) -> None:
        super().__init__(f"{fact}; train the model again with a lower learning rate.")
        self.fact = fact


def first_not_finite(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    """The name of the first tensor with a number that is infinite or none; None where all are finite."""
    return next((name for name, tensor in tensors if not torch.isfinite(tensor).all()), None)


def check_finite(tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Checks that every number of every tensor is finite.

    Raises:
        NotFiniteError: naming the first tensor at fault.
    """
    name = first_not_finite(tensors)
    if name is not None:
        raise NotFiniteError(f"{name} is not finite")
