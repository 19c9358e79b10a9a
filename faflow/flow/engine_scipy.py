"""The SciPy engine: ready at once, for single runs."""

from functools import cache
from importlib.metadata import version

import numpy as np

from .control import decays, excess, judged
from .tape import taped

SOLVERS = {"dop853": "DOP853", "rk45": "RK45", "rk23": "RK23", "radau": "Radau"}


@cache  # versions are read from files
def name():
    return f"scipy {version('scipy')}"


def order(solver):
    """Powers of the step that its error estimate falls with, or None for an implicit solver."""
    import scipy.integrate

    method = getattr(scipy.integrate, SOLVERS[solver])
    return method.error_estimator_order + 1 if hasattr(method, "A") else None


def stepper(rule, task, t, w, *, solver, control, beside=None):
    """A run from the state `w` at time `t`.

    control: what steps are accepted; it is left as the last step leaves it.
    beside: norms of what lies beside each matrix of a reduced state, which only decays.
    """
    kind = Implicit if solver == "radau" else Explicit
    return kind(rule, task, t, w, solver=solver, control=control, beside=beside)


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
    """The velocity of what is in ``work``, a vector."""

    def __init__(self, rule, task, layout, y):
        self.layout, self.work = layout, y.copy()
        self.inside = layout.parts(self.work)
        self.velocity = taped(rule, task, self.inside) or (lambda: rule(task, self.inside))
        self.decays = decays(rule, self.inside) if layout.more else None

    def into(self, row, places):
        """Write it to `row`, whose matrices are `places`."""
        for place, V in zip(places, self.velocity(), strict=True):
            place[...] = V
        if self.decays is not None:
            last = self.layout.ends - 1
            row[last] = -self.decays * self.work[last]


class Pair:
    """Steps of an embedded explicit pair by SciPy's tableau, and norms of their errors.

    Rows of K: the state, the velocities of the stages, and that at the end of the step.
    """

    def __init__(self, method, field):
        self.field, layout = field, field.layout
        self.stages = len(method.B)
        self.whole = np.zeros((self.stages + 1, self.stages + 1))
        self.whole[:-1, 1 : 1 + method.A.shape[1]], self.whole[-1, 1:] = method.A, method.B
        self.E = np.stack([method.E5, method.E3]) if hasattr(method, "E5") else method.E[None]
        self.ahead = bool(self.E[:, -1].any())  # whether the error looks at the next velocity
        self.K = np.zeros((self.stages + 2, layout.size))
        self.out = [layout.parts(row) for row in self.K]

    def velocity(self, row, y=None):
        """Evaluate the velocity at `y`, or at what is at work."""
        if y is not None:
            self.field.work[:] = y
        self.field.into(self.K[row], self.out[row])

    def attempt(self, y, h):
        """The end of a step from `y`, where the first velocity is that at `y`, and its errors."""
        K, work = self.K, self.field.work
        K[0] = y
        shares = h * self.whole
        shares[:, 0] = 1
        for s in range(1, self.stages):
            np.dot(shares[s, : s + 1], K[: s + 1], out=work)
            self.velocity(s + 1)
        made = shares[-1] @ K[:-1]
        if self.ahead:
            self.velocity(-1, made)
        seen = self.E @ K[1:] if self.ahead else self.E[:, :-1] @ K[1:-1]
        errors = h * self.field.layout.norms(seen)
        if len(errors) == 1:
            return made, errors[0]
        fifth, third = errors  # mixed as in Hairer's DOP853
        mixed = np.hypot(fifth, 0.1 * third)
        return made, np.divide(fifth**2, mixed, out=np.zeros_like(mixed), where=mixed != 0)

    def accept(self, y):
        """Make ready for a step from `y`, where the last attempt ended."""
        if not self.ahead:
            self.velocity(-1, y)
        self.K[1] = self.K[-1]


class Explicit:
    """A run on its way by an explicit pair, at the state ``w`` at time ``t``."""

    first = 16  # steps before the run is looked at

    def __init__(self, rule, task, t, w, *, solver, control, beside=None):
        import scipy.integrate

        self.control, self.layout = control, Layout(w, beside)
        self.now = t, self.layout.packed(w, beside)
        field = Field(rule, task, self.layout, self.now[1])
        self.pair, self.order = (
            Pair(getattr(scipy.integrate, SOLVERS[solver]), field),
            order(solver),
        )
        self.before = self.layout.norms(self.now[1])
        self.reached, self.stuck = [], None
        self.accepted, self.tries, self.evaluations = 0, 0, 1
        with np.errstate(all="ignore"):
            self.pair.velocity(1, self.now[1])

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
        planned = self.control.step or self.control.h
        last = t + planned >= stop
        h = stop - t if last else planned
        if not t + h > t:
            self.stuck = "the step size went to zero"
            return
        made, errors = self.pair.attempt(y, h)
        after = self.layout.norms(made)
        self.tries += 1
        self.evaluations += self.pair.stages
        if not self._stands(h, errors, after):
            return
        self.pair.accept(made)
        self.now, self.before = ((stop if last else t + h), made), after
        self.accepted += 1
        if last:
            self.reached.append((stop, self.layout.parts(made)))

    def _stands(self, h, errors, after):
        control, finite = self.control, np.isfinite(after.sum())
        if control.step is not None:
            self.stuck = None if finite else "a step of this size overflows"
            return finite
        error = float(excess(errors, self.before, after, control.floors, control.rtol))
        stands, control.h, control.previous, control.held = judged(
            h,
            control.h,
            error if finite else np.nan,
            control.previous,
            control.held,
            self.order,
        )
        return stands


class Implicit:
    """A run on its way by SciPy's Radau, which has its own norm and control of errors."""

    first = 1

    def __init__(self, rule, task, t, w, *, solver, control, beside=None):
        import scipy.integrate

        self.layout = Layout(w, beside)
        y = self.layout.packed(w, beside)
        field = Field(rule, task, self.layout, y)

        def velocity(t, y):
            field.work[:], out = y, np.empty_like(y)
            field.into(out, self.layout.parts(out))
            return out

        lengths = np.diff(self.layout.ends, prepend=0)
        self.solver = getattr(scipy.integrate, SOLVERS[solver])(
            velocity,
            t,
            y,
            np.inf,
            rtol=control.rtol,
            atol=np.repeat(control.floors / np.sqrt(lengths - self.layout.more), lengths),
            first_step=control.h,
        )
        self.reached, self.stuck = [], None
        self.accepted, self.tries = 0, None

    t = property(lambda self: self.solver.t)
    w = property(lambda self: self.layout.parts(self.solver.y))
    beside = property(lambda self: self.layout.beside(self.solver.y))
    evaluations = property(lambda self: self.solver.nfev)

    def advance(self, stops, most):
        """Go on to `stops` in at most so many steps, adding the states at those `reached`."""
        with np.errstate(all="ignore"):
            for _ in range(most):
                if len(self.reached) == len(stops) or self.stuck:
                    break
                stop = stops[len(self.reached)]
                self.solver.t_bound, self.solver.status = stop, "running"
                self.stuck = self.solver.step()
                self.accepted += not self.stuck
                if self.solver.t == stop:
                    self.reached.append((stop, self.layout.parts(self.solver.y.copy())))
