"""Mean and covariance of the weights under steps with random samples, without drawing any."""

from dataclasses import dataclass
from itertools import count as count_from
from typing import Any

import numpy as np

from ..derivatives import differentiable, directional, flat, linear_map, unflat
from ..flow.checks import ready
from ..flow.checks import times as checked_times
from ..flow.choice import tolerances
from ..nets import check_positive
from ..rules import FAStar
from .batches import Shares, check_replace
from .drift import expanded
from .kinks import check_smooth
from .modified import check_eta

LARGEST = 200

MOST = 5_000
"""Evaluations of the equations, after which they are said not to be followed."""


@dataclass(frozen=True, eq=False)
class Moments:
    """What weights are in the mean, and how they scatter.

    ts: (times,).  w: mean weights, one array a matrix, (times, rows, columns).
    covariance: (times, p, p), of all p weights taken row by row and layer by layer.
    eta: the step size.
    """

    ts: np.ndarray
    w: tuple
    covariance: np.ndarray
    eta: float
    task: Any
    rule: Any

    def __str__(self):
        spread = np.sqrt(np.trace(self.covariance[-1]))
        return (
            f"{self.rule.name}: mean and covariance at {len(self.ts)} times in [{self.ts[0]:g},"
            f" {self.ts[-1]:g}], eta {self.eta:g}; at the end the weights scatter by {spread:.3g}"
        )

    def at(self, k):
        """The mean weights at time number `k`."""
        return tuple(W[k] for W in self.w)

    def expected(self, law, **arguments):
        """The mean of a law that is quadratic in the weights, (times, …): that of the mean, and
        half its second derivative times the covariance.

        Raises ValueError for a law that is no quadratic polynomial.
        """
        found = []
        for k in range(len(self.ts)):
            mean, (shares, axes) = self.at(k), np.linalg.eigh(self.covariance[k])
            value = np.asarray(law(self.rule, mean, **arguments), dtype=float)
            for share, axis in zip(shares, axes.T, strict=True):
                terms = expanded(law, self.rule, mean, unflat(axis, mean), arguments)
                if any(higher.any() for higher in terms[2:]):
                    raise ValueError("expected is for laws that are quadratic in the weights.")
                value = value + share * terms[1]
            found.append(value)
        return np.stack(found)


def moments(rule, task, w0, ts, *, eta, size, replace=False, rtol=1e-10, atol=1e-12):
    """Mean and covariance of steps on samples drawn anew at each, to second order in `eta`.

    With F the mean velocity of a batch, J = F' and Σ the covariance of a batch's velocity,

        m' = F - (η/2) JF + (η/2) F'':P,   P' = JP + PJᵀ + Σ,   E w = m + O(η²),  Cov w = ηP + O(η²)

    from P = 0, along m; equal to order 2 to the stochastic modified equation of Li, Tai & E 2019
    (arXiv:1811.01558).
    ts: increasing times from 0; time is η times the number of steps, and the loss of a batch is a
        sum, so that F is size/N times the velocity on all N samples.
    size, replace: of `sampled`, which draws such batches.
    For at most 200 weights, and smooth activations.  Returns `Moments`.
    Raises ValueError or TypeError for bad input, and RuntimeError if the mean blows up
    or its equations are too stiff.
    """
    w0, ts = ready(rule, task, w0), checked_times(ts)
    check_eta(eta)
    samples, count = task.X.shape[1], sum(W.size for W in w0)
    _check(rule, task, w0, ts, samples, size, replace)
    shares = Shares(rule, task, size, replace)

    control = tolerances(rtol, atol)
    evaluated = count_from(1)

    def velocity(t, y):
        if next(evaluated) > MOST:
            raise RuntimeError(
                f"The moments could not be followed to t = {ts[-1]:g}: at t = {t:g} the"
                f" {MOST} evaluations of their equations are spent."
            )
        w, P = unflat(y[:count], w0), y[count:].reshape(count, count)
        P = (P + P.T) / 2
        F = flat(shares.mean(w))
        J = differentiable(rule, lambda: linear_map(lambda v: directional(shares.mean, w, v)[1], w))
        bent = _contracted(shares.mean, w, P)
        own = np.stack([flat(h) for h in shares.alone(w)])
        total = own.sum(0)
        both = np.outer(total, total) - own.T @ own
        scatter = shares.same * own.T @ own + shares.pair * both - np.outer(F, F)
        moved = F + float(eta) / 2 * (bent - J @ F)
        return np.concatenate([moved, (J @ P + P @ J.T + scatter).ravel()])

    import scipy.integrate

    y0 = np.concatenate([flat(w0), np.zeros(count**2)])
    span = (ts[0], ts[-1])
    control = {"method": "DOP853", "t_eval": ts} | control
    with np.errstate(all="ignore"):  # a blow-up is told in words
        out = scipy.integrate.solve_ivp(velocity, span, y0, **control)
    if not out.success or not np.isfinite(out.y).all():
        raise RuntimeError(f"The moments could not be followed to t = {ts[-1]:g}: {out.message}")
    states = [unflat(y, w0) for y in out.y[:count].T]
    mean = tuple(map(np.stack, zip(*states, strict=True)))
    P = out.y[count:].T.reshape(-1, count, count)
    return Moments(ts, mean, eta * (P + P.mT) / 2, float(eta), task, rule)


def _contracted(field, w, P):
    """F'':P = Σ P_ab ∂_a∂_b F, (p,): a second derivative along each axis of P."""
    shares, axes = np.linalg.eigh(P)
    total = np.zeros(len(P))
    for share, axis in zip(shares, axes.T, strict=True):
        if abs(share) > 1e-15 * np.abs(shares).max():
            v = unflat(axis, w)
            twice = directional(lambda x, v=v: directional(field, x, v)[1], w, v)[1]
            total += share * flat(twice)
    return total


def _check(rule, task, w0, ts, samples, size, replace):
    count = sum(W.size for W in w0)
    check_positive(size=size)
    check_replace(replace)
    if size > samples and not replace:
        raise ValueError(f"{size} samples cannot be drawn from {samples} without replacement.")
    if ts[0] != 0:
        raise ValueError(f"ts must start at 0, where the weights are known, but at {ts[0]:g}.")
    if isinstance(rule, FAStar):
        raise ValueError("FAStar fits its last layer to all the data, so it takes no batches.")
    check_smooth("moments", rule, task, w0)
    if count > LARGEST:
        raise ValueError(f"moments takes at most {LARGEST} weights, but there are {count}.")
