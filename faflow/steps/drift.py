"""What discrete steps do to a law, exactly: step by step, summed, and as an integral."""

from dataclasses import dataclass
from functools import cached_property, partial
from math import exp
from numbers import Integral
from typing import Any

import numpy as np

from ..derived import Derived
from ..flow.integrate import integrate
from ..matrices import Series
from ..nets import replaced
from ..rule import of_layer
from ..solution import Solution, Unfinished, evaluated
from .batches import Shares, summed
from .iterate import ENGINES
from .kinks import kinks

NODES = 200

NO_ROUNDING = 1e-9
"""A residual above it cannot be rounding."""


@dataclass(frozen=True, eq=False)
class Drift:
    """The change of a law in every step, and what it is made of.

    ts: (steps + 1,).  etas: (steps,).  seen: law(w₊) - law(w), (steps, …).  parts: the same,
    predicted, by cause: "steps", "decay", "momentum"; `predicted` is their sum.
    scale: largest entry of the law or of its change.
    """

    ts: np.ndarray
    etas: np.ndarray
    seen: np.ndarray
    parts: dict
    followed: Any
    scale: float
    label: str = ""

    @property
    def predicted(self):
        return sum(self.parts.values())

    @cached_property
    def integral(self):
        """The change since the start to leading order in η, (steps + 1, …), along the flow.

        None where there is no such formula, or where the flow could not be followed.
        """
        return self.followed()

    @property
    def residual(self):
        """Largest |seen - predicted| in parts of the scale: rounding, where the rule keeps the law.

        Kept is meant of the rule without its decay, at every step's own samples.
        """
        return float(np.max(np.abs(self.seen - self.predicted)) / self.scale)

    @property
    def rate(self):
        """Largest |seen - predicted|/η in parts of the scale: the rate of what is no law.

        In units of the learning rate.  However small the steps, it tells a law from none.
        """
        off = np.abs(self.seen - self.predicted).reshape(len(self.etas), -1).max(1)
        return float(np.max(off / self.etas) / self.scale)

    @property
    def cumulative(self):
        """Predicted change since the start, (steps + 1, …)."""
        total = np.cumsum(self.predicted, axis=0)
        return np.concatenate([np.zeros_like(total[:1]), total])

    def __str__(self):
        size = lambda change: f"{np.abs(change.sum(0)).max():.3g}"
        made = ", ".join(f"{size(part)} by {name}" for name, part in self.parts.items())
        near, lost = "", ": the rule does not keep it" * (self.residual > NO_ROUNDING)
        if self.integral is not None and (total := np.abs(self.integral[-1]).max()) > 0:
            near = f"; to leading order {total:.3g}"
        return (
            f"{self.label}: in {len(self.seen)} steps it changes by {size(self.seen)}, predicted"
            f" {made}{near}; residual {self.residual:.1e}, as a rate {self.rate:.1e}{lost}"
        )


