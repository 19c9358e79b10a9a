"""One step of an algorithm: its memory, the order of its layers, and what decay does."""

from dataclasses import dataclass
from numbers import Real

import numpy as np

from ..derived import Derived
from ..nets import replaced
from ..rule import of_layer
from ..rules import FAStar

ORDERS = ("together", "input first", "output first")
DECAYS = ("coupled", "decoupled")


@dataclass(frozen=True)
class Stepper:
    """How (w, v) goes to the next: v ← momentum v + η rule(task, w), w ← w + v.

    nesterov: the rule is asked at w + momentum v.  order: of the layers; where they are not taken
    together, each is asked where those before it have moved.  decay: coupled, as a part of the
    velocity; or decoupled, w ← e^{-ηλ} (w + v), without it in v.
    """

    momentum: float = 0
    nesterov: bool = False
    order: str = "together"
    decay: str = "coupled"

    def check(self, rule):
        """Raise ValueError for options that are wrong, or do not go together."""
        beta = self.momentum
        check_momentum(beta)
        if not isinstance(self.nesterov, bool):
            raise ValueError(f"nesterov must be True or False, but is {self.nesterov!r}.")
        for name, known in {"order": ORDERS, "decay": DECAYS}.items():
            if getattr(self, name) not in known:
                choices = ", ".join(known)
                raise ValueError(f"Unknown {name} {getattr(self, name)!r}; choose from {choices}.")
        if self.nesterov and (not beta or self.order != "together"):
            raise ValueError("nesterov needs momentum, and all layers together.")
        if self.decay == "decoupled" and isinstance(rule, Derived) and rule.decays:
            raise ValueError(f"{rule.name} has its decay inside; decoupled decay is a rule's own.")
        if isinstance(rule, FAStar) and (beta or self.order != "together"):
            raise ValueError("FAStar fits its last layer at each step: no momentum, no order.")

    def step(self, rule, task, w, v, eta):
        """The state and what moved it, after one step of size `eta`."""
        layers = list(rule.layers(w))
        decays = [of_layer(rule.decay, layer) for layer in layers]
        if self.decay == "decoupled":
            rule = replaced(rule, decay=0)
        if self.order == "together":
            groups = [set(layers)]
        else:
            groups = [{k} for k in sorted(set(layers), reverse=self.order == "output first")]
        w, v = list(w), list(v)
        for group in groups:
            at = [W + self.momentum * V for W, V in zip(w, v, strict=True)] if self.nesterov else w
            moved = rule(task, tuple(at))
            for k in (k for k, layer in enumerate(layers) if layer in group):
                v[k] = self.momentum * v[k] + eta * moved[k] if self.momentum else eta * moved[k]
                w[k] = w[k] + v[k]
                if self.decay == "decoupled":
                    w[k] = _exp(-eta * decays[k]) * w[k]
        return tuple(w), tuple(v)


def check_momentum(beta):
    """Raise ValueError unless `beta` is a number from 0 to below 1."""
    if isinstance(beta, bool) or not isinstance(beta, Real) or not 0 <= beta < 1:
        raise ValueError(f"momentum must be from 0 to below 1, but is {beta!r}.")


def _exp(x):
    """Of a number, or of one that JAX traces."""
    xp = x.__array_namespace__() if hasattr(x, "__array_namespace__") else np
    return xp.exp(x)


def sizes_of_steps(eta, steps):
    """(steps,) the size of every step, from a number, one for each step, or a function of n."""
    eta = eta.item() if isinstance(eta, np.ndarray) and not eta.ndim else eta
    each = callable(eta) or (hasattr(eta, "__iter__") and not isinstance(eta, str))
    if not each:
        values = [eta] * steps
    else:
        values = [eta(n) for n in range(steps)] if callable(eta) else list(eta)
    if len(values) != steps:
        raise ValueError(f"eta has {len(values)} entries, but there are {steps} steps.")
    for n, one in enumerate(values):
        real = isinstance(one, Real) and not isinstance(one, bool)
        if not (real and 0 < one < np.inf):
            where = f" at step {n + 1}" * each
            raise ValueError(f"eta must be a positive number, but is {one!r}{where}.")
    return np.array(values, dtype=float)


def check_jumps(rule, sizes, until=np.inf):
    """Raise ValueError unless a step of each size begins wherever the decay jumps on the way."""
    for t in rule.jumps():
        off = np.abs(t / sizes - np.rint(t / sizes)).max()
        if 0 < t < until and off > 1e-9 * max(1.0, t / np.min(sizes)):
            raise ValueError(f"The decay jumps at t = {t:g}, which every step size must divide.")
