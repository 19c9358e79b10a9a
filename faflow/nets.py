"""Networks: elementwise activations with their pullbacks, losses, data, and the forward pass."""

from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

import numpy as np

from .activations import ACTIVATIONS as ACTIVATIONS
from .activations import Activation as Activation
from .activations import activation as activation
from .activations import gated as gated
from .activations import linear as linear
from .draws import generator
from .losses import LOSSES as LOSSES
from .losses import Loss as Loss
from .losses import any_loss as any_loss
from .losses import squared as squared
from .matrices import Jet, Words, with_ones
from .matrices.still import Still
from .matrices.unformed import formed


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
            if not isinstance(loss, str) or loss not in LOSSES:
                raise ValueError(f"Unknown loss {loss!r}; choose from {', '.join(LOSSES)}.")
            loss = LOSSES[loss]
        scale = self.output_scale
        if (
            not isinstance(scale, Real)
            or isinstance(scale, bool)
            or not 0 < abs(float(scale)) < np.inf
        ):
            raise ValueError(f"output_scale must be a finite number other than 0, not {scale!r}.")
        if not isinstance(self.bias, bool | np.bool_):
            raise ValueError(f"bias must be True or False, but is {self.bias!r}.")
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
    other = object.__new__(type(frozen))
    vars(other).update(vars(frozen), **fields)
    return other


def matrix(M, name):
    """`M` as a float64 matrix, checked; words and exact entries as they are."""
    if isinstance(M, Words | Jet) or getattr(M, "dtype", None) == np.dtype(object):
        return M
    try:
        made = np.asarray(M)
        if made.dtype.kind not in "biuf":
            raise TypeError
        given, made = made, made.astype(float)
    except (TypeError, ValueError):
        seen = " ".join(repr(M).split())
        raise ValueError(f"{name} must be a matrix of real numbers, but is {seen:.60}.") from None
    if made.ndim != 2 or 0 in made.shape:
        raise ValueError(f"{name} must be a matrix with entries, but its shape is {made.shape}.")
    if not np.isfinite(made).all():
        where = tuple(map(int, np.argwhere(~np.isfinite(made))[0]))
        raise ValueError(f"{name} must be finite, but entry {where} is {made[where]}.")
    if given.dtype.kind in "iu" and (np.abs(made) >= 2**53).any():
        raise ValueError(f"{name} has integers above 2^53, which floats round; give Fractions.")
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
    """The loss of the network with forward weights `w`, summed over the samples.

    w: weight matrices alone; of a state with more in it, ``rule.weights(state)``.
    """
    return task.loss.value(_output(task, w), task.Y)


def _output(task, w):
    chain = [len(task.X), *(len(W) for W in w)]
    if isinstance(task.X, Still):
        chain[1] += len(task.X.held)
    fits = all(W.shape[1] == n + task.bias for n, W in zip(chain, w, strict=False))
    if not fits or chain[-1] != len(task.Y):
        shown = " ".join("x".join(map(str, W.shape)) for W in w)
        raise ValueError(
            f"The weights {shown} are no network{' with biases' * task.bias} from {len(task.X)}"
            f" inputs to {len(task.Y)} targets; of a state with feedback take rule.weights(state)."
        )
    return formed(forward(task, w)[2])


def accuracy(task, w):
    """Share of samples classified right: by the largest output, or its sign if there is one.

    w: forward weights, as in `loss`.  Raises ValueError unless the targets are classes: one row of
    -1 and +1, or columns with a single largest entry, of 0 and 1 or of -1 and +1.
    """
    Y, f = task.Y, _output(task, w)
    if not (np.isin(Y, (-1, 1)).all() or (len(Y) > 1 and np.isin(Y, (0, 1)).all())):
        raise ValueError("Accuracy needs labels -1 and +1, or columns of 0 and 1, as targets.")
    if len(Y) == 1:
        return float(np.mean(np.sign(f) == Y))
    if not (np.sum(Y == 1, axis=0) == 1).all():
        raise ValueError("Accuracy needs exactly one class a sample, a single 1 in each column.")
    return float(np.mean(f.argmax(0) == Y.argmax(0)))


def regression(task):
    """The least-squares matrix YXᵀ(XXᵀ)⁺, (d_out, d_in): the minimum-norm linear fit."""
    return task.Y @ np.linalg.pinv(task.X)


def layer_names(depth):
    """Names of the layers' spaces, input first."""
    return ("in", *(f"h{k + 1}" for k in range(depth - 1)), "out")


def shapes(sizes, bias=False):
    """Weight shapes of a network with these layer sizes, input first, or names of spaces."""
    more = lambda n: n if not bias else f"{n}+1" if isinstance(n, str) else n + 1
    return [(above, more(below)) for below, above in pairwise(sizes)]


def sizes_of(w):
    """Layer sizes, input first, of weights without biases; the input's own if it has one."""
    return (w[0].shape[1], *(W.shape[0] for W in w))


def check_positive(**numbers):
    """Raise ValueError unless each number is a positive integer."""
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be a positive integer, but is {value!r}.")


def checked_sizes(sizes):
    """Layer widths as a tuple of at least two positive integers."""
    sizes = sizes.tolist() if isinstance(sizes, np.ndarray) else sizes
    whole = lambda n: isinstance(n, Integral) and not isinstance(n, bool) and n > 0
    if not isinstance(sizes, tuple | list | range) or len(sizes) < 2 or not all(map(whole, sizes)):
        raise ValueError(f"sizes must be at least two positive widths, input first, not {sizes}.")
    return tuple(int(n) for n in sizes)


def init(sizes, *, scale=1.0, seed=0, bias=False):
    """Gaussian weights of standard deviation ``scale / sqrt(fan in)``, biases zero.

    sizes: layer widths, input first.  Returns a tuple of (width, width below [+ 1]) arrays.
    """
    sizes = checked_sizes(sizes)
    if not np.isfinite(scale):
        raise ValueError(f"scale must be a finite number, but is {scale!r}.")
    rng = generator(seed, "init")
    w = [scale * rng.standard_normal(s) / np.sqrt(s[1]) for s in shapes(sizes)]
    return tuple(np.hstack([W, np.zeros((len(W), 1))]) if bias else W for W in w)
