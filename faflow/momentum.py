"""Heavy-ball momentum on any rule."""

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from .derived import Derived
from .rules import GD


@dataclass(frozen=True, eq=False)
class HeavyBall(Derived):
    """Momentum [1]_ on another rule: dW/dt = V, dV/dt = rule(task, W) - friction V.

    The state is ``(W₁, …, W_L, V₁, …, V_L)``; `start` makes one with velocities zero.
    of: the rule, whose feedback, decay and rates are used.
    friction: μ, in units of the learning rate's square root.

    .. [1] B. T. Polyak, "Some methods of speeding up the convergence of iteration methods",
       USSR Computational Mathematics and Mathematical Physics 4, 1964.
    """

    friction: Any = 1

    same_state = False
    numbers = ("friction",)

    def __post_init__(self):
        if isinstance(self.of, HeavyBall):
            raise TypeError(f"HeavyBall needs a rule that moves weights, but has {self.of!r:.60}.")
        super().__post_init__()
        if isinstance(self.friction, bool) or not isinstance(self.friction, Real):
            raise ValueError(f"friction must be a number, but is {self.friction!r}.")
        if not 0 <= self.friction < float("inf"):
            raise ValueError(f"friction must be finite and not negative, but is {self.friction}.")

    def inside(self, w):
        return w[: len(w) // 2]

    def velocity(self, task, w):
        at, V = self.inside(w), w[len(w) // 2 :]
        pushed = self.force(task, at)
        return (*V, *(F - self.friction * U for F, U in zip(pushed, V, strict=True)))

    def state(self, layers, bias=False):
        moved = self.of.state(layers, bias)
        return moved | {f"V{name.removeprefix('W')}": shape for name, shape in moved.items()}

    @classmethod
    def random(cls, sizes, *, of=GD, scale=1.0, seed=0, friction=1, **options):
        """Momentum on a rule of class `of` with random feedback."""
        return cls(of=of.random(sizes, scale=scale, seed=seed, **options), friction=friction)

    def start(self, sizes, *, scale=1.0, seed=0, bias=False):
        w = self.of.start(sizes, scale=scale, seed=seed, bias=bias)
        return (*w, *(np.zeros_like(W) for W in w))
