"""What a reduction is: a smaller problem, and the way back to the full state."""

from dataclasses import dataclass, field
from functools import cached_property, partial
from math import exp
from typing import Any

import numpy as np

from .. import laws
from ..rule import Piecewise
from ..solution import Unfinished
from .closed import closed_form

ROUNDED = 10
"""Tolerances that rounding may take on the way back; of ROCK4 it took up to 0.7 by itself."""


@dataclass(frozen=True, eq=False)
class Turn:
    """One matrix of the full state as that of a smaller one, in the spaces of its columns.

    rows, cols: orthonormal columns R and C with the full one RMCᵀ, or None for the identity.
    size: entries of the full one.  apart: what it has beside, or None, which only decays.
    """

    rows: Any
    cols: Any
    size: int
    apart: Any = None
    decay: Any = 0

    def lift(self, M, t, start):
        M = M if self.rows is None else self.rows @ M
        M = M if self.cols is None else M @ self.cols.T
        if self.apart is None:
            return M
        return M + self.apart * exp(-_decayed(self.decay, start, t))


@dataclass(frozen=True, eq=False)
class Reduction:
    """A problem with the same flow in fewer numbers; true if anything was reduced.

    rule, task, w0: the smaller problem, integrated like any other.  Its task's X is no array, but
        multiplies as one; of a first layer it may have the units alone that move, and laws are then
        of these.
    parts: what was done, in words.  left: why the rest was left alone.
    turns: the way back, a `Turn` for each matrix of the full state.
    recovery: the way back to what is turned, from a core or from units that move, or None.
    full: the problem that is reduced, (rule, task, w0).
    """

    rule: Any
    task: Any
    w0: tuple
    parts: tuple = ()
    left: tuple = ()
    turns: tuple = field(default=(), repr=False)
    recovery: Any = field(default=None, repr=False)
    full: Any = field(default=None, repr=False)

    def __bool__(self):
        return bool(self.parts)

    def __len__(self):
        """How many matrices the full state has."""
        return len(self.turns) or len(self.w0)

    @cached_property
    def closed(self):
        """The solution in closed form, ``closed(ts)``, where there is one, or None."""
        return self.full and closed_form(*self.full)

    @property
    def places(self):
        """Where in the state those are that have the norms of the full ones."""
        return range(len(self.w0)) if self.recovery is None else self.recovery.places

    @property
    def sizes(self):
        """Entries of the full matrix that each is measured as, inf where none."""
        return self._placed([turn.size for turn in self.turns], np.inf)

    @property
    def beside(self):
        """The norm of what lies beside each matrix at the start."""
        apart = [0.0 if turn.apart is None else np.linalg.norm(turn.apart) for turn in self.turns]
        if self.whole:
            apart[0] = np.hypot(apart[0], np.linalg.norm(self.recovery.rest))
        return self._placed(apart, 0.0)

    @property
    def whole(self):
        """Of a first layer of which units rest, the way back to the whole of it, or None."""
        return getattr(self.recovery, "whole", None)

    @property
    def watched(self):
        """(rule, task, w0) of which laws are known, and the way there from reduced states."""
        if not self.whole:
            return (self.rule, self.task, self.w0), lambda state: state
        back = self.recovery
        return (back.rule, back.task, self.whole(self.w0)), self.whole

    def _placed(self, numbers, others):
        made = np.full(len(self.w0), float(others))
        made[list(self.places)] = numbers
        return made

    def measured(self, state):
        """Matrices that have the norms of the full ones, but for what lies beside."""
        return tuple(state[k] for k in self.places)

    def lift(self, state, t=0.0, start=0.0):
        """The full state of a reduced one at time `t` of a flow from the time `start` on."""
        return tuple(self.lift_one(k, state, t, start) for k in range(len(self)))

    def lift_one(self, k, state, t=0.0, start=0.0):
        """Matrix number `k` of the full state."""
        M = state[k] if self.recovery is None else self.recovery.matrix(k, state)
        return self.turns[k].lift(M, t, start) if self.turns else M

    def loss(self, state):
        """The loss of the full problem at a reduced state, without the full one.

        That of the smaller problem lacks what none of its states reach of the targets.
        """
        rule, task, _ = self.full
        seen = self.seen(partial(laws.loss, task=task))
        return seen(rule, state) if seen else rule.loss(task, self.lift(state))

    def seen(self, law):
        """``law(rule, state)`` of reduced states, if it is known to be as of full ones, or None."""
        from .unlifted import seen

        return seen(self, law)

    def check(self, state, t, control):
        """Raise `Unfinished` where rounding on the way back takes digits that `control` keeps."""
        if self.recovery is None:
            return
        lost = self._placed(self.recovery.lost(state), 0.0)
        sizes = np.array([np.linalg.norm(M) for M in state])
        if not (lost <= ROUNDED * (control.floors + control.rtol * sizes)).all():
            raise Unfinished(
                f"Stopped at t = {t:.6g}: on the way back from the reduced problem rounding takes"
                " more than the tolerance allows; integrate with reduce='none'."
            )

    def __str__(self):
        return "; ".join(self.parts) if self.parts else f"nothing: {'; '.join(self.left)}"


def _decayed(decay, start, t):
    """∫ decay dt, from the start to `t`."""
    if not isinstance(decay, Piecewise):
        return decay * (t - start)
    edges = np.clip([start, *decay.times, t], start, t)
    return float(np.diff(edges) @ np.array(decay.values, dtype=float))
