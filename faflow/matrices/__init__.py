"""The kinds of matrix a rule may meet besides float arrays: exact entries, words, and series.

A rule or a law is plain code in ``@``, ``.T``, ``+``, ``-`` and division by an integer, with an
elementwise ``*`` only inside an activation.  Every class here gives those signs the meaning NumPy
gives them, so one definition of a rule is run, proved and expanded without being rewritten.
"""

from fractions import Fraction
from numbers import Rational

import numpy as np

from .batches import null_spaces
from .duals import Dual as Dual
from .duals import base as base
from .exact_entries import Expression as Expression
from .exact_entries import Polynomial as Polynomial
from .jets import Jet as Jet
from .jets import residue as residue
from .mirrored import Mirrored as Mirrored
from .mirrored import mirror as mirror
from .normal import Letter as Letter
from .residues import Span as Span
from .residues import null_space
from .series import Series as Series
from .words import Alphabet as Alphabet
from .words import Words as Words
from .words import exact as exact


def entries(shape, make):
    """Object array of `shape` whose entry (i, j) is ``make(i, j)``."""
    out = np.empty(shape, dtype=object)
    for index in np.ndindex(*shape):
        out[index] = make(*index)
    return out


def rational(shape, rng, bound=9):
    """Random object array of `Fraction`, numerators and denominators at most `bound`."""
    top = rng.integers(-bound, bound + 1, shape)
    bottom = rng.integers(1, bound + 1, shape)
    return entries(shape, lambda *ij: Fraction(int(top[ij]), int(bottom[ij])))


def columns(M, below):
    """`M` without the column of a bias: its first columns, one for each row of `below`."""
    if isinstance(M, Series | Dual):
        return M.map(lambda x: columns(x, below))
    if isinstance(below, Series):
        return columns(M, below.coefficients[0])
    if isinstance(below, Dual):
        return columns(M, base(below))
    if isinstance(M, Words):
        return M.columns(below.rows)
    if isinstance(M, Jet):
        return M.columns(below.shape[0])
    return M if M.shape[1] == below.shape[0] else M[:, : below.shape[0]]


def split_biases(M):
    """(weights, biases): `M` without its last column, and that column."""
    if isinstance(M, Words):
        return M.split()
    if isinstance(M, Series | Jet | Dual):
        return M.map(lambda x: split_biases(x)[0]), M.map(lambda x: split_biases(x)[1])
    return M[..., :-1], M[..., -1:]


def scaled(M, g):
    """`M` times a matrix of one entry; of words and residues one column `M`."""
    made = M.coefficients[0] if isinstance(M, Series) else base(M)
    return M @ g if isinstance(made, Words | Jet) else g * M


def inner(a, b):
    """The sum of all products of entries, as a matrix of one entry; of words of one column."""
    made = a.coefficients[0] if isinstance(a, Series) else base(a)
    if isinstance(made, Words | Jet):
        return a.T @ b
    product = a * b
    whole = lambda x: x.sum(keepdims=True)
    return product.map(whole) if isinstance(product, Series) else whole(product)


def left_null(*blocks):
    """Matrices M₁, M₂, … whose rows are a basis of all rows of ΣMᵢCᵢ = 0, for the blocks Cᵢ.

    Exact for residues and for `Fraction` entries; of floats to rounding, orthonormal.
    """
    heights = np.cumsum([C.shape[0] for C in blocks])[:-1]
    if isinstance(blocks[0], Jet):
        C = np.concatenate([C.parts[0] for C in blocks], axis=-2).mT
        null = null_space(C[0])[None] if len(C) == 1 else null_spaces(C)
        return tuple(Jet({0: M}) for M in np.split(null, heights, axis=-1))
    C = np.concatenate(blocks)
    if C.dtype == float:
        from scipy.linalg import null_space as orthonormal

        return tuple(np.split(orthonormal(C.T).T, heights, axis=1))
    return tuple(np.split(_exact_null(C), heights, axis=1))


def _exact_null(C):
    import flint

    if not all(isinstance(c, Rational) for c in C.ravel()):
        raise TypeError("Only matrices of numbers have a null space that can be computed.")
    scale = lambda row: np.lcm.reduce([int(Fraction(c).denominator) for c in row], dtype=object)
    whole = [[int(c * scale(row)) for c in row] for row in C.T]
    basis, nullity = flint.fmpz_mat(whole).nullspace()
    return entries((nullity, len(C)), lambda i, j: Fraction(int(basis[j, i])))


def with_ones(a):
    """`a` with a row of ones below it, the input of a layer with biases."""
    if isinstance(a, Words):
        J, o = a.alphabet.augmentation(a.rows)
        return J @ a + o @ a.alphabet.ones(a.cols)
    if hasattr(a, "with_ones"):
        return a.with_ones()
    if isinstance(a, Dual):  # the ones stand still
        moved = with_ones(a.moved) - with_ones(a.moved - a.moved)
        return Dual(with_ones(a.value), moved, a.level)
    xp = a.__array_namespace__()
    return xp.concat([a, xp.ones_like(a[:1])])
