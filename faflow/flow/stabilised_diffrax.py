"""The stabilised methods as diffrax solvers: ``diffeqsolve(terms, solver=RKC2(), …)``."""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax as dfx
import jax
import jax.numpy as jnp

from .stabilised import attempt, direction, method, power_iteration

AGE = 25


class RKC2(dfx.AbstractAdaptiveSolver):
    """The Runge-Kutta-Chebyshev method of order 2, for stiff flows of nearly real spectrum [1]_.

    spectral_radius: ``spectral_radius(t, y, args)``, a bound on that of the vector field's
        Jacobian, asked at every step; without it a power iteration of products with the Jacobian
        estimates it every 25 steps and after each step that is shorter than the one before.
    rtol: the relative tolerance down to which rounding must leave the error estimate of use; as
        diffrax keeps its own in the step size controller, give it here too when it is fine.
    A step too long for the largest number of stages has an infinite error, for a controller to
    reject.  Derivatives are those of ``adjoint=diffrax.ForwardMode()`` alone, since the number of
    stages is decided while it runs.  Numbers may be of either precision, states any real arrays.

    .. [1] B. Sommeijer, L. Shampine & J. Verwer, "RKC: an explicit solver for parabolic PDEs",
       Journal of Computational and Applied Mathematics 88, 1998.
    """

    spectral_radius: Callable[..., Any] | None = None
    rtol: float = 1e-6

    method: ClassVar[str] = "rkc2"
    term_structure: ClassVar[Any] = dfx.ODETerm
    interpolation_cls: ClassVar[Any] = dfx.ThirdOrderHermitePolynomialInterpolation

    def order(self, terms):
        return method(self.method).order

    def error_order(self, terms):
        return method(self.method).error_order

    def func(self, terms, t0, y0, args):
        return terms.vf(t0, y0, args)

    def init(self, terms, t0, t1, y0, args):
        with jax.numpy_dtype_promotion("standard"):
            f = _times(_way(terms, t0, t1), _leaves(self.func(terms, t0, y0, args)))
            zero = jnp.zeros((), f[0].dtype)
            return f, direction(f), zero, zero, jnp.asarray(AGE), jnp.asarray(1)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        structure = jax.tree.structure(y0)
        tree = lambda y: jax.tree.unflatten(structure, y)
        way = _way(terms, t0, t1)
        field = lambda t, y: _times(way, _leaves(terms.vf(t, tree(y), args)))
        first, eigenvector, rho, last, age, spent = solver_state
        y = _leaves(y0)
        dtype = y[0].dtype
        with jax.numpy_dtype_promotion("standard"):
            h = jnp.asarray(t1 - t0, dtype)
            first = jax.lax.cond(made_jump, lambda: field(t0, y), lambda: first)
            if self.spectral_radius is None:
                old = made_jump | (age >= AGE) | (abs(h) < last)
                new = lambda: _estimated(field, t0, y, eigenvector)
                kept = lambda: (rho, eigenvector, 0 * spent)
                rho, eigenvector, more = jax.lax.cond(old, new, kept)
                spent = spent + more
                age = jnp.where(old, 0, age)
            else:
                rho = jnp.asarray(self.spectral_radius(way * t0, y0, args), dtype)
            numbers = self.numbers(dtype)
            tried = attempt(numbers, field, t0, y, first, h, rho, loop=jax.lax.while_loop)
            dense = {"y0": y0, "y1": tree(tried.y)}
            dense |= {"k0": tree(_times(h, first)), "k1": tree(_times(h, tried.f))}
        state = tried.f, eigenvector, rho, abs(h), age + 1, spent + tried.evaluations
        return tree(tried.y), tree(tried.error), dense, state, dfx.RESULTS.successful

    def numbers(self, dtype):
        """The method's, as many as rounding leaves of use."""
        eps = float(jnp.finfo(dtype).eps)
        made = method(self.method).limited_by(max(self.rtol, 100 * eps), eps)
        return made.on(lambda a: jnp.asarray(a, dtype if a.dtype.kind == "f" else int))

    def longest(self, t, y, args, solver_state):
        """The largest step that is stable, as far as is known before it is tried."""
        rho = solver_state[2]
        if self.spectral_radius is not None:
            rho = self.spectral_radius(t, y, args)
        return self.numbers(rho.dtype).largest_step(rho)

    def spent(self, solver_state):
        """Evaluations up to there, of steps that were accepted."""
        return solver_state[-1]


class ROCK4(RKC2):
    """Abdulle's fourth order method ROCK4, for stiff flows of nearly real spectrum [1]_.

    Its fields are those of `RKC2`.

    .. [1] A. Abdulle, "Fourth order Chebyshev methods with recurrence relation", SIAM Journal on
       Scientific Computing 23, 2002.
    """

    method: ClassVar[str] = "rock4"


def _estimated(field, t, y, eigenvector):
    """The spectral radius of the field's Jacobian at (t, y), and where to start the next time."""
    apply = lambda v: jax.jvp(lambda y: field(t, y), (y,), (v,))[1]
    rho, eigenvector, count = power_iteration(apply, eigenvector, loop=jax.lax.while_loop)
    return rho, eigenvector, jnp.asarray(count)


def _way(terms, t0, t1):
    """-1 where time runs backwards, as diffrax hands it on: by its control alone, times negated."""
    return jnp.where(terms.contr(t0, t1) < 0, -1, 1)


def _leaves(y):
    return tuple(map(jnp.asarray, jax.tree.leaves(y)))


def _times(h, y):
    return tuple(h * part for part in y)
