"""Batches of matrices modulo a prime, with nilpotent increments: exact derivatives of any order."""

from fractions import Fraction

import numpy as np

from .plain import Uncompared
from .residues import P, balanced, product, reduced
from .words import exact


class Jet(Uncompared):
    """Σ M_S ε_S over subsets S of nilpotents, ε_i² = 0: what is linear in each increment, exactly.

    parts: for each S, a number whose bit i stands for ε_i, residues of shape (batch, rows, cols);
    batch axes of 1 are broadcast.  whole: whether the part without increments is in integers that
    are their own residues, and so has signs.
    """

    dtype = np.dtype(float)  # elementwise products exist, as for arrays

    def __init__(self, parts, whole=False):
        self.parts, self.whole = parts, whole

    @property
    def shape(self):
        return next(iter(self.parts.values())).shape[-2:]

    def map(self, linear):
        """A linear map applied to every part."""
        return Jet({s: linear(M) for s, M in self.parts.items()})

    @property
    def T(self):
        return Jet({s: M.mT for s, M in self.parts.items()}, self.whole)

    def columns(self, n):
        """The first n columns."""
        return Jet({s: M[..., :n] for s, M in self.parts.items()}, self.whole)

    def __add__(self, other):
        parts = dict(self.parts)
        for s, M in _jet(other).parts.items():
            parts[s] = reduced(parts[s] + M) if s in parts else M
        return Jet(parts)

    __radd__ = __add__

    def __neg__(self):
        return self.map(lambda M: -M)

    def __sub__(self, other):
        return self + -_jet(other)

    def __rsub__(self, other):
        return -self + other

    def _times(self, other, times):
        parts = {}
        for s, M in self.parts.items():
            for t, N in other.parts.items():
                if not s & t:
                    made = times(M, N)
                    parts[s | t] = reduced(parts[s | t] + made) if s | t in parts else made
        return Jet(parts)

    def __matmul__(self, other):
        return self._times(_jet(other), product)

    def __rmatmul__(self, other):
        return _jet(other) @ self

    def __mul__(self, other):
        if isinstance(other, Jet | np.ndarray):
            return self._times(_jet(other), lambda M, N: reduced(M * N))
        number = residue(other)
        return self.map(lambda M: reduced(number * M))

    __rmul__ = __mul__

    def __truediv__(self, number):
        return self * (1 / Fraction(exact(number)))

    def sign(self):
        """The signs of the integers that the residues are; increments do not change them.

        Raises TypeError for residues that are not known to be small integers.
        """
        if not self.whole:
            raise TypeError("residues have no signs, unless they are given in integers")
        return Jet({0: np.sign(self.parts[0])}, whole=True)

    def with_ones(self):
        """With a row of ones below: the constant part's, the increments have zeros there."""
        ones = lambda M, one: np.concatenate([M, np.full((*M.shape[:-2], 1, M.shape[-1]), one)], -2)
        return Jet({s: ones(M, 0.0 if s else 1.0) for s, M in self.parts.items()})

    def diagonal(self):
        """As a column, (batch, n, 1)."""
        return self.map(lambda M: np.diagonal(M, axis1=-2, axis2=-1)[..., None])

    def sum(self):
        return self.map(lambda M: reduced(M.sum((-2, -1), keepdims=True)))

    def trace(self):
        return self.diagonal().sum()

    def moved(self, velocity, nilpotent):
        """This plus ε times the velocity, with a nilpotent that neither holds yet."""
        bit = 1 << nilpotent
        return Jet(self.parts | {s | bit: M for s, M in velocity.parts.items()}, self.whole)

    def split(self, nilpotent):
        """(what does not hold ε, what multiplies it)."""
        bit = 1 << nilpotent
        here = {s: M for s, M in self.parts.items() if not s & bit}
        there = {s & ~bit: M for s, M in self.parts.items() if s & bit}
        return Jet(here, self.whole), Jet(there)


def residue(number):
    """The residue of a rational number whose denominator the prime does not divide."""
    number = exact(number)
    if number.denominator % P == 0:
        raise ValueError(
            f"{number!s:.40} has a denominator that the prime {P} divides, so that it has no"
            " residue; take another number near it."
        )
    return balanced(number.numerator * pow(int(number.denominator), -1, P) % P)


def residues(M):
    """The residue of every entry of an array of numbers."""
    return np.vectorize(residue, otypes=[float])(M)


def _jet(x):
    return x if isinstance(x, Jet) else Jet({0: residues(x)})
