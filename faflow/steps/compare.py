"""Discrete steps against their flow and its modified flows: errors, orders, kinks."""

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from ..flow.checks import ready
from ..flow.integrate import integrate
from ..solution import Unfinished
from .iterate import iterate
from .kinks import Kinks, kinks
from .modified import HIGHEST, modified
from .stepper import check_jumps, check_momentum

TIGHT = {"rtol": 3e-14, "atol": 1e-14}
FLOOR = 1e-13
"""Errors below this part of the weights are rounding and show no order."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """How far steps end from their modified flows, for several step sizes.

    etas: (sizes,), from the largest.  errors: {order: (sizes,)}, the norm of the difference of all
    weights at the time `T`; nan where a flow could not finish.  steps: number of steps, (sizes,).
    kinks: the `Kinks` of the steps of each size; flow_kinks: those of the flows.
    scale: norm of the weights at the end.
    notes: what could not be done, in sentences.
    """

    T: float
    etas: np.ndarray
    steps: np.ndarray
    errors: dict
    kinks: tuple
    flow_kinks: Kinks
    scale: float
    notes: tuple
    label: str = ""

    @property
    def crossed(self):
        """Whether steps or a flow crossed a kink, across which no order above 1 is claimed."""
        return any(k.flips for k in (*self.kinks, self.flow_kinks))

    def orders(self, order):
        """log(error ratio)/log(step ratio) between neighbouring step sizes, (sizes - 1,).

        nan where the errors are rounding.
        """
        if order not in self.errors:
            raise ValueError(
                f"Orders {', '.join(map(str, self.errors))} were compared, not {order}."
            )
        errors = np.where(self.errors[order] > FLOOR * self.scale, self.errors[order], np.nan)
        with np.errstate(invalid="ignore"):
            return np.diff(np.log(errors)) / np.diff(np.log(self.etas))

    def observed(self, order):
        """The order seen at the smallest steps that show one.

        Raises ValueError if no two errors show one, and for orders above 1 where kinks were
        crossed: the modified flow then does not exist, and a slope near it would be chance.
        """
        if order > 1 and order in self.errors and self.crossed:
            worst = max((*self.kinks, self.flow_kinks), key=lambda k: k.flips)
            raise ValueError(
                f"No order above 1 is claimed across kinks: {worst}.  Take a smooth activation such"
                " as softplus(50), a beta for signs, or an end before the first kink."
            )
        seen = self.orders(order)
        seen = seen[np.isfinite(seen)]
        if not len(seen):
            raise ValueError(
                f"No order can be seen from the errors {self.errors[order]}: give more step sizes,"
                " or a longer time if they are rounding."
            )
        return float(seen[-1])

    def __str__(self):
        orders = list(self.errors)
        head = ["eta", "steps", *(f"order {r}" for r in orders), "flips" * self.crossed]
        rows = [head]
        for n, eta in enumerate(self.etas):
            row = [f"{eta:.4g}", str(self.steps[n])]
            row += [f"{self.errors[r][n]:.2e}" for r in orders]
            rows.append([*row, str(self.kinks[n].flips) * self.crossed])
        seen = [self._seen(r) for r in orders]
        rows.append(["observed", "", *seen, ""])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(c.rjust(n) for c, n in zip(row, widths, strict=True)) for row in rows]
        title = f"{self.label}: distance at t = {self.T:g} from the flow of each order"
        last = [str(self.kinks[-1])] if self.crossed else []
        return "\n".join([title, *(line.rstrip() for line in table), *last, *self.notes])

    def _seen(self, order):
        try:
            return f"{self.observed(order):.2f}"
        except ValueError:
            return "none"


def compare(
    rule,
    task,
    w0,
    T,
    etas,
    orders=(1, 2, 3),
    *,
    momentum=0,
    rtol=TIGHT["rtol"],
    atol=TIGHT["atol"],
    max_steps=2_000,
):
    """Steps of several sizes up to the time `T`, against the flow and its modified flows.

    T: in units of 1/learning rate.  etas: step sizes; each must divide T, with momentum β after
        division by 1 - β, and the times at which the decay jumps.
    orders: of `modified`, 1 being the flow itself; up to 2 with momentum.
    momentum: of the steps; the modified flow then starts where `Modified.shifted` says.
    rtol, atol, max_steps: of the flows, by SciPy's dop853; where steps cross kinks, at which error
        control stalls, flows take fixed steps of a quarter of the step size, for the flow itself
        of the smallest one, as the notes say.
        Where ηJ is not small, flows of high order run away or turn stiff, and spend max_steps.
    Returns a `Comparison`.  Raises ValueError or TypeError for bad input, and `Unfinished` if the
    steps overflow.
    """
    w0 = ready(rule, task, w0)
    check_momentum(momentum)
    etas, counts = _steps(T, etas, momentum)
    check_jumps(rule, etas / (1 - momentum), T)
    orders = _orders(orders, momentum)
    errors, seen, notes = {r: np.full(len(etas), np.nan) for r in orders}, [], []
    flow, scale, met = None, 0.0, Kinks(0, 0, ())
    for n, (eta, count) in enumerate(zip(etas, counts, strict=True)):
        run = iterate(rule, task, w0, eta=eta, steps=int(count), momentum=momentum)
        seen.append(kinks(run))
        scale = np.sqrt(sum(np.sum(W**2) for W in run.final))
        for r in orders:
            if r == 1 and flow is not None:
                end = flow
            else:
                field = modified(rule, eta, r, momentum=momentum)
                start = field.shifted(task, w0) if r > 1 else w0
                control = {"rtol": rtol, "atol": atol, "max_steps": max_steps}
                if seen[-1].flips:
                    step = (etas[-1] if r == 1 else eta) / 4
                    control = {"step": step, "max_steps": None, "solver": "rk45"}
                made = _flow(field, task, start, run.ts[-1], control, notes)
                end = made and made.final
                met = max(met, kinks(made)) if made else met
            flow = end if r == 1 else flow
            if end is not None:
                far = [a - b for a, b in zip(run.final, end, strict=True)]
                errors[r][n] = np.sqrt(sum(np.sum(D**2) for D in far))
    label = f"{rule.name}{f', momentum {momentum:g}' * bool(momentum)}"
    return Comparison(
        float(T), etas, counts, errors, tuple(seen), met, float(scale), tuple(notes), label
    )


def _flow(field, task, start, T, control, notes):
    """The flow up to `T`, where it may have kinks at some times between; None if it has no end."""
    smooth = task.smooth and not field.signed(start)
    ts = np.linspace(0, T, 2 if smooth else 41)
    note = "Where kinks are crossed the flows take fixed steps of eta/4, in error by as much there."
    if "step" in control and note not in notes:
        notes.append(note)
    try:
        return integrate(field, task, start, ts, engine="scipy", **control)
    except Unfinished as stop:
        notes.append(f"{field.name}, eta {field.eta:g}: {stop}  Take smaller etas.")
        return None


def _steps(T, etas, momentum):
    """Step sizes from the largest, and how many of each reach T."""
    if not (isinstance(T, Real) and not isinstance(T, bool) and 0 < T < np.inf):
        raise ValueError(f"T must be a positive time, but is {T!r:.60}.")
    try:
        made = np.sort(np.asarray(etas, dtype=float))[::-1]
    except (TypeError, ValueError):
        made = np.zeros(0)
    if made.ndim != 1 or not len(made) or not (made > 0).all() or not np.isfinite(made).all():
        raise ValueError(f"etas must be positive step sizes, but is {etas!r:.60}.")
    counts = T * (1 - momentum) / made
    off = np.abs(counts - np.rint(counts)) > 1e-9 * counts
    if len(np.unique(made)) < len(made):
        raise ValueError(f"etas must be different from one another, but is {etas!r:.60}.")
    if off.any() or (counts < 0.5).any():
        n = int(np.argmax(off | (counts < 0.5)))
        raise ValueError(
            f"etas must divide T{' (1 - momentum)' * bool(momentum)}, but"
            f" {made[n]:g} goes {counts[n]:g} times into {T * (1 - momentum):g}."
        )
    return made, np.rint(counts).astype(int)


def _orders(orders, momentum):
    try:
        made = tuple(orders)
    except TypeError:
        made = ()
    whole = lambda r: isinstance(r, Integral) and not isinstance(r, bool)
    highest = 2 if momentum else HIGHEST
    if not made or not all(whole(r) and 1 <= r <= highest for r in made):
        with_momentum = " with momentum" * bool(momentum)
        raise ValueError(
            f"orders must be integers from 1 to {highest}{with_momentum}, but is {orders!r:.60}."
        )
    return tuple(sorted(set(map(int, made))))
