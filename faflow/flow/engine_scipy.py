"""The SciPy engine: ready at once, for single runs."""

from functools import cache
from importlib.metadata import version

import numpy as np

from . import collocation
from .control import decays, excess, judged
from .methods import Chebyshev, Pair, reach, tableau
from .radius import radius, square
from .stabilised import method
from .vectors import Field, Layout

MOST_IMPLICIT = 5000
"""Numbers of a state up to which implicit methods are for it: their Jacobian has 200 MB then."""

SOLVERS = {"dop853": "DOP853", "rk45": "RK45", "rk23": "RK23", "radau": "Radau"}
SOLVERS |= {"gauss": "Gauss", "rkc2": "RKC2", "rock4": "ROCK4"}
STABILISED = ("rkc2", "rock4")


@cache  # versions are read from files
def name():
    return f"scipy {version('scipy')}"


def order(solver):
    """Powers of the step that its error estimate falls with, or None for an implicit solver."""
    if solver in STABILISED:
        return method(solver).error_order
    if solver == "gauss":
        return collocation.ORDER
    return None if solver == "radau" else tableau(solver).order


@cache
def stable(solver):
    """How far along the negative axis an explicit solver is stable, or None for others."""
    if solver in ("gauss", "radau", *STABILISED):
        return None
    return reach(tableau(solver).A, tableau(solver).b)


def _method(solver, rule, task, w, field, control):
    """What makes the steps of a solver."""
    if solver == "gauss":
        return collocation.Gauss(field)
    if solver not in STABILISED:
        return Pair(tableau(solver), field)
    inputs = None if task.bias else square(task.X)
    bound = lambda w: radius(rule, task, w, inputs=inputs)
    return Chebyshev(solver, field, control.rtol, None if bound(w) is None else bound)


def check_implicit(solver, w, instead):
    """Raise ValueError for a state too large for a solver that forms its Jacobian."""
    entries = sum(W.size for W in w)
    if entries > MOST_IMPLICIT:
        raise ValueError(
            f"{solver} forms the Jacobian of all {entries:,} numbers of the state, and can of up to"
            f" {MOST_IMPLICIT:,}; {instead}."
        )


def stepper(rule, task, t, w, *, solver, control, beside=None, keeping=None):
    """A run from the state `w` at time `t`.

    control: what steps are accepted; it is left as the last step leaves it.
    beside: norms of what lies beside each matrix of a reduced state, which only decays.
    keeping: laws to return to after each step, a `Keeping`.
    """
    given = {"solver": solver, "control": control, "beside": beside}
    if solver == "radau":
        return Implicit(rule, task, t, w, **given)
    return Stepper(rule, task, t, w, keeping=keeping, **given)


