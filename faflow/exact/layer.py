"""The flow of a single linear layer, which every rule moves alike."""

import numpy as np

from ..nets import Task, forward, matrix, squared
from .given import faded, number, times


@np.errstate(all="ignore")  # what leaves the range of floats is found by its values
def one_layer(task, W0, ts, *, decay=0.0):
    """The flow of one linear layer with squared loss, at rate 1: dW/dt = (Y - WX)Xᵀ - decay·W.

    Every rule moves a single layer so.  A singular XXᵀ is allowed: what no sample shows of W₀
    stays, or decays.  W0: (d_out, d_in [+ 1 with biases]), at time 0.  ts: (times,), at least 0.
    decay: a number, also below 0, where errors of rounding grow as e^{|decay|t}.
    Returns W (times, d_out, d_in [+ 1]).  Raises ValueError for what is not so, and where W leaves
    the range of floats.
    """
    if not isinstance(task, Task):
        raise ValueError(f"task must be a Task, but is {task!r:.60}.")
    W0, ts = matrix(W0, "W0"), times(ts)
    if task.loss is not squared:
        raise ValueError(f"one_layer needs the squared loss, but the task has {task.loss.name}.")
    decay = number(decay, "decay")
    X = task.output_scale * forward(task, [np.zeros((1, len(task.X) + task.bias))])[1][0]
    if W0.shape != (len(task.Y), len(X)):
        raise ValueError(f"W0 must be {(len(task.Y), len(X))} for this task, but is {W0.shape}.")
    U, s, V = np.linalg.svd(X, full_matrices=False)
    seen, pull = W0 @ U, task.Y @ V.T * s
    rates, t = s**2 + decay, ts[:, None]
    x = rates * t
    modes = _times(np.exp(-x)[:, None], seen) + _times(faded(rates, t)[:, None], pull)
    unseen = np.linalg.svd(U)[0][:, len(s) :]
    W = modes @ U.T + _times(np.exp(-decay * t)[:, None], W0 @ unseen) @ unseen.T
    if not np.isfinite(W).all():
        raise ValueError("The weights leave the range of floats; take earlier times.")
    return W


def _times(factors, M):
    """Their products, zero where M is."""
    return np.where(M == 0, 0.0, factors * M)
