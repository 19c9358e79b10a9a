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
        stages[:] = self._foreseen(h)
        if not self._solved(y, h):
            return np.full_like(y, np.nan), np.full(len(self.out[0]), np.inf)
        made = y + h * (WEIGHTS @ stages)
        self._velocity(4, made)
        return made, self._errors(y, made, h)

    def _errors(self, y, made, h):
        """About (hδ/|W|)^{7/4}|W| of each matrix, δ being what the slope of the cubic is off by.

        A short step of w' = -w errs by 0.04 of this.
        """
        norms, stages = self.field.layout.norms, self.K[1:4]
        off = np.stack([BACK @ stages - self.K[0], BACK[::-1] @ stages - self.K[4]])
        sizes = np.maximum(norms(y), norms(made))
        share = h * norms(off).max(axis=0) / np.where(sizes > 0, sizes, 1)
        return sizes * share ** (ORDER / 4)

    def _foreseen(self, h):
        """The stages if velocities went on as they did over the last step."""
        if self.before is None:
            return self.K[0]
        last, K = self.before
        known, asked = np.append(NODES, 1) - 1, NODES * h / last
        return np.vander(asked, 4) @ np.linalg.solve(np.vander(known, 4), K)

    def _solved(self, y, h):
        """Whether the stages were found."""
        norms = self.field.layout.norms
        sizes, before = np.maximum(norms(y), np.finfo(float).tiny), np.inf
        for count in range(ROUNDS):
            kept = self.K[1:4].copy()
            for i in range(3):
                self._velocity(i + 1, y + h * (A[i] @ self.K[1:4]))
            moved = float(np.max(h * norms(self.K[1:4] - kept) / sizes))
            pace = moved / before
            if moved <= ROUNDING or (0 < pace < 1 and moved * pace / (1 - pace) <= ROUNDING):
                return True
            if not np.isfinite(moved) or (count > 2 and pace > 0.9):
                return moved < 100 * ROUNDING  # no nearer than rounding lets it be
            before = moved
        return False
