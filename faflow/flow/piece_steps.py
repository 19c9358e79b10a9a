"""SciPy's steps in a smooth piece of the flow, which can be bounded, cut and taken back."""

from functools import cache

import numpy as np

from ..derivatives import flat
from .crossings import ends, next_crossing
from .late import allowed_share


class Steps:
    """A solver on its way through a `Piece`, and what is known of both ends of its last step.

    natural: the length of the next step, as error control has it.
    suspects: times within the last step at which what slides seemed to have the slope of a side.
    """

    def __init__(self, piece, t, w0, method, rtol, atol, first):
        """Begin at `t`, with a first step; atol: one for each entry of the state."""
        import scipy.integrate

        self.piece, self.suspects, self.tries = piece, [], 0
        self.shapes, self.cuts = [W.shape for W in w0], np.cumsum([0, *(W.size for W in w0)])
        self.rtol, self.atol, make = rtol, atol, getattr(scipy.integrate, method)
        self.stages = make.n_stages
        with np.errstate(all="ignore"):
            self.solver = make(
                self._field, t, flat(w0), np.inf, first_step=first, rtol=rtol, atol=atol
            )
        self.natural = self.solver.h_abs

    t = property(lambda self: self.solver.t)
    w = property(lambda self: self.unpack(self.solver.y.copy()))
    velocity = property(lambda self: self.unpack(self.solver.f))

    def unpack(self, y):
        parts = zip(self.cuts[:-1], self.cuts[1:], self.shapes, strict=True)
        return tuple(y[a:b].reshape(shape) for a, b, shape in parts)

    def floor(self, layer):
        """The absolute tolerance of a whole layer."""
        return np.linalg.norm(self.atol[self.cuts[layer] : self.cuts[layer + 1]])

    def _field(self, t, y):
        v = self.piece.velocity(self.unpack(y))
        if len(self.piece.sliding):
            shares = self.piece.sliding_shares()
            if not (shares.min() >= 0 and shares.max() <= 1):
                self.suspects.append(t)
        return flat(v)

    def begin(self, v=None):
        """Begin a piece where the solver stands, with its velocity there, if that is known."""
        w = self.w
        v = self.piece.velocity(w) if v is None else v
        self.piece.hear(w)
        self.solver.f = flat(v)
        self.before = self.last = ends(self.piece, self.t, w, v)

    def move_to(self, w):
        """Stand at `w`, of which the velocity is still to be taken, at the same time."""
        self.solver.y = flat(w)

    def evaluate(self):
        """Take the velocity where the solver stands, and with it the errors carried there."""
        self.solver.f = flat(self.piece.velocity(self.w))

    def attempt(self, bound, unmet):
        """A step of the solver, not beyond `bound`, and not far beyond the next kink foreseen.

        What it may err by is the tolerance, but little beside the step itself: late, when that is
        less, kinks would else be met by what errors the method can no more than hold in check.
        Returns why none could be made, or None.
        """
        solver = self.solver
        wait = 1.02 * next_crossing(self.piece, self.before, self.last, unmet)
        shortened = wait < self.natural or bound < solver.t + self.natural
        solver.t_bound, solver.status = bound, "running"
        solver.h_abs = min(self.natural, max(wait, 1e-3 * self.natural))
        h = min(solver.h_abs, bound - solver.t)
        moved = self.error(h * solver.f)
        share = allowed_share(self.piece, self.last, h, moved, unmet, self.rtol)
        solver.rtol, solver.atol = share * self.rtol, share * self.atol
        self.before, seen, self.suspects = self.last, solver.nfev, []
        with np.errstate(all="ignore"):
            problem = solver.step()
        tries = (solver.nfev - seen) // self.stages
        self.tries += tries
        self.natural = (
            solver.h_abs if tries > 1 or not shortened else max(self.natural, solver.h_abs)
        )
        return problem

    def error(self, moved):
        """The norm of a change of the state, in tolerances."""
        return np.sqrt(np.mean((moved / (self.atol + self.rtol * abs(self.solver.y))) ** 2))

    def blind(self, times):
        """A step within the tolerance that looks for no kinks, where rates say nothing of them."""
        solver = self.solver
        solver.t_bound, solver.status = solver.t + times * self.rtol * self.natural, "running"
        solver.h_abs = self.natural
        solver.step()

    def kept(self):
        """What `back_to` goes back to: time, state, velocity, and errors passed on and carried."""
        return self.solver.t, self.solver.y, self.solver.f, self.piece.seen()

    def back_to(self, kept):
        self.solver.t, self.solver.y, self.solver.f, seen = kept
        self.piece.see(seen)

    def ends(self):
        """What is known where the solver stands."""
        return ends(self.piece, self.t, self.w, self.velocity)

    def look(self):
        """z and the shares at a time inside the last step, the same whenever asked."""
        inside = cache(self.solver.dense_output)

        @cache
        def look(t):
            w = self.unpack(inside()(t))
            if len(self.piece.sliding):
                self.piece.velocity(w)
            return self.piece.z(w), self.piece.shares()

        return look

    def cut(self, kept, exit, anyway):
        """Go back within the step just made to its exit, if that is precise enough; whether it is.

        The cubic through both ends, h⁴s²(1 - s)²y⁗/24 from the flow at a share s of the step.
        """
        solver, (t, y, f, _) = self.solver, kept
        h = solver.t - t
        s = (exit.t - t) / h
        turn = 2 * (y - solver.y) + h * (f + solver.f)
        size = self.atol + self.rtol * abs(y)
        if not anyway and np.sqrt(np.mean(((s * (1 - s)) ** 2 * turn / size) ** 2)) > 0.1:
            return False
        if s < 1:
            solver.y = y + s * (
                h * f + s * (3 * (solver.y - y) - h * (2 * f + solver.f) + s * turn)
            )
            solver.t = exit.t
            self.evaluate()
        return True

    def polish(self, entry):
        """Shift the state along its velocity to where z is zero, by so little that it is exact."""
        solver = self.solver
        for _ in range(4):
            here = self.ends()
            if abs(here.z[entry]) <= here.tiny[entry]:
                break
            with np.errstate(all="ignore"):
                shift = -here.z[entry] / here.rates[entry]
            if not abs(shift) <= 1e-3 * self.natural or solver.t + shift < self.last.t:
                break
            solver.y, solver.t = solver.y + shift * solver.f, solver.t + shift
            self.evaluate()
        return here
