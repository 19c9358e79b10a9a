"""Kinks that a run crosses: how often pre-activations change sign, and which of them chatter.

Weights that are fed back by their signs alone make kinks as well.
"""

from typing import NamedTuple

import numpy as np

from ..nets import forward

CHATTERING = 5
"""A pre-activation that changes its sign so many times is said to chatter."""


class Kinks(NamedTuple):
    """What a path did to the pre-activations of layers with kinks.

    flips: changes of sign, between one kept time and the next.  pairs: pre-activations, each of a
    unit and a sample, that had any.  chatter: those that had five or more, as one does that slides
    along a kink: (layer, unit, sample, flips).  signs: how many of the flips, and of the pairs, are
    of weights that are fed back by their signs.
    """

    flips: int
    pairs: int
    chatter: tuple
    signs: tuple = (0, 0)

    def __str__(self):
        if not self.flips:
            return "no kinks crossed"
        layer, unit, sample, times = max(self.chatter, key=lambda c: c[-1], default=(0, 0, 0, 0))
        worst = f", unit {unit} of hidden layer {layer} for sample {sample} {times} times"
        flips, weights = self.signs
        made = [f"{flips} changes of sign by {weights} weights fed back by it"] * bool(weights)
        if self.pairs > weights:
            made = [
                f"{self.flips - flips} kinks crossed by {self.pairs - weights} pre-activations,"
                f" {len(self.chatter)} of which chatter{worst * bool(self.chatter)}",
                *made,
            ]
        return "; ".join(made)


def kinks(solution):
    """The `Kinks` between the kept times of a solution, of its own task; none if it is smooth."""
    task, rule = solution.task, solution.rule
    signed = zip(*(rule.signed(solution.at(k)) for k in range(len(solution))), strict=True)
    counts = [np.diff(np.sign(path), axis=0).astype(bool).sum(0) for path in signed]
    signs = sum(int(c.sum()) for c in counts), sum(int((c > 0).sum()) for c in counts)
    if task.smooth:
        return Kinks(*signs, (), signs)
    hidden = [forward(task, rule.weights(solution.at(k)))[0] for k in range(len(solution))]
    (flips, pairs), chatter = signs, []
    for layer, path in enumerate(zip(*hidden, strict=True)):
        if task.activation(layer).smooth:
            continue
        counts = (np.diff(np.array(path) > 0, axis=0)).sum(0)
        flips += int(counts.sum())
        pairs += int((counts > 0).sum())
        often = np.argwhere(counts >= CHATTERING)
        chatter += [(layer, int(i), int(s), int(counts[i, s])) for i, s in often]
    return Kinks(flips, pairs, tuple(chatter), signs)


def check_smooth(what, rule, task, w):
    """Raise ValueError if the velocity has kinks or jumps, which `what` does not allow."""
    if not task.smooth:
        raise ValueError(
            f"{what} needs a smooth activation, such as softplus(50), but"
            f" {next(a.name for a in task.activations if not a.smooth)} has kinks."
        )
    if rule.jumps():
        raise ValueError(f"{what} needs a decay that is constant in time.")
    if rule.signed(w):
        raise ValueError(f"{what} needs a smooth rule; give {rule.name} a beta.")
