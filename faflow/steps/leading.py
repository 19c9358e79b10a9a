"""The error of small steps to leading order, and a bound of it."""

from dataclasses import dataclass

import numpy as np

from ..derivatives import along, differentiable, directional, flat, jacobian
from ..derived import Derived
from ..flow.checks import ready, times
from ..flow.integrate import integrate
from .kinks import check_smooth

LARGEST = 2000
NODES = 200
"""Least number of intervals of the quadrature of the bound."""


@dataclass(frozen=True, eq=False)
class LeadingError:
    """θ_k = θ(t) + η e₁(t) + O(η²) at t = kη.

    ts: (times,).  w: the flow.  e: e₁, one array a matrix, (times, rows, columns).
    norm: |e₁|, of all weights together, (times,).
    bound: (times,), so that |θ_k - θ(t)| ≤ η bound(t) to leading order; nan unless asked for.
    """

    ts: np.ndarray
    w: tuple
    e: tuple
    bound: np.ndarray

    def __str__(self):
        most = f", bound {self.bound[-1]:.3g}" * bool(np.isfinite(self.bound[-1]))
        return (
            f"steps of size η are {self.norm[-1]:.3g} η from the flow at t = {self.ts[-1]:g}, to"
            f" leading order{most and most + ' η'}"
        )

    @property
    def norm(self):
        return np.sqrt(sum((E**2).sum((1, 2)) for E in self.e))


@dataclass(frozen=True, eq=False)
class WithError(Derived):
    """The flow of a rule together with e₁: the state is ``(W₁, …, W_L, E₁, …, E_L)``."""

    same_state = False

    def inside(self, w):
        return w[: len(w) // 2]

    def velocity(self, task, w):
        at, e = self.inside(w), w[len(w) // 2 :]
        field = lambda x: self.force(task, x)
        F = field(at)
        behind = tuple(E - V / 2 for E, V in zip(e, F, strict=True))
        return (*F, *differentiable(self.of, lambda: directional(field, at, behind)[1]))

    def state(self, layers, bias=False):
        moved = self.of.state(layers, bias)
        return moved | {f"E{name.removeprefix('W')}": shape for name, shape in moved.items()}


def leading_error(rule, task, w0, ts, *, bound=False, rtol=1e-10, atol=1e-12):
    """How far steps of size η are from the flow: η e₁(t) + O(η²), for all η by one integration.

    e₁' = J e₁ - ½ J F, e₁(0) = 0, with J the derivative of the velocity F along the flow.
    ts: increasing times from 0, in units of 1/learning rate.
    bound: whether to compute ½ ∫₀ᵗ exp(∫ₛᵗ μ(J)) |JF| ds ≥ |e₁|, where the logarithmic norm
        μ(J) is the largest eigenvalue of (J + Jᵀ)/2.  It bounds the error to leading order only,
        since it is taken on the flow and not on a tube around it; by the trapezoidal rule on at
        least 200 intervals, for at most 2000 weights.
    Returns a `LeadingError`.  Raises ValueError or TypeError for bad input, among it networks with
    kinks, across which the error is not of this form; and what `integrate` raises.
    """
    w0, ts = ready(rule, task, w0), times(ts)
    if ts[0] != 0:
        raise ValueError(f"ts must start at 0, where the steps are on the flow, but at {ts[0]:g}.")
    check_smooth("The leading error", rule, task, w0)
    size = sum(W.size for W in w0)
    if bound and size > LARGEST:
        raise ValueError(f"The bound takes at most {LARGEST} weights, but there are {size}.")
    start = (*w0, *(np.zeros_like(W) for W in w0))
    grid, at = _refined(ts) if bound else (ts, np.arange(len(ts)))
    sol = integrate(WithError(of=rule), task, start, grid, rtol=rtol, atol=atol)
    limits = _bound(rule, task, sol, len(w0))[at] if bound else np.full(len(ts), np.nan)
    w, e = sol.w[: len(w0)], sol.w[len(w0) :]
    return LeadingError(ts, tuple(W[at] for W in w), tuple(E[at] for E in e), limits)


def _refined(ts):
    """A finer grid, and where the times are in it."""
    parts = -(-NODES // (len(ts) - 1))
    grid = np.interp(np.arange((len(ts) - 1) * parts + 1) / parts, np.arange(len(ts)), ts)
    at = np.arange(len(ts)) * parts
    grid[at] = ts
    return grid, at


def _bound(rule, task, sol, count):
    norms, pushes = [], []
    for k in range(len(sol)):
        w = sol.at(k)[:count]
        J = jacobian(rule, task, w)
        norms.append(np.linalg.eigvalsh((J + J.T) / 2)[-1])
        pushes.append(np.linalg.norm(flat(along(rule, task, w, rule(task, w)))) / 2)
    b = [0.0]
    for k, step in enumerate(np.diff(sol.ts)):
        grown = np.exp(step * (norms[k] + norms[k + 1]) / 2)
        b.append(grown * b[-1] + step * (grown * pushes[k] + pushes[k + 1]) / 2)
    return np.array(b)
