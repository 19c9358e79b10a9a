"""One step of each explicit method on vectors: where it ends, and how large its errors are."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .stabilised import attempt, differences, direction, method, power_iteration

AGE = 25
"""Steps after which a spectral radius is measured again."""


def reach(A, b):
    """How far along the negative axis an explicit method with this tableau is stable."""
    stages = len(b)
    z = np.linspace(0, 15, 1501)[1:]
    grown = np.linalg.solve(np.eye(stages) + z[:, None, None] * A, np.ones((len(z), stages, 1)))
    unstable = np.abs(1 - z * (grown[..., 0] @ b)) > 1
    return float(z[np.argmax(unstable)])


class Tableau(NamedTuple):
    """An explicit pair: stages (A, square), the step (b), and its error, by one estimate or two.

    order: powers of the step that the error estimate falls with.
    """

    A: np.ndarray
    b: np.ndarray
    errors: np.ndarray
    order: int


@cache
def tableau(name):
    """That of an explicit pair: SciPy's or diffrax's, whose import takes as long as many runs."""
    text = Path(__file__).with_name("pairs.txt").read_text(encoding="utf-8")
    lines = iter([line.split() for line in text.splitlines() if line[0] != "#"])
    numbers = lambda: [float(x) for x in next(lines)]
    for found, order, stages, estimates in lines:
        A = np.zeros((int(stages), int(stages)))
        for k in range(1, len(A)):
            A[k, :k] = numbers()
        made = A, np.array(numbers()), np.array([numbers() for _ in range(int(estimates))])
        if found == name:
            return Tableau(*made, int(order))
    raise ValueError(f"Unknown pair {name!r}.")


class Pair:
    """Steps of an embedded explicit pair, a `Tableau`, and norms of their errors.

    Rows of K: the state, the velocities of the stages, and that at the end of the step.
    """

    def __init__(self, pair, field):
        self.field, layout = field, field.layout
        self.stages = len(pair.b)
        self.whole = np.zeros((self.stages + 1, self.stages + 1))
        self.whole[:-1, 1:], self.whole[-1, 1:], self.E = pair.A, pair.b, pair.errors
        self.ahead = bool(self.E[:, -1].any())  # whether the error looks at the next velocity
        self.K = np.zeros((self.stages + 2, layout.size))
        self.out = [layout.parts(row) for row in self.K]

    longest, said = np.inf, "a step of this size overflows"

    def start(self, y):
        """Make ready for a step from `y`."""
        self.velocity(1, y)

    def reject(self, y):
        """Nothing is to be done for another try from `y`."""

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


class Chebyshev:
    """Steps of a stabilised method, of as many stages as the spectral radius asks for.

    radius: ``radius(w)`` of a tuple of matrices, a bound; None to measure it again and again.
    """

    def __init__(self, name, field, rtol, radius=None):
        self.field, self.radius = field, radius
        self.numbers = method(name).limited_by(rtol, np.finfo(float).eps)
        self.rho, self.age, self.way = 0.0, AGE, None

    def start(self, y):
        self.f = self.field.at(y)
        self._look(y)

    def _look(self, y):
        if self.radius is not None:
            self.rho = float(self.radius(self.field.layout.parts(y)))
            return
        self.age += 1
        if self.age > AGE:
            self.age = 0
            way = direction(self.f) if self.way is None else self.way
            apply = differences(lambda t, y: self.field.at(y), 0.0, y, self.f)
            rho, self.way, _ = power_iteration(apply, way)
            self.rho = float(rho)

    @property
    def longest(self):
        return self.numbers.largest_step(self.rho)

    def attempt(self, y, h):
        """The end of a step from `y`, where the first velocity is that at `y`, and its errors."""
        made, self.ahead, error, _ = attempt(
            self.numbers, lambda t, y: self.field.at(y), 0.0, y, self.f, h, self.rho
        )
        return made, self.field.layout.norms(error)

    def reject(self, y):
        """Look at the spectral radius again, if it was measured elsewhere."""
        self.age = AGE if self.age > 1 else self.age
        self._look(y)

    def accept(self, y):
        """Make ready for a step from `y`, where the last attempt ended."""
        self.f = self.ahead
        self._look(y)
