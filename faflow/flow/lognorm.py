"""Flows of separated classification, whose weights grow for ever, in log-norm time."""

import time
from itertools import pairwise

import numpy as np

from ..margins import degree_of, log_scale, normalised, smoothed_margin
from ..nets import replaced
from ..solution import Interrupted, Solution, Unfinished
from .checks import ready
from .engine_scipy import check_implicit, implicit_step, name
from .events import find_slide

SOLVERS = {"radau": "Radau", "bdf": "BDF"}

NODES, SHARES = np.polynomial.legendre.leggauss(8)


def lognorm(
    rule,
    task,
    w0,
    *,
    u=None,
    growth=None,
    log_time=None,
    checked=True,
    solver="radau",
    rtol=1e-8,
    atol=1e-10,
    max_steps=20_000,
    max_seconds=None,
):
    """Follow dw/du = |w| v/|v|, v = rule(task, w): the curve of the flow, at a speed it can keep.

    While the loss tends to 0 the weights grow like a power of log t, and t passes every float.
    So v is computed from normalised output errors, and of t its logarithm, by quadrature of
    dt/du = |w|/|v| with log(dt/du) a cubic in every step.  Good up to log t of some 10⁶, where
    margins as large are rounded too coarsely.

    u, growth, log_time: where to end, with the first step that reaches one of them: log-norm
        time u, log(|w|/|w₀|), or log of the time since the start.
    checked: refuse what the theorems on margins do not speak of: networks that are not
        homogeneous, and starts with a smoothed margin α ≤ 0.  False for counterexamples.
    solver: radau, which keeps quadratic laws a hundred times better, or bdf (SciPy); the flow is
        stiff.  max_steps, max_seconds: budgets.
    Returns a `Solution` with every step, whose ``ts`` are u and whose ``observed["log_time"]`` is
    log t, -inf at the start.  Raises ValueError or TypeError for bad input, among it rules that
    are not linear in the output error; `Unfinished` if a budget ends, or if the flow comes to
    rest or slides along a kink; and `Interrupted` on Ctrl-C, both with the partial solution.
    """
    import scipy.integrate

    w0 = ready(rule, task, w0)
    ends = {"u": u, "growth": growth, "log_time": log_time}
    _check(rule, task, w0, ends, checked)
    if solver not in SOLVERS:
        raise ValueError(f"Unknown solver {solver!r}; choose from {', '.join(SOLVERS)}.")
    for what, value in {"max_steps": max_steps, "max_seconds": max_seconds}.items():
        if not (value is None or (isinstance(value, int | float | np.number) and value > 0)):
            raise ValueError(f"{what} must be a positive number, but is {value!r}.")
    for what, value in {"rtol": rtol, "atol": atol}.items():
        if not (isinstance(value, int | float | np.number) and 1e-14 <= value < 1):
            raise ValueError(f"{what} must be from 1e-14 to 1, but is {value!r}.")
    check_implicit(solver, w0, "follow such flows in time, with integrate")
    unit, edges = normalised(task), np.cumsum([0, *(W.size for W in w0)])
    places = [(slice(*ab), W.shape) for ab, W in zip(pairwise(edges), w0, strict=True)]

    def unpack(y):
        return tuple(y[part].reshape(shape) for part, shape in places)

    def velocity(y):
        v = np.concatenate([V.ravel() for V in rule(unit, unpack(y))])
        return v, np.sqrt(v @ v)

    def field(u, y):
        v, speed = velocity(y)
        return np.sqrt(y @ y) / speed * v

    def log_clock(y):
        """log(dt/du)."""
        return np.log(np.sqrt(y @ y) / velocity(y)[1]) - log_scale(rule, unpack(y), task=task)

    def clock(u, y, h=1e-5):
        """log(dt/du) and its derivative in u."""
        moved = h * field(u, y)
        return log_clock(y), (log_clock(y + moved) - log_clock(y - moved)) / (2 * h)

    y = np.concatenate([W.ravel() for W in w0])
    began, evaluations = time.perf_counter(), 0
    us, ys, log_times = [0.0], [y], [-np.inf]

    def solution():
        path = np.array(ys)
        w = tuple(path[:, part].reshape(-1, *shape) for part, shape in places)
        made = {"engine": name(), "solver": f"{solver} in log-norm time", "accepted": len(us) - 1}
        made |= {"evaluations": evaluations, "rtol": float(rtol), "atol": float(atol)}
        made |= {"seconds": time.perf_counter() - began}
        observed = {"log_time": np.array(log_times)}
        return Solution(np.array(us), w, rule, task, made, observed, tuple(W[-1] for W in w))

    def reached():
        grown = np.log(np.sqrt(ys[-1] @ ys[-1] / (ys[0] @ ys[0])))
        seen = {"u": us[-1], "growth": grown, "log_time": log_times[-1]}
        return any(end is not None and seen[what] >= end for what, end in ends.items())

    def unfinished(why):
        return Unfinished(f"Stopped at u = {us[-1]:.6g} after {len(us) - 1} steps: {why}")

    try:
        with np.errstate(all="ignore"):  # what is not finite is found by its values
            if not (velocity(y)[1] > 0 and np.isfinite(log_clock(y))):
                raise unfinished("the velocity is zero or not finite, so it has no direction.")
            last = clock(0.0, y)
            bound = np.inf if u is None else u
            stepper = getattr(scipy.integrate, SOLVERS[solver])(
                field, 0.0, y, bound, rtol=rtol, atol=atol
            )
            while not reached():
                if max_steps is not None and len(us) > max_steps:
                    raise unfinished(
                        _why("the budget of steps is spent.", rule, task, unpack(ys[-1]))
                    )
                if max_seconds is not None and time.perf_counter() - began > max_seconds:
                    raise unfinished(f"the budget of {max_seconds:g} seconds is spent.")
                problem = implicit_step(stepper)
                evaluations = stepper.nfev
                if problem or not np.isfinite(stepper.y).all():
                    raise unfinished(_why(problem, rule, task, unpack(ys[-1])))
                now = clock(stepper.t, stepper.y)
                passed = _log_integral(stepper.t - us[-1], *last, *now)
                if not np.isfinite(passed):
                    raise unfinished(_why("the velocity vanishes.", rule, task, unpack(ys[-1])))
                us.append(float(stepper.t))
                ys.append(stepper.y.copy())
                log_times.append(float(np.logaddexp(log_times[-1], passed)))
                last = now
    except (Unfinished, KeyboardInterrupt) as stop:
        wrong = stop if isinstance(stop, Unfinished) else Interrupted("Stopped by Ctrl-C.")
        wrong.solution = solution()
        raise wrong from None
    return solution()


