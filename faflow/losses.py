"""Losses, which enter a rule only through the error at the output."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .activations import exp, expit, softplus_of


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
