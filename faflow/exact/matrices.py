"""Gradient flow of two linear layers on white inputs, from balanced weights."""

from typing import NamedTuple

import numpy as np

from ..nets import Task, matrix
from .given import faded, target, times

BALANCED = 1e-10
"""How far W₂ᵀW₂ - W₁W₁ᵀ may be from a multiple of I, relative to the weights squared."""

TINY = np.finfo(float).tiny

GROWTH = 100.0
"""Longest piece of time, in units of the time in which the fastest mode grows by e."""

PIECES = 10_000
"""Most pieces that are computed."""


class Products(NamedTuple):
    """What two layers do, and not how their hidden units are turned: of m inputs and n outputs.

    network: W₂W₁ (times, n, m).  inputs: W₁ᵀW₁ (times, m, m).  outputs: W₂W₂ᵀ (times, n, n).
    """

    network: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray


@np.errstate(all="ignore")  # what leaves the range of floats is found by its values
def gd_balanced(Y, w0, ts):
    """Gradient flow W₂W₁ → Y from weights with W₂ᵀW₂ - W₁W₁ᵀ = λI, which stays so.

    With R = (W₁ᵀ; W₂) and F = [[-λ/2 I, Yᵀ], [Y, λ/2 I]],

        dR/dt = FR - RRᵀR/2,   RRᵀ = e^{Ft}R₀ (I + R₀ᵀ (∫₀ᵗ e^{2Fτ} dτ) R₀)⁻¹ R₀ᵀe^{Ft}.

    RRᵀ holds W₂W₁ and what each layer makes of inputs and outputs; how the hidden units turn
    meanwhile has no such form.  At λ = 0 in Fukumizu (1998) and Braun, Dominé et al. (2022); with λ
    derived anew in this project.  The error is that of a start as far off as it is from balanced,
    at most 1e-10 of the weights' squared norm, which a saddle makes grow as the flow does; there
    are never more modes than hidden units.
    Y: (n, m), or a linear two-layer Task whose XXᵀ is a projector.  w0: W₁ (h, m), of such a task
        with rows in the range of X, as what no sample shows of W₁ stays, and W₂ (n, h).
    ts: (times,), at least 0, in any order, in units of 1/learning rate, up to 1e6/|F|.
    Returns `Products`.  Raises ValueError for what is not so.
    """
    task, Y, ts = Y, target(Y), times(ts)
    W1, W2 = _two_layers(w0, Y)
    if isinstance(task, Task):
        unseen = np.abs(W1 - W1 @ task.X @ task.X.T).max()
        if not unseen <= BALANCED * np.abs(W1).max():
            raise ValueError(
                f"This solution needs W₁ with rows in the range of X, but {unseen:.1e} of it is"
                " along inputs that no sample shows."
            )
    m, balance = len(W1.T), W2.T @ W2 - W1 @ W1.T
    kept = np.trace(balance) / len(balance)
    scale = max(np.linalg.norm(W1, 2), np.linalg.norm(W2, 2)) ** 2
    off = np.abs(balance - kept * np.eye(len(balance))).max()
    if not off <= BALANCED * scale:
        raise ValueError(
            f"This solution needs weights with W₂ᵀW₂ - W₁W₁ᵀ = λI, but that is {off:.1e} from a"
            " multiple of I."
        )
    F = np.block([[-kept / 2 * np.eye(m), Y.T], [Y, kept / 2 * np.eye(len(Y))]])
    rates, modes = np.linalg.eigh(F)
    longest = GROWTH / max(np.abs(rates).max(), TINY)
    if ts.max(initial=0) / longest > PIECES:
        raise ValueError(f"ts must be at most {PIECES * longest:.3g}, but is {ts.max():.3g}.")
    R, now = modes.T @ np.vstack([W1.T, W2]), 0.0
    P = np.empty((len(ts), *F.shape))
    for k in np.argsort(ts, kind="stable"):
        pieces = max(int(np.ceil((ts[k] - now) / longest)), int(ts[k] > now))
        for _ in range(pieces):
            R = _after(R, rates, (ts[k] - now) / pieces)
        now, turned = ts[k], modes @ R
        P[k] = turned @ turned.T
    return Products(P[:, m:, :m], P[:, :m, :m], P[:, m:, m:])


def _after(R, rates, t):
    """R(t), but for a turn of its columns, where F is diagonal.

    With J = (e^{2Ft} - I)/(2F) and Q₁ the upper part of the orthonormal factor of (J^½R; I), it is
    (2F/(I - e^{-2Ft}))^½ Q₁: rows that have grown apart are told apart by pivots.
    """
    from scipy.linalg import qr

    spread = faded(2 * np.abs(rates), t)
    grown = np.where(rates > 0, np.exp(np.maximum(rates, 0) * t), 1.0)
    stacked = np.vstack([(np.sqrt(spread) * grown)[:, None] * R, np.eye(R.shape[1])])
    order = np.argsort(-np.abs(stacked).max(1), kind="stable")
    Q = np.empty_like(stacked)
    Q[order] = qr(stacked[order], mode="economic", pivoting=True)[0]
    shrunk = np.where(rates < 0, np.exp(np.minimum(rates, 0) * t), 1.0)
    return (shrunk / np.sqrt(spread))[:, None] * Q[: len(R)]


def _two_layers(w0, Y):
    """The weights of two layers that fit Y."""
    if isinstance(w0, np.ndarray) or not hasattr(w0, "__len__") or len(w0) != 2:
        raise ValueError("w0 must be two matrices, W₁ and W₂.")
    W1, W2 = (matrix(W, f"w0[{k}]") for k, W in enumerate(w0))
    if W1.shape[1] != Y.shape[1] or W2.shape != (len(Y), len(W1)):
        raise ValueError(
            f"w0 must be (h, {Y.shape[1]}) and ({len(Y)}, h) for Y {Y.shape}, but is {W1.shape} and"
            f" {W2.shape}."
        )
    return W1, W2
