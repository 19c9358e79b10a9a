"""How large steps are: errors by matrices and a PI controller, for NumPy and for JAX.

The error of a step is measured matrix by matrix in the Frobenius norm,

    max over k of |e_k| / (atol √(entries of W_k) + rtol max(|W_k before|, |W_k after|)),

which no orthogonal change of basis alters: a reduced problem takes the steps of the full one, but
for the core of feedback alignment, where errors of the last layer are seen in random directions.
"""

from dataclasses import dataclass
from math import isfinite
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..rule import of_layer

SAFETY, LEAST, MOST = 0.9, 0.2, 10.0
PROPORTIONAL, INTEGRAL = 0.4, 0.3
"""K. Gustafsson, "Control theoretic techniques for stepsize selection in explicit Runge-Kutta
methods", ACM Trans. Math. Softw. 17, 1991."""

FAR = 0.1
"""Share of what is allowed below which a step grows at least to where its error would be this: the
PI controller alone is slow there, as it looks at how errors grew before."""

LOW = 1e-4
"""Errors below this share of what is allowed count as this, lest one lucky step rule the next."""

PLAIN = SimpleNamespace(
    where=lambda yes, a, b: a if yes else b, minimum=min, maximum=max, isfinite=isfinite
)
"""What numbers of Python need of an array module."""


@dataclass
class Control:
    """What is allowed, and what one step leaves to the next.

    rtol: relative tolerance; floors: (matrices,), atol √entries of each, of the full problem where
    a run is reduced; step: the size of every step, in place of both.
    single: whether velocities are in single precision.
    h: the next step's size; previous: the last accepted step's error, 1 being what is allowed;
    held: whether a step was rejected since.
    """

    rtol: float
    floors: np.ndarray
    step: float | None = None
    single: bool = False
    h: Any = None
    previous: Any = 1.0
    held: Any = False

    @classmethod
    def of(cls, rtol, atol, sizes, step=None, single=False):
        """For matrices of so many entries."""
        return cls(rtol, atol * np.sqrt(np.array(sizes, dtype=float)), step, single)


def excess(errors, before, after, floors, rtol, xp=np):
    """The error in units of what is allowed, from norms of each matrix."""
    return xp.max(errors / (floors + rtol * xp.maximum(before, after)))


def judged(h, planned, error, previous, held, order, xp=PLAIN):
    """Whether a step of size `h` stands, and (planned, previous, held) for the next one.

    A step cut short by a time asked for, h < planned, tells little of the next: what was planned
    stays, unless the error says that it was too much.
    """
    stands = error < 1  # not where it is nan
    known = xp.maximum(xp.where(stands, error, 1.0), 1e-30)
    alone = SAFETY * known ** (-1 / order)
    grown = SAFETY * xp.maximum(known, LOW) ** (-(PROPORTIONAL + INTEGRAL) / order)
    grown = grown * previous ** (PROPORTIONAL / order)
    small = SAFETY * (known / FAR) ** (-1 / order)
    grown = xp.maximum(grown, xp.where(known < FAR, small, 0.0))
    grown = xp.minimum(xp.maximum(grown, LEAST), xp.where(held, 1.0, MOST))
    far = xp.where(xp.isfinite(error), xp.maximum(error, 1.0), 1e30)
    shrunk = xp.maximum(SAFETY * far ** (-1 / order), LEAST)
    whole = h >= planned
    longer = xp.where(whole, h * grown, xp.minimum(planned, h * alone))
    kept = xp.where(whole, xp.maximum(known, LOW), previous)
    return (
        stands,
        xp.where(stands, longer, h * shrunk),
        xp.where(stands, kept, previous),
        xp.where(stands, False, True),
    )


def first_step(moved, state, v, many, control, order, longest):
    """A size to try first: Hairer, Nørsett & Wanner, Solving ODEs I, II.4, errors by matrices.

    moved: the velocity of a state; v: that at `state`.  Zero if no step can be chosen.
    """
    allowed = control.floors + control.rtol * norms(state, many)
    size = lambda parts: float(np.max(norms(parts, many) / allowed))
    d0, d1 = size(state), size(v)
    h = min(1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1, longest)
    if not h > 0:
        return 0.0
    ahead = moved(tuple(W + h * V for W, V in zip(state, v, strict=True)))
    d2 = size([B - A for A, B in zip(v, ahead, strict=True)]) / h
    steep = max(d1, d2)
    second = (0.01 / steep) ** (1 / order) if steep > 1e-15 else max(1e-6, 1e-3 * h)
    chosen = min(100 * h, second, longest)
    return chosen if isfinite(chosen) else 0.0


def velocity(rule, task, state, many, xp=np):
    """The velocity of `many` matrices, and of the norms of what lies beside each, if they follow.

    What lies beside the spaces of a reduced problem decays, and does nothing else.
    """
    w = tuple(state[:many])
    v = tuple(rule(task, w))
    return (*v, *(-decays(rule, w, xp) * beside for beside in state[many:]))


def norms(state, many, xp=np):
    """The norm of each of `many` matrices, with what lies beside it, if its norms follow them."""
    if xp is np:  # by one call each, as small runs have many
        squares = np.array([np.vdot(W, W) for W in state[:many]])
    else:
        squares = xp.stack([xp.sum(W * W) for W in state[:many]])
    return xp.sqrt(sum((beside * beside for beside in state[many:]), start=squares))


def decays(rule, w, xp=np):
    """The decay of each matrix of the state `w`, as an array."""
    return xp.stack([xp.asarray(of_layer(rule.decay, layer), float) for layer in rule.layers(w)])
