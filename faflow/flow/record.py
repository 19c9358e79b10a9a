"""What is kept of a run: its states at the times asked for, or what is observed of them."""

from contextlib import suppress

import numpy as np

from ..solution import Lifted, Solution, Unfinished, evaluated


class Record:
    """Keeps the states of a run, or what `observe` says of them, and the last state."""

    def __init__(self, rule, observe, reduction=None, control=None):
        if not isinstance(observe, dict | None):
            raise TypeError(f"observe must be {{name: law}}, but is {observe!r:.60}.")
        self.rule, self.observe = rule, dict(observe or {})
        self.reduction, self.control = reduction, control
        self.ts, self.kept, self.last = [], [], ()
        for name, law in self.observe.items():
            if not callable(law):
                raise TypeError(f"observe[{name!r}] must be a law, but is {law!r:.60}.")
        named = self.observe.values()
        self.seen = [None if reduction is None else reduction.seen(law) for law in named]

    def add(self, t, w):
        if self.reduction is not None:
            self.reduction.check(w, t, self.control)
        if self.observe:
            full = self._lifted(w, t) if None in self.seen else ()
            both = zip(self.observe.values(), self.seen, strict=True)
            row = [evaluated(seen or law, self.rule, w if seen else full, t) for law, seen in both]
            if self.kept and [r.shape for r in row] != [r.shape for r in self.kept[0]]:
                raise ValueError(f"A law observed changed its shape at t = {t:g}.")
        else:
            row = list(w)
        self.kept.append(row)
        self.ts.append(float(t))
        self.last = w

    def _lifted(self, w, t):
        """The full state, of a reduced run."""
        if self.reduction is None:
            return w
        return self.reduction.lift(w, t, self.ts[0] if self.ts else t)

    def add_rest(self, states):
        """Where a run broke off, after the last time kept, what can be kept."""
        # a law observed, or the way back, may be what broke off
        with suppress(ValueError, KeyboardInterrupt, Unfinished):
            for t, w in states:
                if t > self.ts[-1] and all(np.isfinite(W).all() for W in w):
                    self.add(t, w)

    def columns(self, rows=None):
        """What was kept at the first so many times, an array for each matrix or observable."""
        return tuple(map(np.stack, zip(*self.kept[:rows], strict=True)))

    def solution(self, rule, task, made, kinks=None):
        stacked = self.columns()
        observed = dict(zip(self.observe, stacked, strict=True)) if self.observe else {}
        ts, w, last = np.array(self.ts), stacked, self._lifted(self.last, self.ts[-1])
        if self.reduction is not None:
            w = Lifted(stacked, ts, self.reduction)
        return Solution(ts, () if self.observe else w, rule, task, made, observed, last, kinks)
