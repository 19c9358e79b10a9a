"""One way of stepping for every engine: some steps at a time, looked at from outside."""

import time
from itertools import pairwise

import numpy as np

from ..solution import Unfinished
from .control import first_step, velocity
from .events import find_slide

QUICK = 0.1
"""Seconds of a turn below which the next one is of twice as many steps."""


def march(engine, rule, task, w, ts, *, solver, control, tally, beside=None):
    """(t, state) at each of ``ts[1:]``, starting anew wherever the decay jumps.

    engine: has ``stepper`` and ``order``; beside: norms of what lies beside a reduced state.
    """
    jumps = [t for t in rule.jumps() if ts[0] < t < ts[-1]]
    for start, end in pairwise([ts[0], *jumps, ts[-1]]):
        asked = list(ts[(ts > start) & (ts <= end)])
        stops = asked if asked and asked[-1] == end else [*asked, end]
        piece = rule.at(start)
        if control.h is None:
            _begin(engine, piece, task, w, beside, solver, control, tally, start, ts[-1] - start)
        run = engine.stepper(piece, task, start, w, solver=solver, control=control, beside=beside)
        for t, state in _turns(run, stops, tally):
            if t in asked:
                yield t, state
        w, beside = run.w, run.beside


def _begin(engine, rule, task, w, beside, solver, control, tally, t, longest):
    """Look at the velocity at the start, on which solvers rely, and choose the first step."""
    state = w if beside is None else (*w, beside)
    moved = lambda state: velocity(rule, task, state, len(w))
    with np.errstate(all="ignore"):
        v = moved(state)
        if not all(np.isfinite(V).all() for V in v):
            k = next(k for k, V in enumerate(v) if not np.isfinite(V).all())
            raise Unfinished(f"The velocity of w[{k}] is not finite at the start, t = {t:g}.")
        tally.evaluations += 1
        order = engine.order(solver)
        if control.step is not None or order is None:
            return
        control.h = first_step(moved, state, v, len(w), control, order, longest)
        tally.evaluations += 1
    if not control.h > 0:
        raise Unfinished(f"Stopped at t = {t:g}: no first step can be chosen.")


def _turns(run, stops, tally):
    """Yield (t, state) at each of the stops."""
    many, done = run.first, 0
    tally.watch(run)
    while done < len(stops):
        began = time.perf_counter()
        run.advance(stops[done:], min(many, tally.left))
        done += len(run.reached)
        while run.reached:
            yield run.reached[0]
            run.reached.pop(0)  # only now, to be found where the run is broken off
        tally.look(done == len(stops))
        if time.perf_counter() - began < QUICK:
            many *= 2


class Tally:
    """Counts the steps of a run and ends it when a budget is spent or the flow breaks down."""

    def __init__(self, rule, task, w0, max_steps, max_seconds):
        self.rule, self.task, self.size = rule, task, _size(w0)
        self.max_steps, self.max_seconds = max_steps, max_seconds
        self.evaluations, self.runs = 0, []
        self.began, self.advance, self.start = time.monotonic(), lambda done: None, None

    def watch(self, run):
        """Count the steps of this run, too."""
        self.runs.append(run)
        self.start = run.t if self.start is None else self.start

    def _sum(self, what):
        each = [getattr(run, what) for run in self.runs]
        return None if None in each else sum(each)

    @property
    def accepted(self):
        return self._sum("accepted")

    @property
    def left(self):
        """Steps that may be tried before the budget is looked at."""
        return max(1, self.max_steps + 1 - self.accepted) if self.max_steps else 2**62

    def rest(self, ts):
        """(t, state) that were reached and are not yet yielded, and where the run is."""
        if not self.runs:
            return []
        run = self.runs[-1]
        return [*((t, w) for t, w in run.reached if t in ts), (run.t, run.w)]

    def counts(self):
        accepted, tries, seen = map(self._sum, ("accepted", "tries", "evaluations"))
        rejected = None if tries is None else tries - accepted
        return {
            "accepted": accepted,
            "rejected": rejected,
            "evaluations": seen + self.evaluations,
        }

    def look(self, done):
        """Raise `Unfinished` if the run cannot or must not go on from where it is."""
        run = self.runs[-1]
        self.advance(run.t - self.start)
        if done:
            return
        size = _size(run.w)
        taken = f"Stopped at t = {run.t:.6g} after {self.accepted} steps"
        if not np.isfinite(size) or (run.stuck and size > 1e3 * max(1.0, self.size)):
            raise Unfinished(
                f"{taken}: the weights blow up; their norm was {self.size:.3g} at the start and"
                f" is {size:.3g}.  The flow seems to end in finite time near there."
            )
        if self.max_seconds is not None and time.monotonic() - self.began > self.max_seconds:
            raise Unfinished(f"{taken}: the budget of {self.max_seconds:g} seconds is spent.")
        if run.stuck or (self.max_steps and self.accepted > self.max_steps):
            why = f"the solver says: {run.stuck}" if run.stuck else "the budget of steps is spent"
            raise Unfinished(f"{taken}: {why}.{self._kink(run)}")

    def _kink(self, run):
        if self.task.smooth:
            return ""
        slide = find_slide(self.rule.at(run.t), self.task, run.w)
        seen = f"  It slides: {slide}." if slide else ""
        return (
            f"{seen}  Flows of piecewise linear networks can slide along a kink for ever, which"
            " error control cannot pass: use fixed steps, such as step=1e-3, a smooth activation"
            " such as softplus(50), or discrete steps by iterate."
        )


def _size(w):
    with np.errstate(over="ignore"):
        return float(np.sqrt(sum(np.sum(W**2) for W in w)))
