"""Exact linear algebra modulo a prime, at the speed of float64 products.

Residues are float64 integers of absolute value at most P/2 + 1, so that a sum of `LONGEST`
products of two is below 2⁵³ and exact.  A rank modulo P is at most the rank over the rationals.
"""

import numpy as np

P = 4194301
"""2²² - 3, a prime."""

LONGEST = 1024
"""Terms of a product: 1024 (P/2 + 1)² and one more residue stay below 2⁵³."""

ROWS = 16
"""So few rows are eliminated one by one."""


def reduced(a):
    """The residue of each integer of absolute value below 2⁵³, a new array."""
    q = np.rint(a * (1 / P))
    q *= -P
    q += a
    return q


def draw(rng, *shape):
    """Uniform residues."""
    return rng.integers(-(P // 2), P // 2 + 1, size=shape).astype(float)


def product(a, b):
    """a @ b modulo P, leading axes broadcast."""
    inner = a.shape[-1]
    total = reduced(a[..., :LONGEST] @ b[..., :LONGEST, :])
    for start in range(LONGEST, inner, LONGEST):
        part = slice(start, start + LONGEST)
        total = reduced(total + a[..., part] @ b[..., part, :])
    return total


def balanced(number):
    """The residue of any integer, as a float."""
    number = int(number) % P
    return float(number - P if number > P // 2 else number)


def inverse(number):
    """1/number modulo P, for a residue other than 0."""
    return balanced(pow(int(number), -1, P))


def echelon(M):
    """(rows, pivots): the reduced echelon basis of the row space, unit columns at `pivots`.

    M: (m, n) residues.  Rows are not sorted by their pivots.
    """
    m = len(M)
    if m <= ROWS:
        return _by_rows(np.array(M))
    top, pivots = echelon(M[: m // 2])
    bottom, more = echelon(_cleared(M[m // 2 :], top, pivots))
    return np.concatenate([_cleared(top, bottom, more), bottom]), pivots + more


def _cleared(M, rows, pivots):
    """M less what of `rows` puts zeros in the columns of their pivots."""
    return reduced(M - product(M[:, pivots], rows)) if pivots else M


def _by_rows(M):
    kept, pivots = [], []
    for i in range(len(M)):
        j = int(np.argmax(M[i] != 0)) if M.shape[1] else 0
        if not M.shape[1] or M[i, j] == 0:
            continue
        M[i] = reduced(M[i] * inverse(M[i, j]))
        factors = M[:, j].copy()
        factors[i] = 0
        M[:] = reduced(M - factors[:, None] * M[i])
        kept.append(i)
        pivots.append(j)
    return M[kept], pivots


def null_space(M):
    """(nullity, n) residues: a basis of the x of Mx = 0, a unit entry where no pivot is."""
    rows, pivots = echelon(M)
    free = sorted(set(range(M.shape[1])) - set(pivots))
    basis = np.zeros((len(free), M.shape[1]))
    basis[range(len(free)), free] = 1
    basis[:, pivots] = -rows[:, free].T
    return basis


class Span:
    """The span of rows that come in batches, (rank, n) in reduced echelon form."""

    def __init__(self, n):
        self.rows, self.pivots = np.zeros((0, n)), []

    @property
    def rank(self):
        return len(self.pivots)

    def add(self, M):
        """How many dimensions the rows of `M` add."""
        new, pivots = echelon(_cleared(M, self.rows, self.pivots))
        self.rows = np.concatenate([_cleared(self.rows, new, pivots), new])
        self.pivots = self.pivots + pivots
        return len(pivots)


def rank(M):
    """Rank modulo P of (m, n) residues."""
    return len(echelon(M if len(M) <= M.shape[1] else M.T)[1])
