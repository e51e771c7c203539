"""Initial weights from a trained teacher of the same sizes, by TT-SVD. Its soft targets are in `losses`."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .config import EmbeddingConfig
from .embedding import DenseEmbedding, TTMEmbedding
from .factorize import tt_svd
from .finite import check_finite
from .linear import QuantLinear, TTLinear
from .transformer import Transformer


@torch.no_grad()
def inherit(student: Transformer, teacher: Transformer) -> bool:
    """Copies the weights of `teacher` to `student`, converting each layer to the student's format and ranks.

    Tensor trains are computed by TT-SVD and low-rank factors by singular value decomposition; the rest is copied.

    Returns:
        True if the weights were copied, False if the models differ in size.

    Raises:
        NotFiniteError: the dense weight of a layer of the teacher overflows.
    """
    ours, theirs = student.config, teacher.config
    sizes = ("dim", "layers", "heads", "ffn", "vocab_size", "labels", "tags", "segments", "activation")
    if any(getattr(ours, size) != getattr(theirs, size) for size in sizes):
        return False
    sources = dict(teacher.named_modules())
    taken: set[int] = set()
    for name, module in student.named_modules():
        source = sources.get(name)
        if isinstance(module, QuantLinear) and isinstance(source, QuantLinear):
            _inherit_linear(module, source, _dense(name, source))
        elif isinstance(module, TTMEmbedding):
            assert isinstance(source, TTMEmbedding | DenseEmbedding)
            table = source.weight if isinstance(source, DenseEmbedding) else _dense(name, source)
            _set(module.cores, TTMEmbedding.from_dense(table, _ttm_config(module)).cores)
        elif isinstance(module, DenseEmbedding) and isinstance(source, TTMEmbedding):
            module.weight.copy_(_dense(name, source))
        else:
            continue
        taken.update(id(parameter) for parameter in module.parameters())
    ends = dict(teacher.named_parameters())
    for name, parameter in student.named_parameters():
        if id(parameter) not in taken and not name.endswith("log2_t"):
            # The student may have fewer positions.
            parameter.copy_(ends[name][: len(parameter)])
    return True


def _dense(name: str, source: QuantLinear | TTMEmbedding) -> Tensor:
    """The dense weight of a layer, the product of its cores."""
    weight = source.to_dense()
    check_finite([(f"the weight of {name}", weight)])
    return weight


def _inherit_linear(module: QuantLinear, source: QuantLinear, weight: Tensor) -> None:
    if isinstance(module, TTLinear):
        modes = [core.shape[1] for core in module.cores]
        ranks = [core.shape[2] for core in list(module.cores)[:-1]]
        _set(module.cores, tt_svd(weight.reshape(modes), ranks))
    elif module.kind == "lowrank":
        u, s, vh = torch.linalg.svd(weight, full_matrices=False)
        rank, root = module.cores[0].shape[1], s.sqrt()
        _set(module.cores, [u[:, :rank] * root[:rank], root[:rank, None] * vh[:rank]])
    else:
        _set(module.cores, [weight])
    if module.bias is not None and source.bias is not None:
        module.bias.copy_(source.bias)


def _ttm_config(module: TTMEmbedding) -> EmbeddingConfig:
    ranks = tuple(core.shape[3] for core in list(module.cores)[:-1])
    return EmbeddingConfig(rank=ranks, vocab_modes=module.vocab_modes, dim_modes=module.dim_modes)


def _set(parameters: nn.ParameterList, values: Iterable[Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value.reshape(parameter.shape))
