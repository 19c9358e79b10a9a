"""Diagonal matrices by their diagonals, as data that a reduction has turned onto their axes."""

import numpy as np


class Diagonal:
    """A square matrix by its diagonal; without one the identity.

    It multiplies arrays of any library elementwise, so that rules are written as for any matrix.

    n: rows and columns.  entries: (n,), or None for ones.
    """

    __array_ufunc__ = None  # NumPy leaves the product to this class
    ndim = 2

    def __init__(self, n, entries=None):
        self.n, self.entries = n, entries

    @property
    def shape(self):
        return self.n, self.n

    @property
    def T(self):
        return self

    def __len__(self):
        return self.n

    def __array__(self, dtype=None, copy=None):
        return np.diag(np.ones(self.n) if self.entries is None else self.entries).astype(float)

    def __matmul__(self, M):
        return M if self.entries is None else self.entries[:, None] * M

    def __rmatmul__(self, M):
        return M if self.entries is None else M * self.entries

    def __repr__(self):
        return f"Diagonal({self.n})"
