"""The limit p → ∞ of linear networks under a penalty: alignment and error in slow time."""

from numbers import Real
from typing import NamedTuple

import numpy as np

from ..nets import matrix
from .network import piecewise, row


class Alignment(NamedTuple):
    """The limit p → ∞ at each time: σ, the cosine of b and beta, and the error over |y|."""

    sigma: np.ndarray
    cosine: np.ndarray
    error: np.ndarray


def alignment_law(penalty, tau):
    """What alignment and error tend to as p → ∞, for orthonormal samples, at t = τ√p/|y|.

    (1 + λ)σ + σ³/3 = λτ, cosine = σ/√(1 + σ²), |e|/|y| = λ/(1 + λ + σ²); for a penalty piecewise
    in τ each piece goes on from the σ of the last, dσ/dτ = λ/(1 + λ + σ²).  Without penalty σ
    stays and the error is 0 in the limit.  Derived in this project.

    penalty: a number of at least 0, or a `Piecewise` in τ.  tau: (times,), at least 0.
    Returns `Alignment`, each (times,).
    """
    schedule, tau = piecewise(penalty), _slow_times(tau)
    if any(v < 0 for v in schedule.values) or any(t <= 0 for t in schedule.times):
        raise ValueError(f"The law needs penalties of at least 0, from time 0 on, not {penalty}.")
    sigma, lam, grown = np.zeros(tau.shape), np.zeros(tau.shape), 0.0
    for start, stop, now in zip(
        (0.0, *schedule.times), (*schedule.times, np.inf), schedule.values, strict=True
    ):
        reached = lambda tau, s=grown, a=1 + now, v=now, t0=start: _cubic(
            a, a * s + s**3 / 3 + v * (tau - t0)
        )
        inside = (tau >= start) & (tau < stop)
        sigma[inside], lam[inside] = reached(tau[inside]), now
        if np.isfinite(stop):
            grown = float(reached(np.array([stop]))[0])
    return Alignment(sigma, sigma / np.sqrt(1 + sigma**2), lam / (1 + lam + sigma**2))


def alignment_path(X, y, penalty, tau):
    """`alignment_law` for any data, by an ODE of n variables: u = XᵀXs/√p, s = ∫e dt, moves by

    du/dτ = XᵀXe/|y|,  e = -λ(λ + XᵀX + uuᵀ)⁻¹y,  and σ = u·e/√(e·XᵀXe).

    X: (d, n), one sample a column; y: (n,), not zero.  penalty: λ > 0, constant.
    tau: (times,), at least 0, in units of √p/|y|.  Returns `Alignment`, each (times,).
    """
    from scipy.integrate import solve_ivp

    X, y, tau = matrix(X, "X"), row(y, "y")[0], _slow_times(tau)
    gram, n, size = X.T @ X, X.shape[1], np.linalg.norm(y)
    if y.shape != (n,) or not np.linalg.norm(X @ y) > 0:
        raise ValueError(f"y must have an entry for each of {n} samples, and not Xy = 0.")
    if not (isinstance(penalty, Real) and 0 < penalty < np.inf):
        raise ValueError(f"The path needs a constant penalty above 0, not {penalty!r}.")
    error = lambda u: -penalty * np.linalg.solve(penalty * np.eye(n) + gram + np.outer(u, u), y)
    move = lambda t, u: gram @ error(u) / size
    times, order = np.unique(tau, return_inverse=True)
    ends = (0.0, max(times[-1], 1.0))
    made = solve_ivp(move, ends, np.zeros(n), "DOP853", times, rtol=1e-10, atol=1e-12)
    us = made.y.T[order]
    es = np.array([error(u) for u in us])
    sigma = (us * es).sum(1) / np.sqrt(((es @ gram) * es).sum(1))
    return Alignment(sigma, sigma / np.sqrt(1 + sigma**2), np.linalg.norm(es, axis=1) / size)


def _cubic(a, c):
    """The real σ with aσ + σ³/3 = c, for a > 0."""
    return 2 * np.sqrt(a) * np.sinh(np.arcsinh(3 * c / (2 * a**1.5)) / 3)


def late_error(penalty, tau):
    """λ(3λτ)^(-2/3), what |e|/|y| becomes under a constant penalty λ as τ = t|y|/√p > 0 grows.

    Derived in this project.  penalty: above 0.  tau: (times,).
    """
    tau = _slow_times(tau)
    if not (tau > 0).all() or not (isinstance(penalty, Real) and 0 < penalty < np.inf):
        raise ValueError(f"The late error needs times and a penalty above 0, not {penalty!r}.")
    return penalty * np.cbrt(3 * penalty * tau) ** -2


def _slow_times(tau):
    tau = np.asarray(tau, dtype=float)
    if tau.ndim != 1 or not (np.isfinite(tau) & (tau >= 0)).all():
        raise ValueError(f"tau must be a sequence of finite times of at least 0, not {tau!r:.60}.")
    return tau