class Stepper:
    """A run on its way by an explicit method, at the state ``w`` at time ``t``."""

    first = 16  # steps before the run is looked at

    def __init__(self, rule, task, t, w, *, solver, control, beside=None, keeping=None):
        self.control, self.layout = control, Layout(w, beside)
        self.keeping, self.away, self.corrected = keeping, None, 0.0
        self.now = t, self.layout.packed(w, beside)
        self.field = Field(rule, task, self.layout, self.now[1])
        self.method, self.order = _method(solver, rule, task, w, self.field, control), order(solver)
        self.before = self.layout.norms(self.now[1])
        self.reached, self.stuck = [], None
        self.accepted, self.tries = 0, 0
        with np.errstate(all="ignore"):
            self.method.start(self.now[1])

    evaluations = property(lambda self: self.field.count)
    t = property(lambda self: self.now[0])
    w = property(lambda self: self.layout.parts(self.now[1]))
    beside = property(lambda self: self.layout.beside(self.now[1]))

    def advance(self, stops, most):
        """Go on to `stops` in at most so many tries, adding the states at those `reached`."""
        with np.errstate(all="ignore"):  # a blow-up is found by its values and reported in words
            for _ in range(most):
                if len(self.reached) == len(stops) or self.stuck:
                    break
                self._try(stops[len(self.reached)])

    def _try(self, stop):
        t, y = self.now
        planned = self.control.step or min(self.control.h, self.method.longest)
        last = t + planned >= stop
        h = stop - t if last else planned
        if not t + h > t:
            self.stuck = "the step size went to zero"
            return
        made, errors = self.method.attempt(y, h)
        away = moved = None
        if self.keeping is not None:
            away, moved = self._return(self.keeping, stop if last else t + h, made)
            errors = np.maximum(errors, moved)
        after = self.layout.norms(made)
        self.tries += 1
        if not self._stands(h, planned, errors, after):
            self.method.reject(y)
            return
        self.method.accept(made)
        if moved is not None:
            self.away = np.max([away, away if self.away is None else self.away], axis=0)
            share = excess(moved, self.before, after, self.control.floors, self.control.rtol)
            self.corrected = max(self.corrected, float(share * self.control.rtol))
        self.now, self.before = ((stop if last else t + h), made), after
        self.accepted += 1
        if last:
            self.reached.append((stop, self.layout.parts(made)))

    def _return(self, keeping, t, y):
        """Take `y` to where the laws are kept; how far they were, and norms of what was moved."""
        before, parts = y.copy(), self.layout.parts(y)
        if not np.isfinite(y).all():
            return np.nan, np.inf
        made, away = keeping.returned(t, parts)
        for part, W in zip(parts, made, strict=True):
            part[...] = W
        return np.array(away), self.layout.norms(y - before)

    def _stands(self, h, planned, errors, after):
        control, finite = self.control, np.isfinite(after.sum())
        if control.step is not None:
            self.stuck = None if finite else self.method.said
            return finite
        error = float(excess(errors, self.before, after, control.floors, control.rtol))
        stands, control.h, control.previous, control.held = judged(
            h,
            planned,
            error if finite else np.nan,
            control.previous,
            control.held,
            self.order,
        )
        return stands


def implicit_step(solver):
    """A step of one of SciPy's implicit solvers; why it could not be made, or None."""
    try:
        return solver.step()
    except ValueError as error:
        if "infs or NaNs" not in str(error):  # what its factorisation says of a Jacobian
            raise
        return "the Jacobian of the velocity is not finite."


class Implicit:
    """A run on its way by SciPy's Radau, which has its own norm and control of errors."""

    first = 1

    def __init__(self, rule, task, t, w, *, solver, control, beside=None):
        import scipy.integrate

        # what lies beside takes no part: its columns of the Jacobian would be zero, at which
        # SciPy widens its differences without end
        self.layout, self.start = Layout(w), (t, beside, decays(rule, w))
        y = self.layout.packed(w)
        field = Field(rule, task, self.layout, y)

        lengths = np.diff(self.layout.ends, prepend=0)
        # of a core some matrices have no bounds of their own, and Jacobians need them
        floors = np.where(np.isfinite(control.floors), control.floors, control.floors.min())
        with np.errstate(all="ignore"):
            self.solver = getattr(scipy.integrate, SOLVERS[solver])(
                lambda t, y: field.at(y),
                t,
                y,
                np.inf,
                rtol=control.rtol,
                atol=np.repeat(floors / np.sqrt(np.maximum(1, lengths)), lengths),
                first_step=control.h,
            )
        self.reached, self.stuck = [], None
        self.accepted, self.tries = 0, None

    t = property(lambda self: self.solver.t)
    w = property(lambda self: self.layout.parts(self.solver.y))

    @property
    def beside(self):
        t, beside, rates = self.start
        return None if beside is None else beside * np.exp(-rates * (self.t - t))

    evaluations = property(lambda self: self.solver.nfev)

    def advance(self, stops, most):
        """Go on to `stops` in at most so many steps, adding the states at those `reached`."""
        with np.errstate(all="ignore"):
            for _ in range(most):
                if len(self.reached) == len(stops) or self.stuck:
                    break
                stop = stops[len(self.reached)]
                self.solver.t_bound, self.solver.status = stop, "running"
                self.stuck = implicit_step(self.solver)
                self.accepted += not self.stuck
                if self.solver.t == stop:
                    self.reached.append((stop, self.layout.parts(self.solver.y.copy())))
