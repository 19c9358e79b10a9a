"""Where a step first leaves the smooth piece that it was taken in."""

from typing import NamedTuple

import numpy as np

from .response import firm

TOUCH = 1e-13
"""How near to zero a pre-activation counts as zero, relative to |row of W| · |input|."""

NEAR = 1e3
"""Times that size within which a pre-activation may be at its kink by what rounding moved it."""

GRID = np.linspace(0, 1, 17)[1:]


class Ends(NamedTuple):
    """One end of a step: the time, z and dz/dt, the shares, and below what z counts as zero.

    firm: whether all kinks that are slid along attract.
    sizes, pulls: `Piece.scales`.
    """

    t: float
    z: np.ndarray
    rates: np.ndarray
    shares: np.ndarray
    tiny: np.ndarray
    firm: bool = True
    sizes: np.ndarray | float = 1.0
    pulls: np.ndarray | float = 0.0


class Exit(NamedTuple):
    """The first time at which an entry leaves its piece; `stuck` if at the start of the step."""

    t: float
    entry: int
    stuck: bool = False


def ends(piece, t, w, v):
    """What is known at a state `w` that moves by `v`."""
    rates = piece.rates(w, v)
    tiny = TOUCH * piece.sizes(w)
    z, shares = piece.flat(piece.hidden), piece.shares()
    return Ends(t, z, rates, shares, tiny, firm(piece, w), *piece.scales(w))


def first_exit(piece, start, end, look, suspects=(), unmet=False):
    """The first `Exit` of a step between two `Ends`; None if it stays in its piece.

    Pre-activations are followed by the cubics through their values and rates at both ends, also
    where they go out and return within the step; where such a cubic comes near to zero, and for
    the slopes of what slides, `look(t)` gives (z, shares) inside the step.
    suspects: times inside the step at which such a slope seemed to be that of a side.
    unmet: which entries are not looked at.
    """
    heard = piece.own & ~np.asarray(unmet)
    found = _crossed(piece, start, end, look, heard)
    left = _left(piece, start, end, look, suspects, heard)
    both = [exit for exit in (found, left) if exit is not None]
    return min(both, default=None)


def _crossed(piece, start, end, look, heard):
    """The first exit through z = 0."""
    before, after = piece.side * start.z, piece.side * end.z
    tiny, h = np.maximum(start.tiny, end.tiny), end.t - start.t
    falls, rises = h * piece.side * start.rates, h * piece.side * end.rates
    out = (after < -tiny) & ((after < before) | (before < -NEAR * tiny) | (before > 0))
    dips = (falls < 0) & (rises > 0) & (before > tiny) & ~out
    entries = np.flatnonzero((out | dips) & heard)
    if not len(entries):
        return None
    exits = []
    values = _cubic(*(x[entries, None] for x in (before, after, falls, rises)), GRID)
    for entry, row in zip(entries, values, strict=True):
        inside = np.flatnonzero(row < -tiny[entry])
        if not len(inside):
            if out[entry]:
                exits.append(Exit(end.t, int(entry)))
            elif row.min() < 0.05 * before[entry]:
                t = float(start.t + h * GRID[row.argmin()])
                if piece.side[entry] * look(t)[0][entry] < -tiny[entry]:
                    exits.append(Exit(t, int(entry)))
            continue
        last = inside[0]
        above = np.flatnonzero(row[:last] > 0)
        a = GRID[above[-1]] if len(above) else 0.0
        four = [float(x[entry]) for x in (before, after, falls, rises)]
        if not len(above) and not four[0] > 0:
            below = np.flatnonzero(row < four[0])
            if four[2] > 0 and len(below):  # in at first, as from a zero that rounding put outside
                four[:2], last = (0.0, four[1] - four[0]), below[0]
            s = _returns(four, float(GRID[last]))
            exits.append(
                Exit(start.t, int(entry), stuck=True)
                if s is None
                else Exit(start.t + h * s, int(entry))
            )
            continue
        s = _root(four, float(a), float(GRID[last]))
        exits.append(Exit(start.t + h * s, int(entry)))
    return min(exits, default=None)


def _cubic(z0, z1, v0, v1, s):
    return z0 + s * (v0 + s * (3 * (z1 - z0) - 2 * v0 - v1 + s * (2 * (z0 - z1) + v0 + v1)))


def _returns(ends, b):
    """Where a cubic from at or below zero comes back to it from above; None if never above."""
    for a in b * 0.5 ** np.arange(1, 30):
        if _cubic(*ends, a) > 0:
            return _root(ends, float(a), b)
    return None


def _root(ends, a, b):
    """The zero of a cubic between `a`, where it is above, and `b`, where it is not."""
    from scipy.optimize import brentq

    return brentq(lambda s: _cubic(*ends, s), a, b, xtol=1e-15, rtol=1e-15)


def _left(piece, start, end, look, suspects, heard):
    """The first exit of what slides: where its slope becomes that of a side, or just after."""
    told = heard[piece.sliding]
    n = piece.sliding[told]
    if not len(n):
        return None
    room = lambda shares: np.minimum(shares[n], 1 - shares[n])
    slack = np.maximum(1e-9, piece.unsure()[told])
    before, after, b = room(start.shares), room(end.shares), end.t
    bad = np.flatnonzero(after < -slack)
    for t in suspects:
        if len(bad):
            break
        after, b = room(look(t)[1]), t
        bad = np.flatnonzero(after < -slack)
    if not len(bad):
        return None
    from scipy.optimize import brentq

    a, exit = start.t, None
    for _ in range(20):
        i = bad[np.argmin(before[bad] / (before[bad] - after[bad]))]
        if not before[i] > 0:
            return Exit(start.t, int(n[i]), stuck=True)
        of = lambda t, i=i: room(look(t)[1])[i]
        if of(b) >= 0:
            return Exit(b, int(n[i]))
        if not of(a) > 0:  # slopes that rounding decides
            return Exit(start.t, int(n[i]), stuck=True)
        t = brentq(of, a, b, xtol=1e-10 * (end.t - start.t) + 1e-15 * abs(b), rtol=1e-15)
        exit = Exit(t, int(n[i]))
        now = room(look(t)[1])
        now[i] = 0
        bad = np.flatnonzero(now < -slack)
        if not len(bad):
            return exit
        b, after = t, now
    return exit


def lowest(piece, entry, here):
    """The lowest that meets its kink with `entry`, which may do so as its inputs vanish."""
    layers, _, samples = piece.index
    below = (layers < layers[entry]) & (samples == samples[entry]) & piece.own
    meets = below & (piece.side * here.rates < 0) & (abs(here.z) <= NEAR * here.tiny)
    return int(np.flatnonzero(meets)[0]) if meets.any() else entry


def next_crossing(piece, start, end, unmet=False):
    """How long until the first z that is met is zero, by its value and its rates at two times."""
    gap, speed = piece.side * end.z, piece.side * end.rates
    h = end.t - start.t
    turn = piece.side * (end.rates - start.rates) / h if h > 0 else 0 * gap
    with np.errstate(all="ignore"):
        root = np.sqrt(speed * speed - 2 * turn * gap)  # nan where it turns before zero
        wait = 2 * gap / (root - speed)
    wait = wait[(wait > 0) & (gap > end.tiny) & ~np.asarray(unmet)]
    return wait.min(initial=np.inf)
