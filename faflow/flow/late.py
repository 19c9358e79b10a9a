"""Late in a run through kinks: steps that move less than error control lets them err.

An explicit method then takes steps as long as it is stable for, and what is left of the velocity is
errors that it holds in check: these, and not the flow, would meet the kinks.
"""

import numpy as np

QUIET = 0.1
"""Share of the relative tolerance that a step may move, in any pattern, and meet no kinks."""

CALM = 0.01
"""Share of the tolerance that a step may err by where it meets no kinks."""

MOVED = 1e-3
"""Share of its own length that a step may err by where it meets them."""

FINEST = 1e-14
"""Relative tolerance below which errors of steps are rounding."""


def quiet(piece, w, v, h, rtol):
    """Whether a step of length `h` changes nothing, in any pattern, by as much as QUIET `rtol`.

    Any: the first layer, alone with kinks, moves by at most h Σ |error carried| |slope| |input|.
    Where all errors carried may be rounding, no pattern is told from another.
    piece: as it was evaluated last, at the state `w`, which moves by `v`.
    """
    norm, allowed = np.linalg.norm, QUIET * rtol
    sizes, speeds = (np.array([norm(W) for W in M]) for M in (w, v))
    if piece.layers != (0,) or not piece.linear or not (h * speeds <= allowed * sizes).all():
        return False
    carried = abs(piece.carried[0])
    slopes = np.maximum(abs(piece.low), abs(piece.high)).reshape(carried.shape)
    pushed = piece.rule.rate(0) * norm((slopes * carried) @ norm(piece.X, axis=0))
    told = carried.max() > piece.noise
    return bool(not told or h * (speeds[0] + pushed) <= allowed * sizes[0])


def allowed_share(moved, rtol, is_quiet):
    """The share of its tolerance that a step may err by that moves by so many tolerances."""
    return min(1.0, max(MOVED * moved, CALM if is_quiet else FINEST / rtol))
