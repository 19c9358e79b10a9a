"""Margins of homogeneous networks: smoothed and normalised, their growth, and what is optimal.

A network is homogeneous of degree L if f(cw) = c^L f(w) for c > 0.  With labels ±1 its margins are
p = Y∘f, the loss Σ ℓ(p) is a sum, ℓ exponential or logistic, and the smoothed margin is
α = ℓ⁻¹(loss) [1]_.  Functions of (rule, w, task) are laws, for `Solution.measure`, of rules
whose state is the weights.

.. [1] K. Lyu & J. Li, "Gradient descent maximizes the margin of homogeneous neural networks",
   ICLR 2020.
"""

from typing import NamedTuple

import numpy as np

from .nets import forward, matrix, replaced
from .rules import GD

GAP = 1e-9
"""How far `max_margin` may be from optimal, relative to the margin."""


class MaxMargin(NamedTuple):
    """The direction, (d,) of norm 1, in which all samples have a margin of at least `margin`.

    multipliers: (samples,), at least 0: direction / margin is X (labels · multipliers).
    """

    direction: np.ndarray
    margin: float
    multipliers: np.ndarray


def degree_of(task, depth):
    """L, by which a network of so many weight matrices is homogeneous.

    Raises ValueError for biases and for activations that are not homogeneous.
    """
    if task.bias:
        raise ValueError("A network with biases is not homogeneous in its weights.")
    degree = 1
    for k in range(depth - 1):
        phi = task.activation(k)
        if phi.degree is None:
            raise ValueError(
                f"The network must be homogeneous, but {phi.name} of hidden layer {k} is not;"
                " linear, relu, leaky_relu(slope) and relu_power(p) are."
            )
        degree = phi.degree * degree + 1
    return degree


def margins(rule, w, *, task):
    """p = Y∘f, (d_out, samples): positive where a sample is classified right."""
    _check_loss(task.loss.name)
    return task.Y * forward(task, w)[2]


def log_loss(p, loss):
    """log Σ ℓ(p), for margins `p` of any size; loss: "exponential" or "logistic"."""
    _check_loss(loss)
    return _log_sum(-p if loss == "exponential" else _log_softplus(-p))


def smoothed_margin(rule, w, *, task):
    """α = ℓ⁻¹(Σ ℓ(p)): -log Σ exp(-p), or -log(exp(loss) - 1) for the logistic loss.

    Positive if and only if the summed loss is below ℓ(0), and then below every margin.
    """
    return _smoothed(margins(rule, w, task=task), task.loss.name)


def normalised_margin(rule, w, *, task, degree=None):
    """α / |w|^L; never falls along gradient flow once α > 0 (Lyu & Li 2020).

    degree: L where the network has none, for counterexamples.
    """
    return smoothed_margin(rule, w, task=task) / _size(w) ** _degree(task, w, degree)


def least_margin(rule, w, *, task, degree=None):
    """The least of the margins over |w|^L, to which α / |w|^L tends as |w| grows."""
    return margins(rule, w, task=task).min() / _size(w) ** _degree(task, w, degree)


def normalised(task):
    """The task whose loss is -α, so that a rule's velocity neither under- nor overflows.

    A rule is linear in the output error, which is ℓ'(p)/ℓ'(α) for -ℓ'(p): its velocity is that of
    the task times exp(`log_scale`).
    """
    name = _check_loss(task.loss.name)
    value = lambda f, Y: -_smoothed(Y * f, name)
    error = lambda f, Y: Y * _shares(Y * f, name)
    return replaced(
        task, loss=task.loss._replace(name=f"normalised {name}", value=value, error=error)
    )


def log_scale(rule, w, *, task):
    """log(-ℓ'(α)), what `normalised` leaves out of every velocity."""
    alpha = smoothed_margin(rule, w, task=task)
    return -alpha if task.loss.name == "exponential" else -np.logaddexp(0, alpha)


def gradient_cosine(rule, w, *, task):
    """Cosine of the angle between the weights and minus the gradient, whatever the rule.

    Where it is 1 to the last digits, `kkt_residuals` tells more: √(2 - 2 cosine), not rounded.
    """
    return _cosine(w, GD()(normalised(task), w))


def margin_growth(rule, w, *, task, degree=None):
    """d log(α/|w|^L) / du along the rule, in log-norm time: dw/du = |w| v/|v|."""
    rise, cosine = _growth(rule, w, task)
    return rise - _degree(task, w, degree) * cosine


def margin_slack(rule, w, *, task, degree=None):
    """(d log(α/|w|^L) / d log|w| - L tan²θ) cos²θ, θ between w and velocity; for GD ⟨w, ∇α⟩/α - L.

    For GD on a network of degree L it is not negative where α > 0.
    """
    rise, cosine = _growth(rule, w, task)
    return rise * cosine - _degree(task, w, degree)


def multipliers(rule, w, *, task):
    """λ = |w| ℓ'(p)/(ℓ'(α)|∇α|), (d_out, samples): |w - Σ λ∇p| = |w| √(2 - 2cos θ)."""
    shares = _shares(margins(rule, w, task=task), task.loss.name)
    return shares * _size(w) / _size(GD()(normalised(task), w), "gradient")


