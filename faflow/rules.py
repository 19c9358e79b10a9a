"""The learning rules, each written once.

``rule(task, w)`` is the velocity dw/dt, one matrix a layer, in units where the learning rate is 1.
The flow integrates it, a discrete step adds a multiple of it, a law is differentiated along it.
A rule is told apart by how it carries the error from one layer to the one below.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np

from .activations import sign_of, softplus_of, tanh_of
from .draws import generator
from .matrices import Series, Words
from .matrices.layout import laid_out
from .nets import init, linear, squared
from .rule import Piecewise as Piecewise
from .rule import Rule as Rule
from .rule import outgoing as outgoing


@dataclass(frozen=True, eq=False)
class GD(Rule):
    """Gradient flow: errors return through the transposed weights."""

    def carry(self, w, k, above, output):
        return laid_out(outgoing(w, k).T) @ above

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

    def __post_init__(self):
        super().__post_init__()
        beta = self.beta
        if beta is not None and not (isinstance(beta, int | float | Fraction) and beta > 0):
            raise ValueError(f"beta must be a positive number, or None for the sign, not {beta!r}.")

    def _feedback(self, W):
        if isinstance(W, Words):
            plain = re.sub(r"\.| J_\w+", "", str(W))  # W2 for its columns without the biases
            name = f"sign({plain})" if self.beta is None else f"tanh({self.beta} {plain})"
            return W.alphabet.letter(name, W.rows, W.cols)
        if self.beta is not None:
            return tanh_of(self.beta * W)
        return sign_of(W)

    def carry(self, w, k, above, output):
        return self._feedback(outgoing(w, k)).T @ above

    def signed(self, w):
        return tuple(outgoing(w, k) for k in range(len(w) - 1)) if self.beta is None else ()

    def constants(self, w):
        """sign(W)', where that is what comes back; tanh(beta W)' moves."""
        if self.beta is not None:
            return {}
        now = [W.coefficients[0] if isinstance(W, Series) else W for W in w]
        return {f"S{k + 2}": self._feedback(outgoing(now, k)).T for k in range(len(w) - 1)}

    def potential(self, w, k):
        """Σ|W| over a column, or Σ log cosh(beta W)/beta: its gradient is the feedback."""
        above = outgoing(w, k)
        if self.beta is None:  # |W| = sign(W) W, the signs constant where no weight is zero
            now = above.coefficients[0] if isinstance(above, Series) else above
            return (self._feedback(now).T @ above).diagonal()
        return column_potential(above, self._feedback, self._antiderivative, f"beta {self.beta}")

    def _antiderivative(self, W):
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

    def state(self, layers, bias=False):
        feedback = {f"B{k + 2}": shape for k, shape in enumerate(FA.shapes(layers))}
        return super().state(layers, bias) | feedback

    def layers(self, w):
        depth = len(w) // 2 + 1
        return (*range(depth), *range(1, depth))

    @classmethod
    def random(cls, sizes, *, scale=1.0, seed=0, **options):
        """The rule; its feedback is part of the state and random in `start`."""
        return cls(**options)

    def start(self, sizes, *, scale=1.0, seed=0, bias=False):
        """Gaussian weights as `init` makes them, then Gaussian feedback of deviation 1."""
        rng = generator(seed, "feedback")
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


def column_potential(W, slope, value, name=""):
    """Column sums of an elementwise function, given by its `value` and its `slope`.

    On words a letter of its own, told from others by `name`; on a series right to first order, by
    the slope.  Raises ValueError if the slope is not the derivative of the value.
    """
    if isinstance(W, np.ndarray | Series | Words):  # not while JAX traces what they are made of
        _check_slope(slope, value)
    if isinstance(W, Series):
        now, moved = W.coefficients[:2]
        rate = (slope(now).T @ moved).diagonal()
        return Series(column_potential(now, slope, value, name), rate, order=1)
    if isinstance(W, Words):
        letter = f"potential({name} {W})"
        return W.alphabet.letter(letter, W.cols, W.cols, diagonal=True).diagonal()
    return value(W).sum(0)


def _check_slope(slope, value):
    points, h = np.array([[-1.7, -0.4, 0.3, 2.1]]), 1e-5
    seen, said = (value(points + h) - value(points - h)) / (2 * h), slope(points)
    if not np.allclose(seen, said, rtol=1e-6, atol=1e-6):
        raise ValueError(
            f"The potential's derivative must be the slope, but at {points[0]} it is"
            f" {seen[0].round(6)} and the slope {said[0]}."
        )
