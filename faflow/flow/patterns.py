"""Which pattern a flow takes where pre-activations stand at their kinks: a complementarity problem.

Each of them is above its kink and does not fall, below it and does not rise, or slides with a slope
between the two.  With one hidden layer such a pattern always exists where kinks attract: the error
passed on is the shortest velocity of the unit's weights, a least-squares problem in a box.
"""

from itertools import product

import numpy as np

from ..solution import Unfinished
from .response import inverse, response

SLACK = 1e-9
"""By how much a rate, relative to the largest, or a slope, may be wrong."""

NONE = 1e-13
"""How near to 0 or 1 a slope's share of the way is that of a side."""


def settle(piece, w, at, *, fixed=(), pushed=()):
    """Give `piece` a pattern that is consistent at `w`; return the velocity there.

    at: which pre-activations stand at their kinks.  The search starts from the pattern it has and
    moves all that are wrong in the lowest such layer at once, as those above may be there because
    of them; then, where this repeats itself, tries the patterns of those that moved, nearest first.
    A kink that repels, up from above and down from below, is never slid along: the side that it has
    is kept.
    fixed: those of them whose side is known.  pushed: those whose side is known to be wrong.
    Raises `Unfinished` if no pattern is found.
    """
    free = np.array(at)
    free[list(fixed)] = False
    first, seen = piece.side.copy(), set()
    _release(piece, w)
    if len(pushed):
        _turn(piece, w, np.array(pushed), piece.velocity(w))
    moved = np.zeros(len(first), bool)
    for _ in range(20 + np.count_nonzero(at)):
        v = piece.velocity(w)
        wrong = _wrong(piece, w, v, free)
        if not len(wrong):
            return v
        moved[wrong] = True
        key = piece.side.tobytes()
        if key in seen:
            break
        seen.add(key)
        layers = piece.index[0, wrong]
        wrong = wrong[layers == layers.min()]
        _turn(piece, w, wrong, v)
    v = _searched(piece, w, free, np.flatnonzero(moved), first)
    if v is None:
        raise Unfinished(
            f"No pattern was found in which the {np.count_nonzero(at)} pre-activations that stand"
            " at their kinks go on together; start from other weights, or use a smooth activation"
            " such as softplus(50)."
        )
    return v


def _searched(piece, w, free, moved, first):
    """The velocity of the first consistent pattern among those of `moved`, by their distance."""
    if len(moved) > 6:
        return None
    patterns = product((-1, 0, 1), repeat=len(moved))
    for sides in sorted(patterns, key=lambda sides: np.count_nonzero(sides != first[moved])):
        side = first.copy()
        side[moved] = sides
        piece.hold(side, piece.errors)
        v = piece.velocity(w)
        slides = moved[np.array(sides) == 0]
        if not len(_wrong(piece, w, v, free, -SLACK)) and attracts(piece, w, slides, v).all():
            return v
    return None


def _wrong(piece, w, v, free, inner=NONE):
    """Those that would leave the side they are on, or slide with no slope between the two.

    inner: how far between; at the ends themselves a side does, as at units that die.
    """
    rates = piece.rates(w, v)
    slack = SLACK * piece.sizes(v) + 1e-15 * abs(rates).max() + piece.noisy_rates()
    back = (piece.side * rates < -slack) & free
    if len(piece.sliding):
        shares, unsure = piece.sliding_shares(), piece.unsure()
        inner = np.where(unsure > SLACK, -unsure, inner)
        out = ~((shares > inner) & (shares < 1 - inner))
        back[piece.sliding] = out & free[piece.sliding]
    return np.flatnonzero(back)


def _turn(piece, w, wrong, v):
    """Let what is wrong slide, if its kink attracts, or pass; let what slides no more leave."""
    side, shares = piece.side.copy(), piece.shares()
    slides = side[wrong] == 0
    leaving, others = wrong[slides], wrong[~slides]
    side[leaving] = np.where(shares[leaving] > 0.5, 1, -1)
    side[others] = np.where(attracts(piece, w, others, v), 0, -side[others])
    piece.hold(side, piece.errors)


def _release(piece, w):
    """Let go of what slides at a unit that has no input any more for that sample."""
    still = piece.sliding[piece.unreached(w)[piece.sliding]]
    if len(still):
        side = piece.side.copy()
        side[still] = np.where(piece.shares()[still] > 0.5, 1, -1)
        piece.hold(side, piece.errors)


def attracts(piece, w, entries, v):
    """Whether being above the kink lowers dz/dt, which from below is the larger one.

    All that slides goes on sliding, which is the Schur complement of the response.  An effect that
    is nothing beside the rate itself, as where the input is all but zero, does not count.
    """
    if not len(entries):
        return np.zeros(0, bool)
    n, sliding = len(entries), np.setdiff1d(piece.sliding, entries)
    made = response(piece, w, np.concatenate([entries, sliding]))
    effect = made[:n, :n].diagonal().copy()
    if len(sliding):
        effect -= (made[:n, n:] * (inverse(made[n:, n:]) @ made[n:, :n]).T).sum(axis=1)
    jump = (piece.high - piece.low)[entries] * piece.flat(piece.carried)[entries]
    piece.rates(w, v)
    return jump * effect < -SLACK * piece.sizes(v)[entries]
