"""Networks: elementwise activations with their pullbacks, losses, data, and the forward pass."""

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .matrices import Words, with_ones


class Activation(NamedTuple):
    """``f(z)``, and ``pull(z, error)``, which multiplies an error by the slope f'(z).

    degree: p if f(cz) = c^p f(z) for c > 0, so that z f'(z) = p f(z); None if not homogeneous.
    smooth: whether the slope is continuous, so that a flow has no kinks.
    """

    name: str
    f: Callable
    pull: Callable
    degree: int | None = None
    smooth: bool = True


def _function(name):
    """The special function `name` for floats (NumPy, SciPy), JAX arrays and SymPy entries."""

    def apply(z):
        if z.dtype == np.dtype(object):
            import sympy

            if type(z.flat[0]).__module__.startswith("flint"):
                raise TypeError(f"Polynomials have no {name}; use algebra='sympy'.")
            sigmoid = lambda x: 1 / (1 + sympy.exp(-x))
            softplus = lambda x: sympy.log(1 + sympy.exp(x))
            sign = lambda x: (x > 0) - (x < 0) if isinstance(x, int | Fraction) else sympy.sign(x)
            known = {"expit": sigmoid, "softplus": softplus, "sign": sign}
            return np.frompyfunc(known.get(name) or getattr(sympy, name), 1, 1)(z)
        if isinstance(z, np.ndarray):
            if name == "softplus":
                return np.logaddexp(0, z)
            if hasattr(np, name):
                return getattr(np, name)(z)
            import scipy.special

            return getattr(scipy.special, name)(z)
        import jax

        known = {"expit": jax.nn.sigmoid, "softplus": lambda x: jax.numpy.logaddexp(0, x)}
        known |= {"erf": jax.scipy.special.erf}
        return (known.get(name) or getattr(jax.numpy, name))(z)

    return apply


exp, erf_of, expit, tanh_of, sign_of, softplus_of = map(
    _function, ("exp", "erf", "expit", "tanh", "sign", "softplus")
)


def _root_pi(z):
    if z.dtype != np.dtype(object):
        return np.sqrt(np.pi)
    import sympy

    return sympy.sqrt(sympy.pi)


linear = Activation("linear", lambda z: z, lambda z, error: error, degree=1)
tanh = Activation("tanh", tanh_of, lambda z, error: error * (1 - tanh_of(z) ** 2))
sigmoid = Activation("sigmoid", expit, lambda z, error: error * (expit(z) * (1 - expit(z))))
erf = Activation("erf", erf_of, lambda z, error: error * (2 * exp(-(z**2)) / _root_pi(z)))
relu = Activation(
    "relu", lambda z: z * (z > 0), lambda z, error: error * (z > 0), degree=1, smooth=False
)


def _short(number):
    """An integer if it is one, so that 2 and 2.0 give one name and exact entries stay exact."""
    return int(number) if number % 1 == 0 else number


@lru_cache
def leaky_relu(slope=0.01):
    """z for z > 0, slope·z below."""
    gate = lambda z: (z > 0) + slope * (z <= 0)
    f, pull = lambda z: z * gate(z), lambda z, error: error * gate(z)
    return Activation(f"leaky_relu({_short(slope)})", f, pull, degree=1, smooth=False)


@lru_cache
def relu_power(p=2):
    """max(z, 0) to the power `p`, an integer of at least 2."""
    if p != int(p) or p < 2:
        raise ValueError(f"relu_power needs an integer power of at least 2, but got {p}.")
    p = int(p)
    f = lambda z: z**p * (z > 0)
    pull = lambda z, error: error * (p * z ** (p - 1) * (z > 0))
    return Activation(f"relu_power({p})", f, pull, degree=p)


@lru_cache
def softplus(beta=1):
    """log(1 + exp(beta z)) / beta, which tends to relu as beta grows."""
    if not beta > 0:
        raise ValueError(f"softplus needs beta > 0, but got {beta}.")
    f, pull = lambda z: softplus_of(beta * z) / beta, lambda z, error: error * expit(beta * z)
    return Activation(f"softplus({_short(beta)})", f, pull)


ACTIVATIONS = {a.name: a for a in (linear, relu, tanh, erf, sigmoid)}
FAMILIES = {"leaky_relu": leaky_relu, "relu_power": relu_power, "softplus": softplus}


def gated(slopes, degree=1):
    """Every activation with z f'(z) = degree · f(z), at one point: f(z) = slopes · z there.

    slopes: (units, samples) entries for matrices with entries; for words, a diagonal letter, the
    network then seeing one sample.  Any piecewise linear activation has degree 1.
    """
    times = lambda z: slopes * z if hasattr(z, "dtype") else slopes @ z
    return Activation("gated", times, lambda z, error: degree * times(error), degree, smooth=False)


