"""Exact null spaces of integer matrices: modulo a prime, reconstructed, and verified."""

from fractions import Fraction
from math import gcd, isqrt, lcm

import numpy as np

from ..matrices.residues import P, draw, null_space, reduced

BIG = (1 << 61) - 1
"""A prime for coefficients that the small one cannot tell apart."""

CHUNK = 256


def exact_null_space(A):
    """Basis of the v of A v = 0 in coprime integers, all of them and no other, as a list.

    A: (rows, columns) integers, dense.  The null space modulo a prime has at least the dimension
    of that over the rationals; vectors reconstructed from it that satisfy A v = 0 in integers are
    as many at most.  So where all of them do, they are a basis.
    """
    columns = A.shape[1]
    for find in (_small, _large, _rational):
        found = find(A)
        if found is not None and all(not A.astype(object).dot(v).any() for v in found):
            return found
    raise AssertionError(f"No exact null space of {columns} columns.")


def _small(A):
    """By the prime of `residues`; rows of tall matrices are combined at random first."""
    rows, columns = A.shape
    M = np.array(np.remainder(A, P), dtype=float)
    M[M > P // 2] -= P
    if rows > columns + CHUNK and columns > CHUNK:
        rng = np.random.default_rng(0)
        mixed = np.zeros((columns + 16, columns))
        for start in range(0, rows, 512):  # so few products that their sum is exact
            part = M[start : start + 512]
            mixed = reduced(mixed + draw(rng, len(mixed), len(part)) @ part)
        M = mixed
    return _reconstructed(null_space(M), P)


def _large(A):
    import flint

    M = flint.nmod_mat(*A.shape, [int(a) % BIG for a in A.ravel()], BIG)
    basis, nullity = M.nullspace()
    made = [[int(basis[i, j]) for i in range(A.shape[1])] for j in range(nullity)]
    return _reconstructed(_free_unit(made), BIG)


def _free_unit(vectors):
    """The same space with unit entries, so that its coefficients are small fractions."""
    import flint

    if not vectors:
        return vectors
    M = flint.nmod_mat(len(vectors), len(vectors[0]), [a for v in vectors for a in v], BIG)
    made, _ = M.rref()
    return [[int(made[i, j]) for j in range(len(vectors[0]))] for i in range(len(vectors))]


def _rational(A):
    import flint

    basis, nullity = flint.fmpz_mat([[int(a) for a in row] for row in A]).nullspace()
    return [
        primitive([Fraction(int(basis[i, j])) for i in range(A.shape[1])]) for j in range(nullity)
    ]


def _reconstructed(vectors, prime):
    """Coprime integers for each vector, or None where a fraction is out of reach."""
    made = []
    for vector in vectors:
        fractions = [fraction(int(c), prime) for c in vector]
        if None in fractions:
            return None
        made.append(primitive(fractions))
    return made


def fraction(residue, prime):
    """The fraction of numerator and denominator at most √(prime/2) with this residue, or None."""
    bound = isqrt(prime // 2)
    (r, s), (old, older) = (residue % prime, 1), (prime, 0)
    while r > bound:
        quotient = old // r
        (r, s), (old, older) = (old - quotient * r, older - quotient * s), (r, s)
    return Fraction(r, s) if s and abs(s) <= bound else None


def primitive(fractions):
    """Coprime integers in the same proportions, as an object array."""
    whole = lcm(*(f.denominator for f in fractions))
    integers = [int(f * whole) for f in fractions]
    common = gcd(*integers) or 1
    return np.array([i // common for i in integers], dtype=object)
