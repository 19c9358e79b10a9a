"""Keep conserved quantities to rounding: after a step, back to where they say that the flow is.

A step leaves the level set of a law q by its error, R = q(w) - q₀.  The nearest state on it is, to
first order, w - Jᵀ(JJᵀ)⁻¹R with J the derivative of q.  For the laws of learning rules that is

    δW₁ = -2ΛW₁/r₁,  δW₂ = 2FᵀΛ/r₂,  PΛ + ΛP = R,  P = 2(W₁W₁ᵀ/r₁² + FFᵀ/r₂²),

F being what stands for W₂ᵀ, for a symmetric Λ; it is repeated until nothing is left.  Where F is
fixed and has independent rows, as in feedback alignment, the upper layer alone goes back in one
step, δW₂ = r₂ Fᵀ(FFᵀ)⁻¹R/2, exactly; and so layer after layer upwards in deep networks.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import laws
from ..rule import of_layer, outgoing
from ..rules import DFA, FA, GD, SignFA
from .conjugate import conjugate, picked
from .factor import Factor
from .free import Free
from .stabilised import repeat

ROUNDS = 5
"""Corrections of a state at most; each squares what is left."""

ROUNDING = 1e-15
"""What is left of a law, relative to its value and to the mean |W|² of the matrices, that is taken
for none; to correct it would move weights by more where a law hardly depends on them."""

SYMMETRIC = "matrix", "mirror"
"""Kinds of laws that are symmetric matrices."""

SUMS = "neuron", "diagonal", "layer"
"""Kinds of laws that are sums of squares of rows, neuron by neuron or of all of them."""

SMALL = 1e-13
"""Share of the largest eigenvalue below which a law has nothing to be corrected by."""


@dataclass(frozen=True)
class Kept:
    """A law of hidden layer `k` that a rule keeps, or that decays with its weights.

    kind: matrix; neuron, or diagonal where it has no factor ½; layer, their sum; difference
        (W₂ - Bᵀ), mirror or neuron mirror; or core, of the reduction to it, which can be looked at
        but not returned to; degree: the activation's;
    fixed: whether what stands for W₂ᵀ is fixed, as in feedback alignment.
    """

    kind: str
    k: int
    degree: int = 1
    fixed: bool = False

    @property
    def law(self):
        if self.kind in ("matrix", "core"):
            return laws.feedback_balance if self.fixed else laws.balance
        if self.kind == "neuron":
            potential = laws.neuron_potential_balance
            return laws.neuron_feedback_balance if self.fixed else potential
        if self.kind == "layer":
            return laws.layer_feedback_balance if self.fixed else laws.layer_balance
        if self.kind == "diagonal":
            return laws.neuron_balance
        known = {"difference": laws.mirror_difference, "mirror": laws.mirror_balance}
        return known.get(self.kind, laws.neuron_mirror_balance)

    @property
    def arguments(self):
        takes = self.kind == "neuron" or (self.kind == "layer" and self.fixed)
        return {"k": self.k} | ({"degree": self.degree} if takes else {})

    @property
    def symmetric(self):
        """Whether its values are symmetric matrices."""
        return self.kind in SYMMETRIC

    @property
    def halves(self):
        """How many halves of squares a law of neurons or of their sum is made of."""
        return 2 if self.kind == "diagonal" or (self.kind == "layer" and not self.fixed) else 1

    def __str__(self):
        return f"{self.law.__name__}, k = {self.k}"

    def value(self, rule, w):
        if self.kind == "core":
            W, M = w[:2]
            return rule.speed * (W @ W.T / rule.rate(0) - (M + M.T) / rule.rate(1))
        return self.law(rule, w, **self.arguments)

    def rate(self, rule):
        """c where the law decays as exp(-ct), the decay of `rule` being constant; None if not."""
        below, above = (of_layer(rule.decay, layer) for layer in (self.k, self.k + 1))
        if self.kind != "difference" and 0 in (rule.rate(self.k), rule.rate(self.k + 1)):
            return None  # the law divides by them
        if self.kind == "difference":
            return above
        if above != (2 * below if self.linear_above(rule) else below):
            return None
        return None if below and getattr(rule, "beta", None) is not None else 2 * below

    def linear_above(self, rule):
        """Whether the law is linear in the weights above, which then must decay twice as fast."""
        return self.fixed or isinstance(rule, SignFA)

    def gradient(self, rule, w, L):
        """JᵀL: {number of a matrix: what to add to it}; `L` like the law's value."""
        a, b, k = rule.rate(self.k), rule.rate(self.k + 1), self.k
        U, B = outgoing(w, k), len(rule.weights(w)) + k
        if self.kind == "difference":
            return {k + 1: L, B: -L.T}
        if self.kind in SUMS:
            F, L = _feedback(rule, w, k), self.halves * L
            rows = L[:, None] if L.ndim else L
            return {k: rows * w[k] / a, k + 1: -self.degree * F.T * L / b}
        if self.kind == "matrix":
            F = _feedback(rule, w, k)
            return {k: 2 * L @ w[k] / a, k + 1: -2 * F.T @ L / b}
        F = w[B]
        times = (lambda M: M * L) if L.ndim == 1 else (lambda M: M @ L)
        return {k: 2 * times(w[k].T).T / a, k + 1: 2 * times(U - F.T) / b, B: -2 * times(U).T / b}

    def derivative(self, rule, w, v):
        """Jv: the law's change as `w` moves along `v`, both states of the rule."""
        a, b, k = rule.rate(self.k), rule.rate(self.k + 1), self.k
        U, u, B = outgoing(w, k), outgoing(v, k), len(rule.weights(w)) + k
        if self.kind == "difference":
            return u - v[B].T
        if self.kind in ("matrix", *SUMS):
            pairs = [(v[k], w[k] / a), (-u.T, _feedback(rule, w, k) / b)]
        else:
            pairs = [(v[k], w[k] / a), (u.T, (U.T - w[B]) / b), (-v[B], U.T / b)]
        if self.symmetric:
            half = sum(one @ other.T for one, other in pairs)
            return half + half.T
        weights = (self.halves, self.halves * self.degree) if self.kind in SUMS else (2, 2, 2)
        axis = None if self.kind == "layer" else 1
        both = zip(weights, pairs, strict=True)
        return sum(c * (one * other).sum(axis) for c, (one, other) in both)

    def inverse(self, rule, w, ndim, xp):
        """R to (JJᵀ)⁻¹R for this law alone, R of so many dimensions."""
        if self.kind == "difference":
            return lambda R: R / 2
        a, b, k = rule.rate(self.k), rule.rate(self.k + 1), self.k
        if self.kind in ("matrix", *SUMS):
            sides = [w[k] / a, _feedback(rule, w, k) / b]
        else:
            U, F = outgoing(w, k), w[len(rule.weights(w)) + k]
            sides = [w[k] / a, (F - U.T) / b, U.T / b]
        if ndim < 2:
            weights = (1, self.degree) if self.kind in SUMS else (2, 2, 2)
            rows = 1 if ndim else None
            parts = zip(weights, sides, strict=True)
            squares = sum((self.halves * p) ** 2 * xp.sum(M * M, axis=rows) for p, M in parts)
            return lambda R: divided(R, squares, xp)
        p, V = xp.linalg.eigh(2 * sum(M @ M.T for M in sides))
        return lambda R: V @ divided(V.T @ R @ V, p[:, None] + p, xp) @ V.T


