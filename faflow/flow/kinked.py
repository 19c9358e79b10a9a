"""A solver that goes from kink to kink."""

from functools import cache

import numpy as np

from ..derivatives import flat
from ..solution import Unfinished
from . import endings
from .crossings import NEAR, TOUCH, ends, first_exit, lowest, next_crossing
from .endings import stopped
from .late import QUIET, allowed_share, astray, near_kinks, pushed, unheard
from .patterns import settle
from .pieces import Piece

CROWD = 1000
"""Kinks met at times not told apart after which a run is given up."""

CLOSE = 1e-6
"""Share of a step within which the times of two kinks are not told apart."""

PUT_BACK = 100
"""Tolerances by which the state may be moved to put what slides back on its kink."""

TURN = 1e-10
"""Length of a step, for times up to 1, within which it is not told that a kink turns repelling."""

VANISHED = 10
"""Tolerances of its layer below which the weights of a unit count as zero."""


class March:
    """A solver and the piece that it is in."""

    def __init__(self, rule, task, groups, path, stop, keeping=None):
        self.rule, self.task, self.groups = rule, task, groups
        self.path, self.stop = path, stop
        self.keeping, self.away, self.corrected = keeping, None, 0.0
        self.crowd, self.suspects = (None, 0), []
        self.accepted, self.tries, self.idle, self.problem = 0, 0, 0, None
        self.unmet, self.missed = np.zeros(0, bool), 0.0

    def unpack(self, y):
        parts = zip(self.cuts[:-1], self.cuts[1:], self.shapes, strict=True)
        return tuple(y[a:b].reshape(shape) for a, b, shape in parts)

    def start(self, t, w0, method, rtol, atol, first):
        """Begin at `t`, with a first step; atol: one for each entry of the state."""
        import scipy.integrate

        self.shapes, self.cuts = [W.shape for W in w0], np.cumsum([0, *(W.size for W in w0)])
        side = self.path.side if self.path.t == t else None
        self.piece = piece = Piece(self.rule, self.task, w0, side)
        piece.velocity(w0)
        piece.hear(w0)
        at = ((abs(piece.z(w0)) <= TOUCH * piece.sizes(w0)) | (piece.side == 0)) & piece.own
        self.unmet = unheard(piece) & (side is not None)  # as it may have been
        v = settle(piece, w0, at & ~self.unmet)
        endings.weightless(t, piece, self.rule, w0)
        (self.path.begin if side is None else self.path.turn)(t, piece.side, self._place)
        cuts = zip(self.cuts[:-1], self.cuts[1:], strict=True)
        self.floors = [np.linalg.norm(atol[a:b]) for a, b in cuts]
        self.rtol, self.atol, make = rtol, atol, getattr(scipy.integrate, method)
        self.stages = make.n_stages
        with np.errstate(all="ignore"):
            self.solver = make(
                self._field, t, flat(w0), np.inf, first_step=first, rtol=rtol, atol=atol
            )
        self.natural = self.solver.h_abs
        self._arrive(v)

    def _field(self, t, y):
        v = self.piece.velocity(self.unpack(y))
        if len(self.piece.sliding):
            shares = self.piece.sliding_shares()
            if not (shares.min() >= 0 and shares.max() <= 1):
                self.suspects.append(t)
        return flat(v)

    def state(self):
        return self.unpack(self.solver.y.copy())

    def reach(self, goal, most):
        """Go on to `goal`, piece by piece, in at most so many steps in all; whether it is there."""
        solver, goal, aim, aims = self.solver, float(goal), np.inf, 0
        passes = 0
        while solver.t < goal and self.accepted < most and passes < 4 * most and not self.problem:
            passes += 1
            if self.idle > CROWD:
                raise stopped(solver.t, "kinks there are met again and again")
            self._listen()
            kept = solver.t, solver.y, solver.f, self.piece.errors.copy()
            self.problem = self._try(min(goal, aim))
            if self.problem:
                break
            end = self._ends()
            if astray(self.piece, self.state(), self.unmet, end.z, self.rtol):
                self.natural, self.missed = (solver.t - kept[0]) / 2, np.inf
                self._back_to(kept)
                continue
            self._end_if_coupled(kept)
            inside = [t for t in sorted(self.suspects) if kept[0] < t < end.t]
            exit = first_exit(self.piece, self.last, end, self._look(), inside, self.unmet)
            if not (end.firm or (exit and exit.stuck)):  # its kinks may turn before the exit
                if end.t - kept[0] <= TURN * max(1.0, abs(end.t)):
                    self._back_to(kept)
                    raise endings.repelled(solver.t, self._place(self.piece.sliding[0]))
                end = None
            elif exit is None:
                end, aim, aims = self._kept_to_laws(end), np.inf, 0
                self.last = self.last if end is None else end
            elif exit.stuck:
                self._back_to(kept)
            elif not self._cut(kept, exit, aims > 3):
                self._back_to(kept)
                aim, aims = exit.t + 1e-3 * (exit.t - solver.t), aims + 1
                continue
            elif self._kept_to_laws(end) is None:
                end = None
            if end is None:
                self.natural = (solver.t - kept[0]) / 2
                self._back_to(kept)
                if self.natural <= 10 * np.spacing(solver.t):
                    laws = "no step is as near to the laws as its tolerance"
                    self.problem = "no step tells what slides" if self.keeping is None else laws
                continue
            self.missed += (solver.t - kept[0]) * self._pushed(self.unmet)
            self.accepted += not (exit and exit.stuck)
            self.idle = self.idle + 1 if exit and exit.stuck else 0
            if exit is not None:
                self._meet(exit)
                aim, aims = np.inf, 0
        return solver.t == goal

    def _pushed(self, at):
        return pushed(self.piece, self.unpack(self.solver.y), at) if at.any() else 0.0

    def _listen(self):
        """Tell what kinks the next step does not meet, and meet those that none did before it.

        Errors carried there are nearly rounding, and till what these may have moved adds up.
        """
        was, now = self.unmet, unheard(self.piece)
        if now.any() and not was.any():
            self.piece.hear(self.state())
            now = unheard(self.piece)
        more = self.natural * self._pushed(now)
        if (was & ~now).any() or self.missed + more > QUIET * self.rtol:
            now = np.zeros_like(now)
        self.unmet = now
        if (was & ~now).any():
            self.missed = 0.0
            self._wake()

    def _wake(self):
        """Take the pattern that the state is in."""
        piece, w, here, before = self.piece, self.state(), self.last, self.piece.side.copy()
        away = (before != 0) & (abs(here.z) > here.tiny) & piece.own
        side = np.where(away, np.sign(here.z), before)
        piece.hold(side, piece.errors)
        try:
            v = settle(piece, w, self._at_kinks(here))
        except Unfinished:
            if not unheard(piece).any():
                raise
            piece.hold(side, piece.errors)  # what rounding leaves of errors may be of no pattern
            v = None
        self.path.turn(float(self.solver.t), piece.side, self._place)
        self._arrive(v)
        for entry in np.flatnonzero((piece.side != before) & piece.own):
            self._end_if_unclear(entry, before)

    def _at_kinks(self, here):
        return ((abs(here.z) <= here.tiny) | (self.piece.side == 0)) & self.piece.own

    def _try(self, bound):
        """A step of the solver, not beyond `bound`, and not far beyond the next kink foreseen.

        What it may err by is the tolerance, but little beside the step itself: late, when that is
        less, kinks would else be met by what errors the method can no more than hold in check.
        """
        solver = self.solver
        wait = 1.02 * next_crossing(self.piece, self.before, self.last, self.unmet)
        shortened = wait < self.natural or bound < solver.t + self.natural
        solver.t_bound, solver.status = bound, "running"
        solver.h_abs = min(self.natural, max(wait, 1e-3 * self.natural))
        share = 1.0
        if near_kinks(self.piece, self.last, self.rtol):
            moved = self._error(solver.h_abs * solver.f)
            share = allowed_share(moved, self.rtol, self.unmet[self.piece.own].all())
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

    def _error(self, moved):
        """The norm of a change of the state, in tolerances."""
        return np.sqrt(np.mean((moved / (self.atol + self.rtol * abs(self.solver.y))) ** 2))

    def _kept_to_laws(self, end):
        """Take the state to where the laws are kept; its ends, or None where a step may not err so.

        It leaves every unit on its side: the weights into it stay, or are multiplied by one number.
        """
        if self.keeping is None:
            return end
        solver, w = self.solver, self.state()
        made, away = self.keeping.returned(solver.t, w)
        moved = flat(made) - solver.y
        if not self._error(moved) <= 1:
            return None
        size = lambda W: np.linalg.norm(W) or 1.0
        shares = [np.linalg.norm(A - B) / size(A) for A, B in zip(made, w, strict=True)]
        self.away = np.fmax(away, 0 if self.away is None else self.away)
        self.corrected = max(self.corrected, *map(float, shares))
        solver.y = flat(made)
        solver.f = flat(self.piece.velocity(made))
        return self._ends()

    def _blind(self, times):
        """A step within the tolerance that looks for no kinks, where rates say nothing of them."""
        solver = self.solver
        solver.t_bound, solver.status = (
            solver.t + times * self.rtol * self.natural,
            "running",
        )
        solver.h_abs = self.natural
        solver.step()
        self._arrive()

    def _cut(self, kept, exit, anyway):
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
            solver.f = flat(self.piece.velocity(self.unpack(solver.y)))
        return True

    def _ends(self):
        return ends(self.piece, self.solver.t, *map(self.unpack, (self.solver.y, self.solver.f)))

    def _look(self):
        """z and the shares at a time inside the last step, the same whenever asked."""
        inside = cache(self.solver.dense_output)

        @cache
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
        if not leaves:
            exit = exit._replace(entry=lowest(piece, exit.entry, here))
        w, side, before = self.unpack(solver.y), piece.side.copy(), piece.side.copy()
        at = self._at_kinks(here)
        if (abs(here.z) > here.tiny)[side == 0].any():
            made = flat(piece.returned(w))
            if self._error(made - solver.y) > PUT_BACK:
                raise stopped(
                    solver.t,
                    "what slides cannot be put back on its kink within the tolerance, as where its"
                    " inputs vanish",
                )
            solver.y = made
            w = self.unpack(solver.y)
        at &= ~self.unmet
        at[exit.entry] = True
        if leaves:
            side[exit.entry] = 1 if here.shares[exit.entry] > 0.5 else -1
            piece.hold(side, piece.errors)
            v = settle(piece, w, at, fixed=[exit.entry])
        else:
            v = None if exit.stuck else settle(piece, w, at)
            if piece.side[exit.entry] == side[exit.entry]:  # the rate says nothing, the step did
                v = settle(piece, w, at, pushed=[exit.entry])
        self.path.turn(float(solver.t), piece.side, self._place)
        self._arrive(v)
        self._crowded(exit)
        self._end_if_unclear(exit.entry, before)

    def _polished(self, entry):
        """Shift the state along its velocity to where z is zero, by so little that it is exact."""
        piece, solver = self.piece, self.solver
        for _ in range(4):
            here = self._ends()
            if abs(here.z[entry]) <= here.tiny[entry]:
                break
            with np.errstate(all="ignore"):
                shift = -here.z[entry] / here.rates[entry]
            if not abs(shift) <= 1e-3 * self.natural or solver.t + shift < self.last.t:
                break
            solver.y, solver.t = solver.y + shift * solver.f, solver.t + shift
            solver.f = flat(piece.velocity(self.unpack(solver.y)))
        return here

    def _arrive(self, v=None):
        """Take the velocity of the piece that begins here."""
        solver = self.solver
        w = self.unpack(solver.y)
        v = self.piece.velocity(w) if v is None else v
        self.piece.hear(w)
        solver.f = flat(v)
        self.before = self.last = ends(self.piece, solver.t, w, v)
        slides = self.piece.sliding
        if not self.last.firm:
            raise endings.repelled(solver.t, self._place(slides[0]))
        self._end_if_coupled()
        if self.stop and len(slides):
            raise endings.slid(solver.t, self._place(slides[0]))

    def masks(self):
        made = self.piece.split(np.clip(self.last.shares, 0, 1))
        return {k: shares[:, self.groups] for k, shares in made.items()}

    def _place(self, entry):
        layer, unit, column = (int(i) for i in self.piece.index[:, entry])
        return layer, unit, [int(s) for s in np.flatnonzero(self.groups == column)]

    def _crowded(self, exit):
        """Go past a time at which kinks do not end, by a step within the tolerance."""
        t, count = self.crowd
        close = max(1e-12 * max(1.0, abs(self.solver.t)), CLOSE * self.natural)
        near = t is not None and self.solver.t - t <= close
        self.crowd = (t, count + 1) if near else (self.solver.t, 0)
        if count and not count % 8:
            self._blind(2.0 ** (count // 8))
        if count > CROWD:
            raise endings.crowded(self.solver.t, CROWD, self._place(exit.entry))

    def _end_if_unclear(self, entry, before):
        """Raise where kinks one by one do not tell how the flow goes on."""
        solver, piece = self.solver, self.piece
        near = piece.split(abs(self.last.z) <= NEAR * self.last.tiny)
        endings.spanned(solver.t, piece, near, entry, before)
        endings.lined_up(solver.t, piece)
        layer, unit = piece.index[:2, entry]
        W = self.rule.weights(self.unpack(solver.y))[layer]
        floor = VANISHED * (self.floors[layer] + self.rtol * np.linalg.norm(W))
        endings.gathered(solver.t, piece, near, entry, np.linalg.norm(W[unit]) <= floor)

    def _end_if_coupled(self, kept=None):
        """Raise, standing where the last step began, where slopes above follow those that slide."""
        solver = self.solver
        entry = endings.coupled(self.piece, self.rule.weights(self.unpack(solver.y)))
        if entry is None:
            return
        if kept is not None:
            self._back_to(kept)
        raise endings.coupled_at(solver.t, self._place(entry))

    def _back_to(self, kept):
        self.solver.t, self.solver.y, self.solver.f, self.piece.errors[:] = kept