def activation(phi):
    """The activation named `phi`, such as "tanh" or "leaky_relu(0.1)"; an Activation as it is."""
    if isinstance(phi, Activation):
        return phi
    match = re.fullmatch(r"(\w+)(?:\(([-+.\de]+)\))?", str(phi).strip())
    name, argument = match.groups() if match else (None, None)
    if name in ACTIVATIONS and argument is None:
        return ACTIVATIONS[name]
    if name in FAMILIES:
        try:
            return FAMILIES[name]() if argument is None else FAMILIES[name](_short(float(argument)))
        except ValueError as error:
            raise ValueError(f"Activation {phi!r}: {error}") from None
    known = [*ACTIVATIONS, "leaky_relu(slope)", "relu_power(p)", "softplus(beta)"]
    raise ValueError(f"Unknown activation {phi!r}; choose from {', '.join(known)}.")


class Loss(NamedTuple):
    """``value(f, Y)``, summed over samples, and ``error(f, Y)``, minus its derivative in f.

    fits: the targets it takes, in words, and the test for them.
    """

    name: str
    value: Callable
    error: Callable
    targets: str = "any real number"
    fits: Callable = lambda Y: True


def _softmax(f):
    xp = f.__array_namespace__()
    powers = exp(f - xp.max(f, axis=0, keepdims=True))
    return powers / xp.sum(powers, axis=0, keepdims=True)


def _cross_entropy(f, Y):
    xp = f.__array_namespace__()
    shifted = f - xp.max(f, axis=0, keepdims=True)
    return xp.sum(Y * (xp.log(xp.sum(xp.exp(shifted), axis=0, keepdims=True)) - shifted))


_signs = ("labels -1 or +1", lambda Y: bool(np.isin(Y, (-1, 1)).all()))
_classes = (
    "columns of class probabilities, such as one-hot labels",
    lambda Y: bool((Y >= 0).all() and np.allclose(Y.sum(0), 1)),
)
squared = Loss("squared", lambda f, Y: ((Y - f) * (Y - f)).sum() / 2, lambda f, Y: Y - f)
logistic = Loss(
    "logistic", lambda f, Y: softplus_of(-Y * f).sum(), lambda f, Y: Y * expit(-Y * f), *_signs
)
exponential = Loss(
    "exponential", lambda f, Y: exp(-Y * f).sum(), lambda f, Y: Y * exp(-Y * f), *_signs
)
cross_entropy = Loss("cross_entropy", _cross_entropy, lambda f, Y: Y - _softmax(f), *_classes)
LOSSES = {loss.name: loss for loss in (squared, logistic, cross_entropy, exponential)}

