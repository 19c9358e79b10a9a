"""Power series in the step size, with matrices of any one kind as coefficients."""

from .plain import Uncompared


class Series(Uncompared):
    """A₀ + A₁η + A₂η² + … with matrix coefficients of any one kind.

    `order` is the last power that is right; None when the series is a polynomial and exact.
    """

    def __init__(self, *coefficients, order=None):
        self.coefficients = coefficients if order is None else coefficients[: order + 1]
        self.order = order

    def _least(self, other):
        known = [s.order for s in (self, other) if s.order is not None]
        return min(known, default=None)

    def __add__(self, other):
        other = _series(other)
        a, b = self.coefficients, other.coefficients
        if len(a) < len(b):
            a, b = b, a
        summed = (*(x + y for x, y in zip(a, b, strict=False)), *a[len(b) :])
        return Series(*summed, order=self._least(other))

    def __neg__(self):
        return self.map(lambda x: -x)

    def __sub__(self, other):
        return self + -_series(other)

    def __rsub__(self, other):
        return _series(other) - self

    def _product(self, other, times):
        other = _series(other)
        a, b = self.coefficients, other.coefficients
        out = [None] * (len(a) + len(b) - 1)
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                term = times(x, y)
                out[i + j] = term if out[i + j] is None else out[i + j] + term
        return Series(*out, order=self._least(other))

    def __matmul__(self, other):
        return self._product(other, lambda x, y: x @ y)

    def __rmatmul__(self, other):
        return _series(other) @ self

    def __mul__(self, other):
        return self._product(other, lambda x, y: x * y)

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, power):
        if not isinstance(power, int) or power < 1:
            raise TypeError(f"powers of a law must be positive integers, not {power!r}")
        return self if power == 1 else self * self ** (power - 1)

    def __getitem__(self, index):
        return self.map(lambda x: x[index])

    def __truediv__(self, number):
        return self.map(lambda x: x / number)

    def map(self, linear):
        """A linear map applied to every coefficient."""
        return Series(*map(linear, self.coefficients), order=self.order)

    @property
    def T(self):
        return self.map(lambda x: x.T)

    def diagonal(self):
        return self.map(lambda x: x.diagonal())

    def trace(self):
        return self.map(lambda x: x.trace())

    def sum(self):
        return self.map(lambda x: x.sum())


def _series(x):
    return x if isinstance(x, Series) else Series(x)