def _check(rule, task, w0, ends, checked):
    if len(rule.weights(w0)) != len(w0):
        raise ValueError(
            f"Log-norm time needs a rule whose state is its weights, such as GD, FA or DFA, not"
            f" {type(rule).__name__}."
        )
    if not any(W.any() for W in w0):
        raise ValueError("w0 is zero and has no norm to measure growth by.")
    alpha = smoothed_margin(rule, w0, task=task)
    _check_linear(rule, task, w0)
    if all(end is None for end in ends.values()):
        raise ValueError("Say where to end: u=, growth= or log_time=.")
    for what, end in ends.items():
        number = isinstance(end, int | float | np.number) and np.isfinite(end)
        if end is not None and not (number and (end > 0 or what == "log_time")):
            raise ValueError(f"{what} must be a positive number, but is {end!r}.")
    if not checked:
        return
    degree_of(task, len(w0))
    if not alpha > 0:
        raise ValueError(
            "The start must be separated, its smoothed margin α > 0, which is a summed loss below"
            f" that of a single margin 0; but α = {alpha:.4g}.  Train on first, or pass"
            " checked=False to follow the flow all the same."
        )


def _check_linear(rule, task, w0):
    """Raise ValueError unless twice the output error gives twice the velocity."""
    unit = normalised(task)
    twice = unit.loss._replace(error=lambda f, Y: 2 * unit.loss.error(f, Y))
    with np.errstate(all="ignore"):  # what is not finite is reported when the run starts
        pairs = list(zip(rule(replaced(unit, loss=twice), w0), rule(unit, w0), strict=True))
        off = sum(np.sum((double - 2 * V) ** 2) for double, V in pairs)
    if off > 1e-12 * sum(np.sum(V**2) for _, V in pairs):
        raise ValueError(
            f"Log-norm time needs a rule that is linear in the output error and has no weight"
            f" decay, which {rule!r:.60} is not."
        )


def _why(problem, rule, task, w):
    """Why the run cannot go on from `w`, in words."""
    says = problem or "the weights overflow."
    slide = find_slide(rule, normalised(task), w)
    if slide:
        return f"{says}  It slides: {slide}, which error control cannot pass."
    alpha = smoothed_margin(rule, w, task=task)
    if alpha > 1e6:
        says += f"  Rounding blurs margins as large as {alpha:.2g}, whose differences count."
    if not alpha > 1e-9:  # a sample that no unit sees keeps it at 0, up to rounding
        says += f"  The samples are not separated, α = {alpha:.4g}: the flow may come to rest."
    return says


def _log_integral(width, c0, slope0, c1, slope1):
    """log ∫ exp(c) over a step, c the cubic with these values and slopes at its ends.

    By Gauss' rule on intervals that halve towards both ends, where exp(c) may be as steep as can
    be.
    """
    edges = np.concatenate([[0.0], 0.5 ** np.arange(50, 0, -1)])
    edges = np.concatenate([edges, 1 - edges[-2::-1]])
    low, high = edges[:-1, None], edges[1:, None]
    x = (low + high) / 2 + (high - low) / 2 * NODES
    c = (1 + 2 * x) * (1 - x) ** 2 * c0 + x**2 * (3 - 2 * x) * c1
    c = c + width * x * (1 - x) * ((1 - x) * slope0 - x * slope1)
    top = c.max()
    return top + np.log(width * np.sum((high - low) / 2 * SHARES * np.exp(c - top)))
