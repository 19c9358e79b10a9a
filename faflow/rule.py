"""What a learning rule is: a velocity for every weight matrix, with decay and layer rates."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .draws import generator
from .matrices import columns
from .nets import checked_sizes, forward, init, layer_names, loss, matrix, replaced, shapes


class Piecewise(NamedTuple):
    """A constant that changes at given times: ``values[i]`` from ``times[i - 1]`` to ``times[i]``.

    times: increasing; values: one more than times.
    """

    times: tuple
    values: tuple

    def at(self, t):
        return self.values[int(np.searchsorted(self.times, t, side="right"))]


def outgoing(w, k):
    """Weights from hidden layer `k` to the layer above, (n_above, n_k): without its biases."""
    return columns(w[k + 1], w[k])


@dataclass(frozen=True, eq=False)
class Rule:
    """A learning rule; its velocity at layer k is ``rates[k] · error · inputᵀ - decay[k] · w[k]``.

    B: fixed feedback matrices, of `shapes` given by the layer sizes.
    decay: weight decay (biases included), one number for all layers or one a layer, each a number
        or a `Piecewise` in time; in units of the learning rate.
    rates: learning rates, one a layer, relative to the unit of time.
    A rule of your own defines ``carry(w, k, above, output)``, which brings the error to hidden
    layer k from the error `above` it or from the `output`.
    """

    B: tuple = field(default=(), repr=False)
    decay: Any = field(default=0, kw_only=True)
    rates: Any = field(default=1, kw_only=True)

    single = False
    """Whether proofs look at one sample at a time, as they do with gates."""

    network_name = "network"
    """What the rule acts on, in the scope of a proof."""

    @property
    def name(self):
        return type(self).__name__

    first = 2
    """Number of the first feedback matrix in the papers' notation: B₂ stands for W₂ᵀ."""

    def __post_init__(self):
        B = tuple(matrix(M, f"Feedback matrix B[{k}]") for k, M in enumerate(self.B))
        object.__setattr__(self, "B", B)
        for name in ("decay", "rates"):
            value = getattr(self, name)
            if isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim):
                value = tuple(value)
            object.__setattr__(self, name, _per_layer(value, name))

    def carry(self, w, k, above, output):
        raise TypeError(f"{type(self).__name__} must define carry(self, w, k, above, output).")

    def velocity(self, task, w):
        """Error times input at each layer, before rates and decay."""
        hidden, inputs, f = forward(task, self.weights(w))
        output = task.output_scale * task.loss.error(f, task.Y)
        errors = [output]
        for k in reversed(range(len(hidden))):
            carried = self.carry(w, k, errors[-1], output)
            errors.append(task.activation(k).pull(hidden[k], carried))
        return tuple(e @ a.T for e, a in zip(reversed(errors), inputs, strict=True))

    def __call__(self, task, w):
        moved = self.velocity(task, w)
        count = len(moved) if hasattr(moved, "__len__") else repr(moved)[:40]
        if count != len(w):
            raise ValueError(f"{self.name} must give {len(w)} velocities, but gives {count}.")
        return tuple(
            self._scaled(layer, W, V) for layer, W, V in zip(self.layers(w), w, moved, strict=True)
        )

    def _scaled(self, layer, W, V):
        wanted, seen = (getattr(M, "shape", None) for M in (W, V))
        if None not in (seen, wanted) and seen != wanted:  # which might be broadcast
            raise ValueError(
                f"{self.name} must give layer {layer} a velocity of shape {wanted}, not {seen}."
            )
        # not self.rate(layer), which is that of the rule inside where this one is made from another
        rate, decay = of_layer(self.rates, layer), of_layer(self.decay, layer)
        if isinstance(decay, Piecewise):
            raise TypeError("This decay changes in time: take the rule at one time by .at(t).")
        V = V if is_number(rate, 1) else rate * V
        return V if is_number(decay, 0) else V - decay * W

    def check_depth(self, depth):
        """Raise ValueError unless decay and rates, if given layer by layer, are for so many."""
        for name in ("decay", "rates"):
            value = getattr(self, name)
            if _per_layer_given(value) and len(value) != depth:
                raise ValueError(f"{name} has {len(value)} entries, but there are {depth} layers.")

    def rate(self, layer):
        """The learning rate of `layer`."""
        return of_layer(self.rates, layer)

    def layers(self, w):
        """The layer whose rate and decay each entry of the state `w` has."""
        return range(len(w))

    def at(self, t):
        """The rule with its decay as it is from time `t` on, up to the next jump."""
        value = lambda d: d.at(t) if isinstance(d, Piecewise) else d
        decay = self.decay
        decay = tuple(map(value, decay)) if _per_layer_given(decay) else value(decay)
        return replaced(self, decay=decay)

    def jumps(self):
        """Times at which the decay jumps, in order."""
        each = self.decay if _per_layer_given(self.decay) else (self.decay,)
        return sorted({t for d in each if isinstance(d, Piecewise) for t in d.times})

    @property
    def decays(self):
        """Whether any layer decays at any time."""
        each = self.decay if _per_layer_given(self.decay) else (self.decay,)
        parts = [d.values if isinstance(d, Piecewise) else (d,) for d in each]
        return any(not is_number(d, 0) for part in parts for d in part)

    def check_times(self, ts):
        """Raise ValueError for times over which there is no such flow; here none."""

    def weights(self, w):
        """The forward weights of the state `w`."""
        return w

    def signed(self, w):
        """Matrices that act by their signs alone: where an entry crosses 0 the velocity jumps."""
        return ()

    def settle(self, task, w):
        """The state with what the rule itself determines put in place; here nothing."""
        return w

    def state(self, layers, bias=False):
        """{name: (rows, cols)} of what the rule moves, in order: W1, W2, …, then what is its own.

        layers: layer sizes, input first, or names of spaces.
        """
        return {f"W{k + 1}": shape for k, shape in enumerate(shapes(layers, bias))}

    def constants(self, w):
        """{name: matrix} of what stands still while the flow is in one piece: the feedback."""
        return {f"B{k + self.first}": B for k, B in enumerate(self.B)}

    def spaces(self, depth):
        """Names of the layers, input first; layers of one name have one size."""
        return layer_names(depth)

    def inputs(self, depth):
        """How many columns of input a sample has; more than one come as a tuple."""
        return 1

    def gates(self, depth):
        """At how many places each hidden layer has activations of its own; 0 where it is linear."""
        return (1,) * (depth - 1)

    def fixed(self, layers):
        """{name: (rows, cols)} of B, for layer sizes or names of spaces."""
        return {f"B{k + self.first}": shape for k, shape in enumerate(self.shapes(layers))}

    def output(self, task, w):
        """The network's output, (d_out, samples)."""
        return forward(task, self.weights(w))[2]

    def loss(self, task, w):
        """The loss of the network at the state `w`, summed over the samples."""
        return loss(task, self.weights(w))

    @classmethod
    def shapes(cls, sizes):
        """Shapes of B for these layer sizes, input first; sizes may also be names of spaces."""
        return []

    @classmethod
    def random(cls, sizes, *, scale=1.0, seed=0, **options):
        """The rule with Gaussian feedback of standard deviation `scale`."""
        sizes = checked_sizes(sizes)
        rng = generator(seed, "feedback")
        return cls(tuple(scale * rng.standard_normal(s) for s in cls.shapes(sizes)), **options)

    def start(self, sizes, *, scale=1.0, seed=0, bias=False):
        """A state to start from: Gaussian weights, and what else the rule moves."""
        return init(sizes, scale=scale, seed=seed, bias=bias)


