"""narrowgauge: tensor-train transformers from quantization-aware training to a running FPGA board.

The integers that the model was trained with are the integers that every later level computes. Nothing heavy
is imported here: each sub-package takes what it needs (only `narrowgauge.model` needs PyTorch).
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
