"""Inputs along axes, with ones beside them: as data that a reduction has turned under biases."""

import numpy as np


def mirror(n):
    """The unit vector v, (n,), for which I - 2vvᵀ takes the first axis to ones/√n."""
    v = np.full(n, 1 / np.sqrt(n))
    v[0] -= 1
    return v / (np.linalg.norm(v) or 1.0)


class Mirrored:
    """The matrix X = [a, diag(s)](I - 2vvᵀ) of n rows and n + 1 columns, v = `mirror`, n > 0.

    As v is the same along all axes but the first, X is [a - v₀u, diag(s)] - v₁u[0, 1ᵀ] for
    u = 2[a, diag(s)]v, and multiplies arrays of any library in passes over their entries.

    first: (n, 2), a - v₀u and u.  back: (2, n), aᵀ and -uᵀ.  s: (n,).
    turned: for its transpose.  ones: with a row of ones below.
    """

    __array_ufunc__ = None  # NumPy leaves the product to this class
    ndim = 2

    def __init__(self, first, back, s, turned=False, ones=False):
        self.first, self.back, self.s, self.turned, self.ones = first, back, s, turned, ones

    @classmethod
    def of(cls, a, s):
        """From a, (n, 1), and s, (n,)."""
        v = mirror(len(s) + 1)
        u = 2 * (v[0] * a + v[1] * s[:, None])
        return cls(np.hstack([a - v[0] * u, u]), np.vstack([a.T, -u.T]), s)

    def _other(self, turned, ones):
        return Mirrored(self.first, self.back, self.s, turned, ones)

    @property
    def shape(self):
        rows = self.s.shape[0]
        shape = rows + self.ones, rows + 1
        return shape[::-1] if self.turned else shape

    @property
    def T(self):
        return self._other(not self.turned, self.ones)

    def __len__(self):
        return self.shape[0]

    def __array__(self, dtype=None, copy=None):
        whole = self._other(False, self.ones)
        dense = np.eye(len(whole)) @ whole
        return dense.T if self.turned else dense

    def with_ones(self):
        return self._other(self.turned, True)

    def __rmatmul__(self, M):
        xp, v = M.__array_namespace__(), mirror(len(self.s) + 1)
        if self.turned:
            begun, rest = M[:, :1], M[:, 1:]
            whole = rest.sum(axis=1, keepdims=True)
            pair = xp.concat([begun, float(v[0]) * begun + float(v[1]) * whole], axis=1)
            made = rest * self.s + pair @ self.back
            return xp.concat([made, begun + whole], axis=1) if self.ones else made
        weights, biases = (M[:, :-1], M[:, -1:]) if self.ones else (M, 0)
        seen = weights @ self.first
        rest = weights * self.s + (biases - float(v[1]) * seen[:, 1:])
        return xp.concat([seen[:, :1] + biases, rest], axis=1)

    def __repr__(self):
        return f"Mirrored({self.shape[0]}, {self.shape[1]})"
