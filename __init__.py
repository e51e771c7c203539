"""narrowgauge: tensor-train transformers from quantization-aware training to an FPGA engine.

Every level computes the same integers as the trained model. This package imports no large dependency; each sub-package
imports what it needs (only `narrowgauge.model` needs PyTorch). `predict` runs sentences through a build and needs numpy
only; its modules are imported at its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .deploy.predict import predict

__all__ = ["__version__", "predict"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "predict":
        from .deploy.predict import predict

        return predict
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
