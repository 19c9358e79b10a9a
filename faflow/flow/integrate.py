"""Integrate a rule as an ODE in its matrices: the verb."""

import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np

from ..progress import progress
from ..solution import Interrupted, Lifted, Solution, Unfinished, evaluated
from . import engine_scipy
from .checks import ready, times
from .choice import default_solver, engine_of, is_number, relief, tolerances
from .control import Control
from .keeping import Monitor, keeping_of
from .march import Tally, march
from .path import Path
from .reduce import reduce as reduced
from .reduce import spaces
from .sliding import Follower, chosen
from .smoothed import sharpness, smoothed


def integrate(
    rule,
    task,
    w0,
    ts,
    *,
    engine="auto",
    solver=None,
    rtol=None,
    atol=None,
    step=None,
    kinks=None,
    keep="monitor",
    until=None,
    max_steps=20_000,
    max_seconds=None,
    observe=None,
    reduce="auto",
    show_progress=None,
):
    """Solve dw/dt = rule(task, w) from `w0`, with a solver step ending exactly at every time.

    w0: the state at ``ts[0]``, a tuple of matrices; ts: increasing times, in units of
        1/learning rate.  A piecewise decay is met by restarting at its jumps.
    engine: scipy, diffrax, or auto: diffrax when JAX has an accelerator, else scipy.
    solver: dop853, rk45, rk23 or radau (SciPy), tsit5, dopri5, dopri8 or bosh3 (diffrax, compiled
        for some seconds first), rkc2 or rock4 (either: stabilised, for stiff flows).  None takes
        dop853, or tsit5 and, for rtol below 1e-7, dopri8, and goes over to a stabilised one where
        stability limits the steps, as ``made["solver"]`` says then.
    rtol, atol: relative and absolute tolerance; 1e-10, or 1e-5 where kinks are ignored, and a
        hundredth of rtol.  Errors are measured by matrices: the largest, over those of the state,
        of the Frobenius norm of its error over ``atol √entries + rtol |W|``.
    step: fixed steps of this size, shortened to end at every time, in place of error control.
    kinks: of a piecewise linear network.  "slide" follows the flow through them and, where both
        sides push back, along them, exactly, and records it as ``.kinks`` of the solution; "stop"
        ends the run where it first slides; "smooth" rounds them off (errors of a percent);
        "ignore" takes them for smooth, by a method of low order.  None takes "slide" for SciPy,
        activations of degree 1 and one layer with kinks, "stop" for more, where what slides is not
        always told by its kinks; and "ignore" otherwise.  Up to 20,000 units times samples.
    keep: conserved quantities.  "monitor" tells in ``made["drift"]`` how far those known of the
        rule were from their values at the times asked for; "all" returns to them after each step,
        as near to where it ended as can be, and a law of `faflow.laws` to that one.  Their drift is
        then rounding, and what a step had left them by is in ``made["away"]``, each at its
        largest.  Corrections count as errors of the step.  Laws that decay with the weights keep
        to their decay.  None looks at none.
    until: "steady" ends the run, before its last time, where the norm of the velocity is down to
        rtol of that at the start, or to the share of it given as a number.  Looked at every 16
        steps of SciPy, 64 of diffrax.
    max_steps, max_seconds: budgets of the whole run.
    observe: ``{name: law}`` recorded at every time instead of the weights.
    reduce: "auto" integrates a smaller problem with exactly the same flow, where `faflow.reduce`
        finds one, and says so in ``made``; full weights are made when they are asked for.
    show_progress: a bar on long runs; None shows it on a terminal.
    Returns a `Solution`.  Raises ValueError or TypeError for bad input; `Unfinished` (a
    RuntimeError) if a budget ends, the weights blow up or the flow slides along a kink; and
    `Interrupted` on Ctrl-C.  Both carry the partial solution, up to the time reached, as
    ``.solution``.
    """
    w0, ts = ready(rule, task, w0), times(ts)
    rule.check_times(ts)
    engine, solver = engine_of(engine, solver)
    follows = engine is engine_scipy and solver in (None, "dop853", "rk45")
    kinks = chosen(kinks, rule, task, w0, follows, step)
    rtol = (1e-5 if kinks == "ignore" else 1e-10) if rtol is None else rtol
    atol = rtol / 100 if atol is None and is_number(rtol) else atol
    controlled = tolerances(rtol, atol)
    budgets = {"step": step, "max_steps": max_steps, "max_seconds": max_seconds}
    for what, value in budgets.items():
        if not (value is None or (is_number(value) and value > 0)):
            raise ValueError(f"{what} must be a positive number, but is {value!r}.")
    if max_steps is not None and max_steps != int(max_steps):
        raise ValueError(f"max_steps must be a whole number, but is {max_steps!r}.")
    max_steps = max_steps and int(max_steps)
    if step is not None and solver in ("radau", *engine_scipy.STABILISED):
        raise ValueError(f"{solver} takes no fixed steps; leave step= or choose dop853 or rk45.")
    relieved = relief(solver, rtol, step, kinks)
    solver = solver or default_solver(engine, rtol, kinks)
    began = time.perf_counter()
    reduction = _reduction(reduce, rule, task, w0, keep)
    path = Path() if kinks in ("slide", "stop") else None
    stepping = engine
    if path is not None:
        make = partial(Follower, path=path, stop=kinks == "stop")
        stepping = SimpleNamespace(stepper=make, order=engine.order)
    run, sizes, beside = (rule, task, w0), [W.size for W in w0], None
    if kinks == "smooth":
        run = rule, smoothed(task, sharpness(rule, task, w0)), w0
    if reduction is not None:
        run, beside = (reduction.rule, reduction.task, reduction.w0), reduction.beside
        sizes = reduction.sizes
    control = Control.of(**controlled, sizes=sizes, step=step)
    record = Record(rule, observe, reduction, control)
    rest = _share(until, controlled["rtol"])
    keeping = keeping_of(keep, *run, ts, solver, path)
    monitor = Monitor(keeping, run[0])
    record.add(ts[0], run[-1])
    measured = None if reduction is None else reduction.measured
    tally = Tally(*run, max_steps, max_seconds, measured)

    def solution():
        chosen = tally.solver() if tally.solvers else solver
        made = {"engine": engine.name(), "solver": chosen, **tally.counts()}
        made |= controlled if step is None else {"step": float(step)}
        made |= {} if reduction is None else {"reduced": str(reduction)}
        made |= monitor.told(tally.runs)
        made |= {} if rest is None else {"steady": tally.rested}
        made |= {"kinks": _met(kinks, path, run[1])} if kinks else {}
        made |= {"seconds": time.perf_counter() - began}
        return replace(record.solution(rule, task, made), kinks=path)

    with progress(ts[-1] - ts[0], "integrating", show_progress) as tally.advance:
        try:
            steps = {"solver": solver, "control": control, "tally": tally, "beside": beside}
            steps["rest"] = rest
            steps |= {"relief": relieved, "keeping": None if keep == "monitor" else keeping}
            for t, w in march(stepping, *run, ts, **steps):
                monitor.look(t, w)
                record.add(t, w)
        except (Unfinished, KeyboardInterrupt) as stop:
            wrong = stop if isinstance(stop, Unfinished) else Interrupted("Stopped by Ctrl-C.")
            record.add_rest(tally.rest(ts))
            wrong.solution = solution()
            raise wrong from None
    return solution()


