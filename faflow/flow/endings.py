"""What ends a run through kinks: a point from which more than one flow goes on, or none is told."""

import numpy as np

from ..rule import outgoing
from ..rules import DFA
from ..solution import Unfinished
from .response import inverse

SPANNED = 1e-9
"""Share of an input beside those of what slides below which it is spanned by them."""


def stopped(t, why):
    """The error of a run that is given up at time `t`."""
    return Unfinished(
        f"Stopped at t = {t:.6g}: {why}; use kinks='smooth', or fixed steps, such as step=1e-3."
    )


def repelled(t, place):
    """The error where kinks that are slid along do not all attract."""
    layer, unit, samples = place
    return stopped(
        t,
        f"the kinks slid along there, one of them that of unit {unit} of hidden layer {layer} for"
        f" sample {samples[0]}, do not each attract, so that more than one flow can go on",
    )


def slid(t, place):
    """The error of a run that is to stop where it first slides."""
    layer, unit, samples = place
    return Unfinished(
        f"Stopped at t = {t:.6g}: the pre-activation of unit {unit} of hidden layer {layer} for"
        f" sample {samples[0]} slides along its kink; use kinks='slide' to go on."
    )


def crowded(t, count, place):
    """The error where kinks are met again and again at no other time."""
    layer, unit, samples = place
    return stopped(
        t,
        f"{count} kinks were met there, the last by unit {unit} of hidden layer {layer} for sample"
        f" {samples[0]}",
    )


def spanned(t, piece, near, entry, before):
    """Raise where a unit slides, or is at its kink, at samples that span another's input.

    As those do in one line, or, above a layer of which all units are off, those with biases alone.

    near: {layer: which pre-activations are at zero}.  entry: what has just met its kink.
    before: the sides it came from.
    """
    layer, unit, sample = piece.index[:, entry]
    row = lambda flat: piece.split(flat)[layer][unit]
    own, inputs = row(piece.own), piece.inputs[layer]
    slides = row((before == 0) | (piece.side == 0)) & own
    others = near[layer][unit] & own & ~slides & inputs.any(axis=0)
    others[sample] = False
    alone = np.arange(len(own)) == sample
    meets = slides | others | alone
    passing = (row(before * piece.side)[meets] < 0).all()  # all of them
    if not passing and (
        _in_span(inputs, slides | alone, others) or _in_span(inputs, slides & ~alone, alone)
    ):
        raise _spanned_at(t, layer, unit)


def lined_up(t, piece):
    """Raise where inputs of a layer above another come to lie so that they are spanned."""
    sides = piece.split(piece.side)
    for k in piece.layers[1:]:
        inputs = piece.inputs[k]
        for unit in np.flatnonzero((sides[k] == 0).any(axis=1)):
            slides = sides[k][unit] == 0
            if _in_span(inputs, slides, ~slides & inputs.any(axis=0)):
                raise _spanned_at(t, k, unit)


def _spanned_at(t, layer, unit):
    return stopped(
        t,
        f"unit {unit} of hidden layer {layer} is at the kinks of samples that span the input of"
        " another, which then stands at its kink, too, from where more than one flow can go on",
    )


def _in_span(inputs, basis, others):
    """Whether some of these columns is in the span of those."""
    if not (basis.any() and others.any()):
        return False
    a, A = inputs[:, others], inputs[:, basis]
    left = a - A @ (inverse(A.T @ A) @ (A.T @ a))
    return bool((np.linalg.norm(left, axis=0) <= SPANNED * np.linalg.norm(a, axis=0)).any())


def coupled_at(t, place):
    """The error where what is at its kink is `coupled` to what slides below."""
    layer, unit, samples = place
    return stopped(
        t,
        f"unit {unit} of hidden layer {layer} is at its kink for sample {samples[0]} because"
        " nothing enters it but what slides below, which is not followed",
    )


def coupled(piece, w):
    """What is at its kink because all that enters it slides in a layer below, or None.

    What slides is now above its kink and now below, and with it what it enters, whose slope so
    follows its own: it is held where it is on one side whenever that is above.

    w: the weights at which `piece` last was.
    """
    sides = piece.split(piece.side)
    for k in piece.layers[:-1]:
        for s in np.flatnonzero((sides[k] == 0).any(axis=0)):
            entered = np.flatnonzero(sides[k][:, s] == 0)
            for above in range(k + 1, piece.depth):
                still = piece.hidden[above][:, s] == 0
                if above in sides:
                    side = sides[above][:, s]
                    sure = _sure(piece, outgoing(w, above - 1)[:, entered], side, above, s)
                    for unit in np.flatnonzero(still & (side != 0) & ~sure):
                        return int(piece.split(np.arange(len(piece.side)))[above][unit, s])
                    still &= side > 0
                entered = np.flatnonzero(still)
    return None


def _sure(piece, W, side, k, s):
    """Which units of a layer are on their side for sample `s` whenever what enters by `W` is."""
    follows = (side[:, None] * W >= 0).all(axis=1)
    if not piece.task.bias:
        return follows | isinstance(piece.rule, DFA)  # nothing comes back to what slides
    pushed = piece.carried[k][:, s]  # the bias, which is zero, while the unit is on
    return np.where(side < 0, follows | (pushed <= 0), pushed >= 0)


def weightless(t, piece, rule, w):
    """Raise where all weights of a unit are zero that is pushed, by several samples, to move.

    One that is off at zero stays there, as it does in the rule's own steps.  Where all samples push
    less above their kinks than below there is one way off: it moves by v = Σ c f'(v·x) x, from
    which v is told, as v less this sum is monotone.
    """
    for k, carried in piece.carried.items():
        low, gains, own = (piece.split(flat)[k] for flat in (piece.low, piece.gains(), piece.own))
        pushed = (abs(low * carried) > piece.noise) & own
        pushed &= (gains > 0).any(axis=1, keepdims=True)
        at = ~rule.weights(w)[k].any(axis=1) & (pushed.sum(axis=1) > 1)
        for unit in np.flatnonzero(at & (rule.rate(k) != 0)):
            raise _at_once(t, unit, k)


def gathered(t, piece, near, entry, vanished):
    """Raise where all samples of a unit stand at their kinks, as where its weights vanish.

    Which way it leaves is then not told by its kinks one by one.

    near, entry: as for `spanned`.  vanished: whether the weights of the unit that has just met its
        kink are zero as far as error control tells.
    """
    layer, unit = piece.index[:2, entry]
    slides, own = piece.split(piece.side == 0), piece.split(piece.own)
    if vanished:
        near[layer][unit], slides[layer][unit] = True, True
    for k, at in near.items():
        unclear = slides[k].any(axis=1) | (k > 0)
        several = own[k][0].sum() > 1
        for unit in np.flatnonzero(at.all(axis=1) & unclear & several):
            raise _at_once(t, unit, k)


def _at_once(t, unit, k):
    return stopped(
        t,
        f"all samples of unit {unit} of hidden layer {k} reach their kinks there at once, from"
        " which more than one flow can go on",
    )
