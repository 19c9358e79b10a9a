"""States as one vector, as SciPy's solvers take them, and the velocity of what is in it."""

import numpy as np

from .control import decays
from .tape import taped


class Layout:
    """Matrices as one vector, each followed by the norm of what lies beside it, if a run has it."""

    def __init__(self, w, beside=None):
        self.more = int(beside is not None)
        self.shapes = [W.shape for W in w]
        lengths = np.array([W.size + self.more for W in w])
        self.ends = np.cumsum(lengths)
        self.starts, self.size = self.ends - lengths, int(self.ends[-1])

    def packed(self, w, beside=None):
        y = np.empty(self.size)
        for place, W in zip(self.parts(y), w, strict=True):
            place[...] = W
        if self.more:
            y[self.ends - 1] = beside
        return y

    def parts(self, y):
        """The matrices in `y`, as views of it."""
        cut = lambda start, shape: y[start : start + shape[0] * shape[1]].reshape(shape)
        return tuple(map(cut, self.starts, self.shapes))

    def beside(self, y):
        return y[self.ends - 1] if self.more else None

    def norms(self, vectors):
        """Norms of the blocks of vectors, (…, matrices)."""
        return np.sqrt(np.add.reduceat(vectors * vectors, self.starts, axis=-1))


class Field:
    """The velocity of what is in ``work``, a vector; ``count`` tells how often it was asked."""

    def __init__(self, rule, task, layout, y):
        self.layout, self.work = layout, y.copy()
        self.inside = layout.parts(self.work)
        self.velocity = taped(rule, task, self.inside) or (lambda: rule(task, self.inside))
        self.decays = decays(rule, self.inside) if layout.more else None
        self.count = 0

    def into(self, row, places):
        """Write it to `row`, whose matrices are `places`."""
        self.count += 1
        for place, V in zip(places, self.velocity(), strict=True):
            place[...] = V
        if self.decays is not None:
            last = self.layout.ends - 1
            row[last] = -self.decays * self.work[last]

    def at(self, y):
        """The velocity at `y`, in memory of its own."""
        self.work[:] = y
        made = np.empty_like(y)
        self.into(made, self.layout.parts(made))
        return made
