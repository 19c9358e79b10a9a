"""Samples whose kinks are one, as their inputs are on one line through zero."""

from typing import NamedTuple

import numpy as np

from ..matrices import with_ones

NEAR = 1e-12
"""How far apart directions of unit length may be that are taken for one."""


def lines(M):
    """For each column the first on its line through zero, and what it is times that one.

    Columns of zeros are on no line: each is its own first, times 0.
    """
    norms = np.linalg.norm(M, axis=0)
    units = M / np.where(norms == 0, 1.0, norms)
    keys = np.abs(np.random.default_rng(0).standard_normal(len(M)) @ units)
    order = np.argsort(keys)
    first, c = np.arange(len(norms)), np.where(norms == 0, 0.0, 1.0)
    gaps = np.flatnonzero(np.diff(keys[order]) > 10 * NEAR * np.sqrt(len(M)))
    for run in (run for run in np.split(order, gaps + 1) if len(run) > 1):
        found = []
        for j in np.sort(run[norms[run] > 0]):
            for i in found:
                sign = np.sign(units[:, i] @ units[:, j])
                if np.linalg.norm(units[:, j] - sign * units[:, i]) <= NEAR:
                    first[j], c[j] = i, sign * norms[j] / norms[i]
                    break
            else:
                found.append(j)
    return first, c


class Tied(NamedTuple):
    """Samples whose kinks in the lowest kinked layer are those of another: inputs x = cx' of them.

    Their slopes are one number.  Where c < 0 a unit is above its kink for the one where it is below
    for the other, and slopes s and low + high - s: f(cz) = |c|(f(z) - (low + high)z).

    first, other: columns.  c: a number for each.  sums: |c| in the column of the first, by others.
    nothing: columns of no input, which have no kinks.
    """

    first: np.ndarray
    other: np.ndarray
    c: np.ndarray
    sums: np.ndarray
    nothing: np.ndarray

    @classmethod
    def of(cls, task, w, layer):
        """The ties of inputs to a layer that hold whatever the weights `w` below it are.

        They are found at random weights, of sizes at which no activation is flat.
        """
        enter = with_ones if task.bias else lambda a: a
        drawn = (task.X,) if layer == 0 else (_random_inputs(task, w, layer, s) for s in (0, 1))
        found = [lines(enter(a)) for a in drawn]
        (first, c), (again, same) = found[0], found[-1]
        held = (first == again) & (np.abs(c - same) <= 1e-6 * np.abs(c))
        nothing = np.flatnonzero((c == 0) & (same == 0))
        other = np.flatnonzero(held & (first != np.arange(len(first))))
        first, c = first[other], c[other]
        return cls(first, other, c, np.abs(c)[:, None] * np.eye(len(held))[first], nothing)

    def __bool__(self):
        return len(self.other) > 0


def _random_inputs(task, w, layer, seed):
    """What enters a layer, without biases' ones, at random weights."""
    rng, a = np.random.default_rng(seed), task.X
    for k in range(layer):
        entered = with_ones(a) if task.bias else a
        W = rng.standard_normal(w[k].shape) / (np.linalg.norm(entered, axis=0).max() or 1.0)
        a = task.activation(k).f(W @ entered)
    return a


NOT_TIED = Tied(*[np.zeros(0, int)] * 2, *[np.zeros(0)] * 2, np.zeros(0, int))