def of_layer(value, layer):
    """The entry of `layer`, where there is one for each, or the number for all."""
    return value[layer] if _per_layer_given(value) else value


def is_number(value, constant):
    """Whether it is that number, and no array that might be."""
    return isinstance(value, int | float) and value == constant


def _per_layer_given(value):
    return isinstance(value, tuple) and not isinstance(value, Piecewise)


def _per_layer(value, name):
    for number in value if _per_layer_given(value) else (value,):
        if isinstance(number, Piecewise):
            if name == "rates":
                raise ValueError("rates must be constant; only decay may be piecewise in time.")
            if not all(isinstance(part, tuple | list | np.ndarray) for part in number):
                raise ValueError(
                    f"Piecewise needs a tuple of times and one of values, not {number!r:.60}."
                )
            times, values = tuple(number.times), tuple(number.values)
            finite = np.isfinite(np.array(times, dtype=float)).all()
            if len(values) != len(times) + 1 or not finite or list(times) != sorted(set(times)):
                raise ValueError(
                    f"Piecewise needs increasing times and one more value than times, but has times"
                    f" {times} and values {values}."
                )
            plain = values
        else:
            plain = (number,)
        for one in plain:
            if isinstance(one, bool) or (
                isinstance(one, float | np.floating) and not np.isfinite(one)
            ):
                raise ValueError(f"{name} must be finite numbers, but has {one!r}.")
            no_number = str | complex | np.complexfloating | list | tuple | dict | np.ndarray
            if one is None or isinstance(one, no_number):
                raise ValueError(f"{name} must be a number or one for each layer, not {value!r}.")
    return value
