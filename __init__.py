"""narrowgauge: tensor-train transformers from quantization-aware training to an FPGA engine.

Every level computes the same integers as the trained model. This package imports no large dependency; each sub-package
imports what it needs (only `narrowgauge.model` needs PyTorch).
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
