"""Feedback alignment of two linear layers on white inputs, from an upper layer along its modes."""

from fractions import Fraction

import numpy as np

from ..nets import matrix
from .given import times
from .line import exactly, flow_on_the_line
from .white import assembled, modes_of, problem

COMMUTING = 1e-10
"""How far products may be from symmetric and from commuting, relative to their factors."""


def fa_from_commuting(Y, C, W2, ts):
    """Feedback alignment W₂W₁ → Y from W₁ = 0, where CW₂ is symmetric and commutes with CY(CY)ᵀ.

    With CY = P diag(d) Rᵀ, CW₂P = P diag(q) at the start, g(w) = d - qw - w³/2 and

        dw/dt = g(w),   z = (q + w²/2)/d,   x = e^{-∫w²dt} = (g(w)/d)^⅔ e^{2qt/3},

    W₁ = P diag(w) Rᵀ and W₂ = W₂(0)(I - P diag(1 - x) Pᵀ) + YR diag(z - qx/d) Pᵀ.  So from zero,
    where it is `fa_from_zero`; from W₂ = αCᵀ if the rows of C are orthonormal; from
    W₂ = αY(CY)ᵀ.  Derived in this project.  The error is that of matrices rounded to their last
    digits, which grows as e^{|q|t} along eigenvectors of CW₂ with q < 0 that CY does not reach.
    Y: (n, m), or a linear two-layer Task whose XXᵀ is a projector.  C: (r, n), the feedback
    ``B[0]``.  W2: (n, r).  ts: (times,), at least 0, in any order, in units of 1/learning rate.
    Returns W₁ (times, r, m) and W₂ (times, n, r).  Raises ValueError for what is not so.
    """
    import flint

    Y, C = problem(Y, C)
    W2, ts = matrix(W2, "W2"), times(ts)
    P, d, R, q = _joint(Y, C, W2)
    w, logs = np.empty((2, len(ts), len(d)))
    for k in range(len(d)):
        one, kept = exactly(Fraction(d[k])), exactly(Fraction(q[k]))
        g = flint.fmpq_poly([one, -kept, 0, flint.fmpq(-1, 2)])

        def share(w, spent, g=g, one=one, kept=kept):
            moved, since = spent()
            learned = flint.arb_poly(g)(w) / one
            return [w, (learned.log() + kept * moved) * 2 / 3 - w * w * since]

        w[:, k], logs[:, k] = flow_on_the_line(g, flint.fmpq(0), ts, share)
    gone = -np.expm1(logs)  # 1 - x
    W1, moved = assembled(Y, P, R, w, (q * gone + w**2 / 2) / d)
    return W1, W2 - (W2 @ P * gone[:, None]) @ P.T + moved


def _joint(Y, C, W2):
    """P, d, R and q, in a basis of common eigenvectors."""
    if W2.shape != C.T.shape:
        raise ValueError(f"W2 must be {C.T.shape} for C {C.shape}, but is {W2.shape}.")
    seen = C @ W2
    small = COMMUTING * np.linalg.norm(C, 2) * np.linalg.norm(W2, 2)
    if not np.abs(seen - seen.T).max() <= small:
        raise ValueError("CW₂ must be symmetric at the start, but is not.")
    P, d, R = modes_of(Y, C)
    inner = P.T @ seen @ P
    off = np.abs(seen @ P - P @ inner).max(initial=0)  # what leaves the space of the modes
    edges = np.flatnonzero(np.diff(d) < -COMMUTING * d[:-1]) + 1
    for equal in np.split(np.arange(len(d)), edges):  # their vectors are then those of CW₂
        turn = np.linalg.eigh(inner[np.ix_(equal, equal)])[1]
        P[:, equal], R[:, equal] = P[:, equal] @ turn, R[:, equal] @ turn
    inner = P.T @ seen @ P
    q = inner.diagonal()
    if not max(off, np.abs(inner - np.diag(q)).max(initial=0)) <= small:
        raise ValueError("CW₂ must commute with CY(CY)ᵀ at the start, but does not.")
    return P, d, R, q
