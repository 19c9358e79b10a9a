"""Late in a run through kinks: steps that move less than error control lets them err.

An explicit method then takes steps as long as it is stable for, and what is left of the velocity is
errors that it holds in check: these, and not the flow, would meet the kinks.
"""

import numpy as np

from .crossings import TOUCH

QUIET = 0.1
"""Share of the relative tolerance that slopes may move the state by before their kinks are met."""

BEYOND = 1e-3
"""Share of the relative tolerance that what units pass on above may be off by, where not met."""

MOVED = 1e-3
"""Share of its own length that a step may err by where kinks are near."""

REACH = 1e3
"""Relative tolerances, of what z is summed of, within which a kink is near."""

FINEST, CALM = 1e-14, 1e-13
"""Relative tolerances: what errors of steps that are met by kinks, and by none, are rounding to."""


def unheard(piece):
    """Which kinks, where the first layer alone has some, get errors that are nearly rounding.

    And pass such on, if they are slid along: others would hold a unit there that goes its way.
    """
    if piece.layers != (0,) or not piece.linear:
        return np.zeros(len(piece.side), bool)
    return piece.own & (_loudness(piece) <= piece.faint)


def _loudness(piece):
    return np.maximum(abs(piece.flat(piece.carried)), abs(piece.errors))


def pushed(piece, w, at):
    """At most how fast the first layer moves, by its size, because of slopes at the kinks `at`.

    By Σ |error| |jump of the slope| |input|, of errors that are more than rounding.
    piece: as it was evaluated last, at the state `w`.
    """
    loud = _loudness(piece)
    passed = loud * np.maximum(1.0, abs(piece.high - piece.low)) * (at & (loud > piece.noise))
    speed = np.linalg.norm(passed.reshape(piece.shapes[0]) @ piece.lengths)
    size = np.linalg.norm(w[0]) or np.inf
    return float(abs(piece.rule.rate(0)) * speed / size) if speed else 0.0


def astray(piece, w, at, z, rtol):
    """Whether an error `at` some kinks is heard, or a pre-activation is too far beyond its kink.

    z: the pre-activations, flat, at the state `w`, where `piece` was evaluated last.
    """
    if not at.any():
        return False
    allowed = max(BEYOND * rtol, 10 * CALM) * np.linalg.norm(w[0]) * piece.lengths
    beyond = (-piece.side * z * at).reshape(piece.shapes[0])
    return bool((beyond > allowed).any() or (at & ~unheard(piece)).any())


def near_kinks(piece, ends, rtol):
    """Whether something slides, or is as near to its kink as errors of steps may matter."""
    sizes = ends.tiny / TOUCH
    return len(piece.sliding) > 0 or bool((abs(ends.z) <= REACH * rtol * sizes)[piece.own].any())


def allowed_share(moved, rtol, is_quiet):
    """The share of its tolerance that a step near kinks may err by that moves by so many of it."""
    return min(1.0, max(MOVED * moved, (CALM if is_quiet else FINEST) / rtol))
