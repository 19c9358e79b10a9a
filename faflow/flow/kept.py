"""What rules are known to keep: laws of hidden layers, their derivatives and their decay."""

from dataclasses import dataclass

import numpy as np

from .. import laws
from ..rule import of_layer, outgoing
from ..rules import DFA, FA, GD, SignFA

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
    fixed: whether what stands for W₂ᵀ is fixed, as in feedback alignment;
    held: whether corrections of a mirror law are to leave every W₂ - Bᵀ as it is.
    """

    kind: str
    k: int
    degree: int = 1
    fixed: bool = False
    held: bool = False

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
        F, W = w[B], w[k] / a
        times = (lambda M: M * L) if L.ndim == 1 else (lambda M: M @ L)
        if not self.held:
            return {k: 2 * times(W.T).T, k + 1: 2 * times(U - F.T) / b, B: -2 * times(U).T / b}
        above, share = -times(F.T) / b, self._share(w, B)
        below = 2 * times((W * share).T).T
        moved = {k: below, k + 1: above, B: above.T}
        return moved | ({B - 1: below[:, share < 1].T} if k else {})

    def _share(self, w, B):
        """Of each column of W₁: half, where it moves by as much as the feedback below, B₁ᵀ."""
        below = len(w[B - 1]) if self.k else 0
        return np.where(np.arange(w[self.k].shape[1]) < below, 0.5, 1.0)

    def derivative(self, rule, w, v):
        """Jv: the law's change as `w` moves along `v`, both states of the rule; not of W₂ - Bᵀ."""
        a, b, k = rule.rate(self.k), rule.rate(self.k + 1), self.k
        U, u, B = outgoing(w, k), outgoing(v, k), len(rule.weights(w)) + k
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
        """R to (JJᵀ)⁻¹R for this law alone, R of so many dimensions; not of W₂ - Bᵀ."""
        sides = self.sides(rule, w)
        if ndim < 2:
            weights = (1, self.degree) if self.kind in SUMS else (2,) * len(sides)
            rows = 1 if ndim else None
            parts = zip(weights, sides, strict=True)
            squares = sum((self.halves * p) ** 2 * xp.sum(M * M, axis=rows) for p, M in parts)
            return lambda R: divided(R, squares, xp)
        p, V = xp.linalg.eigh(2 * sum(M @ M.T for M in sides))
        return lambda R: V @ divided(V.T @ R @ V, p[:, None] + p, xp) @ V.T

    def sides(self, rule, w):
        """Matrices M with JJᵀL = P L + L P, P = 2 Σ MMᵀ, of a matrix law, so of its diagonal."""
        W, b, k = w[self.k] / rule.rate(self.k), rule.rate(self.k + 1), self.k
        if self.kind in ("matrix", *SUMS):
            return [W, _feedback(rule, w, k) / b]
        B = len(rule.weights(w)) + k
        F, U = w[B] / b, outgoing(w, k).T / b
        return [W * self._share(w, B) ** 0.5, F * 0.5**0.5] if self.held else [W, F - U, U]


def _feedback(rule, w, k):
    """What stands for W₂ᵀ, as `faflow.laws.feedback_of` finds it for rules of any kind."""
    if isinstance(rule, GD):
        return outgoing(w, k).T
    return rule.B[k] if isinstance(rule, FA | DFA) else laws.feedback_of(rule, w, k)


def divided(R, squares, xp, least=SMALL):
    """R / squares, and 0 where these are nothing: the `least` share of the largest."""
    some = squares > least * xp.max(squares)
    return xp.where(some, R, 0) / xp.where(some, squares, 1)