def kkt_residuals(rule, w, *, task):
    """How far w is from a KKT point of min |w|²/2 with margins ≥ 1: both 0 there, at any |w|.

    Stationarity |w - Σ λ∇p| / |w|, and complementarity Σ λ(p - min p) / |w|², with `multipliers`.
    """
    gradient, size = GD()(normalised(task), w), _size(w)
    steep = _size(gradient, "gradient")
    apart = tuple(W / size - V / steep for W, V in zip(w, gradient, strict=True))
    p = margins(rule, w, task=task)
    slack = np.sum(multipliers(rule, w, task=task) * (p - p.min())) / size**2
    return np.array([np.sqrt(_inner(apart, apart)), slack])


def path_length(solution):
    """Length of the path of w/|w| up to each time, (times,): the sum of the chords."""
    points = np.hstack([W.reshape(len(W), -1) for W in solution.w])
    points = points / np.linalg.norm(points, axis=1, keepdims=True)
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])


def max_margin(X, labels):
    """The `MaxMargin` of linear classifiers through the origin, by least-distance programming [1]_.

    X: (d, samples); labels: -1 or +1, (samples,) or (1, samples).
    Raises ValueError if no direction separates the samples.

    .. [1] C. Lawson & R. Hanson, "Solving least squares problems", 1974, chapter 23.
    """
    from scipy.optimize import nnls

    X = matrix(X, "X")
    labels = np.ravel(np.asarray(labels, dtype=float))
    if labels.shape != (X.shape[1],) or not np.isin(labels, (-1, 1)).all():
        raise ValueError(f"labels must be {X.shape[1]} numbers -1 or +1, but are {labels!r:.60}.")
    scale = np.linalg.norm(X, axis=0).max() or 1.0
    Z = X * labels / scale
    rows, one = np.vstack([Z, np.ones(len(labels))]), np.eye(len(Z) + 1)[-1]
    u, _ = nnls(rows, one)
    left = one - rows @ u  # (-Zu, 1 - Σu)
    found = -left[:-1] / (left[-1] or 1.0)
    margin = (Z.T @ found).min() / (np.linalg.norm(found) or 1.0)
    bound = np.linalg.norm(Z @ u) / (u.sum() or 1.0)  # no direction has a larger margin
    if not margin > 0:
        raise ValueError(
            "No direction through the origin separates the samples: the best one found leaves one"
            f" at {margin * scale:.3g}, where the longest has norm {scale:.3g}."
        )
    if not bound - margin <= GAP * bound:
        raise ValueError(
            f"The margin is too small to be found: it is between {margin * scale:.3g} and"
            f" {bound * scale:.3g}, where the longest sample has norm {scale:.3g}."
        )
    direction = found / np.linalg.norm(found)
    return MaxMargin(direction, float(margin * scale), u / left[-1] / scale**2)


def _check_loss(name):
    if name not in ("exponential", "logistic"):
        raise ValueError(f"Margins need the exponential or the logistic loss, not {name}.")
    return name


def _degree(task, w, degree):
    return degree_of(task, len(w)) if degree is None else degree


def _growth(rule, w, task):
    """d log α / du and d log|w| / du, the cosine of w and the velocity, in log-norm time."""
    unit = normalised(task)
    v, gradient = rule(unit, w), GD()(unit, w)
    rise = _size(w) * _inner(gradient, v) / _size(v, "velocity")
    return rise / smoothed_margin(rule, w, task=task), _cosine(w, v)


def _log_sum(x):
    top = x.max()
    return top + np.log(np.sum(np.exp(x - top)))


def _log_softplus(x):
    """log log(1 + exp(x)), also where exp(x) underflows; below -37 it is x to the last digit."""
    return np.where(x > -37, np.log(np.logaddexp(0, np.maximum(x, -37))), x)


def _smoothed(p, name):
    total = log_loss(p, name)
    if name == "exponential":
        return -total
    loss = np.exp(total)
    if loss > 1:
        return -(loss + np.log1p(-np.exp(-loss)))
    return -(total + (np.log(np.expm1(loss) / loss) if loss > 1e-300 else 0.0))


def _shares(p, name):
    """ℓ'(p) / ℓ'(α): for the exponential loss they add up to 1."""
    alpha = _smoothed(p, name)
    if name == "exponential":
        return np.exp(alpha - p)
    return np.exp(np.logaddexp(0, alpha) - np.logaddexp(0, p))


def _inner(a, b):
    return sum(np.sum(A * B) for A, B in zip(a, b, strict=True))


def _size(a, what="state"):
    """The norm of all matrices together, which must not be 0."""
    size = np.sqrt(_inner(a, a))
    if not size > 0:
        raise ValueError(f"The {what} must have a direction, but its norm is {size:g}.")
    return size


def _cosine(a, b):
    return _inner(a, b) / (_size(a) * _size(b, "velocity"))
