"""Late in a run through kinks: steps that move less than error control lets them err.

An explicit method then takes steps as long as it is stable for, and what is left of the velocity is
errors that it holds in check: these, and not the flow, would meet the kinks.
"""

import numpy as np

from .crossings import TOUCH

QUIET = 0.1
"""Share of the relative tolerance that steps may move the state by before they meet kinks again."""

MOVED = 1e-3
"""Share of its own length that a step may err by where kinks are near."""

REACH = 1e3
"""Relative tolerances, of what z is summed of, within which a kink is near."""

FINEST, CALM = 1e-14, 1e-13
"""Relative tolerances: what errors of steps that are met by kinks, and by none, are rounding to."""


def reached(piece, w, v, h):
    """By how much of their sizes a step of length `h` moves the matrices of the state at the most.

    In any pattern where the first layer alone has kinks, which moves it by at most
    h Σ |error carried| |slope| |input|: of errors that are more than rounding.
    piece: as it was evaluated last, at the state `w`, which moves by `v`.
    """
    norm = np.linalg.norm
    sizes, speeds = (np.array([norm(W) for W in M]) for M in (w, v))
    carried = abs(piece.carried[0])
    if carried.max() > piece.noise:
        slopes = np.maximum(abs(piece.low), abs(piece.high)).reshape(carried.shape)
        pushed = norm((slopes * carried) @ norm(piece.X, axis=0))
        speeds[0] += abs(piece.rule.rate(0)) * pushed
    with np.errstate(all="ignore"):
        return float((h * speeds / sizes)[speeds > 0].max(initial=0))


def hushed(piece):
    """Whether all errors carried to kinks, of the first layer alone, are rounding or nearly so."""
    if piece.layers != (0,) or not piece.linear:
        return False
    return bool(abs(piece.carried[0]).max() <= piece.faint)


def near_kinks(piece, ends, rtol):
    """Whether something slides, or is as near to its kink as errors of steps may matter."""
    sizes = ends.tiny / TOUCH
    return len(piece.sliding) > 0 or bool((abs(ends.z) <= REACH * rtol * sizes)[piece.own].any())


def allowed_share(moved, rtol, is_quiet):
    """The share of its tolerance that a step near kinks may err by that moves by so many of it."""
    return min(1.0, max(MOVED * moved, (CALM if is_quiet else FINEST) / rtol))
