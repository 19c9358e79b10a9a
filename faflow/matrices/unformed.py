"""Errors E = Y - ZW of two linear layers as products with them alone, never formed.

With few hidden units r, EWᵀ = YWᵀ - Z(WWᵀ) and ZᵀE = ZᵀY - (ZᵀZ)W cost four products of n, m and r
in place of six, and no pass over n x m entries.
"""

from .diagonal import Diagonal


class Unformed(Diagonal):
    """Inputs that are diagonal, to a network whose errors are not to be formed."""

    @property
    def T(self):
        return Diagonal(self.n, self.entries)

    def __rmatmul__(self, M):
        return Hidden(super().__rmatmul__(M))


class Hidden:
    """The hidden layer, (r, m), as an array `a`."""

    __array_ufunc__ = None  # NumPy leaves products to these classes
    ndim = 2

    def __init__(self, a):
        self.a = a

    @property
    def T(self):
        return self.a.T

    def __rmatmul__(self, W):
        return Output(W, self.a)


class Output:
    """The output, Wa."""

    __array_ufunc__ = None

    def __init__(self, W, a):
        self.W, self.a = W, a

    def __rmul__(self, number):
        return Output(number * self.W, self.a)

    def __rsub__(self, Y):
        return Error(Y, self.W, self.a)


def formed(f):
    """An output as an array."""
    return f.W @ f.a if isinstance(f, Output) else f


class Error:
    """Targets less the output, times a number, by what it does to the matrices of its sides."""

    __array_ufunc__ = None

    def __init__(self, Y, W, a, scale=1):
        self.Y, self.W, self.a, self.scale = Y, W, a, scale

    def __rmul__(self, number):
        return Error(self.Y, self.W, self.a, number * self.scale)

    def __matmul__(self, M):
        return self.scale * (self.Y @ M - self.W @ (self.a @ M))

    def __rmatmul__(self, M):
        return self.scale * (M @ self.Y - (M @ self.W) @ self.a)