def _reduction(asked, rule, task, w0, keep):
    """The reduction to integrate by, or None."""
    if asked not in ("auto", "none"):
        raise ValueError(f"Unknown reduce {asked!r}; choose from auto, none.")
    if asked == "none":
        return None
    return (reduced if keep in (None, "monitor") else spaces)(rule, task, w0) or None


def _share(until, rtol):
    """The share of the first velocity that counts as rest, or None."""
    if until is None:
        return None
    if until == "steady":
        return rtol
    if not (is_number(until) and 0 < until < 1):
        raise ValueError(f"until must be 'steady' or a share between 0 and 1, but is {until!r}.")
    return float(until)


def _met(kinks, path, task):
    """How kinks were met, in words."""
    if kinks == "smooth":
        return f"rounded off: {', '.join(phi.name for phi in task.activations)}"
    return "ignored" if path is None else str(path)


class Record:
    """Keeps the states of a run, or what `observe` says of them, and the last state."""

    def __init__(self, rule, observe, reduction=None, control=None):
        self.rule, self.observe = rule, dict(observe or {})
        self.reduction, self.control = reduction, control
        self.ts, self.kept, self.last = [], [], ()
        for name, law in self.observe.items():
            if not callable(law):
                raise TypeError(f"observe[{name!r}] must be a law, but is {law!r:.60}.")

    def add(self, t, w):
        if self.reduction is not None:
            self.reduction.check(w, t, self.control)
        if self.observe:
            full = self._lifted(w, t)
            row = [evaluated(law, self.rule, full, t) for law in self.observe.values()]
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

    def solution(self, rule, task, made):
        stacked = tuple(map(np.stack, zip(*self.kept, strict=True)))
        observed = dict(zip(self.observe, stacked, strict=True)) if self.observe else {}
        ts, w, last = np.array(self.ts), stacked, self._lifted(self.last, self.ts[-1])
        if self.reduction is not None:
            w = Lifted(stacked, ts, self.reduction)
        return Solution(ts, () if self.observe else w, rule, task, made, observed, last)
