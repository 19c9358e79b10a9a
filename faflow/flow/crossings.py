"""Where a step first leaves the smooth piece that it was taken in."""

from typing import NamedTuple

import numpy as np

TOUCH = 1e-13
"""How near to zero a pre-activation counts as zero, relative to |row of W| · |input|."""


class Ends(NamedTuple):
    """What is known at one end of a step: the time, z and dz/dt, the shares and what counts as 0."""

    t: float
    z: np.ndarray
    rates: np.ndarray
    shares: np.ndarray
    tiny: np.ndarray


class Exit(NamedTuple):
    """The first time at which an entry leaves its piece; `stuck` if at the start of the step."""

    t: float
    entry: int
    stuck: bool = False


def ends(piece, t, w, v):
    """What is known at a state `w` that moves by `v`."""
    rates = piece.rates(w, v)
    return Ends(t, piece.flat(piece.hidden), rates, piece.shares(), TOUCH * piece.sizes(w))


def gaps(piece, z, shares):
    """How far each entry is from leaving: ±z, or its share's distance from 0 and 1."""
    return np.where(piece.side != 0, piece.side * z, np.minimum(shares, 1 - shares))


def slack(piece, tiny):
    return np.where(piece.side != 0, tiny, 1e-9)


def first_exit(piece, start, end, look):
    """The first `Exit` of a step between two `Ends`; None if it stays in its piece.

    look: the gaps at a time inside the step.  What goes out and returns within the step is looked
    for where the cubic through both ends dips below zero.
    """
    allowed = slack(piece, np.maximum(start.tiny, end.tiny))
    before = gaps(piece, start.z, start.shares)
    after = gaps(piece, end.z, end.shares)
    b = end.t
    if not (after < -allowed).any():
        dips = _dips(piece, start, end)
        for t in dips[:8]:
            after, b = look(t), t
            if (after < -allowed).any():
                break
        else:
            return None
    for _ in range(50):
        bad = np.flatnonzero(after < -allowed)
        guess = before[bad] / (before[bad] - after[bad])
        entry = int(bad[np.argmin(guess)])
        t = _root(look, entry, start.t, b, before[entry], after[entry])
        if t is None:
            return Exit(start.t, entry, stuck=True)
        now = look(t)
        others = now < -allowed
        others[entry] = False
        if not others.any() or t >= b:
            return Exit(t, entry)
        after, b = now, t
    return Exit(t, entry)


def _dips(piece, start, end):
    """Times at which the cubics through values and slopes at both ends are below zero, in order."""
    h = end.t - start.t
    z0, z1 = piece.side * start.z, piece.side * end.z
    v0, v1 = h * piece.side * start.rates, h * piece.side * end.rates
    inward = np.flatnonzero((v0 < 0) & (v1 > 0) & (z0 > 0))
    if not len(inward):
        return []
    z0, z1, v0, v1 = (x[inward, None] for x in (z0, z1, v0, v1))
    s = np.linspace(0, 1, 18)[1:-1]
    cubic = z0 + s * (v0 + s * (3 * (z1 - z0) - 2 * v0 - v1 + s * (2 * (z0 - z1) + v0 + v1)))
    low = cubic.min(axis=1)
    return sorted({float(start.t + h * s[i]) for i in cubic.argmin(axis=1)[low < 0.05 * z0[:, 0]]})


def _root(look, entry, a, b, before, after):
    """Where the gap of an entry falls through zero; None if it never was above it."""
    from scipy.optimize import brentq

    if not before > 0:
        for part in (1e-4, 1e-3, 1e-2, 0.1, 0.3, 0.6):
            t = a + part * (b - a)
            before = look(t)[entry]
            if before > 0:
                a = t
                break
        else:
            return None
    eps = np.finfo(float).eps
    return brentq(lambda t: look(t)[entry], a, b, xtol=1e-9 * (b - a) + eps * abs(b), rtol=4 * eps)
