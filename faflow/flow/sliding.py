"""Follow the flow of a piecewise linear network through its kinks and along them."""

from functools import cache

import numpy as np

from ..derivatives import flat
from ..solution import Unfinished
from .crossings import TOUCH, ends, first_exit, next_crossing
from .engine_scipy import SOLVERS
from .path import Path
from .patterns import settle
from .pieces import Piece, merged

LIMIT = 50_000
"""Most pre-activations, units times samples, that are followed one by one."""

CROWD = 1000
"""Events at times not told apart after which a run is given up."""


def slide(rule, task, w0, ts, *, solver, rtol, atol, tally, step=None, path=None, stop=False):
    """Yield the state at each of ``ts[1:]``, a solver step ending exactly there and at every kink.

    Between kinks the solver sees a smooth field.  Where a pre-activation reaches its kink it
    passes, or slides along it with the slope that keeps it there, until that slope is one of the
    two sides'.
    path: a `Path` that records this, and from which a run goes on that ended at ``ts[0]``.
    stop: raise `Unfinished` where the flow first slides.
    """
    path = Path() if path is None else path
    march = March(rule, task, w0, path, tally, stop)
    march.start(w0, ts, solver, {"rtol": rtol, "atol": atol}, step)
    for t in ts[1:]:
        march.reach(t)
        path.t, path.masks = t, march.masks()
        yield march.state()


