"""The stabilised methods as SciPy solvers: ``solve_ivp(fun, span, y0, method=RKC2)``."""

import numpy as np
from scipy.integrate import DenseOutput, OdeSolver

from .stabilised import attempt, differences, direction, method, power_iteration

SAFETY, LEAST, MOST, AGE = 0.8, 0.1, 5, 25


class RKC2(OdeSolver):
    """The Runge-Kutta-Chebyshev method of order 2, for stiff flows of nearly real spectrum [1]_.

    fun, t0, y0, t_bound, max_step, rtol, atol, vectorized, first_step: as in SciPy's RK45.
    spectral_radius: ``spectral_radius(t, y)``, a bound on that of the Jacobian of `fun`, asked
        at every step; without it a power iteration of `fun` estimates it every 25 steps and after
        a rejected one, its evaluations counted in ``nfev``.
    Steps are controlled by the error and the one before it.  Good for relative tolerances down to
    about 1e-7.  Dense output, and so `t_eval`, is a cubic whose error nothing controls: on long
    steps it was a hundred times theirs and more, so let a run end at the times that matter.

    .. [1] B. Sommeijer, L. Shampine & J. Verwer, "RKC: an explicit solver for parabolic PDEs",
       Journal of Computational and Applied Mathematics 88, 1998.
    """

    method = "rkc2"

    def __init__(
        self,
        fun,
        t0,
        y0,
        t_bound,
        max_step=np.inf,
        rtol=1e-3,
        atol=1e-6,
        vectorized=False,
        first_step=None,
        spectral_radius=None,
    ):
        super().__init__(fun, t0, y0, t_bound, vectorized)
        self.rtol, self.atol = _tolerances(rtol, atol, self.n)
        self.max_step = _positive("max_step", max_step, np.inf)
        eps = np.finfo(float).eps
        self.numbers = method(self.method).limited_by(self.rtol, eps)
        self.f = self.fun(self.t, self.y)
        self.y_old, self.f_old = None, None
        self.given, self.radius, self.age = spectral_radius, np.nan, 0
        self.eigenvector = direction(self.f)
        self.error_old, self.h_old = None, None
        self._estimate()
        span = abs(self.t_bound - self.t)
        if first_step is None:
            self.h_abs = min(self._first_step(span), self.max_step)
        else:
            self.h_abs = _positive("first_step", first_step, span)

    def _estimate(self):
        """The spectral radius at the present state."""
        self.age = 0
        if self.given is not None:
            self.radius = float(self.given(self.t, self.y))
            return
        apply = differences(self.fun, self.t, self.y, self.f)
        radius, self.eigenvector, _ = power_iteration(apply, self.eigenvector)
        self.radius = float(radius)

    def _first_step(self, span):
        """As in RKC [1]_: from how much the velocity changes over a step of 1/radius."""
        h = min(1 / self.radius if self.radius > 0 else span, span, self.max_step)
        if not h > 0:  # no time to go, or a radius that is not finite
            return span
        moved = self.fun(self.t + self.direction * h, self.y + self.direction * h * self.f)
        error = self._norm(h * (moved - self.f), self.y, self.y)
        return h * LEAST / max(error ** (1 / 2), LEAST * h / span)

    def _norm(self, error, y, reached):
        scale = self.atol + self.rtol * np.maximum(np.abs(y), np.abs(reached))
        return np.mean((error / scale) ** 2) ** (1 / 2)

    def _step_impl(self):
        t, y, f, rejected = self.t, self.y, self.f, False
        least = 10 * abs(np.nextafter(t, self.direction * np.inf) - t)
        if self.given is not None or self.age >= AGE:
            self._estimate()
        while True:
            if not (np.isfinite(self.radius) and self.radius >= 0):
                return False, f"The spectral radius at t = {t:g} is {self.radius}."
            reach = self.numbers.largest_step(self.radius)
            most = min(self.max_step, reach)
            h_abs, left = min(self.h_abs, most), abs(self.t_bound - t)
            if left <= min(most, 1.1 * h_abs):  # no small last step
                h_abs = left
            if h_abs < min(least, left):
                return False, self.TOO_SMALL_STEP
            t_new = self.t_bound if h_abs == left else t + self.direction * h_abs
            tried = attempt(self.numbers, self.fun, t, y, f, t_new - t, self.radius)
            error = self._norm(tried.error, y, tried.y)
            power = 1 / self.numbers.error_order
            if error < 1:
                break
            factor = SAFETY * error**-power if np.isfinite(error) else LEAST
            self.h_abs, rejected = h_abs * max(LEAST, factor), True
            if self.age > 0:
                self._estimate()
        factor = SAFETY / max(error, 1e-10) ** power
        if self.error_old is not None:  # the predictive control of Gustafsson and of Watts
            factor *= min(1, h_abs / self.h_old * (self.error_old / max(error, 1e-10)) ** power)
        factor = min(1 if rejected else MOST, max(LEAST, factor))
        self.error_old, self.h_old = max(error, 1e-10), h_abs
        self.h_abs, self.age = h_abs * factor, self.age + 1
        self.y_old, self.f_old = y, f
        self.t, self.y, self.f = t_new, tried.y, tried.f
        return True, None

    def _dense_output_impl(self):
        return Cubic(self.t_old, self.t, self.y_old, self.f_old, self.y, self.f)


class ROCK4(RKC2):
    """Abdulle's fourth order method ROCK4, for stiff flows of nearly real spectrum [1]_.

    Its arguments are those of `RKC2`.  Rounding limits its steps the more the finer the tolerance.
    Where fast components are driven in time its order falls, and `RKC2` is better: it took a third
    of the evaluations.  Measured on one problem.

    .. [1] A. Abdulle, "Fourth order Chebyshev methods with recurrence relation", SIAM Journal on
       Scientific Computing 23, 2002.
    """

    method = "rock4"


class Cubic(DenseOutput):
    """The cubic through states and velocities at both ends of a step."""

    def __init__(self, t_old, t, y_old, f_old, y, f):
        super().__init__(t_old, t)
        self.y_old, self.y, self.h = y_old, y, t - t_old
        self.f_old, self.f = f_old, f

    def _call_impl(self, t):
        x = (t - self.t_old) / self.h
        of = lambda number, state: np.multiply.outer(state, number)
        ends = of((1 + 2 * x) * (1 - x) ** 2, self.y_old) + of(x**2 * (3 - 2 * x), self.y)
        slopes = of(x * (1 - x) ** 2, self.f_old) + of(x**2 * (x - 1), self.f)
        return ends + self.h * slopes


def _tolerances(rtol, atol, n):
    """Both, checked: a number, and a number or one for each of n components."""
    least = 100 * np.finfo(float).eps
    if np.ndim(rtol) != 0 or not least <= rtol < 1:
        raise ValueError(f"rtol must be a number between {least:.1e} and 1, but is {rtol!r}.")
    made = np.asarray(atol, dtype=float)
    if made.shape not in ((), (n,)) or not (np.isfinite(made).all() and (made >= 0).all()):
        raise ValueError(f"atol must be a number, or {n}, not below 0, but is {atol!r}.")
    return float(rtol), made


def _positive(name, value, most):
    if not 0 < value <= most:
        limit = "" if most == np.inf else f" and at most the time to go, {most:g}"
        raise ValueError(f"{name} must be above 0{limit}, but is {value!r}.")
    return value
