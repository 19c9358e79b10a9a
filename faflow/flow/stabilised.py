"""Stabilised explicit Runge-Kutta methods: steps far beyond what a fast decay lets others take.

A step of s stages is stable for decay rates up to about s²/(3h), by RKC2 and by ROCK4 alike, so
that the cost of a stiff, nearly real spectrum grows with the root of the step.  What stands here
runs on NumPy and on JAX arrays; `stabilised_scipy` and `stabilised_diffrax` make solvers of it.

.. [1] B. Sommeijer, L. Shampine & J. Verwer, "RKC: an explicit solver for parabolic PDEs",
   Journal of Computational and Applied Mathematics 88, 1998.
.. [2] A. Abdulle, "Fourth order Chebyshev methods with recurrence relation", SIAM Journal on
   Scientific Computing 23, 2002.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

DAMPING = 10
"""Of RKC2.  The usual 2/13 reaches twice as far, but along a strip too narrow for rates that are
pairs of complex numbers, as feedback alignment has them; 10 halved the evaluations of such a flow,
and took 8 to 17 % more of one with nearly real rates."""

NAMES = ("rkc2", "rock4")
UNSTABLE = (133, 152)  # stages of ROCK4 whose published numbers let |R(z)| reach 1.0077 at z = -8.4


class Attempt(NamedTuple):
    """A step tried: the state at its end, the velocity there, the local error, what it cost."""

    y: Any
    f: Any
    error: Any
    evaluations: Any


@dataclass(frozen=True, eq=False)
class Method:
    """The numbers of a method, in one row for each number of stages it may take.

    order: of the solution; error_order: the power of h with which the error estimate goes to 0.
    stages: (rows,), increasing, each as many evaluations a step.  reach: (rows,), the largest
        h · spectral radius at which the row is stable.
    noise: (rows,), how large rounding makes the error estimate, relative to y and to its eps, where
        the fastest modes are few as in learning; ten times as large on a uniform spectrum.
    recurrence: (all stages of all rows, 5), and where each row starts in it, (rows + 1,): the
        factors of dⱼ₋₁, dⱼ₋₂, h f(y + dⱼ₋₁) and h f(y) in dⱼ = yⱼ - y, and the time of yⱼ₋₁.
    finish: (rows, 16) for ROCK4: the time dₘ is for, a (6), b (4), the embedded weights (5).
    """

    name: str
    order: int
    error_order: int
    stages: Any
    reach: Any
    noise: Any
    starts: Any
    recurrence: Any
    finish: Any = None

    def limited(self, most):
        """The method with at most so many stages, and never less than its fewest."""
        return self._rows(max(1, int(np.searchsorted(self.stages, most, side="right"))))

    def limited_by(self, rtol, eps):
        """The method with no more stages than rounding allows at a relative tolerance.

        eps: the spacing of numbers near 1.
        """
        return self._rows(max(1, int(np.searchsorted(self.noise * eps, rtol, side="right"))))

    def _rows(self, rows):
        cut = {name: getattr(self, name)[:rows] for name in ("stages", "reach", "noise")}
        finish = None if self.finish is None else self.finish[:rows]
        return replace(self, starts=self.starts[: rows + 1], finish=finish, **cut)

    def stages_for(self, h, rho):
        """How many stages a step h takes at spectral radius rho; None if none is enough."""
        reach = abs(h) * rho
        return int(self.stages[(self.reach < reach).sum()]) if reach <= self.reach[-1] else None

    def largest_step(self, rho):
        """The largest stable step at spectral radius rho, with room for rounding in t + h."""
        return 999 / 1000 * self.reach[-1] / (rho + 1e-300)

    def on(self, asarray):
        """The method with its arrays made by `asarray`, such as ``jnp.asarray``."""
        names = ("stages", "reach", "noise", "starts", "recurrence", "finish")
        made = {name: getattr(self, name) for name in names}
        return replace(self, **{k: None if a is None else asarray(a) for k, a in made.items()})


def method(name):
    """RKC2 [1]_ or ROCK4 [2]_, by name: rkc2 or rock4."""
    if name not in NAMES:
        raise ValueError(f"Unknown method {name!r}; choose from {', '.join(NAMES)}.")
    return _rkc2() if name == "rkc2" else _rock4()


def repeat(going, body, state):
    """``while going(state): state = body(state)``, as ``jax.lax.while_loop`` does it traced."""
    while going(state):
        state = body(state)
    return state


def attempt(method, field, t, y, f, h, rho, *, loop=repeat):
    """One step of size h, negative to go back in time: an `Attempt`.

    field: ``field(t, y)``.  y: an array, or a tuple of arrays.  f: the velocity at (t, y).
    rho: a bound on the spectral radius of the field's Jacobian.  loop: `repeat`, or
        ``jax.lax.while_loop`` for a method ``on`` JAX arrays.
    Where h · rho is more than the method can reach, or nan, the error is infinite and y stays.
    """
    xp = _leaves(y)[0].__array_namespace__()
    reach = abs(h) * rho
    fits = reach <= method.reach[-1]
    h = xp.where(fits, h, 0 * h)[()]
    row = (method.reach[:-1] < reach).sum()
    start, end = method.starts[row], method.starts[row + 1]

    def stage(carried):
        j, before, now = carried
        of_now, of_before, of_velocity, of_first, c = method.recurrence[j]
        moved = field(t + c * h, plus(y, now))
        terms = (of_now, now), (of_before, before), (h * of_velocity, moved)
        if method.finish is None:  # ROCK4 takes the first velocity in its first stage alone
            terms = *terms, (h * of_first, f)
        return j + 1, now, combined(*terms)

    first = combined((h * method.recurrence[start][3], f))
    nothing = combined((0 * h, f))
    _, _, moved = loop(lambda carried: carried[0] < end, stage, (start + 1, nothing, first))
    if method.finish is None:
        reached = plus(y, moved)
        velocity = field(t + h, reached)
        error = combined((-4 / 5, moved), (2 / 5 * h, f), (2 / 5 * h, velocity))
    else:
        reached, velocity, error = _finished(method.finish[row], field, t, y, moved, h)
    error = each(lambda e: xp.where(fits, e, xp.inf), error)
    return Attempt(reached, velocity, error, method.stages[row])


def _finished(numbers, field, t, y, moved, h):
    """ROCK4's last four stages, which bring order 4, and its embedded method of order 3."""
    c, a21, a31, a32, a41, a42, a43, b1, b2, b3, b4, e1, e2, e3, e4, e5 = numbers
    k1 = field(t + c * h, plus(y, moved))
    k2 = field(t + (c + a21) * h, plus(y, combined((1, moved), (h * a21, k1))))
    at = combined((1, moved), (h * a31, k1), (h * a32, k2))
    k3 = field(t + (c + a31 + a32) * h, plus(y, at))
    at = combined((1, moved), (h * a41, k1), (h * a42, k2), (h * a43, k3))
    k4 = field(t + (c + a41 + a42 + a43) * h, plus(y, at))
    steps = (h * b1, k1), (h * b2, k2), (h * b3, k3), (h * b4, k4)
    reached = plus(y, combined((1, moved), *steps))
    velocity = field(t + h, reached)
    wrong = (h * (e1 - b1), k1), (h * (e2 - b2), k2), (h * (e3 - b3), k3), (h * (e4 - b4), k4)
    return reached, velocity, combined(*wrong, (h * e5, velocity))


