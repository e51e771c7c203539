"""The number of threads of a command: one limit for BLAS, PyTorch, onnxruntime and the golden model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cache
from typing import Any

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_allowed: int | None = None


def thread_count() -> int:
    """The threads that a computation may use: the limit of `limited_threads`, or the number of cores."""
    return _allowed or os.cpu_count() or 1


@contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """Limits the threads of all computations of this process within the context; None sets no limit.

    Libraries that are loaded already are limited by threadpoolctl where it is installed; those that are loaded later
    (PyTorch) read the limit from the environment; the golden model and onnxruntime ask `thread_count`.
    """
    global _allowed
    if count is None:
        yield
        return
    before, variables = _allowed, {name: os.environ.get(name) for name in _VARIABLES}
    _allowed = count
    os.environ.update(dict.fromkeys(_VARIABLES, str(count)))
    try:
        with ExitStack() as stack:
            try:
                from threadpoolctl import threadpool_limits
            except ModuleNotFoundError:
                # The program simulator, which needs numpy alone, has products too small for threads.
                pass
            else:
                stack.enter_context(threadpool_limits(count))
            yield
    finally:
        _allowed = before
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def one_blas_thread() -> AbstractContextManager[object]:
    """Limits BLAS to one thread within the context, if threadpoolctl is installed."""
    controller = _controller()
    return nullcontext() if controller is None else controller.limit(limits=1, user_api="blas")


@cache
def _controller() -> Any:
    """The loaded BLAS libraries, including numpy's; None without threadpoolctl."""
    try:
        from threadpoolctl import ThreadpoolController
    except ModuleNotFoundError:
        return None
    return ThreadpoolController()
