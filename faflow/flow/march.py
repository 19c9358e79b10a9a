"""One way of stepping for every engine: some steps at a time, looked at from outside."""

import time
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import sqrt
from typing import Any

import numpy as np

from ..solution import Unfinished
from .checkpoint import Before
from .control import first_step, velocity
from .events import find_slide
from .stabilised import differences, direction, power_iteration

QUICK = 0.1
"""Seconds of a turn below which the next one is of twice as many steps."""

LOOK = 64
"""Tries until it is first asked whether stability limits the steps; then after twice as many."""

WORTH = 300
"""Time to go, over that of the fastest decay, from which a stabilised method pays."""


def march(
    engine,
    rule,
    task,
    w,
    ts,
    *,
    solver,
    control,
    tally,
    relief=None,
    beside=None,
    keeping=None,
    rest=None,
    standing=None,
    stands=None,
):
    """(t, state) at each of ``ts[1:]``, starting anew wherever the decay jumps.

    engine: has ``stepper``, ``order`` and ``stable``.  relief: a stabilised solver to go over to
    where stability limits the steps.  beside: norms of what lies beside a reduced state.  keeping:
    laws to return to after each step, a `Keeping`.  rest: the share of its first velocity at which
    a run ends, with the state reached.
    standing: a `Standing` to go on from.  stands: ``stands(run, limit)``, called between steps,
    when all that was reached before was yielded.
    """
    if standing is not None:
        w, beside, solver = standing.w, standing.beside, standing.solvers[-1][0]
        if standing.rested:
            return
    jumps = [t for t in rule.jumps() if ts[0] < t < ts[-1]]
    for start, end in pairwise([ts[0], *jumps, ts[-1]]):
        piece = rule.at(start)
        if keeping is not None:
            keeping = keeping.on(piece, start)
        if standing is not None and standing.t >= end:
            continue
        inside = standing is not None and standing.t > start
        start = standing.t if inside else start
        asked = list(ts[(ts > start) & (ts <= end)])
        stops = asked if asked and asked[-1] == end else [*asked, end]
        if tally.first is None:
            _begin(engine, piece, task, w, beside, solver, control, tally, start, ts[-1] - start)
        make = partial(engine.stepper, piece, task, control=control)
        if keeping is not None:
            make = partial(make, keeping=keeping)
        tally.watch(make(start, w, solver=solver, beside=beside), solver)
        limit = None
        if relief not in (None, solver):
            limit = Limit(piece, task, stops[-1], engine.stable(solver))
            if standing is not None and inside and standing.limit:
                limit.resume(standing.limit)
        resting, last = rest and (piece, task, rest), None
        for t, state in _turns(make, stops, tally, limit, relief, resting, stands):
            if (t in asked or tally.rested) and t != last:  # rest may be met at a time asked for
                last = t
                yield t, state
        if tally.rested:
            return
        solver, w, beside = tally.solvers[-1][0], tally.run.w, tally.run.beside


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
        tally.first = _speed(tally, v, len(w))
        order = engine.order(solver)
        if control.step is not None or order is None or control.h is not None:
            return
        control.h = first_step(moved, state, v, len(w), control, order, longest)
        tally.evaluations += 1
    if not control.h > 0:
        raise Unfinished(f"Stopped at t = {t:g}: no first step can be chosen.")