def power_iteration(apply, v, *, loop=repeat, most=50):
    """A linear map's spectral radius by repeating it, with a margin of a fifth, as in RKC [1]_.

    apply: ``apply(v)``.  v: where to start, with a share of every eigenvector.
    Returns the radius, the last direction, of norm 1, and how often the map was applied.  It ends
    where two growths |apply(v)|/|v| agree to 1/100; if none do in `most`, as for complex pairs, it
    takes the largest seen, which is at least their mean.
    """

    def settled(size, before):
        return abs(size - before) <= abs(size) / 100

    def go_on(carried):
        count, _, size, before, _ = carried
        return (count < 2) | ((count < most) & ~settled(size, before))

    def body(carried):
        count, v, before, _, largest = carried
        image = apply(v)
        size = norm(image)
        lost = size == 0  # then the direction stays, for a later start from it
        scale = 1 / (size + lost)
        xp = size.__array_namespace__()
        v = combined((scale, image), (1.0 * lost, v))
        return count + 1, v, size, before, xp.maximum(size, largest)

    v = combined((1 / norm(v), v))
    zero = 0 * norm(v)
    count, v, size, before, largest = loop(go_on, body, (0, v, zero, zero - 1, zero))
    xp = size.__array_namespace__()
    return 6 / 5 * xp.where(settled(size, before), size, largest)[()], v, count


def differences(field, t, y, f):
    """``apply(v)``, the Jacobian of the field at (t, y) times v, by one evaluation."""
    leaf = _leaves(y)[0]
    eps = leaf.__array_namespace__().finfo(leaf.dtype).eps
    size = norm(y)
    width = eps ** (1 / 2) * (size + (size == 0))

    def apply(v):
        moved = field(t, plus(y, combined((width, v))))
        return combined((1 / width, moved), (-1 / width, f))

    return apply


def direction(f):
    """Where a power iteration starts: the velocity, and waves of all lengths, as f may be special.

    A velocity can lie in a subspace that the flow keeps, from which no repeated map leads out.
    """
    xp = _leaves(f)[0].__array_namespace__()

    def waves(part):
        k = xp.reshape(xp.arange(part.size), part.shape)
        return xp.astype(xp.cos(xp.astype(k, float) ** 2), part.dtype)

    wave = each(waves, f)
    size, parts = norm(f), zip(_leaves(f), _leaves(wave), strict=True)
    along = sum((a * b).sum() for a, b in parts)
    sign = xp.where(along < 0, -1, 1)  # so that they do not cancel, as those of one number may
    return combined((1 / (size + (size == 0)), f), (sign / norm(wave), wave))


