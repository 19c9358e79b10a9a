"""The diffrax engine: compiled by JAX, for accelerators and repeated runs."""

from dataclasses import fields
from functools import lru_cache
from importlib.metadata import version
from itertools import pairwise

import numpy as np

from ..matrices.diagonal import Diagonal
from ..nets import Task, replaced

SOLVERS = {"tsit5": "Tsit5", "dopri5": "Dopri5", "dopri8": "Dopri8"}
CHUNK = 512


def name():
    return f"diffrax {version('diffrax')}, jax {version('jax')}"


def has_accelerator():
    """Whether JAX can be imported and its default device is not a CPU."""
    import jax

    return jax.default_backend() != "cpu"


def run(rule, task, w0, ts, *, solver, rtol, atol, step, tally):
    """Yield the state at each of ``ts[1:]``, a solver step ending exactly there."""
    import jax
    import jax.numpy as jnp

    plan, given = split(rule, task)
    register(jax)
    with jax.enable_x64(True):  # for this call only: the user's own precision stays as it is
        to_jax = lambda tree: jax.tree.map(jnp.asarray, tree)
        given = to_jax(given)
        state, limits = to_jax(tuple(w0)), to_jax((float(rtol), float(atol), float(step or 0)))
    for start, stop in pairwise(ts):
        t = float(start)
        while True:
            with jax.enable_x64(True):
                out = _advance(solver, plan, step is not None)(
                    given, state, t, float(stop), *limits
                )
                reached, state, accepted, rejected, done = jax.device_get(out)
            tally.count(None, int(accepted + rejected), accepted=int(accepted))
            advanced = float(reached) - t
            taken = advanced / max(1, int(accepted))
            t = float(reached)
            stuck = not done and not advanced > 0
            tally.go_on(t, state, taken, "the step size went to zero" if stuck else None)
            if done:
                break
        yield tuple(np.asarray(W, dtype=float) for W in state)


@lru_cache(maxsize=1)
def register(jax):
    """Tell JAX what numbers a diagonal matrix has."""
    jax.tree_util.register_pytree_node(
        Diagonal, lambda D: ((D.entries,), D.n), lambda n, parts: Diagonal(n, *parts)
    )


def split(rule, task):
    """What decides which function is compiled, and the numbers, which JAX traces."""
    numbers, words = {}, []
    for item in fields(rule):
        value = getattr(rule, item.name)
        parts = value if isinstance(value, tuple) else (value,)
        numeric = all(isinstance(p, float | np.ndarray) for p in parts) and len(parts)
        if numeric:
            numbers[item.name] = value
        else:
            words.append((item.name, value))
    plan = (type(rule), tuple(words), task.phi, task.loss, task.bias)
    return plan, (numbers, (task.X, task.Y, float(task.output_scale)))


def joined(plan, given):
    """The rule and the task that were `split`, with what JAX traces as their numbers."""
    (kind, words, phi, loss, bias), (numbers, (X, Y, scale)) = plan, given
    rule = replaced(object.__new__(kind), **dict(words), **numbers)
    task = replaced(
        object.__new__(Task), X=X, Y=Y, phi=phi, loss=loss, bias=bias, output_scale=scale
    )
    return rule, task


@lru_cache(maxsize=64)
def _advance(solver, plan, fixed):
    """One compiled function a kind of problem: from t to stop, at most CHUNK steps."""
    import diffrax as dfx
    import jax
    import jax.numpy as jnp

    def field(t, w, given):
        rule, task = joined(plan, given)
        return rule(task, w)

    @jax.jit
    def advance(given, w, t, stop, rtol, atol, step):
        control = dfx.ConstantStepSize() if fixed else dfx.PIDController(rtol=rtol, atol=atol)
        out = dfx.diffeqsolve(
            dfx.ODETerm(field),
            getattr(dfx, SOLVERS[solver])(),
            t,
            stop,
            step if fixed else None,
            w,
            args=given,
            saveat=dfx.SaveAt(t1=True),
            stepsize_controller=control,
            max_steps=CHUNK,
            throw=False,
        )
        last = jax.tree.map(lambda W: W[-1], out.ys)
        accepted = out.stats["num_accepted_steps"]
        done = dfx.is_successful(out.result)
        return out.ts[-1], last, accepted, out.stats["num_rejected_steps"], jnp.asarray(done)

    return advance
