"""Feedback alignment of deep linear networks on white inputs, from zero weights."""

import numpy as np

from ..nets import matrix
from .chains import DEEPEST, fa_chain
from .given import target, times

ORTHOGONAL = 1e-10
"""How far BᵀB may be from a multiple of I, relative to it."""


def fa_orthogonal_from_zero(Y, B, ts):
    """Feedback alignment W_L ··· W₁ → Y from zero weights, through B_kᵀB_k = β_k² I, at any depth.

    With Y = U diag(s) Vᵀ, Q_L = U and Q_{k-1} = B_k Q_k/β_k, whose columns are orthonormal,

        W₁ = Q₁ diag(w₁) Vᵀ,   W_k = Q_k diag(w_k) Q_{k-1}ᵀ:

    each singular value is learned by a chain of its own, `fa_chain` from zero with target s and
    feedback β₂, …, β_L.  Derived in this project.
    Y: (n, m), or a linear Task whose XXᵀ is a projector.  B: the feedback, L - 1 matrices: ``B[k]``
    (width of hidden layer k, width above).  ts: (times,), at least 0, in any order, in units of
    1/learning rate.  Returns W₁, …, W_L, each (times, rows, columns).
    Raises ValueError for what is not so.
    """
    Y, ts = target(Y), times(ts)
    B, scales = _orthogonal(B, len(Y))
    U, s, Vt = np.linalg.svd(Y, full_matrices=False)
    columns = [U]
    for M, scale in zip(reversed(B), reversed(scales), strict=True):
        columns.insert(0, M @ columns[0] / scale)
    zero = [0.0] * (len(B) + 1)
    modes = [fa_chain(one, scales, zero, ts) for one in s]
    sides = [Vt, *(Q.T for Q in columns[:-1])]
    paths = zip(*modes, strict=True)  # layer by layer: (times, 1, 1) of each mode
    return tuple(
        (Q * np.concatenate(path, axis=2)) @ side
        for Q, side, path in zip(columns, sides, paths, strict=True)
    )


def _orthogonal(B, outputs):
    """The feedback of each layer and its scale, checked."""
    if isinstance(B, np.ndarray) or not hasattr(B, "__len__") or not 0 < len(B) < DEEPEST:
        raise ValueError(f"B must be one to {DEEPEST - 1} matrices, one for each hidden layer.")
    B, scales = [matrix(M, f"B[{k}]") for k, M in enumerate(B)], []
    for k, M in enumerate(B):
        above = B[k + 1].shape[0] if k + 1 < len(B) else outputs
        if M.shape[1] != above:
            raise ValueError(f"B[{k}] must have {above} columns, the units above, not {M.shape}.")
        square = M.T @ M
        scales.append(float(np.sqrt(np.trace(square) / above)))
        off = np.abs(square - scales[-1] ** 2 * np.eye(above)).max()
        if not off <= ORTHOGONAL * scales[-1] ** 2 or not scales[-1]:
            raise ValueError(
                f"B[{k}] must have orthogonal columns of one length other than 0, BᵀB = β²I, but"
                f" BᵀB is {off:.1e} from {scales[-1] ** 2:.3g} I."
            )
    return B, scales
