"""What ends a run through kinks: a point from which more than one flow goes on, or none is told."""

import numpy as np

from ..solution import Unfinished
from .response import inverse

SPANNED = 1e-9
"""Share of an input beside those of what slides below which it is spanned by them."""


def stopped(t, why):
    """The error of a run that is given up at time `t`."""
    return Unfinished(
        f"Stopped at t = {t:.6g}: {why}; use kinks='smooth', or fixed steps, such as step=1e-3."
    )


def spanned(t, piece, near, entry, before):
    """Raise where a unit of the lowest kinked layer slides at samples that span another's input.

    near: {layer: which pre-activations are at zero}.  entry: what has just met its kink.
    before: the sides it came from.
    """
    layer, unit = piece.index[:2, entry]
    if layer != piece.layers[0]:
        return
    stood = (before == 0) | (piece.side == 0)
    stood[entry] = True
    held, own = piece.split(stood)[layer][unit], piece.split(piece.own)[layer][unit]
    others = near[layer][unit] & ~held & own
    if not others.any():
        return
    inputs = piece.inputs[layer]
    a, basis = inputs[:, others], inputs[:, held & own]
    left = a - basis @ (inverse(basis.T @ basis) @ (basis.T @ a))
    if (np.linalg.norm(left, axis=0) <= SPANNED * np.linalg.norm(a, axis=0)).any():
        raise stopped(
            t,
            f"unit {unit} of hidden layer {layer} slides along the kinks of samples that span the"
            " input of another, which then stands at its kink, too, from where more than one flow"
            " can go on",
        )


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
            raise stopped(
                t,
                f"all samples of unit {unit} of hidden layer {k} reach their kinks there at once,"
                " from which more than one flow can go on",
            )
