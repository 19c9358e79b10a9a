"""The same rules in discrete steps."""

import time

import numpy as np

from ..flow.checks import ready
from ..flow.record import Record
from ..nets import check_positive
from ..progress import progress
from ..rules import FAStar
from ..solution import Interrupted, Unfinished
from . import scan
from .batches import batches_of, check_batches
from .stepper import Stepper, sizes_of_steps

ENGINES = {"numpy": "iterate", "jax": "iterate on jax"}


def iterate(
    rule,
    task,
    w0,
    *,
    eta,
    steps,
    momentum=0,
    nesterov=False,
    batches=None,
    order="together",
    decay="coupled",
    every=1,
    seed=0,
    observe=None,
    engine="numpy",
    show_progress=None,
):
    """v ← momentum v + η rule(task, w), w ← w + v; time is the sum of η/(1 - momentum).

    eta: step size; a number, one for each step, or a function of the step's number from 0 on.
    steps: how many.  every: keep every so many steps, and the start.
    momentum: β of the heavy ball, from v = 0.  nesterov: the rule is asked at w + βv instead.
    batches: samples a step, drawn without replacement in an order reshuffled with `seed` each
        time it is through (samples that fill no batch sit out that round); or a sampler, a
        function of (rng, number of samples) that gives indices, such as `sampled(4)`; None takes
        all samples at every step.  The loss is a sum over the batch, not a mean.
    order: of the layers; together, or "input first" or "output first", each layer then with the
        velocity where those before it have moved.
    decay: coupled, a part of the velocity; or decoupled, w ← e^{-ηλ} (w + v).
    observe: ``{name: law}`` recorded instead of the weights.
    engine: numpy, at once; or jax, compiled first and then a loop on the device: the same numbers
        but for rounding.  Its progress, Ctrl-C and overflows are met every 512 steps at most.
    A piecewise decay has at each step the value of its time.
    Returns a `Solution`.  Raises `Unfinished` when the weights overflow and `Interrupted` on
    Ctrl-C, both with the partial solution, up to the last step done, as ``.solution``.
    """
    w = ready(rule, task, w0)
    check_positive(steps=steps, every=every)
    if engine not in ENGINES:
        raise ValueError(f"Unknown engine {engine!r}; choose from {', '.join(ENGINES)}.")
    if engine == "jax":
        scan.check(rule)
    sizes = sizes_of_steps(eta, steps)
    stepper = Stepper(momentum, nesterov, order, decay)
    stepper.check(rule)
    samples = task.X.shape[1]
    check_batches(batches, samples)
    if batches is not None and isinstance(rule, FAStar):
        raise ValueError("FAStar fits its last layer to all the data, so it takes no batches.")
    same = (sizes == sizes[0]).all()
    times = np.arange(steps + 1) * sizes[0] if same else np.append(0, np.cumsum(sizes))
    times = times / (1 - momentum) if momentum else times
    record = Record(rule, observe)
    record.add(0.0, w)
    began, done = time.perf_counter(), 0
    shuffled = batches_of(samples, batches, seed)
    options = {
        "eta": float(sizes[0]) if same else sizes.tolist(),
        "batches": getattr(batches, "__name__", "sampler") if callable(batches) else batches,
        "momentum": float(momentum),
        "nesterov": nesterov,
        "order": order,
        "decay": decay,
    }

    def solution():
        made = {"engine": ENGINES[engine], "accepted": done, **options}
        return record.solution(rule, task, made | {"seconds": time.perf_counter() - began})

    made = (rule, task, w, stepper, sizes, times, shuffled)
    path = scan.states(*made) if engine == "jax" else _states(*made)
    with progress(steps, "iterating", show_progress) as advance:
        try:
            for after, n, fine in path:
                if not fine:
                    raise Unfinished(
                        f"The weights overflow at step {n}, t = {times[n]:g}: eta ="
                        f" {sizes[n - 1]:g} is too large for this problem, or the flow itself"
                        " blows up."
                    )
                w, done = after, n
                if n % every == 0:
                    record.add(times[n], w)
                advance(n)
        except (Unfinished, KeyboardInterrupt) as stop:
            wrong = stop if isinstance(stop, Unfinished) else Interrupted("Stopped by Ctrl-C.")
            record.add_rest([(times[done], w)])
            wrong.solution = solution()
            raise wrong from None
    return solution()


def _states(rule, task, w, stepper, sizes, times, chosen):
    """Yield (state, steps done, whether all went well) for each step."""
    v, changes = tuple(np.zeros_like(W) for W in w), bool(rule.jumps())
    for n, (eta, samples) in enumerate(zip(sizes, chosen, strict=False), 1):
        now = rule.at(times[n - 1]) if changes else rule
        seen = task if samples is None else task.with_data(task.X[:, samples], task.Y[:, samples])
        with np.errstate(all="ignore"):  # an overflow is found by its values below
            after, v = stepper.step(now, seen, w, v, eta)
        fine = all(np.isfinite(W).all() for W in after)
        w = rule.settle(task, after) if fine else w
        yield w, n, fine
