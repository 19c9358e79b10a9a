"""Follow the flow of a piecewise linear network through its kinks and along them."""

import numpy as np

from ..nets import forward, replaced
from .kinked import March
from .path import Path
from .response import carries

LIMIT = 50_000
"""Most pre-activations, units times samples, that are followed one by one."""


def slide(rule, task, w0, ts, *, solver, rtol, atol, tally, step=None, path=None, stop=False):
    """Yield the state at each of ``ts[1:]``, a solver step ending exactly there and at every kink.

    Between kinks the solver sees a smooth field.  Where a pre-activation reaches its kink it
    passes, or slides along it with the slope that keeps it there, until that slope is one of the
    two sides'.
    path: a `Path` that records this, and from which a run goes on that ended at ``ts[0]``.
    stop: raise `Unfinished` where the flow first slides.
    """
    check(rule, task, w0, solver)
    path = Path() if path is None else path
    march = March(rule, *merged(rule, task), path, tally, stop)
    march.start(w0, ts, solver, {"rtol": rtol, "atol": atol}, step)
    for t in ts[1:]:
        march.reach(t)
        path.t, path.masks = float(t), march.masks()
        yield march.state()


def check(rule, task, w0, solver):
    """Raise ValueError for what cannot be followed through its kinks."""
    kinked = [phi for phi in task.activations if not phi.smooth]
    for phi in kinked:
        if phi.degree != 1:
            raise ValueError(
                f"kinks='slide' needs activations with one kink, at zero, of degree 1, but"
                f" {phi.name} has degree {phi.degree}; use kinks='stop', or fixed steps."
            )
    if rule.signed(w0):
        raise ValueError(
            f"kinks='slide' follows no signs of weights; give {rule.name} a beta, or use"
            " kinks='stop'."
        )
    if solver not in ("dop853", "rk45"):
        raise ValueError(f"kinks='slide' needs the solver dop853 or rk45, not {solver}.")
    hidden, _, _ = forward(task, rule.weights(w0))
    count = sum(z.size for k, z in enumerate(hidden) if not task.activation(k).smooth)
    if count > LIMIT:
        raise ValueError(
            f"kinks='slide' follows at most {LIMIT} pre-activations, units times samples, but the"
            f" task has {count}; use kinks='smooth', or fixed steps, such as step=1e-3."
        )


def merged(rule, task):
    """(task, groups): samples with one input made one, and the samples of each column of it.

    They share every pre-activation and every slope, and all that a rule makes of them is the sum of
    their errors.  A rule with a velocity of its own keeps its task.
    """
    X, groups = np.unique(task.X, axis=1, return_inverse=True)
    groups = groups.ravel()
    if X.shape[1] == task.X.shape[1] or not carries(rule):
        return task, np.arange(task.X.shape[1])
    first = np.unique(groups, return_index=True)[1]
    order = np.argsort(first)  # columns in the order in which they first came
    groups, X = np.argsort(order)[groups], X[:, order]
    together = np.eye(X.shape[1])[groups]
    loss = task.loss
    summed = loss._replace(error=lambda f, Y: loss.error(f[:, groups], Y) @ together)
    return replaced(task, X=X, loss=summed), groups