def norm(y):
    """The root of the sum of squares, over all arrays."""
    return sum((abs(part) ** 2).sum() for part in (y if isinstance(y, tuple) else (y,))) ** (1 / 2)


def combined(*terms):
    """The sum of number times state, for pairs of both."""
    if isinstance(terms[0][1], tuple):
        numbers, states = zip(*terms, strict=True)
        parts = zip(*states, strict=True)
        return tuple(combined(*zip(numbers, part, strict=True)) for part in parts)
    number, state = terms[0]
    total = number * state
    for number, state in terms[1:]:
        total += number * state
    return total


def plus(y, moved):
    return each(lambda a, b: a + b, y, moved)


def each(function, *states):
    """A function of each array of states of one structure."""
    if isinstance(states[0], tuple):
        return tuple(each(function, *parts) for parts in zip(*states, strict=True))
    return function(*states)


def _leaves(y):
    return [leaf for part in y for leaf in _leaves(part)] if isinstance(y, tuple) else [y]


@lru_cache(maxsize=1)
def _rkc2():
    few = range(2, 31)
    many = np.unique(np.geomspace(31, 500, 90).astype(int))
    return _gathered("rkc2", 2, 3, [_rkc2_row(s) for s in (*map(int, few), *map(int, many))])


def _rkc2_row(s):
    """Stages, reach, recurrence and no finish of RKC2.

    The polynomial is R(z) = 1 - b T(w₀) + b T(w₀ + w₁z) with Chebyshev's T of degree s; Chebyshev
    polynomials and their derivatives at w₀ = 1 + delta grow by sums of positive terms, exactly
    enough for any s.
    """
    delta = DAMPING / s**2
    T, slope, bend = [1.0], [0.0], [0.0]
    dT, dslope, dbend = delta, 1.0, 0.0
    for _ in range(s):
        T.append(T[-1] + dT)
        slope.append(slope[-1] + dslope)
        bend.append(bend[-1] + dbend)
        dT += 2 * delta * T[-1]
        dslope += 2 * delta * slope[-1] + 2 * T[-1]
        dbend += 2 * delta * bend[-1] + 4 * slope[-1]
    w0, w1 = 1 + delta, slope[s] / bend[s]
    b = [bend[j] / slope[j] ** 2 for j in range(2, s + 1)]
    b = [b[0], b[0], *b]
    c = [0.0, b[1] * w1]
    rows = [(0.0, 0.0, 0.0, b[1] * w1, 0.0)]
    for j in range(2, s + 1):
        of_now, of_before = 2 * w0 * b[j] / b[j - 1], -b[j] / b[j - 2]
        of_velocity = 2 * w1 * b[j] / b[j - 1]
        of_first = -(1 - b[j - 1] * T[j - 1]) * of_velocity
        rows.append((of_now, of_before, of_velocity, of_first, c[j - 1]))
        c.append(of_now * c[j - 1] + of_before * c[j - 2] + of_velocity + of_first)
    return s, (1 + w0) / w1, s**4 / 100, rows, None


@lru_cache(maxsize=1)
def _rock4():
    lines = Path(__file__).with_name("rock4.txt").read_text(encoding="utf-8").splitlines()
    given = [list(map(float, line.split())) for line in lines if line[0] != "#"]
    return _gathered("rock4", 4, 4, [_rock4_row(r) for r in given if int(r[0]) not in UNSTABLE])


def _rock4_row(given):
    """Stages, reach, recurrence and finish of ROCK4 from one line of the published numbers."""
    s, last, (first, *pairs) = int(given[0]), given[1:16], given[16:]
    c, rows = [0.0, first], [(0.0, 0.0, 0.0, first, 0.0)]
    for mu, kappa in zip(pairs[::2], pairs[1::2], strict=True):
        rows.append((1 + kappa, -kappa, mu, 0.0, c[-1]))
        c.append(mu + (1 + kappa) * c[-1] - kappa * c[-2])
    # Abdulle's program takes 0.353 s² - 3, where |R(z)| reaches 1.14 at s = 67
    reach = 0.352 * s**2 - 3
    return s, reach, _growth(last, reach) / 3, rows, (c[-1], *last)


def _growth(last, reach):
    """How much the last four stages of ROCK4 enlarge a rounding error they begin with."""
    a21, a31, a32, a41, a42, a43, b1, b2, b3, b4 = last[:10]
    z = -np.linspace(0, reach, 200)
    k2 = 1 + z * a21
    k3 = 1 + z * (a31 + a32 * k2)
    k4 = 1 + z * (a41 + a42 * k2 + a43 * k3)
    return np.abs(1 + z * (b1 + b2 * k2 + b3 * k3 + b4 * k4)).max()


def _gathered(name, order, error_order, rows):
    stages, reach, noise, recurrences, finish = zip(*rows, strict=True)
    starts = np.cumsum([0, *map(len, recurrences)])
    finish = None if finish[0] is None else np.array(finish)
    numbers = np.array([number for rows in recurrences for number in rows])
    columns = map(np.array, (stages, reach, noise))
    return Method(name, order, error_order, *columns, starts, numbers, finish)