def _feedback(rule, w, k):
    """What stands for W₂ᵀ, as `faflow.laws.feedback_of` finds it for rules of any kind."""
    if isinstance(rule, GD):
        return outgoing(w, k).T
    return rule.B[k] if isinstance(rule, FA | DFA) else laws.feedback_of(rule, w, k)


def divided(R, squares, xp):
    """R / squares, and 0 where there is nothing to divide by."""
    some = squares > SMALL * xp.max(squares)
    return xp.where(some, R, 0) / xp.where(some, squares, 1)


@dataclass(frozen=True)
class Keeper:
    """Laws, with how a state goes back to them.

    shortcuts: for each the matrix that takes R to δW₂, where all laws have one; else None.
    free: of several laws, where weights may move; None for everywhere.
    factor: remembered from step to step of several laws, on NumPy, or None.
    """

    kept: tuple
    shortcuts: tuple | None = None
    free: Free | None = None
    factor: Any = field(default=None, compare=False)

    @classmethod
    def of(cls, kept, rule, w):
        made = [_shortcut(one, rule) for one in kept]
        if all(M is not None for M in made):
            return cls(tuple(kept), tuple(made))
        if len(kept) == 1:
            return cls(tuple(kept))
        linear = [one.k for one in kept if one.symmetric]  # of others no matrix is conserved
        return cls(tuple(kept), None, Free.of(rule, w, linear)).under(rule)

    def under(self, rule):
        """The same laws where the flow goes on by this `rule`."""
        if self.shortcuts is not None:
            return type(self)(self.kept, tuple(_shortcut(one, rule) for one in self.kept))
        if len(self.kept) == 1:
            return self
        return type(self)(self.kept, None, self.free, Factor(self.kept, self.free))

    def returned(self, rule, w, targets, xp=np, loop=repeat):
        """The state on the laws' level set next to `w`, and what each law was away from it."""
        away = [one.value(rule, w) - q for one, q in zip(self.kept, targets, strict=True)]
        if self.shortcuts is None:
            return self._nearest(rule, w, targets, away, xp, loop), away
        w, moved = list(w), False
        for one, M, q, R in zip(self.kept, self.shortcuts, targets, away, strict=True):
            R, moved = one.value(rule, tuple(w)) - q if moved else R, True
            w[one.k + 1] = _plus(w[one.k + 1], M @ R if R.ndim == 2 else M * R, xp)
        return tuple(w), away

    def _nearest(self, rule, w, targets, away, xp, loop):
        def left(w):
            return [one.value(rule, w) - q for one, q in zip(self.kept, targets, strict=True)]

        def size(R):
            sizes = [xp.max(abs(r)) for r in R]
            return sizes[0] if len(sizes) == 1 else xp.max(xp.stack(sizes))

        scale = sum(xp.sum(W * W) for W in w) / len(w) + size(targets)

        def goes_on(now):
            count, _, R = now
            return (count < ROUNDS) & (size(R) > ROUNDING * scale)

        def corrected(now):
            count, w, R = now
            found = self._multipliers(rule, w, R, ROUNDING * scale, xp, loop)
            moved = self._moved(rule, w, found, -1, xp)
            less = tuple(left(moved))
            nearer = size(less) < size(R)  # where all is rounding it may lead away
            w, R = picked(nearer, moved, w, xp), picked(nearer, less, R, xp)
            return xp.where(nearer, count + 1, ROUNDS), w, R

        return loop(goes_on, corrected, (0, tuple(w), tuple(away)))[1]

    def _moved(self, rule, w, multipliers, sign, xp, at=None):
        """w ± Jᵀ of the multipliers, J that at `w` or `at` another state."""
        made = list(w)
        for one, L in zip(self.kept, multipliers, strict=True):
            for number, M in one.gradient(rule, at or w, L).items():
                M = M if self.free is None else self.free.cut(rule, number, M)
                made[number] = _plus(made[number], sign * M, xp)
        return tuple(made)

    def _multipliers(self, rule, w, R, floor, xp, loop):
        """(JJᵀ)⁻¹R by conjugate gradients, from laws solved together lately, or else each alone.

        floor: what may be left of it, as it is rounding.
        """
        if len(self.kept) == 1:
            return self._alone(rule, w, R, xp)(R)
        forth, R = lambda L: self._symmetric(self._forth(rule, w, L, xp)), self._symmetric(R)
        together = self.factor and self.factor.near(rule, w, R)
        ahead = together or self._alone(rule, w, R, xp)
        count, found = conjugate(forth, ahead, R, floor, xp, loop)
        if self.factor:
            self.factor.spent += count
        return found

    def _alone(self, rule, w, R, xp):
        """What takes residuals to those of each law solved alone."""
        if self.free is not None:
            w = tuple(self.free.cut(rule, number, W) for number, W in enumerate(w))
        both = zip(self.kept, R, strict=True)
        inverses = [one.inverse(rule, w, r.ndim, xp) for one, r in both]
        return lambda R: tuple(inverse(r) for inverse, r in zip(inverses, R, strict=True))

    def _symmetric(self, parts):
        """Without what rounding leaves of the antisymmetric, which conjugate gradients enlarge."""
        both = zip(self.kept, parts, strict=True)
        return tuple((R + R.T) / 2 if one.symmetric else R for one, R in both)

    def _forth(self, rule, w, L, xp):
        """JJᵀL."""
        moved = self._moved(rule, tuple(0 * W for W in w), L, 1, xp, at=w)
        return tuple(one.derivative(rule, w, moved) for one in self.kept)


def _plus(W, M, xp):
    """W + M, where W may have a column of biases more, which stays."""
    if W.shape == M.shape:
        return W + M
    return xp.concat([W[:, : M.shape[1]] + M, W[:, M.shape[1] :]], axis=1)


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
