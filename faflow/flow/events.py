"""Kinks of a piecewise linear network: where a flow slides along one."""

from typing import NamedTuple

import numpy as np

from ..nets import forward, gated, replaced


class Slide(NamedTuple):
    """A pre-activation that both sides of its kink push towards zero."""

    layer: int
    unit: int
    sample: int
    above: float
    below: float

    def __str__(self):
        return (
            f"the pre-activation of unit {self.unit} of hidden layer {self.layer} for sample"
            f" {self.sample} is pushed back to its kink from both sides (rates {self.above:.2g}"
            f" above, {self.below:.2g} below)"
        )


def find_slide(rule, task, w, *, candidates=5):
    """The first `Slide` among the pre-activations nearest to zero; None if none slides."""
    if task.smooth:
        return None
    hidden, _, _ = forward(task, rule.weights(w))
    slopes = [_slopes(task.activation(k), z) for k, z in enumerate(hidden)]
    near = sorted(
        (abs(z[i, s]) / (np.abs(z).max() or 1.0), k, i, s)
        for k, z in enumerate(hidden)
        if not task.activation(k).smooth
        for i, s in (divmod(int(n), z.shape[1]) for n in np.argsort(abs(z), axis=None)[:candidates])
    )
    for distance, k, unit, sample in near[:candidates]:
        if distance > 1e-3:
            break
        low, high = _slopes(task.activation(k), np.array([-1.0, 1.0]))
        rates = []
        for slope in (high, low):
            gates = [g.copy() for g in slopes]
            gates[k][unit, sample] = slope
            rates.append(_rate(rule, task, w, gates, k)[unit, sample])
        if rates[0] < 0 < rates[1]:
            return Slide(k, unit, sample, float(rates[0]), float(rates[1]))
    return None


def _slopes(activity, z):
    return activity.pull(z, np.ones_like(z))


def _rate(rule, task, w, gates, k, h=1e-6):
    """dz/dt of hidden layer `k` with the gate of every kinked unit held where it is."""
    kinks = lambda j: not task.activation(j).smooth
    phi = tuple(gated(g) if kinks(j) else task.activation(j) for j, g in enumerate(gates))
    held = replaced(task, phi=phi)
    v = rule(held, w)
    sides = []
    for sign in (h, -h):
        moved = tuple(W + sign * V for W, V in zip(w, v, strict=True))
        sides.append(forward(held, rule.weights(moved))[0][k])
    return (sides[0] - sides[1]) / (2 * h)
