"""Modified flows, whose solutions pass through the discrete steps: backward error analysis.

The step w + ηF(w) is the flow over the time η of F̃ = F + ηF₂ + η²F₃ + η³F₄ + …, for any field F.
After Hairer, Lubich & Wanner, "Geometric Numerical Integration", chapter IX, 2006; for gradients
Barrett & Dherin 2020 (arXiv:2009.11162), whose -η/2 JᵀF is -η/2 JF only where J is symmetric.
"""

from dataclasses import dataclass
from functools import partial
from math import factorial
from numbers import Integral, Real
from typing import Any

import numpy as np

from ..derivatives import differentiable, directional
from ..derived import Derived
from ..matrices.layout import is_jax
from ..rules import Rule
from .batches import Shares
from .stepper import check_jumps, check_momentum

HIGHEST = 4


@dataclass(frozen=True, eq=False)
class Modified(Derived):
    """The flow that steps of size `eta` of the rule `of` follow up to errors of order η^order.

    `modified` makes one and says what its numbers mean.
    """

    eta: Any = 0.1
    order: int = 2
    batches: Any = None
    momentum: Any = 0

    numbers = ("eta", "momentum")

    def __post_init__(self):
        super().__post_init__()
        _check(self)
        object.__setattr__(self, "momentum", self.momentum or 0)  # 0.0 is no number to trace

    @property
    def name(self):
        return f"{self.of.name} modified to order {self.order}"

    def velocity(self, task, w):
        if self.batches is not None:
            check_divides(self.batches, task.X.shape[1])
        return differentiable(self.of, partial(self._velocity, task, w))

    def _velocity(self, task, w):
        field = partial(self.force, task)
        ball = hasattr(self.momentum, "aval") or self.momentum != 0  # traced by JAX it is not 0
        if self.batches is None and not ball:
            terms = by_recursion if any(map(is_jax, w)) else by_formula
            made = terms(field, w, self.order)
            return _summed([_times(self.eta**j, F) for j, F in enumerate(made)])
        if ball:
            F = field(w)
            moved = directional(field, w, F)[1] if self.order == 2 else ()
            factor = -self._step * (1 + self.momentum) / (1 - self.momentum) / 2
            return _summed([F, _times(factor, moved)] if moved else [F])
        return self._over_rounds(task, w)

    def check_times(self, ts):
        """Raise ValueError where the decay jumps between steps, counted from time 0."""
        if self.order > 1:
            check_jumps(self.of, np.array([float(self._step)]), ts[-1])

    @property
    def _step(self):
        """Time a step takes, η/(1 - β)."""
        return self.eta / (1 - self.momentum)

    def _over_rounds(self, task, w):
        """E F_b - (η/2) E F_b'F_b, the means over all batches of b of N samples.

        Of the velocities h of single samples, h'h enters with the probability that a batch has the
        sample, and h'k of two different ones with the probability that it has both.
        """
        shares = Shares(self.force, task, self.batches)
        mean = shares.mean(w)
        if self.order == 1:
            return mean
        whole = directional(shares.whole, w, shares.whole(w))[1]
        own = zip(shares.each, shares.alone(w), strict=True)
        alone = _summed([directional(one, w, h)[1] for one, h in own])
        parts = _times(shares.pair, whole), _times(shares.same - shares.pair, alone)
        return _summed([mean, *(_times(-self.eta / 2, part) for part in parts)])

    def shifted(self, task, w0):
        """w₀ - η β/(1 - β)² F(w₀): where its flow passes the steps that start from v = 0.

        A run that starts with v at rest falls behind by this much while v builds up.
        """
        back = -self._step * self.momentum / (1 - self.momentum)
        return w0 if back == 0 else _summed([w0, _times(back, self.of(task, w0))])


