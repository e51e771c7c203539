"""narrowgauge: tensor-train transformers from quantization-aware training to an FPGA engine.

Every level computes the same integers as the trained model. This package imports no large dependency; each sub-package
imports what it needs (only `narrowgauge.model` needs PyTorch). `load` gives a build on one of the levels or on a board,
`predict` runs sentences through a build by the program simulator. Both need numpy only; their modules are imported at
first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .deploy.model import load
    from .deploy.predict import predict

__all__ = ["__version__", "load", "predict"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "load":
        from .deploy.model import load

        return load
    if name == "predict":
        from .deploy.predict import predict

        return predict
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
