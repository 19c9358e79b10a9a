"""The same rules in discrete steps."""

import time
from numbers import Integral, Real

import numpy as np

from ..draws import generator
from ..flow.checks import ready
from ..flow.integrate import Record
from ..progress import progress
from ..rules import FAStar
from ..solution import Interrupted, Unfinished


def iterate(
    rule,
    task,
    w0,
    *,
    eta,
    steps,
    every=1,
    batches=None,
    seed=0,
    observe=None,
    show_progress=None,
):
    """w ← w + η rule(task, w), all layers together; time is η times the step number.

    eta: step size.  steps: how many.  every: keep every so many steps, and the start.
    batches: samples a step, drawn without replacement in an order reshuffled with `seed` each
        time it is through (samples that fill no batch sit out that round); None takes all
        samples at every step.  The loss is a sum over the batch, not a mean.
    observe: ``{name: law}`` recorded instead of the weights.
    A piecewise decay has at each step the value of its time.
    Returns a `Solution`.  Raises `Unfinished` when the weights overflow and `Interrupted` on
    Ctrl-C, both with the partial solution, up to the last step done, as ``.solution``.
    """
    w = ready(rule, task, w0)
    if not (isinstance(eta, Real) and np.isfinite(eta) and eta > 0):
        raise ValueError(f"eta must be a positive number, but is {eta!r}.")
    for what, value in {"steps": steps, "every": every}.items():
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{what} must be a positive integer, but is {value!r}.")
    samples = task.X.shape[1]
    if batches is not None and not (isinstance(batches, Integral) and 1 <= batches <= samples):
        raise ValueError(f"batches must be from 1 to {samples} samples, but is {batches!r}.")
    if batches is not None and isinstance(rule, FAStar):
        raise ValueError("FAStar fits its last layer to all the data, so it takes no batches.")
    record = Record(rule, observe)
    record.add(0.0, w)
    began, changes = time.perf_counter(), bool(rule.jumps())
    shuffled, done = _batches(samples, batches, seed), 0

    def solution():
        made = {"engine": "iterate", "accepted": done, "eta": float(eta), "batches": batches}
        return record.solution(rule, task, made | {"seconds": time.perf_counter() - began})

    with progress(steps, "iterating", show_progress) as advance:
        try:
            for n in range(1, steps + 1):
                now = rule.at((n - 1) * eta) if changes else rule
                chosen = next(shuffled)
                seen = (
                    task if chosen is None else task.with_data(task.X[:, chosen], task.Y[:, chosen])
                )
                with np.errstate(all="ignore"):  # an overflow is found by its values below
                    moved = now(seen, w)
                    after = tuple(W + eta * V for W, V in zip(w, moved, strict=True))
                if not all(np.isfinite(W).all() for W in after):
                    raise Unfinished(
                        f"The weights overflow at step {n}, t = {n * eta:g}: eta = {eta:g} is too"
                        " large for this problem, or the flow itself blows up."
                    )
                w, done = rule.settle(task, after), n
                if n % every == 0:
                    record.add(n * eta, w)
                advance(n)
        except (Unfinished, KeyboardInterrupt) as stop:
            wrong = stop if isinstance(stop, Unfinished) else Interrupted("Stopped by Ctrl-C.")
            record.add_reached(done * eta, w)
            wrong.solution = solution()
            raise wrong from None
    return solution()


def _batches(samples, size, seed):
    """For ever: the samples of the next step, None for all of them."""
    if size is None:
        while True:
            yield None
    rng = generator(seed, "batches")
    while True:
        order = rng.permutation(samples)
        for start in range(0, samples - size + 1, size):
            yield order[start : start + size]
