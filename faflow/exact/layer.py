"""The flow of a single linear layer, which every rule moves alike."""

import numpy as np

from ..nets import forward, matrix, squared
from .given import times


def one_layer(task, W0, ts, *, decay=0.0):
    """The flow of one linear layer with squared loss, at rate 1: dW/dt = (Y - WX)Xᵀ - decay·W.

    Every rule moves a single layer so.  A singular XXᵀ is allowed: what no sample shows of W₀
    stays, or decays.  W0: (d_out, d_in [+ 1 with biases]), at time 0.  ts: (times,), at least 0.
    Returns W (times, d_out, d_in [+ 1]).
    """
    W0, ts = matrix(W0, "W0"), times(ts)
    if task.loss is not squared:
        raise ValueError(f"one_layer needs the squared loss, but the task has {task.loss.name}.")
    if not np.isfinite(decay):
        raise ValueError(f"decay must be a finite number, but is {decay!r}.")
    X = task.output_scale * forward(task, [np.zeros((1, len(task.X) + task.bias))])[1][0]
    if W0.shape != (len(task.Y), len(X)):
        raise ValueError(f"W0 must be {(len(task.Y), len(X))} for this task, but is {W0.shape}.")
    U, s, V = np.linalg.svd(X, full_matrices=False)
    seen, pull = W0 @ U, task.Y @ V.T * s
    x = (s**2 + decay) * ts[:, None]
    mean = np.divide(-np.expm1(-x), x, out=np.ones_like(x), where=x != 0)  # of exp(-x) on [0, x]
    modes = np.exp(-x)[:, None] * seen + (ts[:, None] * mean)[:, None] * pull
    unseen = np.exp(-decay * ts)[:, None, None] * (W0 - seen @ U.T)
    return modes @ U.T + unseen