def drift(law, solution, **arguments):
    """How the steps of `solution` move a law that the flow of its rule keeps, from the steps alone.

    A quadratic law C, with C(w + v) = C(w) + C'(w)v + Q(v), and C'(w) F(w) = 0 for the rule's
    velocity F without decay, changes in the step v₊ = βv + ηF - ηΛw by

        Q(v₊) + β C'(w)v - η C'(w)Λw,

    with Nesterov's momentum by 2β²Q(v) - β(Q(v + v₊) - Q(v) - Q(v₊)) more, and C'Λ at w + βv.
    Decoupled decay adds what it does by itself.  It holds for any samples in any step, any loss,
    and across kinks; FA's law ½|W|² - ⟨W₊, B⟩ gains ½η²|F|², so that it never decreases.
    law: such as ``faflow.laws.feedback_balance``, polynomial; further `arguments` go to it.
    solution: of `iterate` with ``every=1``, all layers moved together.
    Returns a `Drift`.  Where its `residual` is not rounding, or its `rate` not that over η, the
    rule does not keep the law.  `integral` is η∫Q(F) dt along the flow, with momentum times
    (1 + β)/(1 - β)², Nesterov's (1 - β + 2β²)/(1 - β)², and for batches of given size their mean;
    not for decay, samplers, or both batches and momentum, nor where the flow blows up or slides
    along a kink.
    Raises ValueError for another solution, or a law that is no polynomial of the weights along the
    steps, nor, with Nesterov's momentum, a quadratic one.
    """
    made = _checked(solution)
    rule, eta = solution.rule, np.array(made["eta"])
    sizes = np.broadcast_to(eta[: len(solution) - 1] if eta.ndim else eta, len(solution) - 1)
    measure = lambda w, t: evaluated(law, rule, w, t, **arguments)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is told below
        values = np.stack([measure(solution.at(k), t) for k, t in enumerate(solution.ts)])
    if not np.isfinite(values).all():
        n = int(np.argmin(np.isfinite(values).reshape(len(values), -1).all(1)))
        raise ValueError(f"The law {_name(law)} overflows at step {n}; give fewer steps.")
    beta, coupled = made["momentum"], made["decay"] == "coupled"
    parts = {name: np.zeros_like(values[1:]) for name in ("steps", "decay", "momentum")}
    v = tuple(np.zeros_like(W) for W in solution.at(0))

    def change(w, move):
        first, *rest = expanded(law, rule, w, move, arguments)
        return first, sum(rest)

    for n, eta in enumerate(sizes):
        w, after = solution.at(n), solution.at(n + 1)
        decays = _decays(rule.at(solution.ts[n]), w)
        middle, reached = after, values[n + 1]
        if not coupled:
            middle = tuple(exp(eta * d) * W for d, W in zip(decays, after, strict=True))
            reached = measure(middle, solution.ts[n + 1])
            parts["decay"][n] = values[n + 1] - reached
        moved = tuple(a - b for a, b in zip(middle, w, strict=True))
        first, parts["steps"][n] = change(w, moved)
        _check_series(law, n, values[n], first, parts["steps"][n], reached)
        at = w
        if beta:
            parts["momentum"][n] = beta * change(w, v)[0]
        if made["nesterov"]:
            at = tuple(W + beta * V for W, V in zip(w, v, strict=True))
            both = tuple(a + b for a, b in zip(moved, v, strict=True))
            if any(higher.any() for higher in expanded(law, rule, w, both, arguments)[2:]):
                raise ValueError("With Nesterov's momentum drift is for quadratic laws.")
            Q = lambda move, w=w: change(w, move)[1]
            parts["momentum"][n] += 2 * beta**2 * Q(v) - beta * (Q(both) - Q(moved) - Q(v))
        if coupled and any(decays):
            pulled = tuple(-eta * d * W for d, W in zip(decays, at, strict=True))
            parts["decay"][n] = change(at, pulled)[0]
        v = moved
    seen = np.diff(values, axis=0)
    scale = max(np.abs(values).max(), np.abs(seen).max()) or 1.0
    followed = partial(_integral, law, solution, made, sizes, arguments)  # a flow, when asked for
    label = f"{_name(law)} of {rule.name}"
    return Drift(solution.ts, sizes, seen, parts, followed, float(scale), label)


def _name(law):
    return getattr(getattr(law, "func", law), "__name__", "law").replace("_", " ")


def _check_series(law, n, before, first, rest, after):
    """Raise ValueError unless the series gave the law after the step."""
    size = sum(np.abs(part).max() for part in (before, first, rest, after))
    if np.abs(before + first + rest - after).max() > 1e-9 * size:
        raise ValueError(
            f"drift is for laws that are polynomials of the weights, but in step {n + 1} the law"
            f" {_name(law)} changes otherwise than its series, as where a weight changes its sign."
        )


