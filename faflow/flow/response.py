"""How pre-activations answer to the errors passed on at kinks: the system that is solved."""

from itertools import combinations

import numpy as np

from ..rule import Rule, outgoing
from ..rules import KolenPollack

SIZES = tuple(10.0**n for n in range(-12, 13, 2))
"""Of errors at which a rule is tried."""

SINGULAR = 1e-9
"""Below which a minor is zero."""

MINORS = 10
"""Kinks slid along up to which all minors of their response are looked at."""


def carries(rule, w):
    """Whether all of a rule is in how it carries errors: linearly, and each sample by itself.

    Of rules from elsewhere this is tried, at random errors of all `SIZES`.
    """
    kind = type(rule)
    if kind.velocity not in (Rule.velocity, KolenPollack.velocity):
        return False
    if (kind.__call__, kind._scaled) != (Rule.__call__, Rule._scaled):
        return False
    if kind.carry.__module__.split(".")[0] == "faflow":
        return True
    rng, weights = np.random.default_rng(0), rule.weights(w)
    drawn = lambda: rng.standard_normal((len(weights[-1]), 3))
    for k in range(len(weights) - 1):
        error = lambda k=k: rng.standard_normal((len(weights[k + 1]), 3))
        (a, b), (c, d) = (error(), drawn()), (error(), drawn())
        given = [(a, b), (c, d), (a - 2 * c, b - 2 * d), (a[:, :1], b[:, :1])]
        given += [(s * a, s * b) for s in SIZES]
        try:
            one, two, both, alone, *others = (
                np.asarray(rule.carry(w, k, *x), dtype=float) for x in given
            )
            size = 1e-10 * (np.abs(one).max() + np.abs(two).max())
            far = [one - 2 * two - both, alone - one[:, :1]]
            far += [M / s - one for M, s in zip(others, SIZES, strict=True)]
            if not all(np.abs(M).max() <= size for M in far):
                return False
        except Exception:  # of the rule's own, which may guard against what is tried
            return False
    return True


def response(piece, w, rows):
    """d(dz/dt)/d(error passed on), of the pre-activations `rows`, all others in their pattern.

    An error at unit i of layer k for sample s is carried down, E, and moves every W_l by
    E_l aₛᵀ; that moves z by R_lᵀE_l (aₛ·aₛ'), R the network's own derivative.  GD has E = R.
    """
    if not piece.linear:
        return _seen_response(piece, w, rows)
    piece.forward(w)
    rule, weights, hidden, inputs = piece.rule, piece.rule.weights(w), piece.hidden, piece.inputs
    layer, unit, sample = piece.index[:, rows]
    made = np.zeros((len(rows), len(rows)))
    E = R = np.zeros((len(hidden[-1]), len(rows)))
    output = np.zeros((len(weights[-1]), len(rows)))
    for k in reversed(range(len(hidden))):
        if k + 1 < len(hidden):
            slope = piece.slope_at(k, hidden[k])[:, sample]
            E = slope * rule.carry(w, k, E, output)
            R = slope * (outgoing(weights, k).T @ R)
        here = np.flatnonzero(layer == k)
        for M in (E, R) if E is not R else (E,):
            M[:, here] = 0
            M[unit[here], here] = 1
        met = inputs[k][:, sample]
        made += rule.rate(k) * (R.T @ E) * (met.T @ met)
    return made


def firm(piece, w):
    """Whether all kinks that are slid along attract, each of them whichever of the others slide.

    Slopes then are one vector only, as the response to them is, but for its sign, a P-matrix: its
    principal minors are positive.  (R. W. Cottle, J.-S. Pang & R. E. Stone, The Linear
    Complementarity Problem, theorem 3.3.7.)  In the first layer alone it is a Gram matrix times the
    errors carried there, of which signs are enough.  Errors near to rounding say nothing.
    """
    n = piece.sliding
    told = abs(piece.flat(piece.carried)[n]) > piece.faint
    if piece.first_alone:
        return bool((piece.gains()[n] < 0)[told].all())
    if not told.any():
        return True
    made = response(piece, w, n) @ _passed_by_slopes(piece, w, n)
    made = -made[np.ix_(told, told)]
    n = n[told]
    sizes = made.diagonal()
    if not (sizes > 0).all():
        return False
    made = made / np.sqrt(np.outer(sizes, sizes))
    if np.linalg.eigvalsh(made + made.T)[0] > -SINGULAR:
        return True
    rows = range(len(n))
    some = (np.array(p) for k in rows for p in combinations(rows, k + 1))
    return len(n) <= MINORS and all(np.linalg.det(made[np.ix_(p, p)]) > -SINGULAR for p in some)


def _passed_by_slopes(piece, w, n):
    """d(error passed on)/d(share of the slope) of what slides: what is carried, and what follows.

    An error passed on in one layer is carried to what slides in those below, times its slope.
    """
    jump = (piece.high - piece.low)[n]
    own = np.diag(jump * piece.flat(piece.carried)[n])
    layers = piece.index[0, n]
    if (layers == layers[0]).all():
        return own
    slopes = piece.low[n] + jump * piece.sliding_shares()
    errors, before = piece.errors.copy(), piece.flat(piece.carried)[n].copy()
    size = abs(errors[n]).max() or 1.0
    after = np.zeros((len(n), len(n)))
    for c, row in enumerate(n):
        piece.errors[row] = errors[row] + size
        piece.held_velocity(w)
        after[:, c] = (piece.flat(piece.carried)[n] - before) / size
        piece.errors[row] = errors[row]
    piece.held_velocity(w)
    return inverse(np.eye(len(n)) - slopes[:, None] * after) @ own


def _seen_response(piece, w, rows):
    """The same for a rule with a velocity of its own, column by column: exact if it is affine."""
    side, errors = piece.side, piece.errors
    piece.hold(np.where(np.isin(np.arange(len(side)), rows), 0, side))
    still = piece.rates(w, piece.held_velocity(w))[rows]
    made = np.zeros((len(rows), len(rows)))
    for c, row in enumerate(rows):
        piece.errors[:] = 0
        piece.errors[row] = 1
        made[:, c] = piece.rates(w, piece.held_velocity(w))[rows] - still
    piece.hold(side, errors)
    piece.held_velocity(w)
    return made


def inverse(M):
    """M⁻¹, or the pseudoinverse of what is singular to rounding."""
    if not np.isfinite(M).all():  # of a step too large, which error control takes back
        return np.full(M.shape, np.nan)
    try:
        made = np.linalg.inv(M)
        if abs(made).max() * abs(M).max() < 1e12:
            return made
    except np.linalg.LinAlgError:
        pass
    return np.linalg.pinv(M, rcond=1e-10)
