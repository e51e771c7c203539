"""Shapes and values of tensor trains: balanced modes, clipped ranks, initialization, TT-SVD.

Oseledets, *Tensor-Train Decomposition*, SIAM J. Sci. Comput. 33 (2011), algorithm 1, is TT-SVD.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import UserError


def balanced_modes(size: int, count: int) -> tuple[int, ...]:
    """`count` integers whose product is `size`, with the smallest sum; largest first. Some may be 1."""
    best: tuple[int, ...] | None = None

    def search(rest: int, left: int, limit: int, chosen: tuple[int, ...]) -> None:
        nonlocal best
        if left == 1:
            if rest <= limit and (best is None or sum(chosen) + rest < sum(best)):
                best = (*chosen, rest)
            return
        for mode in range(min(rest, limit), 0, -1):
            if rest % mode == 0 and mode**left >= rest:
                search(rest // mode, left - 1, mode, (*chosen, mode))

    search(size, count, size, ())
    assert best is not None, "the modes (size, 1, .., 1) always fit"
    return best


def padded_modes(size: int, count: int) -> tuple[int, ...]:
    """`count` nearly equal integers whose product is at least `size`, as small as possible; largest first."""
    base = max(1, math.floor(size ** (1 / count)))
    options = itertools.combinations_with_replacement(range(base, base + 3), count)
    fitting = [modes for modes in options if math.prod(modes) >= size]
    return tuple(sorted(min(fitting, key=lambda modes: (math.prod(modes), max(modes))), reverse=True))


def check_modes(modes: Sequence[int], size: int, what: str, *, padded: bool = False) -> tuple[int, ...]:
    """`modes`, if their product is `size` (at least `size`, where padded).

    Raises:
        UserError: their product is wrong.
    """
    product = math.prod(modes)
    fits = product >= size if padded else product == size
    if not modes or min(modes) < 1 or not fits:
        relation = "reach" if padded else "be"
        raise UserError(
            f"the product of the modes {tuple(modes)} of {what} must {relation} {size}, got {product}; correct them."
        )
    return tuple(modes)


def clip_ranks(
    modes: Sequence[int], rank: int | Sequence[int], what: str = "the tensor train"
) -> tuple[int, ...]:
    """Ranks (1, r1, .., 1) of a tensor train over `modes`, clipped to the limits of the unfoldings.

    Args:
        modes: number of elements of each core per pair of ranks.
        rank: one for all inner bonds, or one for each.
        what: the name of the layer, for the error.

    Raises:
        UserError: a list with the wrong length, or a rank below 1.
    """
    bonds = len(modes) - 1
    wanted = [rank] * bonds if isinstance(rank, int) else list(rank)
    if len(wanted) != bonds or any(r < 1 for r in wanted):
        raise UserError(f"{what} must have {bonds} ranks of at least 1, one per inner bond, got {wanted}.")
    left, right = [], []
    for bond in range(1, bonds + 1):
        left.append(math.prod(modes[:bond]))
        right.append(math.prod(modes[bond:]))
    return (1, *(min(r, a, b) for r, a, b in zip(wanted, left, right, strict=True)), 1)


def random_cores(shapes: Sequence[tuple[int, ...]], variance: float) -> list[Tensor]:
    """Random cores whose contraction has entries with mean 0 and the given mean variance.

    Up to scale, cores left of the middle have orthonormal columns and cores right of it orthonormal rows (as matrices
    that split off the right or the left rank). With an odd number of cores, the middle one is Gaussian. All singular
    values of a layer's weight therefore start equal. A product of Gaussian cores would have a few large ones and
    would learn only through those.

    Args:
        shapes: (r[k-1], ..modes.., r[k]) of each core, or those of the two matrices of a low-rank product.
        variance: mean square of the entries of the contraction.
    """
    count, half = len(shapes), len(shapes) // 2
    cores = []
    for k, shape in enumerate(shapes):
        core = torch.randn(shape)
        if k < half:
            core = _orthonormal(core.reshape(-1, shape[-1])).reshape(shape)
        elif k >= count - half:
            core = _orthonormal(core.reshape(shape[0], -1).T).T.reshape(shape)
        cores.append(core)
    # With orthonormal sides the norm of the contraction is that of the middle: of a Gaussian core, or of an identity.
    middle = float(cores[half].square().sum()) if count % 2 else float(shapes[half][0])
    entries = (
        math.prod(math.prod(shape) for shape in shapes) / math.prod(shape[-1] for shape in shapes[:-1]) ** 2
    )
    scale = (variance * entries / middle) ** (1 / (2 * count))
    return [core * scale for core in cores]


def _orthonormal(matrix: Tensor) -> Tensor:
    """A random matrix with orthonormal columns, or with orthonormal rows if it has fewer rows than columns."""
    if matrix.shape[0] < matrix.shape[1]:
        return _orthonormal(matrix.T).T
    q, r = torch.linalg.qr(matrix)
    # Signs that make the distribution uniform (Mezzadri, arXiv math-ph/0609050).
    return q * torch.sign(torch.diagonal(r))


def tt_svd(
    tensor: Tensor, rank: int | Sequence[int] | None = None, error: float | None = None
) -> list[Tensor]:
    """A tensor as a tensor train, cores of shape (r[k-1], mode, r[k]).

    Args:
        tensor: of order 1 or higher.
        rank: largest rank, one for all bonds or one per bond.
        error: bound on the Frobenius norm of the difference, relative to the tensor's. Exactly one of `rank` and
            `error` must be given.
    """
    if (rank is None) == (error is None):
        raise UserError("a tensor-train decomposition needs either a rank or an error bound.")
    modes = tensor.shape
    order = len(modes)
    limits = clip_ranks(modes, rank if rank is not None else max(1, tensor.numel()))
    # The errors of the order-1 truncations add in squares (Oseledets, theorem 2.2).
    budget = 0.0
    if error is not None:
        budget = error * float(torch.linalg.vector_norm(tensor.double())) / math.sqrt(max(1, order - 1))
    cores, rest, left = [], tensor.double(), 1
    for k in range(order - 1):
        u, s, vh = torch.linalg.svd(rest.reshape(left * modes[k], -1), full_matrices=False)
        keep = min(limits[k + 1], s.numel())
        if error is not None:
            tail = torch.flip(torch.cumsum(torch.flip(s * s, (0,)), 0), (0,)).sqrt()
            keep = max(1, int((tail > budget).sum()))
        cores.append(u[:, :keep].reshape(left, modes[k], keep))
        rest, left = s[:keep, None] * vh[:keep], keep
    cores.append(rest.reshape(left, modes[-1], 1))
    return [core.to(tensor.dtype) for core in balance(cores)]


def balance(cores: Sequence[Tensor]) -> list[Tensor]:
    """The same train with cores of equal Frobenius norm, as required by one scale per core."""
    norms = [float(torch.linalg.vector_norm(core)) for core in cores]
    if min(norms) == 0.0:
        return list(cores)
    mean = math.exp(sum(math.log(norm) for norm in norms) / len(norms))
    return [core * (mean / norm) for core, norm in zip(cores, norms, strict=True)]


def tt_to_dense(cores: Sequence[Tensor]) -> Tensor:
    """The tensor of a train with cores (r[k-1], ..modes.., r[k]), with the modes in the order of the cores."""
    result = cores[0]
    for core in cores[1:]:
        result = torch.tensordot(result, core, dims=([result.dim() - 1], [0]))
    return result.squeeze(0).squeeze(-1)
