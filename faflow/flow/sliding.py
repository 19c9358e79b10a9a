"""Follow the flow of a piecewise linear network through its kinks and along them."""

import numpy as np

from ..nets import forward, replaced
from .engine_scipy import SOLVERS
from .kinked import March
from .response import carries
from .ties import Tied, lines

WAYS = ("slide", "smooth", "stop", "ignore")

LIMIT = 20_000
"""Most pre-activations, units times samples, that are followed one by one."""


class Follower:
    """A run on its way through kinks, at the state ``w`` at time ``t``.

    Between kinks the solver sees a smooth field.  Where a pre-activation reaches its kink it
    passes, or slides along it with the slope that keeps it there, until that slope is one of the
    two sides'.
    control, solver: as in the SciPy engine.
    path: a `Path` that records this, and from which a run goes on that ended at `t`.
    keeping: laws to return to after each step, a `Keeping`, or None.
    stop: raise `Unfinished` where the flow first slides.
    """

    first = 16
    beside = None

    def __init__(
        self, rule, task, t, w, *, solver, control, path, beside=None, keeping=None, stop=False
    ):
        self.march = March(rule, *merged(rule, task, w), path, stop, keeping)
        self.path, self.control, self.reached = path, control, []
        atol = np.concatenate(
            [np.full(W.size, f / np.sqrt(W.size)) for W, f in zip(w, control.floors, strict=True)]
        )
        self.march.start(float(t), w, SOLVERS[solver], control.rtol, atol, control.h)
        path.t = float(t)

    t = property(lambda self: float(self.march.steps.t))
    w = property(lambda self: self.march.steps.w)
    accepted = property(lambda self: self.march.accepted)
    tries = property(lambda self: self.march.steps.tries)
    away = property(lambda self: self.march.away)
    corrected = property(lambda self: self.march.corrected)
    velocity = property(lambda self: self.march.steps.velocity)
    evaluations = property(lambda self: self.march.piece.evaluations)
    stuck = property(lambda self: self.march.problem)

    def advance(self, stops, most):
        """Go on to `stops` in at most so many steps, adding the states at those `reached`."""
        most += self.accepted
        with np.errstate(all="ignore"):
            while len(self.reached) < len(stops):
                stop = stops[len(self.reached)]
                if not self.march.reach(stop, most):
                    break
                self.reached.append((stop, self.w))
        self.path.t, self.path.masks = self.t, self.march.masks()
        self.control.h = self.march.steps.natural


def chosen(kinks, rule, task, w0, followed, step):
    """How the kinks of a network are met: slide, stop, smooth or ignore, or None where it has none.

    followed: whether engine and solver can go from kink to kink.
    Raises ValueError for what was asked for and cannot be.
    """
    if kinks not in (None, *WAYS):
        raise ValueError(f"Unknown kinks {kinks!r}; choose from {', '.join(WAYS)}.")
    if task.smooth:
        return None
    if kinks in ("smooth", "ignore"):
        return kinks
    if kinks is None:
        one_kind = all(phi.smooth or phi.degree == 1 for phi in task.activations)
        plain = carries(rule, w0) and one_kind and not rule.signed(w0)
        if step is not None or not followed or not plain:
            return "ignore"
    elif step is not None or not followed:
        raise ValueError(
            f"kinks={kinks!r} needs engine='scipy', solver dop853 or rk45, and no fixed steps."
        )
    check(rule, task, w0)
    deep = sum(not task.activation(k).smooth for k in range(len(rule.weights(w0)) - 1)) > 1
    return kinks or ("stop" if deep else "slide")


def check(rule, task, w0):
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
    weights = rule.weights(w0)
    layers = [k for k in range(len(weights) - 1) if not task.activation(k).smooth]
    if layers and not carries(rule, w0):
        tied = Tied.of(task, weights, layers[0])
        for one, other in zip(tied.first[tied.c < 0], tied.other[tied.c < 0], strict=True):
            raise ValueError(
                f"kinks='slide' follows opposite inputs, as of samples {one} and {other}, for rules"
                f" that only carry errors, linearly, but {rule.name} does more; take fixed steps,"
                " such as step=1e-3."
            )
    for k, W in enumerate(weights[: layers[-1]] if layers else ()):
        if len(W) == 1 and not task.bias:
            raise ValueError(
                f"All units above hidden layer {k}, which has one unit, meet their kinks at once"
                " where there are no biases, which is not followed; round kinks off by"
                " kinks='smooth', take fixed steps, such as step=1e-3, or few digits by"
                " kinks='ignore'."
            )
    hidden, _, _ = forward(task, rule.weights(w0))
    count = sum(z.size for k, z in enumerate(hidden) if not task.activation(k).smooth)
    if count > LIMIT:
        raise ValueError(
            f"Kinks are followed for at most {LIMIT} pre-activations, units times samples, but the"
            f" task has {count}; round them off by kinks='smooth', take fixed steps, such as"
            " step=1e-3, or few digits by kinks='ignore'."
        )


def merged(rule, task, w):
    """(task, groups): samples whose kinks are the same made one, and the column of each sample.

    Those with one input, or where the network is homogeneous with inputs in one direction: they
    share every slope, their pre-activations and outputs are as large as their inputs, and all that
    a rule makes of them is the sum of their errors, as large as these.  A rule with a velocity of
    its own keeps its task.
    """
    X, sizes = task.X, np.ones(task.X.shape[1])
    if not task.bias and all(phi.degree == 1 for phi in task.activations):
        line, c = lines(X)
        X, sizes = np.stack([line, np.sign(c)]), np.where(c == 0, 1.0, np.abs(c))
        X[0, c == 0] = -1
    _, first, groups = np.unique(X, axis=1, return_index=True, return_inverse=True)
    groups = groups.ravel()
    if len(first) == task.X.shape[1] or not carries(rule, w):
        return task, np.arange(task.X.shape[1])
    order = np.argsort(first)  # columns in the order in which they first came
    groups, first = np.argsort(order)[groups], first[order]
    sizes = sizes / sizes[first[groups]]
    together = sizes[:, None] * np.eye(len(first))[groups]
    loss = task.loss
    summed = loss._replace(error=lambda f, Y: loss.error(f[:, groups] * sizes, Y) @ together)
    return replaced(task, X=task.X[:, first], loss=summed), groups
