"""What closed forms are given, checked in sentences."""

from numbers import Real

import numpy as np

from ..nets import Task, linear, matrix, squared

WHITE = 1e-10
"""How far XXᵀ may be from a projector, in any entry."""


def target(Y):
    """The matrix to factor: `Y` itself, or YXᵀ of a linear task with white inputs."""
    if isinstance(Y, Task):
        task = Y
        if not (task.loss is squared and all(phi is linear for phi in task.activations)):
            raise ValueError("This solution needs a linear network with squared loss.")
        if task.bias or task.output_scale != 1:
            raise ValueError("This solution needs a task without biases and with output_scale 1.")
        S = task.X @ task.X.T
        off = np.abs(S @ S - S).max()
        if not off <= WHITE:
            raise ValueError(
                f"This solution needs whitened inputs, XXᵀ = I or orthonormal samples, but XXᵀ is"
                f" {off:.1e} from a projector."
            )
        Y = task.Y @ task.X.T
    return matrix(Y, "Y")


def times(ts):
    """Times in any order, in float64."""
    try:
        given = np.asarray(ts)
        if given.dtype.kind not in "iuf" and not all(_is_real(t) for t in given.flat):
            raise TypeError
        ts = given.astype(float)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"ts must be a sequence of numbers, but is {ts!r:.60}.") from None
    if not ts.size:
        raise ValueError("ts must have at least one time.")
    if ts.ndim != 1 or not (np.isfinite(ts) & (ts >= 0)).all():
        raise ValueError(f"ts must be a sequence of finite times of at least 0, but is {ts!r:.60}.")
    return ts


def number(value, name):
    """A finite real number, as a float."""
    if not _is_real(value):
        raise ValueError(f"{name} must be a real number, but is {value!r:.60}.")
    try:
        made = float(value)
    except OverflowError:
        made = np.inf
    if not np.isfinite(made):
        raise ValueError(f"{name} must be finite, and a float can be, but is {value!r:.60}.")
    return made


def _is_real(value):
    real = isinstance(value, Real) and not isinstance(value, bool)
    return real or (getattr(value, "shape", None) == () and value.dtype.kind in "iuf")


def weights(w0, layers=None):
    """The weights of a chain of neurons, one number a layer, as floats."""
    if not isinstance(w0, tuple | list | np.ndarray) or getattr(w0, "ndim", 1) == 0:
        raise ValueError(f"w0 must be numbers, one for each layer, but is {w0!r:.60}.")
    if len(w0) < 2 if layers is None else len(w0) != layers:
        wanted = "at least two" if layers is None else layers
        raise ValueError(f"w0 must have {wanted} weights, one for each layer, not {len(w0)}.")
    return [number(w, f"w0[{k}]") for k, w in enumerate(w0)]


def feedback(b, layers):
    """The feedback of a chain of so many layers, numbers other than 0; of two also one number."""
    b = list(b) if isinstance(b, tuple | list) or getattr(b, "ndim", 0) else [b]
    if len(b) != layers - 1:
        raise ValueError(
            f"b must be {layers - 1} number{'s' * (layers > 2)} for a chain of {layers} layers,"
            f" not {len(b)}."
        )
    b = [number(one, f"b[{k}]") for k, one in enumerate(b)]
    if 0 in b:
        raise ValueError(f"b must have no zeros, which stop the layers below, but is {b}.")
    return b


def as_matrices(*weights):
    """Each sequence of numbers as a path of 1 x 1 matrices, (times, 1, 1)."""
    if not np.isfinite(weights).all():
        raise ValueError("The weights leave the range of floats; rescale the problem.")
    return tuple(np.array(w, dtype=float).reshape(-1, 1, 1) for w in weights)


def faded(rates, t):
    """∫₀ᵗ e^{-rate τ} dτ = (1 - e^{-rate t})/rate, to all digits, also where rate · t overflows."""
    x = rates * t
    mean = np.divide(-np.expm1(-x), x, out=np.ones_like(x), where=x != 0)  # of exp(-x) on [0, x]
    return np.where(np.abs(x) > 1, -np.expm1(-x) / rates, t * mean)