class March:
    """A solver and the piece that it is in."""

    def __init__(self, rule, task, w0, path, tally, stop):
        self.rule, (self.task, self.groups) = rule, merged(rule, task)
        self.path, self.tally, self.stop = path, tally, stop
        self.shapes, self.cuts = [W.shape for W in w0], np.cumsum([0] + [W.size for W in w0])
        self.crowd, self.counted, self.tries = (None, 0), 0, 0

    def unpack(self, y):
        parts = zip(self.cuts[:-1], self.cuts[1:], self.shapes, strict=True)
        return tuple(y[a:b].reshape(shape) for a, b, shape in parts)

    def start(self, w0, ts, solver, control, step):
        import scipy.integrate

        method, self.stages = SOLVERS[solver]
        t, side = float(ts[0]), self.path.side if self.path.t == ts[0] else None
        self.piece = piece = Piece(self.rule, self.task, w0, side)
        at = (abs(piece.z(w0)) <= TOUCH * piece.sizes(w0)) | (piece.side == 0)
        v = settle(piece, w0, at)
        (self.path.begin if side is None else self.path.turn)(t, piece.side, self._place)
        self.step, self.control = step, control
        if step is not None:
            control = {"rtol": 1e100, "atol": 1e100, "max_step": step}
        first = None if step is None else min(step, float(ts[-1]) - t)
        field = lambda _, y: flat(self.piece.velocity(self.unpack(y)))
        with np.errstate(all="ignore"):
            make = getattr(scipy.integrate, method)
            self.solver = make(field, t, flat(w0), float(ts[-1]), first_step=first, **control)
        if not self.solver.h_abs > 0:  # nan where the velocity overflows near the start
            self.tally.go_on(t, w0, None, "no first step can be chosen")
        self.natural = self.solver.h_abs
        self._count(0)
        self._arrive(v)

    def state(self):
        return self.unpack(self.solver.y.copy())

    def reach(self, goal):
        """Go on to `goal`, piece by piece."""
        solver, goal, aim, aims = self.solver, float(goal), np.inf, 0
        while solver.t < goal:
            kept, errors = (solver.t, solver.y, solver.f), self.piece.errors.copy()
            problem = self._try(min(goal, aim))
            if problem:
                self._count(1)
                self._go_on(problem)
            end = self._ends()
            exit = first_exit(self.piece, self.last, end, self._look())
            if exit is None:
                self.last, aim, aims = end, np.inf, 0
            elif exit.stuck:
                solver.t, solver.y, solver.f = kept
            elif not self._cut(kept, exit, aims > 3):
                self._count(0)
                solver.t, solver.y, solver.f = kept
                self.piece.errors[:] = errors
                aim, aims = exit.t + 1e-3 * (exit.t - solver.t), aims + 1
                continue
            self._count(0 if exit and exit.stuck else 1)
            self._go_on(None)
            if exit is not None:
                self._meet(exit)
                aim, aims = np.inf, 0

    def _try(self, bound):
        """A step of the solver, not beyond `bound`, and not far beyond the next kink foreseen."""
        solver = self.solver
        wait = 1.02 * next_crossing(self.piece, self.before, self.last)
        shortened = wait < self.natural or bound < solver.t + self.natural
        solver.t_bound, solver.status = bound, "running"
        solver.h_abs = self.step or min(self.natural, max(wait, 1e-3 * self.natural))
        self.before, seen = self.last, solver.nfev
        with np.errstate(all="ignore"):
            problem = solver.step()
        tries = (solver.nfev - seen) // self.stages
        self.tries += tries
        self.natural = (
            solver.h_abs if tries > 1 or not shortened else max(self.natural, solver.h_abs)
        )
        return problem

    def _cut(self, kept, exit, anyway):
        """Go back within the step just made to its exit, if that is precise enough; whether it is.

        The cubic through both ends, h⁴s²(1 - s)²y⁗/24 from the flow at a share s of the step.
        """
        solver, (t, y, f) = self.solver, kept
        h = solver.t - t
        s = (exit.t - t) / h
        turn = 2 * (y - solver.y) + h * (f + solver.f)
        size = self.control["atol"] + self.control["rtol"] * abs(y)
        if not anyway and np.sqrt(np.mean(((s * (1 - s)) ** 2 * turn / size) ** 2)) > 0.1:
            return False
        if s < 1:
            solver.y = y + s * (
                h * f + s * (3 * (solver.y - y) - h * (2 * f + solver.f) + s * turn)
            )
            solver.t = exit.t
            solver.f = flat(self.piece.velocity(self.unpack(solver.y)))
        return True

    def _count(self, accepted):
        made = self.piece.evaluations - self.counted
        self.counted = self.piece.evaluations
        self.tally.count(made, self.tries, accepted)
        self.tries = 0

    def _go_on(self, problem):
        solver = self.solver
        self.tally.go_on(solver.t, self.unpack(solver.y), solver.step_size, problem)

    def _ends(self):
        return ends(self.piece, self.solver.t, *map(self.unpack, (self.solver.y, self.solver.f)))

    def _look(self):
        """z and the shares at a time inside the last step."""
        inside = cache(self.solver.dense_output)

        def look(t):
            w = self.unpack(inside()(t))
            if len(self.piece.sliding):
                self.piece.velocity(w)
            return self.piece.z(w), self.piece.shares()

        return look

    def _meet(self, exit):
        """Take the pattern that goes on from a kink."""
        piece, solver = self.piece, self.solver
        leaves = piece.side[exit.entry] == 0
        here = self.last if exit.stuck else self._ends() if leaves else self._polished(exit.entry)
        w, side = self.unpack(solver.y), piece.side.copy()
        at = (abs(here.z) <= here.tiny) | (side == 0)
        at[exit.entry] = True
        if leaves:
            side[exit.entry] = 1 if here.shares[exit.entry] > 0.5 else -1
            piece.hold(side, piece.errors)
            v = settle(piece, w, at, fixed=[exit.entry])
        else:
            v = settle(piece, w, at, pushed=[exit.entry] if exit.stuck else ())
        self._crowded(exit)
        self.path.turn(solver.t, piece.side, self._place)
        if (abs(here.z) > here.tiny)[piece.sliding].any():
            solver.y, v = flat(piece.returned(w)), None
        self._arrive(v)

    def _polished(self, entry):
        """Shift the state along its velocity to where z is zero, by so little that it is exact."""
        piece, solver = self.piece, self.solver
        for _ in range(4):
            here = self._ends()
            if abs(here.z[entry]) <= here.tiny[entry]:
                break
            with np.errstate(all="ignore"):
                shift = -here.z[entry] / here.rates[entry]
            if not abs(shift) <= 1e-3 * self.natural:
                break
            solver.y, solver.t = solver.y + shift * solver.f, solver.t + shift
            solver.f = flat(piece.velocity(self.unpack(solver.y)))
        return here

    def _arrive(self, v=None):
        """Take the velocity of the piece that begins here."""
        solver = self.solver
        w = self.unpack(solver.y)
        v = self.piece.velocity(w) if v is None else v
        solver.f = flat(v)
        self.before = self.last = ends(self.piece, solver.t, w, v)
        if self.stop and len(self.piece.sliding):
            self._raise_slide()

    def masks(self):
        made = self.piece.split(self.last.shares)
        return {k: shares[:, self.groups] for k, shares in made.items()}

    def _place(self, entry):
        layer, unit, column = (int(i) for i in self.piece.index[:, entry])
        return layer, unit, [int(s) for s in np.flatnonzero(self.groups == column)]

    def _crowded(self, exit):
        t, count = self.crowd
        near = t is not None and self.solver.t - t <= 1e-12 * max(1.0, abs(t))
        self.crowd = (t, count + 1) if near else (self.solver.t, 0)
        if count > CROWD:
            layer, unit, samples = self._place(exit.entry)
            raise Unfinished(
                f"Stopped at t = {self.solver.t:.6g}: {CROWD} kinks were met there, the last by"
                f" unit {unit} of hidden layer {layer} for sample {samples[0]}; use"
                " kinks='smooth', or fixed steps, such as step=1e-3."
            )

    def _raise_slide(self):
        layer, unit, samples = self._place(self.piece.sliding[0])
        raise Unfinished(
            f"Stopped at t = {self.solver.t:.6g}: the pre-activation of unit {unit} of hidden layer"
            f" {layer} for sample {samples[0]} slides along its kink; use kinks='slide' to go on."
        )
