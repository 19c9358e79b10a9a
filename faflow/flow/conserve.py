"""Keep conserved quantities to rounding: after a step, back to where they say that the flow is.

A step leaves the level set of a law q by its error, R = q(w) - q₀.  The nearest state on it is, to
first order, w - Jᵀ(JJᵀ)⁻¹R with J the derivative of q.  For the laws of learning rules that is

    δW₁ = -2ΛW₁/r₁,  δW₂ = 2FᵀΛ/r₂,  PΛ + ΛP = R,  P = 2(W₁W₁ᵀ/r₁² + FFᵀ/r₂²),

F being what stands for W₂ᵀ, for a symmetric Λ; it is repeated until nothing is left.  Where F is
fixed and has independent rows, as in feedback alignment, the upper layer alone goes back in one
step, δW₂ = r₂ Fᵀ(FFᵀ)⁻¹R/2, exactly; and so layer after layer upwards in deep networks.  The
W₂ - Bᵀ of Kolen-Pollack is linear and goes back first, by both; then it stays as it is, so
that the other laws are those of W₁W₁ᵀ/r₁ - BBᵀ/r₂ alone, as well conditioned as gradient descent's.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..rule import is_number, of_layer
from .conjugate import conjugate, picked
from .factor import Factor
from .free import Free, plus
from .kept import SMALL, SUMS
from .reach import Reach
from .stabilised import repeat

ROUNDS = 5
"""Corrections of a state at most; each squares what is left."""

ROUNDING = 1e-15
"""What is left of a law, relative to its value and to the mean |W|² of the matrices, that is taken
for none; to correct it would move weights by more where a law hardly depends on them."""

SHARE = 1e-4
"""Of weights and feedback how large W₂ - Bᵀ is, that errors of its decay are more than rounding."""


@dataclass(frozen=True)
class Keeper:
    """Laws, with how a state goes back to them.

    shortcuts: for each the matrix that takes R to δW₂, where all laws have one; else None.
    free: of several laws, or of layers, where weights may move, if that is the same at all states.
    factor: remembered from step to step of several laws, on NumPy, or None.
    """

    kept: tuple
    shortcuts: tuple | None = None
    free: Free = field(default_factory=Free)
    factor: Any = field(default=None, compare=False)

    @classmethod
    def of(cls, kept, rule, w):
        made = [_shortcut(one, rule) for one in kept]
        if all(M is not None for M in made):
            return cls(tuple(kept), tuple(made))
        if any(one.kind == "difference" for one in kept):
            kept = [replace(one, held=one.kind != "difference") for one in kept]
        made = cls(tuple(kept))
        if made.several or made.reaches:
            made = replace(made, free=Free.of(kept, rule, w))
        return made.under(rule)

    def under(self, rule):
        """The same laws where the flow goes on by this `rule`."""
        if self.shortcuts is not None:
            return type(self)(self.kept, tuple(_shortcut(one, rule) for one in self.kept))
        if not self.several:
            return self
        return replace(self, factor=Factor(self.curved))

    @cached_property
    def curved(self):
        """The laws that are not linear in the state."""
        return tuple(one for one in self.kept if one.kind != "difference")

    @property
    def several(self):
        """Whether laws are to be solved together."""
        return len(self.curved) > 1

    def returned(self, rule, w, targets, xp=np, loop=repeat):
        """The state on the laws' level set next to `w`, and what each law was away from it."""
        away = [one.value(rule, w) - q for one, q in zip(self.kept, targets, strict=True)]
        if self.shortcuts is None:
            return self._nearest(rule, w, targets, away, xp, loop), away
        w, moved = list(w), False
        for one, M, q, R in zip(self.kept, self.shortcuts, targets, away, strict=True):
            R, moved = one.value(rule, tuple(w)) - q if moved else R, True
            w[one.k + 1] = plus(w[one.k + 1], M @ R if R.ndim == 2 else M * R, xp)
        return tuple(w), away

    def _mirrored(self, rule, w, away, xp):
        """The state next to `w` whose W₂ - Bᵀ are what they are to be.

        A step errs in their decay by a share of all of them: by that both are scaled, which leaves
        combinations of units that are nothing as they are.  Of what is left, rounding, each takes
        half, or all of it where the other is nothing.
        """
        made = list(w)
        for one, R in zip(self.kept, away, strict=True):
            if one.kind != "difference":
                continue
            D, both = one.value(rule, w), (one.k + 1, len(rule.weights(w)) + one.k)
            if not is_number(of_layer(rule.decay, one.k + 1), 0):
                mean = sum(xp.sum(w[number] * w[number]) for number in both) / 2
                size = xp.sum((D - R) ** 2)
                some = size > SHARE**2 * mean
                share = xp.where(some, xp.sum((D - R) * R) / xp.where(some, size, 1), 0)
                for number in both:
                    made[number] = made[number] * (1 - share)
                R = R - share * D
            U, F = (made[number] for number in both)
            half = xp.where(F.T == 0, 1, xp.where(U[:, : len(F)] == 0, 0, 0.5))
            shares = dict(zip(both, (half, (1 - half).T), strict=True))
            moves = one.gradient(rule, w, -R).items()
            _add(made, {number: shares[number] * M for number, M in moves}, xp)
        return tuple(made)

    def _nearest(self, rule, w, targets, away, xp, loop):
        if not self.curved:
            return self._mirrored(rule, w, away, xp)
        targets = [q for one, q in zip(self.kept, targets, strict=True) if one in self.curved]
        floor = ROUNDING * (sum(xp.sum(W * W) for W in w) / len(w) + _size(targets, xp))

        def left(w):
            return tuple(
                one.value(rule, w) - q for one, q in zip(self.curved, targets, strict=True)
            )

        def goes_on(now):
            count, _, R = now
            return (count < ROUNDS) & (_size(R, xp) > floor)

        def corrected(now):
            count, w, R = now
            free = self._free(rule, w, xp)
            found = self._multipliers(rule, w, R, free, floor, xp, loop)
            moved = self._moved(rule, w, found, -1, free, xp)
            less = left(moved)
            nearer = _size(less, xp) < _size(R, xp)  # where all is rounding it may lead away
            w, R = picked(nearer, moved, w, xp), picked(nearer, less, R, xp)
            return xp.where(nearer, count + 1, ROUNDS), w, R

        w, R = tuple(w), tuple(away)
        if len(targets) < len(R):
            back = self._mirrored(rule, w, away, xp)
            back = self.free.cleared(rule, back, xp) if self.reaches else back
            w = picked(_size(R, xp) > floor, back, w, xp)
            R = left(w)
        return loop(goes_on, corrected, (0, w, R))[1]

    @property
    def reaches(self):
        """Whether corrections move along what is small in a state by little."""
        differences = len(self.kept) - len(self.curved)
        return differences > 1 and any(one.held for one in self.curved)

    def _free(self, rule, w, xp):
        """What corrections are cut to at the state `w`."""
        return Reach.of(self.curved, rule, w, xp) if self.reaches else self.free

    def _moved(self, rule, w, multipliers, sign, free, xp, at=None):
        """w ± Jᵀ of the multipliers, J that at `w` or `at` another state."""
        made = list(w)
        for one, L in zip(self.curved, multipliers, strict=True):
            _add(made, free.cut(rule, one.gradient(rule, at or w, sign * L)), xp)
        return tuple(made)

    def _multipliers(self, rule, w, R, free, floor, xp, loop):
        """(JJᵀ)⁻¹R by conjugate gradients, from laws solved together lately, or else each alone.

        floor: what may be left of it, as it is rounding, which is not corrected where it is all.
        """
        if not self.several:
            return self._alone(rule, w, R, free, xp)(R)
        forth = lambda L: self._symmetric(self._forth(rule, w, L, free, xp))
        R = tuple(xp.where(xp.max(abs(r)) > floor, r, 0) for r in self._symmetric(R))
        together = None
        if self.factor and free.plain:
            together = self.factor.near(rule, w, R, free)
        ahead = together or self._alone(rule, w, R, free, xp)
        count, found = conjugate(forth, ahead, R, floor, xp, loop)
        if self.factor:
            self.factor.spent += count
        return found

    def _alone(self, rule, w, R, free, xp):
        """What takes residuals to those of each law solved alone."""
        both = zip(self.curved, R, strict=True)
        inverses = [free.alone(one, rule, w, r.ndim, xp) for one, r in both]
        return lambda R: tuple(inverse(r) for inverse, r in zip(inverses, R, strict=True))

    def _symmetric(self, parts):
        """Without what rounding leaves of the antisymmetric, which conjugate gradients enlarge."""
        both = zip(self.curved, parts, strict=True)
        return tuple((R + R.T) / 2 if one.symmetric else R for one, R in both)

    def _forth(self, rule, w, L, free, xp):
        """JJᵀL."""
        moved = self._moved(rule, tuple(0 * W for W in w), L, 1, free, xp, at=w)
        return tuple(one.derivative(rule, w, moved) for one in self.curved)


def _size(R, xp):
    """The largest number of all these arrays."""
    sizes = [xp.max(abs(r)) for r in R]
    return sizes[0] if len(sizes) == 1 else xp.max(xp.stack(sizes))


def _add(w, moves, xp):
    """To the list `w` of matrices what each moves by, {number: M}."""
    for number, M in moves.items():
        w[number] = plus(w[number], M, xp)


def _shortcut(one, rule):
    """M with δW₂ = M R or, neuron by neuron, M ∗ R, which alone brings the law back, or None."""
    if not one.fixed:
        return None
    F, b = rule.B[one.k], rule.rate(one.k + 1)
    if one.kind in SUMS:
        squares = (F * F).sum(axis=1 if one.kind == "neuron" else None)
        return None if squares.min() <= SMALL * squares.max() else b * F.T / squares / one.degree
    if F.shape[0] > F.shape[1] or np.linalg.cond(F) > 1e6:
        return None
    return b / 2 * np.linalg.pinv(F)
