"""Gauss-Legendre collocation: a reference whose every step keeps quadratic laws by itself.

Three stages, of order 6, implicit, the same backwards in time.  E. Hairer, C. Lubich & G. Wanner,
"Geometric Numerical Integration", 2006: II.1.3 for the method, IV.2.1 for what it keeps.
"""

import numpy as np

ROOT = np.sqrt(15)
NODES = 0.5 + ROOT / 10 * np.array([-1, 0, 1])
A = np.array(
    [
        [5 / 36, 2 / 9 - ROOT / 15, 5 / 36 - ROOT / 30],
        [5 / 36 + ROOT / 24, 2 / 9, 5 / 36 - ROOT / 24],
        [5 / 36 + ROOT / 30, 2 / 9 + ROOT / 15, 5 / 36],
    ]
)
WEIGHTS = np.array([5, 8, 5]) / 18

BACK = np.array([5 + ROOT, -4, 5 - ROOT]) / 6
"""Weights of the stages for the slope, at the start of the step, of the cubic through them; the
other way round for the end.  There it differs from the velocity by a power 3 of the step."""

ORDER = 7
"""Powers of the step that the errors of one, and their estimate, fall with."""

ROUNDS = 50
"""Rounds of the iteration for the stages at most."""

FARTHEST = 4
"""Lengths of the step before over which its velocities are continued."""

SLOWEST, TINY = 1e-3, np.finfo(float).tiny
"""The least that a round of the iteration is taken to leave, and the least size of a matrix."""

ROUNDING = 1e-16
"""How small what is left of the iteration is made, relative to each matrix."""


class Gauss:
    """Steps of the collocation, its stages found one after the other, again and again.

    That comes to an end where the step is short against the fastest rate of the flow, as it is to
    be for explicit methods; where it does not, the step is rejected.
    Rows of K: the velocity at the start, those of the stages, and that at the end of the step.
    """

    longest = np.inf
    said = "the stages of a step of this size are not found; take shorter ones"

    def __init__(self, field):
        self.field = field
        self.K = np.zeros((5, field.layout.size))
        self.out = [field.layout.parts(row) for row in self.K]
        self.before = None

    def start(self, y):
        """Make ready for a step from `y`."""
        self._velocity(0, y)
        self.before = None

    def reject(self, y):
        """Nothing is to be done for another try from `y`."""

    def accept(self, y):
        """Make ready for a step from `y`, where the last attempt ended."""
        self.before = self.h, self.K[1:].copy()
        self._velocity(0, y)

    def _velocity(self, row, y):
        self.field.work[:] = y
        self.field.into(self.K[row], self.out[row])

    def attempt(self, y, h):
        """The end of a step from `y`, where the first velocity is that at `y`, and its errors."""
        self.h, stages = h, self.K[1:4]
        pace = None
        if self.before is not None and h <= FARTHEST * self.before[0]:
            stages[:] = self._foreseen(h, *self.before)
            pace = self._solved(y, h)
        if pace is None:
            stages[:] = self.K[0]
            pace = self._solved(y, h)
        if pace is None:
            return np.full_like(y, np.nan), np.full(len(self.out[0]), np.inf)
        made = y + h * (WEIGHTS @ stages)
        self._velocity(4, made)
        return made, self._errors(h, pace)

    def _errors(self, h, pace):
        """hδ·(2 pace)³ of each matrix, δ being what the slope of the cubic is off by at the ends.

        hδ falls with the power 4 of the step; the pace of the iteration, with the first and with
        the fastest rate of the flow, is the same for all parts, so that none is taken for slower.
        A step of w' = -w errs by about a hundredth of this, turns of a matrix in the end by more.
        """
        norms, stages = self.field.layout.norms, self.K[1:4]
        off = np.stack([BACK @ stages - self.K[0], BACK[::-1] @ stages - self.K[4]])
        return h * norms(off).max(axis=0) * (2 * pace) ** 3

    def _foreseen(self, h, last, K):
        """The stages if velocities went on as over the last step, K at its stages and its end."""
        known, asked = np.append(NODES, 1) - 1, NODES * h / last
        return np.vander(asked, 4) @ np.linalg.solve(np.vander(known, 4), K)

    def _solved(self, y, h):
        """The share of the way that a round leaves, at most; None if the stages are not found."""
        norms, stages = self.field.layout.norms, self.K[1:4]
        moved, paces = np.inf, [SLOWEST]
        for _ in range(ROUNDS):
            kept, before = stages.copy(), moved
            for i in range(3):
                self._velocity(i + 1, y + h * (A[i] @ stages))
            sizes = np.maximum(norms(y), h * norms(stages).max(axis=0))
            moved = float(np.max(h * norms(stages - kept) / np.maximum(sizes, TINY)))
            if not np.isfinite(moved):
                return None
            pace = moved / before
            if moved > 100 * ROUNDING:
                paces.append(pace)
            if moved <= ROUNDING or (0 < pace < 1 and moved * pace / (1 - pace) <= ROUNDING):
                return max(paces)
            if len(paces) > 3 and pace > 0.9:
                return max(paces) if moved < 100 * ROUNDING else None  # rounding lets it no nearer
        return None
