"""A law of one's own, proved before it is kept, with the way back to it by JAX's derivatives."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..extras import needs
from ..symbolic.problems import samples_add_up
from ..symbolic.prove import prove_growing
from .conserve import divided
from .traced import joined_rule, split_rule

MOST = 10_000_000
"""Entries of a derivative, values of the law times numbers of the state, that are held."""

PROVED_ENTRIES = 100
"""Numbers of a state up to which a law that words do not know is proved for these sizes."""


@dataclass(frozen=True)
class Own:
    """A law ``law(rule, w)`` of any function; given: further keywords, as pairs."""

    law: Callable
    given: tuple = ()

    fixed = False
    kind = "own"
    k = 0

    def __str__(self):
        made = getattr(self.law, "__name__", str(self.law))
        return ", ".join([made, *(f"{name} = {value}" for name, value in self.given)])

    def value(self, rule, w):
        return self.law(rule, w, **dict(self.given))

    def rate(self, rule):
        """c where the law decays as exp(-ct)."""
        return float(getattr(self.law, "growth", 0))

    def gradient(self, rule, w, L):
        """JᵀL: {number of a matrix: what to add to it}; `L` like the law's value."""
        J = self.derivative(rule, w)
        pairs = zip(J, w, strict=True)
        return {k: (L.ravel() @ M).reshape(W.shape) for k, (M, W) in enumerate(pairs)}

    def solved(self, rule, w, R, xp):
        """(JJᵀ)⁻¹R, by least squares where values depend on one another, as in symmetric laws."""
        J = self.derivative(rule, w)
        squares, V = xp.linalg.eigh(sum(M @ M.T for M in J))
        return (V @ divided(V.T @ R.ravel(), squares, xp)).reshape(R.shape)

    def derivative(self, rule, w):
        """J, for each matrix of the state as (values, entries)."""
        if not all(isinstance(W, np.ndarray) for W in w):
            return _derivative(self, rule, w)
        import jax

        plan, numbers = split_rule(rule)
        with jax.enable_x64(True):
            return tuple(map(np.asarray, _compiled(self, plan)(numbers, tuple(w))))


def _derivative(one, rule, w):
    import jax
    import jax.numpy as jnp

    made = jax.jacrev(lambda w: jnp.ravel(jnp.asarray(one.value(rule, w))))(tuple(w))
    return tuple(M.reshape(len(M), -1) for M in made)


@lru_cache(maxsize=32)
def _compiled(one, plan):
    import jax

    return jax.jit(lambda numbers, w: _derivative(one, joined_rule(plan, numbers), w))


def own(law, given, rule, task, w, pieces):
    """The law as one that can be kept; pieces: the rule, with each decay that it comes to have.

    Raises ValueError for one that is not proved, or cannot be computed, or has too many values.
    """
    needs("jax", "jax")
    one = Own(law, tuple(given.items()))
    try:
        value = one.value(rule.at(0.0), w)
        size = np.asarray(value, dtype=float).size
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as problem:
        raise ValueError(f"keep cannot compute {one}: {problem}") from None
    if size * sum(W.size for W in w) > MOST:
        raise ValueError(f"keep knows no way back to {one}: it has {size} values, too many.")
    for piece in pieces:
        _prove(one, piece, task, w)
    _differentiate(one, pieces[0], w)
    return one


def _differentiate(one, rule, w):
    """Raise ValueError where JAX cannot."""
    import jax

    plan, numbers = split_rule(rule)
    try:
        with jax.enable_x64(True):
            jax.eval_shape(_compiled(one, plan), numbers, tuple(w))
    except (TypeError, ValueError, AttributeError) as problem:
        said = str(problem).splitlines()[0]
        raise ValueError(f"keep cannot differentiate {one} by JAX: {said}") from None


def _prove(one, rule, task, w):
    weights, names = rule.weights(w), {phi.name for phi in task.activations}
    phi = "linear" if len(weights) == 1 else task.activations[0]
    if len(names) > 1:
        raise ValueError(f"keep cannot prove {one} of layers with {' and '.join(sorted(names))}.")
    if not (samples_add_up(rule) or phi == "linear" or phi.name == "linear"):
        raise ValueError(f"keep cannot prove {one} of {rule.name} for more samples than one.")
    options = {"activation": phi, "bias": task.bias, **dict(one.given)}
    sizes = [weights[0].shape[1] - task.bias, *(len(W) for W in weights)]
    ways = [{"depth": len(weights)}]
    if sum(W.size for W in w) <= PROVED_ENTRIES:
        ways.append({"sizes": sizes, "feedback": "given"})
    for way in ways:
        try:
            verdict = prove_growing(one.law, rule, **way, **options)
            break
        except ValueError as problem:
            if way is ways[-1]:
                raise ValueError(f"keep cannot prove {one}: {problem}") from None
    if not verdict:
        raise ValueError(f"keep refuses {one}: {verdict}.")
