"""Feedback alignment of two linear layers on white inputs, from zero weights.

It splits into scalar modes.  Let
CY = P diag(d) Rᵀ with d > 0; then

    W₁ = P diag(w) Rᵀ,   W₂ = Y R diag(z) Pᵀ,   dw/dt = d (1 - zw),   dz/dt = w (1 - zw),

so that z = w²/(2d), and w = (2d)^⅓ u with du/dt = κ (1 - u³), κ = (d²/2)^⅓.  Derived in this
project.
"""

from numbers import Integral
from typing import NamedTuple

import numpy as np

from ..nets import matrix
from .given import number, target, times

SYMMETRIC = 1e-10
"""How far a covariance may be from symmetric, relative to its largest entry."""

EXTREME = 1e290
"""Size of products from which on sums of them are no floats, and below which they lose digits."""


class Modes(NamedTuple):
    """The modes of feedback alignment from zero weights, the fastest first, each (modes,).

    d: singular values of CY.  kappa: 1/time of each mode, (d²/2)^⅓.
    rates: 3 kappa, at which its share of the error goes to zero in the end.
    half_times: when half of it is learned, u³ = ½.
    """

    d: np.ndarray
    kappa: np.ndarray
    rates: np.ndarray
    half_times: np.ndarray


def fa_from_zero(Y, C, ts):
    """Feedback alignment W₂W₁ → Y from W₁ = W₂ = 0, at any sizes, feedback and rank of Y.

    Y: (n, m), or a linear two-layer Task whose XXᵀ is a projector: the identity, or orthonormal
        samples.  C: (r, n), the feedback ``B[0]``.  ts: (times,), at least 0, in any order.
    Returns W₁ (times, r, m) and W₂ (times, n, r).
    """
    Y, C = problem(Y, C)
    P, d, R = modes_of(Y, C)
    with np.errstate(over="ignore"):  # all is learned by then
        u = _learned(times(ts)[:, None] * _kappa(d))
    return assembled(Y, P, R, np.cbrt(2 * d) * u, u**2 / np.cbrt(2 * d))


def discrete_fa_from_zero(Y, C, eta, steps):
    """`fa_from_zero` for simultaneous steps of any size `eta`: the start and every step.

    The modes stay apart: w ← w + ηd(1 - zw), z ← z + ηw(1 - zw).
    Returns W₁ (steps + 1, r, m) and W₂ (steps + 1, n, r).
    Raises RuntimeError when a mode overflows.
    """
    Y, C = problem(Y, C)
    eta = number(eta, "eta")
    if not eta > 0:
        raise ValueError(f"eta must be a positive number, but is {eta!r}.")
    if not isinstance(steps, Integral) or isinstance(steps, bool) or steps < 0:
        raise ValueError(f"steps must be a non-negative integer, but is {steps!r:.60}.")
    P, d, R = modes_of(Y, C)
    w = z = np.zeros_like(d)
    path = [(w, z)]
    with np.errstate(all="ignore"):  # an overflow is found by its values
        for n in range(1, int(steps) + 1):
            left = 1 - z * w
            w, z = w + eta * d * left, z + eta * w * left
            if not (np.isfinite(w).all() and np.isfinite(z).all()):
                raise RuntimeError(f"A mode overflows at step {n}: eta = {eta:g} is too large.")
            path.append((w, z))
    return assembled(Y, P, R, *map(np.array, zip(*path, strict=True)))


def fa_limit(Y, C, covariance=None):
    """Y S Rᵀ(R S Rᵀ)⁻¹R, (n, m): what W₂W₁ tends to from zero weights.

    The rows of R are a basis of the row space of CY; CY itself is one if of full row rank.  With
    white inputs, S = I, it is Y projected on that space.  From any weights if CY has full row
    rank: C then reads a random sketch of Y.  Derived in this project.
    covariance: S, (m, m), positive definite; Y is then the regression matrix of the data.
    """
    Y, C = problem(Y, C)
    R = modes_of(Y, C)[2].T
    if covariance is None:
        return Y @ R.T @ R
    S = matrix(covariance, "covariance")
    if S.shape != (Y.shape[1],) * 2:
        raise ValueError(f"covariance must be {(Y.shape[1],) * 2} for Y {Y.shape}, not {S.shape}.")
    alike = np.abs(S - S.T).max() <= SYMMETRIC * np.abs(S).max()
    if not (alike and np.linalg.eigvalsh(S)[0] > 0):
        raise ValueError("covariance must be symmetric and positive definite.")
    return Y @ S @ R.T @ np.linalg.solve(R @ S @ R.T, R)


