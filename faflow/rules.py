"""The learning rules, each written once.

``rule(task, w)`` is the velocity dw/dt, one matrix a layer, in units where the learning rate is 1.
The flow integrates it, a discrete step adds a multiple of it, a law is differentiated along it.
A rule is told apart by how it carries the error from one layer to the one below.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .matrices import Series, Words, columns
from .nets import forward, init, linear, matrix, replaced, sign_of, softplus_of, squared, tanh_of


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
        return tuple(
            self._scaled(layer, W, V) for layer, W, V in zip(self.layers(w), w, moved, strict=True)
        )

    def _scaled(self, layer, W, V):
        rate, decay = self.rate(layer), _of_layer(self.decay, layer)
        if isinstance(decay, Piecewise):
            raise TypeError("This decay changes in time: take the rule at one time by .at(t).")
        V = V if _is(rate, 1) else rate * V
        return V if _is(decay, 0) else V - decay * W

    def rate(self, layer):
        """The learning rate of `layer`."""
        return _of_layer(self.rates, layer)

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

    def weights(self, w):
        """The forward weights of the state `w`."""
        return w

    def settle(self, task, w):
        """The state with what the rule itself determines put in place; here nothing."""
        return w

    @classmethod
    def shapes(cls, sizes):
        """Shapes of B for these layer sizes, input first; sizes may also be names of spaces."""
        return []

    @classmethod
    def random(cls, sizes, *, scale=1.0, seed=0, **options):
        """The rule with Gaussian feedback of standard deviation `scale`."""
        rng = np.random.default_rng([seed, 1])  # not the numbers of `init` at the same seed
        return cls(tuple(scale * rng.standard_normal(s) for s in cls.shapes(sizes)), **options)

    def start(self, sizes, *, scale=1.0, seed=0, bias=False):
        """A state to start from: Gaussian weights, and what else the rule moves."""
        return init(sizes, scale=scale, seed=seed, bias=bias)


def _of_layer(value, layer):
    return value[layer] if _per_layer_given(value) else value


def _is(value, constant):
    return isinstance(value, int | float) and value == constant


def _per_layer_given(value):
    return isinstance(value, tuple) and not isinstance(value, Piecewise)


def _per_layer(value, name):
    for number in value if _per_layer_given(value) else (value,):
        if isinstance(number, Piecewise):
            times, values = tuple(number.times), tuple(number.values)
            if name == "rates":
                raise ValueError("rates must be constant; only decay may be piecewise in time.")
            if len(values) != len(times) + 1 or list(times) != sorted(set(times)):
                raise ValueError(
                    f"Piecewise needs increasing times and one more value than times, but has times"
                    f" {times} and values {values}."
                )
            plain = values
        else:
            plain = (number,)
        for one in plain:
            if isinstance(one, bool) or (
                isinstance(one, int | float | np.number) and not np.isfinite(one)
            ):
                raise ValueError(f"{name} must be finite numbers, but has {one!r}.")
            if one is None or isinstance(one, str | complex | list | tuple | dict | np.ndarray):
                raise ValueError(f"{name} must be a number or one for each layer, not {value!r}.")
    return value


@dataclass(frozen=True, eq=False)
class GD(Rule):
    """Gradient flow: errors return through the transposed weights."""

    def carry(self, w, k, above, output):
        return outgoing(w, k).T @ above

    def potential(self, w, k):
        """The function whose gradient in the weights is their feedback: |column|²/2."""
        above = outgoing(w, k)
        return (above.T @ above).diagonal() / 2


@dataclass(frozen=True, eq=False)
class FA(Rule):
    """Feedback alignment [1]_: errors return layer by layer through fixed matrices.

    B: ``B[k]`` is (hidden k, layer above), the shape of ``w[k + 1].T`` without biases.

    .. [1] T. Lillicrap et al., "Random synaptic feedback weights support error backpropagation
       for deep learning", Nature Communications 7, 2016.
    """

    def carry(self, w, k, above, output):
        return self.B[k] @ above

    def potential(self, w, k):
        """The function whose gradient in the weights is their feedback: ⟨row of B, column of W⟩."""
        return (self.B[k] @ outgoing(w, k)).diagonal()

    @classmethod
    def shapes(cls, sizes):
        return list(pairwise(sizes[1:]))


@dataclass(frozen=True, eq=False)
class DFA(Rule):
    """Direct feedback alignment [1]_: the output error reaches every layer by its own matrix.

    B: ``B[k]`` is (hidden k, d_out).

    .. [1] A. Nøkland, "Direct feedback alignment provides learning in deep neural networks",
       NeurIPS 2016.
    """

    first = 1

    def carry(self, w, k, above, output):
        return self.B[k] @ output

    @classmethod
    def shapes(cls, sizes):
        return [(h, sizes[-1]) for h in sizes[1:-1]]


@dataclass(frozen=True, eq=False)
class SignFA(Rule):
    """Sign-concordant feedback [1]_: errors return through sign(W)ᵀ, or tanh(beta W)ᵀ.

    beta: None for the sign itself, whose flow has kinks where a weight is zero.

    .. [1] Q. Liao, J. Leibo & T. Poggio, "How important is weight symmetry in backpropagation?",
       AAAI 2016.
    """

    beta: float | None = None

    def _feedback(self, W):
        if isinstance(W, Words):
            return _elementwise("sign" if self.beta is None else "tanh", W)
        if self.beta is not None:
            return tanh_of(self.beta * W)
        return sign_of(W)

    def carry(self, w, k, above, output):
        return self._feedback(outgoing(w, k)).T @ above

    def potential(self, w, k):
        """Σ|W| over a column, or Σ log cosh(beta W)/beta: its gradient is the feedback."""
        return column_potential(outgoing(w, k), self._feedback, self._antiderivative)

    def _antiderivative(self, W):
        if self.beta is None:
            return W * sign_of(W)
        z = self.beta * W  # log cosh z = softplus(2z) - z - log 2, without overflow
        return (softplus_of(2 * z) - z - softplus_of(0 * z)) / self.beta

    @classmethod
    def random(cls, sizes, *, scale=1.0, seed=0, **options):
        """Sign feedback has nothing random; here for the same call on every rule."""
        return cls(**options)


@dataclass(frozen=True, eq=False)
class KolenPollack(Rule):
    """Kolen-Pollack learning [1]_: the feedback is learned by the transposed update.

    The state is ``(W₁, …, W_L, B₂, …, B_L)``; each B moves as its Wᵀ does, decay included, so
    that W - Bᵀ decays with the weights.

    .. [1] M. Akrout et al., "Deep learning without weight transport", NeurIPS 2019.
    """

    def carry(self, w, k, above, output):
        return w[len(w) // 2 + 1 + k] @ above

    def velocity(self, task, w):
        moved = super().velocity(task, w)
        return (*moved, *(outgoing(moved, k).T for k in range(len(moved) - 1)))

    def weights(self, w):
        return w[: len(w) // 2 + 1]

    def layers(self, w):
        depth = len(w) // 2 + 1
        return (*range(depth), *range(1, depth))

    @classmethod
    def random(cls, sizes, *, scale=1.0, seed=0, **options):
        """The rule; its feedback is part of the state and random in `start`."""
        return cls(**options)

    def start(self, sizes, *, scale=1.0, seed=0, bias=False):
        """Gaussian weights as `init` makes them, then Gaussian feedback of deviation 1."""
        rng = np.random.default_rng([seed, 1])
        feedback = tuple(rng.standard_normal(s) for s in FA.shapes(sizes))
        return (*init(sizes, scale=scale, seed=seed, bias=bias), *feedback)


@dataclass(frozen=True, eq=False)
class FAStar(Rule):
    """FA* for matrix factorisation [1]_, as reconstructed from its description.

    The first layer moves by feedback alignment while the last one is at every time the least
    squares fit, W₂ = YW₁ᵀ(W₁W₁ᵀ)⁻¹; as a flow, dW₁/dt = B(Y - W₂W₁), and W₁W₁ᵀ is constant.
    Decay and rate are those of the first layer; the fitted one has none of its own.
    Its task is ``Task.factorisation(Y)``; W₁W₁ᵀ must be invertible at the start.

    .. [1] S. Garg & S. Vempala, "How and when random feedback works: a case study of low-rank
       matrix factorization", AISTATS 2022.
    """

    def carry(self, w, k, above, output):
        return self.B[k] @ above

    def velocity(self, task, w):
        moved = self.B[0] @ (task.Y - w[1] @ w[0])
        return moved, _followed(task, w, moved)

    def __call__(self, task, w):
        moved = self._scaled(0, w[0], self.velocity(task, w)[0])
        return moved, _followed(task, w, moved)

    def settle(self, task, w):
        made = (task.phi, task.loss, task.bias, task.output_scale) == (linear, squared, False, 1)
        if len(w) != 2 or not made or not np.array_equal(task.X, np.eye(len(task.X))):
            raise ValueError("FAStar needs two layers and a task made by Task.factorisation(Y).")
        if np.linalg.matrix_rank(w[0]) < len(w[0]):
            raise ValueError(
                f"FAStar needs W1 of full row rank, but W1 {w[0].shape} has rank"
                f" {np.linalg.matrix_rank(w[0])}."
            )
        return w[0], _solved(w[0], w[0] @ task.Y.T)

    @classmethod
    def shapes(cls, sizes):
        return FA.shapes(sizes)


def _solved(W, right):
    """(right)ᵀ (W Wᵀ)⁻¹."""
    return W.__array_namespace__().linalg.solve(W @ W.T, right).T


def _followed(task, w, moved):
    """How the least squares fit Z = YWᵀ(WWᵀ)⁻¹ moves with W: (E dWᵀ - Z dW Wᵀ)(WWᵀ)⁻¹."""
    W, Z = w
    return _solved(W, moved @ (task.Y - Z @ W).T - W @ moved.T @ Z.T)


RULES = {rule.__name__: rule for rule in (GD, FA, DFA, SignFA, KolenPollack, FAStar)}


def _elementwise(name, W):
    """The word of one letter that stands for the function `name` of the words `W`, by entries."""
    return W.alphabet.letter(f"{name}({W})", W.rows, W.cols)


def column_potential(W, slope, value):
    """Column sums of an elementwise function with this `slope` and `value`.

    On words a letter of its own; on a series right to first order, by the slope.
    """
    if isinstance(W, Series):
        now, moved = W.coefficients[:2]
        rate = (slope(now).T @ moved).diagonal()
        return Series(column_potential(now, slope, value), rate, order=1)
    if isinstance(W, Words):
        name = f"potential({W})"
        return W.alphabet.letter(name, W.cols, W.cols, diagonal=True).diagonal()
    return value(W).sum(0)
