"""Forward and backward of one training step: dense float, tensor train float, tensor train quantization-aware.

`paper-2enc` with 32 sentences of 32 tokens, and a single 768 x 768 layer with quantized input and 1,024 tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from common import THREADS, corpus_sentences, medians, report

from narrowgauge.model.config import LinearConfig
from narrowgauge.model.linear import TTLinear
from narrowgauge.model.quantizer import Mode, Quantizer, calibrate, set_mode
from narrowgauge.model.transformer import Transformer
from narrowgauge.model.untrained import quantized

BATCH, LENGTH, SIZE = 32, 32, 768


def model_step(model: Transformer, ids: torch.Tensor) -> Callable[[], None]:
    """One forward and backward pass, with a simplified training loss."""
    lengths = torch.full((len(ids),), ids.shape[1])
    model.train()

    def step() -> None:
        logits = model(ids, lengths)
        sum(value.logsumexp(-1).mean() for value in logits.values()).backward()
        model.zero_grad()

    return step


def layer_step(layer: torch.nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """Forward and backward pass of one layer, including the gradient of the input."""
    layer.train()
    gradient = torch.randn(*x.shape[:-1], SIZE)

    def step() -> None:
        x.grad = None
        layer(x).backward(gradient)
        layer.zero_grad()

    return step


def quantized_layer() -> torch.nn.Module:
    """A tensor-train layer with quantized input, cores, intermediates and output."""
    source = Quantizer(8)
    config = LinearConfig(rank=12, out_modes=(12, 8, 8), in_modes=(8, 8, 12))
    layer = torch.nn.Sequential(source, TTLinear(SIZE, SIZE, config, source=source))
    set_mode(layer, Mode.CALIBRATE)
    layer(torch.randn(64, SIZE))
    calibrate(layer, "max")
    set_mode(layer, Mode.QUANTIZED)
    return layer


def main() -> None:
    """Prints both tables."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    _, config, sentences = corpus_sentences()
    ids = torch.randint(4, config.vocab_size, (BATCH, LENGTH))
    steps = {
        "dense float": model_step(Transformer(config.with_kind("dense")), ids),
        "TT float": model_step(Transformer(config), ids),
        "TT quantization-aware": model_step(quantized(config, sentences), ids),
    }
    report("paper-2enc, a training step of 32 x 32 tokens", medians(steps, 9), "dense float")

    x = torch.randn(BATCH, LENGTH, SIZE, requires_grad=True)
    layers = {
        "dense float": layer_step(torch.nn.Linear(SIZE, SIZE), x),
        "TT quantization-aware": layer_step(quantized_layer(), x),
    }
    report("one 768 x 768 layer, 1,024 tokens", medians(layers, 31), "dense float")


if __name__ == "__main__":
    main()
