"""Discrete steps compiled by JAX, as one loop over many of them."""

from functools import lru_cache

import numpy as np

from ..extras import needs
from ..flow.traced import joined, split
from ..rule import Rule

ENTRIES, LONGEST = 4_000_000, 512
"""Numbers and steps that one call of the compiled loop gives back at most."""


def check(rule):
    """Raise unless the steps of `rule` can be compiled."""
    needs("jax", "jax")
    if type(rule).settle is not Rule.settle:
        raise ValueError(f"{rule.name} settles its state after each step, which JAX cannot trace.")


def states(rule, task, w, stepper, sizes, times, chosen):
    """Yield (state, steps done, whether all went well) for each step, by calls of many steps.

    chosen: an iterator over the samples of each step, arrays of one size, or None for all.
    After a step that overflows the state is the one before it, and nothing more is yielded.
    """
    import jax
    import jax.numpy as jnp

    v = tuple(np.zeros_like(W) for W in w)
    length = int(np.clip(ENTRIES // sum(W.size for W in w), 1, min(LONGEST, len(sizes))))
    jumps, start = np.array(rule.jumps()), 0
    while start < len(sizes):
        now = rule.at(times[start]) if len(jumps) else rule
        same = np.searchsorted(jumps, times[start : start + length], side="right")
        count = min(int((same == same[0]).sum()), len(sizes) - start)
        etas = np.ones(length)
        etas[:count] = sizes[start : start + count]
        indices = _indices([next(chosen) for _ in range(count)], length)
        plan, given = split(now, task)
        with jax.enable_x64(True):
            given, at, xs = jax.tree.map(
                jnp.asarray, (given, (w, v), (etas, indices, np.arange(length) < count))
            )
            try:
                out = _compiled(plan, stepper)(given, at, xs)
            except (TypeError, AttributeError) as problem:
                raise ValueError(
                    f"JAX cannot trace the velocity of {rule.name}: {str(problem).split('.')[0]}."
                    "  Take engine='numpy', or write it in @, .T, +, -, *, / and activations."
                ) from problem
            (w, v), path, fine = jax.device_get(out)
        w, v = (tuple(np.asarray(W, dtype=float) for W in part) for part in (w, v))
        for k in range(count):
            start += 1
            yield tuple(np.asarray(W[k], dtype=float) for W in path), start, bool(fine[k])
            if not fine[k]:
                return


def _indices(chosen, length):
    """(length, samples a step), or None."""
    if chosen[0] is None:
        return None
    if len({len(one) for one in chosen}) > 1:
        raise ValueError("Compiled steps need batches of one size; take engine='numpy'.")
    made = np.zeros((length, len(chosen[0])), dtype=int)
    made[: len(chosen)] = chosen
    return made


@lru_cache(maxsize=64)
def _compiled(plan, stepper):
    import jax
    import jax.numpy as jnp

    @jax.jit
    def run(given, at, xs):
        rule, whole = joined(plan, given)
        X, Y = whole.X, whole.Y

        def step(carried, x):
            (w, v), fine = carried
            eta, chosen, active = x
            seen = whole if chosen is None else whole.with_data(X[:, chosen], Y[:, chosen])
            made = stepper.step(rule, seen, w, v, eta)
            finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(W)) for W in made[0]]))
            fine = fine & (finite | ~active)
            keep = fine & active
            at = jax.tree.map(lambda new, old: jnp.where(keep, new, old), made, (w, v))
            return (at, fine), (at[0], fine)

        (at, _), (path, fine) = jax.lax.scan(step, (at, jnp.asarray(True)), xs)
        return at, path, fine

    return run
