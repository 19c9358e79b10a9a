"""A law of one's own, proved before it is kept, with the way back to it by JAX's derivatives."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from ..extras import needs
from ..symbolic.problems import samples_add_up
from ..symbolic.prove import prove_growing
from .kept import divided
from .traced import joined_rule, split_rule

VALUES = 400
"""Most values of a law, for which a system of so many unknowns is solved after each step."""

PROVED = {True: 100, False: 40}
"""Numbers of a state up to which a law that words do not know is proved for its sizes: with
activations that are polynomials piece by piece, and with others."""

MOVES = 1e-3
"""Share of its change along a random direction, above which the change along the flow is one."""


@dataclass(frozen=True)
class Own:
    """A law ``law(rule, w)`` of any function, in one run: it may read what changes between them."""

    law: Callable
    run: Any = field(default_factory=object)

    fixed = False
    kind = "own"
    k = 0

    def __str__(self):
        law = getattr(self.law, "func", self.law)
        made = [getattr(law, "__name__", str(law)), *map(str, getattr(self.law, "args", ()))]
        given = getattr(self.law, "keywords", {})
        return ", ".join([*made, *(f"{name} = {value}" for name, value in given.items())])

    def value(self, rule, w):
        return self.law(rule, w)

    def rate(self, rule):
        """c where the law decays as exp(-ct)."""
        return float(getattr(self.law, "growth", 0))

    def gradient(self, rule, w, L):
        """JᵀL: {number of a matrix: what to add to it}; `L` like the law's value."""
        J = self.derivative(rule, w)
        pairs = zip(J, w, strict=True)
        return {k: (L.ravel() @ M).reshape(W.shape) for k, (M, W) in enumerate(pairs)}

    def inverse(self, rule, w, ndim, xp):
        """R to (JJᵀ)⁻¹R, by least squares where values depend on one another, as in symmetric laws.

        R of so many dimensions.
        """
        J = self.derivative(rule, w)
        squares, V = xp.linalg.eigh(sum(M @ M.T for M in J))
        return lambda R: (V @ divided(V.T @ R.ravel(), squares, xp)).reshape(R.shape)

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


def own(law, rule, task, w, pieces):
    """The law as one that can be kept; pieces: the rule, with each decay that it comes to have.

    Raises ValueError for one that is not proved, or cannot be computed, or has too many values.
    """
    needs("jax", "jax")
    one = Own(law)
    if rule.signed(w):
        raise ValueError(
            f"keep cannot return to {one}: proofs for {rule.name} hold while no weight changes its"
            " sign; give the rule a beta, or look on by keep='monitor'."
        )
    try:
        size = np.asarray(one.value(pieces[0], w), dtype=float).size
    except Exception as problem:  # whatever it does
        raise ValueError(f"keep cannot compute {one}: {problem}") from None
    if size > VALUES:
        raise ValueError(f"keep takes laws of at most {VALUES} values, but {one} has {size}.")
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
    except Exception as problem:  # whatever it does
        said = str(problem).splitlines()[0]
        raise ValueError(f"keep cannot differentiate {one} by JAX: {said}") from None


def _prove(one, rule, task, w):
    """Raise ValueError unless the law is proved: for every size, or for those of a small state."""
    weights, names = rule.weights(w), {phi.name for phi in task.activations}
    phi = "linear" if len(weights) == 1 else task.activations[0]
    if len(names) > 1:
        raise ValueError(f"keep cannot prove {one} of layers with {' and '.join(sorted(names))}.")
    options = {"activation": phi, "bias": task.bias}
    linear = phi == "linear" or phi.name == "linear"
    try:
        if not (samples_add_up(rule) or linear):
            raise ValueError("words see one sample alone of a rule that is not faflow's.")
        verdict = prove_growing(one.law, rule, depth=len(weights), **options)
    except ValueError as problem:
        rate = _seen_moving(one, rule, task, w)
        if rate:
            seen = f"at random weights it changes at a rate of {rate:.3g}"
            raise ValueError(f"keep refuses {one}: NOT kept; {seen}.") from None
        if sum(W.size for W in w) > PROVED[linear or phi.degree is not None]:
            raise ValueError(f"keep cannot prove {one}: {problem}") from None
        verdict = _proved_here(one, rule, task, w, options)
    if not verdict:
        raise ValueError(f"keep refuses {one}: {verdict}.")


def _proved_here(one, rule, task, w, options):
    """The verdict for these sizes and this feedback, and all samples together if they count."""
    weights = rule.weights(w)
    sizes = [weights[0].shape[1] - task.bias, *(len(W) for W in weights)]
    samples = 1 if samples_add_up(rule) else task.X.shape[1]
    try:
        return prove_growing(
            one.law, rule, sizes=sizes, feedback="given", samples=samples, **options
        )
    except ValueError as problem:
        raise ValueError(f"keep cannot prove {one}: {problem}") from None


def _seen_moving(one, rule, task, w):
    """The rate at which the law changes at random weights, beside its own decay, or None."""
    rng, c = np.random.default_rng(0), one.rate(rule)
    size = lambda parts: np.sqrt(sum(np.sum(M * M) for M in parts))
    value = lambda w: np.asarray(one.value(rule, w), dtype=float)
    with np.errstate(all="ignore"):
        x = tuple(W + 0.3 * rng.standard_normal(W.shape) for W in w)
        v, u = rule(task, x), tuple(rng.standard_normal(W.shape) for W in w)
        h = 1e-5 * size(x)
        ends = [
            [
                value(tuple(X + s * h / size(way) * V for X, V in zip(x, way, strict=True)))
                for s in (1, -1)
            ]
            for way in (v, u)
        ]
        along, aside = ((up - down) / (2 * h) for up, down in ends)
        along, aside = np.abs(along + c * value(x) / size(v)).max(), np.abs(aside).max()
    return along * size(v) if along > MOVES * aside else None