def modified(rule, eta, order=2, *, batches=None, momentum=0):
    """A rule whose flow passes through the steps w ← w + η rule(task, w), but for O(η^order).

    With J the derivative of the velocity F of `rule`,

        order 2:  F - (η/2) JF
        order 3:  … + η² (JJF/3 + F''(F, F)/12)
        order 4:  … - η³ (JJJF + F''(F, JF)/3 + J F''(F, F)/3)/4

    for any rule, whether it follows a gradient or not; order 1 is `rule` itself.  Integrate,
    measure and prove it like any rule; its time is that of `iterate`, in units of 1/learning rate.
    eta: step size, a positive number; a Fraction in proofs.
    batches: samples a step, an integer that divides their number; the flow is then that of the
        mean over all orders in which `iterate` goes through the samples: (b/N)F - (η/2) E F_b'F_b,
        for order 2 (Smith et al. 2021, arXiv:2101.12176, for gradients).
    momentum: β of the heavy ball; F - (h/2)(1 + β)/(1 - β) JF with h = η/(1 - β), for order 2
        (Kovachki & Stuart 2021, for gradients).  Steps from v = 0 are met by the flow from
        ``.shifted(task, w0)``.
    Its velocities need two to eight passes of the rule's, by dual numbers or, on JAX, by its jvp.
    Where the activation has kinks, no order above 1 holds across them; a decay that jumps must do
    so where a step from t = 0 begins.
    Raises ValueError or TypeError for bad input.
    """
    rule = rule() if isinstance(rule, type) and issubclass(rule, Rule) else rule
    return Modified(of=rule, eta=eta, order=order, batches=batches, momentum=momentum)


def by_formula(field, w, order):
    """The list [F, F₂, …] at `w` up to `order`, with each derivative taken once."""
    F = field(w)
    if order == 1:
        return [F]
    if order == 2:
        return [F, _over(directional(field, w, F)[1], -2)]
    JF, curved = _second(field, w, F, F)
    JJF, mixed = _second(field, w, JF, F)
    third = _summed([_over(JJF, 3), _over(curved, 12)])
    made = [F, _over(JF, -2), third]
    if order == 3:
        return made
    turned = directional(field, w, _summed([_over(JJF, -4), _over(curved, -12)]))[1]
    return [*made, _summed([turned, _over(mixed, -12)])]


def _second(field, w, u, v):
    """(F'u, F''(u, v)) at `w`."""
    return directional(lambda x: directional(field, x, u)[1], w, v)


def by_recursion(field, w, order):
    """The same by a recursion, for any order; on JAX, whose compiler takes each derivative once.

    F_j = -Σ 1/i! D_{k₁}…D_{k_{i-1}} F_{k_i} over i ≥ 2 and k₁ + … + k_i = j, where
    (D_k g)(w) = g'(w) F_k(w).
    """
    terms = {1: field}

    def along(k, g):
        return lambda w: directional(g, w, terms[k](w))[1]

    def term(j):
        pieces = []
        for i in range(2, j + 1):
            for *outer, last in _compositions(j, i):
                g = terms[last]
                for k in reversed(outer):
                    g = along(k, g)
                pieces.append((i, g))
        return lambda w: _summed([_over(g(w), -factorial(i)) for i, g in pieces])

    for j in range(2, order + 1):
        terms[j] = term(j)
    return [terms[j](w) for j in range(1, order + 1)]


def _compositions(total, parts):
    """All tuples of so many positive integers with this sum."""
    if parts == 1:
        yield (total,)
        return
    for first in range(1, total - parts + 2):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)


def _times(number, w):
    return tuple(number * W for W in w)


def _over(w, number):
    return tuple(W / number for W in w)


def _summed(parts):
    """The sum of tuples of matrices, entry by entry."""
    first, *rest = parts
    for part in rest:
        first = [a + b for a, b in zip(first, part, strict=True)]
    return tuple(first)


def check_divides(size, samples):
    """Raise ValueError unless batches of `size` are a round of so many samples."""
    if size > samples or samples % size:
        raise ValueError(
            f"batches of {size} must divide the {samples} samples, so that each round takes all."
        )


def check_eta(eta):
    """Raise ValueError unless `eta` is a positive number."""
    traced = hasattr(eta, "aval")  # by JAX
    real = traced or (isinstance(eta, Real) and not isinstance(eta, bool))
    if not real or not (traced or 0 < eta < float("inf")):
        raise ValueError(f"eta must be a positive number, but is {eta!r}.")


def _check(rule):
    check_eta(rule.eta)
    check_momentum(rule.momentum)
    order, batches = rule.order, rule.batches
    whole = lambda n: isinstance(n, Integral) and not isinstance(n, bool)
    if not whole(order) or not 1 <= order <= HIGHEST:
        raise ValueError(f"order must be an integer from 1 to {HIGHEST}, but is {order!r}.")
    if batches is not None and not (whole(batches) and batches > 0):
        raise ValueError(f"batches must be None or a positive integer, but is {batches!r:.60}.")
    if batches is not None and rule.momentum != 0:
        raise ValueError("A modified flow takes batches or momentum, not both.")
    if order > 2 and (batches is not None or rule.momentum != 0):
        raise ValueError(f"With batches or momentum the order is 1 or 2, not {order}.")
