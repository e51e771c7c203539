"""Bit-reproducible computation with PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def reproducible(threads: int | None) -> Iterator[None]:
    """Deterministic algorithms, the given number of threads and a separate random state; all are restored on exit."""
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    try:
        # Otherwise several threads sum the gradients of indexed cores in arbitrary order.
        torch.use_deterministic_algorithms(True)
        memory.fill_uninitialized_memory = False
        if threads is not None:
            torch.set_num_threads(threads)
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        memory.fill_uninitialized_memory = fill
        torch.set_num_threads(before[1])
