"""How pre-activations answer to the errors passed on at kinks: the system that is solved."""

import numpy as np

from ..rule import Rule, outgoing
from ..rules import KolenPollack


def carries(rule, w):
    """Whether all of a rule is in how it carries errors: linearly, and each sample by itself.

    Of rules from elsewhere this is tried, at random errors.
    """
    if type(rule).velocity not in (Rule.velocity, KolenPollack.velocity):
        return False
    if type(rule).carry.__module__.split(".")[0] == "faflow":
        return True
    rng, weights = np.random.default_rng(0), rule.weights(w)
    drawn = lambda: rng.standard_normal((len(weights[-1]), 3))
    for k in range(len(weights) - 1):
        error = lambda k=k: rng.standard_normal((len(weights[k + 1]), 3))
        (a, b), (c, d) = (error(), drawn()), (error(), drawn())
        try:
            one, two, both, alone = (
                np.asarray(rule.carry(w, k, *x), dtype=float)
                for x in ((a, b), (c, d), (a - 2 * c, b - 2 * d), (a[:, :1], b[:, :1]))
            )
            size = 1e-10 * (np.abs(one).max() + np.abs(two).max())
            linear = np.abs(one - 2 * two - both).max() <= size
            if not (linear and np.abs(alone - one[:, :1]).max() <= size):
                return False
        except (ValueError, TypeError, IndexError):
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