any_loss = Loss("any", lambda f, Y: None, lambda f, Y: Y)
"""Y itself is the error: what holds for every Y then holds for every differentiable loss."""


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be learned; the loss is summed over the samples, not averaged.

    X: (d_in, samples) inputs, one sample a column.
    Y: (d_out, samples) targets: real (squared), -1 or +1 (logistic, exponential), or columns of
        class probabilities (cross_entropy).
    phi: activation of the hidden layers, by name or as an `Activation`; or one for each of them.
    loss: squared ``|Y - f|²/2``, logistic, cross_entropy or exponential.
    bias: append a row of ones to what enters each layer; a layer's biases are then the last column
        of its weights.
    output_scale: factor on the network's output, 1/√width in Song, Xu & Lafferty (2021).
    Raises ValueError for shapes that do not fit, NaN or inf, and labels the loss does not take.
    """

    X: Any
    Y: Any
    phi: Any = linear
    loss: Any = squared
    bias: bool = False
    output_scale: Any = 1

    def __post_init__(self):
        X, Y = matrix(self.X, "X"), matrix(self.Y, "Y")
        several = isinstance(self.phi, tuple | list) and not isinstance(self.phi, Activation)
        phi = tuple(map(activation, self.phi)) if several else activation(self.phi)
        loss = self.loss
        if not isinstance(loss, Loss):
            if loss not in LOSSES:
                raise ValueError(f"Unknown loss {loss!r}; choose from {', '.join(LOSSES)}.")
            loss = LOSSES[loss]
        for name, value in {"X": X, "Y": Y, "phi": phi, "loss": loss}.items():
            object.__setattr__(self, name, value)
        columns = [getattr(M, "shape", (0, 0))[1] for M in (X, Y)]  # words have no shape
        if columns[0] != columns[1]:
            raise ValueError(
                f"X and Y must have one column a sample, but X is {X.shape} and Y is {Y.shape}."
            )
        if isinstance(Y, np.ndarray) and Y.dtype == float and not loss.fits(Y):
            raise ValueError(
                f"The {loss.name} loss needs {loss.targets}, but Y has entries from"
                f" {Y.min():g} to {Y.max():g}."
            )

    def __repr__(self):
        phi = self.phi.name if isinstance(self.phi, Activation) else [a.name for a in self.phi]
        X, Y = (getattr(M, "shape", M) for M in (self.X, self.Y))
        more = ", biases" * self.bias
        return f"Task(X {X}, Y {Y}, {phi}, {self.loss.name} loss{more})"

    @classmethod
    def factorisation(cls, Y):
        """Factor Y (n, m) as W₂W₁: the linear task with X the identity of size m."""
        Y = matrix(Y, "Y")
        return cls(np.eye(Y.shape[1]), Y)

    def with_data(self, X, Y):
        """The same task on other data of the same kind, unchecked: for engines, batches."""
        return replaced(self, X=X, Y=Y)

    def activation(self, k):
        """The activation of hidden layer `k`."""
        return self.phi if isinstance(self.phi, Activation) else self.phi[k]

    @property
    def activations(self):
        """The activations given, one for all hidden layers or one each, as a tuple."""
        return (self.phi,) if isinstance(self.phi, Activation) else self.phi

    @property
    def smooth(self):
        return all(a.smooth for a in self.activations)


def replaced(frozen, **fields):
    """A copy of a frozen object with other fields, taken unchecked."""
    other = copy.copy(frozen)
    for name, value in fields.items():
        object.__setattr__(other, name, value)
    return other


def matrix(M, name):
    """`M` as a float64 matrix, checked; words and exact entries as they are."""
    if isinstance(M, Words) or getattr(M, "dtype", None) == np.dtype(object):
        return M
    try:
        made = np.asarray(M)
        if made.dtype.kind not in "biuf":
            raise TypeError
        made = made.astype(float)
    except (TypeError, ValueError):
        seen = " ".join(repr(M).split())
        raise ValueError(f"{name} must be a matrix of real numbers, but is {seen:.60}.") from None
    if made.ndim != 2 or 0 in made.shape:
        raise ValueError(f"{name} must be a matrix with entries, but its shape is {made.shape}.")
    if not np.isfinite(made).all():
        where = tuple(map(int, np.argwhere(~np.isfinite(made))[0]))
        raise ValueError(f"{name} must be finite, but entry {where} is {made[where]}.")
    return made


def forward(task, w):
    """Hidden pre-activations, the input of every layer, and the output."""
    enter = with_ones if task.bias else lambda a: a
    hidden, inputs = [], [enter(task.X)]
    for k, W in enumerate(w[:-1]):
        hidden.append(W @ inputs[-1])
        inputs.append(enter(task.activation(k).f(hidden[-1])))
    return hidden, inputs, task.output_scale * (w[-1] @ inputs[-1])


def loss(task, w):
    """The loss of the network with weights `w`, summed over the samples."""
    return task.loss.value(forward(task, w)[2], task.Y)


def accuracy(task, w):
    """Share of samples classified right: by the largest output, or its sign if there is one."""
    f = forward(task, w)[2]
    if len(f) == 1:
        return float(np.mean(np.sign(f) == np.sign(task.Y)))
    return float(np.mean(f.argmax(0) == task.Y.argmax(0)))


def regression(task):
    """The least-squares matrix YXᵀ(XXᵀ)⁺, (d_out, d_in): the minimum-norm linear fit."""
    return task.Y @ np.linalg.pinv(task.X)


def shapes(sizes, bias=False):
    """Weight shapes of a network with these layer sizes, input first."""
    return [(above, below + bias) for below, above in pairwise(sizes)]


def sizes_of(w):
    """Layer sizes, input first, of weights without biases; the input's own if it has one."""
    return (w[0].shape[1], *(W.shape[0] for W in w))


def init(sizes, *, scale=1.0, seed=0, bias=False):
    """Gaussian weights of standard deviation ``scale / sqrt(fan in)``, biases zero.

    sizes: layer widths, input first.  Returns a tuple of (width, width below [+ 1]) arrays.
    """
    sizes = tuple(sizes)
    if len(sizes) < 2 or any(n != int(n) or n < 1 for n in sizes):
        raise ValueError(f"sizes must be at least two positive widths, input first, not {sizes}.")
    rng = np.random.default_rng(seed)
    w = [scale * rng.standard_normal(s) / np.sqrt(s[1]) for s in shapes(sizes)]
    return tuple(np.hstack([W, np.zeros((len(W), 1))]) if bias else W for W in w)
