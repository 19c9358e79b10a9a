"""The SciPy engine: ready at once, for single runs."""

from importlib.metadata import version

import numpy as np

SOLVERS = {"dop853": ("DOP853", 12), "rk45": ("RK45", 6), "radau": ("Radau", None)}


def name():
    return f"scipy {version('scipy')}"


def run(rule, task, w0, ts, *, solver, rtol, atol, step, tally):
    """Yield the state at each of ``ts[1:]``, a solver step ending exactly there.

    tally: counts steps and is asked after each whether to go on.
    """
    import scipy.integrate

    method, stages = SOLVERS[solver]
    cuts = np.cumsum([W.size for W in w0])[:-1]

    def unpack(y):
        return tuple(p.reshape(W.shape) for p, W in zip(np.split(y, cuts), w0, strict=True))

    def field(t, y):
        return np.concatenate([V.ravel() for V in rule(task, unpack(y))])

    control = {"rtol": rtol, "atol": atol}
    if step is not None:  # no error is too large, so every step is the largest allowed
        control = {"rtol": 1e100, "atol": 1e100, "max_step": step}
    y0 = np.concatenate([W.ravel() for W in w0])
    with np.errstate(all="ignore"):  # a blow-up is found by its values and reported in words
        control["first_step"] = min(step, ts[-1] - ts[0]) if step is not None else None
        stepper = getattr(scipy.integrate, method)(field, ts[0], y0, ts[-1], **control)
        tally.count(stepper.nfev, 0 if stages else None, accepted=0)
        if not stepper.h_abs > 0:  # nan where the velocity overflows near the start
            tally.go_on(ts[0], w0, None, "no first step can be chosen")
        for t in ts[1:]:
            stepper.t_bound, stepper.status = t, "running"
            stepper.h_abs = step or stepper.h_abs
            while stepper.status == "running":
                seen = stepper.nfev
                problem = stepper.step()
                tries = (stepper.nfev - seen) // stages if stages else None
                tally.count(stepper.nfev - seen, tries)
                tally.go_on(stepper.t, unpack(stepper.y), stepper.step_size, problem)
            yield unpack(stepper.y.copy())
