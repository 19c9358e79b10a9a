"""Heavy-ball momentum on any rule."""

from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from .nets import replaced
from .rules import GD, FAStar, Rule


@dataclass(frozen=True, eq=False)
class HeavyBall(Rule):
    """Momentum [1]_ on another rule: dW/dt = V, dV/dt = rule(task, W) - friction V.

    The state is ``(W₁, …, W_L, V₁, …, V_L)``; `start` makes one with velocities zero.
    of: the rule, whose feedback, decay and rates are used.
    friction: μ, in units of the learning rate's square root.

    .. [1] B. T. Polyak, "Some methods of speeding up the convergence of iteration methods",
       USSR Computational Mathematics and Mathematical Physics 4, 1964.
    """

    of: Any = field(default_factory=GD)
    friction: Any = 1

    def __post_init__(self):
        if not isinstance(self.of, Rule) or isinstance(self.of, HeavyBall | FAStar):
            raise TypeError(f"HeavyBall needs a rule that moves weights, but has {self.of!r:.60}.")
        if self.B or self.decay != 0 or self.rates != 1:
            raise ValueError("Give B, decay and rates to the rule inside HeavyBall(of=rule).")
        if isinstance(self.friction, bool) or not isinstance(self.friction, Real):
            raise ValueError(f"friction must be a number, but is {self.friction!r}.")
        if not 0 <= self.friction < float("inf"):
            raise ValueError(f"friction must be finite and not negative, but is {self.friction}.")
        object.__setattr__(self, "B", self.of.B)

    @property
    def force(self):
        """The rule that drives the velocities, with this one's feedback."""
        return replaced(self.of, B=self.B)

    @property
    def first(self):
        return self.of.first

    @property
    def single(self):
        return self.of.single

    @property
    def network_name(self):
        return self.of.network_name

    @property
    def name(self):
        return f"HeavyBall of {self.of.name}"

    def carry(self, w, k, above, output):
        return self.force.carry(w, k, above, output)

    def velocity(self, task, w):
        at, V = w[: len(w) // 2], w[len(w) // 2 :]
        pushed = self.force(task, at)
        return (*V, *(F - self.friction * U for F, U in zip(pushed, V, strict=True)))

    def weights(self, w):
        return self.of.weights(w[: len(w) // 2])

    def state(self, layers, bias=False):
        moved = self.of.state(layers, bias)
        return moved | {f"V{name.removeprefix('W')}": shape for name, shape in moved.items()}

    def constants(self, w):
        return self.force.constants(w[: len(w) // 2])

    def shapes(self, sizes):
        return self.of.shapes(sizes)

    def spaces(self, depth):
        return self.of.spaces(depth)

    def inputs(self, depth):
        return self.of.inputs(depth)

    def gates(self, depth):
        return self.of.gates(depth)

    def output(self, task, w):
        return self.of.output(task, w[: len(w) // 2])

    def loss(self, task, w):
        return self.of.loss(task, w[: len(w) // 2])

    def fixed(self, layers):
        return self.of.fixed(layers)

    def at(self, t):
        return replaced(self, of=self.of.at(t))

    def jumps(self):
        return self.of.jumps()

    def check_depth(self, depth):
        self.of.check_depth(depth)

    @classmethod
    def random(cls, sizes, *, of=GD, scale=1.0, seed=0, friction=1, **options):
        """Momentum on a rule of class `of` with random feedback."""
        return cls(of=of.random(sizes, scale=scale, seed=seed, **options), friction=friction)

    def start(self, sizes, *, scale=1.0, seed=0, bias=False):
        w = self.of.start(sizes, scale=scale, seed=seed, bias=bias)
        return (*w, *(np.zeros_like(W) for W in w))
