"""Follow the flow of a piecewise linear network through its kinks and along them."""

import numpy as np

from ..derivatives import flat, unflat
from ..solution import Unfinished
from .crossings import TOUCH, ends, first_exit, gaps
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
    march = March(rule, task, w0, path if path is not None else Path(), tally, stop)
    march.start(ts, solver, {"rtol": rtol, "atol": atol}, step)
    for t in ts[1:]:
        march.reach(t)
        yield march.state()


class March:
    """A solver and the piece that it is in."""

    def __init__(self, rule, task, w0, path, tally, stop):
        self.rule, (self.task, self.groups) = rule, merged(rule, task)
        self.path, self.tally, self.stop, self.like = path, tally, stop, w0
        self.crowd = (-np.inf, 0)

    def start(self, ts, solver, control, step):
        import scipy.integrate

        method, self.stages = SOLVERS[solver]
        w, t = self.like, ts[0]
        follows = self.path.t is not None and self.path.t == t
        self.piece = Piece(self.rule, self.task, w, self.path.side if follows else None)
        tiny = TOUCH * self.piece.sizes(w)
        settle(self.piece, w, (abs(self.piece.z(w)) <= tiny) | (self.piece.side == 0))
        if follows:
            self.path.turn(t, self.piece.side, self._place)
        else:
            self.path.begin(t, self.piece.side, self._place)
        if step is not None:
            control = {"rtol": 1e100, "atol": 1e100, "max_step": step}
        control["first_step"] = None if step is None else min(step, ts[-1] - t)
        self.step = step
        field = lambda _, y: flat(self.piece.velocity(unflat(y, self.like)))
        with np.errstate(all="ignore"):
            self.solver = getattr(scipy.integrate, method)(field, t, flat(w), ts[-1], **control)
        self.rtol = control["rtol"] if step is None else 1e-6
        self.counted = 0
        self._count(0, 0)
        self._arrive()

    def state(self):
        return unflat(self.solver.y.copy(), self.like)

    def reach(self, goal):
        """Go on to `goal`, piece by piece."""
        solver, aim, natural, tries = self.solver, None, None, 0
        while solver.t < goal:
            kept = solver.t, solver.y, solver.f
            errors = self.piece.errors.copy()
            solver.t_bound, solver.status = goal if aim is None else aim.t, "running"
            solver.h_abs = self.step or solver.h_abs
            seen = solver.nfev
            with np.errstate(all="ignore"):
                problem = solver.step()
                end = None if problem else self._ends()
                exit = None if problem else first_exit(self.piece, self.last, end, self._look())
            taken = (solver.nfev - seen) // self.stages
            back = exit is not None and (exit.stuck or exit.t < end.t - 1e-6 * (end.t - kept[0]))
            if back and tries < 8:  # the step went too far
                self._count(taken, 0)
                if natural is None:
                    natural = solver.h_abs
                solver.t, solver.y, solver.f = kept
                self.piece.errors[:] = errors
                if exit.stuck or exit.t <= kept[0]:
                    self._meet(exit, goal)
                    natural, aim, tries = None, None, 0
                else:
                    aim, tries = exit, tries + 1
                continue
            self._count(taken, 1)
            self.tally.go_on(solver.t, unflat(solver.y, self.like), solver.step_size, problem)
            self.last = end
            if aim is not None or exit is not None:
                if aim is None or solver.t >= aim.t:
                    self._meet(exit or aim, goal)
                    solver.h_abs = natural or solver.h_abs
                    natural, aim, tries = None, None, 0

    def _count(self, tries, accepted):
        made = self.piece.evaluations - self.counted
        self.counted = self.piece.evaluations
        self.tally.count(made, tries, accepted)

    def _ends(self):
        w, v = (unflat(y, self.like) for y in (self.solver.y, self.solver.f))
        return ends(self.piece, self.solver.t, w, v)

    def _look(self):
        """The gaps at a time inside the last step."""
        made = []

        def look(t):
            if not made:
                made.append(self.solver.dense_output())
            w = unflat(made[0](t), self.like)
            if len(self.piece.sliding):
                self.piece.velocity(w)
            return gaps(self.piece, self.piece.z(w), self.piece.shares())

        return look

    def _meet(self, exit, goal):
        """Stand exactly at the kink and take the pattern that goes on from there."""
        piece, solver = self.piece, self.solver
        leaves = piece.side[exit.entry] == 0
        hit = np.zeros(len(piece.side), bool)
        hit[exit.entry] = True
        if not leaves and not exit.stuck:
            hit |= self._polish(exit.entry, goal)
        w = unflat(solver.y, self.like)
        v = unflat(solver.f, self.like)
        here = ends(piece, solver.t, w, v)
        at = hit | (abs(here.z) <= here.tiny) | (piece.side == 0)
        side = piece.side.copy()
        if leaves:
            side[exit.entry] = 1 if piece.shares()[exit.entry] > 0.5 else -1
            piece.hold(side, piece.errors)
            settle(piece, w, at, fixed=[exit.entry])
        else:
            settle(piece, w, at, pushed=[exit.entry] if exit.stuck else ())
        self._crowded(exit)
        self.path.turn(solver.t, piece.side, self._place)
        solver.y = flat(piece.returned(w))
        self._arrive()

    def _polish(self, entry, goal):
        """Shift the last state along its velocity to where the first entry is zero; those that are.

        The shift is so short that its square does not matter.
        """
        piece, solver = self.piece, self.solver
        for _ in range(3):
            end = self._ends()
            gap, speed = piece.side * end.z, piece.side * end.rates
            late = (gap < -end.tiny) & (speed < 0) & (piece.side != 0)
            late[entry] = speed[entry] < 0
            with np.errstate(all="ignore"):
                shift = np.min(-gap[late] / speed[late], initial=np.inf)
            h = solver.step_size or 0
            if not abs(shift) <= 1e-3 * h or solver.t + shift > goal:
                break
            solver.y = solver.y + shift * solver.f
            solver.t += shift
            solver.f = flat(piece.velocity(unflat(solver.y, self.like)))
            if abs(shift) <= 1e-10 * h:
                break
        end = self._ends()
        return (piece.side * end.z <= end.tiny) & late

    def _arrive(self):
        """Take the velocity of the piece that begins here."""
        solver = self.solver
        w = unflat(solver.y, self.like)
        v = self.piece.velocity(w)
        solver.f = flat(v)
        self.last = ends(self.piece, solver.t, w, v)
        self.path.masks = self._masks()
        if self.stop and len(self.piece.sliding):
            self._raise_slide(w)

    def _masks(self):
        made = self.piece.split(self.last.shares)
        return {k: shares[:, self.groups] for k, shares in made.items()}

    def _place(self, entry):
        layer, unit, column = (int(i) for i in self.piece.index[:, entry])
        return layer, unit, [int(s) for s in np.flatnonzero(self.groups == column)]

    def _crowded(self, exit):
        t, count = self.crowd
        near = self.solver.t - t <= 1e-12 * max(1.0, abs(t))
        self.crowd = (t, count + 1) if near else (self.solver.t, 0)
        if count > CROWD:
            layer, unit, samples = self._place(exit.entry)
            raise Unfinished(
                f"Stopped at t = {self.solver.t:.6g}: {CROWD} kinks were met there, the last by"
                f" unit {unit} of hidden layer {layer} for sample {samples[0]}; use"
                " kinks='smooth', or fixed steps, such as step=1e-3."
            )

    def _raise_slide(self, w):
        layer, unit, samples = self._place(self.piece.sliding[0])
        raise Unfinished(
            f"Stopped at t = {self.solver.t:.6g}: the pre-activation of unit {unit} of hidden layer"
            f" {layer} for sample {samples[0]} slides along its kink; use kinks='slide' to go on."
        )
