"""Rules and tasks as JAX sees them: what a function is compiled for, and the numbers it traces."""

from dataclasses import fields
from functools import lru_cache

import numpy as np

from ..matrices import Mirrored
from ..matrices.diagonal import Diagonal
from ..matrices.still import Still
from ..matrices.unformed import Unformed
from ..nets import Task, replaced


@lru_cache(maxsize=1)
def register(jax):
    """Tell JAX what numbers matrices have that are not arrays."""
    for kind in (Diagonal, Unformed):
        jax.tree_util.register_pytree_node(
            kind, lambda D: ((D.entries,), D.n), lambda n, parts, kind=kind: kind(n, *parts)
        )
    jax.tree_util.register_pytree_node(
        Still, lambda S: ((S.X, S.held), None), lambda _, parts: Still(*parts)
    )
    jax.tree_util.register_pytree_node(
        Mirrored,
        lambda M: ((M.first, M.back, M.s), (M.turned, M.ones)),
        lambda more, parts: Mirrored(*parts, *more),
    )


def split_rule(rule):
    """What decides which function of a rule is compiled, and the numbers, which JAX traces."""
    numbers, words = {}, []
    for item in fields(rule):
        value = getattr(rule, item.name)
        parts = value if isinstance(value, tuple) else (value,)
        numeric = all(isinstance(p, float | np.ndarray) for p in parts) and len(parts)
        if numeric:
            numbers[item.name] = value
        else:
            words.append((item.name, value))
    return (type(rule), tuple(words)), numbers


def joined_rule(plan, numbers):
    """The rule that was split, with what JAX traces as its numbers."""
    kind, words = plan
    return replaced(object.__new__(kind), **dict(words), **numbers)


def split(rule, task):
    """The same of a rule and a task."""
    plan, numbers = split_rule(rule)
    plan = (*plan, task.phi, task.loss, task.bias)
    return plan, (numbers, (task.X, task.Y, float(task.output_scale)))


def joined(plan, given):
    """The rule and the task that were `split`, with what JAX traces as their numbers."""
    (*rule, phi, loss, bias), (numbers, (X, Y, scale)) = plan, given
    rule = joined_rule(rule, numbers)
    task = replaced(
        object.__new__(Task), X=X, Y=Y, phi=phi, loss=loss, bias=bias, output_scale=scale
    )
    return rule, task