def _checked(solution):
    """How the solution was made, if the formulas hold for it."""
    if not isinstance(solution, Solution):
        raise TypeError(f"drift needs a Solution of iterate, but got {solution!r:.60}.")
    made = solution.made
    if made.get("engine") not in ENGINES.values():
        raise ValueError("drift is for steps: give a solution of iterate, not of a flow.")
    if not solution.w or made["accepted"] != len(solution) - 1 or len(solution) < 2:
        raise ValueError("drift needs the weights at every step: iterate with every=1, no observe.")
    if made["order"] != "together":
        raise ValueError(f"The layers moved {made['order']}; drift is for layers moved together.")
    if isinstance(solution.rule, Derived) and solution.rule.decays:
        raise ValueError(f"{solution.rule.name} has its decay inside; drift is for a rule's own.")
    if solution.rule.name == "FAStar":
        raise ValueError("FAStar fits its last layer at each step, which is no step of a rule.")
    return made


def _decays(rule, w):
    return [float(of_layer(rule.decay, layer)) for layer in rule.layers(w)]


def expanded(law, rule, w, move, arguments):
    """The terms of C(w + move) - C(w) by their degree in the step, at least two, C'(w)·move first.

    Raises ValueError for a law that is no polynomial of matrices.
    """
    moved = tuple(Series(W, V) for W, V in zip(w, move, strict=True))
    try:
        series = law(rule, moved, **arguments)
    except (TypeError, AttributeError) as problem:
        raise ValueError(f"The law cannot be expanded in the step: {problem}.") from problem
    if not isinstance(series, Series) or series.order is not None:
        raise ValueError("drift is for laws that are polynomials of the weights.")
    terms = [np.asarray(c, dtype=float) for c in series.coefficients]
    return [*terms[1:], *(np.zeros_like(terms[0]) for _ in range(3 - len(terms)))]


def _integral(law, solution, made, sizes, arguments):
    """The drift along the flow to leading order, at every step; None where it is not known."""
    rule, task, beta = solution.rule, solution.task, made["momentum"]
    batches = made["batches"]
    whole = isinstance(batches, Integral)
    decaying = rule.jumps() or any(_decays(rule, solution.at(0)))
    if decaying or (batches is not None and (not whole or beta)):
        return None
    if whole and not summed(rule, task, solution.at(0)):
        return None
    shares = Shares(rule, task, batches) if whole else None
    flow = _rated(rule, shares.share) if shares else rule
    parts = -(-NODES // len(sizes))
    ts = np.interp(np.arange(len(sizes) * parts + 1) / parts, np.arange(len(solution)), solution.ts)
    control = {"rtol": 1e-9, "atol": 1e-12}
    if not task.smooth:  # error control stalls at kinks; the steps stop at every time anyway
        control = {"step": float(np.diff(ts).min()), "max_steps": None, "solver": "rk45"}
    try:
        path = integrate(flow, task, solution.at(0), ts, engine="scipy", **control)
    except Unfinished:
        return None
    if kinks(path).chatter:  # along a slide F is not what the steps take
        return None
    Q = lambda w, field: expanded(law, rule, w, field, arguments)[1]

    def pushed(w):
        if not shares:
            return Q(w, flow(task, w))
        alone = sum(Q(w, h) for h in shares.alone(w))
        return shares.pair * Q(w, shares.whole(w)) + (shares.same - shares.pair) * alone

    from scipy.integrate import cumulative_simpson

    rates = np.stack([pushed(path.at(k)) for k in range(len(path))])
    inner = cumulative_simpson(rates, x=ts, axis=0, initial=np.zeros_like(rates[:1]))[::parts]
    factor = (1 - beta + 2 * beta**2 if made["nesterov"] else 1 + beta) / (1 - beta) ** 2
    grown = np.diff(inner, axis=0) * (sizes * factor).reshape(-1, *[1] * (rates.ndim - 1))
    return np.concatenate([np.zeros_like(grown[:1]), np.cumsum(grown, axis=0)])


def _rated(rule, share):
    """The rule with all rates times `share`."""
    rates = rule.rates
    rates = tuple(share * r for r in rates) if isinstance(rates, tuple) else share * rates
    return replaced(rule, rates=rates)
