"""Integrate a rule as an ODE in its matrices: the verb."""

import sys
import time
from contextlib import suppress
from importlib.util import find_spec

import numpy as np

from ..extras import needs
from ..progress import progress
from ..solution import Interrupted, Lifted, Solution, Unfinished, evaluated
from . import engine_diffrax, engine_scipy
from .checks import ready, times
from .control import Control
from .march import Tally, march
from .reduce import reduce as reduced

SOLVERS = [*dict.fromkeys([*engine_scipy.SOLVERS, *engine_diffrax.SOLVERS])]
COARSE = 1e-5
"""Relative tolerances above this are reached with fewer evaluations by RKC2 than by ROCK4."""


def integrate(
    rule,
    task,
    w0,
    ts,
    *,
    engine="auto",
    solver=None,
    rtol=1e-10,
    atol=1e-12,
    step=None,
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
    step: fixed steps of this size, shortened to end at every time, in place of error control by
        rtol and atol: for piecewise linear networks, whose flows slide along kinks.
    max_steps, max_seconds: budgets of the whole run.
    observe: ``{name: law}`` recorded at every time instead of the weights.
    reduce: "auto" integrates a smaller problem with exactly the same flow, where `faflow.reduce`
        finds one, and says so in ``made``; full weights are made when they are asked for.
    Errors are measured by matrices: the largest, over those of the state, of the Frobenius norm of
    the error over ``atol √entries + rtol |W|``.
    show_progress: a bar on long runs; None shows it on a terminal.
    Returns a `Solution`.  Raises ValueError or TypeError for bad input; `Unfinished` (a
    RuntimeError) if a budget ends, the weights blow up or the flow slides along a kink; and
    `Interrupted` on Ctrl-C.  Both carry the partial solution, up to the time reached, as
    ``.solution``.
    """
    w0, ts = ready(rule, task, w0), times(ts)
    rule.check_times(ts)
    tolerances(rtol, atol)
    engine, solver, relief = _chosen(engine, solver, rtol, step, task)
    budgets = {"step": step, "max_steps": max_steps, "max_seconds": max_seconds}
    for what, value in budgets.items():
        if not (value is None or (_is_number(value) and value > 0)):
            raise ValueError(f"{what} must be a positive number, but is {value!r}.")
    if step is not None and solver in ("radau", *engine_scipy.STABILISED):
        raise ValueError(f"{solver} takes no fixed steps; leave step= or choose dop853 or rk45.")
    began = time.perf_counter()
    reduction = _reduction(reduce, rule, task, w0)
    run, sizes, beside = (rule, task, w0), [W.size for W in w0], None
    if reduction is not None:
        run, beside = (reduction.rule, reduction.task, reduction.w0), reduction.beside
        sizes = reduction.sizes
    control = Control.of(rtol, atol, sizes, step)
    record = Record(rule, observe, reduction, control)
    record.add(ts[0], run[-1])
    measured = None if reduction is None else reduction.measured
    tally = Tally(*run, max_steps, max_seconds, measured)

    def solution():
        chosen = tally.solver() if tally.solvers else solver
        made = {"engine": engine.name(), "solver": chosen, **tally.counts()}
        controlled = {"rtol": float(rtol), "atol": float(atol)}
        made |= controlled if step is None else {"step": float(step)}
        made |= {} if reduction is None else {"reduced": str(reduction)}
        made |= {"seconds": time.perf_counter() - began}
        return record.solution(rule, task, made)

    with progress(ts[-1] - ts[0], "integrating", show_progress) as tally.advance:
        try:
            steps = {"solver": solver, "control": control, "tally": tally, "beside": beside}
            steps["relief"] = relief
            for t, w in march(engine, *run, ts, **steps):
                record.add(t, w)
        except (Unfinished, KeyboardInterrupt) as stop:
            wrong = stop if isinstance(stop, Unfinished) else Interrupted("Stopped by Ctrl-C.")
            record.add_rest(tally.rest(ts))
            wrong.solution = solution()
            raise wrong from None
    return solution()


def tolerances(rtol, atol):
    """Both by their names, checked."""
    made = {"rtol": rtol, "atol": atol}
    for what, value in made.items():
        least = 100 * np.finfo(float).eps if what == "rtol" else 0
        if not (_is_number(value) and least <= value < 1 and value > 0):
            raise ValueError(f"{what} must be between 0 and 1, but is {value!r}.")
    return made


def _reduction(asked, rule, task, w0):
    """The reduction to integrate by, or None."""
    if asked not in ("auto", "none"):
        raise ValueError(f"Unknown reduce {asked!r}; choose from auto, none.")
    found = reduced(rule, task, w0) if asked == "auto" else None
    return found or None


def _is_number(value):
    return isinstance(value, int | float | np.number) and np.isfinite(value)


def _chosen(engine, solver, rtol, step, task):
    """The engine's module, the solver's name, and that of what relieves it, if it was not named."""
    if engine not in ("auto", "scipy", "diffrax"):
        raise ValueError(f"Unknown engine {engine!r}; choose from auto, scipy, diffrax.")
    if solver is not None and solver not in SOLVERS:
        raise ValueError(f"Unknown solver {solver!r}; choose from {', '.join(SOLVERS)}.")
    if engine == "auto":
        if solver is None:
            engine = "diffrax" if _accelerated() else "scipy"
        else:
            engine = "scipy" if solver in engine_scipy.SOLVERS else "diffrax"
    module = engine_scipy if engine == "scipy" else engine_diffrax
    if module is engine_diffrax:
        needs("diffrax", "jax")
    relief = None
    if solver is None and step is None and task.smooth:
        relief = "rkc2" if rtol > COARSE else "rock4"
    if solver is None:
        solver = "dop853" if engine == "scipy" else "dopri8" if rtol < 1e-7 else "tsit5"
    if solver not in module.SOLVERS:
        known = ", ".join(module.SOLVERS)
        raise ValueError(f"The engine {engine} has no solver {solver!r}; choose from {known}.")
    return module, solver, relief


def _accelerated():
    """Whether to ask JAX for an accelerator: only if one can be there, since asking is slow."""
    plugins = ("jax_cuda12_plugin", "jax_cuda13_plugin", "jax_rocm7_plugin", "libtpu")
    if find_spec("diffrax") is None:
        return False
    if "jax" not in sys.modules and not any(map(find_spec, plugins)):
        return False
    return engine_diffrax.has_accelerator()


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