def fa_limit_weights(Y, C):
    """W₁ = P diag((2d)^⅓) Rᵀ, (r, m), and W₂ = YR diag((2d)^-⅓) Pᵀ, (n, r): the limits from zero.

    If C has full column rank and Y full row rank, W₂ is a multiple of C⁺ if and only if all d are
    the same; Lillicrap et al. (2016) speak of a pseudo-inverse.  Derived in this project.
    """
    Y, C = problem(Y, C)
    P, d, R = modes_of(Y, C)
    first, last = assembled(Y, P, R, np.cbrt(2 * d)[None], 1 / np.cbrt(2 * d)[None])
    return first[0], last[0]


def fa_modes(Y, C):
    """The `Modes` of feedback alignment from zero weights: how fast each part of Y is learned."""
    d = modes_of(*problem(Y, C))[1]
    kappa = _kappa(d)
    half = _time(-np.log1p(-np.cbrt(0.5)))
    return Modes(d, kappa, 3 * kappa, half / kappa)


def problem(Y, C):
    """The matrix to factor and the feedback, checked."""
    Y, C = target(Y), matrix(C, "C")
    if C.shape[1] != len(Y):
        raise ValueError(f"C must have {len(Y)} columns, the rows of Y {Y.shape}, not {C.shape}.")
    sizes = [float(np.abs(M).max()) for M in (Y, C)]
    product = sizes[0] * sizes[1]
    if all(sizes) and not 1 / EXTREME < product < EXTREME:
        raise ValueError(
            f"Y and C have {sizes[0]:.3g} and {sizes[1]:.3g} as their largest entries, whose"
            " products would leave the range of floats; rescale the problem."
        )
    return Y, C


def modes_of(Y, C):
    """P, d, R of CY = P diag(d) Rᵀ, without the modes that are rounding errors of the product."""
    P, d, Rt = np.linalg.svd(C @ Y, full_matrices=False)
    rounding = np.finfo(float).eps * max(C.shape + Y.shape)
    kept = d > rounding * np.linalg.norm(C, 2) * np.linalg.norm(Y, 2)
    return P[:, kept], d[kept], Rt[kept].T


def assembled(Y, P, R, w, z):
    return (P * w[:, None]) @ R.T, (Y @ R * z[:, None]) @ P.T


def _kappa(d):
    return np.cbrt(d) ** 2 / np.cbrt(2)  # d² itself could underflow


def _time(q):
    """∫ du/(1 - u³) from 0 to u = 1 - exp(-q), without cancellation at either end."""
    u = -np.expm1(-q)
    angle = np.arctan(np.sqrt(3) * u / (2 + u))
    return q / 3 + np.log1p(u + u**2) / 6 + angle / np.sqrt(3)


def _learned(s):
    """u(s) with du/ds = 1 - u³ and u(0) = 0, by Newton's method for q = -log(1 - u).

    s(q) is increasing and concave, its slope 1/(1 + u + u²) between ⅓ and 1, so that iterates
    from below never overshoot.
    """
    end = np.log(3) / 6 + np.pi / np.sqrt(108)
    s = np.minimum(s, 1e4)  # where u is 1 to the last digit
    q = np.maximum(s, 3 * (s - end))  # s(q) is below q and below q/3 + end
    for _ in range(6):  # five reach the last digit for every s in [1e-300, 1e4]
        u = -np.expm1(-q)
        q = q + (s - _time(q)) * (1 + u + u**2)
    return -np.expm1(-q)