def _turns(make, stops, tally, limit, relief, rest, stands):
    """Yield (t, state) at each of the stops, and where the flow comes to rest."""
    many, done = tally.run.first, 0
    if tally.max_steps and tally.accepted >= tally.max_steps:
        tally.look(not stops)
    while done < len(stops):
        run, began = tally.run, time.perf_counter()
        every, before = min(LOOK, run.first), tally.made  # counts, so that a break changes nothing
        looks = every - before % every if rest else many
        most = min(many, tally.left, limit.left(run) if limit else many, looks)
        run.advance(stops[done:], most)
        done += len(run.reached)
        while run.reached:
            yield run.reached[0]
            run.reached.pop(0)  # only now, to be found where the run is broken off
        if limit and done < len(stops) and limit.met(run, tally):
            tally.watch(make(run.t, run.w, solver=relief, beside=run.beside), relief)
            limit, many, run = None, tally.run.first, tally.run
        elif time.perf_counter() - began < QUICK:
            many *= 2
        due = rest and (tally.made // every > before // every or done == len(stops))
        if due and _rests(*rest, run, tally):
            tally.rested = True
            yield run.t, run.w
            return
        if stands is not None:
            stands(run, limit)
        tally.look(done == len(stops))


def _rests(rule, task, share, run, tally):
    """Whether the velocity is down to this share of the first one."""
    tally.evaluations += 1
    with np.errstate(all="ignore"):
        if hasattr(run, "velocity"):
            return _size(run.velocity) <= share * tally.first
        w, beside = run.w, run.beside
        v = velocity(rule, task, w if beside is None else (*w, beside), len(w))
        return _speed(tally, v, len(w)) <= share * tally.first


def _speed(tally, v, many):
    """The norm of the velocity of the full problem, from that of a reduced one."""
    return float(np.hypot(_size(tally.measured(v[:many])), _size(v[many:])))


@dataclass
class Limit:
    """Whether steps are as long as stability allows, and not as long as their errors do.

    stable: how far along the negative axis the solver is stable.
    Asked at numbers of tries that double, so that runs repeat themselves, whatever their speed.
    """

    rule: Any
    task: Any
    end: float
    stable: float
    look: int = LOOK
    since: tuple = ()
    before: int = 0

    def left(self, run):
        """Tries until it is asked."""
        self.since = self.since or (run.t, run.accepted)
        return max(1, self.look - self.before - run.tries)

    def stands(self, run):
        """What it goes on from after a run was broken off here, as plain values."""
        t, accepted = self.since
        return [self.look, self.before + run.tries, float(t), accepted - run.accepted]

    def resume(self, standing):
        """Go on from where it stood; before: tries made by then."""
        self.look, self.before, *since = standing
        self.since = tuple(since)

    def met(self, run, tally):
        if self.before + run.tries < self.look or run.stuck:
            return False
        (t, accepted), self.since = self.since, (run.t, run.accepted)
        self.look *= 2
        if run.accepted == accepted:
            return False
        with np.errstate(all="ignore"):
            field = lambda t, w: tuple(self.rule(self.task, w))
            v = field(run.t, run.w)
            apply = differences(field, run.t, run.w, v)
            rate, way, count = power_iteration(apply, direction(v))
            bent = sum(float(np.sum(V * U)) for V, U in zip(way, apply(way), strict=True))
        tally.evaluations += 2 + count
        if not bent < -rate / 2:  # growing or turning round, where explicit steps are as long
            return False
        step = (run.t - t) / (run.accepted - accepted)
        return step * rate > 0.9 * self.stable and (self.end - run.t) * rate > WORTH


class Tally:
    """Counts the steps of a run and ends it when a budget is spent or the flow breaks down.

    measured: the matrices of a state whose norms are told; without it all.
    followed: whether kinks are, so that they are no reason for a run to end.
    """

    def __init__(self, rule, task, w0, max_steps, max_seconds, measured=None, followed=False):
        self.rule, self.task = rule, task
        self.measured, self.followed = measured or (lambda w: w), followed
        self.size = _size(self.measured(w0))
        self.max_steps, self.max_seconds = max_steps, max_seconds
        self.evaluations, self.runs, self.solvers = 0, [], []
        self.first, self.rested = None, False
        self.began, self.advance, self.start = time.monotonic(), lambda done: None, None
        self.before, self.spent = [], False

    run = property(lambda self: self.runs[-1])

    def watch(self, run, solver):
        """Count the steps of this run, too."""
        self.runs.append(run)
        if not self.solvers or self.solvers[-1][0] != solver:
            self.solvers.append((solver, run.t))
        self.start = run.t if self.start is None else self.start

    def resume(self, standing, start):
        """Count on from where a run was broken off that began at the time `start`."""
        counts = standing.counts | {"away": standing.away, "corrected": standing.corrected}
        self.before = [Before(**counts)]
        self.solvers = [(name, t) for name, t in standing.solvers]
        self.first, self.rested, self.start = standing.first, standing.rested, start

    def _sum(self, what):
        each = [getattr(run, what) for run in (*self.before, *self.runs)]
        return None if None in each else sum(each)

    @property
    def accepted(self):
        return self._sum("accepted")

    @property
    def left(self):
        """Steps that may be tried before the budget is looked at."""
        return max(1, self.max_steps - self.accepted) if self.max_steps else 2**62

    @property
    def made(self):
        """Steps tried, or made where it is not known how many were tried."""
        tries = self._sum("tries")
        return self.accepted if tries is None else tries

    def corrections(self):
        """How far steps left the laws kept, at most, and the largest share that one was moved."""
        runs = [r for r in (*self.before, *self.runs) if getattr(r, "away", None) is not None]
        if not runs:
            return None, 0.0
        return np.max([run.away for run in runs], axis=0), max(run.corrected for run in runs)

    def totals(self):
        """What was done so far, as plain values."""
        names = "accepted", "tries", "evaluations"
        accepted, tries, evaluations = map(self._sum, names)
        return dict(zip(names, (accepted, tries, evaluations + self.evaluations), strict=True))

    def rest(self, ts):
        """(t, state) that were reached and are not yet yielded, and where the run is."""
        if not self.runs:
            return []
        return [*((t, w) for t, w in self.run.reached if t in ts), (self.run.t, self.run.w)]

    def counts(self):
        made = self.totals()
        tries = made.pop("tries")
        rejected = None if tries is None else tries - made["accepted"]
        return {"accepted": made["accepted"], "rejected": rejected, **made}

    def solver(self):
        """Which solvers ran, from when on."""
        first, *others = self.solvers
        if others and self.runs and not self.runs[-1].accepted and others[-1][1] == self.run.t:
            others.pop()  # it has taken no step
        return first[0] + "".join(f", from t = {t:.6g} {name}" for name, t in others)

    def look(self, done):
        """Raise `Unfinished` if the run cannot or must not go on from where it is."""
        run = self.run
        self.advance(run.t - self.start)
        if done:
            return
        size = _size(self.measured(run.w))
        taken = f"Stopped at t = {run.t:.6g} after {self.accepted} steps"
        if not np.isfinite(size) or (run.stuck and size > 1e3 * max(1.0, self.size)):
            raise Unfinished(
                f"{taken}: the weights blow up; their norm was {self.size:.3g} at the start and"
                f" is {size:.3g}.  The flow seems to end in finite time near there."
            )
        if self.max_seconds is not None and time.monotonic() - self.began > self.max_seconds:
            self.spent = True
            raise Unfinished(f"{taken}: the budget of {self.max_seconds:g} seconds is spent.")
        if run.stuck or (self.max_steps and self.accepted >= self.max_steps):
            why = "the budget of steps is spent"
            why = f"the solver says: {run.stuck.rstrip('.')}" if run.stuck else why
            self.spent = not run.stuck
            raise Unfinished(f"{taken}: {why}.{self._kink(run)}")

    def _kink(self, run):
        if self.task.smooth or self.followed:
            return ""
        slide = find_slide(self.rule.at(run.t), self.task, run.w)
        seen = f"  It slides: {slide}." if slide else ""
        return (
            f"{seen}  Flows of piecewise linear networks can slide along a kink for ever, which"
            " error control cannot pass: use fixed steps, such as step=1e-3, a smooth activation"
            " such as softplus(50), or discrete steps by iterate."
        )


def _size(w):
    return sqrt(sum(float(np.vdot(W, W)) for W in w))
