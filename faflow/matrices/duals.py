"""Dual numbers over matrices of any kind: exact derivatives along a direction, of any order."""

import numpy as np

from .plain import Uncompared


class Dual(Uncompared):
    """A + ε A', ε² = 0, where A and A' may hold increments of lower levels themselves.

    level: which ε it is; of two that meet the higher one is outside.  What is not smooth, such as
    a comparison, is that of A: right wherever it does not change nearby.
    """

    def __init__(self, value, moved, level):
        self.value, self.moved, self.level = value, moved, level

    def map(self, linear):
        """A linear map applied to both parts."""
        return Dual(linear(self.value), linear(self.moved), self.level)

    def through(self, function, slope):
        """An elementwise function, with its derivative."""
        return Dual(function(self.value), slope(self.value) * self.moved, self.level)

    def _with(self, other, bilinear):
        if not isinstance(other, Dual) or other.level < self.level:
            return self.map(lambda part: bilinear(part, other))
        if other.level > self.level:
            return other.map(lambda part: bilinear(self, part))
        moved = bilinear(self.value, other.moved) + bilinear(self.moved, other.value)
        return Dual(bilinear(self.value, other.value), moved, self.level)

    def __add__(self, other):
        if not isinstance(other, Dual) or other.level < self.level:
            return _moving(self.value + other, self.moved, self.level)
        if other.level > self.level:
            return _moving(self + other.value, other.moved, other.level)
        return Dual(self.value + other.value, self.moved + other.moved, self.level)

    __radd__ = __add__

    def __neg__(self):
        return self.map(lambda part: -part)

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    def __mul__(self, other):
        return self._with(other, lambda a, b: a * b)

    __rmul__ = __mul__

    def __matmul__(self, other):
        return self._with(other, lambda a, b: a @ b)

    def __rmatmul__(self, other):
        return self.map(lambda part: other @ part)

    def __truediv__(self, other):
        if not isinstance(other, Dual):
            return self.map(lambda part: part / other)
        return self * (1 / other)

    def __rtruediv__(self, other):
        return self.through(lambda a: other / a, lambda a: -other / (a * a))

    def __pow__(self, power):
        if power == 0:  # whose slope is 0 also where 0⁻¹ is infinite
            return self.through(lambda a: a**power, lambda a: 0 * a)
        return self.through(lambda a: a**power, lambda a: power * a ** (power - 1))

    def __gt__(self, other):
        return self.value > other

    def __lt__(self, other):
        return self.value < other

    def __ge__(self, other):
        return self.value >= other

    def __le__(self, other):
        return self.value <= other

    def __getitem__(self, index):
        return self.map(lambda part: part[index])

    def __len__(self):
        return len(self.value)

    @property
    def T(self):
        return self.map(lambda part: part.T)

    @property
    def shape(self):
        return self.value.shape

    @property
    def dtype(self):
        return self.value.dtype

    def reshape(self, *shape):
        return self.map(lambda part: part.reshape(*shape))

    def diagonal(self):
        return self.map(lambda part: part.diagonal())

    def trace(self):
        return self.map(lambda part: part.trace())

    def sum(self, *axis, **options):
        return self.map(lambda part: part.sum(*axis, **options))

    def max(self, axis=None, keepdims=False):
        """The largest entry, which moves as the first one that is largest does."""
        where = base(self).argmax(axis=axis, keepdims=True)
        xp = base(self).__array_namespace__()
        if axis is None:
            picked = self.map(lambda part: part.reshape(-1)[where.reshape(-1)])
            return picked.reshape((1,) * len(self.shape) if keepdims else ())
        taken = self._at(lambda part: xp.take_along_axis(part, where, axis))
        return taken if keepdims else taken.sum(axis=axis)

    def _at(self, pick):
        """A selection of entries applied to every array inside."""
        inside = lambda part: part._at(pick) if isinstance(part, Dual) else pick(part)
        return self.map(inside)

    def __array_namespace__(self, api_version=None):
        return Functions(base(self).__array_namespace__())


def _moving(value, moved, level):
    """The dual number, its increment in the shape to which its value has been broadcast."""
    wanted, seen = (getattr(M, "shape", None) for M in (value, moved))
    if wanted is not None and seen is not None and wanted != seen:
        moved = moved + np.zeros(wanted, dtype=int)
    return Dual(value, moved, level)


class Functions:
    """Those functions of an array namespace that rules and losses call, for dual numbers."""

    def __init__(self, of):
        self.of = of

    def exp(self, a):
        return a.through(self.exp, self.exp) if isinstance(a, Dual) else self.of.exp(a)

    def log(self, a):
        return a.through(self.log, lambda x: 1 / x) if isinstance(a, Dual) else self.of.log(a)

    def sum(self, a, **options):
        return a.sum(**options)

    def max(self, a, **options):
        return a.max(**options)

    def ones_like(self, a):
        return self.of.ones_like(base(a))

    def concat(self, parts, axis=0):
        """Parts below one another; those that do not move stand still."""
        level = max((part.level for part in parts if isinstance(part, Dual)), default=None)
        if level is None:
            return self.of.concat(parts, axis=axis)
        split = [(p.value, p.moved) if level_of(p) == level else (p, 0 * p) for p in parts]
        value, moved = (self.concat(list(side), axis) for side in zip(*split, strict=True))
        return Dual(value, moved, level)


def base(x):
    """What a dual number is over: the matrix without increments."""
    while isinstance(x, Dual):
        x = x.value
    return x


def level_of(x):
    """The level of a dual number; 0 of what is none."""
    return x.level if isinstance(x, Dual) else 0
