"""Which pattern a flow takes where pre-activations stand at their kinks: a complementarity problem.

Each of them is above its kink and does not fall, below it and does not rise, or slides with a slope
between the two.  With one hidden layer such a pattern always exists where kinks attract: the error
passed on is the shortest velocity of the unit's weights, a least-squares problem in a box.
"""

import numpy as np

from ..solution import Unfinished
from .pieces import inverse

SLACK = 1e-9
"""By how much a rate, relative to the largest, or a slope between 0 and 1 may be wrong."""


def settle(piece, w, at, *, fixed=(), pushed=()):
    """Give `piece` a pattern that is consistent at `w`; return the velocity there.

    at: which pre-activations stand at their kinks.  The search starts from the pattern it has and
    moves all that are wrong at once, then one at a time (Murty's rule, which ends wherever the
    pattern is unique).  A kink that repels, up from above and down from below, is never slid along:
    the side that it has is kept.
    fixed: those of them whose side is known.  pushed: those whose side is known to be wrong.
    Raises `Unfinished` if no pattern is found.
    """
    free = np.array(at)
    free[list(fixed)] = False
    if len(pushed):
        _turn(piece, w, np.array(pushed))
    seen, single = set(), False
    for _ in range(100 + 20 * np.count_nonzero(at)):
        v = piece.velocity(w)
        wrong = _wrong(piece, piece.rates(w, v), free)
        if not len(wrong):
            return v
        key = piece.side.tobytes()
        single = single or key in seen
        seen.add(key)
        _turn(piece, w, wrong[:1] if single else wrong)
    raise Unfinished(
        f"No pattern was found in which the {np.count_nonzero(at)} pre-activations that stand at"
        " their kinks go on together; start from other weights, or use a smooth activation such as"
        " softplus(50)."
    )


def _wrong(piece, rates, free):
    """Those that would leave the side they are on, or slide with no slope between the two."""
    slack = SLACK * abs(rates).max()
    back = (piece.side * rates < -slack) & free
    if len(piece.sliding):
        shares = piece.shares()[piece.sliding]
        out = ~((shares > -SLACK) & (shares < 1 + SLACK))
        back[piece.sliding] = out & free[piece.sliding]
    return np.flatnonzero(back)


def _turn(piece, w, wrong):
    """Let what is wrong slide, if its kink attracts, or pass; let what slides no more leave."""
    side, shares = piece.side.copy(), piece.shares()
    slides = side[wrong] == 0
    leaving, others = wrong[slides], wrong[~slides]
    side[leaving] = np.where(shares[leaving] > 0.5, 1, -1)
    side[others] = np.where(attracts(piece, w, others), 0, -side[others])
    piece.hold(side, piece.errors)


def attracts(piece, w, entries):
    """Whether being above the kink lowers dz/dt, which from below is the larger one.

    All that slides goes on sliding, which is the Schur complement of the response.
    """
    if not len(entries):
        return np.zeros(0, bool)
    n, sliding = len(entries), np.setdiff1d(piece.sliding, entries)
    made = piece.response(w, np.concatenate([entries, sliding]))
    effect = made[:n, :n].diagonal().copy()
    if len(sliding):
        effect -= (made[:n, n:] * (inverse(made[n:, n:]) @ made[n:, :n]).T).sum(axis=1)
    jump = (piece.high - piece.low)[entries] * piece.flat(piece.carried)[entries]
    return jump * effect < 0
