"""Rules made from another rule."""

from dataclasses import dataclass, field
from typing import Any

from .nets import replaced
from .rule import Rule
from .rules import GD, FAStar


@dataclass(frozen=True, eq=False)
class Derived(Rule):
    """A rule that acts on the network and has the feedback of the rule `of`, on the same state."""

    of: Any = field(default_factory=GD)

    same_state = True
    """Whether it moves what the rule inside moves, and nothing more."""

    numbers = ()
    """Names of the numbers it has besides those of the rule inside."""

    def __post_init__(self):
        kind = type(self).__name__
        if not isinstance(self.of, Rule) or isinstance(self.of, FAStar):
            raise TypeError(f"{kind} needs a rule that moves weights, but has {self.of!r:.60}.")
        if self.B or self.decay != 0 or self.rates != 1:
            raise ValueError(f"Give B, decay and rates to the rule inside {kind}(of=rule).")
        object.__setattr__(self, "B", self.of.B)

    @property
    def force(self):
        """The rule inside, with this one's feedback."""
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
        return f"{type(self).__name__} of {self.of.name}"

    def inside(self, w):
        """The state of the rule inside."""
        return w

    def carry(self, w, k, above, output):
        return self.force.carry(w, k, above, output)

    def potential(self, w, k):
        return self.force.potential(self.inside(w), k)

    def weights(self, w):
        return self.of.weights(self.inside(w))

    def signed(self, w):
        return self.of.signed(self.inside(w))

    def state(self, layers, bias=False):
        return self.of.state(layers, bias)

    def constants(self, w):
        return self.force.constants(self.inside(w))

    def shapes(self, sizes):
        return self.of.shapes(sizes)

    def spaces(self, depth):
        return self.of.spaces(depth)

    def inputs(self, depth):
        return self.of.inputs(depth)

    def gates(self, depth):
        return self.of.gates(depth)

    def rate(self, layer):
        return self.of.rate(layer) if self.same_state else super().rate(layer)

    def layers(self, w):
        return self.of.layers(w) if self.same_state else super().layers(w)

    def output(self, task, w):
        return self.of.output(task, self.inside(w))

    def loss(self, task, w):
        return self.of.loss(task, self.inside(w))

    def fixed(self, layers):
        return self.of.fixed(layers)

    def at(self, t):
        return replaced(self, of=self.of.at(t))

    def jumps(self):
        return self.of.jumps()

    @property
    def decays(self):
        return self.of.decays

    def check_depth(self, depth):
        self.of.check_depth(depth)

    def start(self, sizes, *, scale=1.0, seed=0, bias=False):
        return self.of.start(sizes, scale=scale, seed=seed, bias=bias)
