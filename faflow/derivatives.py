"""Derivatives of rules: along a direction, for every kind of matrix, and as a whole for floats."""

from itertools import count

import numpy as np

from .matrices import Dual
from .matrices.layout import is_jax

LEVELS = count(1)
"""A new ε for every derivative."""


def directional(f, w, v):
    """(f(w), f'(w)v) for tuples of matrices, by one pass of dual numbers; for JAX, by its jvp.

    f: takes a tuple of matrices and gives a tuple; nested calls give higher derivatives.
    """
    if any(is_jax(W) for W in w):
        import jax

        return jax.jvp(f, (tuple(w),), (tuple(v),))
    level = next(LEVELS)  # above all that are in use, those in closures included
    made = f(tuple(Dual(W, V, level) for W, V in zip(w, v, strict=True)))
    moves = lambda M: isinstance(M, Dual) and M.level == level
    value = tuple(M.value if moves(M) else M for M in made)
    return value, tuple(M.moved if moves(M) else 0 * M for M in made)


def along(rule, task, w, v):
    """J v, the derivative of the velocity at `w` in the direction `v`, a tuple like `w`.

    Raises ValueError for a rule that dual numbers cannot follow.
    """
    return differentiable(rule, lambda: directional(lambda x: rule(task, x), w, v)[1])


def differentiable(rule, compute):
    """``compute()``, a failure of dual numbers told in a sentence."""
    try:
        return compute()
    except (TypeError, AttributeError) as problem:
        raise ValueError(
            f"The velocity of {rule.name} cannot be differentiated: {problem}; write it in @, .T,"
            " +, -, *, / and faflow's activations."
        ) from problem


def jacobian(rule, task, w):
    """J = ∂velocity/∂w at `w`, (p, p), for p weights taken row by row and layer by layer."""
    return linear_map(lambda v: along(rule, task, w, v), w)


def linear_map(f, w):
    """The matrix of a linear `f` from tuples like `w` to tuples of matrices."""
    columns = []
    direction = [np.zeros(W.shape) for W in w]
    for k, W in enumerate(w):
        for index in np.ndindex(*W.shape):
            direction[k][index] = 1.0
            columns.append(flat(f(tuple(direction))))
            direction[k][index] = 0.0
    return np.stack(columns, axis=1)


def flat(w):
    """All entries of a tuple of matrices, (p,)."""
    return np.concatenate([W.ravel() for W in w])


def unflat(y, like):
    """The tuple of matrices of the shapes of `like` that `flat` made `y` of."""
    cuts = np.cumsum([W.size for W in like])[:-1]
    return tuple(p.reshape(W.shape) for p, W in zip(np.split(y, cuts), like, strict=True))
