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

SIGN = 0.03
"""Share that a step may err by of what errors move that tell by their sign how a kink is met."""

SIGNLESS = 1e-3
"""Share of what may be rounding below which a room is none at all, as of units that died."""

REACH = 1e3
"""Relative tolerances, of what z is summed of, within which a kink is near."""

FINEST, CALM = 1e-14, 1e-13
"""Relative tolerances: what errors of steps that are met by kinks, and by none, are rounding to."""


def unheard(piece, here, rtol):
    """Which kinks, where the first layer alone has some, get errors that are nearly rounding.

    And pass such on, if they are slid along: others would hold a unit there that goes its way.  Or
    would pass such on, where they attract a unit that is as good as there.
    here: `Ends` where `piece` was evaluated last.
    """
    return _quieter(piece, here, rtol, piece.faint)


def silent(piece, here, rtol):
    """Those of them whose errors may be rounding, and say nothing at all."""
    return _quieter(piece, here, rtol, piece.noise)


def _quieter(piece, here, rtol, size):
    if not _may_pass(piece):
        return np.zeros(len(piece.side), bool)
    return piece.own & (_loudness(piece, here, rtol) <= size)


def _may_pass(piece):
    """Whether kinks may go unmet: where they are the first layer's, and errors carried linearly."""
    return piece.layers == (0,) and piece.linear


def _loudness(piece, here, rtol, turned=False):
    """The size of the errors at kinks of the first layer; turned: also if they attract no more."""
    carried = piece.flat(piece.carried)
    loud = np.maximum(abs(carried), abs(piece.errors))
    rests = _rests(piece, here, rtol, turned)
    if not rests.any():
        return loud
    with np.errstate(all="ignore"):
        needed = piece.noise * abs(here.rates) / piece.noisy_rates()
    return np.where(rests, np.fmin(loud, needed), loud)


def _rests(piece, here, rtol, turned=False):
    """Which are as good as at their kinks, which attract, and not slid along."""
    rests = (piece.side != 0) & (abs(here.z) <= _allowed(rtol) * here.sizes)
    return rests & (turned | (piece.gains() < 0))


def _allowed(rtol):
    return max(BEYOND * rtol, 10 * CALM)


def pushed(piece, here, at, rtol):
    """At most how fast the first layer moves, by its size, because of slopes at the kinks `at`.

    By Σ |error| |jump of the slope| |input|, of errors that are more than rounding.
    here: `Ends` where `piece` was evaluated last.
    """
    loud = _loudness(piece, here, rtol)
    passed = loud * np.maximum(1.0, abs(piece.high - piece.low)) * (at & (loud > piece.noise))
    if not passed.any():
        return 0.0
    moved = (passed * here.pulls).reshape(piece.shapes[0])
    return float(np.linalg.norm(moved.sum(axis=1)))


def standing(piece, here):
    """Which are at their kinks or beyond, and not on the side that they are held on."""
    return ~(piece.side * here.z > here.tiny)


def told(piece, here, at, rtol):
    """Whether of kinks `at`, not met, one is heard again where it is `standing` and moves."""
    if not at.any():
        return False
    loud = _loudness(piece, here, rtol, turned=True) > piece.faint
    return bool((at & standing(piece, here) & loud).any())


def beyond(piece, here, at, rtol):
    """Whether a pre-activation is too far beyond its kink, of those `at` which none was met."""
    return at.any() and bool((-piece.side * here.z * at > _allowed(rtol) * here.sizes).any())


def allowed_share(piece, here, h, moved, unmet, rtol):
    """The share of its tolerance that a step of length `h` may err by.

    All, but where kinks are near no more than a little of what it moves, nor of what the error
    carried to such a kink does, on whose sign it depends how it is met; nor of how far a
    pre-activation moves that rests at one that attracts it, whose rate says whether it leaves,
    where it is met after all.
    here: `Ends` where the step begins.  moved: by how many tolerances it goes on.
    """
    near = (abs(here.z) * TOUCH <= REACH * rtol * here.tiny) | (piece.side == 0)
    near &= piece.own
    if not near.any():
        return 1.0
    floors = np.where(unmet[near], CALM, FINEST) / rtol
    carried = piece.flat(piece.carried)
    ends = abs(piece.errors - piece.low * carried), abs(piece.high * carried - piece.errors)
    pushes = np.where(piece.side == 0, np.minimum(*ends), abs(carried)) * here.pulls
    with np.errstate(all="ignore"):
        speeds = abs(here.rates) * TOUCH / here.tiny
        rests = _rests(piece, here, rtol) & ~unmet & _may_pass(piece)
        signs = h * np.where(rests, speeds, np.fmax(pushes, speeds))[near] / rtol
    none = (pushes <= SIGNLESS * piece.noise * here.pulls) & (abs(carried) > piece.faint)
    signs[(none | (pushes == 0))[near]] = np.inf  # of such there is no sign
    return float(np.maximum(np.minimum(SIGN * signs, MOVED * moved), floors).min(initial=1.0))
