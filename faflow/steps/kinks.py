"""Kinks that a run crosses: how often pre-activations change sign, and which of them chatter."""

from typing import NamedTuple

import numpy as np

from ..nets import forward

CHATTERING = 5
"""A pre-activation that changes its sign so many times is said to chatter."""


class Kinks(NamedTuple):
    """What a path did to the pre-activations of layers with kinks.

    flips: changes of sign, between one kept time and the next.  pairs: pre-activations, each of a
    unit and a sample, that had any.  chatter: those that had five or more, as one does that slides
    along a kink: (layer, unit, sample, flips).
    """

    flips: int
    pairs: int
    chatter: tuple

    def __str__(self):
        if not self.flips:
            return "no kinks crossed"
        layer, unit, sample, times = max(self.chatter, key=lambda c: c[-1], default=(0, 0, 0, 0))
        worst = f", unit {unit} of hidden layer {layer} for sample {sample} {times} times"
        return (
            f"{self.flips} kinks crossed by {self.pairs} pre-activations,"
            f" {len(self.chatter)} of which chatter{worst * bool(self.chatter)}"
        )


def kinks(solution):
    """The `Kinks` between the kept times of a solution, of its own task; none if it is smooth."""
    task, rule = solution.task, solution.rule
    if task.smooth:
        return Kinks(0, 0, ())
    hidden = [forward(task, rule.weights(solution.at(k)))[0] for k in range(len(solution))]
    flips, pairs, chatter = 0, 0, []
    for layer, path in enumerate(zip(*hidden, strict=True)):
        if task.activation(layer).smooth:
            continue
        counts = (np.diff(np.array(path) > 0, axis=0)).sum(0)
        flips += int(counts.sum())
        pairs += int((counts > 0).sum())
        often = np.argwhere(counts >= CHATTERING)
        chatter += [(layer, int(i), int(s), int(counts[i, s])) for i, s in often]
    return Kinks(flips, pairs, tuple(chatter))
