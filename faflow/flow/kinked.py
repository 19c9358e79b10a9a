"""A solver that goes from kink to kink."""

import numpy as np

from ..derivatives import flat
from ..solution import Unfinished
from . import endings
from .crossings import NEAR, ends, first_exit, lowest
from .endings import stopped
from .late import QUIET, beyond, pushed, silent, standing, told, unheard
from .patterns import settle
from .piece_steps import Steps
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
        self.crowd, self.aim, self.aims = (None, 0), np.inf, 0
        self.accepted, self.idle, self.problem = 0, 0, None
        self.unmet, self.missed = np.zeros(0, bool), 0.0

    def start(self, t, w0, method, rtol, atol, first):
        """Begin at `t`, with a first step; atol: one for each entry of the state."""
        side = self.path.side if self.path.t == t else None
        self.piece = piece = Piece(self.rule, self.task, w0, side)
        self.rtol, here = rtol, ends(piece, t, w0, piece.velocity(w0))
        piece.hear(w0)
        if side is None and (zero := abs(here.z) <= here.tiny).any():  # where f' is that below
            piece.hold(np.where(zero, -1, piece.side))
            here = ends(piece, t, w0, piece.velocity(w0))
        at = self._at_kinks(here)
        self.unmet = unheard(piece, here, rtol) & (side is not None)  # as it may have been
        settle(piece, w0, at & ~self.unmet)
        endings.weightless(t, piece, self.rule, w0)
        (self.path.begin if side is None else self.path.turn)(t, piece.side, self._place)
        self.steps = Steps(piece, t, w0, method, rtol, atol, first)
        self._arrive()

    def reach(self, goal, most):
        """Go on to `goal`, piece by piece, in at most so many steps in all; whether it is there."""
        steps, goal, passes = self.steps, float(goal), 0
        self.aim, self.aims = np.inf, 0
        while steps.t < goal and self.accepted < most and passes < 4 * most and not self.problem:
            passes += 1
            if self.idle > CROWD:
                raise stopped(steps.t, "kinks there are met again and again")
            self._listen()
            kept = steps.kept()
            self.problem = steps.attempt(min(goal, self.aim), self.unmet)
            if not self.problem:
                self._judge(kept)
        return steps.t == goal

    def _judge(self, kept):
        """Take the step just made, up to its first exit and what goes on there, or take it back."""
        steps, start, end = self.steps, kept[0], self.steps.ends()
        if beyond(self.piece, end, self.unmet, self.rtol):
            self.missed = np.inf
            self._shorten(kept)
            return
        if told(self.piece, end, self.unmet, self.rtol):
            self.missed = max(self.missed, 2 * QUIET * self.rtol)
            self._shorten(kept)
            return
        self._end_if_coupled(kept)
        exit = self._exit(start, end)
        if exit is not None and exit.stuck:
            steps.back_to(kept)
            self.idle += 1
        elif not end.firm:  # its kinks may turn before the exit
            if end.t - start <= TURN * max(1.0, abs(end.t)):
                steps.back_to(kept)
                raise endings.repelled(steps.t, self._place(self.piece.sliding[0]))
            self._shorten(kept)
            return
        elif exit is not None and not steps.cut(kept, exit, self.aims > 3):
            steps.back_to(kept)
            self.aim, self.aims = exit.t + 1e-3 * (exit.t - steps.t), self.aims + 1
            return
        elif not self._keep_laws():
            self._shorten(kept)
            return
        else:
            self.missed += (steps.t - start) * self._pushed(self.unmet, end)
            self.accepted, self.idle = self.accepted + 1, 0
        self.aim, self.aims = np.inf, 0
        if exit is not None:
            self._meet(exit)
        else:
            steps.last = end if self.keeping is None else steps.ends()

    def _exit(self, start, end):
        """The first exit of the step from `start` to an end."""
        steps, seen = self.steps, self.piece.seen()
        inside = [t for t in sorted(steps.suspects) if start < t < end.t]
        exit = first_exit(self.piece, steps.last, end, steps.look(), inside, self.unmet)
        self.piece.see(seen)
        return exit

    def _shorten(self, kept):
        """Take the step just made back, for one of half its length."""
        steps = self.steps
        steps.natural = (steps.t - kept[0]) / 2
        steps.back_to(kept)
        if steps.natural <= 10 * np.spacing(steps.t):
            laws = "no step is as near to the laws as its tolerance"
            self.problem = "no step tells what slides" if self.keeping is None else laws

    def _pushed(self, at, here):
        return pushed(self.piece, here, at, self.rtol) if at.any() else 0.0

    def _listen(self):
        """Tell what kinks the next step does not meet, and meet those that none did before it.

        Errors carried there are nearly rounding, and till what these may have moved adds up.
        """
        piece, last, rtol = self.piece, self.steps.last, self.rtol
        was, now = self.unmet, unheard(piece, last, rtol)
        if now.any() and not was.any():
            piece.hear(self.steps.w)
            now = unheard(piece, last, rtol)
        missed = self.missed + self.steps.natural * self._pushed(now, last)
        if missed > QUIET * rtol or told(piece, last, was, rtol):
            now = now & silent(piece, last, rtol) & np.isfinite(self.missed)
            self.missed = 0.0
        self.unmet = now
        if (was & ~now & standing(piece, last)).any():
            self._wake()

    def _wake(self):
        """Take the pattern that the state is in."""
        piece, w, here, before = self.piece, self.steps.w, self.steps.last, self.piece.side.copy()
        away = (before != 0) & (abs(here.z) > here.tiny) & piece.own & ~self.unmet
        side = np.where(away, np.sign(here.z), before)
        piece.hold(side, piece.errors)
        try:
            v = settle(piece, w, self._at_kinks(here) & ~self.unmet)
        except Unfinished:
            if not unheard(piece, here, self.rtol).any():
                raise
            piece.hold(side, piece.errors)  # what rounding leaves of errors may be of no pattern
            v = None
        self.path.turn(float(self.steps.t), piece.side, self._place)
        self._arrive(v)
        for entry in np.flatnonzero((piece.side != before) & piece.own):
            self._end_if_unclear(entry, before)

    def _at_kinks(self, here):
        return ((abs(here.z) <= here.tiny) | (self.piece.side == 0)) & self.piece.own

    def _keep_laws(self):
        """Take the state to where the laws are kept, if a step may err so; whether it may.

        It leaves every unit on its side: the weights into it stay, or are multiplied by one number.
        """
        if self.keeping is None:
            return True
        steps, w = self.steps, self.steps.w
        made, away = self.keeping.returned(steps.t, w)
        moved = steps.error(flat(made) - flat(w))
        if not moved <= 1:
            return False
        self.away = np.fmax(away, 0 if self.away is None else self.away)
        self.corrected = max(self.corrected, float(moved * steps.rtol))
        steps.move_to(made)
        steps.evaluate()
        return True

    def _meet(self, exit):
        """Take the pattern that goes on from a kink."""
        piece, steps = self.piece, self.steps
        leaves = piece.side[exit.entry] == 0
        here = steps.last if exit.stuck else steps.ends() if leaves else steps.polish(exit.entry)
        if not leaves:
            exit = exit._replace(entry=lowest(piece, exit.entry, here))
        side, before = piece.side.copy(), piece.side.copy()
        at = self._at_kinks(here)
        if (abs(here.z) > here.tiny)[side == 0].any():
            self._put_back()
        at &= ~self.unmet
        at[exit.entry] = True
        w = steps.w
        if leaves:
            side[exit.entry] = 1 if here.shares[exit.entry] > 0.5 else -1
            piece.hold(side, piece.errors)
            v = settle(piece, w, at, fixed=[exit.entry])
        else:
            v = None if exit.stuck else settle(piece, w, at)
            if piece.side[exit.entry] == side[exit.entry]:  # the rate says nothing, the step did
                v = settle(piece, w, at, pushed=[exit.entry])
        self.path.turn(float(steps.t), piece.side, self._place)
        self._arrive(v)
        self._crowded(exit)
        self._end_if_unclear(exit.entry, before)

    def _put_back(self):
        """Put what slides back on its kink."""
        made, w = self.piece.returned(self.steps.w), self.steps.w
        if self.steps.error(flat(made) - flat(w)) > PUT_BACK:
            raise stopped(
                self.steps.t,
                "what slides cannot be put back on its kink within the tolerance, as where its"
                " inputs vanish",
            )
        self.steps.move_to(made)

    def _arrive(self, v=None):
        """Take the velocity of the piece that begins here."""
        self.steps.begin(v)
        slides = self.piece.sliding
        if not self.steps.last.firm:
            raise endings.repelled(self.steps.t, self._place(slides[0]))
        self._end_if_coupled()
        if self.stop and len(slides):
            raise endings.slid(self.steps.t, self._place(slides[0]))

    def masks(self):
        made = self.piece.split(np.clip(self.steps.last.shares, 0, 1))
        return {k: shares[:, self.groups] for k, shares in made.items()}

    def _place(self, entry):
        layer, unit, column = (int(i) for i in self.piece.index[:, entry])
        return layer, unit, [int(s) for s in np.flatnonzero(self.groups == column)]

    def _crowded(self, exit):
        """Go past a time at which kinks do not end, by a step within the tolerance."""
        steps, (t, count) = self.steps, self.crowd
        close = max(1e-12 * max(1.0, abs(steps.t)), CLOSE * steps.natural)
        near = t is not None and steps.t - t <= close
        self.crowd = (t, count + 1) if near else (steps.t, 0)
        if count and not count % 8:
            steps.blind(2.0 ** (count // 8))
            self._arrive()
        if count > CROWD:
            raise endings.crowded(steps.t, CROWD, self._place(exit.entry))

    def _end_if_unclear(self, entry, before):
        """Raise where kinks one by one do not tell how the flow goes on."""
        steps, piece = self.steps, self.piece
        near = piece.split(abs(steps.last.z) <= NEAR * steps.last.tiny)
        endings.spanned(steps.t, piece, near, entry, before)
        endings.lined_up(steps.t, piece)
        layer, unit = piece.index[:2, entry]
        W = self.rule.weights(steps.w)[layer]
        floor = VANISHED * (steps.floor(layer) + self.rtol * np.linalg.norm(W))
        endings.gathered(steps.t, piece, near, entry, np.linalg.norm(W[unit]) <= floor)

    def _end_if_coupled(self, kept=None):
        """Raise, standing where the last step began, where slopes above follow those that slide."""
        steps = self.steps
        entry = endings.coupled(self.piece, self.rule.weights(steps.w))
        if entry is None:
            return
        if kept is not None:
            steps.back_to(kept)
        raise endings.coupled_at(steps.t, self._place(entry))
