"""Inputs to a first layer of which some units stand still, while the weights of others move."""

from . import with_ones


class Still:
    """Inputs X that take the weights M of units that move to what they and the others put out.

    X: an array or what stands for one.  held: what the units that stand still put out of it,
    (units, samples).  stack: puts the second below the first; None for arrays.
    """

    __array_ufunc__ = None  # NumPy leaves the product to this class
    ndim = 2

    def __init__(self, X, held, stack=None):
        self.X, self.held, self.stack = X, held, stack

    @property
    def shape(self):
        return self.X.shape

    @property
    def T(self):
        """Of the inputs, by which velocities of the units that move are multiplied."""
        return self.X.T

    def with_ones(self):
        return Still(with_ones(self.X), self.held, self.stack)

    def __len__(self):
        return len(self.X)

    def __rmatmul__(self, M):
        moving = M @ self.X
        if self.stack is not None:
            return self.stack(moving, self.held)
        return moving.__array_namespace__().concat([moving, self.held])

    def __repr__(self):
        return f"Still({self.X!r}, {len(self.held)} units)"
