"""Derivatives through a flow: of what is observed at its end, in its start, feedback or data."""

from functools import lru_cache
from itertools import pairwise

import numpy as np

from ..extras import needs
from .checks import ready, times
from .choice import tolerances
from .traced import joined, register, split

PARTS = ("w0", "B", "X", "Y")


def gradient(
    observe,
    rule,
    task,
    w0,
    ts,
    *,
    of=("w0",),
    rtol=1e-8,
    atol=1e-10,
    max_steps=4096,
    checkpoints=None,
):
    """(value, gradients) of ``observe(rule, task, w)``, a number, at the last of the times `ts`.

    observe: called on JAX arrays, such as ``lambda rule, task, w: ff.loss(task, w)``; a law is
        ``lambda rule, task, w: laws.layer_balance(rule, w)``.
    ts: the start and the end, as for `integrate`.
    of: which of w0, B, X and Y the derivatives are in.  Returns {name: like it}, in NumPy.
    Derivatives are those of the steps taken, by reverse mode with checkpoints of the state, as many
    as about √(2·max_steps) or as given: exact for the numbers that the solver made, in memory that
    does not grow with the number of steps.  The sizes of steps count as constants.  Needs JAX and
    diffrax; compiled at every call anew for another `observe`, so keep the function.
    Raises ValueError for bad input, and RuntimeError where `max_steps` do not reach the end of the
    flow or it is not finite.
    """
    needs("diffrax", "jax")
    import jax

    w0, ts = ready(rule, task, w0), times(ts)
    rule.check_times(ts)
    if not callable(observe):
        raise TypeError(f"observe must be a function (rule, task, w), but is {observe!r:.60}.")
    for what, number in {"max_steps": max_steps, "checkpoints": checkpoints}.items():
        free = number is None and what == "checkpoints"
        if not (free or (type(number) is int and number > 0)):
            raise ValueError(f"{what} must be a positive whole number, but is {number!r:.60}.")
    if not isinstance(of, tuple | list) or not of or not set(of) <= set(PARTS):
        raise ValueError(f"of must name some of {', '.join(PARTS)}, as a tuple, but is {of!r}.")
    if "B" in of and not rule.B:
        raise ValueError(f"of names B, but {rule.name} has no fixed feedback.")
    if not task.smooth:
        raise ValueError("gradient needs smooth activations, such as softplus(50) for relu.")
    if rule.signed(w0):
        raise ValueError(
            f"gradient needs a velocity without jumps, but that of {rule.name} jumps where a weight"
            " changes sign; give the rule a beta."
        )
    control = tolerances(rtol, atol)
    register(jax)
    with jax.enable_x64(True):
        inside = [t for t in rule.jumps() if ts[0] < t < ts[-1]]
        edges = np.array([ts[0], *inside, ts[-1]])
        plans, given = zip(*(split(rule.at(t), task) for t in edges[:-1]), strict=True)
        run = _compiled(observe, plans, max_steps, checkpoints)
        parts = {"w0": w0, "B": rule.B, "X": task.X, "Y": task.Y}
        chosen = {name: parts[name] for name in of}
        _check_observable(observe, rule.at(ts[-1]), task, w0)
        made = run(chosen, w0, given, edges, tuple(control.values()))
        (value, fine), gradients = jax.device_get(made)
    if not fine or not np.isfinite(value):
        raise RuntimeError(
            f"The flow did not reach t = {ts[-1]:g} within {max_steps} steps, or is not finite."
        )
    gradients = jax.tree.map(lambda M: np.asarray(M, dtype=float), gradients)
    for name, made in gradients.items():
        if not all(np.isfinite(M).all() for M in (made if isinstance(made, tuple) else (made,))):
            raise RuntimeError(
                f"The derivatives in {name} are not finite, as where a root of zero is taken."
            )
    return float(value), gradients


def _check_observable(observe, rule, task, w):
    """Raise ValueError unless JAX can follow it to a number."""
    import jax

    try:
        made = jax.eval_shape(lambda w: observe(rule, task, w), w)
    except Exception as problem:  # whatever it does
        said = str(problem).splitlines()[0]
        raise ValueError(f"observe(rule, task, w) cannot be followed by JAX: {said}") from None
    shape = getattr(made, "shape", None)
    if shape != () or made.dtype.kind != "f":
        seen = type(made).__name__ if shape is None else f"an array of shape {shape}"
        seen = f"one of type {made.dtype}" if shape == () else seen
        raise ValueError(f"observe must give a real number, but gives {seen}.")


@lru_cache(maxsize=16)
def _compiled(observe, plans, max_steps, checkpoints):
    """Value and gradients for one kind of problem, one plan for each piece of the decay."""
    import diffrax as dfx
    import jax
    import jax.numpy as jnp

    def field(plan):
        def velocity(t, w, given):
            rule, task = joined(plan, given)
            return tuple(rule(task, w))

        return velocity

    def with_parts(given, chosen):
        numbers, (X, Y, scale) = given
        if "B" in chosen:
            numbers = numbers | {"B": chosen["B"]}
        return numbers, (chosen.get("X", X), chosen.get("Y", Y), scale)

    def value(chosen, w, given, edges, control):
        w, fine = chosen.get("w0", w), True
        rtol, atol = control
        for k, (plan, (start, stop)) in enumerate(zip(plans, pairwise(edges), strict=True)):
            held = with_parts(given[k], chosen)
            out = dfx.diffeqsolve(
                dfx.ODETerm(field(plan)),
                dfx.Tsit5(),
                start,
                stop,
                None,
                w,
                args=held,
                saveat=dfx.SaveAt(t1=True),
                stepsize_controller=dfx.PIDController(rtol=rtol, atol=atol, pcoeff=0.4, icoeff=0.3),
                adjoint=dfx.RecursiveCheckpointAdjoint(checkpoints),
                max_steps=max_steps,
                throw=False,
            )
            w = jax.tree.map(lambda W: W[-1], out.ys)
            fine = fine & dfx.is_successful(out.result)
        rule, task = joined(plans[-1], with_parts(given[-1], chosen))
        return jnp.asarray(observe(rule, task, w)), fine

    @jax.jit
    def both(chosen, w, given, edges, control):
        edges = tuple(edges[k] for k in range(len(plans) + 1))
        return jax.value_and_grad(value, has_aux=True)(chosen, w, given, edges, control)

    return both
